"""Who the logins of Airflow are, and who receives the summaries of runs that nobody known asked for."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import asdict, dataclass

import psycopg
from psycopg.rows import dict_row

from rotina.errors import SettingError
from rotina.messaging.addresses import canonical_email
from rotina.messaging.gateways import changes, check_text, record_audit
from rotina.sql import statement

#: Stands for all routines.
ALL = "*"

_EMAIL = re.compile(r"[a-z0-9.!#$%&'*+/=?^_`{|}~-]+@([a-z0-9-]+\.)*[a-z0-9-]+")


@dataclass(frozen=True)
class UserSettings:
    """What a person sets of a user."""

    login: str
    """As Airflow has it."""
    name: str
    email: str
    active: bool = True
    """One that is not gets no summaries and no accounts."""


def save_user(connection: psycopg.Connection, user: UserSettings, login: str) -> None:
    """Insert a user or change the one of that login. An audit row tells who changed what.

    Raises:
        SettingError: a field is blank, or the address is none.
    """
    for name in ("login", "name"):
        check_text(name, getattr(user, name))
    values = {**asdict(user), "email": _checked(user.email)}
    with connection.transaction(), connection.cursor(row_factory=dict_row) as cursor:
        before = cursor.execute(statement("recipients/get_user"), values).fetchone()
        cursor.execute(statement("recipients/save_user"), values)
        record_audit(connection, login, "save_user", {"user": user.login}, changes(before, values))


def add_recipient(
    connection: psycopg.Connection, routine: str, email: str, login: str, *, routines: Collection[str]
) -> str:
    """Send the summaries of a routine to an address; returns the address as it is stored.

    Args:
        connection: of the task role.
        routine: its name; `*`: all routines that have no recipients of their own.
        email: the address.
        login: who decided it.
        routines: the names that there are.

    Raises:
        SettingError: there is no such routine, or the address is none.
    """
    if routine != ALL and routine not in routines:
        raise SettingError("routine", routine, f"must be {ALL} or one of {', '.join(sorted(routines))}")
    values = {"routine": routine, "email": _checked(email)}
    with connection.transaction():
        added = connection.execute(statement("recipients/add_recipient"), values).rowcount
        record_audit(connection, login, "add_recipient", values, {}, added)
    return values["email"]


def remove_recipient(connection: psycopg.Connection, routine: str, email: str, login: str) -> None:
    """Send the summaries of a routine to an address no more.

    Raises:
        SettingError: it gets none.
    """
    values = {"routine": routine, "email": email}
    with connection.transaction():
        if not connection.execute(statement("recipients/remove_recipient"), values).rowcount:
            raise SettingError("email", email, "gets no summaries of this routine")
        record_audit(connection, login, "remove_recipient", values, {})


def _checked(email: str) -> str:
    address = canonical_email(email)
    if not _EMAIL.fullmatch(address):
        raise SettingError("email", email, "is no e-mail address")
    return address
