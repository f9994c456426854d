"""Benchmarks of account_data_refresh (crm338).

The incremental run is measured after two kinds of days, in both of which 0.1 % of the invoices change,
spread over the 24 hours:

- a usual day: of the changes 90 % are new invoices (of customers drawn by their earlier invoices, so that
  the frequent ones buy more), 5 % cancellations and 5 % corrections of a value; half of the cancelled and
  corrected invoices are of the last 30 days, the others older;
- the worst one: all changes are corrections, of invoices of any age.
"""

from __future__ import annotations

import datetime as dt
import itertools
import statistics
import subprocess
import sys
from pathlib import Path
from zoneinfo import ZoneInfo

import psycopg

from benchmarks.harness import Result, Sizes, benchmark, database, timed
from rotina.accounts.account_data_refresh import refresh_accounts
from rotina.runs import record
from rotina.runs.record import Outcome, RunRequest
from rotina.sql import statement

FIRST_DAY = dt.date(2026, 10, 1)
SAO_PAULO = ZoneInfo("America/Sao_Paulo")
ROUNDS = 5

_BARE = Path(__file__).parent / "sql"
_numbers = itertools.count(1)

_MEMORY = """
import datetime, pathlib, re, sys, psycopg
from rotina.runs import tasks  # what a task imports: Airflow and the hooks
from benchmarks.account_data_refresh import refresh

def peak():  # of this process alone; getrusage would count the parent's
    return re.search(r"VmHWM:\\s+(\\d+)", pathlib.Path("/proc/self/status").read_text())[1]

before = peak()
with psycopg.connect(sys.argv[1], autocommit=True, cursor_factory=psycopg.ClientCursor) as connection:
    refresh(connection, datetime.date.fromisoformat(sys.argv[2]), full=True)
print(before, peak())
"""


def refresh(connection: psycopg.Connection, business_date: dt.date, **params: object) -> Outcome:
    """One run of the routine: its record, its lock, its transaction."""
    request = RunRequest(
        "account_data_refresh", "crm338", f"bench_{next(_numbers)}", "manual", business_date, None, params
    )
    run = record.open_run(connection, request)
    with record.routine_lock(connection, run.routine):
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        with connection.transaction():
            outcome = refresh_accounts(connection, run)
            record.record_step(connection, run.id, "refresh", outcome)
    record.close_run(connection, run.id, "succeeded")
    return outcome


def bare_aggregates(connection: psycopg.Connection, business_date: dt.date) -> None:
    """The baseline: the aggregate SQL with its best plan, written straight into tables."""
    connection.isolation_level = None
    connection.execute("drop table if exists crm.bare_purchase, crm.bare_quote")
    with connection.transaction():
        connection.execute(statement("account_data_refresh/tune_session"))
        connection.execute(statement("account_data_refresh/prefer_scan"))
        for name in ("bare_purchases", "bare_quotes"):
            text = (_BARE / f"{name}.sql").read_text(encoding="utf-8")
            connection.execute(text, {"business_date": business_date})  # type: ignore[call-overload]


def change_invoices(connection: psycopg.Connection, day: dt.date, **numbers: int) -> int:
    """Execute statements of benchmarks/sql that change invoices on a day, each so many; returns how many."""
    connection.isolation_level = None
    midnight = dt.datetime.combine(day, dt.time(), SAO_PAULO)
    changed = 0
    for name, number in numbers.items():
        text = (_BARE / f"{name}.sql").read_text(encoding="utf-8")
        values = {"day": day, "midnight": midnight, "number": number}
        changed += connection.execute(text, values).rowcount  # type: ignore[call-overload]
    connection.execute("vacuum analyze erp.invoice")
    return changed


@benchmark
def account_data_refresh(sizes: Sizes) -> list[Result]:
    """Full rebuild, first fill and daily incremental runs, against the bare aggregate SQL."""
    from rotina import demo  # not at the top: the process whose memory is measured does without it

    bare, rebuild, incremental, corrections = [], [], [], []
    changes = sizes.invoices // 1000
    days = (FIRST_DAY + dt.timedelta(days=number) for number in itertools.count(1))
    with database() as uri:
        with timed(f"load {sizes.accounts:,} accounts and {sizes.invoices:,} invoices") as load:
            demo.load(uri, accounts=sizes.accounts, invoices=sizes.invoices, seed=1, business_date=FIRST_DAY)
        with psycopg.connect(uri, autocommit=True, cursor_factory=psycopg.ClientCursor) as connection:
            connection.execute("vacuum analyze")
            with timed("first fill") as first:
                refresh(connection, FIRST_DAY)
            connection.execute("vacuum analyze")
            for _ in range(ROUNDS):
                day = next(days)
                new = changes * 9 // 10
                changed = change_invoices(
                    connection, day, add_new_invoices=new, cancel_and_correct_invoices=changes - new
                )
                with timed(f"incremental, {changed:,} invoices changed") as seconds:
                    outcome = refresh(connection, day)
                incremental += seconds
                print(f"    {outcome}")
                with timed("bare aggregates") as seconds:
                    bare_aggregates(connection, day)
                bare += seconds
                with timed("full rebuild") as seconds:
                    refresh(connection, day, full=True)
                rebuild += seconds
                day = next(days)
                changed = change_invoices(connection, day, correct_invoices=changes)
                with timed(f"incremental, {changed:,} invoices corrected") as seconds:
                    outcome = refresh(connection, day)
                corrections += seconds
                print(f"    {outcome}")
        memory = subprocess.run(
            [sys.executable, "-c", _MEMORY, uri, day.isoformat()], check=True, capture_output=True, text=True
        )
    before, after = (int(kilobytes) / 1024 for kilobytes in memory.stdout.split())
    print(f"    memory: {before:.0f} MB before the refresh, {after:.0f} MB after")
    baseline, full = statistics.median(bare), statistics.median(rebuild)

    def result(name: str, value: float, unit: str, against: str, base: float, goal: str | None) -> Result:
        return Result(f"account_data_refresh.{name}", value, unit, against, base, goal)

    return [
        result("full_rebuild", full, "s", "bare aggregates into tables", baseline, "<= 1.15"),
        result("first_fill", first[0], "s", "bare aggregates into tables", baseline, None),
        result("incremental", statistics.median(incremental), "s", "full rebuild", full, "<= 0.03"),
        result("incremental_corrections", statistics.median(corrections), "s", "full rebuild", full, None),
        result("memory_growth", after - before, "MB", "memory before", before, "<= 0.1"),
        result("memory", after, "MB", "limit in MB", 200, "<= 1"),
        Result("demo.load", load[0], "s", "limit in s", 120, "<= 1"),
    ]
