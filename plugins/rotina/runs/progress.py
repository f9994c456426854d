"""How far a routine has come: an older business date never overwrites a newer one."""

from __future__ import annotations

import datetime as dt

import psycopg
from psycopg.rows import scalar_row

from rotina.runs.record import Run
from rotina.sql import statement


def done_through(connection: psycopg.Connection, routine: str, scope: str = "") -> dt.date | None:
    """The newest business date that a routine has done for all accounts; None before the first.

    Args:
        connection: of the task role.
        routine: its name.
        scope: what the routine does one by one, as a monitoring profile; empty when it is one thing.
    """
    with connection.cursor(row_factory=scalar_row) as cursor:
        values = {"routine": routine, "scope": scope}
        found: dt.date | None = cursor.execute(statement("runs/get_progress"), values).fetchone()
    return found


def advance(connection: psycopg.Connection, run: Run, scope: str = "") -> None:
    """Note that a routine has done the business date of `run` for all accounts, in its transaction.

    Nothing is written when it had come as far before.
    """
    values = {"routine": run.routine, "scope": scope, "business_date": run.date, "run_id": run.id}
    connection.execute(statement("runs/advance_progress"), values)
