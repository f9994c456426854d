"""Days that a daily routine should have done and did not."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import psycopg
from psycopg.rows import class_row

from rotina.runs.agenda import WEEK, Entry
from rotina.runs.business_date import holiday_name
from rotina.sql import statement

_ONE_DAY = dt.timedelta(days=1)


@dataclass(frozen=True)
class MissedDay:
    """A day that a routine did not do, with the newest attempt at it."""

    routine: str
    business_date: dt.date
    scheduled_at: dt.datetime
    status: str | None
    """Of the newest run; `running` of one that does not end; None when there was none."""
    message: str | None
    started_at: dt.datetime | None


def expected_days(
    entry: Entry, at: dt.datetime, days_back: int, margin: dt.timedelta
) -> dict[dt.date, dt.datetime]:
    """The business dates that a daily routine should have done, in order, each with when it was to begin.

    Args:
        entry: the routine; it has hours.
        at: the time of the question.
        days_back: how many days before the local day of `at`.
        margin: how long after its hour a routine has for its day.
    """
    assert entry.hours
    today = at.astimezone(entry.zone).date()
    scheduled = {
        entry.business_date(day): dt.datetime.combine(day, entry.hours[0], entry.zone)
        for day in days_between(today - days_back * _ONE_DAY, today)
        if runs_on(entry, day)
    }
    return {date: begin for date, begin in scheduled.items() if begin + margin <= at}


def find_missed(
    connection: psycopg.Connection,
    expected: Mapping[str, Mapping[dt.date, dt.datetime]],
    began_after: dt.datetime,
) -> list[MissedDay]:
    """The days that no run did for good, by routine and day; a routine that never ran misses none.

    Args:
        connection: to the database with the run records.
        expected: of each routine the days that it should have done, as `expected_days` tells them.
        began_after: a run that began later may still do its day.
    """
    days = [(routine, day, begin) for routine, own in expected.items() for day, begin in own.items()]
    values = {
        "routines": [routine for routine, _, _ in days],
        "dates": [day for _, day, _ in days],
        "scheduled_at": [begin for _, _, begin in days],
        "began_after": began_after,
    }
    with connection.cursor(row_factory=class_row(MissedDay)) as cursor:
        return cursor.execute(statement("runs/list_missed_days"), values).fetchall()


def runs_on(entry: Entry, day: dt.date) -> bool:
    """Whether a routine has runs on a local day."""
    rests = entry.holidays == "skip" and holiday_name(entry.business_date(day))
    return WEEK[day.weekday()] in entry.days and not rests


def days_between(first: dt.date, last: dt.date) -> Iterator[dt.date]:
    """The days from `first` to `last`."""
    return (first + number * _ONE_DAY for number in range((last - first).days + 1))
