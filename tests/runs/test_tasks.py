"""The tasks around the work, with a real database, a real mail server and the context that Airflow gives."""

from __future__ import annotations

import datetime as dt
import threading
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from rotina.errors import NothingToDoError, NotSentError, RotinaError, SettingError
from rotina.local.mailbox import Mailbox
from rotina.runs import agenda, record, tasks
from rotina.runs.record import Outcome, Run
from tests.runs.conftest import smtp_connection

ROUTINE = "account_data_refresh"

pytestmark = pytest.mark.usefixtures("airflow_connections")


def context(task_id: str = "begin", run_id: str = "manual__1", **changes: Any) -> dict[str, Any]:
    """What Airflow hands to a task of a manual run for 20 November 2026."""
    dag_run: dict[str, Any] = {
        "run_id": run_id,
        "run_type": "manual",
        "logical_date": None,
        "run_after": dt.datetime(2026, 11, 20, 15, tzinfo=dt.UTC),
        "partition_key": None,
        "triggering_user_name": "ana",
    }
    params = {"business_date": "2026-11-20", **changes.pop("params", {})}
    states = changes.pop("states", {})
    try_number = changes.pop("try_number", 1)
    return {
        "dag": SimpleNamespace(dag_id=ROUTINE),
        "task": SimpleNamespace(task_id=task_id),
        "ti": SimpleNamespace(
            get_task_states=lambda dag_id, run_ids, task_ids=None: {run_id: states},
            try_number=try_number,
            max_tries=2,
        ),
        "dag_run": SimpleNamespace(**{**dag_run, **changes}),
        "params": params,
    }


def accept(connection: psycopg.Connection, params: dict[str, Any]) -> None:
    """A check that finds nothing wrong."""


def work(connection: psycopg.Connection, run: Run) -> Outcome:
    connection.execute("insert into crm.account (kind, name) values ('person', 'Ana')")
    return Outcome(1, 1, 0, 0, 0, {"mode": "test"})


def attempts(owner: psycopg.Connection) -> list[tuple[Any, ...]]:
    return owner.execute(
        "select attempt, status, selected, changed, failed, message, summary_status from crm.run order by id"
    ).fetchall()


def accounts(owner: psycopg.Connection) -> int:
    (number,) = owner.execute("select count(*) from crm.account").fetchone() or (0,)
    return int(number)


@pytest.fixture(autouse=True)
def _somebody_gets_the_summaries(owner: psycopg.Connection) -> None:
    owner.execute("insert into crm.routine_recipient values ('*', 'operacao@example.com')")


def test_begin_step_report(owner: psycopg.Connection, mailbox: Mailbox) -> None:
    begun = tasks.begin(context(), accept)
    assert begun["business_date"] == "2026-11-20"
    assert tasks.step(context("work"), work)["changed"] == 1
    assert tasks.report(context("report"), ["work"]) == {"status": "succeeded", "summary": "sent"}
    assert attempts(owner) == [(1, "succeeded", 1, 1, 0, None, "sent")]
    assert len(mailbox) == 1


def test_a_committed_step_is_not_done_again_by_a_retry(owner: psycopg.Connection) -> None:
    tasks.begin(context(), accept)
    assert tasks.step(context("work"), work) == tasks.step(context("work"), work)
    assert accounts(owner) == 1


def test_a_cleared_step_of_a_closed_run_works_anew_under_a_new_attempt(
    owner: psycopg.Connection, mailbox: Mailbox
) -> None:
    tasks.begin(context(), accept)
    for _ in range(2):
        tasks.step(context("work"), work)
        tasks.report(context("report"), ["work"])
    assert accounts(owner) == 2
    assert [row[:4] for row in attempts(owner)] == [(1, "succeeded", 1, 1), (2, "succeeded", 1, 1)]
    assert len(mailbox) == 2


def test_a_step_cleared_alone_closes_its_attempt(owner: psycopg.Connection, mailbox: Mailbox) -> None:
    tasks.begin(context(), accept)
    tasks.step(context("work"), work)
    tasks.report(context("report"), ["work"])
    tasks.step(context("work", states={"report": "success"}), work)
    assert [(*row[:4], row[6]) for row in attempts(owner)] == [
        (1, "succeeded", 1, 1, "sent"),
        (2, "succeeded", 1, 1, "sent"),
    ]
    assert len(mailbox) == 2


