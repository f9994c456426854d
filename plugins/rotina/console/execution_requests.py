"""Execution requests: a run asked for now, or for a date and hour to come, with the params of its DAG.

A request is a run of Airflow that waits for its hour (`run_after`), made through Airflow's API as the person
who asks; so it is in Airflow's lists too, and Airflow says who may. What is past is refused: missed days are
run by a backfill, which is asked for here too.
"""

from __future__ import annotations

import datetime as dt
import itertools
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote

from rotina.console import words
from rotina.console.airflow import Airflow
from rotina.console.language import day, gettext, instant
from rotina.errors import SettingError
from rotina.runs.agenda import Agenda, Entry
from rotina.runs.missed_days import days_between, expected_days, runs_on

FieldKind = Literal["text", "number", "integer", "boolean", "date", "choice"]

#: The most days of a backfill: it runs them one after the other.
MOST_DAYS = 100

_WEEK = 7

#: Runs that Airflow tells at a time.
_PAGE = 100


@dataclass(frozen=True)
class Field:
    """A param of a DAG as a form asks for it."""

    name: str
    title: str
    description: str
    kind: FieldKind
    value: Any
    """The default."""
    choices: tuple[tuple[str, str], ...] = ()
    """Of a choice: the value and what it is called."""
    may_be_empty: bool = False
    least: float | None = None
    most: float | None = None


@dataclass(frozen=True)
class ActiveRun:
    """A run that waits or works, which is what Airflow counts against `max_active_runs`."""

    routine: str
    dag_run_id: str
    state: str
    """`queued` or `running`."""
    run_type: str
    """As Airflow has it: manual, scheduled, backfill, …"""
    due_at: dt.datetime
    asked_by: str | None
    params: Mapping[str, Any]


@dataclass(frozen=True)
class Dag:
    """Whether and how many runs of a routine may begin."""

    paused: bool
    most: int | None
    """Airflow's `max_active_runs`; None: any number."""
    active: Sequence[ActiveRun] = ()
    """The runs that wait or work, the first one due first; those of a backfill do not count."""

    def takes(self, number: int) -> bool:
        """Whether Airflow takes a number of runs at a time."""
        return self.most is None or number <= self.most

    @property
    def takes_schedule(self) -> bool:
        """Whether Airflow makes the runs of the schedule; it makes none while all places are taken."""
        return self.takes(1 + len(self.active))

    @property
    def has_room(self) -> bool:
        """Whether a run that is due may begin."""
        return self.takes(1 + sum(run.state == "running" for run in self.active))


def fields(details: Mapping[str, Any]) -> list[Field]:
    """The params of a DAG, as Airflow's API tells its details; without the business date and the queue."""
    return [
        _field(name, param)
        for name, param in (details.get("params") or {}).items()
        if name not in ("business_date", "queue")
    ]


def takes_business_date(details: Mapping[str, Any]) -> bool:
    """Whether a run may be asked for a business date."""
    return "business_date" in (details.get("params") or {})


def due_at(entry: Entry, date: dt.date, hour: dt.time, now: dt.datetime) -> dt.datetime:
    """When a request for a local date and hour is due.

    Raises:
        SettingError: that is past, or there is no such hour on that day.
    """
    local = dt.datetime.combine(date, hour, entry.zone)
    due = local.astimezone(dt.UTC)
    if due.astimezone(entry.zone).replace(tzinfo=None) != local.replace(tzinfo=None):
        raise SettingError(
            gettext("Hour"), f"{hour:%H:%M}", gettext("does not exist on that day; the clocks are changed")
        )
    if due <= now:
        raise SettingError(
            gettext("Date and hour"),
            instant(due, entry.zone),
            gettext(
                "is past; it is now %(now)s. Choose a later date or hour. A missed day is run by a backfill, "
                "from the list of the routines."
            )
            % {"now": instant(now, entry.zone)},
        )
    return due


def check_business_date(business_date: dt.date | None, entry: Entry, due: dt.datetime) -> None:
    """Refuse a business date that will not have begun when the run is due.

    Raises:
        SettingError: it will not.
    """
    due_on = due.astimezone(entry.zone).date()
    if business_date is not None and business_date > due_on:
        raise SettingError(
            gettext("Business date"),
            day(business_date),
            gettext("will not have begun when the run is due, on %(day)s") % {"day": day(due_on)},
        )


def check_params(fields: Sequence[Field], params: Mapping[str, Any]) -> None:
    """Refuse what a DAG does not ask for, or not so: names it has not, values of another kind.

    Args:
        fields: those of the DAG, as `fields` tells them; the business date and the queue are none.
        params: the value of each.

    Raises:
        SettingError: one is wrong; it is named as in the DAG.
    """
    known = {field.name: field for field in fields}
    for name, value in params.items():
        field = known.get(name)
        if field is None:
            raise SettingError(name, None, gettext("is not among the params of this routine"))
        problem = _problem(field, value)
        if problem is not None:
            raise SettingError(name, value, problem)


