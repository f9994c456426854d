"""Send windows: open and closed by the wall clock, over midnight, on holidays, when the clock changes."""

from __future__ import annotations

import datetime as dt
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotina.messaging.gateways import Day, Window
from rotina.messaging.send_windows import HORIZON_DAYS, day_of, open_until, opens_next
from tests.messaging.queue_data import DAYS

SAO_PAULO = ZoneInfo("America/Sao_Paulo")
NEW_YORK = ZoneInfo("America/New_York")
WEEKDAYS: tuple[Day, ...] = ("monday", "tuesday", "wednesday", "thursday", "friday")


def window(day: Day, hours: str) -> Window:
    """`08:00-20:00`; 24:00 is the end of the day."""
    opens_at, closes_at = hours.split("-")
    return Window(
        day,
        dt.time.fromisoformat(opens_at),
        None if closes_at == "24:00" else dt.time.fromisoformat(closes_at),
    )


def every_day(hours: str) -> list[Window]:
    return [window(day, hours) for day in DAYS]  # type: ignore[arg-type]


OFFICE = [*(window(day, "08:00-20:00") for day in WEEKDAYS), window("saturday", "09:00-14:00")]
ALWAYS = every_day("00:00-24:00")


def local(text: str, zone: ZoneInfo = SAO_PAULO, fold: int = 0) -> dt.datetime:
    """A local time, `2026-11-19 08:00`, in UTC."""
    return dt.datetime.fromisoformat(text).replace(tzinfo=zone, fold=fold).astimezone(dt.UTC)


@pytest.mark.parametrize(
    ("at", "closes"),
    [
        ("2026-11-19 08:00", "2026-11-19 20:00"),  # a Thursday
        ("2026-11-19 19:59:59.999999", "2026-11-19 20:00"),
        ("2026-11-19 07:59:59.999999", None),
        ("2026-11-19 20:00", None),
        ("2026-11-21 09:00", "2026-11-21 14:00"),  # Saturday
        ("2026-11-21 14:00", None),
        ("2026-11-22 12:00", None),  # Sunday
        ("2026-11-20 12:00", None),  # a Friday, but a holiday
        ("2026-12-25 12:00", None),
        ("2026-11-30 19:59", "2026-11-30 20:00"),
        ("2024-02-29 12:00", "2024-02-29 20:00"),
    ],
)
def test_open_until(at: str, closes: str | None) -> None:
    assert open_until(OFFICE, SAO_PAULO, local(at)) == (closes and local(closes))


@pytest.mark.parametrize(
    ("at", "opens"),
    [
        ("2026-11-19 07:00", "2026-11-19 08:00"),
        ("2026-11-19 08:00", "2026-11-21 09:00"),  # open now: the next one, past the holiday
        ("2026-11-19 20:00", "2026-11-21 09:00"),
        ("2026-11-21 14:00", "2026-11-23 08:00"),
        ("2026-11-30 21:00", "2026-12-01 08:00"),
        ("2024-02-28 21:00", "2024-02-29 08:00"),
        ("2024-02-29 21:00", "2024-03-01 08:00"),
        ("2026-12-24 20:30", "2026-12-26 09:00"),
        ("2026-12-31 20:30", "2027-01-02 09:00"),
    ],
)
def test_opens_next(at: str, opens: str) -> None:
    assert opens_next(OFFICE, SAO_PAULO, local(at)) == local(opens)


def test_the_answer_is_in_utc_whatever_the_zone_of_the_question() -> None:
    at = dt.datetime(2026, 11, 19, 20, 30, tzinfo=ZoneInfo("Asia/Tokyo"))  # 08:30 in São Paulo
    closes = open_until(OFFICE, SAO_PAULO, at)
    assert closes is not None
    assert closes.tzinfo is dt.UTC
    assert closes.isoformat() == "2026-11-19T23:00:00+00:00"


def test_a_moment_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        open_until(OFFICE, SAO_PAULO, dt.datetime(2026, 11, 19, 12))  # noqa: DTZ001


def test_the_windows_of_a_holiday_take_the_place_of_its_weekday() -> None:
    windows = [*OFFICE, window("holiday", "10:00-12:00")]
    assert open_until(windows, SAO_PAULO, local("2026-11-20 08:30")) is None
    assert opens_next(windows, SAO_PAULO, local("2026-11-20 08:30")) == local("2026-11-20 10:00")
    assert open_until(windows, SAO_PAULO, local("2026-11-20 11:00")) == local("2026-11-20 12:00")
    assert [day_of(dt.date(2026, 11, day)) for day in (19, 20, 21)] == ["thursday", "holiday", "saturday"]


def test_over_midnight_windows_that_touch_are_one() -> None:
    windows = [
        window("thursday", "22:00-24:00"),
        window("holiday", "00:00-06:00"),
        window("friday", "00:00-05:00"),
    ]
    assert open_until(windows, SAO_PAULO, local("2026-11-19 23:59:59")) == local("2026-11-20 06:00")
    assert open_until(windows, SAO_PAULO, local("2026-11-26 23:30")) == local("2026-11-27 05:00")
    assert open_until(windows, SAO_PAULO, local("2026-11-20 00:00")) == local("2026-11-20 06:00")
    assert opens_next(windows, SAO_PAULO, local("2026-11-19 22:30")) == local("2026-11-26 22:00")


