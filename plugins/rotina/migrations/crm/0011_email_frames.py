"""The HTML around what differs between e-mails"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "email_frame",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("html", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("email_frame_pkey")),
        sa.UniqueConstraint("sha256", name=op.f("email_frame_sha256_key")),
        schema="crm",
    )


def downgrade() -> None:
    """Take back."""
    op.drop_table("email_frame", schema="crm")
