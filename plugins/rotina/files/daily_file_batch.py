"""Daily file batch (crm_lote): the four files of a business date and their manifest, made and delivered.

A batch is made from one snapshot of the ERP, and again from the same source has the same bytes. One that the
partner may have is never made anew: it is corrected by the next revision, with the next number. See
docs/daily-files.md and docs/adr/0012-sequence-and-corrections.md.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import hashlib
import json
import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import class_row, scalar_row

from rotina import erp_contract
from rotina.errors import NothingToDoError, RotinaError, SettingError
from rotina.files import batches, differences, spool
from rotina.files.batches import Batch, DailyFileSettings
from rotina.files.delivery import DeliveryError, Outgoing, Target
from rotina.files.differences import Differences
from rotina.files.feeds import ERP_TABLES, FEEDS, SCHEMA_VERSION, manifest_name
from rotina.files.writer import Connect, Copy, FeedFile, Written, copy_all
from rotina.runs.agenda import Entry, load_agenda
from rotina.runs.record import Outcome, Run
from rotina.sql import statement

__all__ = ["ERP_TABLES", "check_settings", "deliver", "generate", "missing_source"]

ROUTINE = "daily_file_batch"

#: Connections that copy feeds at the same time, where they can share a snapshot.
SESSIONS = 2
#: The order in which they begin: what takes longest goes first.
_LONGEST_FIRST = ("orders", "orders_detail_categories", "orders_detail", "customers")

#: An address as mail servers take it, without the delimiter of the files, and perhaps between blanks.
EMAIL_PATTERN = r"^ *[A-Za-z0-9.!#$%&'*+/=?^_`{}~-]+@([A-Za-z0-9-]+\.)+[A-Za-z0-9-]+ *$"


class SourceChangedError(RotinaError):
    """The ERP changed while it was read: the files would not agree. Nothing was published; try again."""


@dataclass(frozen=True)
class _Source:
    """A source of the ERP, with its rows of the business date."""

    source: str
    rows: int
    expected: int | None
    """As its load counted them; None when the load is not there yet."""


@dataclass(frozen=True)
class _LeftOut:
    orders: list[int]
    customers: list[int]


@dataclass(frozen=True)
class _File:
    """A file of the batch that is being made."""

    name: str
    path: Path
    written: Written


def check_settings(connection: psycopg.Connection, params: dict[str, Any]) -> None:
    """Refuse to start with a wrong setting. Changes nothing.

    Raises:
        SettingError: the batch is not set up or switched off, a setting is wrong, a table or column of the
            ERP is missing, or the folder of the spool cannot be written to.
    """
    batches.load_settings(connection)
    erp_contract.check_tables(connection, ERP_TABLES)
    spool.spool_folder()


def missing_source(connection: psycopg.Connection, run: Run) -> str | None:
    """What a run must wait for, in words: the days before it, the load of the ERP; None when all is there.

    Raises:
        SettingError: a setting is wrong, or the business date lies before the first one.
        NothingToDoError: the schedule came to a day before the first one.
    """
    settings = batches.load_settings(connection)
    if run.run_type == "scheduled" and run.date < settings.first_business_date:
        raise NothingToDoError(
            f"o parceiro espera arquivos a partir de {settings.first_business_date:%d/%m/%Y}"
        )
    return _missing(connection, run, _settings(connection, run.date))


def generate(connection: psycopg.Connection, run: Run, connect: Connect, folder: Path) -> Outcome:
    """Make the batch of the business date of `run`, inside the transaction (REPEATABLE READ) of the caller.

    Nothing is written when it stands as it would be made.

    Args:
        connection: of the task role, under the lock of the routine.
        run: its param `out_of_order` lets the batch be made although an earlier day is missing.
        connect: opens another connection to the same database.
        folder: the spool.

    Returns:
        The equation over the orders of the day and the customers registered on it.

    Raises:
        SettingError: as `missing_source`, or something is missing after all.
        rotina.files.spool.SpoolError: the files could not be written. Nothing was published.
        SourceChangedError: the ERP changed meanwhile. Nothing was published.
    """
    settings = _settings(connection, run.date)
    if problem := _missing(connection, run, settings):
        raise SettingError("business_date", run.date.isoformat(), problem)
    entry = _entry()
    batches.expect(connection, settings, run.date, entry.zone)
    values = _values(run.date)
    found = {source.source: source.rows for source in _sources(connection, run.date)}
    left_out = _leave_out(connection, run, values)
    values |= {"left_out_orders": left_out.orders, "left_out_customers": left_out.customers}
    spool.sweep(folder, batches.next_sequence(connection))
    with spool.workshop(folder) as bench:
        files = _write(connection, connect, settings, run.date, values, bench)
        registered = found["customer"] - len(left_out.customers)
        if (
            files["orders"].written.rows != found["sales_order"] - len(left_out.orders)
            or files["customers"].written.rows < registered
        ):
            raise SourceChangedError(
                f"the orders of {run.date} changed in the ERP while they were read; try again"
            )
        records = files["orders"].written.rows + registered
        changed, details = _take_over(connection, run, settings, files, bench, folder, records)
    skipped = len(left_out.orders) + len(left_out.customers)
    return Outcome(
        selected=records + skipped,
        changed=changed,
        unchanged=records - changed,
        skipped=skipped,
        failed=0,
        details=details | _described(files),
    )


def deliver(
    connection: psycopg.Connection,
    folder: Path,
    open_target: Callable[[str], AbstractContextManager[Target]],
) -> list[int]:
    """Bring every batch to the partner that is not there yet, in the order of their numbers; returns these.

    Each is recorded as soon as it is there; the first that fails ends the work, because a later number may
    not overtake it.

    Args:
        connection: of the task role, under the lock of the routine, outside of a transaction.
        folder: the spool.
        open_target: opens the partner by the id of an Airflow connection.

    Raises:
        DeliveryError: a batch is not at the partner, or not as it was made.
        SettingError: a setting, or the connection of the partner, is wrong.
    """
    settings = batches.load_settings(connection)
    pending = batches.pending(connection)
    if not pending:
        return []
    batch = pending[0]
    try:
        with open_target(settings.connection_id) as target:
            for batch in pending:
                _deliver(connection, target, batch, folder)
    except (DeliveryError, SettingError) as error:
        batches.record_error(connection, batch, str(error))
        raise
    return [batch.sequence for batch in pending if batch.sequence is not None]


def _deliver(connection: psycopg.Connection, target: Target, batch: Batch, folder: Path) -> None:
    files, manifest = batch.outgoing(folder)
    if batch.delivered_at is None:
        batches.record_begun(connection, batch)
        target.deliver(files, manifest)
        batches.record_delivered(connection, batch)
    try:
        target.verify(files, manifest)
    except DeliveryError:
        batches.record_undelivered(connection, batch)
        raise
    batches.record_verified(connection, batch)


# -- what a run waits for -----------------------------------------------------------------------------------


def _entry() -> Entry:
    return load_agenda().entry(ROUTINE)


def _settings(connection: psycopg.Connection, business_date: dt.date) -> DailyFileSettings:
    settings = batches.load_settings(connection)
    if business_date < settings.first_business_date:
        raise SettingError(
            "business_date",
            business_date.isoformat(),
            f"lies before the first one that the partner expects, {settings.first_business_date}",
        )
    return settings


def _missing(connection: psycopg.Connection, run: Run, settings: DailyFileSettings) -> str | None:
    problems = []
    if not run.params.get("out_of_order"):
        days = batches.undelivered_days(connection, settings, run.date)
        if days:
            stretch = f"{days[0]} to {days[-1]} ({len(days)} days)" if len(days) > 1 else f"{days[0]}"
            problems.append(
                f"the batches go out in order, and earlier ones are missing: {stretch}. "
                f"Run them first: {_entry().backfill_command(days[0], days[-1])}"
            )
    unloaded = [
        problem for source in _sources(connection, run.date) if (problem := _unloaded(source, run.date))
    ]
    if unloaded:
        problems.append(
            f"the ERP is not loaded: {'; '.join(unloaded)}. "
            f"When it is, run the day: {_entry().backfill_command(run.date, run.date)}"
        )
    return ". ".join(problems) or None


def _unloaded(source: _Source, business_date: dt.date) -> str | None:
    if source.expected is None:
        return f"erp.load_watermark has no row {source.source} for {business_date}"
    if source.rows < source.expected:
        return f"{source.source} has {source.rows} of {source.expected} rows of {business_date}"
    return None


def _sources(connection: psycopg.Connection, business_date: dt.date) -> list[_Source]:
    with connection.cursor(row_factory=class_row(_Source)) as cursor:
        return cursor.execute(statement("daily_file_batch/list_sources"), _values(business_date)).fetchall()


def _values(business_date: dt.date) -> dict[str, Any]:
    """The parameters of the statements: the day, and where it begins and ends."""
    zone = _entry().zone
    return {
        "business_date": business_date,
        "begins_at": dt.datetime.combine(business_date, dt.time(), zone),
        "ends_at": dt.datetime.combine(business_date + dt.timedelta(days=1), dt.time(), zone),
        "zone": zone.key,
    }


# -- making -------------------------------------------------------------------------------------------------


def _leave_out(connection: psycopg.Connection, run: Run, values: Mapping[str, Any]) -> _LeftOut:
    """Find the records that cannot go into the files, and name them in the run record."""
    widths = {column.name: column.width for feed in FEEDS for column in feed.columns}
    limits = {
        "email_pattern": EMAIL_PATTERN,
        "email_width": widths["Email"],
        "order_number_width": widths["OrderNumber"],
        "most_value": 10 ** (widths["TotalAmount"] - 2) - 1,
    }
    connection.execute(statement("daily_file_batch/tune_session"))
    connection.execute(statement("daily_file_batch/find_left_out"), {**values, **limits})
    connection.execute(statement("daily_file_batch/record_items"), {"run_id": run.id})
    with connection.cursor(row_factory=class_row(_LeftOut)) as cursor:
        (left_out,) = cursor.execute(statement("daily_file_batch/list_left_out")).fetchall()
    return left_out


def _write(
    connection: psycopg.Connection,
    connect: Connect,
    settings: DailyFileSettings,
    business_date: dt.date,
    values: Mapping[str, Any],
    bench: Path,
) -> dict[str, _File]:
    """Write the files of the feeds, as this transaction sees the ERP; by feed."""
    cursor = psycopg.ClientCursor(connection)
    queries = {feed.code: feed.query() for feed in FEEDS}
    # Another session sees the same here, but foreign servers show each session a moment of its own.
    sessions = 1 if any(_reads_foreign(connection, query, values) for query in queries.values()) else SESSIONS
    with connection.cursor(row_factory=scalar_row) as exporting:
        snapshot = exporting.execute(statement("daily_file_batch/export_snapshot")).fetchone()
    prepare = cursor.mogrify(statement("daily_file_batch/begin_copy"), {"snapshot": snapshot})
    names = {feed.code: feed.file_name(settings.instance_id, business_date) for feed in FEEDS}
    with ExitStack() as stack:
        copies = {
            feed.code: Copy(
                cursor.mogrify(queries[feed.code], values),
                stack.enter_context(FeedFile(feed, bench / names[feed.code])),
            )
            for feed in sorted(FEEDS, key=lambda feed: _LONGEST_FIRST.index(feed.code))
        }
        asyncio.run(copy_all(connect, copies, prepare, sessions))
        return {
            feed.code: _File(names[feed.code], bench / names[feed.code], copies[feed.code].finish())
            for feed in FEEDS
        }


def _reads_foreign(connection: psycopg.Connection, query: sql.Composed, values: Mapping[str, Any]) -> bool:
    plan = connection.execute(sql.SQL("explain ") + query, values)
    return any("Foreign Scan" in line for (line,) in plan)


def _take_over(
    connection: psycopg.Connection,
    run: Run,
    settings: DailyFileSettings,
    files: Mapping[str, _File],
    bench: Path,
    folder: Path,
    records: int,
) -> tuple[int, dict[str, Any]]:
    """Make the files the batch of the day: the first one, instead of one that never left, or as a correction.

    Returns:
        How many of the records are written for the first time or differently, and what the run tells of it.
    """
    *earlier, latest = batches.revisions(connection, run.date)
    kept, same = _is_kept(latest, folder), _is_same(latest, files)
    if same and kept:
        return 0, {"sequence": latest.sequence, "note": "o lote já estava pronto, e nada mudou na origem"}
    # One that left in part only, and is lost here, can only be made anew.
    correction = not same and latest.left and (kept or latest.delivered_at is not None)
    replaced = latest if correction else earlier[-1] if earlier else None
    sequence = latest.sequence
    if sequence is None or correction:
        sequence = batches.next_sequence(connection)
    manifest = _write_manifest(settings, run.date, sequence, replaced, files, bench)
    changed = 0
    if not same:
        differing = _compare(connection, latest, files, folder) if kept else None
        changed = records if differing is None else differing.records
        if replaced is not None and replaced is not latest:
            differing = _compare(connection, replaced, files, folder) if _is_kept(replaced, folder) else None
        batches.record_generated(
            connection,
            batches.add_correction(connection, latest) if correction else latest.id,
            sequence,
            manifest,
            {feed: (file.name, file.written) for feed, file in files.items()},
            differences=_described_differences(replaced, files, differing) if replaced else {},
            run_id=run.id,
        )
    spool.publish(bench, folder, run.date, sequence)
    return changed, {"sequence": sequence} | ({"replaces": replaced.sequence} if replaced else {})


def _write_manifest(
    settings: DailyFileSettings,
    business_date: dt.date,
    sequence: int,
    replaced: Batch | None,
    files: Mapping[str, _File],
    bench: Path,
) -> Outgoing:
    """Write the manifest beside the files. Nothing in it depends on when it is made."""
    content = {
        "schema_version": SCHEMA_VERSION,
        "instance": settings.instance_id,
        "business_date": business_date.isoformat(),
        "sequence": sequence,
        "replaces": replaced.sequence if replaced else None,
        "files": [
            {
                "name": file.name,
                "rows": file.written.rows,
                "bytes": file.written.bytes,
                "sha256": file.written.sha256,
            }
            for file in files.values()
        ],
    }
    data = (json.dumps(content, indent=2) + "\n").encode()
    path = bench / manifest_name(settings.instance_id, business_date)
    with spool.writing(path), path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    return Outgoing(path.name, path, len(data), hashlib.sha256(data).hexdigest())


def _is_same(batch: Batch, files: Mapping[str, _File]) -> bool:
    """Whether a batch has the same files, byte for byte."""
    return {(file.name, file.sha256) for file in batch.files} == {
        (file.name, file.written.sha256) for file in files.values()
    }


def _is_kept(batch: Batch, folder: Path) -> bool:
    """Whether a batch was made and stands in the spool as it was made."""
    if batch.sequence is None:
        return False
    files, manifest = batch.outgoing(folder)
    return all(file.path.is_file() and _hash_of(file.path) == file.sha256 for file in (*files, manifest))


def _hash_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _compare(
    connection: psycopg.Connection, batch: Batch, files: Mapping[str, _File], folder: Path
) -> Differences:
    """What the files have otherwise than a batch that is kept in the spool."""
    pairs = {
        file.feed: (batch.folder(folder) / file.name, files[file.feed].path)
        for file in batch.files
        if file.sha256 != files[file.feed].written.sha256
    }
    return differences.compare(connection, pairs, f"{batch.business_date:%d/%m/%Y}")


def _described_differences(
    replaced: Batch, files: Mapping[str, _File], found: Differences | None
) -> dict[str, Any]:
    """What a correction changes, by feed: rows and bytes before and after, lines that came and went."""
    described: dict[str, Any] = {}
    for old in replaced.files:
        new = files[old.feed].written
        if old.sha256 != new.sha256:
            described[old.feed] = {"rows": [old.rows, new.rows], "bytes": [old.bytes, new.bytes]}
            if found is not None:
                lines = found.lines[old.feed]
                described[old.feed] |= {"added": lines.added, "removed": lines.removed}
    return described


def _described(files: Mapping[str, _File]) -> dict[str, Any]:
    """What the summary tells of the files: their rows, and the values that had to be changed."""
    changed = [
        f"{feed.label}.{name} {number}"
        for feed in FEEDS
        for name, number in files[feed.code].written.changed_values.items()
    ]
    rows = ", ".join(f"{feed.label} {files[feed.code].written.rows}" for feed in FEEDS)
    return {"rows": rows} | ({"changed_values": ", ".join(changed)} if changed else {})
