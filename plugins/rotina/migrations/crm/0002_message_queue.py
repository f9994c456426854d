"""Message queue: gateways, templates, dunning, messages, attempts, delivery, audit"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# The queue is written and updated all day long: clean it up after a share of the rows, not after a fifth of millions.
CLEAN_UP_OFTEN = """
alter table crm.message set (
    autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 5000, autovacuum_analyze_scale_factor = 0.02
);
alter table crm.message_attempt set (
    autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 5000, fillfactor = 80
);
alter table crm.gateway_usage set (fillfactor = 20);
alter table crm.gateway set (fillfactor = 50);
"""

# The task role owns no table, so the partitions of a month of the archive are made by the owner's function. They are
# attached, not created in place: that would lock readers of the whole archive out until the transaction ends.
ADD_ARCHIVE_MONTH = """
create function crm.add_archive_month(month date) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    first date := date_trunc('month', month);
    suffix text := to_char(first, '_YYYY_MM');
    parent text;
begin
    foreach parent in array array['message_archive', 'message_attempt_archive'] loop
        continue when to_regclass(format('crm.%I', parent || suffix)) is not null;
        execute format('create table crm.%I (like crm.%I including all)', parent || suffix, parent);
        -- Months are those of UTC, whatever the session's time zone.
        execute format(
            'alter table crm.%I attach partition crm.%I for values from (%L) to (%L)',
            parent, parent || suffix, to_char(first, 'YYYY-MM-DD 00:00+00'), to_char(first + interval '1 month', 'YYYY-MM-DD 00:00+00')
        );
        execute format('grant select, insert, update, delete on crm.%I to rotina_task', parent || suffix);
    end loop;
