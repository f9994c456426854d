"""What the statements of the dispatcher read does not grow with the messages that were sent, nor with those
that wait, nor while an old transaction keeps dead rows from being cleaned away."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from rotina.sql import numbered, statement
from tests.messaging.queue_data import add_gateway
from tests.messaging.scripted_gateway import ScriptedGateway, dispatch

#: `make plans` asks for five million.
_SENT = int(os.environ.get("ROTINA_SENT_MESSAGES", "200000"))
_WAITING = 50_000 if _SENT > 1_000_000 else 20_000

_PLANS = ("custom", "generic")
_FRONT = (-1, -(2**62), 0)

#: Pages of tables and indexes that may be read or written per message that a statement takes in hand (it has
#: 13 indexes; up to thirty were seen), and by a statement that finds nothing to do.
_PER_MESSAGE = 40
_FOR_NOTHING = 50


def fill(owner: psycopg.Connection, gateway_id: int, status: str, number: int, **columns: str) -> None:
    """Add messages of a status; further columns are given as SQL."""
    columns = {"expires_at": "now() + interval '1 day'", "tries": "0", **columns}
    owner.execute(
        f"""
        insert into crm.message (gateway_id, dedupe_key, origin, origin_key, recipient, payload, status,
            {", ".join(columns)})
        select {gateway_id}, '{status}:' || {next_number(owner)} + n, 'test', n, '+5511900000001',
            '{{"template": "t", "variables": ["Ana"]}}', '{status}', {", ".join(columns.values())}
        from generate_series(1, {number}) as n
        """.encode()
    )


def next_number(owner: psycopg.Connection) -> int:
    ((number,),) = owner.execute("select coalesce(max(id), 0) from crm.message").fetchall()
    return int(number)


def add_sent(owner: psycopg.Connection, gateway_id: int) -> None:
    """Messages that were sent long ago, each with its attempt."""
    fill(
        owner,
        gateway_id,
        "sent",
        _SENT,
        tries="1",
        lease_token="n",
        gateway_message_id="'gw-' || n",
        sent_at="now()",
        ended_at="now()",
    )
    owner.execute(
        "insert into crm.message_attempt (message_id, number, token, ended_at, outcome) "
        "select id, tries, lease_token, sent_at, 'accepted' from crm.message where status = 'sent'"
    )


def analyze(owner: psycopg.Connection) -> None:
    owner.execute("vacuum analyze crm.message")
    owner.execute("vacuum analyze crm.message_attempt")


def pages(connection: psycopg.Connection, name: str, plan: str = "generic", **values: Any) -> tuple[int, str]:
    """How many pages of crm a statement reads, prepared as asyncpg does it, and its plan. It is rolled back.

    PostgreSQL plans a prepared statement for the values at hand (custom) and, after a while, perhaps for
    any (generic): both must do.
    """
    text, names = numbered(name)
    with connection.transaction(force_rollback=True):
        connection.execute(f"set local plan_cache_mode = force_{plan}_plan".encode())
        connection.execute(f"prepare guarded as {text}".encode())
        try:
            before = _pages_so_far(connection)
            marks = ", ".join(f"%({parameter})s" for parameter in names)
            shown = connection.execute(
                f"explain (analyze, buffers) execute guarded ({marks})".encode(), values
            ).fetchall()
            return _pages_so_far(connection) - before, "\n".join(line for (line,) in shown)
        finally:
            connection.execute("deallocate guarded")


def _pages_so_far(connection: psycopg.Connection) -> int:
    """Pages of crm that this transaction read, in every part of its statements."""
    ((number,),) = connection.execute(
        "select sum(pg_stat_get_xact_blocks_fetched(oid)) from pg_class "
        "where relnamespace = 'crm'::regnamespace and relkind in ('r', 'i')"
    ).fetchall()
    return int(number)


def claiming(
    gateway_id: int, after: tuple[int, int, int], most: int = 8, lease_seconds: float = 90.0
) -> dict[str, Any]:
    """The values of a claim."""
    return {
        "gateway_id": gateway_id,
        "limited": False,
        "after_priority": after[0],
        "after_position": after[1],
        "after_id": after[2],
        "most": most,
        "token": 7,
        "lease_seconds": lease_seconds,
        "run_id": None,
    }


def completing(gateway_id: int, claimed: list[tuple[int, int]]) -> dict[str, Any]:
    """The values of a completion of messages, by id and number of their attempt."""
    return {
        "message_ids": [key for key, _ in claimed],
        "numbers": [number for _, number in claimed],
        "tokens": [7 for _ in claimed],
        "outcomes": ["accepted" for _ in claimed],
        "codes": [200 for _ in claimed],
        "errors": ["" for _ in claimed],
        "gateway_message_ids": [f"gw-{key}" for key, _ in claimed],
        "delays": [0.0 for _ in claimed],
        "max_attempts": 5,
        "channel": "phone",
        "poll_seconds": 600.0,
        "gateway_id": gateway_id,
    }


def send(
    connection: psycopg.Connection,
    gateway_id: int,
    after: tuple[int, int, int],
    number: int,
    lease_seconds: float = 90.0,
) -> tuple[int, int, int]:
    """Claim and complete messages behind a place, as a dispatcher does; returns the place of the last."""
    for _ in range(number // 1_000):
        rows = connection.execute(
            statement("queue_dispatch/claim_messages"),
            claiming(gateway_id, after, 1_000, lease_seconds),
        ).fetchall()
        assert len(rows) == 1_000
        connection.execute(
            statement("queue_dispatch/complete_attempts"),
            completing(gateway_id, [(row[0], row[1]) for row in rows]),
        )
        after = (rows[-1][2], rows[-1][3], rows[-1][0])
    return after


@contextmanager
def old_transaction(uri: str) -> Iterator[None]:
    """A snapshot that somebody took and keeps: what it sees cannot be cleaned away."""
    with psycopg.connect(uri) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.execute("select count(*) from crm.gateway")
        yield


@pytest.mark.parametrize("sent", [_SENT, 0])
def test_a_claim_reads_a_few_pages_per_message_wherever_it_looks(
    connection: psycopg.Connection, owner: psycopg.Connection, gateway: int, sent: int
) -> None:
    if sent:
        add_sent(owner, gateway)
        fill(owner, gateway, "waiting", _WAITING)
    else:  # all that there is waits
        fill(owner, gateway, "waiting", 10 * _WAITING)
    analyze(owner)
    place = _FRONT
    for sent_since in (0, 10_000):
        place = send(connection, gateway, place, sent_since)
        for plan in _PLANS:
            name = "queue_dispatch/claim_messages"
            read, shown = pages(connection, name, plan, **claiming(gateway, place))
            assert 8 < read <= 8 * _PER_MESSAGE, shown


def test_a_claim_reads_as_little_while_an_old_transaction_is_open(
    connection: psycopg.Connection, owner: psycopg.Connection, gateway: int, database: str
) -> None:
    add_sent(owner, gateway)
    fill(owner, gateway, "waiting", _WAITING)
    analyze(owner)
    with old_transaction(database):
        place = send(connection, gateway, _FRONT, 15_000)
        behind, shown = pages(connection, "queue_dispatch/claim_messages", **claiming(gateway, place))
        front, _ = pages(connection, "queue_dispatch/claim_messages", **claiming(gateway, _FRONT))
    assert behind <= 8 * _PER_MESSAGE, shown
    assert front > 2 * behind  # what a claim would read that did not look behind the last one


def test_a_rescue_reads_as_little_while_an_old_transaction_is_open(
    connection: psycopg.Connection, owner: psycopg.Connection, gateway: int, database: str
) -> None:
    fill(owner, gateway, "waiting", _WAITING)
    analyze(owner)
    values: dict[str, Any] = {"run_id": None, "most": 5_000}
    with old_transaction(database):
        send(connection, gateway, _FRONT, 15_000, lease_seconds=-3_600.0)
        recent, shown = pages(connection, "queue_dispatch/rescue_messages", **values, back_seconds=60.0)
        all_of_it, _ = pages(connection, "queue_dispatch/rescue_messages", **values, back_seconds=1e9)
    assert recent <= _FOR_NOTHING, shown
    assert all_of_it > 2 * recent  # what a look would read that did not stop at the recent ones


def test_looking_after_the_queue_reads_a_few_pages_per_message_that_it_moves(
    connection: psycopg.Connection, owner: psycopg.Connection, gateway: int
) -> None:
    add_sent(owner, gateway)
    soon, past = "now() + interval '1 hour'", "now() - interval '1 minute'"
    fill(owner, gateway, "waiting", _WAITING)
    fill(owner, gateway, "waiting", _WAITING, ready="false", send_after=soon)
    fill(owner, gateway, "sending", 5_000, tries="1", lease_token="n", lease_until=soon)
    analyze(owner)
    values = {"gateway_id": gateway, "run_id": None, "most": 5_000, "back_seconds": 1e9}
    asked = [
        (f"queue_dispatch/{name}", plan)
        for name in ("rescue_messages", "expire_messages", "ready_messages")
        for plan in _PLANS
    ]
    for name, plan in asked:
        read, shown = pages(connection, name, plan, **values)
        assert read <= _FOR_NOTHING, f"{name} {shown}"
    fill(owner, gateway, "waiting", 50, expires_at=past)
    fill(owner, gateway, "waiting", 50, ready="false", send_after=past)
    fill(owner, gateway, "sending", 50, tries="1", lease_token="n", lease_until=past)
    for name, plan in asked:
        read, shown = pages(connection, name, plan, **values)
        assert 50 < read <= 50 * _PER_MESSAGE, f"{name} {shown}"


def test_writing_back_reads_a_few_pages_per_message(
    connection: psycopg.Connection, owner: psycopg.Connection, gateway: int
) -> None:
    add_sent(owner, gateway)
    fill(owner, gateway, "waiting", 1_000)
    analyze(owner)
    claimed = connection.execute(
        statement("queue_dispatch/claim_messages"), claiming(gateway, _FRONT, 100)
    ).fetchall()
    values = completing(gateway, [(row[0], row[1]) for row in claimed])
    for plan in _PLANS:
        read, shown = pages(connection, "queue_dispatch/complete_attempts", plan, **values)
        assert 100 < read <= 100 * _PER_MESSAGE, shown
        assert "Seq Scan" not in shown


def test_late_messages_of_a_gateway_that_does_not_send_are_read_once(
    connection: psycopg.Connection, owner: psycopg.Connection, gateway: int
) -> None:
    idle = add_gateway(owner, "idle", active=False)
    fill(owner, idle, "waiting", 4_000, expires_at="now() - interval '1 minute'")
    analyze(owner)
    values: dict[str, Any] = {"gateway_id": gateway, "run_id": None, "most": 5_000}
    deadline = time.monotonic() + 60
    read, shown = _FOR_NOTHING + 1, ""
    # Until no transaction, also of another database, is older.
    while read > _FOR_NOTHING and time.monotonic() < deadline:
        owner.execute("select txid_current()")
        time.sleep(0.05)
        connection.execute(statement("queue_dispatch/expire_messages"), values)
        read, shown = pages(connection, "queue_dispatch/expire_messages", **values)
    assert read <= _FOR_NOTHING, shown


@pytest.mark.parametrize("limits", [{}, {"rate": 100.0, "burst": 10}], ids=["unlimited", "limited"])
def test_a_dispatcher_reads_few_index_entries_per_message_while_an_old_transaction_is_open(
    connection: psycopg.Connection,
    owner: psycopg.Connection,
    database: str,
    task_uri: str,
    limits: dict[str, Any],
) -> None:
    gateway_id = add_gateway(owner, max_in_flight=50, **limits)
    fill(owner, gateway_id, "waiting", 300)
    analyze(owner)
    with old_transaction(database):
        simulated = ScriptedGateway()
        dispatch(connection, task_uri, simulated)
    assert len(simulated.ledger) == 300
    ((read,),) = owner.execute(
        "select idx_tup_read from pg_stat_user_indexes where indexrelname = 'message_ready'"
    ).fetchall()
    assert 300 <= read <= 4 * 300
