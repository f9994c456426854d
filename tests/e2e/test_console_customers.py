"""Customers and maintenance in the console: what was sent to somebody, who would change class, forms."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import expect

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
def newcomer(stack: RunningStack) -> Iterator[dict[str, Any]]:
    """An account that lost its class, and that a rule would give it back; it has it again afterwards."""
    (rule,) = stack.rows("select id from crm.class_rule where name = 'Entra em Bronze' and active")
    (account,) = stack.rows(
        "select a.id, a.name, a.class_id, s.purchase_count from crm.account as a "
        "inner join crm.account_class_change as h on a.id = h.account_id "
        "inner join crm.account_supplementary as s on a.id = s.account_id "
        "where h.rule_id = %s and a.class_id = h.to_class_id order by a.id limit 1",
        rule["id"],
    )
    stack.execute(f"update crm.account set class_id = null where id = {account['id']}")
    yield account
    stack.execute(f"update crm.account set class_id = {account['class_id']} where id = {account['id']}")


@pytest.fixture
def no_audience(stack: RunningStack) -> Iterator[None]:
    """Takes the audience of a test away."""
    yield
    stack.execute(f"delete from crm.audience where name = '{AUDIENCE}'")


@pytest.mark.parametrize("known", ["email", "phone"])
def test_a_customer_is_told_what_was_sent_to_them(
    stack: RunningStack, new_page: NewPage, screenshot: Screenshot, known: str
) -> None:
    (greeted,) = stack.rows(_GREETED)
    page = new_page()
    ui = AirflowUi(page, stack)
    ui.log_in("viewer")
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
        screenshot(page, "console-customer")
    messages.get_by_role("link", name=greeted["subject"], exact=True).click()
    expect(console.get_by_role("heading", name=f"Message {greeted['message_id']}")).to_be_visible()
    email = console.frame_locator("iframe.message-html")
    expect(email.get_by_role("heading", name=greeted["subject"])).to_be_visible()
    assert len(clicks) <= 4
    if known == "email":
        screenshot(page, "console-message-of-customer")


def test_who_would_change_class_and_why(
    stack: RunningStack, newcomer: dict[str, Any], new_page: NewPage, screenshot: Screenshot
) -> None:
    page = new_page()
    ui = AirflowUi(page, stack)
    ui.log_in("viewer")
    clicks = ui.go_home()
    console = ui.open_console()
    console.get_by_role("button", name="Maintenance").click()
    console.get_by_role("link", name="Who would change class").click()
    row = console.get_by_role("row").filter(
        has=console.get_by_role("link", name=newcomer["name"], exact=True)
    )
    expect(row).to_contain_text("Entra em Bronze")
    expect(row).to_contain_text(f"number of purchases: {newcomer['purchase_count']}")
    assert len(clicks) <= 4
    screenshot(page, "console-class-preview")
    moved = stack.rows(f"select class_id from crm.account where id = {newcomer['id']}")
    assert moved == [{"class_id": None}]


def test_a_form_that_is_saved_twice_saves_once(
    stack: RunningStack, no_audience: None, new_page: NewPage, screenshot: Screenshot
) -> None:
    page = new_page()
    ui = AirflowUi(page, stack)
    ui.log_in("op")
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
    screenshot(page, "console-audience")
    console.get_by_role("button", name="Save", exact=True).dblclick()
    expect(console.get_by_role("row").filter(has_text=AUDIENCE)).to_contain_text("name contains “Ana”")
    entries = stack.rows(
        "select login from crm.audit_entry where action = 'save_audience' and target ->> 'audience' = %s",
        AUDIENCE,
    )
    assert entries == [{"login": "op"}]
