"""Reference ERP: receivables and signature requests"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "receivable",
        sa.Column("receivable_id", sa.BigInteger(), nullable=False, comment="Key of the receivable"),
        sa.Column("code", sa.Text(), nullable=False, comment="Number of the document as people know it"),
        sa.Column("customer_id", sa.BigInteger(), nullable=False, comment="Customer who owes it"),
        sa.Column("due_on", sa.Date(), nullable=False, comment="Due date"),
        sa.Column(
            "value",
            sa.Numeric(precision=14, scale=2),
            nullable=False,
            comment="What is owed in BRL, without interest",
        ),
        sa.Column(
            "payment_code",
            sa.Text(),
            nullable=True,
            comment="What the customer pays with: digitable line, Pix code or link",
        ),
        sa.Column(
            "paid_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="When it was paid in full; empty while it is open",
        ),
        sa.Column(
            "cancelled_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="When it was cancelled or renegotiated; empty while it is good",
        ),
        sa.Column(
            "updated_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="When the row last changed, insertion and cancellation included. It must be visible to other sessions within one hour of this instant",
        ),
        sa.PrimaryKeyConstraint("receivable_id"),
        schema="erp",
        comment="One row per receivable (título). Rows are cancelled, never deleted.",
    )
    op.create_index("receivable_customer_id", "receivable", ["customer_id"], unique=False, schema="erp")
    op.create_index(
        "receivable_due_on_open",
        "receivable",
        ["due_on"],
        unique=False,
        schema="erp",
        postgresql_where=sa.text("paid_at is null and cancelled_at is null"),
    )
    op.create_table(
        "signature_request",
        sa.Column("signature_request_id", sa.BigInteger(), nullable=False, comment="Key of the request"),
        sa.Column("customer_id", sa.BigInteger(), nullable=False, comment="Customer who is to sign"),
        sa.Column("contract_id", sa.BigInteger(), nullable=True, comment="Contract to be signed"),
        sa.Column("link", sa.Text(), nullable=False, comment="Address where the customer signs"),
        sa.Column(
            "requested_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="When the signature was asked for",
        ),
        sa.Column(
            "expires_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="When the link stops working; empty: never",
        ),
        sa.Column(
            "signed_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="When it was signed; empty while it is not",
        ),
        sa.Column(
            "cancelled_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="When it was withdrawn; empty while it is good",
        ),
        sa.Column(
            "updated_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="When the row last changed, insertion and cancellation included. It must be visible to other sessions within one hour of this instant",
        ),
        sa.PrimaryKeyConstraint("signature_request_id"),
        schema="erp",
        comment="One row per digital signature asked for.",
    )
    op.create_index(
        "signature_request_customer_id", "signature_request", ["customer_id"], unique=False, schema="erp"
    )
    op.create_index(
        "signature_request_open",
        "signature_request",
        ["requested_at"],
        unique=False,
        schema="erp",
        postgresql_where=sa.text("signed_at is null and cancelled_at is null"),
    )


def downgrade() -> None:
    """Take back."""
    op.drop_index(
        "signature_request_open",
        table_name="signature_request",
        schema="erp",
        postgresql_where=sa.text("signed_at is null and cancelled_at is null"),
    )
    op.drop_index("signature_request_customer_id", table_name="signature_request", schema="erp")
    op.drop_table("signature_request", schema="erp")
    op.drop_index(
        "receivable_due_on_open",
        table_name="receivable",
        schema="erp",
        postgresql_where=sa.text("paid_at is null and cancelled_at is null"),
    )
    op.drop_index("receivable_customer_id", table_name="receivable", schema="erp")
    op.drop_table("receivable", schema="erp")
