"""The four feeds of the daily file batch, each declared once: its file, its columns, what fits into them.

The header, the order of the columns, the query that fills them, what becomes of values that do not fit and
docs/daily-file-feeds.md all come from here. The statements in include/sql/daily_file_batch say only where the
values are.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Literal

from psycopg import sql

from rotina import erp_contract
from rotina.sql import statement

DELIMITER = "|"

#: Stands in a copied row for a value that does not fit, and at the end of a text that was cut. The writer
#: (rotina.files.writer) counts and removes it; no value keeps a control character.
MISFIT = "\x01"

#: In the manifest; another one with every change of the columns.
SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Column:
    """A column of a file."""

    name: str
    """In the header."""
    source: str
    """Column of the feed's statement."""
    type: Literal["text", "whole", "decimal", "date"]
    description: str
    width: int = 0
    """Characters of a text; digits of a number, of which a decimal has two after the point."""
    required: bool = False
    """Whether it always has a value: records without one are left out of the batch."""

    @property
    def empty(self) -> str:
        """What stands in the file for no value, and for one that does not fit and cannot be cut."""
        return "0" if self.type in ("whole", "decimal") else ""

    @property
    def size(self) -> str:
        """Type and width in words."""
        if self.type == "date":
            return "dd/mm/yyyy"
        return f"decimal({self.width},2)" if self.type == "decimal" else f"{self.type}({self.width})"

    def expression(self) -> sql.Composable:
        """The value as it goes into the file; NULL when it does not fit and cannot be cut.

        Characters that would break a row are left to the writer.
        """
        parts = {"value": sql.Identifier("feed", self.source), "width": self.width, "misfit": MISFIT}
        if self.type == "text":
            template = (
                "case when octet_length({value}) > {width} and char_length({value}) > {width} "
                "then left({value}, {width}) || {misfit} else coalesce({value}, '') end"
            )
        elif self.type == "date":
            template = (
                "case when {value} is null then '' "
                "when {value} between date '0001-01-01' and date '9999-12-31' then {value}::text end"
            )
        elif self.type == "whole":
            parts["most"] = 10**self.width - 1
            template = (
                "case when coalesce({value}, 0) between -{most} and {most} then coalesce({value}, 0) end"
            )
        else:
            parts["most"] = sql.SQL("9" * (self.width - 2) + ".99")
            template = (
                "case when {value} between -{most} and {most} then round({value}, 2) "
                "when {value} is null then 0 end"
            )
        return sql.SQL(template).format(**parts)


@dataclass(frozen=True)
class Feed:
    """A file of the batch."""

    code: str
    """In the ledger (crm.file_batch_file)."""
    label: str
    """In the name of the file."""
    statement: str
    """Of include/sql/daily_file_batch; its rows, with the `source` of each column and of the key."""
    key: tuple[str, ...]
    """Columns of the statement that order the file; no two rows share them."""
    columns: tuple[Column, ...]
    description: str

    @property
    def header(self) -> str:
        """The first line of the file, with its end."""
        return DELIMITER.join(column.name for column in self.columns) + "\n"

    def file_name(self, instance_id: str, business_date: dt.date) -> str:
        """The name of the file of a business date; it has no extension."""
        return f"ICOMMKT_{self.label}_{instance_id}_{business_date:%Y%m%d}"

    def query(self) -> sql.Composed:
        """The rows of the file, to be copied as text, NULL as MISFIT; with the parameters of `statement`."""
        return sql.SQL("select {columns} from (\n{statement}) as feed order by {key}").format(
            columns=sql.SQL(", ").join(column.expression() for column in self.columns),
            statement=sql.SQL(statement(f"daily_file_batch/{self.statement}")),
            key=sql.SQL(", ").join(sql.Identifier("feed", column) for column in self.key),
        )


_ORDER_NUMBER = Column("OrderNumber", "order_number", "text", "Number of the order", 50, required=True)

