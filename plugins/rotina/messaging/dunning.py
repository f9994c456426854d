"""The dunning schedule (régua de cobrança): its steps, the customers left out of it, and its calendar."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict, dataclass

import psycopg
from psycopg.rows import dict_row

from rotina.errors import SettingError
from rotina.messaging.gateways import changes, check_range, check_text, record_audit
from rotina.messaging.templates import check_template
from rotina.runs.business_date import holiday_name
from rotina.sql import statement

ORIGIN = "billing_messages"

_RANGES = {"days": (-365, 3650), "priority": (1, 9), "valid_days": (0, 365)}
_ONE_DAY = dt.timedelta(days=1)
_SATURDAY = 5


@dataclass(frozen=True)
class StepSettings:
    """What a person sets of a step (crm.dunning_step has the meaning of each field)."""

    name: str
    days: int
    template_id: int
    priority: int = 5
    next_business_day: bool = True
    valid_days: int = 0
    active: bool = True


def due_dates(
    step_days: int, next_business_day: bool, business_date: dt.date
) -> tuple[dt.date, dt.date] | None:
    """The due dates, first and last, that a step reminds of on a business date; None when of none.

    A step's own day is the due date plus its days. With `next_business_day`, one on a weekend or a Brazilian
    national holiday moves to the next business day. Either way every due date has exactly one business date.
    """
    last = business_date - step_days * _ONE_DAY
    if not next_business_day:
        return last, last
    if not is_business_day(business_date):
        return None
    first = last
    before = business_date - _ONE_DAY
    while not is_business_day(before):
        first -= _ONE_DAY
        before -= _ONE_DAY
    return first, last


def is_business_day(date: dt.date) -> bool:
    """Whether a date is neither on a weekend nor a Brazilian national holiday."""
    return date.weekday() < _SATURDAY and holiday_name(date) is None


def save_step(
    connection: psycopg.Connection, step: StepSettings, login: str, *, renamed_from: str | None = None
) -> int:
    """Insert a step or change the one of that name; returns its id. An audit row tells who changed what.

    Args:
        connection: of the task role.
        step: what the step is to be.
        login: who decided it.
        renamed_from: the name that the step had until now; it keeps its id, by which its reminders are known.

    Raises:
        SettingError: a field is wrong, the template of an active step cannot be used, another step sends the
            same template on the same day, there is no step to rename, or its new name is taken.
    """
    old_name = step.name if renamed_from is None else renamed_from
    check_text("name", step.name)
    for name, (least, most) in _RANGES.items():
        check_range(name, getattr(step, name), least, most)
    with connection.transaction(), connection.cursor(row_factory=dict_row) as cursor:
        cursor.execute(statement("dunning/lock_steps"))
        if step.active:
            check_template(connection, step.template_id, ORIGIN)
        before = cursor.execute(statement("dunning/get_step"), {"name": old_name}).fetchone()
        if old_name != step.name:
            if before is None:
                raise SettingError("renamed_from", old_name, "there is no step of that name")
            if cursor.execute(statement("dunning/get_step"), asdict(step)).fetchone():
                raise SettingError("name", step.name, "another step has that name")
            cursor.execute(statement("dunning/rename_step"), {"old_name": old_name, "name": step.name})
        twin = cursor.execute(statement("dunning/find_twin"), asdict(step)).fetchone()
        if twin:
            raise SettingError("days", step.days, f"step {twin['name']!r} sends the same template that day")
        saved = cursor.execute(statement("dunning/save_step"), asdict(step)).fetchone()
        if saved is None:
            raise SettingError("template", step.template_id, "there is no such template")
        record_audit(connection, login, "save_step", {"dunning_step": step.name}, changes(before, saved))
    return int(saved["id"])


def delete_step(connection: psycopg.Connection, name: str, login: str) -> None:
    """Delete a step that wrote no message yet. An audit row keeps what it was.

    Its reminders are known by its id: a step made anew in its place would send them all again.

    Raises:
        SettingError: there is no step of that name, or it has written messages.
    """
    with connection.transaction(), connection.cursor(row_factory=dict_row) as cursor:
        deleted = cursor.execute(statement("dunning/delete_step"), {"name": name}).fetchone()
        if deleted is None:
            raise SettingError("step", name, "there is no step of that name")
        if cursor.execute(statement("dunning/find_reminder"), {"step_id": deleted["id"]}).fetchone():
            raise SettingError("step", name, "has written messages; set it inactive instead")
        record_audit(connection, login, "delete_step", {"dunning_step": name}, {"deleted": deleted})


def add_exception(
    connection: psycopg.Connection, customer_id: int, reason: str, until_on: dt.date | None, login: str
) -> None:
    """Leave a customer of the ERP out of the dunning schedule, or change why and until when.

    Args:
        connection: of the task role.
        customer_id: key of the customer in the ERP.
        reason: why.
        until_on: last day of the exception; None: for good.
        login: who decided it.

    Raises:
        SettingError: the reason is blank, or the ERP has no such customer.
    """
    check_text("reason", reason)
    values = {"customer_id": customer_id, "reason": reason, "until_on": until_on}
    with connection.transaction(), connection.cursor() as cursor:
        if not cursor.execute(statement("dunning/find_customer"), values).fetchone():
            raise SettingError("customer_id", customer_id, "the ERP has no such customer")
        cursor.execute(statement("dunning/add_exception"), values)
        record_audit(
            connection,
            login,
            "add_exception",
            {"customer": customer_id},
            {"reason": reason, "until_on": until_on and until_on.isoformat()},
        )


def remove_exception(connection: psycopg.Connection, customer_id: int, login: str) -> None:
    """Take a customer of the ERP into the dunning schedule again.

    Raises:
        SettingError: there is no exception for that customer.
    """
    with connection.transaction(), connection.cursor() as cursor:
        cursor.execute(statement("dunning/remove_exception"), {"customer_id": customer_id})
        if not cursor.rowcount:
            raise SettingError("customer_id", customer_id, "there is no exception for this customer")
        record_audit(connection, login, "remove_exception", {"customer": customer_id}, {})
