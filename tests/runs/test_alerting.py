"""The tasks of delivery_monitor from begin to report, with a real database and a real mail server."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from rotina.errors import NotSentError, RotinaError, SettingError
from rotina.files.delivery_monitor import check_settings
from rotina.local.mailbox import Mailbox
from rotina.runs import alerting, tasks
from tests.files.monitor_data import PARAMS, SAO_PAULO, add_batch, set_up_batch
from tests.messaging.queue_data import add_gateway
from tests.runs.conftest import smtp_connection

pytestmark = pytest.mark.usefixtures("airflow_connections")

TODAY = dt.datetime.now(SAO_PAULO).date()
DAY = dt.timedelta(days=1)


def context(task_id: str, run_id: str = "scheduled__1", **params: Any) -> dict[str, Any]:
    """What Airflow hands to a task of a scheduled run of today."""
    return {
        "dag": SimpleNamespace(dag_id="delivery_monitor"),
        "task": SimpleNamespace(task_id=task_id),
        "ti": SimpleNamespace(
            get_task_states=lambda dag_id, run_ids, task_ids=None: {run_id: params.get("states", {})},
            try_number=1,
            max_tries=2,
        ),
        "dag_run": SimpleNamespace(
            run_id=run_id,
            run_type="scheduled",
            logical_date=None,
            run_after=dt.datetime.now(dt.UTC),
            partition_key=None,
            triggering_user_name=None,
        ),
        "params": {**PARAMS, **{name: value for name, value in params.items() if name != "states"}},
    }


def run_monitor(run_id: str = "scheduled__1") -> dict[str, Any]:
    """All tasks of a run, in their order; returns what the last one says."""
    tasks.begin(context("begin", run_id), check_settings)
    alerting.look(context("look", run_id), alerting.ask_partner(context("acknowledge", run_id)))
    alerting.tell(context("tell", run_id))
    return tasks.report(context("report", run_id), ["look", "tell"])


def stored(owner: psycopg.Connection) -> list[tuple[Any, ...]]:
    return owner.execute(
        "select status, selected, changed, unchanged, failed from crm.run order by id"
    ).fetchall()


@pytest.fixture(autouse=True)
def _somebody_is_told(owner: psycopg.Connection) -> None:
    owner.execute("insert into crm.routine_recipient values ('*', 'operacao@example.com')")


@pytest.fixture
def paused_gateway(owner: psycopg.Connection) -> None:
    """A problem, at whatever hour."""
    add_gateway(owner, paused_at=dt.datetime.now(dt.UTC), paused_by="queue_dispatch", pause_reason="HTTP 401")


def stand_in(monkeypatch: pytest.MonkeyPatch, answer: bool | Exception) -> list[str]:
    """A partner that gives an answer, or cannot be reached; returns what it is asked."""
    asked: list[str] = []

    @contextmanager
    def open_target(connection_id: str) -> Iterator[SimpleNamespace]:
        asked.append(connection_id)
        if isinstance(answer, Exception):
            raise answer

        def acknowledgement(manifest_name: str) -> bool:
            asked.append(manifest_name)
            assert isinstance(answer, bool)
            return answer

        yield SimpleNamespace(acknowledgement=acknowledgement)

    monkeypatch.setattr("rotina.hooks.partner.open_target", open_target)
    return asked


@pytest.mark.usefixtures("paused_gateway")
def test_a_run_with_a_problem_tells_the_team_and_succeeds(
    owner: psycopg.Connection, mailbox: Mailbox
) -> None:
    assert run_monitor() == {"status": "succeeded", "summary": "none"}
    assert run_monitor("scheduled__2") == {"status": "succeeded", "summary": "none"}
    assert stored(owner) == [("succeeded", 1, 1, 0, 0), ("succeeded", 1, 0, 1, 0)]
    assert len(mailbox) == 1


def test_the_partner_is_asked_before_the_look(
    owner: psycopg.Connection, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = stand_in(monkeypatch, True)
    set_up_batch(owner, str(TODAY - 2 * DAY), acknowledge_within_hours=1)
    add_batch(owner, str(TODAY - 2 * DAY), delivered=f"{TODAY - DAY} 05:32")
    add_batch(owner, str(TODAY - DAY), delivered=f"{TODAY} 00:00")
    run_monitor()
    assert asked[0] == "daily_files"
    assert len(asked) == 3
    assert len(mailbox) == 0
    run_monitor("scheduled__2")
    assert len(asked) == 3


@pytest.mark.parametrize(
    "error", [RotinaError("sftp.example:22: no login within 15 s"), SettingError("host", "x", "no machine")]
)
def test_a_partner_that_cannot_be_asked_does_not_stop_the_monitor(
    owner: psycopg.Connection, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    stand_in(monkeypatch, error)
    set_up_batch(owner, str(TODAY - 2 * DAY), acknowledge_within_hours=1)
    add_batch(owner, str(TODAY - 2 * DAY), delivered=f"{TODAY - DAY} 00:00")
    add_batch(
        owner, str(TODAY - DAY), delivered=f"{TODAY + DAY} 00:00", due_at=dt.datetime.now(dt.UTC) + 2 * DAY
    )
    assert run_monitor()["status"] == "succeeded"
    (message,) = owner.execute("select message from crm.alert").fetchone() or ("",)
    assert str(error) in message
    assert len(mailbox) == 1


@pytest.mark.usefixtures("paused_gateway")
def test_without_a_mail_server_the_run_fails_and_the_next_one_tells(
    owner: psycopg.Connection, mailbox: Mailbox, smtp_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", smtp_connection(1))
    with pytest.raises(NotSentError, match="mail server smtp_default"):
        run_monitor()
    with pytest.raises(NotSentError, match="its summary was not delivered"):
        tasks.report(context("report"), ["look", "tell"])
    monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", smtp_connection(smtp_port))
    assert run_monitor("scheduled__2")["status"] == "succeeded"
    assert [row[0] for row in stored(owner)] == ["failed", "succeeded"]
    assert len(mailbox) == 1


@pytest.mark.usefixtures("paused_gateway")
def test_a_run_that_was_killed_while_telling_fails_and_its_summary_says_so(
    owner: psycopg.Connection, mailbox: Mailbox
) -> None:
    tasks.begin(context("begin"), check_settings)
    alerting.look(context("look"), None)
    owner.execute("update crm.alert set mail_status = 'sending', mail_run_id = (select max(id) from crm.run)")
    assert alerting.tell(context("tell"))["failed"] == 1
    with pytest.raises(AirflowFailException, match="não se sabe se um e-mail de alerta chegou"):
        tasks.report(context("report"), ["look", "tell"])
    assert stored(owner) == [("failed", 1, 0, 0, 1)]
    assert len(mailbox) == 1  # the summary


def test_nobody_to_tell_fails_the_run(owner: psycopg.Connection, paused_gateway: None) -> None:
    owner.execute("delete from crm.routine_recipient")
    with pytest.raises(AirflowFailException, match=r"add a row to crm\.routine_recipient"):
        run_monitor()
    with pytest.raises(AirflowFailException, match="recipients of the alerts"):
        tasks.report(context("report"), ["look", "tell"])


def test_a_refused_run_looks_at_nothing(owner: psycopg.Connection, paused_gateway: None) -> None:
    with pytest.raises(AirflowFailException, match="still_minutes = 0"):
        tasks.begin(context("begin", still_minutes=0), check_settings)
    with pytest.raises(AirflowSkipException):
        alerting.look(context("look", states={"begin": "failed"}), None)
    assert owner.execute("select count(*) from crm.alert").fetchone() == (0,)
