"""Benchmarks of class_transition (crm251): fifty rules over all accounts."""

from __future__ import annotations

import datetime as dt
import itertools
import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.harness import Result, Sizes, benchmark, database, timed
from rotina.accounts.class_rules import RuleSettings, load_rules, save_class, save_rule
from rotina.accounts.class_transition import move_accounts
from rotina.runs import record
from rotina.runs.record import Outcome, RunRequest
from rotina.sql import statement

FIRST_DAY = dt.date(2026, 10, 1)
ROUNDS = 5

#: From one class to the next, the accumulated value that it takes.
CLASSES = {"C1": 0, "C2": 5_000, "C3": 10_000, "C4": 15_000, "C5": 20_000, "C6": 30_000}
KINDS = ("person", "company")

_SQL = Path(__file__).parent / "sql"
_numbers = itertools.count(1)

Parts = list[tuple[str, str, Any]]


def rules() -> Iterator[tuple[str | None, str, Parts]]:
    """Source, target and conditions of fifty rules: up, down, and into a class, for each kind of account."""
    names = list(CLASSES)
    for kind in KINDS:
        mine = ("kind", "=", kind)
        for lower, upper in itertools.pairwise(names):
            least = CLASSES[upper]
            value = "accumulated_value"
            yield lower, upper, [mine, (value, ">=", least), ("days_since_last_purchase", "<=", 365)]
            yield lower, upper, [mine, (value, ">=", least * 9 // 10), ("purchase_count", ">=", 100)]
            yield upper, lower, [mine, (value, "<", least // 2)]
            yield upper, lower, [mine, (value, "<", least * 9 // 10), ("days_since_last_purchase", ">", 1000)]
            yield (
                None,
                lower,
                [mine, (value, "<", least), (value, ">=", CLASSES[lower]), ("class", "is_empty", None)],
            )


def _as_json(parts: Parts) -> dict[str, Any]:
    def condition(field: str, op: str, value: Any) -> dict[str, Any]:
        return {"field": field, "op": op} | ({} if value is None else {"value": value})

    return {"all": [condition(*part) for part in parts]}


def _as_sql(parts: Parts, day: dt.date) -> str:
    columns = {
        "kind": "a.kind",
        "class": "a.class_id",
        "accumulated_value": "coalesce(s.accumulated_value, 0)",
        "purchase_count": "coalesce(s.purchase_count, 0)",
        "days_since_last_purchase": (
            f"(case when s.last_purchase_date <= date '{day}' then date '{day}' - s.last_purchase_date end)"
        ),
    }
    return " and ".join(
        f"{columns[field]} is null" if op == "is_empty" else f"{columns[field]} {op} {value!r}"
        for field, op, value in parts
    )


def bare_statement(ids: dict[str, int], day: dt.date) -> str:
    """What somebody would write by hand: of the rules of each class the first that holds."""
    numbered = list(enumerate(rules(), 1))

    def first(source: str | None) -> str:
        whens = "\n".join(
            f"when {_as_sql(parts, day)} then {number}"
            for number, (one, _, parts) in numbered
            if one == source
        )
        return f"case {whens} end"

    by_class = "\n".join(f"when {ids[name]} then {first(name)}" for name in CLASSES)
    return (
        "select * from (\n"
        f"select a.id, a.class_id, case a.class_id {by_class} else {first(None)} end as rule\n"
        "from crm.account a left join crm.account_supplementary s on s.account_id = a.id where a.active\n"
        ") as moving where rule is not null"
    )


@benchmark
def class_transition(sizes: Sizes) -> list[Result]:
    """A day on which 0.1 % of the accounts are to move, and the same day again, against bare SQL.

    The bare SQL fetches whom each of the fifty rules moves, with the memory and the parallel plan that the
    routine has.
    """
    seconds: dict[str, list[float]] = {}
    wal: list[int] = []
    moved: list[int] = []
    with (
        database() as uri,
        psycopg.connect(uri, autocommit=True, cursor_factory=psycopg.ClientCursor) as connection,
    ):
        ids = {name: save_class(connection, name, "bench") for name in CLASSES}
        for number, (source, target, parts) in enumerate(rules(), 1):
            save_rule(
                connection, RuleSettings(f"{number}", target, number, _as_json(parts), source=source), "bench"
            )
        assert len(load_rules(connection)) == 50
        _execute(connection, "add_class_accounts", number=sizes.accounts, business_date=FIRST_DAY)
        days = (FIRST_DAY + dt.timedelta(days=number) for number in itertools.count())
        connection.execute("vacuum analyze")
        with timed("first run, all accounts get a class"):
            _move(connection, next(days))
        while (outcome := _move(connection, next(days))).changed:
            print(f"    {outcome.changed:,} accounts have not come to rest")
        connection.execute("vacuum analyze")

        for _round in range(ROUNDS):
            day = next(days)
            _execute(connection, "change_class_accounts", number=sizes.accounts // 1000, day=day)
            _settle(connection)
            with _measured("bare SQL", seconds), connection.transaction():
                connection.execute(statement("class_transition/tune_session"))
                found = connection.execute(bare_statement(ids, day)).fetchall()  # type: ignore[call-overload]
            with _measured("ordinary day", seconds):
                outcome = _move(connection, day)
            assert outcome.changed == len(found) > 0, (outcome, len(found))
            moved.append(outcome.changed)
            _settle(connection)
            before = _wal(connection)
            with _measured("nothing changes", seconds):
                assert _move(connection, day).changed == 0
            wal.append(_wal(connection) - before)
    print(f"    {statistics.median(moved):,} of {sizes.accounts:,} accounts moved")
    median = {name: statistics.median(found) for name, found in seconds.items()}

    def result(name: str, measured: str, goal: str) -> Result:
        return Result(f"class_transition.{name}", median[measured], "s", "bare SQL", median["bare SQL"], goal)

    return [
        result("ordinary_day", "ordinary day", "<= 1.3"),
        result("nothing_changes", "nothing changes", "<= 1.1"),
        Result("class_transition.wal", max(wal) / 2**20, "MB", "limit in MB", 1, "<= 1"),
    ]


def _move(connection: psycopg.Connection, day: dt.date) -> Outcome:
    """One run of the routine: its record, its lock, its transaction."""
    connection.execute(
        "insert into crm.account_data_state (refreshed_through_on, run_id) values (%s, 0) "
        "on conflict (singleton) do update set refreshed_through_on = excluded.refreshed_through_on",
        [day],
    )
    request = RunRequest("class_transition", "crm251", f"bench_{next(_numbers)}", "manual", day, None, {})
    run = record.open_run(connection, request)
    with record.routine_lock(connection, run.routine):
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        with connection.transaction():
            outcome = move_accounts(connection, run)
            record.record_step(connection, run.id, "move", outcome)
    connection.isolation_level = None
    record.close_run(connection, run.id, "succeeded")
    return outcome


def _settle(connection: psycopg.Connection) -> None:
    """No measurement pays for what the one before it, or the change of the data, left to be done."""
    connection.execute("vacuum analyze crm.account, crm.account_supplementary, crm.account_class_change")
    connection.execute("checkpoint")


def _wal(connection: psycopg.Connection) -> int:
    (position,) = connection.execute("select pg_current_wal_insert_lsn() - '0/0'").fetchone() or (0,)
    return int(position)


def _execute(connection: psycopg.Connection, name: str, **values: Any) -> None:
    connection.execute((_SQL / f"{name}.sql").read_text(encoding="utf-8"), values)


@contextmanager
def _measured(name: str, seconds: dict[str, list[float]]) -> Iterator[None]:
    with timed(name) as measured:
        yield
    seconds.setdefault(name, []).extend(measured)
