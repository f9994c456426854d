"""The business date: one day, however the run was started."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from zoneinfo import ZoneInfo

import pytest

from rotina.errors import SettingError
from rotina.runs.business_date import Occasion, business_date_of, holiday_name, refuse_future

SAO_PAULO = ZoneInfo("America/Sao_Paulo")


def utc(*moment: int) -> dt.datetime:
    return dt.datetime(*moment, tzinfo=dt.UTC)  # type: ignore[misc,arg-type]


MANUAL = Occasion("manual", None, None, None, utc(2026, 11, 20, 15))


@pytest.mark.parametrize(
    ("occasion", "expected"),
    [
        (replace(MANUAL, run_type="scheduled", partition_key="2026-11-18"), dt.date(2026, 11, 18)),
        (replace(MANUAL, run_type="backfill", partition_key="2024-02-29"), dt.date(2024, 2, 29)),
        (replace(MANUAL, param="2026-11-17"), dt.date(2026, 11, 17)),
        (replace(MANUAL, param="2026-11-17", partition_key="2026-11-18"), dt.date(2026, 11, 17)),
        (replace(MANUAL, partition_key=""), dt.date(2026, 11, 20)),
        (MANUAL, dt.date(2026, 11, 20)),
        # 22:30 in São Paulo is already tomorrow in UTC, and 02:59 UTC is still yesterday there
        (replace(MANUAL, run_after=utc(2026, 11, 19, 1, 30)), dt.date(2026, 11, 18)),
        (replace(MANUAL, run_after=utc(2026, 12, 1, 2, 59)), dt.date(2026, 11, 30)),
        (replace(MANUAL, run_after=utc(2026, 12, 1, 3, 0)), dt.date(2026, 12, 1)),
        (replace(MANUAL, run_after=utc(2024, 3, 1, 2, 0)), dt.date(2024, 2, 29)),
        (replace(MANUAL, run_after=utc(2027, 1, 1, 1, 0)), dt.date(2026, 12, 31)),
        (replace(MANUAL, logical_date=utc(2026, 11, 10, 12)), dt.date(2026, 11, 10)),
    ],
)
def test_business_date(occasion: Occasion, expected: dt.date) -> None:
    assert business_date_of(occasion, SAO_PAULO) == expected


@pytest.mark.parametrize(
    ("occasion", "expected"),
    [
        # What says a date means it, however the run was started.
        (replace(MANUAL, run_type="scheduled", partition_key="2026-11-18"), dt.date(2026, 11, 18)),
        (replace(MANUAL, run_type="backfill", partition_key="2024-02-29"), dt.date(2024, 2, 29)),
        (replace(MANUAL, param="2026-11-17"), dt.date(2026, 11, 17)),
        # Without one it is the day before the local day of the run.
        (MANUAL, dt.date(2026, 11, 19)),
        (replace(MANUAL, run_after=utc(2026, 12, 1, 2, 59)), dt.date(2026, 11, 29)),
        (replace(MANUAL, run_after=utc(2026, 12, 1, 3, 0)), dt.date(2026, 11, 30)),
        (replace(MANUAL, run_after=utc(2024, 3, 1, 8, 30)), dt.date(2024, 2, 29)),
        (replace(MANUAL, run_after=utc(2027, 1, 1, 8, 30)), dt.date(2026, 12, 31)),
        (replace(MANUAL, logical_date=utc(2026, 11, 10, 12)), dt.date(2026, 11, 9)),
    ],
)
def test_business_date_of_a_program_that_works_for_the_day_before(
    occasion: Occasion, expected: dt.date
) -> None:
    assert business_date_of(occasion, SAO_PAULO, day_offset=-1) == expected


@pytest.mark.parametrize(
    "value", ["2026-02-29", "20/11/2026", "2026-11-20T00:00", "yesterday", "", "2026-13-01", "20261120"]
)
def test_a_malformed_param_is_refused_by_name_and_value(value: str) -> None:
    with pytest.raises(SettingError) as error:
        business_date_of(replace(MANUAL, param=value), SAO_PAULO)
    assert "business_date" in str(error.value)
    assert repr(value) in str(error.value)


def test_a_malformed_partition_key_is_refused() -> None:
    with pytest.raises(SettingError, match="partition key = '2026-11'"):
        business_date_of(replace(MANUAL, partition_key="2026-11"), SAO_PAULO)


def test_a_backfill_with_one_date_for_all_its_runs_is_refused() -> None:
    occasion = replace(MANUAL, run_type="backfill", param="2026-11-17", partition_key="2026-11-18")
    with pytest.raises(SettingError, match="leave the param empty"):
        business_date_of(occasion, SAO_PAULO)


@pytest.mark.parametrize("now", [utc(2026, 11, 20, 12), utc(2026, 11, 21, 2, 59)])
def test_tomorrow_is_refused_and_today_is_not(now: dt.datetime) -> None:
    refuse_future(dt.date(2026, 11, 20), SAO_PAULO, now)
    with pytest.raises(SettingError, match=r"2026-11-21.*future.*today is 2026-11-20"):
        refuse_future(dt.date(2026, 11, 21), SAO_PAULO, now)


@pytest.mark.parametrize("now", [utc(2026, 11, 20, 12), utc(2026, 11, 21, 2, 59)])
def test_a_day_that_is_not_over_is_refused_where_the_program_works_for_the_day_before(
    now: dt.datetime,
) -> None:
    refuse_future(dt.date(2026, 11, 19), SAO_PAULO, now, day_offset=-1)
    with pytest.raises(SettingError, match=r"2026-11-20.*is not over; today is 2026-11-20"):
        refuse_future(dt.date(2026, 11, 20), SAO_PAULO, now, day_offset=-1)
    with pytest.raises(SettingError, match=r"2026-11-21.*future; today is 2026-11-20"):
        refuse_future(dt.date(2026, 11, 21), SAO_PAULO, now, day_offset=-1)


def test_brazilian_holidays() -> None:
    assert holiday_name(dt.date(2026, 9, 7)) == "Independência do Brasil"
    assert holiday_name(dt.date(2026, 9, 8)) is None
