"""Reference ERP: customers, invoices, quotes, contracts, orders"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "contract",
        sa.Column("contract_id", sa.BigInteger(), nullable=False, comment="Key of the contract"),
        sa.Column("customer_id", sa.BigInteger(), nullable=False, comment="Customer of the contract"),
        sa.Column(
            "status", sa.Text(), nullable=False, comment="`active`, `blocked` (for default) or `ended`"
        ),
        sa.Column("starts_on", sa.Date(), nullable=False, comment="First day in force"),
        sa.Column(
            "ends_on", sa.Date(), nullable=True, comment="Last day in force; empty while it has no end"
        ),
        sa.Column(
            "monthly_value",
            sa.Numeric(precision=14, scale=2),
            nullable=False,
            comment="Monthly charge in BRL",
        ),
        sa.Column(
            "updated_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="When the row last changed, insertion and cancellation included. It must be visible to other sessions within one hour of this instant",
        ),
        sa.PrimaryKeyConstraint("contract_id"),
        schema="erp",
        comment="One row per service contract.",
    )
    op.create_index("contract_customer_id", "contract", ["customer_id"], unique=False, schema="erp")
    op.create_table(
        "customer",
        sa.Column("customer_id", sa.BigInteger(), nullable=False, comment="Key of the customer in the ERP"),
        sa.Column("kind", sa.Text(), nullable=False, comment="`person` or `company`"),
        sa.Column("name", sa.Text(), nullable=False, comment="Name, or corporate name"),
        sa.Column("document", sa.Text(), nullable=True, comment="CPF or CNPJ, without punctuation"),
        sa.Column("email", sa.Text(), nullable=True, comment="E-mail address"),
        sa.Column("phone", sa.Text(), nullable=True, comment="Phone in E.164 form, as +5511999990000"),
        sa.Column("birth_on", sa.Date(), nullable=True, comment="Birth date of a person"),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="When the customer was registered",
        ),
        sa.Column(
            "updated_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="When the row last changed, insertion and cancellation included. It must be visible to other sessions within one hour of this instant",
        ),
        sa.PrimaryKeyConstraint("customer_id"),
        schema="erp",
        comment="One row per customer.",
    )
    op.create_table(
        "invoice",
        sa.Column(
            "invoice_id",
            sa.BigInteger(),
            nullable=False,
            comment="Key of the invoice; grows with the order of issue in a day",
        ),
        sa.Column("code", sa.Text(), nullable=False, comment="Number of the invoice as people know it"),
        sa.Column(
            "customer_id",
            sa.BigInteger(),
            nullable=True,
            comment="Customer of the invoice; never changes once set: a wrong invoice is cancelled and issued anew",
        ),
        sa.Column("issued_on", sa.Date(), nullable=True, comment="Date of issue, in local time"),
        sa.Column(
            "value", sa.Numeric(precision=14, scale=2), nullable=True, comment="Total in BRL, zero or more"
        ),
        sa.Column(
            "cancelled_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="When it was cancelled; empty while it is good",
        ),
        sa.Column(
            "updated_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="When the row last changed, insertion and cancellation included. It must be visible to other sessions within one hour of this instant",
        ),
        sa.PrimaryKeyConstraint("invoice_id"),
        schema="erp",
        comment="One row per sales invoice. Rows are cancelled, never deleted.",
    )
    op.create_index("invoice_customer_id", "invoice", ["customer_id"], unique=False, schema="erp")
    op.create_index("invoice_issued_on", "invoice", ["issued_on"], unique=False, schema="erp")
    op.create_index("invoice_updated_at", "invoice", ["updated_at"], unique=False, schema="erp")
    op.create_table(
        "quote",
        sa.Column("quote_id", sa.BigInteger(), nullable=False, comment="Key of the quote"),
        sa.Column(
            "customer_id",
            sa.BigInteger(),
            nullable=True,
            comment="Customer who asked for it; does not change",
        ),
        sa.Column("quoted_on", sa.Date(), nullable=True, comment="Date of the quote, in local time"),
        sa.Column("value", sa.Numeric(precision=14, scale=2), nullable=True, comment="Total in BRL"),
        sa.Column(
            "updated_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="When the row last changed, insertion and cancellation included. It must be visible to other sessions within one hour of this instant",
        ),
        sa.PrimaryKeyConstraint("quote_id"),
        schema="erp",
        comment="One row per quote (cotação). Rows are not deleted.",
    )
    op.create_index("quote_customer_id", "quote", ["customer_id"], unique=False, schema="erp")
    op.create_index("quote_quoted_on", "quote", ["quoted_on"], unique=False, schema="erp")
    op.create_index("quote_updated_at", "quote", ["updated_at"], unique=False, schema="erp")
    op.create_table(
        "sales_order",
        sa.Column("order_id", sa.BigInteger(), nullable=False, comment="Key of the order"),
        sa.Column("code", sa.Text(), nullable=False, comment="Number of the order as people know it"),
        sa.Column("customer_id", sa.BigInteger(), nullable=True, comment="Buyer"),
        sa.Column("ordered_on", sa.Date(), nullable=False, comment="Date of the order, in local time"),
        sa.Column("store_code", sa.Text(), nullable=False, comment="Store or channel code"),
        sa.Column("status", sa.Text(), nullable=False, comment="`open`, `invoiced` or `cancelled`"),
        sa.Column(
            "items_value",
            sa.Numeric(precision=14, scale=2),
            nullable=False,
            comment="Sum of the items in BRL, without taxes",
        ),
        sa.Column(
            "discount_value", sa.Numeric(precision=14, scale=2), nullable=False, comment="Discounts in BRL"
        ),
        sa.Column(
            "shipping_value", sa.Numeric(precision=14, scale=2), nullable=False, comment="Shipping in BRL"
        ),
        sa.Column(
            "total_value",
            sa.Numeric(precision=14, scale=2),
            nullable=False,
            comment="What the customer pays in BRL, with taxes",
        ),
        sa.Column(
            "updated_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="When the row last changed, insertion and cancellation included. It must be visible to other sessions within one hour of this instant",
        ),
        sa.PrimaryKeyConstraint("order_id"),
        schema="erp",
        comment="One row per order.",
    )
    op.create_index("sales_order_customer_id", "sales_order", ["customer_id"], unique=False, schema="erp")
    op.create_index("sales_order_ordered_on", "sales_order", ["ordered_on"], unique=False, schema="erp")
    op.create_table(
        "sales_order_item",
        sa.Column("order_id", sa.BigInteger(), nullable=False, comment="Order of the item"),
        sa.Column("line_number", sa.SmallInteger(), nullable=False, comment="Position in the order, from 1"),
        sa.Column("sku", sa.Text(), nullable=False, comment="Product code"),
        sa.Column("product_name", sa.Text(), nullable=False, comment="Product name"),
        sa.Column("quantity", sa.Integer(), nullable=False, comment="Units"),
        sa.Column(
            "unit_value",
            sa.Numeric(precision=14, scale=2),
            nullable=False,
            comment="Price of one unit in BRL",
        ),
        sa.PrimaryKeyConstraint("order_id", "line_number"),
        schema="erp",
        comment="One row per product of an order.",
    )


def downgrade() -> None:
    """Take back."""
    op.drop_table("sales_order_item", schema="erp")
    op.drop_index("sales_order_ordered_on", table_name="sales_order", schema="erp")
    op.drop_index("sales_order_customer_id", table_name="sales_order", schema="erp")
    op.drop_table("sales_order", schema="erp")
    op.drop_index("quote_updated_at", table_name="quote", schema="erp")
    op.drop_index("quote_quoted_on", table_name="quote", schema="erp")
    op.drop_index("quote_customer_id", table_name="quote", schema="erp")
    op.drop_table("quote", schema="erp")
    op.drop_index("invoice_updated_at", table_name="invoice", schema="erp")
    op.drop_index("invoice_issued_on", table_name="invoice", schema="erp")
    op.drop_index("invoice_customer_id", table_name="invoice", schema="erp")
    op.drop_table("invoice", schema="erp")
    op.drop_table("customer", schema="erp")
    op.drop_index("contract_customer_id", table_name="contract", schema="erp")
    op.drop_table("contract", schema="erp")
