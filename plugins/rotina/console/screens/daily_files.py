"""Daily files: the days of a month and how their batch stands, each batch, its files, and days run again."""

from __future__ import annotations

import calendar
import datetime as dt
from collections import Counter
from typing import Any

from pydantic import BaseModel, ConfigDict
from sqlalchemy import or_, select
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from rotina.console import backfills
from rotina.console.airflow import Airflow, AirflowError
from rotina.console.backfills import Backfill
from rotina.console.downloads import Download, find_file, is_kept
from rotina.console.language import day, gettext
from rotina.console.language import lazy_gettext as _
from rotina.console.pages import Page, connect, database_of, get, post
from rotina.console.rights import Right, caller_of
from rotina.errors import SettingError
from rotina.files import batches
from rotina.files.batches import DailyFileSettings
from rotina.files.daily_file_batch import ROUTINE
from rotina.files.days import Answer, State, Way, list_days
from rotina.files.feeds import FEEDS
from rotina.files.spool import batch_folder, named_folder
from rotina.messaging.gateways import record_audit
from rotina.models import Alert, DailyFileSetting, FileBatch, FileBatchFile, Run
from rotina.runs.agenda import Entry, load_agenda
from rotina.runs.business_date import today_in

#: The most days of a backfill that is asked for here.
MOST_DAYS = 100

#: Name of the manifest among the parts of a batch.
MANIFEST = "manifest"

_ONE_DAY = dt.timedelta(days=1)

#: The class of a state (static/rotina.css), and its words.
STATES: dict[State, tuple[str, str]] = {
    "complete": ("good", _("Complete")),
    "empty": ("good", _("Empty")),
    "late": ("bad", _("Late")),
    "missing": ("bad", _("Missing")),
    "correcting": ("busy", _("Being corrected")),
    "waiting": ("off", _("Not due yet")),
    "off": ("off", _("Not expected")),
}
WAYS: dict[Way, str] = {
    "none": "",
    "made": _("Made, not sent"),
    "going": _("Going out"),
    "unverified": _("Delivered, not verified"),
    "delivered": _("Delivered and verified"),
    "delivered_late": _("Delivered late, verified"),
}
ANSWERS: dict[Answer, tuple[str, str]] = {
    "acknowledged": ("good", _("acknowledged")),
    "awaited": ("off", _("acknowledgement due")),
    "overdue": ("bad", _("no acknowledgement since")),
}
FEED_NAMES: dict[str, str] = {
    "orders": _("Orders"),
    "orders_detail": _("Order items"),
    "orders_detail_categories": _("Item categories"),
    "customers": _("Customers"),
}


class Stretch(BaseModel):
    """Days to run again, both ends included."""

    model_config = ConfigDict(extra="forbid")

    from_on: dt.date
    to_on: dt.date


class Settings(BaseModel):
    """What the company decides, as rotina.files.batches.DailyFileSettings has it."""

    model_config = ConfigDict(extra="forbid")

    instance_id: str
    first_business_date: dt.date
    due_at: dt.time
    connection_id: str
    acknowledge_within_hours: int | None = None
    active: bool = True