def check_queue(agenda: Agenda, queue: str | None) -> None:
    """Refuse a worker queue that the agenda does not name: nobody might be listening to it.

    Raises:
        SettingError: it does not.
    """
    if queue is not None and queue not in agenda.queues:
        raise SettingError(gettext("Queue"), queue, gettext("is not among the queues of include/agenda.yaml"))


def check_room(entry: Entry, dag: Dag) -> None:
    """Refuse a request for later that would leave no place to the runs of the schedule.

    Airflow counts runs that wait for their hour as active, and makes no scheduled run of a DAG that has
    `max_active_runs` of them (airflow.models.dagrun.DagRun.active_runs_of_dags).

    Raises:
        SettingError: it would.
    """
    if entry.active and not dag.takes(len(dag.active) + 2):
        problem = gettext(
            "would leave the schedule no room: Airflow takes %(most)s runs of a routine, "
            "those that wait included. There are %(runs)s. "
            "Cancel one that waits, or ask again when one is over."
        )
        runs = words.listed([_told(run, entry) for run in dag.active])
        raise SettingError(gettext("Request"), None, problem % {"most": dag.most, "runs": runs})


def ask(
    airflow: Airflow, routine: str, conf: Mapping[str, Any], due: dt.datetime | None, now: dt.datetime
) -> str:
    """Ask Airflow for a run, at once or when it is due; returns its id.

    Raises:
        AirflowError: Airflow refuses: the person may not, or a param is wrong.
    """
    at = due or now
    run_id = f"asked__{at:%Y-%m-%dT%H:%M:%SZ}__{secrets.token_hex(3)}"
    body = {"logical_date": None, "run_after": at.isoformat(), "dag_run_id": run_id, "conf": dict(conf)}
    made = airflow.post(f"dags/{quote(routine, safe='')}/dagRuns", body)
    return str(made["dag_run_id"])


def check_days(entry: Entry, first: dt.date, last: dt.date, now: dt.datetime) -> int:
    """Refuse a backfill of days that the routine does not run on; returns how many days it will run.

    Raises:
        SettingError: the order is wrong, there are too many or none, or one is yet to come.
    """
    field = gettext("Last day")
    if last < first:
        raise SettingError(
            field, day(last), gettext("is before the first one, %(day)s") % {"day": day(first)}
        )
    newest = max(expected_days(entry, now, _WEEK, dt.timedelta(0)), default=None)
    if newest is None or last > newest:
        raise SettingError(field, day(last), gettext("is yet to come; the schedule runs it at its hour"))
    offset = dt.timedelta(days=entry.day_offset)
    number = sum(runs_on(entry, date - offset) for date in days_between(first, last))
    if not 0 < number <= MOST_DAYS:
        raise SettingError(
            field,
            day(last),
            gettext("makes %(found)s days on which the routine runs; it takes 1 to %(most)s at a time")
            % {"found": number, "most": MOST_DAYS},
        )
    return number


def active_runs(airflow: Airflow, routines: Sequence[str]) -> list[ActiveRun]:
    """The runs of some routines that wait or work, but for those of backfills, the first one due first.

    Raises:
        AirflowError: Airflow refuses.
    """
    body = {"dag_ids": list(routines), "states": ["queued", "running"], "order_by": "run_after"}
    found: list[ActiveRun] = []
    for offset in itertools.count(0, _PAGE):
        page = airflow.post("dags/~/dagRuns/list", {**body, "page_limit": _PAGE, "page_offset": offset})
        found += map(_active, page["dag_runs"])
        if len(page["dag_runs"]) < _PAGE:
            break
    return [run for run in found if run.run_type != "backfill"]


def dag_of(details: Mapping[str, Any], active: Iterable[ActiveRun]) -> Dag:
    """Of what Airflow tells of a DAG and of all the runs that wait or work: what tells when a run begins."""
    mine = [run for run in active if run.routine == details["dag_id"]]
    return Dag(details["is_paused"], details["max_active_runs"], mine)


def waits_for(run: ActiveRun, dag: Dag, now: dt.datetime) -> str:
    """What a queued run waits for, in words."""
    if dag.paused:
        return gettext("the routine is paused in Airflow")
    if run.due_at > now:
        return gettext("its hour")
    if not dag.has_room:
        return gettext("room: %(number)s runs are at work") % {"number": dag.most}
    return gettext("Airflow, which begins it in a moment")