@pytest.mark.parametrize(("cleared", "done"), [("one", ["one", "two"]), ("two", ["two"])])
def test_steps_before_a_cleared_one_stay_done_and_those_after_it_are_done_again(
    owner: psycopg.Connection, cleared: str, done: list[str]
) -> None:
    tasks.begin(context(), accept)
    for name in ("one", "two"):
        tasks.step(context(name), work)
    tasks.report(context("report"), ["one", "two"])
    for name in done:
        tasks.step(context(name), work)
    assert tasks.report(context("report"), ["one", "two"])["status"] == "succeeded"
    assert accounts(owner) == 2 + len(done)
    assert [row[:3] for row in attempts(owner)] == [(1, "succeeded", 2), (2, "succeeded", len(done))]


def test_a_wait_asks_until_nothing_is_missing(owner: psycopg.Connection) -> None:
    missing: list[str | None] = ["the data are missing", None]
    asked: list[dt.date] = []

    def ask(connection: psycopg.Connection, run: Run) -> str | None:
        asked.append(run.date)
        return missing.pop(0)

    tasks.begin(context(params={"wait_minutes": 5}), accept)
    assert [tasks.wait(context("wait"), ask) for _ in range(2)] == [False, True]
    assert asked == [dt.date(2026, 11, 20)] * 2
    assert attempts(owner)[0][:2] + attempts(owner)[0][5:6] == (1, "running", None)


def test_a_wait_gives_up_in_time_and_says_what_is_missing(
    owner: psycopg.Connection, mailbox: Mailbox
) -> None:
    tasks.begin(context(params={"wait_minutes": 5}), accept)
    owner.execute("update crm.run set started_at = started_at - interval '5 minutes'")
    with pytest.raises(AirflowFailException, match=r"no data \(waited 5 minutes\)\. Nothing was changed"):
        tasks.wait(context("wait"), lambda connection, run: "no data")
    with pytest.raises(AirflowFailException, match="no data"):
        tasks.report(context("report"), ["work"])
    assert attempts(owner)[0][5] == "no data (waited 5 minutes)"
    assert tasks.wait(context("wait"), lambda connection, run: None)  # cleared, when the data are there
    assert tasks.step(context("work"), work)["changed"] == 1
    assert tasks.report(context("report"), ["work"])["status"] == "succeeded"


def test_a_wait_refuses_a_wrong_setting_at_once(owner: psycopg.Connection) -> None:
    def ask(connection: psycopg.Connection, run: Run) -> str | None:
        raise SettingError("rule", "x", "is wrong")

    tasks.begin(context(params={"wait_minutes": 5}), accept)
    with pytest.raises(AirflowFailException, match="rule = 'x': is wrong"):
        tasks.wait(context("wait"), ask)
    assert attempts(owner)[0][5] == "rule = 'x': is wrong"


def test_a_wait_ends_a_run_that_has_nothing_to_do(owner: psycopg.Connection, mailbox: Mailbox) -> None:
    def ask(connection: psycopg.Connection, run: Run) -> str | None:
        raise NothingToDoError("not yet expected")

    tasks.begin(context(params={"wait_minutes": 5}), accept)
    with pytest.raises(AirflowSkipException, match="not yet expected"):
        tasks.wait(context("wait"), ask)
    assert tasks.report(context("report"), ["work"]) == {"status": "skipped", "summary": "none"}
    assert attempts(owner)[0][5] == "not yet expected"
    assert len(mailbox) == 0


def broken(connection: psycopg.Connection, run: Run) -> Outcome:
    work(connection, run)
    raise RotinaError("not yet")


def test_a_step_cleared_alone_closes_its_attempt_whichever_try_works(
    owner: psycopg.Connection, mailbox: Mailbox
) -> None:
    ended = {"report": "success"}
    tasks.begin(context(), accept)
    tasks.step(context("work"), work)
    tasks.report(context("report"), ["work"])
    with pytest.raises(RotinaError):
        tasks.step(context("work", states=ended), broken)
    tasks.step(context("work", states=ended, try_number=2), work)
    assert [(row[1], row[6]) for row in attempts(owner)] == [("succeeded", "sent")] * 2
    for number in (1, 2, 3):
        with pytest.raises(RotinaError):
            tasks.step(context("work", states=ended, try_number=number), broken)
    assert attempts(owner)[2:] == [(3, "failed", 0, 0, 0, "not yet", "sent")]
    assert accounts(owner) == 2
    assert len(mailbox) == 3


