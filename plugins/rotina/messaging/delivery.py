"""How far messages got after a gateway took them: what it tells by webhook, and what it says when asked.

Events may come repeatedly, in any order, before the outcome of their call is written, or about messages of
somebody else: each is kept once, and what it says of a message does not depend on when it came.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

import psycopg
from psycopg.rows import class_row

from rotina.errors import SettingError
from rotina.messaging.adapters import Adapter, Delivery, DeliveryStatus
from rotina.messaging.adapters.replies import shown
from rotina.messaging.gateways import Gateway, check_text, load_gateway
from rotina.sql import statement

#: How long an event waits for its message to become known. The outcome of a call is written within minutes.
PATIENCE = dt.timedelta(days=3)

#: Messages that one poll asks about, and events that one call applies, at most.
MOST = 5_000


@dataclass(frozen=True)
class Event:
    """Something that a gateway told of a message."""

    gateway_message_id: str
    status: DeliveryStatus
    occurred_at: dt.datetime
    """Aware."""
    error: str | None = None
    message_id: int | None = None
    """Our key of the message, where the gateway gives it back."""
    dedupe_key: str | None = None
    """Its dedupe key, where the gateway gives that back."""
    attempt: int | None = None
    """Number of the attempt that it is about, where the gateway gives that back."""


@dataclass(frozen=True)
class Recorded:
    """What came of events: each is new or repeated."""

    new: int
    repeated: int
    applied: int
    """Written to their messages."""
    unmatched: int
    """About no message that is known yet; `apply_events` looks again."""


@dataclass(frozen=True)
class Due:
    """A sent message that its gateway is to be asked about."""

    id: int
    gateway_message_id: str


@dataclass(frozen=True)
class _Kept:
    ids: list[int]
    new: int


@dataclass(frozen=True)
class _Applied:
    applied: int
    unmatched: int


def record_events(connection: psycopg.Connection, gateway_code: str, events: Sequence[Event]) -> Recorded:
    """Keep what a gateway told, and write it to its messages.

    Raises:
        SettingError: there is no such gateway, or an event has no key or an instant without time zone.
    """
    gateway_id = load_gateway(connection, gateway_code).id
    for event in events:
        check_text("gateway_message_id", event.gateway_message_id)
        if event.occurred_at.tzinfo is None:
            raise SettingError("occurred_at", event.occurred_at.isoformat(), "needs a time zone")
    values = {
        "gateway_id": gateway_id,
        "gateway_message_ids": [event.gateway_message_id for event in events],
        "message_ids": [event.message_id for event in events],
        "dedupe_keys": [event.dedupe_key for event in events],
        "attempts": [event.attempt for event in events],
        "statuses": [event.status for event in events],
        "errors": [shown(event.error) if event.error else None for event in events],
        "occurred_at": [event.occurred_at for event in events],
    }
    with connection.cursor(row_factory=class_row(_Kept)) as cursor:
        (kept,) = cursor.execute(statement("delivery/add_events"), values).fetchall()
    done = _apply(connection, kept.ids, None, len(kept.ids))
    return Recorded(kept.new, len(events) - kept.new, done.applied, done.unmatched)


def apply_events(connection: psycopg.Connection, most: int = MOST) -> int:
    """Write events of the last days to messages that became known, or were in somebody's hand, meanwhile.

    Returns:
        The number of events that were written to messages; of messages that are being sent, they will be
        again.
    """
    since = dt.datetime.now(dt.UTC) - PATIENCE
    return _apply(connection, None, since, most).applied


def due_polls(connection: psycopg.Connection, gateway_id: int, most: int = MOST) -> list[Due]:
    """Take the sent messages that a gateway is to be asked about now: of too many, those that wait longest.

    Nobody else gets them for five minutes. Messages sent more than three days ago are not asked about again.
    """
    values = {"gateway_id": gateway_id, "most": most}
    with connection.cursor(row_factory=class_row(Due)) as cursor:
        return cursor.execute(statement("delivery/due_polls"), values).fetchall()


def record_polls(connection: psycopg.Connection, message_ids: Sequence[int]) -> None:
    """Set when messages that were asked about are asked about again, if ever: record what they said first."""
    connection.execute(statement("delivery/record_polls"), {"message_ids": list(message_ids)})


async def poll(
    connection: psycopg.Connection, adapter: Adapter, gateway: Gateway, most: int = MOST
) -> Recorded:
    """Ask a gateway how far its messages got, as many at a time as one dispatcher may, and record it.

    Messages it did not tell about are asked about again later.
    """
    due = await asyncio.to_thread(due_polls, connection, gateway.id, most)
    places = asyncio.Semaphore(gateway.share)

    async def ask(message: Due) -> Delivery | None:
        async with places:
            return await adapter.delivery(message.gateway_message_id)

    answers = await asyncio.gather(*map(ask, due))
    events = [
        Event(message.gateway_message_id, answer.status, answer.at, answer.error, message.id)
        for message, answer in zip(due, answers, strict=True)
        if answer is not None
    ]
    recorded = await asyncio.to_thread(record_events, connection, gateway.code, events)
    await asyncio.to_thread(record_polls, connection, [message.id for message in due])
    return recorded


def _apply(
    connection: psycopg.Connection, event_ids: list[int] | None, since: dt.datetime | None, most: int
) -> _Applied:
    values = {"event_ids": event_ids, "since": since, "most": most}
    with connection.cursor(row_factory=class_row(_Applied)) as cursor:
        (done,) = cursor.execute(statement("delivery/apply_events"), values).fetchall()
    return done
