"""Runs: what every run did, record by record where it did not; also as a tab on Airflow's page of a run."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from sqlalchemy import ColumnElement, Select, func, select, tuple_
from sqlalchemy.orm import Session
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from rotina.console import words
from rotina.console.export import Export
from rotina.console.language import gettext
from rotina.console.language import lazy_gettext as _
from rotina.console.pages import Page, database_of, get
from rotina.models import Run, RunItem, RunStep
from rotina.runs.agenda import load_agenda

#: Rows of a page.
PAGE_SIZE = 50

_STATUSES = ("running", "succeeded", "failed", "skipped")


@dataclass(frozen=True)
class RunFilter:
    """The runs that are asked for; what is None matches all."""

    routine: str | None = None
    status: str | None = None
    from_on: dt.date | None = None
    to_on: dt.date | None = None
    """Business dates, both included."""
    asked_by: str | None = None

    @classmethod
    def of(cls, request: Request) -> RunFilter:
        """As the address of a page has it; what means nothing is left out."""
        given = request.query_params
        return cls(
            given.get("routine") or None,
            given["status"] if given.get("status") in _STATUSES else None,
            _date(given.get("from_on")),
            _date(given.get("to_on")),
            given.get("asked_by") or None,
        )

    def query(self) -> Select[Any]:
        """The runs, in no order."""
        query = select(Run)
        for column, value in (
            (Run.routine, self.routine),
            (Run.status, self.status),
            (Run.asked_by, self.asked_by),
        ):
            if value is not None:
                query = query.where(column == value)
        if self.from_on is not None:
            query = query.where(Run.business_date >= self.from_on)
        if self.to_on is not None:
            query = query.where(Run.business_date <= self.to_on)
        return query


@dataclass(frozen=True)
class ItemFilter:
    """The records of a run that are asked for."""

    outcome: str | None = None
    reason: str | None = None

    @classmethod
    def of(cls, request: Request) -> ItemFilter:
        """As the address of a page has it."""
        given = request.query_params
        outcome = given.get("outcome")
        return cls(outcome if outcome in ("skipped", "failed") else None, given.get("reason") or None)

    def query(self, run_id: int) -> Select[Any]:
        """The records, in the order of their key."""
        query = select(RunItem).where(RunItem.run_id == run_id)
        if self.outcome is not None:
            query = query.where(RunItem.outcome == self.outcome)
        if self.reason is not None:
            query = query.where(RunItem.reason == self.reason)
        return query.order_by(RunItem.record_kind, RunItem.record_id)


class Runs(Page):
    """The run records, and each with the records that it skipped or failed."""

    path = "/runs"
    menu_label = _("Runs")
    icon = "fa-solid fa-list-check"
    order = 20

    @get()
    def index(self, request: Request) -> Response:
        """The newest runs that match."""
        asked = RunFilter.of(request)
        before = _whole(request.query_params.get("before"))
        query = asked.query().order_by(Run.id.desc()).limit(PAGE_SIZE + 1)
        if before is not None:
            query = query.where(Run.id < before)
        with database_of(request).sessions() as session:
            runs = session.scalars(query).all()
        return self.render(
            request,
            "runs.html",
            runs=runs[:PAGE_SIZE],
            older=_link(request, before=runs[PAGE_SIZE - 1].id) if len(runs) > PAGE_SIZE else None,
            newest=_link(request, before=None) if before is not None else None,
            asked=asked,
            routines=_routines(),
            statuses=_STATUSES,
            export=f"{request.url.path}/export?{request.url.query}",
        )

    @get("/export")
    def export(self, request: Request) -> Response:
        """The runs that match, as a file."""
        columns: list[tuple[str, ColumnElement[Any]]] = [
            (gettext("Number"), Run.id),
            (gettext("Routine"), Run.routine),
            (gettext("Business date"), Run.business_date),
            (gettext("Status"), Run.status),
            (gettext("Selected"), Run.selected),
            (gettext("Changed"), Run.changed),
            (gettext("Unchanged"), Run.unchanged),
            (gettext("Skipped"), Run.skipped),
            (gettext("Failed"), Run.failed),
            (gettext("Started"), Run.started_at),
            (gettext("Ended"), Run.ended_at),
            (gettext("Kind"), Run.run_type),
            (gettext("Asked by"), Run.asked_by),
            (gettext("Message"), Run.message),
        ]
        query = RunFilter.of(request).query().order_by(Run.id.desc())
        return Export(database_of(request), "runs", columns, query)

    @get("/of")
    def of_dag_run(self, request: Request) -> Response:
        """The newest attempt at a run of Airflow, for the tab on its page."""
        given = request.query_params
        query = (
            select(Run.id)
            .where(Run.routine == given.get("dag_id", ""), Run.dag_run_id == given.get("dag_run_id", ""))
            .order_by(Run.attempt.desc())
        )
        with database_of(request).sessions() as session:
            run_id = session.scalars(query.limit(1)).first()
        if run_id is None:
            return self.render(request, "run_missing.html", embedded=True)
        return RedirectResponse(f"{request.url_for('console:runs')}/{run_id}?embedded=1", 303)

    @get("/{run_id:int}")
    def run(self, request: Request) -> Response:
        """A run: what was asked, what came of it, and its records."""
        asked = ItemFilter.of(request)
        run_id = request.path_params["run_id"]
        with database_of(request).sessions() as session:
            run = _load(session, run_id)
            query = asked.query(run_id).limit(PAGE_SIZE + 1)
            after = _after(request)
            if after is not None:
                query = query.where(tuple_(RunItem.record_kind, RunItem.record_id) > after)
            items = session.scalars(query).all()
            reasons = session.execute(
                select(RunItem.outcome, RunItem.reason, func.count().label("records"))
                .where(RunItem.run_id == run_id)
                .group_by(RunItem.outcome, RunItem.reason)
                .order_by(RunItem.outcome, func.count().desc(), RunItem.reason)
            ).all()
            steps = session.scalars(
                select(RunStep).where(RunStep.run_id == run_id).order_by(RunStep.done_at)
            ).all()
            attempts = session.execute(
                select(Run.id, Run.attempt, Run.status)
                .where(Run.routine == run.routine, Run.dag_run_id == run.dag_run_id)
                .order_by(Run.attempt)
            ).all()
        last = items[PAGE_SIZE - 1] if len(items) > PAGE_SIZE else None
        return self.render(
            request,
            "run.html",
            title=f"{words.named(run.routine, 'routine')} {run.id}",
            run=run,
            steps=steps,
            attempts=attempts,
            reasons=reasons,
            items=items[:PAGE_SIZE],
            asked=asked,
            more=_link(request, after_kind=last.record_kind, after_id=last.record_id) if last else None,
            first=_link(request, after_kind=None, after_id=None) if after else None,
            export=f"{request.url.path}/export?{request.url.query}",
            embedded=request.query_params.get("embedded") == "1",
        )

    @get("/{run_id:int}/export")
    def export_items(self, request: Request) -> Response:
        """The records of a run that match, as a file, with the reasons in words."""
        run_id = request.path_params["run_id"]
        with database_of(request).sessions() as session:
            run = _load(session, run_id)
            reasons = session.scalars(select(RunItem.reason).where(RunItem.run_id == run_id).distinct()).all()
        in_words = func.coalesce(
            func.jsonb_extract_path_text(
                func.jsonb_build_object(
                    *(part for code in reasons for part in (code, words.named(code, "reason")))
                ),
                RunItem.reason,
            ),
            RunItem.reason,
        )
        columns: list[tuple[str, ColumnElement[Any]]] = [
            (gettext("Kind of record"), RunItem.record_kind),
            (gettext("Record"), RunItem.record_id),
            (gettext("Outcome"), RunItem.outcome),
            (gettext("Reason"), RunItem.reason),
            (gettext("Reason in words"), in_words),
            (gettext("Detail"), RunItem.detail),
        ]
        query = ItemFilter.of(request).query(run_id)
        return Export(database_of(request), f"{run.routine}-{run.business_date}-{run_id}", columns, query)


def _load(session: Session, run_id: int) -> Run:
    run = session.get(Run, run_id) if run_id < 2**63 else None
    if run is None:
        raise HTTPException(404)
    return run


def _routines() -> list[str]:
    """The routines by their names, in the order of the names."""
    known = [entry.routine for entry in load_agenda().programs]
    return sorted(known, key=lambda routine: words.named(routine, "routine"))


def _after(request: Request) -> tuple[str, str] | None:
    kind, key = request.query_params.get("after_kind"), request.query_params.get("after_id")
    return (kind, key) if kind and key else None


def _link(request: Request, **changed: Any) -> str:
    """The address of the page with some of its parameters changed; None takes one out."""
    given = {name: value for name, value in request.query_params.items() if name not in changed}
    asked = given | {name: str(value) for name, value in changed.items() if value is not None}
    return f"{request.url.path}?{urlencode(asked)}"


def _date(text: str | None) -> dt.date | None:
    try:
        return dt.date.fromisoformat(text) if text else None
    except ValueError:
        return None


def _whole(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 19 else None


SCREENS = [Runs]
