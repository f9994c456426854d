"""The ERP contract: the tables or views of the schema `erp` that Rotina reads, column by column.

An installation offers them as views over its own tables, as tables that a load fills, or as foreign tables.
The embedded environment creates them as tables (the reference ERP) with the indexes given here. The comments
are the documentation: docs/connecting-an-erp.md is generated from them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import psycopg
from sqlalchemy import (
    BigInteger,
    Column,
    Date,
    DateTime,
    Index,
    Integer,
    MetaData,
    Numeric,
    SmallInteger,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.types import TypeEngine

from rotina.errors import SettingError
from rotina.sql import statement

SCHEMA = "erp"

metadata = MetaData(schema=SCHEMA)

_MONEY = Numeric(14, 2)
_MOMENT = DateTime(timezone=True)
_UPDATED_AT = (
    "When the row last changed, insertion and cancellation included. It must be visible to other "
    "sessions within one hour of this instant"
)


def _column(
    name: str,
    type_: type[TypeEngine[Any]] | TypeEngine[Any],
    comment: str,
    *,
    required: bool = False,
    key: bool = False,
) -> Column[Any]:
    return Column(name, type_, comment=comment, nullable=not (required or key), primary_key=key)


customer = Table(
    "customer",
    metadata,
    _column("customer_id", BigInteger, "Key of the customer in the ERP", key=True),
    _column("kind", Text, "`person` or `company`", required=True),
    _column("name", Text, "Name, or corporate name", required=True),
    _column("document", Text, "CPF or CNPJ, without punctuation"),
    _column("email", Text, "E-mail address"),
    _column("phone", Text, "Phone in E.164 form, as +5511999990000"),
    _column("birth_on", Date, "Birth date of a person"),
    _column("created_at", _MOMENT, "When the customer was registered", required=True),
    _column("updated_at", _MOMENT, _UPDATED_AT, required=True),
    comment="One row per customer.",
)

invoice = Table(
    "invoice",
    metadata,
    _column(
        "invoice_id",
        BigInteger,
        "Key of the invoice; never changes, is never used again, grows with the order of issue in a day",
        key=True,
    ),
    _column("code", Text, "Number of the invoice as people know it", required=True),
    _column(
        "customer_id",
        BigInteger,
        "Customer of the invoice; never changes once set: a wrong invoice is cancelled and issued anew",
    ),
    _column("issued_on", Date, "Date of issue, in local time"),
    _column("value", _MONEY, "Total in BRL, zero or more"),
    _column("cancelled_at", _MOMENT, "When it was cancelled; empty while it is good"),
    _column("updated_at", _MOMENT, _UPDATED_AT, required=True),
    Index("invoice_customer_id", "customer_id"),
    Index("invoice_issued_on", "issued_on"),
    Index("invoice_updated_at", "updated_at"),
    comment="One row per sales invoice. Rows are cancelled, never deleted.",
)

quote = Table(
    "quote",
    metadata,
    _column("quote_id", BigInteger, "Key of the quote", key=True),
    _column("customer_id", BigInteger, "Customer who asked for it; does not change"),
    _column("quoted_on", Date, "Date of the quote, in local time"),
    _column("value", _MONEY, "Total in BRL"),
    _column("updated_at", _MOMENT, _UPDATED_AT, required=True),
    Index("quote_customer_id", "customer_id"),
    Index("quote_quoted_on", "quoted_on"),
    Index("quote_updated_at", "updated_at"),
    comment="One row per quote (cotação). Rows are not deleted.",
)

contract = Table(
    "contract",
    metadata,
    _column("contract_id", BigInteger, "Key of the contract", key=True),
    _column("customer_id", BigInteger, "Customer of the contract", required=True),
    _column("status", Text, "`active`, `blocked` (for default) or `ended`", required=True),
    _column("starts_on", Date, "First day in force", required=True),
    _column("ends_on", Date, "Last day in force; empty while it has no end"),
    _column("monthly_value", _MONEY, "Monthly charge in BRL", required=True),
    _column("updated_at", _MOMENT, _UPDATED_AT, required=True),
    Index("contract_customer_id", "customer_id"),
    comment="One row per service contract.",
)

sales_order = Table(
    "sales_order",
    metadata,
    _column("order_id", BigInteger, "Key of the order", key=True),
    _column("code", Text, "Number of the order as people know it", required=True),
    _column("customer_id", BigInteger, "Buyer"),
    _column("ordered_on", Date, "Date of the order, in local time", required=True),
    _column("store_code", Text, "Store or channel code", required=True),
    _column("status", Text, "`open`, `invoiced` or `cancelled`", required=True),
    _column("items_value", _MONEY, "Sum of the items in BRL, without taxes", required=True),
    _column("discount_value", _MONEY, "Discounts in BRL", required=True),
    _column("shipping_value", _MONEY, "Shipping in BRL", required=True),
    _column("total_value", _MONEY, "What the customer pays in BRL, with taxes", required=True),
    _column("updated_at", _MOMENT, _UPDATED_AT, required=True),
    _column("channel", Text, "Sales channel, as `site`, `store` or `phone`; empty: not known"),
    Index("sales_order_customer_id", "customer_id"),
    Index("sales_order_ordered_on", "ordered_on"),
    comment="One row per order.",
)

sales_order_item = Table(
    "sales_order_item",
    metadata,
    _column("order_id", BigInteger, "Order of the item", key=True),
    _column("line_number", SmallInteger, "Position in the order, from 1", key=True),
    _column("sku", Text, "Product code", required=True),
    _column("product_name", Text, "Product name", required=True),
    _column("quantity", Integer, "Units", required=True),
    _column("unit_value", _MONEY, "Price of one unit in BRL", required=True),
    comment="One row per product of an order.",
)

product_category = Table(
    "product_category",
    metadata,
    _column("sku", Text, "Product code", key=True),
    _column("level", SmallInteger, "Depth of the category: 1 is the widest", key=True),
    _column("category_code", Text, "Code of the category", required=True),
    _column("category_name", Text, "Name of the category", required=True),
    comment="One row per category of a product, from the widest to the narrowest.",
)

payment = Table(
    "payment",
    metadata,
    _column("payment_id", BigInteger, "Key of the payment", key=True),
    _column("order_id", BigInteger, "Order that it pays", required=True),
    _column("method", Text, "How it is paid, as `credit_card`, `pix` or `boleto`", required=True),
    _column("installments", SmallInteger, "In how many parts; 1 for all at once", required=True),
    _column("value", _MONEY, "What is paid this way in BRL", required=True),
    _column("updated_at", _MOMENT, _UPDATED_AT, required=True),
    Index("payment_order_id", "order_id"),
    comment="One row per means of payment of an order.",
)

load_watermark = Table(
    "load_watermark",
    metadata,
    _column("source", Text, "What was loaded: `sales_order` (items, payments too) or `customer`", key=True),
    _column("loaded_on", Date, "The day, in local time, whose rows are all there", key=True),
    _column(
        "row_count",
        BigInteger,
        "Orders of that day, or customers registered on it: 0 confirms that there were none",
        required=True,
    ),
    _column("loaded_at", _MOMENT, "When that load was complete", required=True),
    comment=(
        "One row per source and day, written when all of the day is loaded, a day without data included. "
        "The daily file batch goes out only for days that stand here."
    ),
)

receivable = Table(
    "receivable",
    metadata,
    _column("receivable_id", BigInteger, "Key of the receivable", key=True),
    _column("code", Text, "Number of the document as people know it", required=True),
    _column("customer_id", BigInteger, "Customer who owes it", required=True),
    _column("due_on", Date, "Due date", required=True),
    _column("value", _MONEY, "What is owed in BRL, without interest", required=True),
    _column("payment_code", Text, "What the customer pays with: digitable line, Pix code or link"),
    _column("paid_at", _MOMENT, "When it was paid in full; empty while it is open"),
    _column("cancelled_at", _MOMENT, "When it was cancelled or renegotiated; empty while it is good"),
    _column("updated_at", _MOMENT, _UPDATED_AT, required=True),
    Index("receivable_customer_id", "customer_id"),
    Index(
        "receivable_due_on_open",
        "due_on",
        postgresql_where=text("paid_at is null and cancelled_at is null"),
    ),
    comment="One row per receivable (título). Rows are cancelled, never deleted.",
)

signature_request = Table(
    "signature_request",
    metadata,
    _column("signature_request_id", BigInteger, "Key of the request", key=True),
    _column("customer_id", BigInteger, "Customer who is to sign", required=True),
    _column("contract_id", BigInteger, "Contract to be signed"),
    _column("link", Text, "Address where the customer signs", required=True),
    _column("requested_at", _MOMENT, "When the signature was asked for", required=True),
    _column("expires_at", _MOMENT, "When the link stops working; empty: never"),
    _column("signed_at", _MOMENT, "When it was signed; empty while it is not"),
    _column("cancelled_at", _MOMENT, "When it was withdrawn; empty while it is good"),
    _column("updated_at", _MOMENT, _UPDATED_AT, required=True),
    Index("signature_request_customer_id", "customer_id"),
    Index(
        "signature_request_open",
        "requested_at",
        postgresql_where=text("signed_at is null and cancelled_at is null"),
    ),
    comment="One row per digital signature asked for.",
)

health_plan_adhesion = Table(
    "health_plan_adhesion",
    metadata,
    _column("adhesion_id", BigInteger, "Key of the adhesion term", key=True),
    _column("customer_id", BigInteger, "Customer who adhered", required=True),
    _column("plan_name", Text, "Health plan", required=True),
    _column("starts_on", Date, "First day in force", required=True),
    _column("ends_on", Date, "Last day in force; empty while it has no end"),
    _column("cancelled_at", _MOMENT, "When it was made void from its first day; empty while it is good"),
    _column("updated_at", _MOMENT, _UPDATED_AT, required=True),
    Index("health_plan_adhesion_customer_id", "customer_id"),
    comment="One row per adhesion term of a health plan.",
)


_DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]

#: What PostgreSQL may call the type of a column, by the type that the contract gives it.
_ACCEPTED_TYPES: dict[type[Any], set[str]] = {
    BigInteger: {"bigint", "integer", "smallint"},
    Integer: {"bigint", "integer", "smallint"},
    SmallInteger: {"bigint", "integer", "smallint"},
    Text: {"text", "character varying", "character"},
    Date: {"date"},
    DateTime: {"timestamp with time zone"},
    Numeric: {"numeric", "bigint", "integer"},
}


def check_tables(connection: psycopg.Connection, tables: Iterable[Table]) -> None:
    """Refuse to go on when a table or column that a routine reads is missing, or of another type.

    Raises:
        SettingError: names every column that the role of this connection cannot read, and every column whose
            type is not what the contract says, with both types.
    """
    rows = connection.execute(statement("erp/list_readable_columns"), {"schema": SCHEMA}).fetchall()
    found = {(table, column): type_name for table, column, type_name in rows}
    missing, wrong = [], []
    for column in (column for table in tables for column in table.columns):
        name = f"{SCHEMA}.{column.table.name}.{column.name}"
        type_name = found.get((column.table.name, column.name))
        if type_name is None:
            missing.append(name)
        elif type_name not in _ACCEPTED_TYPES[type(column.type)]:
            wanted = column.type.compile(dialect=_DIALECT).lower()
            wrong.append(f"{name} is {type_name}, must be {wanted}")
    guide = "docs/connecting-an-erp.md lists what the ERP must offer"
    if missing:
        names = ", ".join(sorted(missing))
        raise SettingError("ERP", names, f"missing, or not readable by Rotina; {guide}")
    if wrong:
        raise SettingError("ERP", "; ".join(sorted(wrong)), f"wrong type; {guide}")
