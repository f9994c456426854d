"""Writes the files of a batch: copied out of PostgreSQL, cleaned, counted, hashed and checked as they pass.

PostgreSQL writes its text format, which escapes what would break a row, so that only rows with a backslash, a
quote or a control character are looked at one by one.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import asyncpg

from rotina.errors import RotinaError
from rotina.files.feeds import DELIMITER, MISFIT, Feed
from rotina.files.spool import writing

Connect = Callable[[], Awaitable[asyncpg.Connection]]

#: Bytes that are cleaned, hashed and written at a time, in a thread beside the connections.
_PIECE = 1024 * 1024

_DELIMITER = DELIMITER.encode()
_MISFIT = MISFIT.encode()
#: Stands before what was replaced until its column is known; PostgreSQL has no such character in a text.
_MARK = b"\0"
#: What may not stand in a field: escapes of the copy, control characters (C0, DEL, C1), the line and
#: paragraph separators of Unicode, quotes and backslashes.
_FORBIDDEN = re.compile(rb"""\\.|[\x01-\x1f\x7f"]|\xc2[\x80-\x9f]|\xe2\x80[\xa8\xa9]""", re.DOTALL)
#: The same, for a quick look at many rows: all single bytes but these, the delimiter and the end of a row;
#: and the bytes that the others begin with.
_HARMLESS = bytes({*range(0x20, 0x100)} - {0x7F, *b'"\\', *_DELIMITER})
_SEQUENCES = (
    (b"\xc2", re.compile(rb"\xc2[\x80-\x9f]")),
    (b"\xe2", re.compile(rb"\xe2\x80[\xa8\xa9]")),
)
#: What stands in its place; a blank for all others.
_REPLACEMENTS = {b"\\\\": b"/", b'"': b"'", _MISFIT: b""}


class DamagedFileError(RotinaError):
    """What was written is not what the feed says: a fault of this program. Nothing was published."""


@dataclass(frozen=True)
class Written:
    """A file of a batch, complete and on disk."""

    rows: int
    """Without the header."""
    bytes: int
    sha256: str
    """Hexadecimal."""
    changed_values: dict[str, int]
    """By column: how many values were cut, emptied or had characters replaced."""


class FeedFile:
    """A file while it is written. A context manager that closes it; only `finish` makes it complete."""

    def __init__(self, feed: Feed, path: Path) -> None:
        """Begin a new file with the header of its feed. Raises SpoolError when that is not possible."""
        self._feed = feed
        self._path = path
        with writing(path):
            self._file = path.open("xb", buffering=0)
        self._hash = hashlib.sha256()
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._row = _DELIMITER * (len(feed.columns) - 1) + b"\n"
        self._rows = self._bytes = 0
        self._changed: Counter[str] = Counter()
        self._put(feed.header.encode())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    async def write(self, data: bytes) -> None:
        """Take what PostgreSQL copied, in any pieces. Raises as `finish`."""
        self._pending.append(data)
        self._pending_bytes += len(data)
        if self._pending_bytes >= _PIECE:
            await asyncio.to_thread(self._write_rows)

    def finish(self) -> Written:
        """Write the rest, and let the file survive a crash of the machine.

        Raises:
            DamagedFileError: a row has not the columns of the feed, or no end.
            SpoolError: it cannot be written.
        """
        self._write_rows()
        if self._pending_bytes:
            raise DamagedFileError(f"{self._feed.label}: the last row has no end")
        with writing(self._path):
            os.fsync(self._file.fileno())
        changed = {column.name: self._changed[column.name] for column in self._feed.columns}
        return Written(
            self._rows,
            self._bytes,
            self._hash.hexdigest(),
            {name: number for name, number in changed.items() if number},
        )

    def _write_rows(self) -> None:
        """Write the rows that have come whole."""
        data = b"".join(self._pending)
        end = data.rfind(b"\n") + 1
        rows, rest = data[:end], data[end:]
        self._pending, self._pending_bytes = [rest], len(rest)
        if not rows:
            return
        number = self._count(rows)
        if number is None:
            rows = self._clean(rows)
            number = self._count(rows)
        if number is None:
            raise DamagedFileError(f"{self._feed.label}: a row has not {len(self._feed.columns)} columns")
        self._rows += number
        self._put(rows)

    def _count(self, rows: bytes) -> int | None:
        """How many rows these are, if each has the columns of the feed and nothing that is forbidden.

        All that is looked at is what stands between the harmless characters, at the speed of memory.
        """
        rest = rows.translate(None, _HARMLESS)
        number = len(rest) // len(self._row)
        clean = rest == self._row * number and not any(
            first in rows and sequence.search(rows) for first, sequence in _SEQUENCES
        )
        return number if clean else None

    def _put(self, data: bytes) -> None:
        self._hash.update(data)
        self._bytes += len(data)
        view = memoryview(data)
        with writing(self._path):
            while view:
                view = view[self._file.write(view) :]

    def _clean(self, rows: bytes) -> bytes:
        lines = rows.split(b"\n")
        for number, line in enumerate(lines):
            if _FORBIDDEN.search(line):
                lines[number] = self._clean_row(line)
        return b"\n".join(lines)

    def _clean_row(self, row: bytes) -> bytes:
        fields = _FORBIDDEN.sub(_replace, row).split(_DELIMITER)
        for place, (column, value) in enumerate(zip(self._feed.columns, fields, strict=False)):
            if _MARK in value:
                self._changed[column.name] += 1
                fields[place] = value.replace(_MARK, b"") or column.empty.encode()
        return _DELIMITER.join(fields)


@dataclass
class Copy:
    """A copy of a feed out of the database: its query, and where it goes."""

    query: str
    file: FeedFile
    rows: int = field(default=0, init=False)
    """As PostgreSQL counted them."""

    def finish(self) -> Written:
        """Complete the file.

        Raises:
            DamagedFileError: it has other rows than PostgreSQL copied, or a row has other columns.
            SpoolError: it cannot be written.
        """
        written = self.file.finish()
        if written.rows != self.rows:
            raise DamagedFileError(f"{self.rows} rows were copied, and {written.rows} written")
        return written


async def copy_all(connect: Connect, copies: Mapping[str, Copy], prepare: str, sessions: int) -> None:
    """Run copies, several at a time, each session in one transaction of its own.

    Args:
        connect: opens a connection.
        copies: what to copy, in the order in which they begin.
        prepare: statements that every session runs first, in its transaction.
        sessions: how many connections share the work.

    Raises:
        SpoolError: a file could not be written.
        OSError: the database could not be reached.
        asyncpg.PostgresError: the database refused something.
    """
    waiting = list(copies.values())

    async def work() -> None:
        database = await connect()
        try:
            async with database.transaction(isolation="repeatable_read", readonly=True):
                await database.execute(prepare)
                while waiting:
                    copy = waiting.pop(0)
                    status = await database.copy_from_query(
                        copy.query,
                        output=copy.file.write,
                        format="text",
                        delimiter=DELIMITER,
                        null=MISFIT,
                        encoding="utf8",
                    )
                    copy.rows = int(status.removeprefix("COPY "))
        except BaseException:
            database.terminate()
            raise
        await database.close()

    tasks = [asyncio.create_task(work()) for _ in range(sessions)]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _replace(match: re.Match[bytes]) -> bytes:
    return _MARK + _REPLACEMENTS.get(match[0], b" ")
