"""Foundation: accounts, audiences, account data, runs"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


# A row that is there already is touched all the same: a refresh that looked at the old link and now deletes the row
# then fails (could not serialize) and is tried again, instead of taking the new link for done.
DUE_WHEN_ACCOUNTS_ARRIVE = """
create function crm.account_data_due_on_insert() returns trigger language plpgsql as $$
begin
    insert into crm.account_data_due (account_id)
    select id from arrived where erp_customer_id is not null
    on conflict (account_id) do update set account_id = excluded.account_id;
    return null;
end
$$;
create trigger account_data_due_on_insert
after insert on crm.account referencing new table as arrived
for each statement execute function crm.account_data_due_on_insert();
"""

DUE_WHEN_THE_LINK_CHANGES = """
create function crm.account_data_due_on_link() returns trigger language plpgsql as $$
begin
    insert into crm.account_data_due (account_id) values (new.id)
    on conflict (account_id) do update set account_id = excluded.account_id;
    return null;
end
$$;
create trigger account_data_due_on_link
after update of erp_customer_id on crm.account
for each row when (old.erp_customer_id is distinct from new.erp_customer_id)
execute function crm.account_data_due_on_link();
"""

# The nine fields of every account, with the days since the last purchase on a date (none before it) and the business
# date that the data stand for: of an account that is due or has a problem, that of its own last refresh.
ACCOUNT_DATA = """
create function crm.account_data(on_date date) returns table (
    account_id bigint,
    last_purchase_date date,
    first_purchase_date date,
    last_purchase_value numeric(14, 2),
    first_purchase_value numeric(14, 2),
    accumulated_value numeric(20, 2),
    last_quote_date date,
    purchase_count bigint,
    days_since_last_purchase integer,
    last_invoice_code text,
    as_of_on date
) language sql stable as $$
    select
        a.id,
        s.last_purchase_date,
        s.first_purchase_date,
        s.last_purchase_value,
        s.first_purchase_value,
        coalesce(s.accumulated_value, 0),
        s.last_quote_date,
        coalesce(s.purchase_count, 0),
        case when s.last_purchase_date <= on_date then on_date - s.last_purchase_date end,
        s.last_invoice_code,
        case
            when due.account_id is not null or problem.record_id is not null then s.as_of_on
            else greatest(s.as_of_on, (select refreshed_through_on from crm.account_data_state))
        end
    from crm.account as a
    left join crm.account_supplementary as s on s.account_id = a.id
    left join crm.account_data_due as due on due.account_id = a.id
    left join crm.account_data_problem as problem on problem.record_kind = 'account' and problem.record_id = a.id
