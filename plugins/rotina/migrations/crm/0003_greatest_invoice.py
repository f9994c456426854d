"""The greatest key of an invoice that the refresh of all accounts has seen"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column(
        "account_data_state", sa.Column("greatest_invoice_id", sa.BigInteger(), nullable=True), schema="crm"
    )


def downgrade() -> None:
    """Take back."""
    op.drop_column("account_data_state", "greatest_invoice_id", schema="crm")
