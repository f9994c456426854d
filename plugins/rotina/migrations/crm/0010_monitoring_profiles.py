"""Activity, owners and teams of accounts; monitoring profiles"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "account_activity",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("process", sa.Text(), nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "process in ('opportunity', 'ticket', 'task', 'campaign_action')",
            name=op.f("account_activity_process_known"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("account_activity_pkey")),
        schema="crm",
    )
    op.create_index(
        op.f("account_activity_account_id_occurred_at"),
        "account_activity",
        ["account_id", "occurred_at"],
        unique=False,
        schema="crm",
    )
    op.create_index(
        op.f("account_activity_occurred_at"),
        "account_activity",
        ["occurred_at"],
        unique=False,
        schema="crm",
        postgresql_using="brin",
    )
    op.create_table(
        "team",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("team_pkey")),
        sa.UniqueConstraint("name", name=op.f("team_name_key")),
        schema="crm",
    )
    op.create_table(
        "monitoring_profile",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("active", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("period_days", sa.BigInteger(), nullable=False),
        sa.Column("processes", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("audience_id", sa.BigInteger(), nullable=True),
        sa.Column("transfer_to_login", sa.Text(), nullable=True),
        sa.Column("transfer_to_team_id", sa.BigInteger(), nullable=True),
        sa.Column("notify_owners", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("layout", sa.Text(), server_default=sa.text("'inactivity_digest'"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_by", sa.Text(), nullable=False),
        sa.CheckConstraint("cardinality(processes) > 0", name=op.f("monitoring_profile_processes_given")),
        sa.CheckConstraint(
            "num_nonnulls(transfer_to_login, transfer_to_team_id) <= 1",
            name=op.f("monitoring_profile_one_transfer"),
        ),
        sa.CheckConstraint("period_days between 1 and 3650", name=op.f("monitoring_profile_period_in_range")),
        sa.ForeignKeyConstraint(
            ["audience_id"], ["crm.audience.id"], name=op.f("monitoring_profile_audience_id_fkey")
        ),
        sa.ForeignKeyConstraint(
            ["transfer_to_login"],
            ["crm.app_user.login"],
            name=op.f("monitoring_profile_transfer_to_login_fkey"),
            onupdate="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["transfer_to_team_id"], ["crm.team.id"], name=op.f("monitoring_profile_transfer_to_team_id_fkey")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("monitoring_profile_pkey")),
        sa.UniqueConstraint("name", name=op.f("monitoring_profile_name_key")),
        schema="crm",
    )
    op.create_table(
        "team_member",
        sa.Column("team_id", sa.BigInteger(), nullable=False),
        sa.Column("login", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["login"],
            ["crm.app_user.login"],
            name=op.f("team_member_login_fkey"),
            onupdate="CASCADE",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["team_id"], ["crm.team.id"], name=op.f("team_member_team_id_fkey"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("team_id", "login", name=op.f("team_member_pkey")),
        schema="crm",
    )
    op.create_table(
        "inactive_account",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("profile_id", sa.BigInteger(), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("found_on", sa.Date(), nullable=False),
        sa.Column("last_movement_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_process", sa.Text(), nullable=False),
        sa.Column("owner_before", sa.Text(), nullable=True),
        sa.Column("owner_after", sa.Text(), nullable=True),
        sa.Column("transferred", sa.Boolean(), nullable=False),
        sa.Column("notified", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["profile_id"],
            ["crm.monitoring_profile.id"],
            name=op.f("inactive_account_profile_id_fkey"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("inactive_account_pkey")),
        sa.UniqueConstraint(
            "account_id",
            "profile_id",
            "last_movement_at",
            name=op.f("inactive_account_account_id_profile_id_last_movement_at_key"),
            postgresql_include=["found_on"],
        ),
        schema="crm",
    )
    op.create_index(
        op.f("inactive_account_run_id"), "inactive_account", ["run_id"], unique=False, schema="crm"
    )
    op.create_table(
        "monitoring_profile_user",
        sa.Column("profile_id", sa.BigInteger(), nullable=False),
        sa.Column("login", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["login"],
            ["crm.app_user.login"],
            name=op.f("monitoring_profile_user_login_fkey"),
            onupdate="CASCADE",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["profile_id"],
            ["crm.monitoring_profile.id"],
            name=op.f("monitoring_profile_user_profile_id_fkey"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("profile_id", "login", name=op.f("monitoring_profile_user_pkey")),
        schema="crm",
    )
    op.add_column("account", sa.Column("owner_login", sa.Text(), nullable=True), schema="crm")


def downgrade() -> None:
    """Take back."""
    op.drop_column("account", "owner_login", schema="crm")
    op.drop_table("monitoring_profile_user", schema="crm")
    op.drop_index(op.f("inactive_account_run_id"), table_name="inactive_account", schema="crm")
    op.drop_table("inactive_account", schema="crm")
    op.drop_table("team_member", schema="crm")
    op.drop_table("monitoring_profile", schema="crm")
    op.drop_table("team", schema="crm")
    op.drop_index(
        op.f("account_activity_occurred_at"),
        table_name="account_activity",
        schema="crm",
        postgresql_using="brin",
    )
    op.drop_index(
        op.f("account_activity_account_id_occurred_at"), table_name="account_activity", schema="crm"
    )
    op.drop_table("account_activity", schema="crm")
