"""Audiences (públicos): named selections of accounts, which a run may be limited to."""

from __future__ import annotations

import psycopg
from psycopg.rows import scalar_row

from rotina.errors import SettingError
from rotina.sql import statement


def find_audience(connection: psycopg.Connection, name: str | None) -> int | None:
    """The key of the audience of a name; None for none, which stands for all accounts.

    Raises:
        SettingError: there is no audience of that name.
    """
    if name is None:
        return None
    with connection.cursor(row_factory=scalar_row) as cursor:
        found = cursor.execute(statement("audiences/get_audience"), {"name": name}).fetchone()
    if found is None:
        raise SettingError("audience", name, "there is no audience of that name")
    return int(found)
