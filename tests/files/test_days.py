"""How a day of the file batch stands, as people see it, and that the delivery monitor sees the same."""

from __future__ import annotations

import datetime as dt
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from rotina.files import batches
from rotina.files.days import Day, list_days
from rotina.files.delivery_monitor import GRACE
from rotina.files.feeds import FEEDS
from rotina.sql import statement
from tests.files.monitor_data import FEEDS as ALL
from tests.files.monitor_data import SAO_PAULO, add_batch, add_run, local, set_up_batch

FIRST = "2026-11-19"
BEFORE, DUE = local("2026-11-20 08:59"), local("2026-11-20 09:00")

#: What the monitor calls it.
PROBLEMS = {
    "missing": {"batch_missing", "batch_incomplete"},
    "late": {"batch_undelivered", "batch_unverified"},
}


def stand(connection: psycopg.Connection, at: dt.datetime, day: str = FIRST) -> Day:
    settings = batches.find_settings(connection)
    assert settings is not None
    on = dt.date.fromisoformat(day)
    (found,) = list_days(connection, settings, on, on, at, SAO_PAULO)
    return found


def problems(connection: psycopg.Connection, at: dt.datetime, hours: int | None = None) -> set[str]:
    """What the monitor finds wrong with the day."""
    values = {
        "first_on": FIRST, "last_on": FIRST, "due_at": dt.time(9), "timezone": "America/Sao_Paulo", "at": at,
        "grace": GRACE, "watched_from": local(f"{FIRST} 01:00"), "acknowledge_within_hours": hours,
    }  # fmt: skip
    with connection.cursor(row_factory=dict_row) as cursor:
        found = cursor.execute(statement("delivery_monitor/list_batches"), values)
        return {row["problem"] for row in found} - {"batch_late", "batch_unacknowledged"}


def fill(owner: psycopg.Connection, rows: int = 3) -> None:
    """Give the files of all batches rows."""
    owner.execute(
        "update crm.file_batch_file set rows = %s, bytes = 100 where generated_at is not null", [rows]
    )


@pytest.mark.parametrize(
    ("batch", "at", "state", "way"),
    [
        (None, BEFORE, "waiting", "none"),
        (None, DUE, "missing", "none"),
        ({"made": False, "files": ()}, BEFORE, "waiting", "none"),
        ({"made": False, "files": ()}, DUE, "missing", "none"),
        ({"files": ALL[:3]}, BEFORE, "missing", "made"),
        ({}, BEFORE, "waiting", "made"),
        ({}, DUE, "late", "made"),
        ({"delivery_began_at": BEFORE}, BEFORE, "waiting", "going"),
        ({"delivery_began_at": BEFORE}, DUE, "late", "going"),
        ({"delivered": "2026-11-20 08:30", "verified_at": None}, BEFORE, "waiting", "unverified"),
        ({"delivered": "2026-11-20 08:30", "verified_at": None}, DUE, "late", "unverified"),
        ({"delivered": "2026-11-20 08:30"}, BEFORE, "complete", "delivered"),
        ({"delivered": "2026-11-20 09:00"}, DUE, "complete", "delivered"),
        ({"delivered": "2026-11-20 09:01"}, local("2026-11-20 10:00"), "complete", "delivered_late"),
    ],
)
def test_the_state_of_a_day(
    owner: psycopg.Connection, batch: dict[str, Any] | None, at: dt.datetime, state: str, way: str
) -> None:
    set_up_batch(owner, FIRST)
    if batch is not None:
        add_batch(owner, FIRST, **batch)
        fill(owner)
    day = stand(owner, at)
    assert (day.state, day.way) == (state, way)
    assert day.to_run == (state in PROBLEMS)
    found = problems(owner, at)
    assert found <= PROBLEMS.get(state, set())
    assert bool(found) == (state in PROBLEMS)


def test_a_file_that_is_not_there_is_told_by_itself(owner: psycopg.Connection) -> None:
    set_up_batch(owner, FIRST)
    add_batch(owner, FIRST, files=ALL[:3], delivered="2026-11-20 08:30")
    fill(owner)
    day = stand(owner, DUE)
    assert [day.file_state(feed.code) for feed in FEEDS] == ["complete"] * 3 + ["missing"]
    assert day.state == "missing"


@pytest.mark.parametrize("column", ["delivered_at", "verified_at"])
def test_a_batch_is_out_only_when_all_of_its_files_are(owner: psycopg.Connection, column: str) -> None:
    set_up_batch(owner, FIRST)
    add_batch(owner, FIRST, delivered="2026-11-20 08:30")
    query = f"update crm.file_batch_file set {column} = null where feed = 'orders'"
    owner.execute(query)  # type: ignore[call-overload]
    assert stand(owner, DUE).state == "late"
    assert len(problems(owner, DUE)) == 1


