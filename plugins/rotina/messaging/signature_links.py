"""Signature links (crm_assinatura): the link of every open signature request, sent once to who is to sign."""

from __future__ import annotations

import datetime as dt
from typing import Any

import psycopg
from psycopg.rows import scalar_row

from rotina import erp_contract
from rotina.errors import SettingError
from rotina.messaging import outbox
from rotina.messaging.templates import check_template
from rotina.runs.agenda import load_agenda
from rotina.runs.record import Outcome, Run
from rotina.sql import statement

ROUTINE = "signature_links"

#: Code of the template, unless the run asks for another one.
TEMPLATE = "assinatura_digital"

#: How many days back from the business date a request may have been made, unless the run says otherwise.
DAYS_BACK = 7

#: How many days after the business date a link may still go out that does not expire itself.
VALID_DAYS = 3

#: Ahead of the reminders of the dunning schedule: somebody waits for the link.
PRIORITY = 3

#: What the routine reads from the ERP.
ERP_TABLES = (erp_contract.customer, erp_contract.signature_request)


def check_settings(connection: psycopg.Connection, params: dict[str, Any]) -> None:
    """Refuse to start with a wrong setting. Changes nothing.

    Raises:
        SettingError: the ERP integration is off, a table or column of the ERP is missing, `days_back` is no
            number of days, or there is not one template of the code that can be used.
    """
    with connection.cursor(row_factory=scalar_row) as cursor:
        if not cursor.execute(statement("erp/get_active")).fetchone():
            raise SettingError(
                "integration erp, active",
                False,
                "signature requests come from the ERP; switch its integration on",
            )
    erp_contract.check_tables(connection, ERP_TABLES)
    _days_back(params)
    check_template(connection, _template_id(connection, params), ROUTINE)


def write_messages(connection: psycopg.Connection, run: Run, *, now: dt.datetime | None = None) -> Outcome:
    """Write the messages of the open requests up to the business date, in the transaction of the caller.

    Params of the run: `days_back` (how old a request may be, in days) and `template` (code of the template).

    Args:
        connection: of the task role, in a transaction.
        run: the run record.
        now: what expiry is compared with; None: the clock of the database.

    Returns:
        The equation over the open requests.

    Raises:
        SettingError: as `check_settings`.
        psycopg.errors.SerializationFailure: as `outbox.enqueue`.
    """
    check_settings(connection, run.params)
    outbox.open_outgoing(connection)
    connection.execute(
        statement("signature_links/select_requests"),
        {
            "template_id": _template_id(connection, run.params),
            "business_date": run.date,
            "first_on": run.date - dt.timedelta(days=_days_back(run.params)),
            "timezone": load_agenda().entry(ROUTINE).timezone,
            "valid_days": VALID_DAYS,
            "priority": PRIORITY,
        },
    )
    return outbox.enqueue(connection, run, now=now)


def _days_back(params: dict[str, Any]) -> int:
    days_back = params.get("days_back", DAYS_BACK)
    if type(days_back) is not int or not 0 <= days_back <= 365:
        raise SettingError("days_back", days_back, "must be a whole number of days, from 0 to 365")
    return days_back


def _template_id(connection: psycopg.Connection, params: dict[str, Any]) -> int:
    code = params.get("template") or TEMPLATE
    with connection.cursor(row_factory=scalar_row) as cursor:
        found = cursor.execute(statement("signature_links/list_templates"), {"code": code}).fetchall()
    if len(found) != 1:
        problem = "several gateways have one" if found else "no gateway has one"
        raise SettingError("template", code, f"{problem} of that code that is active and approved")
    return int(found[0])
