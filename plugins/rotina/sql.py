"""SQL lives in files: include/sql/<routine>/<verb_object>.sql, with bound parameters `%(name)s`."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import LiteralString

SQL_FOLDER = Path(__file__).parents[2] / "include" / "sql"

_PARAMETER = re.compile(r"%\((\w+)\)s")


@cache
def statement(name: str) -> LiteralString:
    """The statement in include/sql/`name`.sql, to be executed with bound parameters.

    Raises:
        FileNotFoundError: there is no such statement.
    """
    return (SQL_FOLDER / f"{name}.sql").read_text(encoding="utf-8")


@cache
def numbered(name: str) -> tuple[str, tuple[str, ...]]:
    """The statement with its parameters as `$1`, `$2` … for asyncpg, and their names in that order.

    Raises:
        FileNotFoundError: there is no such statement.
    """
    text = statement(name)
    names = tuple(dict.fromkeys(_PARAMETER.findall(text)))
    return _PARAMETER.sub(lambda match: f"${names.index(match[1]) + 1}", text), names
