"""The daily file batch: its settings, and its ledger.

A batch is expected, generated, delivered, verified and, where the partner does so, acknowledged.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
from psycopg.rows import class_row, scalar_row
from psycopg.types.json import Jsonb

from rotina.errors import SettingError
from rotina.files import spool
from rotina.files.delivery import Outgoing
from rotina.files.feeds import FEEDS
from rotina.files.writer import Written
from rotina.messaging.gateways import changes, check_range, check_text, record_audit
from rotina.sql import statement

_MOST_HOURS = 720


@dataclass(frozen=True)
class DailyFileSettings:
    """What a company decides about its batch (crm.daily_file_setting has the meaning of each field)."""

    instance_id: str
    first_business_date: dt.date
    due_at: dt.time = dt.time(9)
    connection_id: str = "daily_files"
    acknowledge_within_hours: int | None = None
    active: bool = True


@dataclass(frozen=True)
class BatchFile:
    """A file of a batch as the ledger has it; rows, bytes and SHA-256 are empty until it is generated."""

    feed: str
    name: str
    rows: int | None
    bytes: int | None
    sha256: str | None


@dataclass(frozen=True)
class Batch:
    """A batch as the ledger has it (crm.file_batch has the meaning of each field)."""

    id: int
    business_date: dt.date
    revision: int
    sequence: int | None
    due_at: dt.datetime
    generated_at: dt.datetime | None
    delivery_began_at: dt.datetime | None
    delivered_at: dt.datetime | None
    verified_at: dt.datetime | None
    acknowledged_at: dt.datetime | None
    manifest_name: str | None
    manifest_sha256: str | None
    files: tuple[BatchFile, ...]

    @property
    def left(self) -> bool:
        """Whether the partner may have something of it, so that it cannot be made anew."""
        return self.delivery_began_at is not None or self.delivered_at is not None

    def folder(self, folder: Path) -> Path:
        """Where a generated batch is kept in the spool."""
        assert self.sequence is not None
        return spool.batch_folder(folder, self.business_date, self.sequence)

    def outgoing(self, folder: Path) -> tuple[list[Outgoing], Outgoing]:
        """The files and the manifest of a generated batch, for delivery; they may be missing in the spool."""
        assert self.manifest_name is not None
        assert self.manifest_sha256 is not None
        place = self.folder(folder)
        manifest = place / self.manifest_name
        size = manifest.stat().st_size if manifest.exists() else 0
        files = [Outgoing(f.name, place / f.name, f.bytes or 0, f.sha256 or "") for f in self.files]
        return files, Outgoing(self.manifest_name, manifest, size, self.manifest_sha256)


# -- settings ---------------------------------------------------------------------------------------------


def find_settings(connection: psycopg.Connection) -> DailyFileSettings | None:
    """The settings as they stand, not checked; None when there are none yet."""
    with connection.cursor(row_factory=class_row(DailyFileSettings)) as cursor:
        return cursor.execute(statement("file_batches/get_settings")).fetchone()


def load_settings(connection: psycopg.Connection) -> DailyFileSettings:
    """The settings, checked: anybody may write into a table.

    Raises:
        SettingError: there are none, one is wrong, or the batch is switched off.
    """
    settings = find_settings(connection)
    if settings is None:
        raise SettingError(
            "crm.daily_file_setting", None, "has no row; rotina.files.batches.save_settings makes it"
        )
    check_settings(settings)
    if not settings.active:
        raise SettingError("daily_file_setting, active", False, "the daily file batch is switched off")
    return settings


def save_settings(connection: psycopg.Connection, settings: DailyFileSettings, login: str) -> None:
    """Set what the company decided; audited. Batches that are made keep the names they have.

    Raises:
        SettingError: names the first field that is wrong. Nothing was changed.
    """
    check_settings(settings)
    with connection.transaction():
        connection.execute(statement("file_batches/lock_settings"))
        before = find_settings(connection)
        connection.execute(statement("file_batches/save_settings"), {**vars(settings), "login": login})
        details = changes(_shown(before) if before else None, _shown(settings))
        record_audit(connection, login, "save_daily_file_settings", {"setting": "daily_files"}, details)


def check_settings(settings: DailyFileSettings) -> None:
    """Refuse settings that the batch cannot be made with.

    Raises:
        SettingError: names the first field that is wrong.
    """
    if not isinstance(settings.instance_id, str) or not re.fullmatch(
        r"[A-Za-z0-9-]{1,30}", settings.instance_id
    ):
        raise SettingError(
            "instance_id",
            settings.instance_id,
            "must be 1 to 30 letters (without accents), digits and hyphens, as the partner gave it",
        )
    if type(settings.first_business_date) is not dt.date:
        raise SettingError("first_business_date", settings.first_business_date, "must be a date")
    if not isinstance(settings.due_at, dt.time) or settings.due_at.tzinfo is not None:
        raise SettingError("due_at", settings.due_at, "must be a local time of day")
    check_text("connection_id", settings.connection_id)
    if settings.acknowledge_within_hours is not None:
        check_range("acknowledge_within_hours", settings.acknowledge_within_hours, 1, _MOST_HOURS)


def _shown(settings: DailyFileSettings) -> dict[str, Any]:
    """The settings as an audit row has them."""
    return asdict(settings) | {
        "first_business_date": settings.first_business_date.isoformat(),
        "due_at": settings.due_at.isoformat(),
    }


# -- ledger -----------------------------------------------------------------------------------------------


def expect(connection: psycopg.Connection, settings: DailyFileSettings, last: dt.date, zone: ZoneInfo) -> int:
    """Enter every day from the first business date to `last` that the ledger does not know; returns how many.

    Each is due on the next day, at the local time that is set.

    Raises:
        psycopg.errors.SerializationFailure: under REPEATABLE READ only: somebody added one of them meanwhile.
    """
    stretch = {"first": settings.first_business_date, "last": last}
    days = [day for (day,) in connection.execute(statement("file_batches/list_unknown_days"), stretch)]
    files = [(day, feed) for day in days for feed in FEEDS]
    values = {
        "dates": days,
        "due_at": [dt.datetime.combine(day + dt.timedelta(days=1), settings.due_at, zone) for day in days],
        "file_dates": [day for day, _ in files],
        "feeds": [feed.code for _, feed in files],
        "names": [feed.file_name(settings.instance_id, day) for day, feed in files],
    }
    connection.execute(statement("file_batches/add_batches"), values)
    return len(days)


def undelivered_days(
    connection: psycopg.Connection, settings: DailyFileSettings, before: dt.date
) -> list[dt.date]:
    """The days from the first business date on, before another, whose batch was not delivered; in order."""
    stretch = {"first": settings.first_business_date, "last": before - dt.timedelta(days=1)}
    return [day for (day,) in connection.execute(statement("file_batches/list_undelivered_days"), stretch)]


def revisions(connection: psycopg.Connection, business_date: dt.date) -> list[Batch]:
    """The batches of a day: the first, and its corrections in their order."""
    return _list(connection, business_date)


def pending(connection: psycopg.Connection) -> list[Batch]:
    """The batches that are made and do not surely stand at the partner, in the order of their numbers."""
    return _list(connection, None)


def next_sequence(connection: psycopg.Connection) -> int:
    """The number that the next batch gets; nobody else may take it before this transaction is over."""
    with connection.cursor(row_factory=scalar_row) as cursor:
        (number,) = cursor.execute(statement("file_batches/get_next_sequence")).fetchall()
    return int(number)


def add_correction(connection: psycopg.Connection, batch: Batch) -> int:
    """Expect a correction of a batch that has left; returns its key."""
    with connection.cursor(row_factory=scalar_row) as cursor:
        (key,) = cursor.execute(statement("file_batches/add_correction"), {"batch_id": batch.id}).fetchall()
    return int(key)


def record_generated(
    connection: psycopg.Connection,
    batch_id: int,
    sequence: int,
    manifest: Outgoing,
    files: Mapping[str, tuple[str, Written]],
    *,
    differences: Mapping[str, Any],
    run_id: int,
) -> None:
    """Write down that a batch was made: its manifest, and each file (by feed) with its name."""
    values = {
        "batch_id": batch_id,
        "sequence": sequence,
        "manifest_name": manifest.name,
        "manifest_sha256": manifest.sha256,
        "differences": Jsonb(dict(differences)),
        "run_id": run_id,
    }
    connection.execute(statement("file_batches/record_generated"), values)
    for feed, (name, written) in files.items():
        facts = {**vars(written), "changed_values": Jsonb(written.changed_values)}
        values = {"batch_id": batch_id, "feed": feed, "name": name, **facts}
        connection.execute(statement("file_batches/record_file"), values)


def record_begun(connection: psycopg.Connection, batch: Batch) -> None:
    """Write down, before it is sent, that the partner may have something of a batch from now on."""
    _record(connection, "record_begun", batch)


def record_delivered(connection: psycopg.Connection, batch: Batch) -> None:
    """Write down that a batch stands at the partner."""
    _record(connection, "record_delivered", batch)


def record_verified(connection: psycopg.Connection, batch: Batch) -> None:
    """Write down that a batch was read again at the partner and is what was made."""
    _record(connection, "record_verified", batch)


def record_undelivered(connection: psycopg.Connection, batch: Batch) -> None:
    """Write down that a batch does not surely stand at the partner: it is delivered again."""
    _record(connection, "record_undelivered", batch)


def record_error(connection: psycopg.Connection, batch: Batch, error: str) -> None:
    """Write down what went wrong with the delivery of a batch."""
    _record(connection, "record_error", batch, error=error)


def _record(connection: psycopg.Connection, name: str, batch: Batch, **values: Any) -> None:
    connection.execute(statement(f"file_batches/{name}"), {"batch_id": batch.id, **values})


def _list(connection: psycopg.Connection, business_date: dt.date | None) -> list[Batch]:
    with connection.cursor(row_factory=_batch_row) as cursor:
        return cursor.execute(
            statement("file_batches/list_batches"), {"business_date": business_date}
        ).fetchall()


def _batch_row(cursor: psycopg.Cursor[Any]) -> Any:
    names = [column.name for column in cursor.description or ()]

    def make(values: Sequence[Any]) -> Batch:
        row = dict(zip(names, values, strict=True))
        return Batch(**{**row, "files": tuple(BatchFile(**file) for file in row["files"])})

    return make