def find_waiting(airflow: Airflow, routine: str, dag_run_id: str) -> ActiveRun:
    """A run that waits and can be cancelled.

    Raises:
        SettingError: it does not wait any more, or is one of a backfill.
        AirflowError: Airflow refuses.
    """
    run = _active(airflow.get(_path(routine, dag_run_id)))
    if run.state != "queued":
        raise SettingError(
            gettext("Request"), dag_run_id, gettext("has begun, so that it cannot be cancelled any more")
        )
    if run.run_type == "backfill":
        raise SettingError(
            gettext("Request"), dag_run_id, gettext("is a day of a backfill; cancel that in Airflow")
        )
    return run


def cancel(airflow: Airflow, run: ActiveRun) -> None:
    """Cancel a run that waits.

    Raises:
        AirflowError: Airflow refuses, as when it has begun meanwhile.
    """
    airflow.delete(_path(run.routine, run.dag_run_id))


def conf_of(business_date: dt.date | None, params: Mapping[str, Any], queue: str | None) -> dict[str, Any]:
    """The `conf` of a run."""
    conf = dict(params)
    if business_date is not None:
        conf["business_date"] = business_date.isoformat()
    if queue is not None:
        conf["queue"] = queue
    return conf


def in_words(entry: Entry, due: dt.datetime | None, dag: Dag) -> str:
    """What is told when a request was taken."""
    values = {"routine": words.named(entry.routine, "routine"), "at": instant(due, entry.zone)}
    if due is not None:
        told = gettext("%(routine)s is due on %(at)s.") % values
    elif dag.paused or not dag.has_room:
        told = gettext("%(routine)s was asked for.") % values
    else:
        told = gettext("%(routine)s was asked for and begins now.") % values
    if dag.paused:
        told += " " + gettext("It is paused in Airflow: the run waits until somebody ends that.")
    elif due is None and not dag.has_room:
        told += " " + gettext("It waits for room: %(number)s runs are at work.") % {"number": dag.most}
    return told


def _told(run: ActiveRun, entry: Entry) -> str:
    values = {
        "at": instant(run.due_at, entry.zone),
        "who": run.asked_by or words.named(run.run_type, "run_type"),
    }
    if run.state == "queued":
        return gettext("the one due on %(at)s (%(who)s)") % values
    return gettext("the one at work, due on %(at)s (%(who)s)") % values


def _path(routine: str, dag_run_id: str) -> str:
    return f"dags/{quote(routine, safe='')}/dagRuns/{quote(dag_run_id, safe='')}"


def _active(run: Mapping[str, Any]) -> ActiveRun:
    return ActiveRun(
        run["dag_id"],
        run["dag_run_id"],
        run["state"],
        run["run_type"],
        dt.datetime.fromisoformat(run["run_after"]),
        run["triggering_user_name"],
        run["conf"] or {},
    )


def _problem(field: Field, value: Any) -> str | None:
    """What is wrong with the value of a field."""
    if value is None:
        return None if field.may_be_empty else gettext("must not be empty")
    if field.kind == "choice":
        known = [choice for choice, _ in field.choices]
        return None if value in known else gettext("is not among the choices")
    is_number = not isinstance(value, bool)
    fits, what = {
        "text": (isinstance(value, str), gettext("must be a text")),
        "boolean": (isinstance(value, bool), gettext("must be true or false")),
        "integer": (is_number and isinstance(value, int), gettext("must be a whole number")),
        "number": (is_number and isinstance(value, int | float), gettext("must be a number")),
        "date": (_is_date(value), gettext("must be a date, as 2026-11-20")),
    }[field.kind]
    if not fits:
        return what
    if field.least is not None and value < field.least:
        return gettext("must be at least %(least)s") % {"least": field.least}
    if field.most is not None and value > field.most:
        return gettext("must be at most %(most)s") % {"most": field.most}
    return None


def _is_date(value: Any) -> bool:
    try:
        dt.date.fromisoformat(value)
    except (TypeError, ValueError):
        return False
    return True


def _field(name: str, param: Mapping[str, Any]) -> Field:
    schema = param.get("schema") or {}
    types = schema.get("type", "string")
    types = [types] if isinstance(types, str) else list(types)
    return Field(
        name,
        _translated(schema.get("title") or name),
        _translated(param.get("description") or schema.get("description") or ""),
        _kind(schema, types),
        param.get("value"),
        tuple(_choices(schema)),
        "null" in types or None in schema.get("enum", ()),
        schema.get("minimum", schema.get("exclusiveMinimum")),
        schema.get("maximum"),
    )


def _kind(schema: Mapping[str, Any], types: list[str]) -> FieldKind:
    if "enum" in schema:
        return "choice"
    if schema.get("format") == "date":
        return "date"
    for kind in ("boolean", "integer", "number"):
        if kind in types:
            return kind
    return "text"


def _choices(schema: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    shown = schema.get("values_display") or {}
    for value in schema.get("enum", ()):
        if value is not None:
            yield str(value), _translated(str(shown.get(value, value)))


def _translated(text: str) -> str:
    return gettext(text) if text else ""