class DailyFiles(Page):
    """The calendar, and the page of a day."""

    path = "/files"
    menu_label = _("Daily files")
    icon = "fa-solid fa-file-export"
    order = 40

    @get()
    def index(self, request: Request) -> Response:
        """The days of a month, the newest first; `?month=2026-11`."""
        entry, now = _entry(), dt.datetime.now(dt.UTC)
        yesterday = today_in(entry.zone, now) - _ONE_DAY
        with connect(request) as connection:
            settings = batches.find_settings(connection)
            if settings is None:
                return self.render(request, "daily_files_none.html", yesterday=yesterday)
            shown = _month(request.query_params.get("month"), settings.first_business_date, yesterday)
            days = list_days(connection, settings, shown, min(_end_of(shown), yesterday), now, entry.zone)
        to_run = [one.business_date for one in days if one.to_run]
        return self.render(
            request,
            "daily_files.html",
            settings=settings,
            yesterday=yesterday,
            month=shown,
            earlier=shown - _ONE_DAY if shown > settings.first_business_date else None,
            later=_end_of(shown) + _ONE_DAY if _end_of(shown) < yesterday else None,
            days=days[::-1],
            counts=Counter(one.state for one in days),
            to_run=to_run,
            **self._backfill(request),
        )

    @get("/days/{business_date}")
    def of_day(self, request: Request) -> Response:
        """A day: its batches, when each came how far, its runs, and what the team was told of it."""
        entry, now = _entry(), dt.datetime.now(dt.UTC)
        on = _date(request.path_params["business_date"])
        if on is None or on >= today_in(entry.zone, now):
            raise HTTPException(404)
        with connect(request) as connection:
            settings = batches.find_settings(connection)
            days = list_days(connection, settings, on, on, now, entry.zone) if settings else []
        if not days:
            raise HTTPException(404)
        with database_of(request).sessions() as session:
            query = select(FileBatch).where(FileBatch.business_date == on).order_by(FileBatch.revision.desc())
            found = session.scalars(query).all()
            made = session.scalars(
                select(FileBatchFile).where(FileBatchFile.batch_id.in_([batch.id for batch in found]))
            ).all()
            runs = session.scalars(
                select(Run)
                .where(Run.routine == ROUTINE, Run.business_date == on)
                .order_by(Run.id.desc())
                .limit(20)
            ).all()
            subject = or_(Alert.subject == str(on), Alert.subject == f"{ROUTINE} {on}")
            alerts = session.scalars(
                select(Alert).where(subject, Alert.ended_at.is_(None)).order_by(Alert.began_at)
            ).all()
        files = {(file.batch_id, file.feed): file for file in made}
        return self.render(
            request,
            "daily_files_day.html",
            title=f"{gettext('Daily files')} {day(on)}",
            settings=settings,
            on=days[0],
            batches=found,
            files=files,
            kept=_kept(found, files),
            runs=runs,
            alerts=alerts,
            entry=entry,
            **self._backfill(request),
        )

    @get("/batches/{sequence:int}/{part}", Right.ACT)
    def download(self, request: Request) -> Response:
        """A file of a batch, or its manifest, as it lies in the spool and stands in the ledger.

        These are personal data, so it asks for more than reading, and is in the audit log.
        """
        sequence, part = request.path_params["sequence"], request.path_params["part"]
        if sequence >= 2**63:
            raise HTTPException(404)
        with database_of(request).sessions() as session:
            batch = session.scalars(select(FileBatch).where(FileBatch.sequence == sequence)).first()
            file = session.get(FileBatchFile, (batch.id, part)) if batch else None
        if batch is None or (file is None and part != MANIFEST):
            raise HTTPException(404)
        name, sha256 = (
            (file.name, file.sha256) if file is not None else (batch.manifest_name, batch.manifest_sha256)
        )
        place = batch_folder(named_folder(), batch.business_date, sequence)
        found = find_file(place, name or "", sha256)
        target = {"business_date": str(batch.business_date), "sequence": sequence, "file": name}

        def note() -> None:
            with connect(request) as connection:
                record_audit(
                    connection, caller_of(request).login, "download_file", target, {"sha256": sha256}
                )

        return Download(found, name or "", note)

    @get("/backfill", Right.ACT)
    def plan(self, request: Request) -> Response:
        """What a backfill from `from_on` to `to_on` would do."""
        given = request.query_params
        first, last = _date(given.get("from_on")), _date(given.get("to_on"))
        if first is None or last is None:
            raise SettingError(gettext("Days"), None, gettext("give the first day and the last"))
        entry, now = _entry(), dt.datetime.now(dt.UTC)
        airflow = Airflow(request)
        with connect(request) as connection:
            settings = batches.load_settings(connection)
            _check(settings, first, last, today_in(entry.zone, now))
            days = list_days(connection, settings, first, last, now, entry.zone)
            before = batches.undelivered_days(connection, settings, first)
        to_run = set(backfills.days_to_run(airflow, ROUTINE, first, last))
        return self.fragment(
            request,
            "daily_files_plan.html",
            days=[one for one in days if one.business_date in to_run],
            busy=[one for one in days if one.business_date not in to_run],
            before=before,
            unfinished=backfills.unfinished(airflow, ROUTINE),
            STATES=STATES,
        )

    @post("/backfill", Right.ACT, Stretch)
    def backfill(self, request: Request, body: Stretch) -> dict[str, Any]:
        """Run days again, one after the other in their order."""
        entry, now = _entry(), dt.datetime.now(dt.UTC)
        with connect(request) as connection, connection.transaction():
            settings = batches.load_settings(connection)
            _check(settings, body.from_on, body.to_on, today_in(entry.zone, now))
            target = {"routine": ROUTINE, "from": str(body.from_on), "to": str(body.to_on)}
            record_audit(connection, caller_of(request).login, "ask_for_backfill", target, {})
            number = backfills.ask(Airflow(request), ROUTINE, body.from_on, body.to_on)
        words = {"first": day(body.from_on), "last": day(body.to_on)}
        told = gettext("Asked for: the days from %(first)s to %(last)s, one after the other.") % words
        return {"message": told, "backfill": number}

    @get("/progress")
    def progress(self, request: Request) -> Response:
        """How the backfill that is not over fares; nothing when there is none."""
        return self.fragment(request, "daily_files_progress.html", ROUTINE=ROUTINE, **self._backfill(request))

    def render(self, request: Request, template: str, **context: Any) -> Response:
        words = {"STATES": STATES, "WAYS": WAYS, "ANSWERS": ANSWERS, "FEEDS": FEEDS, "FEED_NAMES": FEED_NAMES}
        return super().render(request, template, **words, ROUTINE=ROUTINE, **context)

    def _backfill(self, request: Request) -> dict[str, Any]:
        """The backfill that is not over, and how the runs of its days stand."""
        try:
            running = backfills.unfinished(Airflow(request), ROUTINE)
        except AirflowError as error:  # the ledger is shown all the same
            why = gettext("Airflow does not tell whether a backfill is at work: %(why)s")
            return {"running": None, "stands": {}, "problem": why % {"why": error.detail}}
        return {
            "running": running,
            "stands": _stands(request, running) if running else {},
            "problem": None,
        }


