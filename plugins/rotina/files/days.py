"""How the days of the daily file batch stand: complete, empty, late, missing, or not due yet.

It judges the ledger as the delivery monitor does (rotina.files.delivery_monitor), for people who look at it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from zoneinfo import ZoneInfo

import psycopg

from rotina.files.batches import BatchFile, DailyFileSettings
from rotina.files.daily_file_batch import ROUTINE
from rotina.files.delivery_monitor import GRACE
from rotina.files.feeds import FEEDS
from rotina.sql import statement

#: Of a day. `off`: no batch, and none is expected while the batch is switched off.
State = Literal["complete", "empty", "late", "missing", "waiting", "correcting", "off"]
#: How far the newest batch of a day came on its way to the partner.
Way = Literal["none", "made", "going", "unverified", "delivered", "delivered_late"]
#: What the partner says of it.
Answer = Literal["acknowledged", "awaited", "overdue"]


@dataclass(frozen=True)
class Day:
    """A business date with its newest generated batch, as the ledger has it at a moment."""

    at: dt.datetime
    """The moment that it is judged for."""
    expected: bool
    """Whether the partner gets batches: the batch is not switched off."""
    business_date: dt.date
    due_at: dt.datetime
    complete_by: dt.datetime
    """Until when the newest batch must have gone out; a correction is made after its day was due."""
    revision: int | None
    sequence: int | None
    corrects: int | None
    """The number of the batch before it."""
    generated_at: dt.datetime | None
    delivery_began_at: dt.datetime | None
    delivered_at: dt.datetime | None
    verified_at: dt.datetime | None
    first_delivered_at: dt.datetime | None
    acknowledged_at: dt.datetime | None
    acknowledge_by: dt.datetime | None
    error: str | None
    files: Mapping[str, BatchFile]
    """Those that were made, by feed."""
    run_id: int | None
    """The newest run of the day."""
    run_status: str | None

    @property
    def state(self) -> State:
        """How it stands as a whole."""
        if self.generated_at is None:
            if not self.expected:
                return "off"
            return "missing" if self.due_at <= self.at else "waiting"
        if any(feed.code not in self.files for feed in FEEDS):
            return "missing"
        if self.verified_at is not None:
            return "complete" if any(file.rows for file in self.files.values()) else "empty"
        if self.complete_by <= self.at:
            return "late"
        return "waiting" if self.corrects is None else "correcting"

    def file_state(self, feed: str) -> State:
        """How one of its files stands."""
        if self.generated_at is None:
            return self.state
        if feed not in self.files:
            return "missing"
        return "complete" if self.files[feed].rows else "empty"

    @property
    def way(self) -> Way:
        """How far its newest batch came."""
        if self.verified_at is not None:
            late = self.first_delivered_at is not None and self.first_delivered_at > self.due_at
            return "delivered_late" if late else "delivered"
        if self.delivered_at is not None:
            return "unverified"
        if self.delivery_began_at is not None:
            return "going"
        return "none" if self.generated_at is None else "made"

    @property
    def answer(self) -> Answer | None:
        """What the partner says; None where it acknowledges nothing, or has nothing."""
        if self.acknowledged_at is not None:
            return "acknowledged"
        if self.acknowledge_by is None:
            return None
        return "overdue" if self.acknowledge_by <= self.at else "awaited"

    @property
    def to_run(self) -> bool:
        """Whether a run of the day is what it lacks."""
        return self.state in ("missing", "late") and self.run_status != "running"


def list_days(
    connection: psycopg.Connection,
    settings: DailyFileSettings,
    first: dt.date,
    last: dt.date,
    at: dt.datetime,
    zone: ZoneInfo,
) -> list[Day]:
    """The business dates from `first` to `last` in their order, those before the first one left out.

    Args:
        connection: of the task role.
        settings: of the batch.
        first: the first day that is asked for.
        last: the last one, included.
        at: the moment to judge them for.
        zone: of the business dates.
    """
    values = {
        "first_on": max(first, settings.first_business_date),
        "last_on": last,
        "due_at": settings.due_at,
        "timezone": zone.key,
        "grace": GRACE,
        "acknowledge_within_hours": settings.acknowledge_within_hours,
        "routine": ROUTINE,
    }

    def rows(cursor: psycopg.Cursor[Any]) -> Any:
        names = [column.name for column in cursor.description or ()]

        def make(found: Sequence[Any]) -> Day:
            row = dict(zip(names, found, strict=True))
            files = {file["feed"]: BatchFile(**file) for file in row.pop("files")}
            return Day(at=at, expected=settings.active, files=files, **row)

        return make

    with connection.cursor(row_factory=rows) as cursor:
        return cursor.execute(statement("file_batches/list_days"), values).fetchall()
