"""Send windows: when a gateway may send, by the wall clock of its time zone.

A moment is inside a window when the local clock shows a time that is. So an hour that the clock shows twice
counts twice, and one that it leaves out is not there. Nothing here asks what time it is.
"""

from __future__ import annotations

import datetime as dt
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from typing import get_args
from zoneinfo import ZoneInfo

from rotina.messaging.gateways import Day, Window
from rotina.runs.business_date import holiday_name

#: How many days ahead an opening or a closing is looked for.
HORIZON_DAYS = 60

_DAYS: tuple[Day, ...] = get_args(Day)
_MIDNIGHT = dt.time(0)
_ONE_DAY = dt.timedelta(days=1)

Span = tuple[dt.datetime, dt.datetime]


def open_until(windows: Iterable[Window], zone: ZoneInfo, at: dt.datetime) -> dt.datetime | None:
    """When the window that is open at `at` closes, in UTC; None when none is open.

    Windows that touch or overlap are one, over midnight too. Of windows that never close it is the end of
    the days looked at (`HORIZON_DAYS` after `at`).

    Raises:
        ValueError: `at` has no time zone.
    """
    for opens, closes in _spans(windows, zone, at):
        return closes if opens == at else None
    return None


def opens_next(windows: Iterable[Window], zone: ZoneInfo, at: dt.datetime) -> dt.datetime | None:
    """When a window opens next after `at`, in UTC; None when none does within `HORIZON_DAYS`.

    While one is open, it is the opening after its closing.

    Raises:
        ValueError: `at` has no time zone.
    """
    for opens, _ in _spans(windows, zone, at):
        if opens > at:
            return opens
    return None


def day_of(date: dt.date) -> Day:
    """Which day's windows a date has: its weekday, or `holiday` on a Brazilian national holiday."""
    return "holiday" if holiday_name(date) else _DAYS[date.weekday()]


def _spans(windows: Iterable[Window], zone: ZoneInfo, at: dt.datetime) -> Iterator[Span]:
    """The stretches of time from `at` on that lie in windows, in order; those that touch are one."""
    if at.tzinfo is None:
        raise ValueError(f"{at} has no time zone")
    hours: dict[str, list[Window]] = {}
    for window in sorted(windows, key=lambda window: window.opens_at):
        hours.setdefault(window.day, []).append(window)

    current: Span | None = None
    for opens, closes in _pieces(hours, zone, at.astimezone(dt.UTC)):
        if current and opens <= current[1]:
            current = current[0], max(current[1], closes)
            continue
        if current:
            yield current
        current = opens, closes
    if current:
        yield current


def _pieces(hours: dict[str, list[Window]], zone: ZoneInfo, at: dt.datetime) -> Iterator[Span]:
    """Each window's part of each stretch of time in which the clock runs evenly, in order of opening."""
    for begins, ends in _even_stretches(zone, at):
        offset = _offset(zone, begins)
        day = (begins + offset).date()
        while day <= (ends + offset).date():
            midnight = dt.datetime.combine(day, _MIDNIGHT, dt.UTC) - offset
            for window in hours.get(day_of(day), ()):
                opens = max(begins, midnight + _since_midnight(window.opens_at))
                closes_at = _since_midnight(window.closes_at) if window.closes_at else _ONE_DAY
                closes = min(ends, midnight + closes_at)
                if opens < closes:
                    yield opens, closes
            day += _ONE_DAY


def _even_stretches(zone: ZoneInfo, at: dt.datetime) -> Iterator[Span]:
    """The days from `at` on, cut where the zone's clock is put forward or back."""
    for number in range(HORIZON_DAYS):
        begins = at + number * _ONE_DAY
        ends = begins + _ONE_DAY
        if _offset(zone, begins) == _offset(zone, ends):
            yield begins, ends
        else:
            change = _change(zone, begins, ends)
            yield begins, change
            yield change, ends


def _change(zone: ZoneInfo, before: dt.datetime, after: dt.datetime) -> dt.datetime:
    """When the clock changes between two moments with different offsets; zones change on whole seconds."""
    old = _offset(zone, before)
    first = before.replace(microsecond=0)
    seconds = range(int((after - before).total_seconds()) + 1)
    changed = bisect_left(
        seconds, True, key=lambda second: _offset(zone, first + dt.timedelta(seconds=second)) != old
    )
    return first + dt.timedelta(seconds=changed)


def _offset(zone: ZoneInfo, moment: dt.datetime) -> dt.timedelta:
    offset = moment.astimezone(zone).utcoffset()
    assert offset is not None
    return offset


def _since_midnight(time: dt.time) -> dt.timedelta:
    return dt.timedelta(
        hours=time.hour, minutes=time.minute, seconds=time.second, microseconds=time.microsecond
    )
