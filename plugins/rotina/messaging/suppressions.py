"""Addresses that get no messages, as a person sets them; the gateways' own answers add to them too."""

from __future__ import annotations

import re
from typing import Literal, get_args

import psycopg

from rotina.errors import SettingError
from rotina.messaging.addresses import canonical_email
from rotina.messaging.gateways import check_text, record_audit
from rotina.sql import statement

Channel = Literal["phone", "email"]

# What include/sql/outbox/check_outgoing.sql takes for an address: another one would match no message.
_PHONE = re.compile(r"\+[1-9][0-9]{7,14}")
_EMAIL = re.compile(r"[a-z0-9.!#$%&'*+/=?^_`{|}~-]+@([a-z0-9-]+\.)+[a-z0-9-]+")
_LONGEST_EMAIL = 254


def suppress(connection: psycopg.Connection, channel: Channel, address: str, reason: str, login: str) -> bool:
    """Send no more messages to an address. One that is suppressed already keeps its first reason.

    A hard bounce is no decision: the reason of a person takes its place.

    Args:
        connection: of the task role.
        channel: phone or email.
        address: E.164 phone number, or e-mail address, in capital or small letters, its domain in letters
            or as an A-label (xn--…).
        reason: why, for example that its owner asked for it.
        login: who decided it; the audit row tells.

    Returns:
        Whether it is newly suppressed, or was only for a hard bounce.

    Raises:
        SettingError: a wrong channel or address (masked in the text), or a blank reason or login.
    """
    address = _checked(channel, address)
    check_text("reason", reason)
    check_text("login", login)
    values = {"channel": channel, "address": address, "reason": reason.strip(), "source": login}
    with connection.transaction():
        added = connection.execute(statement("suppressions/add_suppression"), values).rowcount
        target = {"channel": channel, "address": address}
        record_audit(connection, login, "suppress", target, {"reason": reason.strip()}, records=added)
    return bool(added)


def unsuppress(connection: psycopg.Connection, channel: Channel, address: str, login: str) -> None:
    """Let an address get messages again; those skipped or failed meanwhile are not sent by that.

    Raises:
        SettingError: a wrong channel, an address that is wrong or not suppressed (masked in the text), or a
            blank login.
    """
    address = _checked(channel, address)
    check_text("login", login)
    target = {"channel": channel, "address": address}
    with connection.transaction():
        if not connection.execute(statement("suppressions/remove_suppression"), target).rowcount:
            raise SettingError("address", _masked(address), "is not suppressed")
        record_audit(connection, login, "unsuppress", target, {})


def is_address(channel: Channel, address: str) -> bool:
    """Whether a message may go to an address, as messages carry it."""
    if channel == "phone":
        return bool(_PHONE.fullmatch(address))
    return len(address) <= _LONGEST_EMAIL and bool(_EMAIL.fullmatch(address))


def _checked(channel: Channel, address: str) -> str:
    """The address as messages carry it."""
    if channel not in get_args(Channel):
        raise SettingError("channel", channel, f"must be one of {', '.join(get_args(Channel))}")
    if channel == "phone":
        address = address.strip()
        if not is_address(channel, address):
            raise SettingError("address", _masked(address), "is no phone number as +5511999990000 (E.164)")
        return address
    address = canonical_email(address)
    if not is_address(channel, address):
        raise SettingError("address", _masked(address), "is no e-mail address")
    return address


def _masked(address: str) -> str:
    """Enough to tell one address from another: the domain, or the last four digits."""
    _, at, domain = address.rpartition("@")
    return f"…@{domain}" if at else f"…{address[-4:]}"
