"""The daily file batch and alerts"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "alert",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("problem", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("raised_on", sa.Date(), nullable=False),
        sa.Column("raised_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("began_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("remedy", sa.Text(), nullable=False),
        sa.Column("command", sa.Text(), nullable=True),
        sa.Column("mail_status", sa.Text(), server_default=sa.text("'pending'"), nullable=False),
        sa.Column("mail_run_id", sa.BigInteger(), nullable=True),
        sa.Column("mailed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("recovery_status", sa.Text(), nullable=True),
        sa.Column("recovery_run_id", sa.BigInteger(), nullable=True),
        sa.Column("recovery_mailed_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "mail_status in ('pending', 'sending', 'sent', 'unknown')", name=op.f("alert_mail_status_known")
        ),
        sa.CheckConstraint(
            "recovery_status in ('pending', 'sending', 'sent', 'unknown')",
            name=op.f("alert_recovery_status_known"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("alert_pkey")),
        sa.UniqueConstraint(
            "problem", "subject", "raised_on", name=op.f("alert_problem_subject_raised_on_key")
        ),
        schema="crm",
    )
    op.create_index(
        "alert_open",
        "alert",
        ["problem", "subject"],
        unique=True,
        schema="crm",
        postgresql_where=sa.text("ended_at is null"),
    )
    op.create_index(
        op.f("message_key_message_id"),
        "message_key",
        ["message_id"],
        unique=False,
        schema="crm",
        postgresql_using="brin",
        postgresql_with={"autosummarize": "on"},
    )
    op.create_table(
        "daily_file_setting",
        sa.Column("singleton", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("instance_id", sa.Text(), nullable=False),
        sa.Column("first_business_date", sa.Date(), nullable=False),
        sa.Column("due_at", sa.Time(), server_default=sa.text("'09:00'"), nullable=False),
        sa.Column("connection_id", sa.Text(), server_default=sa.text("'daily_files'"), nullable=False),
        sa.Column("acknowledge_within_hours", sa.BigInteger(), nullable=True),
        sa.Column("active", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_by", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "acknowledge_within_hours between 1 and 720", name=op.f("daily_file_setting_acknowledge_in_range")
        ),
        sa.CheckConstraint("singleton", name=op.f("daily_file_setting_one_row")),
        sa.PrimaryKeyConstraint("singleton", name=op.f("daily_file_setting_pkey")),
        schema="crm",
    )
    op.create_table(
        "file_batch",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("business_date", sa.Date(), nullable=False),
        sa.Column("revision", sa.BigInteger(), server_default=sa.text("1"), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=True),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "expected_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("generated_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("delivery_began_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("delivered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("verified_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("acknowledged_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("manifest_name", sa.Text(), nullable=True),
        sa.Column("manifest_sha256", sa.Text(), nullable=True),
        sa.Column(
            "differences",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'"),
            nullable=False,
        ),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("run_id", sa.BigInteger(), nullable=True),
        sa.CheckConstraint(
            "(sequence is null) = (generated_at is null)", name=op.f("file_batch_numbered_when_generated")
        ),
        sa.CheckConstraint(
            "delivery_began_at is null or generated_at is not null",
            name=op.f("file_batch_begun_after_generated"),
        ),
        sa.CheckConstraint(
            "delivered_at is null or generated_at is not null",
            name=op.f("file_batch_delivered_after_generated"),
        ),
        sa.CheckConstraint(
            "verified_at is null or delivered_at is not null",
            name=op.f("file_batch_verified_after_delivered"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("file_batch_pkey")),
        sa.UniqueConstraint("business_date", "revision", name=op.f("file_batch_business_date_revision_key")),
        sa.UniqueConstraint("sequence", name=op.f("file_batch_sequence_key")),
        schema="crm",
    )
    op.create_index(
        "file_batch_undelivered",
        "file_batch",
        ["sequence"],
        unique=False,
        schema="crm",
        postgresql_where=sa.text("sequence is not null and verified_at is null"),
    )
    op.create_table(
        "file_batch_file",
        sa.Column("batch_id", sa.BigInteger(), nullable=False),
        sa.Column("feed", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=True),
        sa.Column("bytes", sa.BigInteger(), nullable=True),
        sa.Column("sha256", sa.Text(), nullable=True),
        sa.Column(
            "changed_values",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'"),
            nullable=False,
        ),
        sa.Column("generated_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("delivered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("verified_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("acknowledged_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "feed in ('orders', 'orders_detail', 'orders_detail_categories', 'customers')",
            name=op.f("file_batch_file_feed_known"),
        ),
        sa.ForeignKeyConstraint(
            ["batch_id"],
            ["crm.file_batch.id"],
            name=op.f("file_batch_file_batch_id_fkey"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("batch_id", "feed", name=op.f("file_batch_file_pkey")),
        schema="crm",
    )


def downgrade() -> None:
    """Take back."""
    op.drop_table("file_batch_file", schema="crm")
    op.drop_index(
        "file_batch_undelivered",
        table_name="file_batch",
        schema="crm",
        postgresql_where=sa.text("sequence is not null and verified_at is null"),
    )
    op.drop_table("file_batch", schema="crm")
    op.drop_table("daily_file_setting", schema="crm")
    op.drop_index(
        op.f("message_key_message_id"), table_name="message_key", schema="crm", postgresql_using="brin"
    )
    op.drop_index(
        "alert_open", table_name="alert", schema="crm", postgresql_where=sa.text("ended_at is null")
    )
    op.drop_table("alert", schema="crm")
