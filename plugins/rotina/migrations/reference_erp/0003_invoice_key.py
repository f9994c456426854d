"""The key of an invoice never changes and is never used again"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

OLD = "Key of the invoice; grows with the order of issue in a day"
NEW = "Key of the invoice; never changes, is never used again, grows with the order of issue in a day"


def upgrade() -> None:
    """Apply."""
    comment_key(NEW, OLD)


def downgrade() -> None:
    """Take back."""
    comment_key(OLD, NEW)


def comment_key(comment: str, existing_comment: str) -> None:
    """Say in the database what the contract says."""
    op.alter_column(
        "invoice",
        "invoice_id",
        existing_type=sa.BigInteger(),
        comment=comment,
        existing_comment=existing_comment,
        existing_nullable=False,
        schema="erp",
    )
