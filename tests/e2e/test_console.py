"""The console inside the real Airflow, in a real browser: found, used, in both languages and both themes."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import expect

from rotina.local.stack import business_today
from rotina.runs.agenda import load_agenda
from tests.e2e.airflow_ui import AirflowUi
from tests.e2e.running_stack import RunningStack
from tests.e2e.test_account_data_refresh_ui import NewPage, Screenshot

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("e2e"), pytest.mark.timeout(900)]

ROUTINE = "class_transition"
MISSED = "account_status_update"
DAY = dt.timedelta(days=1)
TOMORROW = business_today() + dt.timedelta(days=1)


@pytest.fixture
def no_requests(stack: RunningStack) -> Iterator[None]:
    """Takes back what a test that failed asked for."""
    yield
    for run in queued(stack):
        if run["dag_run_id"].startswith("asked__"):
            stack.call("admin", "DELETE", f"/dags/{ROUTINE}/dagRuns/{run['dag_run_id']}")


def queued(stack: RunningStack) -> list[dict[str, Any]]:
    """The runs that wait for their hour."""
    return [run for run in stack.dag_runs("manual", ROUTINE) if run["state"] == "queued"]


def row(routine: str = ROUTINE) -> str:
    return f'tr[data-routine="{routine}"]'


def test_a_run_is_scheduled_for_tomorrow_and_cancelled(
    stack: RunningStack, new_page: NewPage, screenshot: Screenshot, no_requests: None
) -> None:
    page = new_page()
    ui = AirflowUi(page, stack)
    ui.enter("user")
    clicks = ui.go_home()
    console = ui.open_console()
    expect(console.locator("tr[data-routine]")).to_have_count(len(load_agenda().programs))
    routine = console.locator(row())
    expect(routine).to_contain_text("Every day at 04:20")
    expect(routine).to_contain_text("selected")
    screenshot(page, "console-routines")

    routine.get_by_role("button", name="Schedule…").click()
    console.get_by_label("Date", exact=True).fill(TOMORROW.isoformat())
    console.get_by_label("Hour").fill("09:30")
    console.get_by_label("Hour").press("Tab")
    screenshot(page, "console-schedule")
    console.get_by_role("button", name="Schedule", exact=True).click()
    expect(console.get_by_role("status")).to_contain_text("09:30")
    (asked,) = queued(stack)
    assert asked["triggering_user_name"] == "user"
    due = dt.datetime.fromisoformat(asked["run_after"]).astimezone(dt.timezone(dt.timedelta(hours=-3)))
    assert f"{due:%Y-%m-%d %H:%M}" == f"{TOMORROW} 09:30"

    waiting = console.locator("#waiting tbody tr", has_text="Class transition")
    expect(waiting).to_have_count(1)
    expect(waiting).to_contain_text("its hour")
    waiting.get_by_role("button", name="Cancel").click()
    expect(console.get_by_role("status")).to_contain_text("The request was cancelled.")
    assert len(clicks) <= 4
    assert queued(stack) == []
    actions = stack.rows("select login, action from crm.audit_entry order by id desc limit 2")
    assert [tuple(one.values()) for one in actions] == [("user", "cancel_run"), ("user", "ask_for_run")]

    console.get_by_role("button", name="Ask for it again").click()
    expect(waiting).to_have_count(1)
    (again,) = queued(stack)
    assert (again["run_after"], again["conf"]) == (asked["run_after"], asked["conf"])


def test_an_hour_that_is_past_is_refused_where_it_was_typed(stack: RunningStack, new_page: NewPage) -> None:
    page = new_page()
    ui = AirflowUi(page, stack)
    ui.enter("user")
    ui.go_home()
    console = ui.open_console()
    console.locator(row()).get_by_role("button", name="Schedule…").click()
    console.get_by_label("Date", exact=True).fill(business_today().isoformat())
    console.get_by_label("Hour").fill("00:00")
    console.get_by_role("button", name="Schedule", exact=True).click()
    expect(console.get_by_role("alert")).to_contain_text("is past")
    assert queued(stack) == []


def test_three_missed_days_are_made_up(
    stack: RunningStack, new_page: NewPage, screenshot: Screenshot
) -> None:
    days = [business_today() - number * DAY for number in (3, 2, 1)]
    stack.execute(
        "insert into crm.run"
        " (routine, program, business_date, run_type, dag_run_id, attempt, status, started_at)"
        f" values ('{MISSED}', 'crm1003', '{days[0] - DAY}', 'scheduled', 'long_ago', 1, 'succeeded',"
        f" '{days[0] - DAY} 12:00')"
    )
    page = new_page()
    ui = AirflowUi(page, stack)
    ui.enter("user")
    clicks = ui.go_home()
    console = ui.open_console()
    console.locator(row(MISSED)).get_by_role("button", name="3 days missed…").click()
    dialog = console.get_by_role("dialog")
    expect(dialog.get_by_role("row")).to_have_count(4)
    screenshot(page, "console-missed-days")
    dialog.get_by_role("button", name="Run the days").click()
    expect(console.get_by_role("status")).to_contain_text("3 days run now, one after the other")
    assert len(clicks) <= 4

    runs = [run["dag_run_id"] for run in stack.dag_runs("backfill", MISSED)]
    assert [stack.wait_for_run(run, MISSED) for run in runs] == ["success"] * 3
    stack.end_backfills(MISSED)
    records = [stack.record(run) for run in runs]
    assert sorted(record["business_date"] for record in records) == days
    assert {(one["run_type"], one["asked_by"], one["status"]) for one in records} == {
        ("backfill", "user", "succeeded")
    }
    page.reload()
    expect(console.locator(row(MISSED)).get_by_role("button", name="Run days again…")).to_be_visible()


def test_a_preview_says_who_would_move_and_why(
    stack: RunningStack, new_page: NewPage, screenshot: Screenshot
) -> None:
    page = new_page()
    ui = AirflowUi(page, stack)
    ui.enter("viewer")
    ui.go_home()
    console = ui.open_console()
    routine = console.locator(row())
    expect(routine.get_by_role("button", name="Run now")).to_have_count(0)
    routine.get_by_role("button", name="Preview").click()
    console.get_by_role("button", name="Show the preview").click()
    expect(console.get_by_text("Nothing was changed.")).to_be_visible()
    screenshot(page, "console-preview")


def test_what_failed_and_why_is_two_clicks_away_and_so_is_airflow(
    stack: RunningStack, new_page: NewPage, screenshot: Screenshot
) -> None:
    (failed,) = stack.rows(
        "select * from crm.run where routine = 'billing_messages' and failed > 0 order by id desc limit 1"
    )
    page = new_page()
    ui = AirflowUi(page, stack)
    ui.enter("viewer")
    clicks = ui.go_home()
    console = ui.open_console()
    console.locator(row("billing_messages")).get_by_role("link", name="Succeeded").first.click()
    expect(console.get_by_role("heading", name="Billing messages")).to_be_visible()
    expect(console.get_by_text("Invalid phone number").first).to_be_visible()
    assert len(clicks) <= 4
    screenshot(page, "console-run")
    with page.expect_download() as download:
        console.get_by_role("link", name="Export").click()
    assert "invalid_phone" in download.value.path().read_text(encoding="utf-8-sig")

    # Airflow's own page of the run has it as a tab, and leads back here.
    console.get_by_role("link", name="In Airflow").click()
    page.wait_for_url(re.compile("/dags/billing_messages/runs/"))
    page.goto(f"{stack.settings.airflow_url}/dags/billing_messages/runs/{failed['dag_run_id']}")
    page.get_by_role("link", name="Rotina", exact=True).last.click()
    tab = page.frame_locator('iframe[title="Rotina"]')
    expect(tab.get_by_text("Invalid phone number").first).to_be_visible()
    expect(tab.get_by_role("link", name="Routines")).to_have_count(0)
    screenshot(page, "console-tab")
    tab.get_by_role("link", name="In the console").click()
    page.wait_for_url(re.compile(f"/plugin/rotina/rotina/runs/{failed['id']}"))


def test_it_speaks_portuguese_and_follows_the_theme(
    stack: RunningStack, new_page: NewPage, screenshot: Screenshot
) -> None:
    page = new_page(locale="pt-BR")
    AirflowUi(page, stack).enter("viewer")
    page.goto(f"{stack.settings.airflow_url}/plugin/rotina")
    console = page.frame_locator('iframe[title="Rotina"]')
    expect(console.get_by_role("heading", name="Rotinas")).to_be_visible()
    expect(console.locator(row())).to_contain_text("Todos os dias às 04:20")
    root = console.locator("html")
    expect(root).to_have_attribute("data-bs-theme", "light")
    page.evaluate("document.documentElement.classList.replace('light', 'dark')")
    expect(root).to_have_attribute("data-bs-theme", "dark")
    screenshot(page, "console-pt-dark")
    foreign = page.evaluate("performance.getEntriesByType('resource').map(one => new URL(one.name).host)")
    assert set(foreign) == {stack.settings.airflow_url.partition("//")[2]}


def test_without_a_login_there_is_nothing_to_see(stack: RunningStack, new_page: NewPage) -> None:
    page = new_page(locale="pt-BR")
    reply = page.goto(f"{stack.settings.airflow_url}/rotina/routines")
    assert reply is not None
    assert reply.status == 401
    expect(page.get_by_text("Você não entrou no Airflow")).to_be_visible()
