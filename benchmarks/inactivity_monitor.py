"""Benchmark of inactivity_monitor (crm00356): five profiles, three years of movements."""

from __future__ import annotations

import datetime as dt
import itertools
import statistics
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.harness import Result, Sizes, benchmark, database, timed
from benchmarks.queue_dispatch import Queue
from rotina.accounts import inactivity_monitor as routine
from rotina.accounts.monitoring_profiles import ProfileSettings, save_profile, save_team
from rotina.runs import record
from rotina.runs.agenda import load_agenda
from rotina.runs.record import Outcome, RunRequest
from rotina.sql import statement

LAST_DAY = dt.date(2026, 11, 20)
ROUNDS = 5
USERS = 20

CRM = ["opportunity", "ticket", "task", "campaign_action"]
PROFILES = [
    ProfileSettings("1 sem contato", 120, CRM, ["u1", "u2"], transfer_to_team="vendas", notify_owners=True),
    ProfileSettings("2 sem atendimento", 180, ["ticket", "task"], ["u1"]),
    ProfileSettings("3 sem vendas", 270, ["opportunity", "campaign_action"], ["u3"], transfer_to_login="u4"),
    ProfileSettings("4 sem cotação", 365, ["ticket", "quote"], ["u5"], notify_owners=True),
    ProfileSettings("5 parados", 365, [*CRM, "quote", "order"], ["u6"]),
]

_BARE = Path(__file__).parent / "sql"
_numbers = itertools.count(1)


@benchmark
def inactivity_monitor(sizes: Sizes) -> list[Result]:
    """An ordinary day, and the same day again, against hand-written SQL that only computes what is new."""
    ordinary, bare, again, again_bare, wal = [], [], [], [], []
    zone = load_agenda().entry(routine.ROUTINE).zone
    with (
        database() as uri,
        psycopg.connect(uri, autocommit=True, cursor_factory=psycopg.ClientCursor) as connection,
    ):
        connection.execute("set time zone 'America/Sao_Paulo'")
        with timed(f"load {sizes.accounts:,} accounts and {sizes.movements:,} movements"):
            ids = _fill(connection, uri, sizes)
        with timed("first fill") as first:
            print(f"    {_monitor(connection, LAST_DAY - dt.timedelta(days=ROUNDS))}")
        connection.execute("vacuum analyze")
        for number in reversed(range(ROUNDS)):
            day = LAST_DAY - dt.timedelta(days=number)
            midnight = dt.datetime.combine(day + dt.timedelta(days=1), dt.time(), zone)
            values = {"day": day, "midnight": midnight, "ids": ids}
            with timed("bare SQL") as seconds:
                new = _bare(connection, values)
            bare += seconds
            with timed("ordinary day") as seconds:
                outcome = _monitor(connection, day)
            ordinary += seconds
            print(f"    {new:,} found: {outcome}")
            written = connection.execute("select count(*) from crm.inactive_account").fetchall()
            with timed("bare SQL again") as seconds:
                assert _bare(connection, values) == 0
            again_bare += seconds
            position = _position(connection)
            with timed("the same day again") as seconds:
                assert _monitor(connection, day).changed == 0
            again += seconds
            wal.append((_position(connection) - position) / 2**20)
            assert written == connection.execute("select count(*) from crm.inactive_account").fetchall()
        assert outcome.changed > 0

    def result(name: str, value: float, unit: str, against: str, base: float, goal: str | None) -> Result:
        return Result(f"inactivity_monitor.{name}", value, unit, against, base, goal)

    median = statistics.median
    return [
        result("ordinary_day", median(ordinary), "s", "bare SQL", median(bare), "<= 1.3"),
        result("same_day_again", median(again), "s", "bare SQL", median(again_bare), "<= 1.1"),
        result("same_day_again_wal", max(wal), "MB", "limit in MB", 1.0, "<= 1"),
        result("first_fill", first[0], "s", "bare SQL", median(bare), None),
    ]


def _fill(connection: psycopg.Connection, uri: str, sizes: Sizes) -> list[int]:
    """Accounts, movements, users, profiles and a gateway; returns the keys of the profiles."""
    connection.execute(
        "insert into crm.app_user (login, name, email) "
        "select 'u' || n, 'Usuário ' || n, 'u' || n || '@example.com' from generate_series(0, %s) n",
        [USERS - 1],
    )
    text = (_BARE / "add_movements.sql").read_text(encoding="utf-8")
    values = {"accounts": sizes.accounts, "movements": sizes.movements, "last_on": LAST_DAY}
    connection.execute(text, values)  # type: ignore[call-overload]
    Queue(uri, kind="smtp", settings={})
    save_team(connection, "vendas", [f"u{number}" for number in range(10)], "bench")
    ids = [save_profile(connection, profile, "bench") for profile in PROFILES]
    connection.execute("vacuum analyze")
    return ids


def _monitor(connection: psycopg.Connection, day: dt.date) -> Outcome:
    """One run of the routine: its record, its lock, its transaction."""
    request = RunRequest(routine.ROUTINE, "crm00356", f"bench_{next(_numbers)}", "manual", day, None, {})
    run = record.open_run(connection, request)
    with record.routine_lock(connection, run.routine):
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        with connection.transaction():
            outcome = routine.monitor_accounts(connection, run)
            record.record_step(connection, run.id, "monitor", outcome)
    record.close_run(connection, run.id, "succeeded")
    connection.isolation_level = None
    return outcome


def _bare(connection: psycopg.Connection, values: dict[str, Any]) -> int:
    text = (_BARE / "bare_inactive_accounts.sql").read_text(encoding="utf-8")
    with connection.transaction():
        connection.execute(statement("outbox/tune_session"))
        rows = connection.execute(text, values).rowcount  # type: ignore[call-overload]
        connection.execute("drop table bare_inactive_account")
    return rows


def _position(connection: psycopg.Connection) -> int:
    """Bytes of WAL ever written."""
    rows = connection.execute("select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint").fetchall()
    return int(rows[0][0])
