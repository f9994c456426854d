"""Customers and maintenance in the console: what was sent to somebody, who would change class, forms."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import FrameLocator, expect

from tests.e2e.airflow_ui import AirflowUi
from tests.e2e.running_stack import RunningStack
from tests.e2e.test_account_data_refresh_ui import NewPage, Screenshot

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("e2e"), pytest.mark.timeout(900)]

AUDIENCE = "Quem se chama Ana"

#: Greetings whose address and phone are those of one account only.
_GREETED = """
    select a.id, a.name, a.email, a.phone, m.id as message_id, m.payload ->> 'subject' as subject
    from crm.message as m
    inner join crm.account as a on m.account_id = a.id
    where
        m.origin = 'birthday_emails' and m.status = 'sent'
        and (select count(*) from crm.account as o where lower(o.email) = lower(a.email)) = 1
        and (select count(*) from crm.account as o where o.phone = a.phone) = 1
    order by m.id
    limit 1
"""


@pytest.fixture
def buyer(stack: RunningStack) -> Iterator[dict[str, Any]]:
    """One of some accounts that were put into Bronze, from which a rule moves them; without one after."""
    accounts = stack.rows(
        "select a.id, a.name, s.accumulated_value from crm.account as a "
        "inner join crm.account_supplementary as s on a.id = s.account_id "
        "where a.active and a.class_id is null and s.accumulated_value between 1000 and 4999 "
        "and not exists (select from crm.account_class_change as h where h.account_id = a.id) "
        "and (select count(*) from crm.account as o where o.name = a.name) = 1 order by a.id limit 8"
    )
    keys = ", ".join(str(account["id"]) for account in accounts)
    in_bronze = "(select id from crm.account_class where name = 'Bronze')"
    stack.execute(f"update crm.account set class_id = {in_bronze} where id in ({keys})")
    yield accounts[0]
    stack.execute(f"update crm.account set class_id = null where id in ({keys})")


@pytest.fixture
def no_audience(stack: RunningStack) -> Iterator[None]:
    """Takes the audience of a test away."""
    yield
    stack.execute(f"delete from crm.audience where name = '{AUDIENCE}'")


def entries(stack: RunningStack) -> int:
    """How often the audience was saved."""
    saved = (
        "select count(*) from crm.audit_entry where action = 'save_audience' and target ->> 'audience' = %s"
    )
    (row,) = stack.rows(saved, AUDIENCE)
    return int(row["count"])


def settle(console: FrameLocator) -> None:
    """Waits until the frame is painted as it is to be seen: its icons are a font."""
    console.locator("body").evaluate(
        "() => document.fonts.ready"
        ".then(() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done))))"
    )


@pytest.mark.parametrize("known", ["email", "phone"])
def test_a_customer_is_told_what_was_sent_to_them(
    stack: RunningStack, new_page: NewPage, screenshot: Screenshot, known: str
) -> None:
    (greeted,) = stack.rows(_GREETED)
    page = new_page()
    ui = AirflowUi(page, stack)
    ui.enter("viewer")
    clicks = ui.go_home()
    console = ui.open_console()
    console.get_by_role("link", name="Customers", exact=True).click()
    search = console.get_by_role("searchbox")
    expect(search).to_be_focused()
    search.fill(greeted[known])
    search.press("Enter")
    expect(console.get_by_role("heading", name=greeted["name"], exact=True)).to_be_visible()
    messages = console.locator("#messages")
    expect(messages).to_contain_text("Birthday e-mails")
    if known == "email":
        console.get_by_role("heading", name="Addresses and opt-outs").evaluate("one => one.scrollIntoView()")
        settle(console)
        screenshot(page, "console-customer")
    messages.get_by_role("link", name=greeted["subject"], exact=True).click()
    expect(console.get_by_role("heading", name=f"Message {greeted['message_id']}")).to_be_visible()
    email = console.frame_locator("iframe.message-html")
    expect(email.get_by_role("heading", name=greeted["subject"])).to_be_visible()
    assert len(clicks) <= 4
    if known == "email":
        settle(console)
        screenshot(page, "console-message-of-customer")


def test_who_would_change_class_and_why(
    stack: RunningStack, buyer: dict[str, Any], new_page: NewPage, screenshot: Screenshot
) -> None:
    page = new_page()
    ui = AirflowUi(page, stack)
    ui.enter("viewer")
    clicks = ui.go_home()
    console = ui.open_console()
    console.get_by_role("button", name="Maintenance").click()
    console.get_by_role("link", name="Who would change class").click()
    row = console.locator("tr", has=page.get_by_role("link", name=buyer["name"], exact=True))
    expect(row).to_contain_text("Sobe para Prata")
    expect(row).to_contain_text(f"accumulated value: R${buyer['accumulated_value']:,}")
    assert len(clicks) <= 4
    settle(console)
    screenshot(page, "console-class-preview")
    assert not stack.rows("select * from crm.account_class_change where account_id = %s", buyer["id"])


def test_a_form_that_is_saved_twice_saves_once(
    stack: RunningStack, no_audience: None, new_page: NewPage, screenshot: Screenshot
) -> None:
    before = entries(stack)
    page = new_page()
    ui = AirflowUi(page, stack)
    ui.enter("op")
    ui.go_home()
    console = ui.open_console()
    console.get_by_role("button", name="Maintenance").click()
    console.get_by_role("link", name="Audiences", exact=True).click()
    console.get_by_role("link", name="New audience").click()
    console.get_by_label("Name", exact=False).first.fill(AUDIENCE)
    console.get_by_role("button", name="Add a condition").click()
    console.get_by_label("Field").select_option("name")
    console.get_by_label("Comparison").select_option("contains")
    console.get_by_label("Value").fill("Ana")
    console.get_by_role("button", name="Count and show").click()
    expect(console.locator("#form-preview")).to_contain_text("accounts")
    settle(console)
    screenshot(page, "console-audience")
    console.get_by_role("button", name="Save", exact=True).dblclick()
    expect(console.get_by_role("row").filter(has_text=AUDIENCE)).to_contain_text("name contains “Ana”")
    assert entries(stack) == before + 1
