"""Birthday e-mails in the real Airflow: written, sent, and unsubscribed from by their link."""

from __future__ import annotations

import re
from typing import Any

import pytest
import requests
from playwright.sync_api import expect

from rotina.local.stack import business_today
from tests.e2e.airflow_ui import AirflowUi
from tests.e2e.running_stack import RunningStack
from tests.e2e.test_account_data_refresh_ui import NewPage, Screenshot
from tests.e2e.test_message_queue import run

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("e2e"), pytest.mark.timeout(900)]


def greetings(stack: RunningStack) -> list[dict[str, Any]]:
    return stack.rows(
        "select id, account_id, recipient, status, payload from crm.message where origin = 'birthday_emails' "
        "order by id"
    )


def test_a_greeting_arrives_once_and_its_link_ends_the_e_mails(
    stack: RunningStack, new_page: NewPage, screenshot: Screenshot
) -> None:
    # The demonstration day has written them already; whatever still waits goes now.
    first = run(stack, "birthday_emails", business_date=str(business_today()))
    assert (first["state"], first["failed"]) == ("success", 0)
    assert run(stack, "queue_dispatch")["state"] == "success"
    before = greetings(stack)
    assert before
    assert {row["status"] for row in before} == {"sent"}
    again = run(stack, "birthday_emails", business_date=str(business_today()))
    assert (again["state"], again["changed"]) == ("success", 0)
    assert again["unchanged"] > 0
    assert greetings(stack) == before

    page = new_page()
    ui = AirflowUi(page, stack)
    ui.enter("user")
    page.goto(f"{stack.settings.airflow_url}/dags/birthday_emails/runs/{again['dag_run_id']}")
    for task in ("begin", "write", "report"):
        expect(page.get_by_role("link", name=task).first).to_be_visible()
    page.goto(f"{stack.settings.airflow_url}/dags/birthday_emails")
    page.get_by_role("button", name="Trigger").first.click()
    form = page.get_by_role("dialog")
    expect(form.get_by_text("Days late allowed")).to_be_visible()

    recipient = before[0]["recipient"]
    page = new_page()  # somebody without a login
    page.goto(stack.settings.mailbox_url)
    page.get_by_role("row").filter(has_text=recipient).first.get_by_role("link").click()
    letter = page.frame_locator("iframe")
    expect(letter.get_by_text("Feliz aniversário").first).to_be_visible()
    screenshot(page, "birthday-email")
    link = letter.get_by_role("link", name=re.compile("receber")).get_attribute("href")
    assert link == before[0]["payload"]["unsubscribe_url"]

    page.goto(link)
    expect(page.get_by_role("heading", name="Não quer mais receber")).to_be_visible()
    screenshot(page, "unsubscribe")
    suppressed = "select reason, source from crm.suppression where channel = 'email' and address = lower(%s)"
    assert stack.rows(suppressed, recipient) == []  # opening the link changes nothing
    page.get_by_role("button", name="Não quero mais receber").click()
    expect(page.get_by_role("heading", name="Pronto")).to_be_visible()
    assert stack.rows(suppressed, recipient) == [{"reason": "opted_out", "source": "unsubscribe"}]

    with requests.Session() as session:  # as a mail program does, twice
        session.trust_env = False
        clicks = [session.post(link, data={"List-Unsubscribe": "One-Click"}, timeout=60) for _ in range(2)]
        assert [click.status_code for click in clicks] == [200, 200]
        assert session.post(f"{link}x", timeout=60).status_code == 404


def test_what_is_wrong_is_refused_before_anything_is_written(stack: RunningStack) -> None:
    before = greetings(stack)
    refused = run(stack, "birthday_emails", business_date=str(business_today()), subject="Oi, {{ nome }}!")
    assert refused["state"] == "failed"
    assert "nome" in refused["message"]
    assert greetings(stack) == before
