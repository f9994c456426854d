"""The one way to write messages, for every producer.

A producer opens the table `outgoing`, fills it with one statement of its own and calls `enqueue`, all in the
transaction of its decision: its work and its messages are there together, or neither is. A message is known
by its dedupe key for ever, so that whatever is run again, retried or backfilled writes it once.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import psycopg
from psycopg.rows import class_row

from rotina.messaging.addresses import canonical_email
from rotina.messaging.gateways import CHANNELS
from rotina.runs.record import Outcome, Run
from rotina.sql import statement

_EMAIL_KINDS = [kind for kind, channel in CHANNELS.items() if channel == "email"]


@dataclass(frozen=True)
class _Checked:
    selected: int
    writable: int
    skipped: int
    failed: int


def open_outgoing(connection: psycopg.Connection) -> None:
    """Create the empty temp table `outgoing` for this transaction.

    include/sql/outbox/create_outgoing.sql says what a producer fills it with.
    """
    connection.execute(statement("outbox/tune_session"))
    connection.execute(statement("outbox/create_outgoing"))


def enqueue(
    connection: psycopg.Connection,
    run: Run,
    *,
    dry_run: bool = False,
    list_unwritten: bool = False,
    now: dt.datetime | None = None,
) -> Outcome:
    """Check the outgoing messages and write those that can be sent, in the transaction of the caller.

    A message that was written before is unchanged. The others are skipped (recipient opted out, no address,
    too late) or failed (template or gateway that cannot be used, invalid address, missing or wrong variables,
    payload too long), or what the producer said of them, and named in crm.run_item. A gateway that is only
    paused is fine: its messages wait.

    Args:
        connection: in a transaction, with `outgoing` filled.
        run: the run that writes them; its routine is the origin of the messages.
        dry_run: write no message; those that would be written count as unchanged, and `details` tells how
            many they are.
        list_unwritten: in a dry run, those that would be written are skipped instead, and named one by one.
        now: what expiry is compared with; None: the clock of the database.

    Returns:
        The equation over the outgoing messages; `changed` is what was written.

    Raises:
        psycopg.errors.SerializationFailure: under REPEATABLE READ only: another transaction wrote one of the
            messages after this one began. Trying the whole transaction again finds it there.
    """
    values = {
        "email_kinds": _EMAIL_KINDS,
        "list_unwritten": dry_run and list_unwritten,
        "now": now,
        "origin": run.routine,
        "run_id": run.id,
    }
    _spell_recipients(connection)
    connection.execute(statement("outbox/check_outgoing"), values)
    connection.execute(statement("outbox/record_items"), values)
    with connection.cursor(row_factory=class_row(_Checked)) as cursor:
        (checked,) = cursor.execute(statement("outbox/count_checked")).fetchall()
    written = 0 if dry_run else connection.execute(statement("outbox/write_messages"), values).rowcount
    connection.execute(statement("outbox/drop_tables"))
    details = {}
    if dry_run:
        would_write = f"{checked.writable:,}".replace(",", ".")
        details["note"] = f"simulação: mensagens que seriam gravadas: {would_write}; nenhuma foi"
    return Outcome(
        selected=checked.selected,
        changed=written,
        unchanged=checked.selected - written - checked.skipped - checked.failed,
        skipped=checked.skipped,
        failed=checked.failed,
        details=details,
    )


def _spell_recipients(connection: psycopg.Connection) -> None:
    """Give the few e-mail addresses with characters beyond ASCII the spelling that suppressions have."""
    found = connection.execute(statement("outbox/list_unicode_recipients")).fetchall()
    if found:
        recipients = [recipient for (recipient,) in found]
        spellings = [canonical_email(recipient) for recipient in recipients]
        values = {"recipients": recipients, "spellings": spellings}
        connection.execute(statement("outbox/rename_recipients"), values)
