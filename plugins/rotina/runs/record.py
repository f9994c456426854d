"""The run record: what was asked, what came of it record by record, and the equation that closes."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg.rows import class_row, scalar_row
from psycopg.types.json import Jsonb

from rotina.errors import RunBusyError
from rotina.sql import statement

#: How long a run waits for another run of its routine to finish, in seconds.
LOCK_WAIT_SECONDS = 900


@dataclass(frozen=True)
class RunRequest:
    """What opens a run record. `business_date` is None only when it was refused."""

    routine: str
    program: str
    dag_run_id: str
    run_type: str
    business_date: dt.date | None
    asked_by: str | None
    params: dict[str, Any]


@dataclass(frozen=True)
class Run:
    """One attempt at one run of a routine, as stored."""

    id: int
    routine: str
    program: str
    dag_run_id: str
    attempt: int
    run_type: str
    business_date: dt.date | None
    asked_by: str | None
    params: dict[str, Any]
    status: str
    selected: int
    changed: int
    unchanged: int
    skipped: int
    failed: int
    details: dict[str, Any]
    message: str | None
    started_at: dt.datetime
    ended_at: dt.datetime | None
    summary_status: str
    steps: list[str]

    @property
    def date(self) -> dt.date:
        """The business date of a run that got past its checks."""
        if self.business_date is None:
            raise ValueError(f"run {self.id} of {self.routine} has no business date")
        return self.business_date


@dataclass(frozen=True)
class Outcome:
    """What a step did: `selected` records, each of them in exactly one of the other four counts.

    Raises:
        ValueError: the counts do not add up.
    """

    selected: int
    changed: int
    unchanged: int
    skipped: int
    failed: int
    details: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.selected != self.changed + self.unchanged + self.skipped + self.failed:
            raise ValueError(
                f"the equation does not close: selected {self.selected} != changed {self.changed} + "
                f"unchanged {self.unchanged} + skipped {self.skipped} + failed {self.failed}"
            )


def open_run(connection: psycopg.Connection, request: RunRequest) -> Run:
    """Open the record of a run and return it.

    A begin that is tried again finds the record it opened. A run that is started again after work was done
    gets a new attempt; the interrupted one is closed as failed.
    """
    with connection.transaction():
        latest = latest_attempt(connection, request.routine, request.dag_run_id)
        if latest and latest.status == "running":
            if not latest.steps:
                return latest
            close_run(connection, latest.id, "failed", "interrupted: the run was started again")
        values = {**vars(request), "params": Jsonb(request.params)}
        connection.execute(statement("runs/open_run"), values)
    opened = latest_attempt(connection, request.routine, request.dag_run_id)
    assert opened is not None
    return opened


def latest_attempt(connection: psycopg.Connection, routine: str, dag_run_id: str) -> Run | None:
    """The newest attempt at a run; None when it never opened a record."""
    with connection.cursor(row_factory=class_row(Run)) as cursor:
        cursor.execute(statement("runs/get_latest_attempt"), {"routine": routine, "dag_run_id": dag_run_id})
        return cursor.fetchone()


def reopen_run(connection: psycopg.Connection, run: Run, step: str) -> Run:
    """Open a new attempt at what the closed `run` was asked for, in which `step` is done again.

    The steps before it count as done; those after it are done again as well, if they are asked for.
    """
    request = {name: getattr(run, name) for name in RunRequest.__dataclass_fields__}
    with connection.transaction():
        opened = open_run(connection, RunRequest(**request))
        connection.execute(
            statement("runs/carry_steps"), {"run_id": opened.id, "old_run_id": run.id, "step": step}
        )
    return opened


def record_step(connection: psycopg.Connection, run_id: int, step: str, outcome: Outcome) -> None:
    """Add what a step did to its run, in the transaction of the work itself."""
    connection.execute(
        statement("runs/record_step"),
        {**vars(outcome), "details": Jsonb(outcome.details), "run_id": run_id, "step": step},
    )


def note_failure(connection: psycopg.Connection, run_id: int, message: str | None) -> None:
    """Write down why a run is failing; `report` closes it. None takes back what a failed try wrote."""
    connection.execute(statement("runs/note_failure"), {"run_id": run_id, "message": message})


def close_run(connection: psycopg.Connection, run_id: int, status: str, message: str | None = None) -> None:
    """Close a run as `succeeded`, `failed` or `skipped`, keeping a message that is already there."""
    connection.execute(statement("runs/close_run"), {"run_id": run_id, "status": status, "message": message})


@contextmanager
def routine_lock(
    connection: psycopg.Connection, routine: str, wait_seconds: int = LOCK_WAIT_SECONDS
) -> Iterator[None]:
    """Let one run of a routine work at a time. The connection must be in autocommit, outside a transaction.

    The lock belongs to the session, so a killed worker frees it. It is taken before the transaction of the
    work begins, so that the snapshot of that transaction sees what the previous run committed.

    Raises:
        RunBusyError: another run held the lock for `wait_seconds`.
    """
    with connection.cursor(row_factory=scalar_row) as cursor:
        cursor.execute("select set_config('lock_timeout', %s, false)", [f"{wait_seconds * 1000}"])
        try:
            cursor.execute(statement("runs/lock_routine"), {"routine": routine})
        except psycopg.errors.LockNotAvailable:
            raise RunBusyError(
                f"another run of {routine} is still at work after {wait_seconds} s; "
                "this one changed nothing and can be run again when that one has ended"
            ) from None
        finally:
            cursor.execute("reset lock_timeout")
        try:
            yield
        finally:
            if connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE:
                cursor.execute(statement("runs/unlock_routine"), {"routine": routine})
            else:  # interrupted in the middle of a statement: the session ends, and its lock with it
                connection.close()