def test_windows_of_a_day_that_overlap_or_touch_are_one() -> None:
    windows = [
        window("thursday", hours) for hours in ("12:00-14:00", "08:00-13:00", "14:00-15:00", "09:00-10:00")
    ]
    assert open_until(windows, SAO_PAULO, local("2026-11-19 08:00")) == local("2026-11-19 15:00")


def test_windows_that_never_close_are_looked_at_to_the_horizon() -> None:
    at = local("2026-11-19 12:34")
    assert open_until(ALWAYS, SAO_PAULO, at) == at + dt.timedelta(days=HORIZON_DAYS)
    assert opens_next(ALWAYS, SAO_PAULO, at) is None


def test_no_opening_within_the_horizon() -> None:
    assert opens_next([], SAO_PAULO, local("2026-11-19 12:00")) is None
    holidays_only = [window("holiday", "08:00-20:00")]
    assert opens_next(holidays_only, SAO_PAULO, local("2026-05-02 12:00")) is None  # the next is 7 September
    assert opens_next(holidays_only, SAO_PAULO, local("2026-07-15 12:00")) == local("2026-09-07 08:00")


@pytest.mark.parametrize(
    ("hours", "at", "closes"),
    [
        # On 8 March 2026 the clock of New York goes from 02:00 to 03:00.
        ("01:00-02:30", local("2026-03-08 01:30", NEW_YORK), local("2026-03-08 03:00", NEW_YORK)),
        ("01:00-04:00", local("2026-03-08 01:30", NEW_YORK), local("2026-03-08 04:00", NEW_YORK)),
        ("02:30-04:00", local("2026-03-08 03:00", NEW_YORK), local("2026-03-08 04:00", NEW_YORK)),
        ("02:30-04:00", local("2026-03-08 01:59", NEW_YORK), None),
        # On 1 November 2026 it goes from 02:00 back to 01:00.
        ("00:00-01:30", local("2026-11-01 01:10", NEW_YORK), local("2026-11-01 01:30", NEW_YORK)),
        ("00:00-01:30", local("2026-11-01 01:40", NEW_YORK), None),
        ("00:00-01:30", local("2026-11-01 01:10", NEW_YORK, 1), local("2026-11-01 01:30", NEW_YORK, 1)),
        ("01:15-03:00", local("2026-11-01 01:20", NEW_YORK), local("2026-11-01 01:00", NEW_YORK, 1)),
        ("01:15-03:00", local("2026-11-01 01:20", NEW_YORK, 1), local("2026-11-01 03:00", NEW_YORK)),
        ("00:00-04:00", local("2026-11-01 00:30", NEW_YORK), local("2026-11-01 04:00", NEW_YORK)),
    ],
)
def test_when_the_clock_changes(hours: str, at: dt.datetime, closes: dt.datetime | None) -> None:
    assert open_until(every_day(hours), NEW_YORK, at) == closes


def test_an_hour_that_the_clock_shows_twice_opens_twice() -> None:
    windows = every_day("00:00-01:30")
    first_closing = local("2026-11-01 01:30", NEW_YORK)
    assert opens_next(windows, NEW_YORK, first_closing) == local("2026-11-01 01:00", NEW_YORK, 1)


def test_an_opening_that_the_clock_leaves_out_is_when_it_goes_on() -> None:
    # In 2018 the clocks of São Paulo went from midnight to 01:00 on 4 November.
    assert opens_next(every_day("00:30-06:00"), SAO_PAULO, local("2018-11-03 23:00")) == local(
        "2018-11-04 01:00"
    )
    assert opens_next(every_day("00:15-00:45"), SAO_PAULO, local("2018-11-03 23:00")) == local(
        "2018-11-05 00:15"
    )


_CHANGES = [dt.datetime(2026, 3, 8, 7, tzinfo=dt.UTC), dt.datetime(2026, 11, 1, 6, tzinfo=dt.UTC)]
_MINUTES = st.integers(0, 24 * 60)


@given(
    hours=st.lists(
        st.tuples(st.sampled_from(DAYS), _MINUTES, _MINUTES).filter(lambda item: item[1] < item[2]),
        max_size=5,
    ),
    at=st.builds(
        lambda change, minutes: change + dt.timedelta(minutes=minutes),
        st.sampled_from(_CHANGES),
        st.integers(-3000, 3000),
    ),
)
def test_any_windows_agree_with_the_clock_on_the_wall(
    hours: list[tuple[Day, int, int]], at: dt.datetime
) -> None:
    def time(minutes: int) -> dt.time | None:
        return dt.time(minutes // 60, minutes % 60) if minutes < 24 * 60 else None

    def is_open(moment: dt.datetime) -> bool:
        clock = moment.astimezone(NEW_YORK)
        minutes = clock.hour * 60 + clock.minute
        return any(day == day_of(clock.date()) and opens <= minutes < closes for day, opens, closes in hours)

    windows = [Window(day, time(opens) or dt.time(), time(closes)) for day, opens, closes in hours]
    minute = dt.timedelta(minutes=1)
    closes, opens = open_until(windows, NEW_YORK, at), opens_next(windows, NEW_YORK, at)
    following = [at + number * minute for number in range(2 * 24 * 60)]
    if closes is None:
        assert not is_open(at)
    else:
        assert all(is_open(moment) for moment in following if moment < closes)
        assert not is_open(closes) or closes == at + dt.timedelta(days=HORIZON_DAYS)
    if opens is not None:
        assert is_open(opens)
        assert not is_open(opens - minute)
    opening = next((b for a, b in pairwise(following) if not is_open(a) and is_open(b)), None)
    assert opening is None or opening == opens
