"""Running the work of a routine in a test as the task does: run record, lock, one transaction."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Callable
from typing import Any

import psycopg

from rotina.runs import record
from rotina.runs.record import Outcome, Run, RunRequest

_numbers = itertools.count(1)


def open_run(
    connection: psycopg.Connection,
    business_date: dt.date | str | None,
    *,
    routine: str = "account_data_refresh",
    program: str = "crm338",
    asked_by: str | None = None,
    run_type: str = "manual",
    **params: Any,
) -> Run:
    """A new run record."""
    date = dt.date.fromisoformat(business_date) if isinstance(business_date, str) else business_date
    request = RunRequest(routine, program, f"test_{next(_numbers)}", run_type, date, asked_by, params)
    return record.open_run(connection, request)


def do_work(
    connection: psycopg.Connection,
    work: Callable[[psycopg.Connection, Run], Outcome],
    business_date: dt.date | str,
    **params: Any,
) -> tuple[Run, Outcome]:
    """Open a run, do the work under the routine's lock in one transaction, and record it."""
    run = open_run(connection, business_date, **params)
    with record.routine_lock(connection, run.routine):
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        with connection.transaction():
            outcome = work(connection, run)
            record.record_step(connection, run.id, "work", outcome)
    return run, outcome


def counts(outcome: Outcome) -> tuple[int, int, int, int, int]:
    """selected, changed, unchanged, skipped, failed."""
    return (outcome.selected, outcome.changed, outcome.unchanged, outcome.skipped, outcome.failed)


def items(connection: psycopg.Connection, run: Run) -> list[tuple[Any, ...]]:
    """The records that a run names: kind, id, outcome, reason, detail."""
    return connection.execute(
        "select record_kind, record_id, outcome, reason, detail from crm.run_item "
        "where run_id = %s order by 1, 2",
        [run.id],
    ).fetchall()
