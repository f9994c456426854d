"""What differs between two batches of a day, line by line. PostgreSQL compares them, in any size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import LiteralString

import psycopg
from psycopg.rows import class_row, scalar_row

from rotina.files.feeds import DELIMITER, FEEDS, Feed
from rotina.sql import statement

_PIECE = 1024 * 1024


@dataclass(frozen=True)
class Lines:
    """Lines of a file that only the new batch has, and only the earlier one; a changed line is in both."""

    feed: str
    added: int
    removed: int


@dataclass(frozen=True)
class Differences:
    """What a batch has otherwise than an earlier one of the same day."""

    records: int
    """Orders and registered customers of the day that are written for the first time or differently."""
    lines: dict[str, Lines]
    """By feed, those that differ."""


def compare(
    connection: psycopg.Connection, pairs: Mapping[str, tuple[Path, Path]], business_date: str
) -> Differences:
    """Compare files of two batches, in the transaction of the caller.

    Args:
        connection: of the task role.
        pairs: by feed, the file of the earlier batch and the new one; feeds that are equal may be absent.
        business_date: as the files have it.

    Raises:
        OSError: a file cannot be read.
    """
    connection.execute(statement("daily_file_batch/create_touched"))
    for feed in FEEDS:
        if feed.code in pairs:
            _note(connection, feed, *pairs[feed.code])
    with connection.cursor(row_factory=class_row(Lines)) as cursor:
        lines = cursor.execute(statement("daily_file_batch/count_touched")).fetchall()
    with connection.cursor(row_factory=scalar_row) as cursor:
        values = {"business_date": business_date}
        (records,) = cursor.execute(statement("daily_file_batch/count_changed"), values).fetchall()
    connection.execute(statement("daily_file_batch/drop_touched"))
    return Differences(records, {one.feed: one for one in lines})


def _note(connection: psycopg.Connection, feed: Feed, earlier: Path, new: Path) -> None:
    connection.execute(statement("daily_file_batch/create_lines"))
    _copy(connection, statement("daily_file_batch/copy_earlier_lines"), earlier)
    _copy(connection, statement("daily_file_batch/copy_new_lines"), new)
    names = [column.source for column in feed.columns]
    values = {
        "feed": feed.code,
        "delimiter": DELIMITER,
        "registered_on": names.index("registered_on") + 1 if "registered_on" in names else 0,
    }
    connection.execute(statement("daily_file_batch/add_touched"), values)
    connection.execute(statement("daily_file_batch/drop_lines"))


def _copy(connection: psycopg.Connection, into: LiteralString, path: Path) -> None:
    with path.open("rb") as file, connection.cursor() as cursor, cursor.copy(into) as copy:
        while piece := file.read(_PIECE):
            copy.write(piece)
