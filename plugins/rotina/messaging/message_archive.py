"""Message archive (crm_arquivo): moves messages that came to rest months ago out of the queue.

What is moved are messages with all their attempts, into partitions by the month of their creation. Their
dedupe keys stay for ever, so that none is written again. What gateways told of them is deleted: the message
itself says how far it got and when, and no table of the queue grows without end.

A run is one transaction, as every step of a routine: it is done or not, and its counts with it. It takes a
bounded number of messages, because a long transaction keeps the database from cleaning up after the
dispatchers.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import psycopg
from psycopg.rows import scalar_row

from rotina.messaging.gateways import check_range
from rotina.runs.agenda import load_agenda
from rotina.runs.record import Outcome, Run
from rotina.sql import statement

#: How long an event is kept whose message is not in the queue.
STRANGE_EVENTS_KEPT = dt.timedelta(days=30)


def check_settings(connection: psycopg.Connection, params: dict[str, Any]) -> None:
    """Refuse to start with a wrong setting. Changes nothing.

    Raises:
        SettingError: `keep_months` or `most` is out of range.
    """
    check_range("keep_months", params.get("keep_months"), 1, 120)
    check_range("most", params.get("most"), 1, 5_000_000)


def kept_since(business_date: dt.date, keep_months: int) -> dt.date:
    """First day of the oldest month that stays in the queue: `keep_months` full months before this one."""
    year, month = divmod(business_date.year * 12 + business_date.month - 1 - keep_months, 12)
    return dt.date(year, month + 1, 1)


def archive_messages(connection: psycopg.Connection, run: Run) -> Outcome:
    """Archive what came to rest before the months that are kept, inside the transaction of the caller.

    Params of the run: `keep_months` (full months that stay, besides that of the business date) and `most`
    (messages that one run moves).

    Returns:
        The equation over the messages; `details` tells of their attempts and events, and whether there are
        more.

    Raises:
        SettingError: as `check_settings`.
        psycopg.errors.SerializationFailure: one of the messages was changed meanwhile. Try again.
    """
    check_settings(connection, run.params)
    zone = load_agenda().entry(run.routine).zone
    first_day = kept_since(run.date, run.params["keep_months"])
    ended_before = dt.datetime.combine(first_day, dt.time(), zone)
    midnight = dt.datetime.combine(run.date, dt.time(), zone)
    values = {
        "ended_before": ended_before,
        "most": run.params["most"],
        "received_before": midnight - STRANGE_EVENTS_KEPT,
    }

    def execute(name: str) -> int:
        """Run a statement of the routine; returns the number of rows that it touched."""
        return connection.execute(statement(f"message_archive/{name}"), values).rowcount

    selected = execute("select_messages")
    execute("add_months")
    attempts = execute("move_attempts")
    moved = execute("move_messages")
    events = execute("delete_events") + execute("delete_strange_events")
    with connection.cursor(row_factory=scalar_row) as cursor:
        more = cursor.execute(statement("message_archive/is_more_left"), values).fetchone()
    details: dict[str, Any] = {
        "ended_before": f"{first_day:%d/%m/%Y}",
        "attempts": attempts,
        "delivery_events": events,
    }
    if more:
        details["note"] = "há mais mensagens a arquivar; a próxima execução continua"
    return Outcome(
        selected=selected, changed=moved, unchanged=selected - moved, skipped=0, failed=0, details=details
    )
