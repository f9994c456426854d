"""Fixtures of messaging."""

from __future__ import annotations

import psycopg
import pytest

from tests.messaging import queue_data


@pytest.fixture
def gateway(owner: psycopg.Connection) -> int:
    """A gateway that may send at any time; its id."""
    return queue_data.add_gateway(owner)


@pytest.fixture
def template(owner: psycopg.Connection, gateway: int) -> int:
    """An approved template of `gateway` for billing messages; its id."""
    return queue_data.add_template(owner, gateway)
