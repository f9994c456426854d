"""The screen of the routines, over Airflow's own API and a real database."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

import psycopg
import pytest
from airflow.models import DagModel, DagRun
from airflow.utils.session import create_session
from sqlalchemy import select

from rotina.console import previews
from rotina.integration.settings import save_integration_settings
from rotina.runs.agenda import load_agenda
from rotina.runs.business_date import today_in
from rotina.runs.record import Outcome, close_run, record_step
from tests.console.conftest import ConsoleClient, OpenConsole
from tests.runs_by_hand import open_run

ZONE = load_agenda().entry("class_transition").zone
TODAY = today_in(ZONE)
TOMORROW = (TODAY + dt.timedelta(days=1)).isoformat()
REQUESTS = "/rotina/routines/class_transition/requests"


def dag_runs() -> list[DagRun]:
    with create_session() as session:
        return list(session.scalars(select(DagRun).order_by(DagRun.id)))


def add_run(
    connection: psycopg.Connection, on: dt.date, status: str, routine: str = "class_transition", **counts: int
) -> int:
    """A run that ended."""
    run = open_run(connection, on, routine=routine, program="crm251", asked_by="ana")
    numbers = dict.fromkeys(("changed", "unchanged", "skipped", "failed"), 0) | counts
    record_step(connection, run.id, "move", Outcome(selected=sum(numbers.values()), **numbers))
    close_run(connection, run.id, status, "o motivo" if status == "failed" else None)
    return run.id


def row(page: str, routine: str) -> str:
    (found,) = re.findall(rf'<tr data-routine="{routine}">.*?</tr>', page, re.DOTALL)
    return str(found)


def text(html: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


def ask(client: ConsoleClient, **body: Any) -> Any:
    return client.post_json(REQUESTS, body)


# -- the table ----------------------------------------------------------------------------------------------


def test_every_program_is_there_with_its_schedule_and_next_run(open_console: OpenConsole) -> None:
    page = open_console("viewer").get("/rotina/routines").text
    for entry in load_agenda().programs:
        shown = text(row(page, entry.routine))
        assert entry.program in shown
        assert "next: " in shown
        assert "never ran" in shown
    shown = text(row(open_console("viewer", "pt-BR").get("/rotina/routines").text, "class_transition"))
    assert "Transição de classes" in shown
    assert "Todos os dias às 04:20" in shown
    assert re.search(r"próxima: \d\d/\d\d/\d{4} 04:20", shown)


def test_the_last_run_is_told_with_its_equation(
    open_console: OpenConsole, connection: psycopg.Connection
) -> None:
    add_run(connection, TODAY - dt.timedelta(1), "succeeded", changed=1)
    run_id = add_run(connection, TODAY, "failed", changed=1200, unchanged=30, skipped=4, failed=1)
    shown = row(open_console("viewer").get("/rotina/routines").text, "class_transition")
    assert "1,235 selected = 1,200 changed + 30 unchanged + 4 skipped + 1 failed" in text(shown)
    assert "o motivo" in shown
    assert f'/rotina/runs/{run_id}"' in shown


def test_the_bar_has_a_day_for_each_of_thirty(
    open_console: OpenConsole, connection: psycopg.Connection
) -> None:
    def ago(days: int) -> dt.date:
        return TODAY - dt.timedelta(days=days)

    add_run(connection, ago(30), "failed")  # before the bar begins
    add_run(connection, ago(29), "succeeded")
    add_run(connection, ago(2), "failed")
    add_run(connection, ago(1), "failed")
    add_run(connection, ago(1), "succeeded")  # it was made up
    add_run(connection, ago(0), "skipped")
    page = open_console("viewer").get("/rotina/routines").text
    shown = row(page, "class_transition")
    states = re.findall(r'<a class="(\w+)" title="([^"]+)"', shown)
    assert [state for state, _ in states] == ["good", "bad", "odd", "off"]
    assert states[2][1].endswith("2 runs, 1 failed")
    assert len(re.findall(r'<(?:a class="\w+"|span) title="', shown)) == 30
    assert f"from_on={ago(1)}&amp;to_on={ago(1)}" in shown


def test_a_paused_routine_says_so(open_console: OpenConsole) -> None:
    with create_session() as session:
        session.get(DagModel, "birthday_emails").is_paused = True
    try:
        page = open_console("viewer").get("/rotina/routines").text
    finally:
        with create_session() as session:
            session.get(DagModel, "birthday_emails").is_paused = False
    assert "paused in Airflow" in row(page, "birthday_emails")
    assert "paused in Airflow" not in row(page, "class_transition")


def test_when_airflow_refuses_the_rest_is_shown(
    open_console: OpenConsole, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.api_fastapi.app import get_auth_manager

    add_run(connection, TODAY, "succeeded", changed=7)
    client = open_console("viewer")
    monkeypatch.setattr(
        type(get_auth_manager()), "is_authorized_dag", lambda *_, details=None, **__: details is None
    )
    page = client.get("/rotina/routines")
    assert page.status_code == 200
    assert "Airflow does not tell when the routines run next" in page.text
    assert "7 changed" in text(row(page.text, "class_transition"))


def test_a_viewer_is_offered_no_runs(open_console: OpenConsole) -> None:
    assert 'data-ask="now"' not in open_console("viewer").get("/rotina/routines").text
    assert open_console("user").get("/rotina/routines").text.count('data-ask="now"') == len(
        load_agenda().programs
    )


# -- requests -----------------------------------------------------------------------------------------------


def test_a_run_is_asked_for_now(open_console: OpenConsole, owner: psycopg.Connection) -> None:
    before = dt.datetime.now(dt.UTC).replace(microsecond=0)
    reply = ask(open_console("user"), params={"dry_run": True}, business_date=TODAY.isoformat())
    assert reply.json()["message"] == "Class transition was asked for and begins now."
    (run,) = dag_runs()
    assert run.run_id == reply.json()["dag_run_id"]
    assert (run.triggering_user_name, run.logical_date, run.state) == ("user", None, "queued")
    assert before <= run.run_after <= dt.datetime.now(dt.UTC)
    assert run.conf == {"dry_run": True, "business_date": TODAY.isoformat()}
    entry = owner.execute("select login, action, target, details from crm.audit_entry").fetchall()
    assert entry == [
        (
            "user",
            "ask_for_run",
            {"routine": "class_transition"},
            {"conf": {"dry_run": True, "business_date": TODAY.isoformat()}, "due_at": None},
        )
    ]


def test_a_run_for_later_waits_is_listed_and_can_be_cancelled(open_console: OpenConsole) -> None:
    client = open_console("user", "pt-BR")
    reply = ask(client, date=TOMORROW, hour="09:30", params={"dry_run": True}, business_date=TOMORROW)
    assert re.fullmatch(
        r"Transição de classes está marcada para \d\d/\d\d/\d{4} 09:30.", reply.json()["message"]
    )
    (run,) = dag_runs()
    assert run.run_after.astimezone(ZONE).strftime("%Y-%m-%d %H:%M") == f"{TOMORROW} 09:30"

    waiting = text(client.get("/rotina/routines").text.partition('id="waiting"')[2])
    assert "Transição de classes" in waiting
    assert f"business_date {TOMORROW}" in waiting
    assert "user" in waiting

    cancelled = client.post_json(f"{REQUESTS}/{run.run_id}/cancel")
    assert cancelled.json() == {"message": "O pedido foi cancelado."}
    assert dag_runs() == []
    assert "Ninguém pediu" in client.get("/rotina/routines").text
    assert client.post_json(f"{REQUESTS}/{run.run_id}/cancel").status_code == 404


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"date": "2020-01-01", "hour": "09:30"}, "is past"),
        ({"date": TODAY.isoformat(), "hour": "00:00"}, "is past"),
        ({"date": TOMORROW}, "give both a date and an hour"),
        ({"hour": "09:30"}, "give both a date and an hour"),
        ({"business_date": TOMORROW}, "will not have begun"),
        ({"queue": "nowhere"}, "not among the queues"),
        ({"params": {"dry_run": "x"}}, "dry_run"),
        ({"params": {"wait_minutes": -1}}, "wait_minutes"),
        ({"date": "tomorrow", "hour": "09:30"}, "date"),
        ({"nonsense": 1}, "nonsense"),
    ],
)
def test_a_wrong_request_is_refused_in_words_and_nothing_is_made(
    open_console: OpenConsole, owner: psycopg.Connection, body: dict[str, Any], words: str
) -> None:
    reply = ask(open_console("admin"), **body)
    assert reply.status_code in (400, 422)
    assert words in reply.json()["detail"]
    assert dag_runs() == []
    assert owner.execute("select from crm.audit_entry").fetchall() == []


def test_what_has_begun_cannot_be_cancelled(open_console: OpenConsole) -> None:
    client = open_console("user")
    run_id = ask(client, params={}).json()["dag_run_id"]
    reply = client.post_json(f"{REQUESTS}/{run_id}/cancel")
    assert (reply.status_code, len(dag_runs())) == (422, 1)
    assert "has begun" in reply.json()["detail"]


def test_airflow_says_who_may_ask(open_console: OpenConsole, monkeypatch: pytest.MonkeyPatch) -> None:
    """Our gate lets this user in; what Airflow allows them for this DAG is decided by Airflow."""
    from airflow.api_fastapi.app import get_auth_manager

    client = open_console("user")
    client.get("/rotina/routines")

    def only_reads(*_: Any, method: str, details: Any = None, **__: Any) -> bool:
        return details is None or method == "GET"

    monkeypatch.setattr(type(get_auth_manager()), "is_authorized_dag", only_reads)
    reply = ask(client, params={})
    assert reply.status_code == 403
    assert dag_runs() == []


# -- forms and previews -------------------------------------------------------------------------------------


def test_the_form_asks_for_the_params_of_the_dag(open_console: OpenConsole) -> None:
    client = open_console("user", "pt")
    form = client.get("/rotina/routines/birthday_emails/form?mode=later").text
    assert '<label class="form-label required" for="ask-date">Data</label>' in form
    assert "Nascidos em 29 de fevereiro" in form
    assert '<option value="february_28" selected>em 28 de fevereiro</option>' in form
    assert 'data-param="days_late" data-kind="integer"' in form
    assert 'value="aniversario"' in form
    assert 'name="queue"' not in form
    now = client.get("/rotina/routines/queue_dispatch/form?mode=now").text
    assert "ask-date" not in now
    assert "business_date" not in now  # it works off what there is
    assert client.get("/rotina/routines/nothing/form").status_code == 404


def test_a_preview_tells_what_would_be_done_and_does_nothing(
    open_console: OpenConsole, connection: psycopg.Connection, owner: psycopg.Connection
) -> None:
    save_integration_settings(connection, "erp", {"months_inactive": 6}, True, "ana")
    owner.execute("insert into crm.account (kind, name, status) values ('person', 'Ana', 'active')")
    reply = open_console("viewer").post_json("/rotina/routines/account_status_update/preview", {})
    assert reply.status_code == 200, reply.text
    shown = text(reply.text)
    assert "1 selected = 0 changed + 0 unchanged + 1 skipped + 0 failed" in shown
    assert "1 record. Nothing was changed." in shown
    assert "Dry run: would change its status" in shown
    for table in ("run", "run_item", "account_status_change"):
        assert owner.execute(f"select from crm.{table}").rowcount == 0  # type: ignore[arg-type]


def test_every_preview_is_of_a_routine_of_the_agenda() -> None:
    assert previews.PREVIEWS.keys() <= {entry.routine for entry in load_agenda().programs}


def test_a_preview_with_a_wrong_setting_says_which(open_console: OpenConsole) -> None:
    client = open_console("viewer")
    reply = client.post_json("/rotina/routines/birthday_emails/preview", {"params": {"template": "nenhum"}})
    assert reply.status_code == 422
    assert "nenhum" in reply.json()["detail"] or "unsubscribe" in reply.json()["detail"]
    none = client.post_json("/rotina/routines/message_archive/preview", {})
    assert (none.status_code, "has no preview" in none.json()["detail"]) == (422, True)
