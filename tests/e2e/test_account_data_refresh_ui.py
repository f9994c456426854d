"""account_data_refresh by hand and as a backfill, in a real browser in front of the real Airflow."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from rotina.local.stack import business_today
from tests.e2e.airflow_ui import AirflowUi
from tests.e2e.running_stack import RunningStack

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("e2e"), pytest.mark.timeout(900)]

NewPage = Callable[..., Page]
Screenshot = Callable[[Page, str], None]

DAY = dt.timedelta(days=1)

#: How long a run may take until the page shows its end (milliseconds).
RUN_PATIENCE = 240_000


def expect_tasks(page: Page, **states: str) -> None:
    """Wait until the page of a run shows its tasks in these states."""
    for task, state in states.items():
        row = page.get_by_role("row").filter(has=page.get_by_role("link", name=task, exact=True))
        expect(row).to_contain_text(state, timeout=RUN_PATIENCE)


def test_a_run_for_a_date_and_its_summary(
    stack: RunningStack, new_page: NewPage, screenshot: Screenshot
) -> None:
    yesterday = business_today() - DAY
    page = new_page()
    ui = AirflowUi(page, stack)
    ui.log_in("user")
    ui.open_dag()
    form = ui.open_trigger_form()
    ui.fill_business_date(form, yesterday)
    screenshot(page, "trigger-form")
    run_id = ui.trigger(form)
    expect_tasks(page, begin="Success", refresh="Success", report="Success")
    expect(page.get_by_text("Success", exact=True)).to_have_count(4, timeout=RUN_PATIENCE)  # and the run
    screenshot(page, "run")

    record = stack.record(run_id)
    assert record["business_date"] == yesterday
    assert (record["run_type"], record["asked_by"], record["status"]) == ("manual", "user", "succeeded")
    mail = stack.summary(record)
    assert mail["recipients"] == ["user@example.com"]
    assert f"{yesterday:%d/%m/%Y}" in mail["subject"]

    page.goto(stack.settings.mailbox_url)
    row = page.get_by_role("row").filter(has_text="user@example.com").first
    expect(row).to_contain_text(mail["subject"])
    screenshot(page, "mailbox")
    row.get_by_role("link").click()
    letter = page.frame_locator("iframe")
    expect(letter.get_by_text("concluída")).to_be_visible()
    expect(letter.get_by_text("pedida por user")).to_be_visible()
    expect(letter.get_by_role("link", name="Ver a execução")).to_have_attribute(
        "href", f"{stack.settings.airflow_url}/dags/account_data_refresh/runs/{run_id}"
    )


def test_the_summary_says_what_came_of_every_record(
    stack: RunningStack, new_page: NewPage, screenshot: Screenshot
) -> None:
    # The first run of an environment: the schedule's or the demonstration's, whichever was quicker.
    for run in stack.dag_runs("scheduled"):
        stack.wait_for_run(run["dag_run_id"])
    (first,) = stack.rows(
        "select * from crm.run where routine = 'account_data_refresh' order by failed desc, id limit 1"
    )
    assert first["selected"] > first["changed"] > 0
    assert first["failed"] > 0
    page = new_page()
    message_url = f"{stack.settings.mailbox_url}/messages/{stack.summary(first)['id']}"
    page.goto(message_url)
    expect(page.locator("pre")).to_contain_text(
        f"Selecionados {first['selected']} = alterados {first['changed']} + "
        f"sem alteração {first['unchanged']} + ignorados {first['skipped']} + com falha {first['failed']}"
    )
    page.goto(f"{message_url}/html")
    expect(page.get_by_text("nota fiscal, falha: nota fiscal sem cliente")).to_be_visible()
    screenshot(page, "summary-email")


@pytest.mark.parametrize(("timezone", "days_ago", "number"), [("UTC", 9, 3), ("America/Sao_Paulo", 16, 1)])
def test_a_backfill_of_missed_days(
    stack: RunningStack, new_page: NewPage, screenshot: Screenshot, timezone: str, days_ago: int, number: int
) -> None:
    days = [business_today() - (days_ago - index) * DAY for index in range(number)]
    before = {run["dag_run_id"] for run in stack.dag_runs("backfill")}
    page = new_page(timezone)
    ui = AirflowUi(page, stack)
    ui.enter("user")
    ui.go_home()
    ui.open_dag()
    form = ui.open_trigger_form()
    ui.fill_backfill(form, days[0], days[-1])
    expect(form.get_by_text(re.compile(f"^{number} runs? will be triggered"))).to_be_visible()
    if number > 1:
        screenshot(page, "backfill")
    form.get_by_role("button", name="Run Backfill").click()
    expect(form).to_be_hidden()

    run_ids = {run["dag_run_id"] for run in stack.dag_runs("backfill")} - before
    assert [stack.wait_for_run(run_id) for run_id in run_ids] == ["success"] * number
    stack.end_backfills()
    records = [stack.record(run_id) for run_id in run_ids]
    assert sorted(record["business_date"] for record in records) == days
    assert {(record["run_type"], record["asked_by"], record["status"]) for record in records} == {
        ("backfill", "user", "succeeded")
    }
    page.get_by_role("link", name="Runs", exact=True).click()
    for run_id in run_ids:
        expect(page.get_by_role("row").filter(has_text=run_id)).to_contain_text("Success")


def test_a_date_in_the_future_is_refused_where_the_user_sees_it(
    stack: RunningStack, new_page: NewPage
) -> None:
    future = business_today() + 2 * DAY
    before = stack.account_data()
    page = new_page()
    ui = AirflowUi(page, stack)
    ui.enter("user")
    ui.go_home()
    ui.open_dag()
    form = ui.open_trigger_form()
    ui.fill_business_date(form, future)
    run_id = ui.trigger(form)
    expect_tasks(page, begin="Failed", refresh="Upstream Failed", report="Failed")
    page.get_by_role("link", name="begin", exact=True).last.click()
    expect(page.get_by_text(f"business_date = '{future}': lies in the future").first).to_be_visible()

    assert stack.wait_for_run(run_id) == "failed"
    record = stack.record(run_id)
    assert record["status"] == "failed"
    assert "lies in the future" in record["message"]
    mail = stack.summary(record)
    assert mail["recipients"] == ["user@example.com"]
    assert "FALHOU" in mail["subject"]
    assert "lies in the future" in mail["text"]
    assert stack.account_data() == before
