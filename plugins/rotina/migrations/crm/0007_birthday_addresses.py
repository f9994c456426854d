"""The index of greetings by their run: the addresses that were greeted for a day"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_index(
        "message_birthday_run",
        "message",
        ["run_id"],
        schema="crm",
        postgresql_where=sa.text("origin = 'birthday_emails'"),
    )


def downgrade() -> None:
    """Take back."""
    op.drop_index("message_birthday_run", table_name="message", schema="crm")
