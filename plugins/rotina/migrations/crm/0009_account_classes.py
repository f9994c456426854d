"""Classes of accounts and the rules that change them"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "account_class",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("active", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("account_class_pkey")),
        sa.UniqueConstraint("name", name=op.f("account_class_name_key")),
        schema="crm",
    )
    op.create_table(
        "class_rule",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("active", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("source_class_id", sa.BigInteger(), nullable=True),
        sa.Column("target_class_id", sa.BigInteger(), nullable=False),
        sa.Column("priority", sa.BigInteger(), nullable=False),
        sa.Column("conditions", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("audience_id", sa.BigInteger(), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_by", sa.Text(), nullable=False),
        sa.CheckConstraint("priority between 1 and 999", name=op.f("class_rule_priority_in_range")),
        sa.CheckConstraint("source_class_id <> target_class_id", name=op.f("class_rule_target_is_another")),
        sa.ForeignKeyConstraint(
            ["audience_id"], ["crm.audience.id"], name=op.f("class_rule_audience_id_fkey")
        ),
        sa.ForeignKeyConstraint(
            ["source_class_id"], ["crm.account_class.id"], name=op.f("class_rule_source_class_id_fkey")
        ),
        sa.ForeignKeyConstraint(
            ["target_class_id"], ["crm.account_class.id"], name=op.f("class_rule_target_class_id_fkey")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("class_rule_pkey")),
        sa.UniqueConstraint("name", name=op.f("class_rule_name_key")),
        schema="crm",
    )
    op.create_table(
        "account_class_change",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("changed_on", sa.Date(), nullable=False),
        sa.Column("from_class_id", sa.BigInteger(), nullable=True),
        sa.Column("to_class_id", sa.BigInteger(), nullable=False),
        sa.Column("rule_id", sa.BigInteger(), nullable=False),
        sa.Column("rule_name", sa.Text(), nullable=False),
        sa.Column("rule_values", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"],
            ["crm.account.id"],
            name=op.f("account_class_change_account_id_fkey"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["from_class_id"], ["crm.account_class.id"], name=op.f("account_class_change_from_class_id_fkey")
        ),
        sa.ForeignKeyConstraint(
            ["to_class_id"], ["crm.account_class.id"], name=op.f("account_class_change_to_class_id_fkey")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("account_class_change_pkey")),
        schema="crm",
    )
    op.create_index(
        op.f("account_class_change_account_id_changed_on"),
        "account_class_change",
        ["account_id", "changed_on"],
        unique=False,
        schema="crm",
    )
    op.add_column("account", sa.Column("class_id", sa.BigInteger(), nullable=True), schema="crm")
    op.create_foreign_key(
        op.f("account_class_id_fkey"),
        "account",
        "account_class",
        ["class_id"],
        ["id"],
        source_schema="crm",
        referent_schema="crm",
    )


def downgrade() -> None:
    """Take back."""
    op.drop_constraint(op.f("account_class_id_fkey"), "account", schema="crm", type_="foreignkey")
    op.drop_column("account", "class_id", schema="crm")
    op.drop_index(
        op.f("account_class_change_account_id_changed_on"), table_name="account_class_change", schema="crm"
    )
    op.drop_table("account_class_change", schema="crm")
    op.drop_table("class_rule", schema="crm")
    op.drop_table("account_class", schema="crm")