FEEDS = (
    Feed(
        code="orders",
        label="ORDERS",
        statement="list_orders",
        key=("order_id",),
        columns=(
            _ORDER_NUMBER,
            Column("StoreCode", "store_code", "text", "Store", 30),
            Column("UserId", "user_id", "text", "Buyer, as in CUSTOMERS", 50, required=True),
            Column("Date", "ordered_on", "date", "Date of the order: the business date", required=True),
            Column("TotalItems", "total_items", "whole", "Units of all items", 8, required=True),
            Column("TotalProducts", "total_products", "whole", "Different products", 8, required=True),
            Column(
                "TotalAmount",
                "total_value",
                "decimal",
                "What the customer pays, with taxes",
                10,
                required=True,
            ),
            Column("ItemsAmount", "items_value", "decimal", "The items, without taxes", 10, required=True),
            Column("DiscountsAmount", "discount_value", "decimal", "Discounts", 10, required=True),
            Column("ShippingAmount", "shipping_value", "decimal", "Shipping", 10, required=True),
            Column("Status", "status", "text", "`open`, `invoiced` or `cancelled`", 20),
            Column("Channel", "channel", "text", "Sales channel", 30),
            Column(
                "PaymentMethod",
                "payment_method",
                "text",
                "How the largest part is paid (of equal ones, the payment with the lowest key)",
                30,
            ),
            Column("Installments", "installments", "whole", "In how many parts that payment is made", 4),
        ),
        description="One row per order of the business date, cancelled ones included.",
    ),
    Feed(
        code="orders_detail",
        label="ORDERSDETAIL",
        statement="list_order_items",
        key=("order_id", "line_number"),
        columns=(
            _ORDER_NUMBER,
            Column("LineNumber", "line_number", "whole", "Position in the order", 5, required=True),
            Column("ProductCode", "sku", "text", "Product code", 50, required=True),
            Column("ProductName", "product_name", "text", "Product name", 200),
            Column("Quantity", "quantity", "whole", "Units", 8, required=True),
            Column("UnitAmount", "unit_value", "decimal", "Price of one unit", 10, required=True),
            Column("TotalAmount", "total_value", "decimal", "Price of all units", 10, required=True),
        ),
        description="One row per product of those orders.",
    ),
    Feed(
        code="orders_detail_categories",
        label="ORDERSDETAILCATEGORIES",
        statement="list_item_categories",
        key=("order_id", "line_number", "level"),
        columns=(
            _ORDER_NUMBER,
            Column("LineNumber", "line_number", "whole", "Position in the order", 5, required=True),
            Column("ProductCode", "sku", "text", "Product code", 50, required=True),
            Column(
                "CategoryLevel", "level", "whole", "Depth of the category: 1 is the widest", 5, required=True
            ),
            Column("CategoryCode", "category_code", "text", "Code of the category", 50, required=True),
            Column("CategoryName", "category_name", "text", "Name of the category", 100),
        ),
        description="One row per category of each of those products; products without a category have none.",
    ),
    Feed(
        code="customers",
        label="CUSTOMERS",
        statement="list_customers",
        key=("customer_id",),
        columns=(
            Column("UserId", "user_id", "text", "Key of the customer", 50, required=True),
            Column("Email", "email", "text", "E-mail address", 254, required=True),
            Column("Name", "name", "text", "Name, or corporate name", 200),
            Column("Kind", "kind", "text", "`person` or `company`", 20),
            Column("Phone", "phone", "text", "Phone, as +5511999990000", 30),
            Column("BirthDate", "birth_on", "date", "Birth date of a person"),
            Column("RegisteredOn", "registered_on", "date", "Local day of registration", required=True),
        ),
        description="One row per buyer of those orders, and per customer registered on the business date.",
    ),
)

#: What the feeds read from the ERP.
ERP_TABLES = (
    erp_contract.customer,
    erp_contract.load_watermark,
    erp_contract.payment,
    erp_contract.product_category,
    erp_contract.sales_order,
    erp_contract.sales_order_item,
)


def manifest_name(instance_id: str, business_date: dt.date) -> str:
    """The name of the manifest of a business date."""
    return f"ICOMMKT_MANIFEST_{instance_id}_{business_date:%Y%m%d}.json"
