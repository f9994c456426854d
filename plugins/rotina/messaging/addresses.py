"""One spelling per mailbox, so that an address is found again whichever way somebody wrote it."""

from __future__ import annotations


def canonical_email(address: str) -> str:
    """An e-mail address in small letters, with its domain as mail servers get it: in A-labels (RFC 5890).

    What has no such form comes back in small letters, still with characters beyond ASCII; messages to it are
    refused as `invalid_email`. Whether the rest is an address is not checked here.
    """
    address = address.strip().lower()
    try:
        return address if address.isascii() else ascii_domain(address).lower()
    except UnicodeError:
        return address


def ascii_domain(address: str) -> str:
    """An e-mail address with its domain in A-labels. Raises UnicodeError when it has none."""
    local, at, domain = address.rpartition("@")
    return f"{local}{at}{domain.encode('idna').decode()}"
