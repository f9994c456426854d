"""Adhesion terms of health plans"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "health_plan_adhesion",
        sa.Column("adhesion_id", sa.BigInteger(), nullable=False, comment="Key of the adhesion term"),
        sa.Column("customer_id", sa.BigInteger(), nullable=False, comment="Customer who adhered"),
        sa.Column("plan_name", sa.Text(), nullable=False, comment="Health plan"),
        sa.Column("starts_on", sa.Date(), nullable=False, comment="First day in force"),
        sa.Column(
            "ends_on", sa.Date(), nullable=True, comment="Last day in force; empty while it has no end"
        ),
        sa.Column(
            "cancelled_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="When it was made void from its first day; empty while it is good",
        ),
        sa.Column(
            "updated_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="When the row last changed, insertion and cancellation included. It must be visible to other sessions within one hour of this instant",
        ),
        sa.PrimaryKeyConstraint("adhesion_id"),
        schema="erp",
        comment="One row per adhesion term of a health plan.",
    )
    op.create_index(
        "health_plan_adhesion_customer_id",
        "health_plan_adhesion",
        ["customer_id"],
        unique=False,
        schema="erp",
    )


def downgrade() -> None:
    """Take back."""
    op.drop_index("health_plan_adhesion_customer_id", table_name="health_plan_adhesion", schema="erp")
    op.drop_table("health_plan_adhesion", schema="erp")