def test_empty_is_a_day_without_a_row_in_any_file(owner: psycopg.Connection) -> None:
    set_up_batch(owner, FIRST)
    add_batch(owner, FIRST, delivered="2026-11-20 08:30")
    fill(owner, rows=0)
    day = stand(owner, DUE)
    assert (day.state, {day.file_state(feed.code) for feed in FEEDS}) == ("empty", {"empty"})
    owner.execute("update crm.file_batch_file set rows = 1 where feed = 'customers'")
    day = stand(owner, DUE)
    assert day.state == "complete"
    assert [day.file_state(feed.code) for feed in FEEDS] == ["empty"] * 3 + ["complete"]


def test_a_correction_has_an_hour_and_is_late_after_it(owner: psycopg.Connection) -> None:
    set_up_batch(owner, FIRST)
    add_batch(owner, FIRST, delivered="2026-11-20 08:30", sequence=41)
    add_batch(owner, FIRST, revision=2, sequence=42, generated_at=local("2026-11-22 10:00"))
    fill(owner)
    for at, state in (("10:59", "correcting"), ("11:00", "late")):
        day = stand(owner, local(f"2026-11-22 {at}"))
        assert (day.state, day.sequence, day.corrects) == (state, 42, 41)
        assert bool(problems(owner, local(f"2026-11-22 {at}"))) == (state == "late")
    owner.execute(
        "update crm.file_batch set delivered_at = generated_at, verified_at = generated_at where revision = 2"
    )
    owner.execute("update crm.file_batch_file set delivered_at = generated_at, verified_at = generated_at")
    # It went out in time when it went out for the first time.
    day = stand(owner, local("2026-11-22 12:00"))
    assert (day.state, day.way) == ("complete", "delivered")


def test_what_the_partner_says(owner: psycopg.Connection) -> None:
    set_up_batch(owner, FIRST)
    add_batch(owner, FIRST, delivered="2026-11-20 06:00")
    assert stand(owner, DUE).answer is None
    owner.execute("update crm.daily_file_setting set acknowledge_within_hours = 4")
    assert stand(owner, local("2026-11-20 09:59")).answer == "awaited"
    assert stand(owner, local("2026-11-20 10:00")).answer == "overdue"
    owner.execute("update crm.file_batch set acknowledged_at = now()")
    assert stand(owner, local("2026-11-20 10:00")).answer == "acknowledged"


def test_a_day_that_is_being_run_needs_no_other_run(owner: psycopg.Connection) -> None:
    set_up_batch(owner, FIRST)
    add_run(owner, "daily_file_batch", FIRST, "2026-11-20 05:30", status="failed")
    day = stand(owner, DUE)
    assert (day.run_status, day.to_run) == ("failed", True)
    add_run(owner, "daily_file_batch", FIRST, "2026-11-20 09:30", status="running")
    day = stand(owner, DUE)
    assert (day.run_status, day.to_run, day.state) == ("running", False, "missing")


def test_nothing_is_expected_while_the_batch_is_off(owner: psycopg.Connection) -> None:
    set_up_batch(owner, FIRST, active=False)
    assert stand(owner, DUE).state == "off"
    add_batch(owner, FIRST, delivered="2026-11-20 08:30")
    fill(owner)
    assert stand(owner, DUE).state == "complete"


def test_days_are_those_of_sao_paulo(owner: psycopg.Connection) -> None:
    """Half an hour after midnight there it is 03:30 in UTC."""
    set_up_batch(owner, FIRST, due_at="00:30")
    at = dt.datetime(2026, 11, 20, 3, 30, tzinfo=dt.UTC)
    assert stand(owner, at).due_at == at
    assert stand(owner, at - dt.timedelta(seconds=1)).state == "waiting"
    assert stand(owner, at).state == "missing"


def test_days_before_the_first_are_left_out(owner: psycopg.Connection) -> None:
    set_up_batch(owner, "2024-02-10")
    settings = batches.find_settings(owner)
    assert settings is not None

    def dates(first: dt.date, last: dt.date) -> list[dt.date]:
        return [day.business_date for day in list_days(owner, settings, first, last, DUE, SAO_PAULO)]

    assert dates(dt.date(2024, 1, 1), dt.date(2024, 2, 9)) == []
    february = dates(dt.date(2024, 2, 1), dt.date(2024, 2, 29))
    assert (february[0], february[-1], len(february)) == (dt.date(2024, 2, 10), dt.date(2024, 2, 29), 20)
