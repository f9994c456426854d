"""The business date: the day that a run works for, the same however the run was started."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from functools import cache
from zoneinfo import ZoneInfo

import holidays

from rotina.errors import SettingError


@dataclass(frozen=True)
class Occasion:
    """What Airflow tells of a run that its business date can be read from."""

    run_type: str
    param: str | None
    partition_key: str | None
    logical_date: dt.datetime | None
    run_after: dt.datetime


def business_date_of(occasion: Occasion, zone: ZoneInfo, day_offset: int = 0) -> dt.date:
    """The business date of a run: the param if given, else the partition key, else the local date it was due,
    moved by the offset of its program (rotina.runs.agenda).

    Raises:
        SettingError: the param or the partition key is no date, or a backfill carries a param.
    """
    if occasion.param is not None and occasion.run_type == "backfill":
        raise SettingError(
            "business_date",
            occasion.param,
            "a backfill gives every run its own date; leave the param empty",
        )
    if occasion.param is not None:
        return _parse("business_date", occasion.param)
    if occasion.partition_key:  # the UI can send a blank one
        return _parse("partition key", occasion.partition_key)
    return today_in(zone, occasion.logical_date or occasion.run_after) + dt.timedelta(days=day_offset)


def today_in(zone: ZoneInfo, now: dt.datetime | None = None) -> dt.date:
    """The date that it really is in a time zone, which a business date may be compared with.

    Args:
        zone: the time zone of the business date.
        now: an instant; None: the clock of this machine.
    """
    return (now or dt.datetime.now(zone)).astimezone(zone).date()


def refuse_future(
    business_date: dt.date, zone: ZoneInfo, now: dt.datetime | None = None, *, day_offset: int = 0
) -> None:
    """Refuse a business date that has not begun in its time zone, or that is not over for a program that
    works for the day before (`day_offset` -1).

    Raises:
        SettingError: it is too early for the date.
    """
    today = today_in(zone, now)
    if business_date > today + dt.timedelta(days=day_offset):
        problem = "lies in the future" if business_date > today else "is not over"
        raise SettingError(
            "business_date", business_date.isoformat(), f"{problem}; today is {today.isoformat()}"
        )


def holiday_name(business_date: dt.date) -> str | None:
    """Name of the Brazilian national holiday on a date, in Portuguese; None on other days."""
    name = _calendar().get(business_date)
    return str(name) if name else None


@cache
def _calendar() -> holidays.HolidayBase:
    return holidays.country_holidays("BR", language="pt_BR")


def _parse(field: str, value: str) -> dt.date:
    try:
        return dt.datetime.strptime(value, "%Y-%m-%d").date()  # noqa: DTZ007 - a business date has no zone
    except ValueError:
        raise SettingError(field, value, "is not a date; write it as 2026-11-20") from None
