"""Indexes that accounts are searched by: name, document, e-mail and phone as people type them"""

from __future__ import annotations

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

EXPRESSIONS = {
    "account_search_name": "lower(name)",
    "account_search_document": "upper(regexp_replace(document, '[^0-9A-Za-z]', '', 'g'))",
    "account_search_email": "lower(email)",
    "account_search_phone": "reverse(regexp_replace(phone, '[^0-9]', '', 'g'))",
}


def upgrade() -> None:
    """Apply."""
    for name, expression in EXPRESSIONS.items():
        op.execute(f'create index {name} on crm.account (({expression}) collate "C")')


def downgrade() -> None:
    """Take back."""
    for name in EXPRESSIONS:
        op.drop_index(name, table_name="account", schema="crm")
