"""What the delivery monitor reads of the queue does not grow with the messages that came to rest."""

from __future__ import annotations

import datetime as dt
from typing import Any

import psycopg
import pytest

from rotina.sql import statement
from tests.messaging.queue_data import add_gateway
from tests.messaging.test_queue_plans import add_sent, analyze, fill

_NOW = dt.datetime.now(dt.UTC)
_VALUES: dict[str, Any] = {
    "since": _NOW - dt.timedelta(minutes=30),
    "routine": "queue_dispatch",
    "at": _NOW,
}

#: Pages per message that has not come to rest: its row, its entry in an index, its attempt.
_PER_MESSAGE = 10


def pages(connection: psycopg.Connection, name: str, **values: Any) -> int:
    """How many pages of crm a statement reads."""
    with connection.transaction():
        connection.execute("set local max_parallel_workers_per_gather = 0")  # whose pages are not counted
        before = _pages_so_far(connection)
        connection.execute(statement(f"delivery_monitor/{name}"), values)
        return _pages_so_far(connection) - before


def _pages_so_far(connection: psycopg.Connection) -> int:
    ((number,),) = connection.execute(
        "select sum(pg_stat_get_xact_blocks_fetched(oid)) from pg_class "
        "where relnamespace = 'crm'::regnamespace and relkind in ('r', 'i')"
    ).fetchall()
    return int(number)


@pytest.fixture
def gateways(owner: psycopg.Connection) -> tuple[int, int]:
    """One that stands still, and one that works."""
    return add_gateway(owner, "still"), add_gateway(owner, "busy")


def test_gateways_are_looked_at_without_what_was_sent(
    connection: psycopg.Connection, owner: psycopg.Connection, gateways: tuple[int, int]
) -> None:
    still, busy = gateways
    add_sent(owner, busy)
    owner.execute("insert into crm.message_key select dedupe_key, id from crm.message order by id")
    in_hand = 0
    for status, ready in (
        ("waiting", "true"),
        ("waiting", "false"),
        ("sending", "false"),
        ("unknown", "false"),
    ):
        fill(owner, still, status, 300, ready=ready, tries="1", send_after="now() - interval '1 hour'")
        in_hand += 300
    analyze(owner)
    read = pages(connection, "list_gateways", **_VALUES)
    assert in_hand / 10 < read <= in_hand * _PER_MESSAGE


def test_the_newest_messages_are_counted_without_the_others(
    connection: psycopg.Connection, owner: psycopg.Connection, gateways: tuple[int, int]
) -> None:
    add_sent(owner, gateways[1])
    owner.execute("insert into crm.message_key select dedupe_key, id from crm.message order by id")
    analyze(owner)
    owner.execute("vacuum analyze crm.message_key")
    ((newest,),) = connection.execute(statement("delivery_monitor/get_newest_message")).fetchall()
    read = pages(connection, "compare_newest", after_id=newest - 1_000)
    assert 0 < read <= 400