end
$$;
revoke execute on function crm.add_archive_month(date) from public;
"""


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "audit_entry",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column(
            "at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.Column("login", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("target", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column(
            "details", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False
        ),
        sa.Column("records", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("audit_entry_pkey")),
        schema="crm",
    )
    op.create_index(op.f("audit_entry_at"), "audit_entry", ["at"], unique=False, schema="crm")
    op.create_table(
        "dunning_exception",
        sa.Column("customer_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("until_on", sa.Date(), nullable=True),
        sa.PrimaryKeyConstraint("customer_id", name=op.f("dunning_exception_pkey")),
        schema="crm",
    )
    op.create_table(
        "gateway",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("connection_id", sa.Text(), nullable=False),
        sa.Column(
            "settings",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'"),
            nullable=False,
        ),
        sa.Column("active", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("timezone", sa.Text(), server_default=sa.text("'America/Sao_Paulo'"), nullable=False),
        sa.Column("max_in_flight", sa.BigInteger(), server_default=sa.text("64"), nullable=False),
        sa.Column("dispatchers", sa.BigInteger(), server_default=sa.text("1"), nullable=False),
        sa.Column("rate", sa.Double(), nullable=True),
        sa.Column("burst", sa.BigInteger(), nullable=True),
        sa.Column("daily_quota", sa.BigInteger(), nullable=True),
        sa.Column("max_attempts", sa.BigInteger(), server_default=sa.text("5"), nullable=False),
        sa.Column("backoff_seconds", sa.BigInteger(), server_default=sa.text("30"), nullable=False),
        sa.Column("backoff_most_seconds", sa.BigInteger(), server_default=sa.text("3600"), nullable=False),
        sa.Column("hold_seconds", sa.BigInteger(), server_default=sa.text("900"), nullable=False),
        sa.Column("call_timeout_seconds", sa.BigInteger(), server_default=sa.text("30"), nullable=False),
        sa.Column("payload_limit", sa.BigInteger(), server_default=sa.text("65536"), nullable=False),
        sa.Column("paused_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("paused_by", sa.Text(), nullable=True),
        sa.Column("pause_reason", sa.Text(), nullable=True),
        sa.Column("slowed_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("slow_reason", sa.Text(), nullable=True),
        sa.Column("failures", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("order_version", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.CheckConstraint("code ~ '^[a-z][a-z0-9_]*$'", name=op.f("gateway_code_is_a_name")),
        sa.CheckConstraint("kind in ('opa_suite', 'smtp', 'http_json')", name=op.f("gateway_kind_known")),
        sa.CheckConstraint("rate > 0 and rate < 'infinity'", name=op.f("gateway_rate_above_zero")),
        sa.CheckConstraint(
            "(paused_at is null) = (pause_reason is null)", name=op.f("gateway_pause_has_a_reason")
        ),
        sa.CheckConstraint(
            "backoff_seconds between 1 and backoff_most_seconds", name=op.f("gateway_backoff_in_order")
        ),
        sa.CheckConstraint("burst >= 1", name=op.f("gateway_burst_above_zero")),
        sa.CheckConstraint(
            "call_timeout_seconds between 1 and 600", name=op.f("gateway_call_timeout_in_range")
        ),
        sa.CheckConstraint("daily_quota > 0", name=op.f("gateway_daily_quota_above_zero")),
        sa.CheckConstraint(
            "dispatchers <= max_in_flight", name=op.f("gateway_dispatchers_within_max_in_flight")
        ),
        sa.CheckConstraint("dispatchers between 1 and 64", name=op.f("gateway_dispatchers_in_range")),
        sa.CheckConstraint("hold_seconds >= 1", name=op.f("gateway_hold_seconds_above_zero")),
        sa.CheckConstraint("max_attempts between 1 and 100", name=op.f("gateway_max_attempts_in_range")),
        sa.CheckConstraint("max_in_flight between 1 and 10000", name=op.f("gateway_max_in_flight_in_range")),
        sa.CheckConstraint(
            "payload_limit between 1 and 10485760", name=op.f("gateway_payload_limit_in_range")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("gateway_pkey")),
        sa.UniqueConstraint("code", name=op.f("gateway_code_key")),
        schema="crm",
    )
    op.create_table(
        "message",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("gateway_id", sa.BigInteger(), nullable=False),
        sa.Column("template_id", sa.BigInteger(), nullable=True),
        sa.Column("dedupe_key", sa.Text(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("origin_key", sa.Text(), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=True),
        sa.Column("customer_id", sa.BigInteger(), nullable=True),
        sa.Column("receivable_id", sa.BigInteger(), nullable=True),
        sa.Column("due_on", sa.Date(), nullable=True),
        sa.Column("recipient", sa.Text(), nullable=False),
        sa.Column("recipient_name", sa.Text(), nullable=True),
        sa.Column("payload", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("priority", sa.BigInteger(), server_default=sa.text("5"), nullable=False),
        sa.Column("position", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("status", sa.Text(), server_default=sa.text("'waiting'"), nullable=False),
        sa.Column("ready", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("send_after", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("run_id", sa.BigInteger(), nullable=True),
        sa.Column("tries", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("attempts", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("lease_token", sa.BigInteger(), nullable=True),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("gateway_message_id", sa.Text(), nullable=True),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("delivery_status", sa.Text(), nullable=True),
        sa.Column("delivered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("read_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("delivery_error", sa.Text(), nullable=True),
        sa.Column("poll_after", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "delivery_status in ('sent', 'delivered', 'read', 'failed')",
            name=op.f("message_delivery_status_known"),
        ),
        sa.CheckConstraint(
            "status in ('waiting', 'sending', 'sent', 'failed', 'unknown', 'held', 'cancelled', 'expired')",
            name=op.f("message_status_known"),
        ),
        sa.CheckConstraint("priority between 1 and 9", name=op.f("message_priority_in_range")),
        sa.PrimaryKeyConstraint("id", name=op.f("message_pkey")),
        schema="crm",
    )
    op.create_index(
        "message_account",
        "message",
        ["account_id"],
        unique=False,
        schema="crm",
        postgresql_where=sa.text("account_id is not null"),
    )
    op.create_index(
        "message_created", "message", ["created_at"], unique=False, schema="crm", postgresql_using="brin"
    )
    op.create_index(
        "message_customer",
        "message",
        ["customer_id"],
        unique=False,
        schema="crm",
        postgresql_where=sa.text("customer_id is not null"),
    )
    op.create_index(
        "message_expiry",
        "message",
        ["expires_at"],
        unique=False,
        schema="crm",
        postgresql_where=sa.text("status in ('waiting', 'held') and expires_at is not null"),
    )
    op.create_index(
        "message_failed",
        "message",
        ["gateway_id", "id"],
        unique=False,
        schema="crm",
        postgresql_where=sa.text("status = 'failed'"),
    )
    op.create_index(
        "message_gateway_message",
        "message",
        ["gateway_id", "gateway_message_id"],
        unique=False,
        schema="crm",
        postgresql_where=sa.text("gateway_message_id is not null"),
    )
    op.create_index(
        "message_later",
        "message",
        ["gateway_id", "send_after"],
        unique=False,
        schema="crm",
        postgresql_where=sa.text("status in ('waiting', 'held') and not ready"),
    )
    op.create_index(
        "message_lease",
        "message",
        ["lease_until"],
        unique=False,
        schema="crm",
        postgresql_where=sa.text("status = 'sending'"),
    )
    op.create_index(
        "message_poll",
        "message",
        ["gateway_id", "poll_after"],
        unique=False,
        schema="crm",
        postgresql_where=sa.text("poll_after is not null"),
    )
    op.create_index(
        "message_ready",
        "message",
        ["gateway_id", "priority", "position", "id"],
        unique=False,
        schema="crm",
        postgresql_where=sa.text("status = 'waiting' and ready"),
    )
    op.create_index(
        "message_unknown",
        "message",
        ["gateway_id", "id"],
        unique=False,
        schema="crm",
        postgresql_where=sa.text("status = 'unknown'"),
    )
    op.create_table(
        "message_archive",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("archived_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("gateway_id", sa.BigInteger(), nullable=False),
        sa.Column("template_id", sa.BigInteger(), nullable=True),
        sa.Column("dedupe_key", sa.Text(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("origin_key", sa.Text(), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=True),
        sa.Column("customer_id", sa.BigInteger(), nullable=True),
        sa.Column("receivable_id", sa.BigInteger(), nullable=True),
        sa.Column("due_on", sa.Date(), nullable=True),
        sa.Column("recipient", sa.Text(), nullable=False),
        sa.Column("recipient_name", sa.Text(), nullable=True),
        sa.Column("payload", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("priority", sa.BigInteger(), server_default=sa.text("5"), nullable=False),
        sa.Column("position", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("status", sa.Text(), server_default=sa.text("'waiting'"), nullable=False),
        sa.Column("ready", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("send_after", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("run_id", sa.BigInteger(), nullable=True),
        sa.Column("tries", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("attempts", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("lease_token", sa.BigInteger(), nullable=True),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("gateway_message_id", sa.Text(), nullable=True),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("delivery_status", sa.Text(), nullable=True),
        sa.Column("delivered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("read_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("delivery_error", sa.Text(), nullable=True),
        sa.Column("poll_after", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", "created_at", name=op.f("message_archive_pkey")),
        schema="crm",
        postgresql_partition_by="RANGE (created_at)",
    )
    op.create_index(
        op.f("message_archive_account_id"), "message_archive", ["account_id"], unique=False, schema="crm"
    )
    op.create_index(
        op.f("message_archive_customer_id"), "message_archive", ["customer_id"], unique=False, schema="crm"
    )
    op.create_table(
        "message_attempt",
        sa.Column("message_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("run_id", sa.BigInteger(), nullable=True),
        sa.Column("token", sa.BigInteger(), nullable=False),
        sa.Column(
            "started_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("code", sa.BigInteger(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("message_id", "number", name=op.f("message_attempt_pkey")),
        schema="crm",
    )
    op.create_index(op.f("message_attempt_run_id"), "message_attempt", ["run_id"], unique=False, schema="crm")
    op.create_table(
        "message_attempt_archive",
        sa.Column("message_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("message_created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("run_id", sa.BigInteger(), nullable=True),
        sa.Column("token", sa.BigInteger(), nullable=False),
        sa.Column(
            "started_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("code", sa.BigInteger(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint(
            "message_id", "number", "message_created_at", name=op.f("message_attempt_archive_pkey")
        ),
        schema="crm",
        postgresql_partition_by="RANGE (message_created_at)",
    )
    op.create_table(
        "message_key",
        sa.Column("dedupe_key", sa.Text(), nullable=False),
        sa.Column("message_id", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("dedupe_key", name=op.f("message_key_pkey")),
        schema="crm",
    )
    op.create_table(
        "suppression",
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("channel in ('phone', 'email')", name=op.f("suppression_channel_known")),
        sa.PrimaryKeyConstraint("channel", "address", name=op.f("suppression_pkey")),
        schema="crm",
    )
    op.create_table(
        "delivery_event",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("gateway_id", sa.BigInteger(), nullable=False),
        sa.Column("gateway_message_id", sa.Text(), nullable=False),
        sa.Column("message_id", sa.BigInteger(), nullable=True),
        sa.Column("attempt", sa.BigInteger(), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "received_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("applied_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "status in ('sent', 'delivered', 'read', 'failed')", name=op.f("delivery_event_status_known")
        ),
        sa.ForeignKeyConstraint(
            ["gateway_id"], ["crm.gateway.id"], name=op.f("delivery_event_gateway_id_fkey")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("delivery_event_pkey")),
        sa.UniqueConstraint(
            "gateway_id",
            "gateway_message_id",
            "status",
            name=op.f("delivery_event_gateway_id_gateway_message_id_status_key"),
        ),
        schema="crm",
    )
    op.create_index(
        "delivery_event_unapplied",
        "delivery_event",
        ["id"],
        unique=False,
        schema="crm",
        postgresql_where=sa.text("applied_at is null"),
    )
    op.create_table(
        "gateway_usage",
        sa.Column("gateway_id", sa.BigInteger(), nullable=False),
        sa.Column("tokens", sa.Double(), server_default=sa.text("0"), nullable=False),
        sa.Column(
            "filled_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("used_on", sa.Date(), nullable=True),
        sa.Column("used", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("available", sa.BigInteger(), nullable=True),
        sa.Column("available_on", sa.Date(), nullable=True),
        sa.ForeignKeyConstraint(
            ["gateway_id"], ["crm.gateway.id"], name=op.f("gateway_usage_gateway_id_fkey"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("gateway_id", name=op.f("gateway_usage_pkey")),
        schema="crm",
    )
    op.create_table(
        "message_template",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("gateway_id", sa.BigInteger(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("gateway_template_id", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("variables", postgresql.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("status", sa.Text(), server_default=sa.text("'pending'"), nullable=False),
        sa.Column("active", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.CheckConstraint("code ~ '^[a-z][a-z0-9_]*$'", name=op.f("message_template_code_is_a_name")),
        sa.CheckConstraint(
            "status in ('approved', 'pending', 'rejected', 'paused')",
            name=op.f("message_template_status_known"),
        ),
        sa.ForeignKeyConstraint(
            ["gateway_id"], ["crm.gateway.id"], name=op.f("message_template_gateway_id_fkey")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("message_template_pkey")),
        sa.UniqueConstraint("gateway_id", "code", name=op.f("message_template_gateway_id_code_key")),
        schema="crm",
    )
    op.create_table(
        "send_window",
        sa.Column("gateway_id", sa.BigInteger(), nullable=False),
        sa.Column("day", sa.Text(), nullable=False),
        sa.Column("opens_at", sa.Time(), nullable=False),
        sa.Column("closes_at", sa.Time(), nullable=False),
        sa.CheckConstraint(
            "day in ('monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday', 'sunday', 'holiday')",
            name=op.f("send_window_day_known"),
        ),
        sa.CheckConstraint("opens_at < closes_at", name=op.f("send_window_opens_before_it_closes")),
        sa.ForeignKeyConstraint(
            ["gateway_id"], ["crm.gateway.id"], name=op.f("send_window_gateway_id_fkey"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("gateway_id", "day", "opens_at", name=op.f("send_window_pkey")),
        schema="crm",
    )
    op.create_table(
        "dunning_step",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("days", sa.BigInteger(), nullable=False),
        sa.Column("template_id", sa.BigInteger(), nullable=False),
        sa.Column("priority", sa.BigInteger(), server_default=sa.text("5"), nullable=False),
        sa.Column("next_business_day", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("valid_days", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("active", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.CheckConstraint("days between -365 and 3650", name=op.f("dunning_step_days_in_range")),
        sa.CheckConstraint("priority between 1 and 9", name=op.f("dunning_step_priority_in_range")),
        sa.CheckConstraint("valid_days between 0 and 365", name=op.f("dunning_step_valid_days_in_range")),
        sa.ForeignKeyConstraint(
            ["template_id"], ["crm.message_template.id"], name=op.f("dunning_step_template_id_fkey")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("dunning_step_pkey")),
        sa.UniqueConstraint("days", "template_id", name=op.f("dunning_step_days_template_id_key")),
        sa.UniqueConstraint("name", name=op.f("dunning_step_name_key")),
        schema="crm",
    )
    op.execute(CLEAN_UP_OFTEN)
    op.execute(ADD_ARCHIVE_MONTH)


def downgrade() -> None:
    """Take back."""
    op.execute("drop function crm.add_archive_month(date)")
    op.drop_table("dunning_step", schema="crm")
    op.drop_table("send_window", schema="crm")
    op.drop_table("message_template", schema="crm")
    op.drop_table("gateway_usage", schema="crm")
    op.drop_index(
        "delivery_event_unapplied",
        table_name="delivery_event",
        schema="crm",
        postgresql_where=sa.text("applied_at is null"),
    )
    op.drop_table("delivery_event", schema="crm")
    op.drop_table("suppression", schema="crm")
    op.drop_table("message_key", schema="crm")
    op.drop_table("message_attempt_archive", schema="crm")
    op.drop_index(op.f("message_attempt_run_id"), table_name="message_attempt", schema="crm")
    op.drop_table("message_attempt", schema="crm")
    op.drop_index(op.f("message_archive_customer_id"), table_name="message_archive", schema="crm")
    op.drop_index(op.f("message_archive_account_id"), table_name="message_archive", schema="crm")
    op.drop_table("message_archive", schema="crm")
    op.drop_index(
        "message_unknown", table_name="message", schema="crm", postgresql_where=sa.text("status = 'unknown'")
    )
    op.drop_index(
        "message_ready",
        table_name="message",
        schema="crm",
        postgresql_where=sa.text("status = 'waiting' and ready"),
    )
    op.drop_index(
        "message_poll", table_name="message", schema="crm", postgresql_where=sa.text("poll_after is not null")
    )
    op.drop_index(
        "message_lease", table_name="message", schema="crm", postgresql_where=sa.text("status = 'sending'")
    )
    op.drop_index(
        "message_later",
        table_name="message",
        schema="crm",
        postgresql_where=sa.text("status in ('waiting', 'held') and not ready"),
    )
    op.drop_index(
        "message_gateway_message",
        table_name="message",
        schema="crm",
        postgresql_where=sa.text("gateway_message_id is not null"),
    )
    op.drop_index(
        "message_failed", table_name="message", schema="crm", postgresql_where=sa.text("status = 'failed'")
    )
    op.drop_index(
        "message_expiry",
        table_name="message",
        schema="crm",
        postgresql_where=sa.text("status in ('waiting', 'held') and expires_at is not null"),
    )
    op.drop_index(
        "message_customer",
        table_name="message",
        schema="crm",
        postgresql_where=sa.text("customer_id is not null"),
    )
    op.drop_index("message_created", table_name="message", schema="crm", postgresql_using="brin")
    op.drop_index(
        "message_account",
        table_name="message",
        schema="crm",
        postgresql_where=sa.text("account_id is not null"),
    )
    op.drop_table("message", schema="crm")
    op.drop_table("gateway", schema="crm")
    op.drop_table("dunning_exception", schema="crm")
    op.drop_index(op.f("audit_entry_at"), table_name="audit_entry", schema="crm")
    op.drop_table("audit_entry", schema="crm")
