"""The run record: attempts, the equation, the lock, and what is left of it after a crash."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotina.errors import RunBusyError
from rotina.runs import record
from rotina.runs.record import Outcome, Run, RunRequest
from tests.runs_by_hand import open_run

REPOSITORY = Path(__file__).parents[2]


def again(run: Run) -> RunRequest:
    return RunRequest(**{name: getattr(run, name) for name in RunRequest.__dataclass_fields__})


def latest(connection: psycopg.Connection, run: Run) -> Run:
    found = record.latest_attempt(connection, run.routine, run.dag_run_id)
    assert found is not None
    return found


def test_a_run_is_opened_worked_and_closed(connection: psycopg.Connection) -> None:
    run = open_run(connection, "2026-11-20", asked_by="admin", full=True)
    assert (run.status, run.attempt, run.params, run.asked_by) == ("running", 1, {"full": True}, "admin")
    record.record_step(connection, run.id, "first", Outcome(3, 1, 1, 1, 0, {"mode": "a"}))
    record.record_step(connection, run.id, "second", Outcome(2, 0, 0, 0, 2, {"seen": 2}))
    record.close_run(connection, run.id, "succeeded")
    closed = latest(connection, run)
    assert (closed.selected, closed.changed, closed.unchanged, closed.skipped, closed.failed) == (
        5,
        1,
        1,
        1,
        2,
    )
    assert closed.steps == ["first", "second"]
    assert closed.details == {"mode": "a", "seen": 2}
    assert closed.status == "succeeded"
    assert closed.ended_at is not None
    assert closed.ended_at >= closed.started_at


def test_a_begin_that_is_tried_again_finds_its_record(connection: psycopg.Connection) -> None:
    run = open_run(connection, "2026-11-20")
    assert record.open_run(connection, again(run)) == run


def test_a_run_started_again_after_work_keeps_the_interrupted_attempt(connection: psycopg.Connection) -> None:
    run = open_run(connection, "2026-11-20")
    record.record_step(connection, run.id, "work", Outcome(1, 1, 0, 0, 0))
    second = record.open_run(connection, again(run))
    assert (second.attempt, second.selected, second.steps) == (2, 0, [])
    first = connection.execute(
        "select status, message, changed from crm.run where id = %s", [run.id]
    ).fetchone()
    assert first == ("failed", "interrupted: the run was started again", 1)


def test_a_closed_run_is_not_changed(connection: psycopg.Connection) -> None:
    run = open_run(connection, "2026-11-20")
    record.note_failure(connection, run.id, "the first reason")
    record.close_run(connection, run.id, "failed", "another reason")
    record.close_run(connection, run.id, "succeeded")
    record.note_failure(connection, run.id, "too late")
    closed = latest(connection, run)
    assert (closed.status, closed.message) == ("failed", "the first reason")


def test_a_step_is_recorded_once(connection: psycopg.Connection) -> None:
    run = open_run(connection, "2026-11-20")
    record.record_step(connection, run.id, "work", Outcome(1, 1, 0, 0, 0))
    with pytest.raises(psycopg.errors.UniqueViolation):
        record.record_step(connection, run.id, "work", Outcome(1, 1, 0, 0, 0))
    assert latest(connection, run).selected == 1


@given(st.tuples(*[st.integers(0, 9)] * 5))
def test_an_equation_that_does_not_close_is_refused(numbers: tuple[int, ...]) -> None:
    selected, *rest = numbers
    if selected == sum(rest):
        assert Outcome(*numbers).selected == selected
    else:
        with pytest.raises(ValueError, match="does not close"):
            Outcome(*numbers)


def test_the_database_refuses_an_equation_that_does_not_close(connection: psycopg.Connection) -> None:
    run = open_run(connection, "2026-11-20")
    with pytest.raises(psycopg.errors.CheckViolation, match="equation_closes"):
        connection.execute("update crm.run set changed = 1 where id = %s", [run.id])


def test_a_second_run_of_a_routine_waits_and_then_gives_up_by_name(
    connection: psycopg.Connection, task_uri: str
) -> None:
    with psycopg.connect(task_uri, autocommit=True) as other:
        with record.routine_lock(connection, "a"):
            with (
                pytest.raises(RunBusyError, match="another run of a is still at work"),
                record.routine_lock(other, "a", wait_seconds=1),
            ):
                pytest.fail("two runs at work")
            with record.routine_lock(other, "b"):
                pass
        with record.routine_lock(other, "a"):
            pass


def test_a_waiting_run_goes_on_when_the_first_has_ended(
    connection: psycopg.Connection, task_uri: str
) -> None:
    order: list[str] = []
    waiting = threading.Event()

    def second() -> None:
        with psycopg.connect(task_uri, autocommit=True) as other:
            waiting.set()
            with record.routine_lock(other, "a"):
                order.append("second")

    with record.routine_lock(connection, "a"):
        thread = threading.Thread(target=second)
        thread.start()
        assert waiting.wait(10)
        order.append("first")
    thread.join(10)
    assert order == ["first", "second"]


WORKER = """
import sys, psycopg
from rotina.runs import record
from rotina.runs.record import Outcome
uri, run_id = sys.argv[1], int(sys.argv[2])
with psycopg.connect(uri, autocommit=True, cursor_factory=psycopg.ClientCursor) as connection:
    with record.routine_lock(connection, "account_data_refresh"), connection.transaction():
        connection.execute("insert into crm.account (kind, name) values ('person', 'Half')")
        record.record_step(connection, run_id, "work", Outcome(1, 1, 0, 0, 0))
        print("working", flush=True)
        sys.stdin.read()
"""


def test_a_killed_worker_leaves_neither_half_work_nor_a_lock(
    connection: psycopg.Connection, task_uri: str
) -> None:
    run = open_run(connection, "2026-11-20")
    worker = subprocess.Popen(
        [sys.executable, "-c", WORKER, task_uri, str(run.id)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY / "plugins")},
    )
    with worker:
        assert worker.stdout is not None
        assert worker.stdout.readline() == b"working\n"
        worker.send_signal(signal.SIGKILL)
    with record.routine_lock(connection, "account_data_refresh", wait_seconds=30):
        assert connection.execute("select count(*) from crm.account").fetchone() == (0,)
        assert latest(connection, run).steps == []
