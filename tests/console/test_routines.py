"""The screen of the routines, over Airflow's own API and a real database."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from airflow.models import DagModel, DagRun, TaskInstance
from airflow.models.backfill import Backfill
from airflow.utils.session import create_session
from sqlalchemy import select, update

from rotina.console import previews
from rotina.console.airflow import Airflow, AirflowError
from rotina.console.execution_requests import check_days
from rotina.console.language import set_locale
from rotina.errors import SettingError
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


def waiting(client: ConsoleClient) -> str:
    """The list of the runs that wait."""
    return text(client.get("/rotina/routines").text.partition('id="waiting"')[2])


def set_running(*, but: str | None = None) -> None:
    """Airflow begins all runs that wait, but for one."""
    with create_session() as session:
        session.execute(update(DagRun).where(DagRun.run_id != (but or "")).values(state="running"))


@contextmanager
def paused(routine: str) -> Iterator[None]:
    """Meanwhile the routine is paused in Airflow."""
    _set_paused(routine, True)
    try:
        yield
    finally:
        _set_paused(routine, False)


def _set_paused(routine: str, value: bool) -> None:
    with create_session() as session:
        session.execute(update(DagModel).where(DagModel.dag_id == routine).values(is_paused=value))


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
    assert re.search(r"próxima: (hoje|amanhã) 04:20", shown)


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
    with paused("birthday_emails"):
        page = open_console("viewer").get("/rotina/routines").text
    assert "paused in Airflow" in row(page, "birthday_emails")
    assert "paused in Airflow" not in row(page, "class_transition")


def test_when_airflow_refuses_the_rest_is_shown(
    open_console: OpenConsole, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise AirflowError(403, "Forbidden")

    add_run(connection, TODAY, "succeeded", changed=7)
    client = open_console("viewer")
    monkeypatch.setattr(Airflow, "_call", refuse)
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

    shown = waiting(client)
    assert "Transição de classes a sua hora" in shown
    assert f"business_date {TOMORROW}" in shown
    assert "user" in shown

    cancelled = client.post_json(f"{REQUESTS}/{run.run_id}/cancel")
    assert cancelled.json()["message"] == "O pedido foi cancelado."
    assert dag_runs() == []
    assert "Nenhuma execução está em espera." in waiting(client)
    assert client.post_json(f"{REQUESTS}/{run.run_id}/cancel").status_code == 404
    undo = cancelled.json()["undo"]
    assert undo["label"] == "Pedir de novo"
    assert client.post_json(undo["url"], undo["body"]).status_code == 200
    (again,) = dag_runs()
    assert (again.run_after, again.conf) == (run.run_after, run.conf)


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
        ({"params": {"business_date": "2030-01-01"}}, "business_date: is not among the params"),
        ({"params": {"queue": "nowhere"}}, "queue: is not among the params"),
        ({"date": TOMORROW, "hour": "10:00", "params": {"business_date": "2030-01-01"}}, "business_date"),
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


def test_a_run_that_is_due_waits_until_airflow_begins_it(open_console: OpenConsole) -> None:
    """It is listed with what it waits for, and can be cancelled and asked for anew."""
    client = open_console("user")
    run_id = ask(client, params={"dry_run": True}).json()["dag_run_id"]
    assert "Airflow, which begins it in a moment" in waiting(client)
    for _ in range(4):
        ask(client)
    set_running(but=run_id)
    assert "room: 4 runs are at work" in waiting(client)
    told = ask(client).json()["message"]
    assert told == "Class transition was asked for. It waits for room: 4 runs are at work."
    cancelled = client.post_json(f"{REQUESTS}/{run_id}/cancel")
    assert cancelled.status_code == 200
    assert run_id not in [run.run_id for run in dag_runs()]
    undo = cancelled.json()["undo"]
    assert client.post_json(undo["url"], undo["body"]).status_code == 200
    assert dag_runs()[-1].conf == {"dry_run": True}


def test_what_has_begun_cannot_be_cancelled(open_console: OpenConsole) -> None:
    client = open_console("user")
    run_id = ask(client).json()["dag_run_id"]
    set_running()
    assert "No run waits." in waiting(client)
    reply = client.post_json(f"{REQUESTS}/{run_id}/cancel")
    assert (reply.status_code, len(dag_runs())) == (422, 1)
    assert "has begun" in reply.json()["detail"]


def test_a_run_of_a_paused_routine_waits_and_it_is_said(open_console: OpenConsole) -> None:
    client = open_console("user", "pt")
    with paused("class_transition"):
        form = client.get("/rotina/routines/class_transition/form?mode=now").text
        assert "A rotina está pausada no Airflow: a execução espera" in form
        assert "pausada" not in client.get("/rotina/routines/class_transition/form?mode=preview").text
        answer = ask(client).json()
        assert answer["message"] == (
            "Transição de classes foi pedida. "
            "Ela está pausada no Airflow: a execução espera até alguém a reativar."
        )
        assert "a rotina está pausada no Airflow" in waiting(client)
        assert client.post_json(f"{REQUESTS}/{answer['dag_run_id']}/cancel").status_code == 200
    assert "pausada" not in client.get("/rotina/routines/class_transition/form?mode=now").text


def test_a_backfill_is_neither_listed_nor_cancelled_by_the_day(open_console: OpenConsole) -> None:
    client = open_console("user")
    client.post_json(BACKFILLS, {"first_on": str(ago(3)), "last_on": str(ago(2))})
    first, _second = dag_runs()
    assert "No run waits." in waiting(client)
    reply = client.post_json(f"{REQUESTS}/{first.run_id}/cancel")
    assert (reply.status_code, len(dag_runs())) == (422, 2)
    assert "is a day of a backfill" in reply.json()["detail"]


@pytest.mark.parametrize("conf", [{"queue": 5}, {"business_date": "never"}, {"business_date": {}}])
def test_what_the_form_could_not_ask_for_is_cancelled_without_an_undo(
    open_console: OpenConsole, conf: dict[str, Any]
) -> None:
    client = open_console("user")
    run_id = ask(client, date=TOMORROW, hour="09:30").json()["dag_run_id"]
    with create_session() as session:  # as somebody may ask Airflow itself
        session.execute(update(DagRun).values(conf=conf))
    reply = client.post_json(f"{REQUESTS}/{run_id}/cancel")
    assert reply.json() == {"message": "The request was cancelled."}
    assert dag_runs() == []


def test_requests_for_later_leave_the_schedule_a_place(open_console: OpenConsole) -> None:
    client = open_console("user")
    for hour in ("09:30", "10:30"):
        assert ask(client, date=TOMORROW, hour=hour).status_code == 200
    first = dag_runs()[0].run_id
    set_running(but=first)
    assert ask(client, date=TOMORROW, hour="11:30").status_code == 200
    for role, locale, words in (
        (
            "user",
            "en",
            r"would leave the schedule no room: Airflow takes 4 .* the one at work, due on .* 10:30 \(user\)",
        ),
        ("op", "pt", r"deixaria a agenda sem vaga: .* a marcada para .* 09:30 \(user\), a em andamento"),
    ):
        refused = ask(open_console(role, locale), date=TOMORROW, hour="12:30")
        assert refused.status_code == 422
        assert re.search(words, refused.json()["detail"])
        assert len(dag_runs()) == 3
    assert "no room" not in client.get("/rotina/routines").text
    assert ask(client).status_code == 200  # now: it will be over soon
    shown = client.get("/rotina/routines").text
    assert "no room for the schedule: 4 runs wait or work" in row(shown, "class_transition")
    assert shown.count("no room") == 1
    client.post_json(f"{REQUESTS}/{first}/cancel")
    assert "no room" not in client.get("/rotina/routines").text


def test_a_routine_without_a_schedule_needs_no_place(
    open_console: OpenConsole, monkeypatch: pytest.MonkeyPatch
) -> None:
    agenda = load_agenda()
    off = tuple(entry.model_copy(update={"active": False}) for entry in agenda.programs)
    monkeypatch.setattr(
        "rotina.console.screens.routines.load_agenda", lambda: agenda.model_copy(update={"programs": off})
    )
    client = open_console("user")
    assert {ask(client, date=TOMORROW, hour="09:30").status_code for _ in range(5)} == {200}


def test_the_days_of_a_backfill_take_no_place(open_console: OpenConsole) -> None:
    client = open_console("user")
    days = {"first_on": str(ago(6)), "last_on": str(ago(2))}
    assert client.post_json(BACKFILLS, days).status_code == 200
    assert len(dag_runs()) == 5
    assert ask(client, date=TOMORROW, hour="09:30").status_code == 200
    assert "no room" not in client.get("/rotina/routines").text


def test_a_routine_of_another_zone_is_told_in_it(
    open_console: OpenConsole, monkeypatch: pytest.MonkeyPatch
) -> None:
    agenda = load_agenda()
    moved = tuple(
        entry.model_copy(update={"timezone": "America/Manaus"}) if entry.program == "crm251" else entry
        for entry in agenda.programs
    )
    monkeypatch.setattr(
        "rotina.console.screens.routines.load_agenda", lambda: agenda.model_copy(update={"programs": moved})
    )
    client = open_console("user", "pt-BR")
    told = ask(client, date=TOMORROW, hour="09:30").json()["message"]
    assert told.endswith(" 09:30 (America/Manaus).")
    assert " 09:30 (America/Manaus) Transição de classes" in waiting(client)
    page = client.get("/rotina/routines").text
    shown = text(row(page, "class_transition"))
    assert "Todos os dias às 04:20 (America/Manaus)" in shown
    assert re.search(r"próxima: (hoje|amanhã) 03:20 \(America/Manaus\)", shown)  # Airflow has the true agenda
    assert "America" not in row(page, "birthday_emails")
    url = "/rotina/routines/{}/form?mode=later"
    assert "Os horários são os de America/Manaus." in client.get(url.format("class_transition")).text
    assert "America" not in client.get(url.format("birthday_emails")).text


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
    assert "Nascidos em 29 de fevereiro, nos outros anos" in form
    assert '<option value="february_28" selected>cumprimentados em 28 de fevereiro</option>' in form
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


def test_a_preview_of_an_erp_that_is_being_loaded_says_so(
    open_console: OpenConsole, owner: psycopg.Connection
) -> None:
    save_integration_settings(owner, "erp", {"months_inactive": 6}, True, "ana")
    owner.execute(
        "insert into crm.account (kind, name, status, erp_customer_id) values ('person', 'Ana', 'active', 1)"
    )
    reply = open_console("viewer", "pt-BR").post_json("/rotina/routines/account_status_update/preview", {})
    assert (reply.status_code, "uma carga está em andamento" in reply.json()["detail"]) == (503, True)


def test_every_preview_is_of_a_routine_of_the_agenda() -> None:
    assert previews.PREVIEWS.keys() <= {entry.routine for entry in load_agenda().programs}


def test_a_preview_with_a_wrong_setting_says_which(open_console: OpenConsole) -> None:
    client = open_console("viewer")
    reply = client.post_json("/rotina/routines/birthday_emails/preview", {"params": {"template": "nenhum"}})
    assert reply.status_code == 422
    assert "nenhum" in reply.json()["detail"] or "unsubscribe" in reply.json()["detail"]
    none = client.post_json("/rotina/routines/message_archive/preview", {})
    assert (none.status_code, "has no preview" in none.json()["detail"]) == (422, True)


@pytest.mark.parametrize(
    ("routine", "params", "words"),
    [
        ("birthday_emails", {"subject": 5}, "subject = 5: must be a text"),
        ("birthday_emails", {"template": {"a": 1}}, "template = {'a': 1}: must be a text"),
        ("birthday_emails", {"template": None}, "template: must not be empty"),
        ("birthday_emails", {"gateway": 7}, "gateway = 7: must be a text"),
        ("birthday_emails", {"leap_day_rule": "x"}, "leap_day_rule = 'x': is not among the choices"),
        ("birthday_emails", {"days_late": True}, "days_late = True: must be a whole number"),
        ("birthday_emails", {"days_late": 32}, "days_late = 32: must be at most 31"),
        ("birthday_emails", {"template": "a\0b"}, "the character NUL"),
        ("billing_messages", {"x\0": "b"}, "the character NUL"),
        ("billing_messages", {"x": "b"}, "x: is not among the params of this routine"),
        ("billing_messages", {"dry_run": "yes"}, "dry_run = 'yes': must be true or false"),
        ("class_transition", {"audience": 3}, "audience = 3: must be a text"),
        ("class_transition", {"wait_minutes": -1}, "wait_minutes = -1: must be at least 0"),
        ("inactivity_monitor", {"profile": {"a": 1}}, "profile = {'a': 1}: must be a text"),
        ("account_status_update", {"business_date": "2020-01-01"}, "business_date: is not among the params"),
    ],
)
def test_a_preview_with_a_wrong_param_says_which(
    open_console: OpenConsole, routine: str, params: dict[str, Any], words: str
) -> None:
    reply = open_console("user").post_json(f"/rotina/routines/{routine}/preview", {"params": params})
    assert reply.status_code == 422
    assert words in reply.json()["detail"]


def test_what_is_written_like_nul_is_a_text(open_console: OpenConsole) -> None:
    params = {"template": r"a\u0000"}
    reply = open_console("user").post_json("/rotina/routines/birthday_emails/preview", {"params": params})
    assert "NUL" not in reply.json()["detail"]


def test_a_subject_which_is_executed_is_for_those_who_may_ask_for_a_run(open_console: OpenConsole) -> None:
    url = "/rotina/routines/birthday_emails"
    asked = {"params": {"subject": "{{ name }}"}}
    refused = open_console("viewer", "pt-BR").post_json(f"{url}/preview", asked)
    assert refused.status_code == 403
    assert refused.json()["detail"] == "Seu perfil no Airflow não permite isso."
    assert open_console("user").post_json(f"{url}/preview", asked).status_code != 403
    assert open_console("viewer").post_json(f"{url}/preview", {"params": {"subject": ""}}).status_code != 403
    for role, offered in (("viewer", False), ("user", True)):
        form = open_console(role).get(f"{url}/form?mode=preview").text
        assert ('data-param="subject"' in form) is offered
        assert 'data-param="template"' in form


def test_the_tasks_of_a_run_go_to_the_queue_that_was_asked_for(
    open_console: OpenConsole, monkeypatch: pytest.MonkeyPatch
) -> None:
    agenda = load_agenda().model_copy(update={"queues": ("night",)})
    for module in ("rotina.console.screens.routines", "rotina.runs.queues"):
        monkeypatch.setattr(f"{module}.load_agenda", lambda: agenda)
    client = open_console("user")
    form = client.get("/rotina/routines/class_transition/form").text
    assert "<option>night</option>" in form
    assert ask(client, queue="night").status_code == 200
    (run,) = dag_runs()
    with create_session() as session:
        queues = session.scalars(select(TaskInstance.queue).where(TaskInstance.run_id == run.run_id)).all()
    assert set(queues) == {"night"}


# -- missed days --------------------------------------------------------------------------------------------

BACKFILLS = "/rotina/routines/class_transition/backfills"


def ago(days: int) -> dt.date:
    return TODAY - dt.timedelta(days=days)


def backfills() -> list[tuple[dt.date, dt.date, dict[str, Any]]]:
    with create_session() as session:
        found = session.scalars(select(Backfill).order_by(Backfill.id))
        return [(one.from_date.date(), one.to_date.date(), one.dag_run_conf or {}) for one in found]


def began_long_ago(connection: psycopg.Connection) -> None:
    """A routine that never ran misses nothing."""
    run_id = add_run(connection, ago(5), "succeeded", changed=1)
    connection.execute(
        "update crm.run set started_at = started_at - interval '5 days' where id = %s", [run_id]
    )


def test_missed_days_are_shown_and_listed_in_the_dialog(
    open_console: OpenConsole, connection: psycopg.Connection
) -> None:
    client = open_console("user")
    shown = row(client.get("/rotina/routines").text, "class_transition")
    assert "missed…" not in shown
    assert "Run days again…" in shown
    began_long_ago(connection)
    add_run(connection, ago(3), "failed")
    add_run(connection, ago(1), "succeeded", changed=1)
    shown = row(client.get("/rotina/routines").text, "class_transition")
    days = re.findall(r'<span class="missed" title="[^"]+: missed">', shown)
    number = int(re.search(r"(\d+) days missed…", text(shown))[1])  # type: ignore[index]
    assert len(days) + 1 == number  # one of them failed
    assert number in (3, 4)  # today counts from the hour of the routine on
    form = client.get("/rotina/routines/class_transition/form?mode=missed").text
    assert "failed: o motivo" in text(form)
    assert re.search(rf'name="first_on" required value="{ago(4)}"', form)
    assert re.search(rf'name="last_on" required value="{ago(2) if number == 3 else TODAY}"', form)
    assert "business_date" not in form
    shown = row(open_console("viewer", "pt-BR").get("/rotina/routines").text, "class_transition")
    assert f"{number} dias perdidos" in text(shown)
    assert "data-ask" not in re.search(r"dias perdidos.*", shown, re.DOTALL)[0].partition("</td>")[0]  # type: ignore[index]


def test_a_routine_without_business_dates_has_no_missed_days(open_console: OpenConsole) -> None:
    client = open_console("user")
    assert "Run days again" not in row(client.get("/rotina/routines").text, "queue_dispatch")
    body = {"first_on": str(ago(3)), "last_on": str(ago(2))}
    assert client.post_json("/rotina/routines/queue_dispatch/backfills", body).status_code == 404
    assert backfills() == []


def test_missed_days_are_asked_of_airflow_as_one_backfill(
    open_console: OpenConsole, connection: psycopg.Connection
) -> None:
    client = open_console("user")
    body = {"first_on": str(ago(4)), "last_on": str(ago(2)), "params": {"dry_run": True}}
    answer = client.post_json(BACKFILLS, body)
    assert answer.json() == {"message": "Class transition: 3 days run now, one after the other."}
    assert backfills() == [(ago(4), ago(2), {"dry_run": True})]
    keys = [(run.partition_key, run.triggering_user_name) for run in dag_runs()]
    assert keys == [(str(ago(days)), "user") for days in (4, 3, 2)]
    entry = connection.execute("select login, action, target, records from crm.audit_entry").fetchone()
    assert entry == ("user", "ask_for_backfill", {"routine": "class_transition"}, 3)
    # Airflow takes one at a time; it says so, and the dialog does.
    again = client.post_json(BACKFILLS, body)
    assert again.status_code == 409
    assert "already a running backfill" in again.json()["detail"]
    form = text(client.get("/rotina/routines/class_transition/form?mode=missed").text)
    assert "Airflow takes one backfill of a routine at a time" in form
    assert connection.execute("select count(*) from crm.audit_entry").fetchone() == (1,)


@pytest.mark.parametrize(
    ("first", "last", "problem"),
    [
        (2, 3, "is before the first one"),
        (1, -1, "is yet to come"),
        (101, 1, "makes 101 days on which the routine runs; it takes 1 to 100 at a time"),
    ],
)
def test_days_that_cannot_be_run_are_refused(
    open_console: OpenConsole, first: int, last: int, problem: str
) -> None:
    answer = open_console("user").post_json(
        BACKFILLS, {"first_on": str(ago(first)), "last_on": str(ago(last))}
    )
    assert answer.status_code == 422
    assert problem in answer.json()["detail"]
    assert backfills() == []


@pytest.mark.parametrize("name", ["business_date", "queue", "nonsense"])
def test_a_backfill_takes_no_params_but_those_of_its_form(open_console: OpenConsole, name: str) -> None:
    body = {"first_on": str(ago(3)), "last_on": str(ago(2)), "params": {name: "2030-01-01"}}
    answer = open_console("user").post_json(BACKFILLS, body)
    assert answer.status_code == 422
    assert answer.json()["detail"] == f"{name}: is not among the params of this routine"
    assert backfills() == []


def test_the_days_of_a_backfill_are_business_dates() -> None:
    """Of daily_file_batch those before the days that it runs on; rest days of the agenda are none."""
    set_locale("en")
    monday = dt.datetime(2028, 3, 6, 12, 0, tzinfo=ZONE)
    batch = load_agenda().entry("daily_file_batch")
    sunday = dt.date(2028, 3, 5)
    assert check_days(batch, dt.date(2028, 2, 28), sunday, monday) == 7  # with 29 February
    with pytest.raises(SettingError, match="is yet to come"):
        check_days(batch, sunday, sunday + dt.timedelta(1), monday)
    mondays = load_agenda().entry("class_transition").model_copy(update={"days": ("monday",)})
    assert check_days(mondays, dt.date(2028, 2, 28), sunday, monday) == 1
    with pytest.raises(SettingError, match="makes 0 days"):
        check_days(mondays, dt.date(2028, 2, 29), sunday, monday)
    before_its_hour = dt.datetime(2028, 3, 6, 4, 19, tzinfo=ZONE)
    with pytest.raises(SettingError, match="is yet to come"):
        check_days(mondays, sunday, dt.date(2028, 3, 6), before_its_hour)
    assert check_days(mondays, sunday, dt.date(2028, 3, 6), before_its_hour + dt.timedelta(minutes=1)) == 1
