"""Benchmarks of account_status_update (crm1003), with the ERP as its source.

A usual day adds the invoices that the demonstration data have per day, of customers drawn by their earlier
invoices, and takes the first day off the six months: some accounts come back, others become inactive.
"""

from __future__ import annotations

import datetime as dt
import itertools
import statistics
from pathlib import Path

import psycopg

from benchmarks.account_data_refresh import FIRST_DAY, change_invoices
from benchmarks.harness import Result, Sizes, benchmark, database, timed
from rotina.accounts.account_status_update import ROUTINE, update_status
from rotina.runs import record
from rotina.runs.record import Outcome, RunRequest
from rotina.sql import statement

ROUNDS = 5
#: The demonstration data spread their invoices over six years.
DAYS_OF_INVOICES = 6 * 365

_SQL = Path(__file__).parent / "sql"
_numbers = itertools.count(1)


@benchmark
def account_status_update(sizes: Sizes) -> list[Result]:
    """A usual day, a run in which nothing changes, and the first fill, against the bare computation."""
    from rotina import demo

    bare, usual, unchanged, written = [], [], [], []
    days = (FIRST_DAY + dt.timedelta(days=number) for number in itertools.count(1))
    with database() as uri:
        with timed(f"load {sizes.accounts:,} accounts and {sizes.invoices:,} invoices"):
            demo.load(uri, accounts=sizes.accounts, invoices=sizes.invoices, seed=1, business_date=FIRST_DAY)
        with psycopg.connect(uri, autocommit=True, cursor_factory=psycopg.ClientCursor) as connection:
            connection.execute((_SQL / "add_more_orders.sql").read_bytes())
            connection.execute("vacuum analyze")
            with timed("first fill") as first:
                outcome = update(connection, FIRST_DAY)
            print(f"    {outcome}")
            for _ in range(ROUNDS):
                day = next(days)
                change_invoices(connection, day, add_new_invoices=sizes.invoices // DAYS_OF_INVOICES)
                connection.execute("vacuum analyze")
                connection.execute("checkpoint")
                with timed("bare computation") as seconds:
                    compute(connection, day)
                bare += seconds
                with timed("usual day") as seconds:
                    outcome = update(connection, day)
                usual += seconds
                print(f"    {outcome}")
                connection.execute("vacuum crm.account")
                before = wal_position(connection)
                with timed("nothing changes") as seconds:
                    outcome = update(connection, day)
                unchanged += seconds
                written.append((wal_position(connection) - before) / 2**20)
                assert outcome.changed == 0, outcome
                with timed("bare computation") as seconds:
                    compute(connection, day)
                bare += seconds
    baseline, name = statistics.median(bare), "bare computation"

    def result(figure: str, value: float, goal: str | None) -> Result:
        return Result(f"{ROUTINE}.{figure}", value, "s", name, baseline, goal)

    return [
        result("usual_day", statistics.median(usual), "<= 1.3"),
        result("nothing_changes", statistics.median(unchanged), "<= 1.1"),
        result("first_fill", first[0], None),
        Result(f"{ROUTINE}.nothing_changes_wal", max(written), "MB", "limit in MB", 1, "<= 1"),
    ]


def update(connection: psycopg.Connection, business_date: dt.date) -> Outcome:
    """One run of the routine: its record, its lock, its transaction."""
    request = RunRequest(ROUTINE, "crm1003", f"bench_{next(_numbers)}", "manual", business_date, None, {})
    run = record.open_run(connection, request)
    with record.routine_lock(connection, run.routine):
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        with connection.transaction():
            outcome = update_status(connection, run)
            record.record_step(connection, run.id, "update", outcome)
    connection.isolation_level = None
    record.close_run(connection, run.id, "succeeded")
    return outcome


def compute(connection: psycopg.Connection, business_date: dt.date) -> None:
    """The baseline: the status of all accounts, with the best plan that we know, written nowhere."""
    query = (_SQL / "bare_account_status.sql").read_text(encoding="utf-8")
    with connection.transaction():
        connection.execute(statement(f"{ROUTINE}/tune_session"))
        since = connection.execute(
            "select (%s::date - interval '6 months')::date", [business_date]
        ).fetchone()
        assert since is not None
        connection.execute(query, {"business_date": business_date, "since": since[0]})  # type: ignore[call-overload]


def wal_position(connection: psycopg.Connection) -> int:
    """How many bytes of write-ahead log there have been."""
    row = connection.execute("select pg_current_wal_insert_lsn() - '0/0'").fetchone()
    assert row is not None
    return int(row[0])
