"""Categories, payments and load watermarks"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "load_watermark",
        sa.Column(
            "source",
            sa.Text(),
            nullable=False,
            comment="What was loaded: `sales_order` (items, payments too) or `customer`",
        ),
        sa.Column(
            "loaded_on", sa.Date(), nullable=False, comment="The day, in local time, whose rows are all there"
        ),
        sa.Column(
            "row_count",
            sa.BigInteger(),
            nullable=False,
            comment="Orders of that day, or customers registered on it: 0 confirms that there were none",
        ),
        sa.Column(
            "loaded_at", sa.DateTime(timezone=True), nullable=False, comment="When that load was complete"
        ),
        sa.PrimaryKeyConstraint("source", "loaded_on"),
        schema="erp",
        comment="One row per source and day, written when all of the day is loaded, a day without data included. The daily file batch goes out only for days that stand here.",
    )
    op.create_table(
        "payment",
        sa.Column("payment_id", sa.BigInteger(), nullable=False, comment="Key of the payment"),
        sa.Column("order_id", sa.BigInteger(), nullable=False, comment="Order that it pays"),
        sa.Column(
            "method", sa.Text(), nullable=False, comment="How it is paid, as `credit_card`, `pix` or `boleto`"
        ),
        sa.Column(
            "installments", sa.SmallInteger(), nullable=False, comment="In how many parts; 1 for all at once"
        ),
        sa.Column(
            "value", sa.Numeric(precision=14, scale=2), nullable=False, comment="What is paid this way in BRL"
        ),
        sa.Column(
            "updated_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="When the row last changed, insertion and cancellation included. It must be visible to other sessions within one hour of this instant",
        ),
        sa.PrimaryKeyConstraint("payment_id"),
        schema="erp",
        comment="One row per means of payment of an order.",
    )
    op.create_index("payment_order_id", "payment", ["order_id"], unique=False, schema="erp")
    op.create_table(
        "product_category",
        sa.Column("sku", sa.Text(), nullable=False, comment="Product code"),
        sa.Column(
            "level", sa.SmallInteger(), nullable=False, comment="Depth of the category: 1 is the widest"
        ),
        sa.Column("category_code", sa.Text(), nullable=False, comment="Code of the category"),
        sa.Column("category_name", sa.Text(), nullable=False, comment="Name of the category"),
        sa.PrimaryKeyConstraint("sku", "level"),
        schema="erp",
        comment="One row per category of a product, from the widest to the narrowest.",
    )
    op.add_column(
        "sales_order",
        sa.Column(
            "channel",
            sa.Text(),
            nullable=True,
            comment="Sales channel, as `site`, `store` or `phone`; empty: not known",
        ),
        schema="erp",
    )
    op.create_index("customer_created_at", "customer", ["created_at"], unique=False, schema="erp")


def downgrade() -> None:
    """Take back."""
    op.drop_index("customer_created_at", table_name="customer", schema="erp")
    op.drop_column("sales_order", "channel", schema="erp")
    op.drop_table("product_category", schema="erp")
    op.drop_index("payment_order_id", table_name="payment", schema="erp")
    op.drop_table("payment", schema="erp")
    op.drop_table("load_watermark", schema="erp")
