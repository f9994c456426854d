"""How the queue fares: what is in it, whether it moves, and what keeps the database from cleaning up."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Literal, get_args

import psycopg
from psycopg.rows import class_row

from rotina.messaging.operations import Status
from rotina.sql import statement

#: The routine whose runs send messages.
ROUTINE = "queue_dispatch"


@dataclass(frozen=True)
class GatewayHealth:
    """How the queue of one gateway stands. Its send windows are told by rotina.messaging.send_windows."""

    code: str
    name: str
    state: Literal["open", "paused", "slowed", "inactive"]
    reason: str | None
    """Why it is paused or slowed."""
    slowed_until: dt.datetime | None
    waiting_now: int
    waiting_later: int
    """Waiting for their time (send_after)."""
    held: int
    sending: int
    unknown: int
    """Only a person or the gateway can settle these."""
    failed: int
    """In the queue; archived ones are not counted."""
    oldest_waiting: dt.timedelta | None
    """Since the oldest message was written that may go now; None when there is none."""
    oldest_sending: dt.timedelta | None
    """Since the oldest call began that is under way."""
    sent_5_minutes: int
    """By runs of queue_dispatch, as is the next."""
    sent_60_minutes: int


@dataclass(frozen=True)
class DatabaseHealth:
    """How the table of messages fares in the database."""

    dead_tuples: int
    size_bytes: int
    """With its indexes."""
    oldest_session: str | None
    """application_name of the session with the oldest transaction, or the name of a prepared transaction or
    replication slot that is older; None when there is no other."""
    oldest_age: dt.timedelta | None
    """How long ago that transaction began; None also of a slot, and when it is another role's and
    we may not see it."""
    oldest_transactions: int | None
    """How many transactions began since."""


@dataclass(frozen=True)
class _Counted:
    status: Status
    messages: int


def queue_health(connection: psycopg.Connection) -> list[GatewayHealth]:
    """How every gateway stands, by code. Fast however many messages were sent."""
    with connection.cursor(row_factory=class_row(GatewayHealth)) as cursor:
        return cursor.execute(statement("queue_health/list_gateways"), {"routine": ROUTINE}).fetchall()


def database_health(connection: psycopg.Connection) -> DatabaseHealth:
    """How the table of messages fares in the database."""
    with connection.cursor(row_factory=class_row(DatabaseHealth)) as cursor:
        (row,) = cursor.execute(statement("queue_health/get_database")).fetchall()
    return row


def count_statuses(connection: psycopg.Connection, since: dt.datetime | None = None) -> dict[Status, int]:
    """How many messages there are of each status, archived ones included: their sum is what was enqueued.

    Reads every message created `since` then (aware; None: all of them, a second or more for millions).
    """
    with connection.cursor(row_factory=class_row(_Counted)) as cursor:
        rows = cursor.execute(statement("queue_health/count_statuses"), {"since": since}).fetchall()
    counted = {row.status: row.messages for row in rows}
    return {status: counted.get(status, 0) for status in get_args(Status)}
