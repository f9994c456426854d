"""Finding messages among millions: a page costs the same however many there are.

Without a status, messages are read by their number, newest first; those of a status by the index it has. What
no index knows (a template, an origin, a text of an error …) is looked for among the newest `look` numbers
only: `Found.looked_to` tells how far that went, and the next look goes on from there. Dates are turned into
numbers first, because numbers grow with time.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Select,
    Text,
    cast,
    func,
    or_,
    select,
    text,
    true,
    tuple_,
    union_all,
)
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.orm import Session

from rotina.console.grids import MOST_COUNTED
from rotina.errors import SettingError
from rotina.messaging.addresses import canonical_email
from rotina.messaging.operations import MessageFilter
from rotina.models import Gateway, Message, MessageTemplate
from rotina.sql import statement

#: Numbers that one look goes through.
LOOK = 50_000
#: Messages that a search shows, the newest.
MOST_FOUND = 200

#: Statuses with the index message_at_rest, and those that the indexes of what is to be sent have.
_AT_REST = frozenset({"sent", "failed", "unknown", "cancelled", "expired"})
_PENDING = frozenset({"waiting", "held", "sending"})
#: Statuses of which there may be millions.
_MANY = frozenset({"sent", "cancelled", "expired"})

#: A message's number is taken in the transaction that begins at its `created_at`: none lasts as long as this.
_LONGEST_TRANSACTION = dt.timedelta(days=1)

#: Where a message stands in the line: priority, position, number.
Place = tuple[int, int, int]

_IS_AT_REST = text("message.status in ('sent', 'failed', 'unknown', 'cancelled', 'expired')")


@dataclass(frozen=True)
class Found:
    """A page of messages."""

    ids: Sequence[int]
    total: int | None
    """How many match, counted to MOST_COUNTED + 1, of those that were looked at; None on later pages."""
    older: int | None
    """The next page or look begins below this number; None: there is no more."""
    looked_to: int | None = None
    """The lowest number that was looked at, when there are others below it."""


@dataclass(frozen=True)
class Hit:
    """A message that a search found."""

    id: int
    created_at: dt.datetime
    archived: bool


def find(session: Session, wanted: MessageFilter, size: int, below: int | None, look: int = LOOK) -> Found:
    """The newest messages of the queue that match.

    Args:
        session: of the console's database.
        wanted: what they match; `customer_id`, `account_id` and `recipient` are for `search`.
        size: messages of a page.
        below: only those with a lower number; None: the first page.
        look: how many numbers to look through for what no index knows.

    Raises:
        SettingError: there is no such gateway or template, or the filter is wrong.
    """
    first, last = _numbers(session, wanted)
    top = last if below is None else min(below, last)
    least = first
    if _is_bounded(wanted):
        least = max(first, top - look)
    conditions = [*_conditions(session, wanted), Message.id < top, Message.id >= least]
    most = MOST_COUNTED + 1 if below is None else size + 1
    newest = _newest(wanted, conditions, _gateway_ids(session, wanted.gateway), most)
    found = newest.cte("found").prefix_with("materialized")
    page = select(found.c.id).order_by(found.c.id.desc()).limit(size + 1).subquery()
    # One row, so that thousands of numbers are counted where they are.
    row = session.execute(
        select(
            select(func.array_agg(aggregate_order_by(page.c.id, page.c.id.desc()))).scalar_subquery(),
            select(func.count()).select_from(found).scalar_subquery(),
        )
    ).one()
    ids: list[int] = row[0] or []
    total = row[1] if below is None else None
    if len(ids) > size:
        return Found(ids[:size], total, ids[size - 1])
    if least > first:
        return Found(ids, total, least, least)
    return Found(ids, total, None)


def find_in_line(
    session: Session, wanted: MessageFilter, size: int, after: Place | None
) -> tuple[Sequence[int], Place | None]:
    """The messages that may go now, in the order in which they go; and where the next page begins.

    Raises:
        SettingError: there is no such gateway or template, or the filter is wrong.
    """
    place = tuple_(Message.priority, Message.position, Message.id)
    gateways = _gateways(_gateway_ids(session, wanted.gateway))
    line = (
        select(Message.priority, Message.position, Message.id)
        .where(Message.gateway_id == gateways.c.id, text("message.status = 'waiting' and message.ready"))
        .where(*_conditions(session, wanted))
        .order_by(Message.priority, Message.position, Message.id)
        .limit(size + 1)
    )
    if after is not None:
        line = line.where(place > after)
    lines = line.lateral()
    rows = session.execute(
        select(lines.c.priority, lines.c.position, lines.c.id)
        .select_from(gateways.join(lines, true()))
        .order_by(lines.c.priority, lines.c.position, lines.c.id)
        .limit(size + 1)
    ).all()
    ids = [row.id for row in rows[:size]]
    return ids, tuple(rows[size - 1]) if len(rows) > size else None


def all_matching(session: Session, wanted: MessageFilter) -> Select[Any]:
    """The messages of the queue that match, newest first, to read them one after the other.

    Raises:
        SettingError: there is no such gateway or template, or the filter is wrong.
    """
    query = select(Message).where(*_conditions(session, wanted)).order_by(Message.id.desc())
    ids = _gateway_ids(session, wanted.gateway)
    if ids is not None:
        query = query.where(Message.gateway_id.in_(ids))
    return query.where(Message.status.in_(wanted.statuses)) if wanted.statuses else query


def search(session: Session, words: str) -> list[Hit]:
    """The newest messages that a person means by a number, a phone number, an e-mail address or a key.

    A number is that of a message, a customer or an account; a key is the message's own or the gateway's.
    Archived messages are found too, but for the gateway's key.
    """
    words = words.strip()
    values = {
        "number": int(words) if re.fullmatch(r"[0-9]{1,18}", words) else None,
        "recipients": _recipients(words),
        "key": words or None,
        "most": MOST_FOUND,
    }
    rows = session.connection().exec_driver_sql(statement("console_queue/search_messages"), values)
    return [Hit(*row) for row in rows]


def instant_of(session: Session, number: int) -> dt.datetime | None:
    """When the message of a number, or the next one above it, was included."""
    query = select(Message.created_at).where(Message.id >= number).order_by(Message.id).limit(1)
    return session.scalars(query).first()


def _recipients(words: str) -> list[str]:
    """The addresses as messages carry them that somebody may mean."""
    if "@" in words:
        return [canonical_email(words)]
    digits = re.sub(r"[ ().+-]", "", words)
    if not re.fullmatch(r"[0-9]{8,15}", digits):
        return []
    # A Brazilian number without its country: area code and eight or nine digits.
    return [f"+{digits}"] + ([f"+55{digits}"] if len(digits) in (10, 11) and "+" not in words else [])


def _newest(
    wanted: MessageFilter,
    conditions: Sequence[ColumnElement[bool]],
    gateway_ids: Collection[int] | None,
    most: int,
) -> Select[Any]:
    statuses = frozenset(wanted.statuses or ())
    if not statuses:
        query = select(Message.id).where(*conditions)
        if gateway_ids is not None:
            query = query.where(Message.gateway_id.in_(gateway_ids))
        return query.order_by(Message.id.desc()).limit(most)
    parts: list[Select[Any]] = []
    if statuses & _AT_REST:
        parts.append(_at_rest(statuses & _AT_REST, conditions, gateway_ids, most))
    if statuses & _PENDING:
        parts.append(_pending(statuses & _PENDING, conditions, gateway_ids))
    found = union_all(*parts).subquery()
    return select(found.c.id).order_by(found.c.id.desc()).limit(most)


def _at_rest(
    statuses: Collection[str],
    conditions: Sequence[ColumnElement[bool]],
    gateway_ids: Collection[int] | None,
    most: int,
) -> Select[Any]:
    """The newest of each gateway and status, by message_at_rest."""
    gateways = _gateways(gateway_ids)
    wanted = func.unnest(cast(sorted(statuses), ARRAY(Text))).table_valued("status").render_derived("wanted")
    newest = (
        select(Message.id)
        .where(Message.gateway_id == gateways.c.id, Message.status == wanted.c.status, _IS_AT_REST)
        .where(*conditions)
        .order_by(Message.id.desc())
        .limit(most)
        .lateral()
    )
    return select(newest.c.id).select_from(gateways.join(wanted, true()).join(newest, true()))


def _pending(
    statuses: Collection[str],
    conditions: Sequence[ColumnElement[bool]],
    gateway_ids: Collection[int] | None,
) -> Select[Any]:
    """What is to be sent, by message_ready, message_later and message_lease; all of it, to be sorted."""
    indexed = {
        "message.status = 'waiting' and message.ready": {"waiting"},
        "message.status in ('waiting', 'held') and not message.ready": {"waiting", "held"},
        "message.status = 'sending'": {"sending"},
    }
    any_of = [text(index) for index, known in indexed.items() if known & set(statuses)]
    query = select(Message.id).where(or_(*any_of), Message.status.in_(sorted(statuses)))
    if gateway_ids is not None:
        query = query.where(Message.gateway_id.in_(gateway_ids))
    # Apart, else PostgreSQL would rather walk down all messages until it has met enough of them.
    pending = query.where(*conditions).cte("pending").prefix_with("materialized")
    return select(pending.c.id)


def _conditions(session: Session, wanted: MessageFilter) -> list[ColumnElement[bool]]:
    """What is asked for besides gateway and status."""
    if wanted != MessageFilter():
        wanted.check()
    conditions: list[ColumnElement[bool]] = []
    if wanted.template is not None:
        conditions.append(Message.template_id.in_(_template_ids(session, wanted.template)))
    if wanted.origin is not None:
        conditions.append(Message.origin == wanted.origin)
    if wanted.priority is not None:
        conditions.append(Message.priority == wanted.priority)
    if wanted.created_from is not None:
        conditions.append(Message.created_at >= wanted.created_from)
    if wanted.created_to is not None:
        conditions.append(Message.created_at < wanted.created_to)
    if wanted.reason is not None:
        conditions.append(Message.reason == wanted.reason)
    if wanted.error is not None:
        conditions.append(func.strpos(func.lower(Message.error), func.lower(wanted.error)) > 0)
    return conditions


def _is_bounded(wanted: MessageFilter) -> bool:
    """Whether there may be millions to look through for what no index knows."""
    others = (wanted.template, wanted.origin, wanted.priority, wanted.reason, wanted.error)
    asks = any(one is not None for one in others)
    if not wanted.statuses:
        return asks or wanted.gateway is not None
    return asks and not _MANY.isdisjoint(wanted.statuses)


def _numbers(session: Session, wanted: MessageFilter) -> tuple[int, int]:
    """The lowest number that may match, and the one above the highest."""
    first, last = session.execute(
        select(func.coalesce(func.min(Message.id), 0), func.coalesce(func.max(Message.id), 0) + 1)
    ).one()
    if wanted.created_from is not None:
        first = max(first, _number_at(session, wanted.created_from - _LONGEST_TRANSACTION))
    if wanted.created_to is not None:
        last = min(last, _number_at(session, wanted.created_to + _LONGEST_TRANSACTION))
    return first, last


def _number_at(session: Session, at: dt.datetime) -> int:
    found = session.connection().exec_driver_sql(statement("console_queue/find_number"), {"at": at})
    return found.scalar_one() or 0


def _gateway_ids(session: Session, code: str | None) -> Collection[int] | None:
    if code is None:
        return None
    found = session.scalars(select(Gateway.id).where(Gateway.code == code)).all()
    if not found:
        raise SettingError("gateway", code, "there is no gateway of that code")
    return found


def _template_ids(session: Session, code: str) -> Collection[int]:
    found = session.scalars(select(MessageTemplate.id).where(MessageTemplate.code == code)).all()
    if not found:
        raise SettingError("template", code, "there is no template of that code")
    return found


def _gateways(ids: Collection[int] | None) -> Any:
    query = select(Gateway.id)
    return (query if ids is None else query.where(Gateway.id.in_(ids))).subquery()
