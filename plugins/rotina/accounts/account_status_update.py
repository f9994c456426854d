"""Account status update (crm1003): active, inactive or not integrated, as the source of the customers says.

The source is the one integration in use. ERP: an account is active whose customer moved (an invoice or an
order that is not cancelled) in the last months, first day included, up to the business date. Health plans:
one whose customer has an adhesion in force on the business date. One without a customer is not integrated.
Only accounts whose status differs are written. See docs/account-status.md.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict, dataclass
from typing import Any

import psycopg
from psycopg.rows import class_row
from sqlalchemy import Table

from rotina import erp_contract
from rotina.errors import SourceEmptyError
from rotina.integration.settings import Integration, load_status_source
from rotina.runs.progress import advance, done_through
from rotina.runs.record import Outcome, Run
from rotina.sql import statement

ROUTINE = "account_status_update"


@dataclass(frozen=True)
class _Source:
    """What is read of a source, and with which statements."""

    tables: tuple[Table, ...]
    find_empty: str
    compare: str
    explain: str


_SOURCES = {
    "erp": _Source(
        (erp_contract.customer, erp_contract.invoice, erp_contract.sales_order),
        "find_empty_erp",
        "compare_with_erp",
        "find_movements",
    ),
    "health_plan": _Source(
        (erp_contract.customer, erp_contract.health_plan_adhesion),
        "find_empty_health_plan",
        "compare_with_health_plan",
        "find_adhesions",
    ),
}

#: What the routine reads from the ERP, with either source.
ERP_TABLES = tuple({table.name: table for source in _SOURCES.values() for table in source.tables}.values())


@dataclass(frozen=True)
class _Counts:
    """How many accounts there are, and how many have to change to each status."""

    accounts: int
    to_active: int
    to_inactive: int
    to_not_integrated: int


def check_settings(connection: psycopg.Connection, params: dict[str, Any]) -> None:
    """Refuse to start with a wrong setting. Changes nothing.

    Raises:
        SettingError: not exactly one source is active, its settings are wrong, or a table or column that it
            needs is missing.
    """
    _load_source(connection)


def update_status(connection: psycopg.Connection, run: Run) -> Outcome:
    """Set the status of every account as of the business date of `run`, inside the transaction of the caller.

    Params of the run: `dry_run` (name the accounts that would change, and change none). A date older than
    one that was done before changes none either: the accounts that it would change are named.

    Returns:
        The equation over all accounts.

    Raises:
        SettingError: as `check_settings`.
        SourceEmptyError: a table of the source has no rows any more.
        psycopg.errors.SerializationFailure: somebody changed an account meanwhile that changes here.
    """
    integration = _load_source(connection)
    source = _SOURCES[integration.code]
    newest = done_through(connection, ROUTINE)
    newer_than = newest if newest and run.date < newest else None
    left_alone = "newer_data" if newer_than else "status_dry_run" if run.params.get("dry_run") else None
    values = {
        "run_id": run.id,
        "business_date": run.date,
        "source": integration.code,
        "reason": left_alone,
        **integration.settings,
    }
    if empty := connection.execute(statement(f"{ROUTINE}/{source.find_empty}")).fetchall():
        raise SourceEmptyError(", ".join(name for (name,) in empty))
    for name in ("tune_session", source.compare, source.explain):
        connection.execute(statement(f"{ROUTINE}/{name}"), values)
    with connection.cursor(row_factory=class_row(_Counts)) as cursor:
        (counts,) = cursor.execute(statement(f"{ROUTINE}/count_changes")).fetchall()
    changes = counts.to_active + counts.to_inactive + counts.to_not_integrated
    connection.execute(statement(f"{ROUTINE}/{'record_items' if left_alone else 'write_changes'}"), values)
    if not left_alone:
        advance(connection, run)
    return Outcome(
        selected=counts.accounts,
        changed=0 if left_alone else changes,
        unchanged=counts.accounts - changes,
        skipped=changes if left_alone else 0,
        failed=0,
        details=_details(integration, counts, newer_than, dry_run=left_alone == "status_dry_run"),
    )


def _load_source(connection: psycopg.Connection) -> Integration:
    """The source in use. Raises SettingError as `check_settings`."""
    integration = load_status_source(connection)
    erp_contract.check_tables(connection, _SOURCES[integration.code].tables)
    return integration


def _details(
    integration: Integration, counts: _Counts, newer_than: dt.date | None, *, dry_run: bool
) -> dict[str, Any]:
    details: dict[str, Any] = {"source": integration.name, **integration.settings}
    changes = {name: number for name, number in asdict(counts).items() if name != "accounts"}
    if newer_than:
        details["note"] = f"as contas já têm a situação de {newer_than:%d/%m/%Y}; nenhuma foi alterada"
    elif dry_run:
        details["note"] = "simulação: nenhuma conta foi alterada"
        details |= {name.replace("to_", "would_be_", 1): number for name, number in changes.items()}
    else:
        details |= changes
    return details
