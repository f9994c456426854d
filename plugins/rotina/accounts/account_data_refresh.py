"""Account data refresh (crm338): the nine supplementary fields of the accounts, from the ERP.

The refresh is incremental. It looks at the accounts whose invoices or quotes changed in the ERP since the
last one, or have come of age (dated after the last business date, up to this one); at those newly linked to
the ERP; and at those that had a problem. To an account with nothing but new invoices these are added; the
others are computed from all their invoices. A full rebuild computes all and gives the same result. Either is
one transaction over one snapshot of the ERP. See docs/adr/0005-incremental-refresh.md.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any, TypeVar

import psycopg
from psycopg.rows import class_row, scalar_row

from rotina import erp_contract
from rotina.accounts.audiences import find_audience, open_audience
from rotina.errors import SettingError, SourceEmptyError
from rotina.runs.record import Outcome, Run
from rotina.sql import statement

T = TypeVar("T")

#: An ERP's change may become visible this long after its `updated_at` (docs/connecting-an-erp.md).
ERP_DELAY = dt.timedelta(hours=1)

#: Of the invoices and of the quotes of that hour, so many are remembered at most as they were seen.
MOST_RECENT = 50_000

#: From this share of all accounts on, reading all invoices beats looking up those of the selected accounts.
SCAN_SHARE = 0.05

#: What the routine reads from the ERP.
ERP_TABLES = (erp_contract.customer, erp_contract.invoice, erp_contract.quote)


@dataclass(frozen=True)
class _State:
    refreshed_through_on: dt.date | None
    invoices_seen_through: dt.datetime | None
    quotes_seen_through: dt.datetime | None
    counted_through_id: int | None
    newest_invoice_at: dt.datetime | None
    newest_quote_at: dt.datetime | None
    greatest_invoice_id: int | None


@dataclass(frozen=True)
class _Items:
    accounts: int
    account_items: int
    invoice_items: int
    skipped: int
    failed: int


def check_settings(connection: psycopg.Connection, params: dict[str, Any]) -> None:
    """Refuse to start with a wrong setting. Changes nothing.

    Raises:
        SettingError: the ERP integration is off, a table or column of the ERP is missing, or there is no such
            audience or its filter is wrong.
    """
    with connection.cursor(row_factory=scalar_row) as cursor:
        if not cursor.execute(statement("erp/get_active")).fetchone():
            raise SettingError(
                "integration erp, active", False, "the data come from the ERP; switch its integration on"
            )
    erp_contract.check_tables(connection, ERP_TABLES)
    find_audience(connection, params.get("audience"))


def refresh_accounts(connection: psycopg.Connection, run: Run) -> Outcome:
    """Refresh the accounts for the business date of `run`, inside the transaction of the caller.

    Params of the run: `audience` (name; empty = all accounts) and `full` (compute every account anew). An
    audience by filter has the accounts that meet it before the refresh.

    Returns:
        The equation over the accounts, and over the invoices that belong to no customer.

    Raises:
        SettingError: as `check_settings`.
        SourceEmptyError: there are no invoices or no quotes any more.
    """
    check_settings(connection, run.params)
    audience_id = open_audience(connection, run.params.get("audience"), run.date)
    state = _fetch(connection, "get_state", _State)
    if state.counted_through_id is not None and state.greatest_invoice_id is None:
        raise SourceEmptyError("erp.invoice")
    if state.quotes_seen_through is not None and state.newest_quote_at is None:
        raise SourceEmptyError("erp.quote")

    refreshed_through = state.refreshed_through_on
    everything = bool(run.params.get("full")) or refreshed_through is None
    newer_than = refreshed_through if refreshed_through and run.date < refreshed_through else None
    values: dict[str, Any] = {
        "run_id": run.id,
        "business_date": run.date,
        "refreshed_through_on": refreshed_through or dt.date.min,
        "newer_than": newer_than,
        "everything": everything,
        "audience_id": audience_id,
        "invoices_since": _since(state.invoices_seen_through),
        "quotes_since": _since(state.quotes_seen_through),
        "newest_invoice_at": state.newest_invoice_at,
        "newest_quote_at": state.newest_quote_at,
        "counted_through_id": state.counted_through_id,
        "greatest_invoice_id": state.greatest_invoice_id,
        "recent_invoices_since": _since(state.newest_invoice_at),
        "recent_quotes_since": _since(state.newest_quote_at),
        "most_recent": MOST_RECENT,
    }

    def execute(*names: str) -> int:
        """Run statements of the routine; returns the number of rows that the last one touched."""
        rows = 0
        for name in names:
            rows = connection.execute(statement(f"account_data_refresh/{name}"), values).rowcount
        return rows

    all_accounts = everything and audience_id is None
    execute("tune_session", "select_changed_customers", "find_undated_invoices")
    execute("select_all_accounts" if all_accounts else "select_accounts")
    values["all_customers"] = not newer_than and (all_accounts or _selected_share(connection) >= SCAN_SHARE)
    if values["all_customers"]:
        execute("aggregate_all_purchases", "join_halves")
        execute("prefer_scan", "prefer_halves", "compare_accounts", "prefer_default")
        execute("drop_purchase")
    else:
        execute("aggregate_purchases", "compare_accounts")
    execute("find_orphan_invoices", "record_items")
    changed = execute("write_changed")
    if not newer_than:
        execute("remember_problems")
        if audience_id is None:
            execute("settle_due", "advance_state", "forget_recent", "remember_recent")
        else:
            execute("make_due")
    named = _fetch(connection, "count_items", _Items, values)
    if all_accounts:
        execute("drop_selection")
    return Outcome(
        selected=named.accounts + named.invoice_items,
        changed=changed,
        unchanged=named.accounts - named.account_items - changed,
        skipped=named.skipped,
        failed=named.failed,
        details=_details(run, everything=everything, newer_than=newer_than),
    )


def _fetch(
    connection: psycopg.Connection, name: str, row_type: type[T], values: dict[str, Any] | None = None
) -> T:
    """The row of a statement that always has exactly one."""
    with connection.cursor(row_factory=class_row(row_type)) as cursor:
        (row,) = cursor.execute(statement(f"account_data_refresh/{name}"), values).fetchall()
    return row


def _since(seen_through: dt.datetime | None) -> dt.datetime:
    return seen_through - ERP_DELAY if seen_through else dt.datetime.min.replace(tzinfo=dt.UTC)


def _selected_share(connection: psycopg.Connection) -> float:
    with connection.cursor(row_factory=scalar_row) as cursor:
        return float(cursor.execute(statement("account_data_refresh/get_selected_share")).fetchone() or 0)


def _details(run: Run, *, everything: bool, newer_than: dt.date | None) -> dict[str, Any]:
    details: dict[str, Any] = {"mode": "todas as contas" if everything else "o que mudou no ERP"}
    if run.params.get("audience"):
        details["audience"] = run.params["audience"]
    if newer_than:
        details["note"] = f"as contas já têm os dados de {newer_than:%d/%m/%Y}; nada a fazer"
    return details
