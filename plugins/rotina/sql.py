"""SQL lives in files: include/sql/<routine>/<verb_object>.sql, with bound parameters `%(name)s`."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import LiteralString

SQL_FOLDER = Path(__file__).parents[2] / "include" / "sql"


@cache
def statement(name: str) -> LiteralString:
    """The statement in include/sql/`name`.sql, to be executed with bound parameters.

    Raises:
        FileNotFoundError: there is no such statement.
    """
    return (SQL_FOLDER / f"{name}.sql").read_text(encoding="utf-8")
