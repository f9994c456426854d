"""The index of birthdays: the accounts of a day without a look at the others"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_index(
        "account_birthday",
        "account",
        [sa.literal_column("((EXTRACT(month FROM birth_on) * 100 + EXTRACT(day FROM birth_on))::integer)")],
        schema="crm",
        postgresql_where=sa.text("kind = 'person' and active"),
    )


def downgrade() -> None:
    """Take back."""
    op.drop_index("account_birthday", table_name="account", schema="crm")
