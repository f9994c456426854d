"""Executes statements built with SQLAlchemy on a connection of psycopg, with bound parameters only."""

from __future__ import annotations

from typing import Any, TypeVar, cast

import psycopg
from psycopg.rows import RowFactory, tuple_row
from sqlalchemy import Executable
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.expression import ClauseElement, SelectBase

Row = TypeVar("Row")

_DIALECT = PGDialect_psycopg()
_TUPLES: RowFactory[Any] = tuple_row


class CreateTempTable(Executable, ClauseElement):
    """`create temp table … on commit drop as select …`.

    SQLAlchemy's own CreateTableAs writes the values into its text; this binds them.
    """

    inherit_cache = False

    def __init__(self, name: str, select: SelectBase) -> None:
        self.name = name
        self.select = select


@compiles(CreateTempTable)
def _create_temp_table(element: CreateTempTable, compiler: SQLCompiler, **options: Any) -> str:
    name = compiler.preparer.quote(element.name)
    return f"CREATE TEMP TABLE {name} ON COMMIT DROP AS {compiler.process(element.select, **options)}"


def execute(
    connection: psycopg.Connection[Any],
    statement: Executable,
    row_factory: RowFactory[Row] = _TUPLES,
) -> psycopg.Cursor[Row]:
    """Execute a statement of SQLAlchemy; returns its cursor.

    Values are bound as psycopg adapts them: processing by types of SQLAlchemy, as of JSON, does not happen.
    """
    compiled = cast("ClauseElement", statement).compile(
        dialect=_DIALECT, compile_kwargs={"render_postcompile": True}
    )
    return connection.cursor(row_factory=row_factory).execute(str(compiled).encode(), compiled.params)
