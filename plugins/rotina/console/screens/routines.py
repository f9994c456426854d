"""Routines: every program, when it runs, how it went, and a run of it asked for now or for later."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.rows import class_row, dict_row
from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from rotina.console import backfills, previews, words
from rotina.console import execution_requests as requests
from rotina.console.airflow import Airflow, AirflowError
from rotina.console.language import ZONE, gettext, ngettext
from rotina.console.language import lazy_gettext as _
from rotina.console.pages import Page, connect, connect_for_preview, get, post
from rotina.console.rights import Right, caller_of
from rotina.errors import SettingError
from rotina.messaging.gateways import record_audit
from rotina.runs.agenda import Entry, load_agenda
from rotina.runs.business_date import today_in
from rotina.runs.missed_days import MissedDay, expected_days, find_missed
from rotina.sql import statement

#: Days of the bar.
DAYS = 30

#: How long a run may be at work before its day counts as missed.
_AT_WORK = dt.timedelta(days=1)


class Ask(BaseModel):
    """What a form asks for. Without a date and an hour: now."""

    model_config = ConfigDict(extra="forbid")

    business_date: dt.date | None = None
    date: dt.date | None = None
    hour: dt.time | None = None
    queue: str | None = None
    params: dict[str, Any] = {}


class Backfill(BaseModel):
    """What the form of missed days asks for."""

    model_config = ConfigDict(extra="forbid")

    first_on: dt.date
    last_on: dt.date
    queue: str | None = None
    params: dict[str, Any] = {}


class Nothing(BaseModel):
    """A form without fields."""

    model_config = ConfigDict(extra="forbid")


@dataclass(frozen=True)
class LastRun:
    """The newest run of a routine."""

    id: int
    routine: str
    business_date: dt.date | None
    status: str
    selected: int
    changed: int
    unchanged: int
    skipped: int
    failed: int
    message: str | None
    started_at: dt.datetime
    seconds: float | None


@dataclass(frozen=True)
class Day:
    """How the runs of a business date went; without a run, `runs` is 0."""

    on: dt.date
    state: str
    """As a class of rotina.css; `missed` of a day that the routine should have done without any run."""
    runs: int = 0
    failed: int = 0
    run_id: int | None = None


@dataclass(frozen=True)
class Row:
    """What the table tells of a routine."""

    entry: Entry
    name: str
    schedule: str
    next_at: dt.datetime | None
    dag: requests.Dag | None
    """None: Airflow has it not, or does not let the caller see it."""
    last: LastRun | None
    days: list[Day]
    missed: list[dt.date]
    """The days that it should have done and has not, the oldest first."""
    has_preview: bool

    @property
    def takes_days(self) -> bool:
        """Whether it has a run for each business date, so that missed ones can be made up."""
        return self.entry in load_agenda().daily()


@dataclass(frozen=True)
class Waiting:
    """What the list tells of a run that waits."""

    entry: Entry
    run: requests.ActiveRun
    why: str


class Routines(Page):
    """The table of the programs, with its dialogs."""

    path = "/routines"
    menu_label = _("Routines")
    icon = "fa-solid fa-rotate"
    order = 10

    @get()
    def index(self, request: Request) -> Response:
        """Every program, and the requests that wait."""
        return self._page(request)

    def _page(self, request: Request) -> Response:
        entries = sorted(
            load_agenda().programs, key=lambda entry: (entry.hours or (dt.time.max,), entry.routine)
        )
        routines = [entry.routine for entry in entries]
        now = dt.datetime.now(dt.UTC)
        airflow = Airflow(request)
        problem, found, active = None, {}, []
        try:
            found = {dag["dag_id"]: dag for dag in airflow.get("dags", tags="rotina", limit=100)["dags"]}
            active = requests.active_runs(airflow, routines)
        except AirflowError as error:  # what we know ourselves is shown all the same
            problem = gettext("Airflow does not tell when the routines run next: %(why)s") % {
                "why": error.detail
            }
        dags = {routine: requests.dag_of(told, active) for routine, told in found.items()}
        entry_of = {entry.routine: entry for entry in entries}
        waiting = [
            Waiting(entry_of[run.routine], run, requests.waits_for(run, dags[run.routine], now))
            for run in active
            if run.state == "queued" and run.routine in dags
        ]
        today = today_in(ZONE, now)
        with connect(request) as connection:
            last = _last_runs(connection, routines)
            missed = _missed(connection, now)
            days = _days(connection, routines, today, missed)
        rows = [
            Row(
                entry,
                words.named(entry.routine, "routine"),
                words.schedule(entry),
                _instant(found.get(entry.routine, {}).get("next_dagrun_run_after")),
                dags.get(entry.routine),
                last.get(entry.routine),
                days[entry.routine],
                [day.business_date for day in missed if day.routine == entry.routine],
                entry.routine in previews.PREVIEWS,
            )
            for entry in entries
        ]
        return self.render(request, "routines.html", rows=rows, waiting=waiting, problem=problem, today=today)

    @get("/{routine}/form", Right.READ)
    def form(self, request: Request) -> Response:
        """The fields of a dialog: of a run now or later, of a preview, or of missed days."""
        entry, mode, airflow = _entry(request), _mode(request), Airflow(request)
        details = airflow.get(f"dags/{entry.routine}/details")
        fields = requests.fields(details)
        if not caller_of(request).may(Right.ACT):
            fields = [field for field in fields if field.name not in previews.EXECUTED]
        now = dt.datetime.now(entry.zone)
        missed, unfinished = [], None
        if mode == "missed":
            unfinished = backfills.unfinished(airflow, entry.routine)
            with connect(request) as connection:
                missed = [day for day in _missed(connection, now) if day.routine == entry.routine]
        soon = (now + dt.timedelta(minutes=59)).replace(minute=0)
        return self.fragment(
            request,
            "routine_form.html",
            entry=entry,
            mode=mode,
            paused=details["is_paused"],
            zone=entry.zone if entry.zone.key != ZONE.key else None,
            missed=missed,
            unfinished=unfinished,
            yesterday=now.date() - dt.timedelta(days=1),
            fields=fields,
            takes_date=requests.takes_business_date(details) and mode != "missed",
            queues=load_agenda().queues,
            today=now.date(),
            soon=soon,
        )

    @post("/{routine}/requests", Right.ACT, Ask)
    def ask(self, request: Request, body: Ask) -> dict[str, str]:
        """Ask for a run, now or when it is due."""
        entry = _entry(request)
        now = dt.datetime.now(dt.UTC).replace(microsecond=0)
        if (body.date is None) != (body.hour is None):
            raise SettingError(
                gettext("Date and hour"), None, gettext("give both a date and an hour, or neither")
            )
        due = requests.due_at(entry, body.date, body.hour, now) if body.date and body.hour else None
        requests.check_business_date(body.business_date, entry, due or now)
        requests.check_queue(load_agenda(), body.queue)
        airflow = Airflow(request)
        details = airflow.get(f"dags/{entry.routine}/details")
        requests.check_params(requests.fields(details), body.params)
        dag = requests.dag_of(details, requests.active_runs(airflow, [entry.routine]))
        if due is not None:
            requests.check_room(entry, dag)
        conf = requests.conf_of(body.business_date, body.params, body.queue)
        with connect(request) as connection, connection.transaction():
            target = {"routine": entry.routine}
            details = {"conf": conf, "due_at": due.isoformat() if due else None}
            record_audit(connection, caller_of(request).login, "ask_for_run", target, details)
            run_id = requests.ask(airflow, entry.routine, conf, due, now)
        return {"message": requests.in_words(entry, due, dag), "dag_run_id": run_id}

    @post("/{routine}/backfills", Right.ACT, Backfill)
    def backfill(self, request: Request, body: Backfill) -> dict[str, str]:
        """Ask for runs of missed days, one after the other."""
        entry = _entry(request)
        if entry not in load_agenda().daily():
            raise HTTPException(404, gettext("This routine has no days that could be made up."))
        number = requests.check_days(entry, body.first_on, body.last_on, dt.datetime.now(dt.UTC))
        requests.check_queue(load_agenda(), body.queue)
        airflow = Airflow(request)
        details = airflow.get(f"dags/{entry.routine}/details")
        requests.check_params(requests.fields(details), body.params)
        conf = requests.conf_of(None, body.params, body.queue)
        with connect(request) as connection, connection.transaction():
            target = {"routine": entry.routine}
            details = {"conf": conf, "first_on": str(body.first_on), "last_on": str(body.last_on)}
            record_audit(connection, caller_of(request).login, "ask_for_backfill", target, details, number)
            backfills.ask(airflow, entry.routine, body.first_on, body.last_on, conf)
        asked = ngettext("%(num)s day begins now", "%(num)s days run now, one after the other", number)
        return {"message": f"{words.named(entry.routine, 'routine')}: {asked % {'num': number}}."}

    @post("/{routine}/requests/{dag_run_id}/cancel", Right.ACT, Nothing)
    def cancel(self, request: Request, _body: Nothing) -> dict[str, Any]:
        """Cancel a run that waits; one that was asked for can be asked for anew at once."""
        entry, airflow = _entry(request), Airflow(request)
        run = requests.find_waiting(airflow, entry.routine, request.path_params["dag_run_id"])
        answer: dict[str, Any] = {"message": gettext("The request was cancelled.")}
        asked = _asked(entry, run, dt.datetime.now(dt.UTC))
        if asked is not None:
            answer["undo"] = {
                "label": gettext("Ask for it again"),
                "url": f"{request.url_for('console:routines')}/{entry.routine}/requests",
                "body": asked.model_dump(mode="json"),
            }
        with connect(request) as connection, connection.transaction():
            target = {"routine": entry.routine, "dag_run_id": run.dag_run_id}
            record_audit(connection, caller_of(request).login, "cancel_run", target, {})
            requests.cancel(airflow, run)
        return answer

    @post("/{routine}/preview", Right.READ, Ask)
    def preview(self, request: Request, body: Ask) -> Response:
        """What a run would do; nothing of it stays."""
        entry = _entry(request)
        on = body.business_date or today_in(entry.zone)
        requests.check_business_date(on, entry, dt.datetime.now(dt.UTC))
        details = Airflow(request).get(f"dags/{entry.routine}/details")
        requests.check_params(requests.fields(details), body.params)
        if not caller_of(request).may(Right.ACT) and any(map(body.params.get, previews.EXECUTED)):
            raise HTTPException(403, gettext("Your role in Airflow does not allow this."))
        with connect_for_preview(request) as connection:
            found = previews.preview(connection, entry.routine, on, body.params)
        return self.fragment(request, "routine_preview.html", entry=entry, on=on, preview=found)


def _entry(request: Request) -> Entry:
    """The entry of the routine that the address names."""
    for entry in load_agenda().programs:
        if entry.routine == request.path_params["routine"]:
            return entry
    raise HTTPException(404, gettext("There is no such routine."))


def _asked(entry: Entry, run: requests.ActiveRun, now: dt.datetime) -> Ask | None:
    """What a run was asked for with; None where nobody asked, or in a way that the form has not."""
    if run.run_type != "manual":
        return None
    params = dict(run.params)
    due = run.due_at.astimezone(entry.zone) if run.due_at > now else None
    try:
        return Ask(
            business_date=params.pop("business_date", None),
            date=due and due.date(),
            hour=due and due.time(),
            queue=params.pop("queue", None),
            params=params,
        )
    except ValidationError:  # asked for in Airflow, which takes any conf
        return None


def _mode(request: Request) -> str:
    mode = request.query_params.get("mode")
    return mode if mode in ("later", "preview", "missed") else "now"


def _last_runs(connection: psycopg.Connection, routines: list[str]) -> dict[str, LastRun]:
    with connection.cursor(row_factory=class_row(LastRun)) as cursor:
        cursor.execute(statement("console_routines/list_last_runs"), {"routines": routines})
        return {run.routine: run for run in cursor}


def _missed(connection: psycopg.Connection, at: dt.datetime) -> list[MissedDay]:
    """The days of the bar that a daily routine should have done and has not, but for those at work."""
    expected = {
        entry.routine: expected_days(entry, at, DAYS - 1, dt.timedelta(0)) for entry in load_agenda().daily()
    }
    return [day for day in find_missed(connection, expected, at - _AT_WORK) if day.status != "running"]


def _days(
    connection: psycopg.Connection, routines: list[str], today: dt.date, missed: list[MissedDay]
) -> dict[str, list[Day]]:
    """The days of the bar of each routine, the oldest first."""
    dates = [today - dt.timedelta(days=ago) for ago in range(DAYS - 1, -1, -1)]
    values = {"routines": routines, "from_on": dates[0], "to_on": dates[-1]}
    found = {(day.routine, day.business_date): Day(day.business_date, "missed") for day in missed}
    with connection.cursor(row_factory=dict_row) as cursor:
        for row in cursor.execute(statement("console_routines/list_days"), values):
            state = words.STATES[row["status"]]
            if state == "good" and row["failed"]:
                state = "odd"  # it went well in the end
            key = row["routine"], row["business_date"]
            found[key] = Day(row["business_date"], state, row["runs"], row["failed"], row["run_id"])
    return {routine: [found.get((routine, on)) or Day(on, "none") for on in dates] for routine in routines}


def _instant(text: str | None) -> dt.datetime | None:
    return dt.datetime.fromisoformat(text) if text else None


SCREENS = [Routines]
