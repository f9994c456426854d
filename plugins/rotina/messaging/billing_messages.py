"""Billing messages (crm_cobranca): reminders of open receivables, by the steps of the dunning schedule.

A step reminds of the receivables that are due so many days before or after the business date. A reminder is
known by receivable, step and due date: it is written once, and a receivable that gets another due date is
reminded of that one too.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.rows import class_row, scalar_row

from rotina import erp_contract
from rotina.errors import SettingError
from rotina.messaging import outbox
from rotina.messaging.dunning import due_dates
from rotina.messaging.templates import check_template
from rotina.runs.agenda import load_agenda
from rotina.runs.record import Outcome, Run
from rotina.sql import statement

ROUTINE = "billing_messages"

#: What the routine reads from the ERP.
ERP_TABLES = (erp_contract.customer, erp_contract.receivable)


@dataclass(frozen=True)
class _Step:
    id: int
    name: str
    days: int
    template_id: int
    next_business_day: bool


def check_settings(connection: psycopg.Connection, params: dict[str, Any]) -> None:
    """Refuse to start with a wrong setting. Changes nothing.

    Raises:
        SettingError: the ERP integration is off, a table or column of the ERP is missing, no step of the
            dunning schedule is active, or one has a template that cannot be used.
    """
    with connection.cursor(row_factory=scalar_row) as cursor:
        if not cursor.execute(statement("erp/get_active")).fetchone():
            raise SettingError(
                "integration erp, active", False, "receivables come from the ERP; switch its integration on"
            )
    erp_contract.check_tables(connection, ERP_TABLES)
    steps = _steps(connection)
    if not steps:
        raise SettingError("dunning schedule", None, "no step of it is active")
    for step in steps:
        try:
            check_template(connection, step.template_id, ROUTINE)
        except SettingError as error:
            raise SettingError(
                f"dunning step {step.name}, {error.field}", error.value, error.problem
            ) from error


def write_messages(connection: psycopg.Connection, run: Run, *, now: dt.datetime | None = None) -> Outcome:
    """Write the reminders of the business date of `run`, inside the transaction of the caller.

    Params of the run: `dry_run` (write no message).

    Args:
        connection: of the task role, in a transaction.
        run: the run record.
        now: what expiry is compared with; None: the clock of the database.

    Returns:
        The equation over the receivables that a step reminds of.

    Raises:
        SettingError: as `check_settings`.
        psycopg.errors.SerializationFailure: as `outbox.enqueue`.
    """
    check_settings(connection, run.params)
    reminded = [
        (step.id, *dates)
        for step in _steps(connection)
        if (dates := due_dates(step.days, step.next_business_day, run.date))
    ]
    outbox.open_outgoing(connection)
    connection.execute(
        statement("billing_messages/select_receivables"),
        {
            "step_ids": [step_id for step_id, _, _ in reminded],
            "first_due_ons": [first for _, first, _ in reminded],
            "last_due_ons": [last for _, _, last in reminded],
            "business_date": run.date,
            "timezone": load_agenda().entry(ROUTINE).timezone,
        },
    )
    return outbox.enqueue(connection, run, dry_run=bool(run.params.get("dry_run")), now=now)


def _steps(connection: psycopg.Connection) -> list[_Step]:
    with connection.cursor(row_factory=class_row(_Step)) as cursor:
        return cursor.execute(statement("billing_messages/list_steps")).fetchall()
