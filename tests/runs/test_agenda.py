"""The agenda: what it accepts, and errors that name the entry and the field."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest
import yaml

from rotina.errors import SettingError
from rotina.runs.agenda import load_agenda

ENTRY = {
    "program": "crm338",
    "routine": "account_data_refresh",
    "days": ["monday", "friday"],
    "hours": ["04:30"],
    "timezone": "America/Sao_Paulo",
    "holidays": "skip",
    "active": True,
}


def agenda_with(folder: Path, *entries: dict[str, Any]) -> Path:
    path = folder / "agenda.yaml"
    path.write_text(yaml.safe_dump({"programs": list(entries)}))
    return path


def test_the_agenda_of_this_project_is_valid_and_in_the_order_of_the_day() -> None:
    hours = [entry.hours[0] for entry in load_agenda().daily() if entry.hours]
    assert hours
    assert hours == sorted(hours)


@pytest.mark.parametrize(
    ("changes", "cron"),
    [
        ({}, "30 4 * * 1,5"),
        ({"hours": ["16:30", "04:30"]}, "30 4,16 * * 1,5"),
        (
            {"days": ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]},
            "30 4 * * *",
        ),
        ({"days": ["sunday"]}, "30 4 * * 0"),
        ({"hours": None, "every_minutes": 5}, "*/5 * * * 1,5"),
        ({"hours": None, "every_minutes": 60}, "0 * * * 1,5"),
    ],
)
def test_an_entry_becomes_a_cron_expression(tmp_path: Path, changes: dict[str, Any], cron: str) -> None:
    agenda = load_agenda(agenda_with(tmp_path, {**ENTRY, **changes}))
    assert agenda.entry("account_data_refresh").cron == cron


@pytest.mark.parametrize(
    ("changes", "field", "value"),
    [
        ({"days": ["segunda"]}, "days", "monday"),
        ({"days": []}, "days", "at least 1"),
        ({"hours": ["25:00"]}, "hours", "'25:00'"),
        ({"hours": [270]}, "hours", "270"),
        ({"hours": "04:00"}, "hours", "must be a list"),
        ({"hours": ["02:59"]}, "hours", "02:59"),
        ({"hours": ["04:00", "05:30"]}, "hours", "share the minute"),
        ({"hours": ["04:00", "04:00"]}, "hours", "twice"),
        ({"hours": None}, "every_minutes", "give either hours or every_minutes"),
        ({"every_minutes": 5}, "every_minutes", "give either hours or every_minutes"),
        ({"hours": None, "every_minutes": 7}, "every_minutes", "7 does not divide an hour"),
        ({"hours": None, "every_minutes": 0}, "every_minutes", "0 does not divide an hour"),
        ({"hours": None, "every_minutes": 120}, "every_minutes", "120 does not divide an hour"),
        ({"day_offset": -1}, "day_offset", "one hour on every day of the week"),
        ({"day_offset": 1}, "day_offset", "less than or equal to 0"),
        ({"day_offset": -2}, "day_offset", "greater than or equal to -1"),
        ({"summary": "never"}, "summary", "'always' or 'on_failure'"),
        ({"timezone": "America/Sampa"}, "timezone", "America/Sampa"),
        ({"holidays": "maybe"}, "holidays", "'run' or 'skip'"),
        ({"active": "perhaps"}, "active", "boolean"),
        ({"routine": "Account Data"}, "routine", "pattern"),
        ({"colour": "red"}, "colour", "not permitted"),
    ],
)
def test_an_error_names_the_entry_and_the_field(
    tmp_path: Path, changes: dict[str, Any], field: str, value: str
) -> None:
    with pytest.raises(SettingError) as error:
        load_agenda(agenda_with(tmp_path, {**ENTRY, **changes}))
    assert "entry crm338" in str(error.value)
    assert f"field {field}" in str(error.value)
    assert value in str(error.value)


def test_a_missing_field_and_an_entry_without_a_program_are_named(tmp_path: Path) -> None:
    entry = {name: value for name, value in ENTRY.items() if name not in ("program", "hours")}
    with pytest.raises(SettingError, match=r"entry number 1, field program: .*every_minutes: give either"):
        load_agenda(agenda_with(tmp_path, entry))


def test_a_program_that_stands_there_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="entry crm338, field program: stands there twice"):
        load_agenda(agenda_with(tmp_path, ENTRY, {**ENTRY, "routine": "another"}))


@pytest.mark.parametrize("content", ["programs: [", "", "- a", "programs: 3"])
def test_a_file_that_is_no_agenda_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "agenda.yaml"
    path.write_text(content)
    with pytest.raises(SettingError, match=r"agenda\.yaml"):
        load_agenda(path)


def test_a_routine_without_an_entry_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="'birthday'"):
        load_agenda(agenda_with(tmp_path, ENTRY)).entry("birthday")


def test_a_frequent_routine_is_not_among_the_daily_ones(tmp_path: Path) -> None:
    frequent = {**ENTRY, "hours": None, "every_minutes": 5}
    assert load_agenda(agenda_with(tmp_path, frequent)).daily() == []


def test_an_inactive_routine_is_not_among_the_daily_ones(tmp_path: Path) -> None:
    assert load_agenda(agenda_with(tmp_path, {**ENTRY, "active": False})).daily() == []


def test_a_program_may_work_for_the_day_before(tmp_path: Path) -> None:
    week = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
    agenda = load_agenda(agenda_with(tmp_path, {**ENTRY, "days": week, "day_offset": -1}))
    entry = agenda.entry("account_data_refresh")
    assert entry.business_date(dt.date(2026, 3, 1)) == dt.date(2026, 2, 28)
    assert "--from-date 2026-02-27 --to-date 2026-02-28T23:59 " in entry.backfill_command(
        dt.date(2026, 2, 27), dt.date(2026, 2, 28)
    )
