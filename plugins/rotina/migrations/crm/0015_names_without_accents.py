"""Accounts are found by their names without accents: joao finds João"""

from __future__ import annotations

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

#: Letters of western Europe, and what people type for them who leave the accents out.
ACCENTED = "ÁÀÂÃÄÅÉÈÊËÍÌÎÏÓÒÔÕÖÚÙÛÜÝÇÑáàâãäåéèêëíìîïóòôõöúùûüýÿçñ"
PLAIN = "AAAAAAEEEEIIIIOOOOOUUUUYCNaaaaaaeeeeiiiiooooouuuuyycn"
#: The accents alone, where a letter and its accent are stored as two characters; they are left out.
COMBINING = "".join(map(chr, (0x300, 0x301, 0x302, 0x303, 0x308, 0x30A, 0x327)))


def upgrade() -> None:
    """Apply."""
    # The extension unaccent would have to be installed, and its function could be in no index.
    op.execute(
        "create function crm.unaccented(value text) returns text language sql immutable parallel safe "
        f"return lower(translate(value, '{ACCENTED}{COMBINING}', '{PLAIN}'))"
    )
    op.execute(
        "comment on function crm.unaccented is 'A name as it is searched by: in small letters, without accents'"
    )
    _index("crm.unaccented(name)")


def downgrade() -> None:
    """Take back."""
    _index("lower(name)")
    op.execute("drop function crm.unaccented")


def _index(expression: str) -> None:
    """Put another index in the place of the one there is, which goes last: until then people may read."""
    op.execute(f'create index account_search_new on crm.account (({expression}) collate "C")')
    op.drop_index("account_search_name", table_name="account", schema="crm")
    op.execute("alter index crm.account_search_new rename to account_search_name")
