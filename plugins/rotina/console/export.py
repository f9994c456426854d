"""Exports: any number of rows as a CSV file that is sent while the database reads it.

PostgreSQL writes the CSV itself (COPY), so that a row costs the API server next to nothing, and no more than
one piece of the file is in memory. Texts that a spreadsheet would take for a formula get an apostrophe.
"""

from __future__ import annotations

import csv
import io
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import psycopg
from sqlalchemy import ColumnElement, Select, String, case, cast, func
from starlette.exceptions import HTTPException
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from rotina.console.database import LONG_MILLISECONDS, Database
from rotina.console.language import gettext

#: Exports at a time in each process of the API server.
MOST = 2

_PIECE = 65_536
_slots = threading.BoundedSemaphore(MOST)

_FORMULA = r"^[=@+\t\r-]"
_NUMBER = r"^[+-]?[0-9][0-9 .,]*$"


class Export(StreamingResponse):
    """The rows of a SELECT as a file of CSV, in UTF-8 with the mark that spreadsheets look for."""

    def __init__(
        self,
        database: Database,
        name: str,
        columns: Sequence[tuple[str, ColumnElement[Any]]],
        query: Select[Any],
    ) -> None:
        """
        Args:
            database: where the rows are.
            name: of the file, without its ending.
            columns: the title and the expression of each column.
            query: where the rows come from, and their order; its own columns do not matter.
        """
        header = [title for title, _ in columns]
        selected = query.with_only_columns(*(_harmless(column) for _, column in columns))
        super().__init__(
            _pieces(database, header, selected),
            media_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": f'attachment; filename="{name}.csv"'},
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it, unless others are being sent.

        Raises:
            HTTPException: 503, as many exports are being sent as may be.
        """
        if not _slots.acquire(blocking=False):
            raise HTTPException(503, gettext("Other exports are being written. Try again in a moment."))
        try:
            await super().__call__(scope, receive, send)
        finally:
            _slots.release()


def _pieces(database: Database, header: Sequence[str], query: Select[Any]) -> Iterator[bytes]:
    with database.connect(LONG_MILLISECONDS) as connection:
        compiled = query.compile(dialect=database.engine.dialect, compile_kwargs={"render_postcompile": True})
        rows = psycopg.ClientCursor(connection).mogrify(compiled.string.encode(), compiled.params)
        piece = bytearray(b"\xef\xbb\xbf" + _line(header))
        with connection.cursor().copy(b"copy (" + rows.encode() + b") to stdout (format csv)") as lines:
            for line in lines:
                piece += line
                if len(piece) >= _PIECE:
                    yield bytes(piece)
                    piece.clear()
        yield bytes(piece)


def _line(values: Sequence[str]) -> bytes:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(values)
    return line.getvalue().encode()


def _harmless(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """The column as a spreadsheet may read it: a text that begins as a formula does, with an apostrophe."""
    if not isinstance(column.type, String):
        return column
    text = cast(column, String)
    formula = text.regexp_match(_FORMULA) & ~text.regexp_match(_NUMBER)
    return case((formula, func.concat("'", text)), else_=text)
