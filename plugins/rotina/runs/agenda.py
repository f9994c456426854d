"""The agenda (cd8600): when each program runs, read from include/agenda.yaml and checked."""

from __future__ import annotations

import datetime as dt
from functools import cache
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from rotina.errors import SettingError

AGENDA_FILE = Path(__file__).parents[3] / "include" / "agenda.yaml"

#: Before this local time a backfill picked in the Airflow UI lands on the wrong days (docs/adr/0003).
EARLIEST_HOUR = dt.time(3, 0)

Day = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]

_CRON_DAY = {
    "sunday": "0",
    "monday": "1",
    "tuesday": "2",
    "wednesday": "3",
    "thursday": "4",
    "friday": "5",
    "saturday": "6",
}


class Entry(BaseModel):
    """When one program runs."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    program: str = Field(min_length=1)
    routine: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    days: tuple[Day, ...] = Field(min_length=1)
    hours: tuple[dt.time, ...] | None = Field(default=None, min_length=1)
    every_minutes: int | None = Field(default=None, validate_default=True)
    timezone: str
    holidays: Literal["run", "skip"]
    summary: Literal["always", "on_failure"] = "always"
    active: bool

    @field_validator("hours", mode="before")
    @classmethod
    def _hours_are_times(cls, hours: Any) -> Any:
        if hours is None:
            return None
        if not isinstance(hours, list):
            raise ValueError('must be a list, as ["04:00"]')  # noqa: TRY004 - pydantic collects ValueErrors
        for hour in hours:
            if not isinstance(hour, str):
                raise ValueError(f'{hour!r} must be in quotes, as "04:00"')  # noqa: TRY004
            try:
                dt.datetime.strptime(hour, "%H:%M")  # noqa: DTZ007 - a time of day has no zone here
            except ValueError:
                raise ValueError(f"{hour!r} is not a time of day, as 04:00") from None
        return hours

    @field_validator("hours")
    @classmethod
    def _hours_make_one_cron(cls, hours: tuple[dt.time, ...] | None) -> tuple[dt.time, ...] | None:
        if hours is None:
            return None
        for hour in hours:
            if hour < EARLIEST_HOUR:
                raise ValueError(
                    f"{hour:%H:%M} is before {EARLIEST_HOUR:%H:%M}: backfills would land on the wrong day"
                )
        if len({hour.minute for hour in hours}) > 1:
            raise ValueError("the hours of one program must share the minute")
        if len(set(hours)) < len(hours):
            raise ValueError("an hour is given twice")
        return tuple(sorted(hours))

    @field_validator("every_minutes")
    @classmethod
    def _minutes_divide_the_hour(cls, minutes: int | None, info: ValidationInfo) -> int | None:
        if minutes is not None and (not 1 <= minutes <= 30 or 60 % minutes):
            raise ValueError(
                f"{minutes} does not divide an hour: give 1, 2, 3, 4, 5, 6, 10, 12, 15, 20 or 30"
            )
        if "hours" in info.data and (info.data["hours"] is None) == (minutes is None):
            raise ValueError("give either hours or every_minutes")
        return minutes

    @field_validator("timezone")
    @classmethod
    def _timezone_exists(cls, timezone: str) -> str:
        try:
            ZoneInfo(timezone)
        except (ZoneInfoNotFoundError, ValueError):
            raise ValueError(f"{timezone!r} is not a time zone, as America/Sao_Paulo") from None
        return timezone

    @property
    def cron(self) -> str:
        """The five-field cron expression of this entry, in its time zone."""
        days = "*" if len(set(self.days)) == len(_CRON_DAY) else ",".join(_CRON_DAY[day] for day in self.days)
        if self.hours is None:
            return f"*/{self.every_minutes} * * * {days}"
        hours = ",".join(str(hour.hour) for hour in self.hours)
        return f"{self.hours[0].minute} {hours} * * {days}"

    @property
    def zone(self) -> ZoneInfo:
        """The time zone of the business date."""
        return ZoneInfo(self.timezone)


class Agenda(BaseModel):
    """All the programs."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    programs: tuple[Entry, ...]
    #: Worker queues that a person may choose from when asking for a run.
    queues: tuple[str, ...] = ()

    def entry(self, routine: str) -> Entry:
        """The entry of a routine.

        Raises:
            SettingError: the agenda has no such routine.
        """
        for entry in self.programs:
            if entry.routine == routine:
                return entry
        raise SettingError("agenda, routine", routine, "has no entry in include/agenda.yaml")

    def daily(self) -> list[Entry]:
        """The active routines that belong to a business date, in the order they run in a day."""
        daily = [(entry.hours[0], entry) for entry in self.programs if entry.active and entry.hours]
        return [entry for _, entry in sorted(daily, key=lambda pair: pair[0])]


@cache
def load_agenda(path: Path = AGENDA_FILE) -> Agenda:
    """Read and check the agenda.

    Raises:
        SettingError: names each wrong entry and field, and what is wrong with it.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise SettingError("agenda", path.name, f"cannot be read: {error}") from error
    try:
        agenda = Agenda.model_validate(content)
    except ValidationError as error:
        raise SettingError("agenda", path.name, _explain(error, content)) from None
    for field in ("program", "routine"):
        values = [getattr(entry, field) for entry in agenda.programs]
        for value in sorted({value for value in values if values.count(value) > 1}):
            raise SettingError("agenda", path.name, f"entry {value}, field {field}: stands there twice")
    return agenda


def _explain(error: ValidationError, content: Any) -> str:
    problems = []
    for problem in error.errors():
        location = list(problem["loc"])
        entry = ""
        if location[:1] == ["programs"] and len(location) > 1:
            program = content["programs"][location[1]]
            name = program.get("program") if isinstance(program, dict) else None
            entry = f"entry {name or 'number ' + str(int(location[1]) + 1)}, "
            location = location[2:]
        field = ".".join(str(part) for part in location) or "programs"
        problems.append(f"{entry}field {field}: {problem['msg'].removeprefix('Value error, ')}")
    return "; ".join(problems)
