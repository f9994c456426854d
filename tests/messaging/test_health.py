"""Queue health: counts of every status, what moves, what holds the database up; and that it stays fast."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

import psycopg
import pytest

from rotina.messaging.health import count_statuses, database_health, queue_health
from rotina.messaging.operations import MessageFilter, _compiled, cancel
from rotina.sql import statement
from tests.messaging.queue_data import add_gateway, add_message, insert

MINUTE = dt.timedelta(minutes=1)
LONG_AGO, FAR_AWAY = dt.datetime(2020, 1, 1, tzinfo=dt.UTC), dt.datetime(2099, 1, 1, tzinfo=dt.UTC)


def ago(minutes: float) -> dt.datetime:
    return dt.datetime.now(dt.UTC) - minutes * MINUTE


def add_run(owner: psycopg.Connection, **fields: object) -> int:
    values = {"routine": "queue_dispatch", "program": "crm_fila", "attempt": 1, "run_type": "scheduled"}
    key = f"run-{dt.datetime.now().timestamp()}"  # noqa: DTZ005 - a name
    return int(insert(owner, "crm.run", **values, dag_run_id=key, params={}, **fields)[0])


def add_attempt(owner: psycopg.Connection, message_id: int, run_id: int | None, **fields: object) -> None:
    insert(
        owner,
        "crm.message_attempt",
        **{"message_id": message_id, "number": 1, "run_id": run_id, "token": 1, **fields},
    )


def test_every_gateway_with_what_is_in_its_queue(
    connection: psycopg.Connection, owner: psycopg.Connection
) -> None:
    gateway, idle = add_gateway(owner, "opa"), add_gateway(owner, "idle")
    later = {"ready": False, "send_after": FAR_AWAY}
    for age in (3, 9):
        add_message(owner, gateway, created_at=ago(age))
    for _ in range(3):
        add_message(owner, gateway, created_at=ago(50), **later)
    for _ in range(4):
        add_message(owner, gateway, status="held", **later)
    for status, number in (("unknown", 5), ("failed", 6), ("sent", 7), ("cancelled", 8), ("expired", 9)):
        for _ in range(number):
            add_message(owner, gateway, status=status, created_at=ago(90))
    sending = add_message(owner, gateway, status="sending", tries=1, created_at=ago(80))
    add_attempt(owner, sending, None, started_at=ago(2))

    opa, nothing = sorted(queue_health(connection), key=lambda health: health.code, reverse=True)
    assert (opa.code, opa.state, opa.reason) == ("opa", "open", None)
    assert (opa.waiting_now, opa.waiting_later, opa.held) == (2, 3, 4)
    assert (opa.sending, opa.unknown, opa.failed) == (1, 5, 6)
    assert opa.oldest_waiting is not None
    assert opa.oldest_sending is not None
    assert 9 * MINUTE <= opa.oldest_waiting < 40 * MINUTE
    assert 2 * MINUTE <= opa.oldest_sending < 40 * MINUTE
    assert (nothing.code, nothing.waiting_now, nothing.oldest_waiting, nothing.oldest_sending) == (
        "idle",
        0,
        None,
        None,
    )
    assert idle


def test_what_was_sent_lately(
    connection: psycopg.Connection, owner: psycopg.Connection, gateway: int
) -> None:
    other = add_gateway(owner, "other")
    ended = add_run(owner, status="succeeded", started_at=ago(70), ended_at=ago(30))
    running = add_run(owner, started_at=ago(100))
    for to, run, outcome, age in [
        (gateway, running, "accepted", 1),
        (gateway, running, "accepted", 2),
        (gateway, running, "rejected", 1),
        (gateway, running, "accepted", 40),
        (gateway, ended, "accepted", 50),
        (gateway, ended, "accepted", 61),
        (other, running, "accepted", 20),
    ]:
        number = add_message(owner, to, status="sent")
        add_attempt(owner, number, run, outcome=outcome, ended_at=ago(age))
    opa, second = queue_health(connection)
    assert (opa.sent_5_minutes, opa.sent_60_minutes) == (2, 4)
    assert (second.sent_5_minutes, second.sent_60_minutes) == (0, 1)


@pytest.mark.parametrize(
    ("fields", "state", "reason"),
    [
        ({}, "open", None),
        ({"slowed_until": LONG_AGO}, "open", None),
        ({"slowed_until": FAR_AWAY, "slow_reason": "429"}, "slowed", "429"),
        ({"failures": 2, "slow_reason": "503"}, "slowed", "503"),
        (
            {"paused_at": LONG_AGO, "pause_reason": "401", "failures": 2, "slow_reason": "503"},
            "paused",
            "401",
        ),
        ({"active": False, "paused_at": LONG_AGO, "pause_reason": "401"}, "inactive", None),
    ],
)
def test_state_of_a_gateway(
    connection: psycopg.Connection,
    owner: psycopg.Connection,
    fields: dict[str, Any],
    state: str,
    reason: str | None,
) -> None:
    add_gateway(owner, **fields)
    (health,) = queue_health(connection)
    assert (health.state, health.reason) == (state, reason)


def test_statuses_are_counted_with_the_archive(
    connection: psycopg.Connection, owner: psycopg.Connection, gateway: int
) -> None:
    for status in ("waiting", "held", "sending", "sent", "sent", "failed", "unknown", "expired"):
        add_message(owner, gateway, status=status)
    old = add_message(owner, gateway, created_at=ago(3))
    cancel(connection, [old], "ana")
    archived_at = dt.datetime(2026, 3, 15, tzinfo=dt.UTC)
    owner.execute("select crm.add_archive_month('2026-03-01')")
    insert(
        owner,
        "crm.message_archive",
        id=10**6,
        gateway_id=gateway,
        dedupe_key="x",
        origin="x",
        origin_key="x",
        recipient="x",
        payload={},
        created_at=archived_at,
        status="sent",
    )
    counted = count_statuses(connection)
    assert counted == {
        "waiting": 1,
        "sending": 1,
        "sent": 3,
        "failed": 1,
        "unknown": 1,
        "held": 1,
        "cancelled": 1,
        "expired": 1,
    }
    assert sum(count_statuses(connection, since=archived_at).values()) == 10
    assert sum(count_statuses(connection, since=archived_at + MINUTE).values()) == 9
    assert sum(count_statuses(connection, since=ago(2)).values()) == 8
    assert set(count_statuses(connection, since=ago(-60)).values()) == {0}


def test_the_session_that_holds_up_the_cleaning_is_named(
    connection: psycopg.Connection, owner: psycopg.Connection, task_uri: str, gateway: int
) -> None:
    add_message(owner, gateway)
    before = database_health(connection)
    assert before.size_bytes > 0
    assert before.oldest_session is None
    with psycopg.connect(task_uri, application_name="relatorio") as holder:
        holder.execute("set transaction isolation level repeatable read")
        holder.execute("select count(*) from crm.message")
        owner.execute("update crm.message set error = 'x'")
        health = database_health(connection)
    assert health.oldest_session == "relatorio"
    assert health.oldest_age is not None
    assert health.oldest_transactions is not None
    assert health.oldest_transactions >= 1
    owner.execute("select pg_stat_force_next_flush()")
    owner.execute("update crm.message set error = 'y'")
    assert database_health(connection).dead_tuples >= before.dead_tuples


def test_a_session_that_wrote_and_does_nothing_is_named(
    connection: psycopg.Connection, owner: psycopg.Connection, task_uri: str, gateway: int
) -> None:
    with psycopg.connect(task_uri, application_name="esquecida") as holder:
        holder.execute("select pg_current_xact_id()")
        row = owner.execute(
            "select backend_xmin from pg_stat_activity where application_name = 'esquecida'"
        ).fetchone()
        assert row == (None,)
        assert database_health(connection).oldest_session == "esquecida"


# -- plans --------------------------------------------------------------------------------------------------


@pytest.fixture
def big_queue(owner: psycopg.Connection, gateway: int) -> None:
    """200,000 messages that were sent by a hundred runs, one an hour, and 2,500 that were not."""
    owner.execute(
        "insert into crm.message (gateway_id, dedupe_key, origin, origin_key, recipient, payload, status, "
        " ready, created_at, sent_at, ended_at, tries) "
        "select %s, 'k' || n, 'test', n::text, '+5511999990000', '{}', "
        " case 0 when n %% 400 then 'waiting' when n %% 401 then 'unknown' when n %% 402 then 'failed' "
        "  when n %% 403 then 'held' when n %% 404 then 'sending' else 'sent' end, "
        " n %% 403 <> 0, now() - n * interval '1 minute', now(), now(), 1 "
        "from generate_series(1, 200000) as n",
        [gateway],
    )
    owner.execute(
        "insert into crm.run (routine, program, dag_run_id, attempt, run_type, status, started_at, ended_at) "
        "select 'queue_dispatch', 'crm_fila', n::text, 1, 'scheduled', 'succeeded', "
        " now() - (n + 0.5) * interval '1 hour', now() - (n - 0.5) * interval '1 hour' "
        "from generate_series(1, 100) as n"
    )
    owner.execute(
        "insert into crm.message_attempt (message_id, number, run_id, token, ended_at, outcome) "
        "select m.id, 1, r.id, 1, r.ended_at, 'accepted' "
        "from crm.message as m inner join crm.run as r on r.dag_run_id = (1 + m.id / 2001)::text"
    )
    owner.execute("vacuum analyze crm.message, crm.message_attempt, crm.run")


def explain(connection: psycopg.Connection, name: str, values: dict[str, object]) -> tuple[str, int]:
    """The plan of a statement as it ran, and how many pages it touched."""
    query = f"explain (analyze, buffers) {statement(name)}"
    rows = connection.execute(query, values).fetchall()
    plan = "\n".join(row[0] for row in rows)
    pages = re.search(r"Buffers: shared hit=(\d+)(?: read=(\d+))?", plan)
    assert pages is not None
    return plan, sum(int(number) for number in pages.groups("0"))


@pytest.mark.usefixtures("big_queue")
def test_health_reads_nothing_of_what_was_sent(
    connection: psycopg.Connection, owner: psycopg.Connection
) -> None:
    row = owner.execute("select pg_relation_size('crm.message') / 8192").fetchone()
    assert row is not None
    assert row[0] > 3000
    plan, pages = explain(connection, "queue_health/list_gateways", {"routine": "queue_dispatch"})
    assert "Seq Scan on message" not in plan
    assert (
        pages < 15_000
    )  # some of each of the 2,500 messages at work, and of the 2,000 sent in the last hour


@pytest.mark.usefixtures("big_queue")
def test_a_filter_on_pending_messages_reads_nothing_of_what_was_sent(connection: psycopg.Connection) -> None:
    asked = _compiled(connection, MessageFilter(statuses=["waiting", "held"]))
    action = {"allowed": ["waiting", "held"], "refuse_expired": False, "dry_run": False}
    with connection.transaction():
        connection.execute(statement("message_queue/create_selection"))
        plan, _ = explain(connection, "message_queue/select_messages", {**asked, **action})
    assert "Seq Scan on message " not in plan
