"""Account status, audiences by filter, how far routines have come"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "routine_progress",
        sa.Column("routine", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("done_through_on", sa.Date(), nullable=False),
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("routine", "scope", name=op.f("routine_progress_pkey")),
        schema="crm",
    )
    op.create_table(
        "account_status_change",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("changed_on", sa.Date(), nullable=False),
        sa.Column("from_status", sa.Text(), nullable=False),
        sa.Column("to_status", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("reason_on", sa.Date(), nullable=True),
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "to_status in ('active', 'inactive', 'not_integrated')",
            name=op.f("account_status_change_to_status_known"),
        ),
        sa.ForeignKeyConstraint(
            ["account_id"],
            ["crm.account.id"],
            name=op.f("account_status_change_account_id_fkey"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("account_status_change_pkey")),
        schema="crm",
    )
    op.create_index(
        op.f("account_status_change_account_id_changed_on"),
        "account_status_change",
        ["account_id", "changed_on"],
        unique=False,
        schema="crm",
    )
    op.create_index(
        op.f("account_status_change_run_id"), "account_status_change", ["run_id"], unique=False, schema="crm"
    )
    op.add_column(
        "account",
        sa.Column("status", sa.Text(), server_default=sa.text("'not_integrated'"), nullable=False),
        schema="crm",
    )
    op.add_column(
        "audience", sa.Column("filter", postgresql.JSONB(astext_type=sa.Text()), nullable=True), schema="crm"
    )
    op.add_column(
        "audience",
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        schema="crm",
    )
    op.add_column("audience", sa.Column("updated_by", sa.Text(), nullable=True), schema="crm")
    op.add_column(
        "integration",
        sa.Column(
            "settings",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'"),
            nullable=False,
        ),
        schema="crm",
    )
    op.create_check_constraint(
        op.f("account_status_known"),
        "account",
        "status in ('active', 'inactive', 'not_integrated')",
        schema="crm",
    )


def downgrade() -> None:
    """Take back."""
    op.drop_constraint(op.f("account_status_known"), "account", schema="crm", type_="check")
    op.drop_column("integration", "settings", schema="crm")
    op.drop_column("audience", "updated_by", schema="crm")
    op.drop_column("audience", "updated_at", schema="crm")
    op.drop_column("audience", "filter", schema="crm")
    op.drop_column("account", "status", schema="crm")
    op.drop_index(op.f("account_status_change_run_id"), table_name="account_status_change", schema="crm")
    op.drop_index(
        op.f("account_status_change_account_id_changed_on"), table_name="account_status_change", schema="crm"
    )
    op.drop_table("account_status_change", schema="crm")
    op.drop_table("routine_progress", schema="crm")
