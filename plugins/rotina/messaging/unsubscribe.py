"""One-click unsubscribe (RFC 8058): a link that needs no login and ends the e-mails to its address.

The link carries the address itself, encrypted and signed (Fernet: AES-128-CBC and HMAC-SHA256), and nothing
else. So a click suppresses exactly the address that the e-mail went to, for as long as there is the key:
also when the account has another address by now, or is gone, and when the message was archived or deleted.
A hash of the address could not do that, and a message's key only as long as the message is kept. Nobody
without the key can read an address in a link, or make a link for somebody else. Links do not expire; a
click twice does no harm.

Keys are Fernet keys, the newest first, as in Airflow's own [core] fernet_key: that one makes links, all of
them open links.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from urllib.parse import urlsplit

import psycopg
from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from rotina.errors import SettingError
from rotina.messaging.addresses import canonical_email
from rotina.sql import statement

#: Where the console shows the page (rotina.console.unsubscribe), below the address of Airflow.
PATH = "/rotina/unsubscribe/"

#: What a link is for stands before the address: a link for something else can never be taken for one.
_PURPOSE = "email:"


def unsubscribe_url(base_url: str, keys: Sequence[str], address: str) -> str:
    """The link for the e-mails to an address, another one each time that it is made.

    Args:
        base_url: address of Airflow's web interface as recipients reach it, `https://rotina.example.com`.
        keys: secret Fernet keys, the newest first.
        address: as the message carries it, or in another spelling of the same.

    Raises:
        SettingError: the base URL or the keys cannot be used.
    """
    token = _cipher(tuple(keys)).encrypt(f"{_PURPOSE}{canonical_email(address)}".encode())
    # Without padding: what finds links in plain text may take a = at the end for punctuation.
    return f"{_checked_base(base_url)}{PATH}{token.decode().rstrip('=')}"


def address_of(keys: Sequence[str], token: str) -> str | None:
    """The address that a link was made for; None when it was not made with one of these keys.

    Raises:
        SettingError: the keys cannot be used.
    """
    try:
        content = _cipher(tuple(keys)).decrypt(f"{token}{'=' * (-len(token) % 4)}".encode()).decode()
    except InvalidToken:
        return None
    return content.removeprefix(_PURPOSE) if content.startswith(_PURPOSE) else None


def unsubscribe(connection: psycopg.Connection, address: str) -> bool:
    """Send no more e-mails to an address, because its owner says so; returns whether that is new.

    It takes the place of a hard bounce, which somebody may mend. Messages that wait already are not sent
    either. `rotina.messaging.suppressions.unsuppress` takes it back,
    with an audit row.
    """
    values = {"channel": "email", "address": canonical_email(address), "reason": "opted_out"}
    return bool(
        connection.execute(
            statement("suppressions/add_suppression"), {**values, "source": "unsubscribe"}
        ).rowcount
    )


@cache
def _cipher(keys: tuple[str, ...]) -> MultiFernet:
    if not keys:
        raise SettingError("unsubscribe keys", None, "there is none; links could not be signed")
    try:
        return MultiFernet([Fernet(key) for key in keys])
    except ValueError:
        problem = "one of them is no Fernet key: 32 random bytes in URL-safe base64"
        raise SettingError("unsubscribe keys", None, problem) from None


@cache
def _checked_base(base_url: str) -> str:
    """The address without a slash at its end. One click takes HTTPS (RFC 8058); here it may do without."""
    try:
        parts = urlsplit(base_url)
        local = parts.hostname in ("localhost", "127.0.0.1", "::1")
    except ValueError:
        raise SettingError("base_url", base_url, "is no web address") from None
    if not parts.hostname or parts.scheme not in ("https", "http") or parts.query or parts.fragment:
        raise SettingError("base_url", base_url, "must be as https://rotina.example.com")
    if parts.scheme == "http" and not local:
        raise SettingError("base_url", base_url, "must begin with https:// (RFC 8058), or be of this machine")
    return base_url.rstrip("/")
