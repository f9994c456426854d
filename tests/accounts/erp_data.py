"""What the tests put into the reference ERP, and the nine fields computed independently of the SQL."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import psycopg

#: Instants of changes in the ERP lie this far apart: more than the delay that the refresh allows for.
TICK = dt.timedelta(hours=2)
FIRST_CHANGE = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)

NOTHING = (None, None, None, None, Decimal(0), None, 0, None, None)

FIELDS = (
    "last_purchase_date, first_purchase_date, last_purchase_value, first_purchase_value, accumulated_value, "
    "last_quote_date, purchase_count, days_since_last_purchase, last_invoice_code"
)


@dataclass
class Invoice:
    id: int
    customer: int | None
    issued_on: dt.date | None
    value: Decimal | None
    cancelled: bool = False

    @property
    def code(self) -> str:
        return f"NF-{self.id}"


@dataclass
class Erp:
    """The reference ERP, and a model of it in Python. Every change moves the ERP's clock on by `pace`."""

    owner: psycopg.Connection
    clock: dt.datetime = FIRST_CHANGE
    pace: dt.timedelta = TICK
    invoices: dict[int, Invoice] = field(default_factory=dict)
    quotes: list[tuple[int, dt.date]] = field(default_factory=list)
    customers: set[int] = field(default_factory=set)
    accounts: dict[int, int | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.owner.execute("insert into crm.integration (code, name, active) values ('erp', 'ERP', true)")

    def tick(self) -> dt.datetime:
        self.clock += self.pace
        return self.clock

    def add_customer(self, customer: int) -> None:
        self.owner.execute(
            "insert into erp.customer (customer_id, kind, name, created_at, updated_at) "
            "values (%s, 'person', 'Ana', now(), now())",
            [customer],
        )
        self.customers.add(customer)

    def add_account(self, customer: int | None) -> int:
        row = self.owner.execute(
            "insert into crm.account (kind, name, erp_customer_id) values ('person', 'Ana', %s) returning id",
            [customer],
        ).fetchone()
        assert row is not None
        self.accounts[row[0]] = customer
        return int(row[0])

    def link_account(self, account: int, customer: int | None) -> None:
        self.owner.execute("update crm.account set erp_customer_id = %s where id = %s", [customer, account])
        self.accounts[account] = customer

    def add_client(self, customer: int) -> int:
        """A customer with its account; returns the account."""
        self.add_customer(customer)
        return self.add_account(customer)

    def add_invoice(
        self,
        customer: int | None,
        issued_on: str | dt.date | None,
        value: str | None = "10.00",
        key: int | None = None,
    ) -> int:
        """A new invoice, with the next key if none is given; returns the key."""
        invoice = Invoice(
            id=key or max(self.invoices, default=0) + 1,
            customer=customer,
            issued_on=dt.date.fromisoformat(issued_on) if isinstance(issued_on, str) else issued_on,
            value=None if value is None else Decimal(value),
        )
        self.owner.execute(
            "insert into erp.invoice (invoice_id, code, customer_id, issued_on, value, updated_at) "
            "values (%s, %s, %s, %s, %s, %s)",
            [invoice.id, invoice.code, customer, invoice.issued_on, invoice.value, self.tick()],
        )
        self.invoices[invoice.id] = invoice
        return invoice.id

    def cancel_invoice(self, invoice: int) -> None:
        now = self.tick()
        self.owner.execute(
            "update erp.invoice set cancelled_at = %s, updated_at = %s where invoice_id = %s",
            [now, now, invoice],
        )
        self.invoices[invoice].cancelled = True

    def change_invoice(self, invoice: int, **changes: Any) -> None:
        """Change `value`, `issued_on` or a missing `customer` of an invoice."""
        changed = self.invoices[invoice]
        for name, value in changes.items():
            setattr(changed, name, value)
        self.owner.execute(
            "update erp.invoice set value = %s, issued_on = %s, customer_id = %s, updated_at = %s "
            "where invoice_id = %s",
            [changed.value, changed.issued_on, changed.customer, self.tick(), invoice],
        )

    def add_quote(self, customer: int, quoted_on: str | dt.date) -> None:
        date = dt.date.fromisoformat(quoted_on) if isinstance(quoted_on, str) else quoted_on
        self.owner.execute(
            "insert into erp.quote (quote_id, customer_id, quoted_on, value, updated_at) "
            "values (%s, %s, %s, 1, %s)",
            [len(self.quotes) + 1, customer, date, self.tick()],
        )
        self.quotes.append((customer, date))

    def add_audience(self, name: str, accounts: Iterable[int]) -> None:
        self.owner.execute("insert into crm.audience (name) values (%s)", [name])
        self.owner.execute(
            "insert into crm.audience_account (audience_id, account_id) "
            "select a.id, m.id from crm.audience a, unnest(%s::bigint[]) as m (id) where a.name = %s",
            [list(accounts), name],
        )

    def invalid_customers(self, date: dt.date) -> set[int]:
        """Customers with an invoice that cannot be counted."""
        return {
            i.customer
            for i in self.invoices.values()
            if i.customer is not None
            and not i.cancelled
            and (
                i.issued_on is None
                or (i.issued_on <= date and (i.value is None or i.value.is_nan() or i.value < 0))
            )
        }

    def expected(self, date: dt.date) -> dict[int, tuple[Any, ...]]:
        """The nine fields of every account as of a date; the account of an invalid customer is left out."""
        invalid = self.invalid_customers(date)
        return {
            account: NOTHING if customer is None else self._fields(customer, date)
            for account, customer in self.accounts.items()
            if customer not in invalid
        }

    def _fields(self, customer: int, date: dt.date) -> tuple[Any, ...]:
        bought = sorted(
            (i.issued_on, i.id, i.value, i.code)
            for i in self.invoices.values()
            if i.customer == customer and not i.cancelled and i.issued_on is not None and i.issued_on <= date
        )
        quoted = [day for who, day in self.quotes if who == customer and day <= date]
        last_quote = max(quoted, default=None)
        if not bought:
            return (None, None, None, None, Decimal(0), last_quote, 0, None, None)
        (first_on, _, first_value, _), (last_on, _, last_value, code) = bought[0], bought[-1]
        total = sum((value for _, _, value, _ in bought), Decimal(0))
        return (
            last_on,
            first_on,
            last_value,
            first_value,
            total,
            last_quote,
            len(bought),
            (date - last_on).days,
            code,
        )

    def stored(self, date: dt.date) -> dict[int, tuple[Any, ...]]:
        """The nine fields of every account as Rotina shows them for a date."""
        rows = self.owner.execute(f"select account_id, {FIELDS} from crm.account_data(%s)", [date])  # type: ignore[arg-type]
        return {row[0]: row[1:] for row in rows}
