"""The ERP's last hour as it was seen; accounts by ERP customer from the index alone; room for updates"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.execute("alter table crm.account_supplementary set (fillfactor = 90)")
    op.execute("alter table crm.account drop constraint account_erp_customer_id_key")
    op.execute(
        "alter table crm.account "
        "add constraint account_erp_customer_id_key unique (erp_customer_id) include (id)"
    )
    op.create_table(
        "account_data_recent_invoice",
        sa.Column("invoice_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("customer_id", sa.BigInteger(), nullable=True),
        sa.Column("code", sa.Text(), nullable=True),
        sa.Column("issued_on", sa.Date(), nullable=True),
        sa.Column("value", sa.Numeric(), nullable=True),
        sa.Column("cancelled_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("invoice_id", name=op.f("account_data_recent_invoice_pkey")),
        schema="crm",
    )
    op.create_table(
        "account_data_recent_quote",
        sa.Column("quote_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("customer_id", sa.BigInteger(), nullable=True),
        sa.Column("quoted_on", sa.Date(), nullable=True),
        sa.PrimaryKeyConstraint("quote_id", name=op.f("account_data_recent_quote_pkey")),
        schema="crm",
    )


def downgrade() -> None:
    """Take back."""
    op.drop_table("account_data_recent_quote", schema="crm")
    op.drop_table("account_data_recent_invoice", schema="crm")
    op.execute("alter table crm.account drop constraint account_erp_customer_id_key")
    op.execute("alter table crm.account add constraint account_erp_customer_id_key unique (erp_customer_id)")
    op.execute("alter table crm.account_supplementary reset (fillfactor)")
