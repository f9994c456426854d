"""Finding accounts by what people have at hand: a number, a document, a phone, an e-mail address, a name.

Every way reads an index of its own (see rotina.models.Account), so that a search costs the same however many
accounts there are.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

import psycopg
from psycopg.rows import class_row

from rotina.messaging.addresses import canonical_email
from rotina.sql import statement

#: Accounts that a search lists, at most.
MOST_FOUND = 50

#: Characters of a document, a phone number or an e-mail address that must be given, at least.
_FEWEST = {"document": 5, "phone": 6, "email": 3}
_MOST_DIGITS = 18

_NUMBER = re.compile(r"[0-9\s().+/-]+")
_DOCUMENT = re.compile(r"[0-9A-Za-z./-]*[0-9][0-9A-Za-z./-]*")


@dataclass(frozen=True)
class FoundAccount:
    """An account that a search found, and by what."""

    id: int
    kind: str
    name: str
    document: str | None
    email: str | None
    phone: str | None
    active: bool
    status: str
    owner_login: str | None
    class_name: str | None
    matched: Literal["id", "customer", "document", "phone", "email", "name"]


def search_accounts(connection: psycopg.Connection, term: str, most: int = MOST_FOUND) -> list[FoundAccount]:
    """The accounts that a text may mean, the surest first; none for a blank text.

    It may be the key of the account or of its customer in the ERP, a document (whole or its beginning, with
    or without punctuation), the end of a phone number, or the beginning of an e-mail address or of a name,
    with or without its accents.

    Args:
        connection: of the task role.
        term: what a person typed.
        most: how many to return.
    """
    asked = _asked(" ".join(term.replace("\0", "").split()))
    if not any(value is not None for value in asked.values()):
        return []
    with connection.cursor(row_factory=class_row(FoundAccount)) as cursor:
        return cursor.execute(statement("account_search/find_accounts"), {**asked, "most": most}).fetchall()


def _asked(term: str) -> dict[str, int | str | None]:
    """What a text may be: a number, and patterns of LIKE."""
    digits = re.sub(r"\D", "", term) if _NUMBER.fullmatch(term) else ""
    signs = re.sub(r"[^0-9A-Za-z]", "", term).upper() if _DOCUMENT.fullmatch(term) else ""
    address = canonical_email(term) if term and " " not in term and not digits else ""
    return {
        "number": int(term) if digits == term and 0 < len(digits) <= _MOST_DIGITS else None,
        "document": _beginning("document", signs),
        "phone": _beginning("phone", digits[::-1]),
        "email": _beginning("email", address),
        "name": f"{_escaped(term)}%" if re.search(r"[^\W\d_]", term) and "@" not in term else None,
    }


def _beginning(what: str, text: str) -> str | None:
    return f"{_escaped(text)}%" if len(text) >= _FEWEST[what] else None


def _escaped(text: str) -> str:
    return re.sub(r"([\\%_])", r"\\\1", text)