class DailyFilesSettings(Page):
    """What the company decides about its batch."""

    path = "/file-settings"
    menu_label = _("Daily files: settings")
    icon = "fa-solid fa-file-export"
    order = 190
    group = "maintenance"

    @get()
    def index(self, request: Request) -> Response:
        """The form."""
        with database_of(request).sessions() as session:
            saved = session.scalars(select(DailyFileSetting)).first()
        tomorrow = today_in(_entry().zone)
        return self.render(request, "daily_files_settings.html", saved=saved, first=tomorrow)

    @post("/save", Right.MAINTAIN, Settings)
    def save(self, request: Request, body: Settings) -> dict[str, str]:
        """Set what the form says."""
        with connect(request) as connection:
            batches.save_settings(
                connection, DailyFileSettings(**body.model_dump()), caller_of(request).login
            )
        return {"message": gettext("Saved. The next run goes by it.")}


def _entry() -> Entry:
    return load_agenda().entry(ROUTINE)


def _check(settings: DailyFileSettings, first: dt.date, last: dt.date, today: dt.date) -> None:
    """Refuse days that a backfill cannot run.

    Raises:
        SettingError: they do not follow each other, are too many, or some are none of the batch's.
    """
    if last < first:
        raise SettingError(gettext("Last day"), day(last), gettext("lies before the first"))
    if first < settings.first_business_date:
        why = gettext("lies before the first that the partner expects, %(day)s")
        raise SettingError(gettext("First day"), day(first), why % {"day": day(settings.first_business_date)})
    if last >= today:
        raise SettingError(gettext("Last day"), day(last), gettext("is not over"))
    if (last - first).days >= MOST_DAYS:
        why = gettext("are more than %(most)s; ask for them piece by piece") % {"most": MOST_DAYS}
        raise SettingError(gettext("Days"), (last - first).days + 1, why)


def _stands(request: Request, backfill: Backfill) -> dict[str, int]:
    """How many days of a backfill have a run of each status, by the newest."""
    query = (
        select(Run.business_date, Run.status)
        .where(
            Run.routine == ROUTINE,
            Run.run_type == "backfill",
            Run.business_date.between(backfill.first, backfill.last),
            Run.started_at >= backfill.created_at,
        )
        .order_by(Run.id)
    )
    with database_of(request).sessions() as session:
        newest = {run.business_date: run.status for run in session.execute(query)}
    return dict(Counter(newest.values()))


def _kept(found: Any, files: dict[tuple[int, str], FileBatchFile]) -> dict[tuple[int, str], bool] | None:
    """Which parts of the batches lie in the spool, by batch and part; None: nobody can tell."""
    try:
        folder = named_folder()
    except SettingError:
        return None
    kept = {}
    for batch in found:
        if batch.sequence is not None:
            place = batch_folder(folder, batch.business_date, batch.sequence)
            parts = {feed: (file.name, file.bytes) for (key, feed), file in files.items() if key == batch.id}
            for part, (name, size) in {**parts, MANIFEST: (batch.manifest_name, None)}.items():
                kept[batch.id, part] = is_kept(place, name, size)
    return kept


def _month(text: str | None, first: dt.date, yesterday: dt.date) -> dt.date:
    """The first day of the month that is asked for; of the newest one where that has no days."""
    asked = _date(f"{text}-01")
    if asked is None or not first.replace(day=1) <= asked <= yesterday:
        return max(first, yesterday).replace(day=1)
    return asked


def _end_of(month: dt.date) -> dt.date:
    return month.replace(day=calendar.monthrange(month.year, month.month)[1])


def _date(text: str | None) -> dt.date | None:
    try:
        return dt.date.fromisoformat(text) if text else None
    except ValueError:
        return None


SCREENS = [DailyFiles, DailyFilesSettings]
