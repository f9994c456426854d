"""Messages that came to rest, by gateway and status; messages by the address they go to, archived ones too"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_index(
        "message_at_rest",
        "message",
        ["gateway_id", "status", "id"],
        schema="crm",
        postgresql_where=sa.text("status in ('sent', 'failed', 'unknown', 'cancelled', 'expired')"),
    )
    op.create_index(op.f("message_recipient"), "message", ["recipient"], schema="crm")
    op.create_index(op.f("message_archive_recipient"), "message_archive", ["recipient"], schema="crm")


def downgrade() -> None:
    """Take back."""
    op.drop_index(op.f("message_archive_recipient"), table_name="message_archive", schema="crm")
    op.drop_index(op.f("message_recipient"), table_name="message", schema="crm")
    op.drop_index("message_at_rest", table_name="message", schema="crm")