def test_a_step_cleared_alone_is_not_done_again_because_of_its_summary(
    owner: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks.begin(context(), accept)
    tasks.step(context("work"), work)
    tasks.report(context("report"), ["work"])
    monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", smtp_connection(1))
    assert tasks.step(context("work", states={"report": "success"}), work)["changed"] == 1
    assert [(row[1], row[6]) for row in attempts(owner)] == [("succeeded", "sent"), ("succeeded", "failed")]


def test_a_try_that_waited_for_another_try_of_its_step_finds_it_done(
    owner: psycopg.Connection, connection: psycopg.Connection
) -> None:
    tasks.begin(context(), accept)
    answers: list[dict[str, Any]] = []
    second = threading.Thread(target=lambda: answers.append(tasks.step(context("work"), work)))
    with record.routine_lock(connection, ROUTINE):
        second.start()
        while not owner.execute(
            "select from pg_locks where locktype = 'advisory' and not granted"
        ).fetchall():
            assert second.is_alive()
        run = record.latest_attempt(connection, ROUTINE, "manual__1")
        assert run is not None
        with connection.transaction():
            record.record_step(connection, run.id, "work", work(connection, run))
        record.note_failure(connection, run.id, "the connection broke while committing")
    second.join(30)
    assert answers[0]["changed"] == 1
    assert accounts(owner) == 1
    assert tasks.report(context("report"), ["work"])["status"] == "succeeded"


def test_an_error_of_the_database_is_noted_without_the_row_that_it_quotes(
    owner: psycopg.Connection,
) -> None:
    def wrong(connection: psycopg.Connection, run: Run) -> Outcome:
        connection.execute("insert into crm.suppression values ('fax', '+5511999990000', 'because', 'test')")
        raise AssertionError

    tasks.begin(context(), accept)
    with pytest.raises(psycopg.errors.CheckViolation):
        tasks.step(context("work"), wrong)
    note = attempts(owner)[0][5]
    assert "suppression_channel_known" in note
    assert "5511999990000" not in note


class TaskTimeout(BaseException):
    """Airflow's time-out of a task is no Exception either."""


def test_a_timeout_in_the_middle_of_a_statement_is_named_and_frees_the_lock(
    owner: psycopg.Connection, connection: psycopg.Connection
) -> None:
    def slow(connection: psycopg.Connection, run: Run) -> Outcome:
        connection.pgconn.send_query(b"select pg_sleep(600)")
        raise TaskTimeout("Timeout, PID: 1")

    tasks.begin(context(), accept)
    with pytest.raises(TaskTimeout):
        tasks.step(context("work"), slow)
    assert attempts(owner)[0][5] == "Timeout, PID: 1"
    with record.routine_lock(connection, ROUTINE, wait_seconds=30):
        assert accounts(owner) == 0


def test_a_refused_date_is_not_worked_for_even_when_begin_is_overruled(owner: psycopg.Connection) -> None:
    changes = {"params": {"business_date": "2126-11-20"}}
    with pytest.raises(AirflowFailException):
        tasks.begin(context(**changes), accept)
    with pytest.raises(ValueError, match="no business date"):
        tasks.step(context("work", **changes), work)
    assert accounts(owner) == 0


def test_without_a_mail_connection_nothing_was_sent_and_it_can_be_sent_later(
    owner: psycopg.Connection, mailbox: Mailbox, smtp_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks.begin(context(), accept)
    tasks.step(context("work"), work)
    monkeypatch.delenv("AIRFLOW_CONN_SMTP_DEFAULT")
    for _ in range(2):
        with pytest.raises(NotSentError, match="SMTP connection is not found"):
            tasks.report(context("report"), ["work"])
        assert attempts(owner)[0][6] == "failed"
    monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", smtp_connection(smtp_port))
    assert tasks.report(context("report"), ["work"])["summary"] == "sent"
    assert len(mailbox) == 1


def test_an_address_that_is_none_is_named_and_can_be_mended(owner: psycopg.Connection) -> None:
    owner.execute("update crm.routine_recipient set email = 'joão@exemplo.com.br'")
    owner.execute(
        "insert into crm.app_user (login, name, email) values ('ana', 'Ana', 'joão@exemplo.com.br')"
    )
    tasks.begin(context(), accept)
    tasks.step(context("work"), work)
    for _ in range(2):
        with pytest.raises(AirflowFailException, match=r"joão@exemplo\.com\.br"):
            tasks.report(context("report"), ["work"])
        assert attempts(owner)[0][6] == "failed"
    owner.execute("update crm.app_user set email = 'joao@exemplo.com.br'")
    assert tasks.report(context("report"), ["work"])["summary"] == "sent"


def test_a_summary_that_may_have_been_sent_stays_red(owner: psycopg.Connection) -> None:
    tasks.begin(context(), accept)
    tasks.step(context("work"), work)
    owner.execute("update crm.run set summary_status = 'sending'")
    for _ in range(2):
        with pytest.raises(AirflowFailException):
            tasks.report(context("report"), ["work"])
    assert attempts(owner)[0][6] == "unknown"


def test_a_failing_step_changes_nothing_and_the_run_says_why(
    owner: psycopg.Connection, mailbox: Mailbox
) -> None:
    def divides(connection: psycopg.Connection, run: Run) -> Outcome:
        work(connection, run)
        connection.execute("select 1/0")
        raise AssertionError

    tasks.begin(context(), accept)
    with pytest.raises(psycopg.errors.DivisionByZero):
        tasks.step(context("work"), divides)
    assert accounts(owner) == 0
    with pytest.raises(AirflowFailException, match="division by zero"):
        tasks.report(context("report"), ["work"])
    assert attempts(owner) == [(1, "failed", 0, 0, 0, "division by zero", "sent")]
    assert len(mailbox) == 1


def test_a_step_that_works_at_the_second_try_leaves_no_reason(owner: psycopg.Connection) -> None:
    tasks.begin(context(), accept)
    with pytest.raises(RotinaError):
        tasks.step(context("work"), broken)
    tasks.step(context("work"), work)
    tasks.report(context("report"), ["work"])
    assert attempts(owner) == [(1, "succeeded", 1, 1, 0, None, "sent")]


def test_a_step_that_never_ended_makes_a_failed_run(owner: psycopg.Connection) -> None:
    tasks.begin(context(), accept)
    with pytest.raises(AirflowFailException, match="o passo work não terminou"):
        tasks.report(context("report"), ["work"])
    assert attempts(owner)[0][1] == "failed"


def test_a_run_in_which_every_record_failed_is_a_failed_run(
    owner: psycopg.Connection, mailbox: Mailbox
) -> None:
    tasks.begin(context(), accept)
    tasks.step(context("work"), lambda connection, run: Outcome(3, 0, 0, 0, 3))
    with pytest.raises(AirflowFailException, match="todos os registros selecionados falharam"):
        tasks.report(context("report"), ["work"])
    assert attempts(owner)[0][1] == "failed"
    assert len(mailbox) == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"params": {"business_date": "20/11/2026"}}, "business_date = '20/11/2026': is not a date"),
        ({"params": {"business_date": "2126-11-20"}}, "business_date = '2126-11-20': lies in the future"),
        ({"run_type": "backfill", "partition_key": "2026-11-20"}, "leave the param empty"),
    ],
)
def test_a_wrong_date_is_refused_recorded_and_reported(
    owner: psycopg.Connection, mailbox: Mailbox, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(AirflowFailException, match="Nothing was changed") as error:
        tasks.begin(context(**changes), accept)
    assert message in str(error.value)
    with pytest.raises(AirflowFailException):
        tasks.report(context("report", **changes), ["work"])
    ((_, status, *_, reason, summary),) = attempts(owner)
    assert (status, summary) == ("failed", "sent")
    assert message in reason
    assert len(mailbox) == 1


def test_a_wrong_setting_of_the_routine_is_refused(owner: psycopg.Connection) -> None:
    def refuse(connection: psycopg.Connection, params: dict[str, Any]) -> None:
        raise SettingError("audience", "VIP", "there is no audience of that name")

    with pytest.raises(AirflowFailException, match="audience = 'VIP'"):
        tasks.begin(context(), refuse)
    assert attempts(owner)[0][5] == "audience = 'VIP': there is no audience of that name"


@pytest.mark.parametrize(
    ("run_type", "skipped"), [("scheduled", True), ("backfill", True), ("manual", False)]
)
def test_a_holiday_is_skipped_where_the_agenda_says_so_unless_asked_for_by_hand(
    owner: psycopg.Connection,
    mailbox: Mailbox,
    monkeypatch: pytest.MonkeyPatch,
    run_type: str,
    skipped: bool,
) -> None:
    entry = agenda.load_agenda().entry(ROUTINE).model_copy(update={"holidays": "skip"})
    monkeypatch.setattr(tasks, "load_agenda", lambda: agenda.Agenda(programs=(entry,)))
    asked = context(run_type=run_type, partition_key="2026-09-07", params={"business_date": None})
    if not skipped:
        assert tasks.begin(asked, accept)["business_date"] == "2026-09-07"
        return
    with pytest.raises(AirflowSkipException, match="Independência do Brasil"):
        tasks.begin(asked, accept)
    assert tasks.report(asked, ["work"]) == {"status": "skipped", "summary": "none"}
    assert attempts(owner)[0][1] == "skipped"
    assert len(mailbox) == 0


@pytest.mark.parametrize(
    ("asked_by", "states", "mails"),
    [(None, {}, 0), ("ana", {}, 1), (None, {"dispatch_0": "failed", "work": "success"}, 1)],
)
def test_a_frequent_routine_writes_only_when_asked_or_when_something_failed(
    owner: psycopg.Connection,
    mailbox: Mailbox,
    monkeypatch: pytest.MonkeyPatch,
    asked_by: str | None,
    states: dict[str, str],
    mails: int,
) -> None:
    entry = agenda.load_agenda().entry(ROUTINE).model_copy(update={"summary": "on_failure"})
    monkeypatch.setattr(tasks, "load_agenda", lambda: agenda.Agenda(programs=(entry,)))
    asked = {"run_type": "scheduled", "triggering_user_name": asked_by}
    tasks.begin(context(**asked), accept)
    tasks.step(context("work", **asked), work)
    if states:
        with pytest.raises(AirflowFailException, match="falhou: dispatch_0; veja o log"):
            tasks.report(context("report", states=states, **asked), ["work"])
    else:
        tasks.report(context("report", **asked), ["work"])
    assert len(mailbox) == mails


def test_a_refused_run_does_no_step_and_keeps_its_reason(owner: psycopg.Connection) -> None:
    def refuse(connection: psycopg.Connection, params: dict[str, Any]) -> None:
        raise SettingError("gateway", "opx", "there is no gateway of that code")

    with pytest.raises(AirflowFailException):
        tasks.begin(context(), refuse)
    with pytest.raises(AirflowSkipException):
        tasks.step(context("work", states={"begin": "failed"}), work)
    assert accounts(owner) == 0
    assert "gateway = 'opx'" in attempts(owner)[0][5]


def test_work_of_its_own_books_gets_the_run_and_a_wrong_setting_is_not_tried_again() -> None:
    tasks.begin(context(), accept)
    assert tasks.effect(context("work"), lambda run: run.date) == dt.date(2026, 11, 20)

    def wrong(run: Run) -> None:
        raise SettingError("gateway", "opx", "there is no gateway of that code")

    with pytest.raises(AirflowFailException, match="gateway = 'opx'"):
        tasks.effect(context("work"), wrong)


def test_mail_that_cannot_be_delivered_fails_visibly_and_the_work_stands(
    owner: psycopg.Connection, mailbox: Mailbox, smtp_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks.begin(context(), accept)
    tasks.step(context("work"), work)
    monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", smtp_connection(1))
    with pytest.raises(NotSentError, match="stands"):
        tasks.report(context("report"), ["work"])
    assert accounts(owner) == 1
    assert [(row[1], row[6]) for row in attempts(owner)] == [("succeeded", "failed")]
    monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", smtp_connection(smtp_port))
    assert tasks.report(context("report"), ["work"])["summary"] == "sent"
    assert len(mailbox) == 1


def test_a_task_without_a_run_record_says_what_to_do() -> None:
    with pytest.raises(AirflowFailException, match="clear begin"):
        tasks.step(context("work"), work)


def test_a_busy_routine_is_named_and_nothing_is_changed(
    owner: psycopg.Connection, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record.routine_lock.__wrapped__, "__defaults__", (1,))  # type: ignore[attr-defined]
    tasks.begin(context(), accept)
    with (
        record.routine_lock(connection, ROUTINE),
        pytest.raises(RotinaError, match="another run of account_data_refresh is still at work"),
    ):
        tasks.step(context("work"), work)
    assert accounts(owner) == 0
    assert "still at work" in attempts(owner)[0][5]