$$;
"""


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "account",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("document", sa.Text(), nullable=True),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("phone", sa.Text(), nullable=True),
        sa.Column("birth_on", sa.Date(), nullable=True),
        sa.Column("active", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("erp_customer_id", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("kind in ('person', 'company')", name=op.f("account_kind_known")),
        sa.PrimaryKeyConstraint("id", name=op.f("account_pkey")),
        sa.UniqueConstraint("erp_customer_id", name=op.f("account_erp_customer_id_key")),
        schema="crm",
    )
    op.create_table(
        "account_data_due",
        sa.Column("account_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("account_id", name=op.f("account_data_due_pkey")),
        schema="crm",
    )
    op.create_table(
        "account_data_problem",
        sa.Column("record_kind", sa.Text(), nullable=False),
        sa.Column("record_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("first_run_id", sa.BigInteger(), nullable=False),
        sa.Column("first_seen_on", sa.Date(), nullable=False),
        sa.CheckConstraint(
            "record_kind in ('account', 'invoice')", name=op.f("account_data_problem_record_kind_known")
        ),
        sa.PrimaryKeyConstraint("record_kind", "record_id", name=op.f("account_data_problem_pkey")),
        schema="crm",
    )
    op.create_table(
        "account_data_state",
        sa.Column("singleton", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("refreshed_through_on", sa.Date(), nullable=False),
        sa.Column("invoices_seen_through", sa.DateTime(timezone=True), nullable=True),
        sa.Column("quotes_seen_through", sa.DateTime(timezone=True), nullable=True),
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("singleton", name=op.f("account_data_state_one_row")),
        sa.PrimaryKeyConstraint("singleton", name=op.f("account_data_state_pkey")),
        schema="crm",
    )
    op.create_table(
        "account_supplementary",
        sa.Column("account_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("last_purchase_date", sa.Date(), nullable=True),
        sa.Column("first_purchase_date", sa.Date(), nullable=True),
        sa.Column("last_purchase_value", sa.Numeric(precision=14, scale=2), nullable=True),
        sa.Column("first_purchase_value", sa.Numeric(precision=14, scale=2), nullable=True),
        sa.Column("accumulated_value", sa.Numeric(precision=20, scale=2), nullable=False),
        sa.Column("last_quote_date", sa.Date(), nullable=True),
        sa.Column("purchase_count", sa.BigInteger(), nullable=False),
        sa.Column("last_invoice_code", sa.Text(), nullable=True),
        sa.Column("as_of_on", sa.Date(), nullable=False),
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", name=op.f("account_supplementary_pkey")),
        schema="crm",
    )
    op.create_table(
        "app_user",
        sa.Column("login", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("active", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.PrimaryKeyConstraint("login", name=op.f("app_user_pkey")),
        schema="crm",
    )
    op.create_table(
        "audience",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("audience_pkey")),
        sa.UniqueConstraint("name", name=op.f("audience_name_key")),
        schema="crm",
    )
    op.create_table(
        "integration",
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("active", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.PrimaryKeyConstraint("code", name=op.f("integration_pkey")),
        schema="crm",
    )
    op.create_table(
        "routine_recipient",
        sa.Column("routine", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("routine", "email", name=op.f("routine_recipient_pkey")),
        schema="crm",
    )
    op.create_table(
        "run",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("routine", sa.Text(), nullable=False),
        sa.Column("program", sa.Text(), nullable=False),
        sa.Column("dag_run_id", sa.Text(), nullable=False),
        sa.Column("attempt", sa.BigInteger(), nullable=False),
        sa.Column("run_type", sa.Text(), nullable=False),
        sa.Column("business_date", sa.Date(), nullable=True),
        sa.Column("asked_by", sa.Text(), nullable=True),
        sa.Column(
            "params", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False
        ),
        sa.Column("status", sa.Text(), server_default=sa.text("'running'"), nullable=False),
        sa.Column("selected", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("changed", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("unchanged", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("skipped", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("failed", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column(
            "details", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False
        ),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column(
            "started_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("summary_status", sa.Text(), server_default=sa.text("'pending'"), nullable=False),
        sa.Column("summary_to", postgresql.ARRAY(sa.Text()), nullable=True),
        sa.Column("summary_error", sa.Text(), nullable=True),
        sa.Column(
            "seconds",
            sa.Numeric(precision=12, scale=3),
            sa.Computed("extract(epoch from ended_at - started_at)", persisted=True),
            nullable=True,
        ),
        sa.CheckConstraint(
            "status in ('running', 'succeeded', 'failed', 'skipped')", name=op.f("run_status_known")
        ),
        sa.CheckConstraint(
            "summary_status in ('pending', 'sending', 'sent', 'failed', 'unknown', 'no_recipient', 'none')",
            name=op.f("run_summary_status_known"),
        ),
        sa.CheckConstraint(
            "selected = changed + unchanged + skipped + failed", name=op.f("run_equation_closes")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("run_pkey")),
        sa.UniqueConstraint(
            "routine", "dag_run_id", "attempt", name=op.f("run_routine_dag_run_id_attempt_key")
        ),
        schema="crm",
    )
    op.create_index(
        op.f("run_routine_business_date"), "run", ["routine", "business_date"], unique=False, schema="crm"
    )
    op.create_index(op.f("run_started_at"), "run", ["started_at"], unique=False, schema="crm")
    op.create_table(
        "audience_account",
        sa.Column("audience_id", sa.BigInteger(), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"],
            ["crm.account.id"],
            name=op.f("audience_account_account_id_fkey"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["audience_id"],
            ["crm.audience.id"],
            name=op.f("audience_account_audience_id_fkey"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("audience_id", "account_id", name=op.f("audience_account_pkey")),
        schema="crm",
    )
    op.create_index(
        op.f("audience_account_account_id"), "audience_account", ["account_id"], unique=False, schema="crm"
    )
    op.create_table(
        "run_item",
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.Column("record_kind", sa.Text(), nullable=False),
        sa.Column("record_id", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.CheckConstraint("outcome in ('skipped', 'failed')", name=op.f("run_item_outcome_known")),
        sa.ForeignKeyConstraint(
            ["run_id"], ["crm.run.id"], name=op.f("run_item_run_id_fkey"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("run_id", "record_kind", "record_id", name=op.f("run_item_pkey")),
        schema="crm",
    )
    op.create_table(
        "run_step",
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.Column("step", sa.Text(), nullable=False),
        sa.Column(
            "done_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.ForeignKeyConstraint(
            ["run_id"], ["crm.run.id"], name=op.f("run_step_run_id_fkey"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("run_id", "step", name=op.f("run_step_pkey")),
        schema="crm",
    )
    op.execute(DUE_WHEN_ACCOUNTS_ARRIVE)
    op.execute(DUE_WHEN_THE_LINK_CHANGES)
    op.execute(ACCOUNT_DATA)


def downgrade() -> None:
    """Take back."""
    op.execute("drop function crm.account_data")
    op.execute("drop trigger account_data_due_on_link on crm.account")
    op.execute("drop trigger account_data_due_on_insert on crm.account")
    op.execute("drop function crm.account_data_due_on_link")
    op.execute("drop function crm.account_data_due_on_insert")
    op.drop_table("run_step", schema="crm")
    op.drop_table("run_item", schema="crm")
    op.drop_index(op.f("audience_account_account_id"), table_name="audience_account", schema="crm")
    op.drop_table("audience_account", schema="crm")
    op.drop_index(op.f("run_started_at"), table_name="run", schema="crm")
    op.drop_index(op.f("run_routine_business_date"), table_name="run", schema="crm")
    op.drop_table("run", schema="crm")
    op.drop_table("routine_recipient", schema="crm")
    op.drop_table("integration", schema="crm")
    op.drop_table("audience", schema="crm")
    op.drop_table("app_user", schema="crm")
    op.drop_table("account_supplementary", schema="crm")
    op.drop_table("account_data_state", schema="crm")
    op.drop_table("account_data_problem", schema="crm")
    op.drop_table("account_data_due", schema="crm")
    op.drop_table("account", schema="crm")
