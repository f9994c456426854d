"""The owner of the database, who loads demonstration data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest


@pytest.fixture
def owner(database: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection of the owner of `database` that shows times as the clock in São Paulo does."""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("set time zone 'America/Sao_Paulo'")
        yield connection
