"""Audiences (públicos): named selections of accounts, which a run may be limited to (docs/audiences.md)."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import psycopg
from psycopg.rows import dict_row, scalar_row
from psycopg.types.json import Jsonb
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Date,
    Numeric,
    Select,
    Text,
    cast,
    func,
    literal,
    select,
    union_all,
)

from rotina.accounts.filters import (
    ACCOUNT_ID,
    Condition,
    Filter,
    accounts_from,
    field_value,
    parse_filter,
)
from rotina.errors import SettingError
from rotina.expressions import CreateTempTable, execute
from rotina.messaging.gateways import changes, check_range, check_text, record_audit
from rotina.models import AudienceAccount
from rotina.sql import statement

#: Accounts that a preview lists, at most.
MOST_PREVIEWED = 1000

_GREATEST_ID = 2**63 - 1


@dataclass(frozen=True)
class AudienceSettings:
    """What a person sets of an audience: the accounts of a list, or a filter."""

    name: str
    account_ids: Collection[int] | None = None
    #: As JSON has it; see rotina.accounts.filters.
    filter: object | None = None


@dataclass(frozen=True)
class Audience:
    """An audience that can be used."""

    id: int
    name: str
    #: None: a list.
    filter: Filter | None

    def expression(self, on: dt.date) -> ColumnElement[bool]:
        """The SQL over `accounts_from()`, as of a filter: true for its accounts on a business date."""
        if self.filter is not None:
            return self.filter.expression(on)
        return ACCOUNT_ID.in_(self._listed())

    def accounts(self, on: dt.date) -> Select[int]:
        """The keys of its accounts, `account_id`, on a business date."""
        if self.filter is None:
            return self._listed()
        keys = select(ACCOUNT_ID.label("account_id")).select_from(accounts_from())
        return keys.where(self.filter.expression(on))

    def _listed(self) -> Select[int]:
        listed = AudienceAccount.__table__
        return select(listed.c.account_id).where(listed.c.audience_id == self.id)


class PreviewedAccount(NamedTuple):
    """An account of an audience, and what it has in the fields that the filter uses.

    Money and dates are texts, as filters have them.
    """

    account_id: int
    name: str
    class_name: str | None
    status: str
    values: dict[str, Any]


# -- using --------------------------------------------------------------------------------------------------


def find_audience(connection: psycopg.Connection, name: str | None) -> int | None:
    """The key of the audience of a name; None for no name, or an empty one: all accounts.

    Raises:
        SettingError: as `load_audience`.
    """
    return load_audience(connection, name).id if name else None


def load_audience(connection: psycopg.Connection, name: str) -> Audience:
    """The audience of a name, its filter checked again: anybody may write into a table, or rename a class.

    Raises:
        SettingError: there is no audience of that name, or its filter is wrong or names a class that does not
            exist.
    """
    found = _load(connection, name=name)
    if not found:
        raise SettingError("audience", name, "there is no audience of that name")
    return found[0]


def load_audiences(connection: psycopg.Connection, ids: Collection[int]) -> list[Audience]:
    """The audiences of some keys, by key, their filters checked again.

    Raises:
        SettingError: there is no audience of one of the keys, or the filter of one is wrong or names a class
            that does not exist.
    """
    found = _load(connection, ids=ids)
    for missing in sorted(set(ids) - {one.id for one in found}):
        raise SettingError("audience_id", missing, "there is no such audience")
    return found


def open_audience(connection: psycopg.Connection, name: str | None, on: dt.date) -> int | None:
    """Put the accounts of an audience where statements find them, for the rest of the transaction.

    They stand in the temp table `audience_member (audience_id, account_id)`, whether the audience is a list
    or a filter. It is there and empty when no audience is asked for; a statement says therefore::

        %(audience_id)s::bigint is null
        or exists (
            select from audience_member as m
            where m.audience_id = %(audience_id)s and m.account_id = a.id
        )

    Args:
        connection: of the task role, in a transaction.
        name: of the audience; None or empty: all accounts.
        on: the business date.

    Returns:
        The key of the audience; None for all accounts.

    Raises:
        SettingError: as `find_audience`.
    """
    audiences = [load_audience(connection, name)] if name else []
    _open(connection, audiences, on)
    return audiences[0].id if audiences else None


def open_audiences(connection: psycopg.Connection, ids: Collection[int], on: dt.date) -> None:
    """Put the accounts of any number of audiences into `audience_member`, as `open_audience` does.

    Raises:
        SettingError: as `load_audiences`.
    """
    _open(connection, load_audiences(connection, ids), on)


def count_audience(connection: psycopg.Connection, audience: str | Filter, on: dt.date) -> int:
    """How many accounts an audience, or a filter that is not saved yet, has on a business date.

    Raises:
        SettingError: as `load_audience`.
    """
    expression = _selection(connection, audience)[0].expression(on)
    counted = select(func.count()).select_from(accounts_from()).where(expression)
    (count,) = execute(connection, counted, scalar_row).fetchall()
    return int(count)


def preview_audience(
    connection: psycopg.Connection, audience: str | Filter, on: dt.date, *, most: int = 50
) -> list[PreviewedAccount]:
    """The first accounts of an audience, or of a filter that is not saved yet, on a business date.

    Raises:
        SettingError: as `load_audience`, or `most` is not from 1 to `MOST_PREVIEWED`.
    """
    check_range("most", most, 1, MOST_PREVIEWED)
    selection, filter = _selection(connection, audience)
    fields = filter.fields() if filter else ()
    shown = select(
        ACCOUNT_ID,
        *(field_value(name, on) for name in ("name", "class", "status")),
        *(_as_written(name, on) for name in fields),
    )
    listed = (
        shown.select_from(accounts_from()).where(selection.expression(on)).order_by(ACCOUNT_ID).limit(most)
    )
    return [
        PreviewedAccount(key, account, class_name, status, dict(zip(fields, values, strict=True)))
        for key, account, class_name, status, *values in execute(connection, listed)
    ]


def _load(
    connection: psycopg.Connection, *, name: str | None = None, ids: Collection[int] = ()
) -> list[Audience]:
    rows = connection.execute(
        statement("audiences/list_audiences"), {"name": name, "ids": list(ids)}
    ).fetchall()
    audiences = [
        Audience(key, name, None if written is None else _read_filter(name, written))
        for key, name, written in rows
    ]
    _check_classes(connection, {_filter_of(one.name): one.filter for one in audiences if one.filter})
    return audiences


def _read_filter(name: str, written: str) -> Filter:
    """The filter of an audience as stored: JSON, which may have more digits or levels than Python reads."""
    try:
        document = json.loads(written)
    except (ValueError, RecursionError):
        raise SettingError(_filter_of(name), "…", "is too large or too deep to be read") from None
    return parse_filter(document, field=_filter_of(name))


def _filter_of(name: str) -> str:
    """What errors call the filter of an audience."""
    return f"audience {name}, filter"


def _open(connection: psycopg.Connection, audiences: Collection[Audience], on: dt.date) -> None:
    connection.execute(statement("audiences/drop_members"))
    if not audiences:
        connection.execute(statement("audiences/create_members"))
        return
    members = []
    for one in audiences:
        accounts = one.accounts(on).subquery()
        members.append(select(literal(one.id, BigInteger).label("audience_id"), accounts.c.account_id))
    execute(connection, CreateTempTable("audience_member", union_all(*members)))
    connection.execute(statement("audiences/index_members"))


def _selection(
    connection: psycopg.Connection, audience: str | Filter
) -> tuple[Audience | Filter, Filter | None]:
    """What selects the accounts, and its filter, if it has one."""
    if isinstance(audience, Filter):
        return audience, audience
    loaded = load_audience(connection, audience)
    return loaded, loaded.filter


def _as_written(name: str, on: dt.date) -> Any:
    """The value of a field; money and dates, of which Python knows fewer, as texts."""
    value = field_value(name, on)
    return cast(value, Text) if isinstance(value.type, Numeric | Date) else value


# -- changing -----------------------------------------------------------------------------------------------


def save_audience(connection: psycopg.Connection, settings: AudienceSettings, login: str) -> int:
    """Insert an audience or change the one of that name, its kind too; returns its id.

    An audit row tells who changed what.

    Args:
        connection: of the task role.
        settings: what the audience is to be.
        login: who decided it.

    Raises:
        SettingError: the name is blank; there is neither a filter nor a list, or both; the list is empty, or
            has an account that does not exist; the filter is wrong, or names a class that does not exist; a
            class rule that uses it could no longer match, or would make a loop with others.
    """
    from rotina.accounts.class_rules import no_new_problems  # which needs audiences itself

    check_text("name", settings.name)
    if (settings.account_ids is None) == (settings.filter is None):
        raise SettingError("audience", settings.name, "is either a list of accounts or a filter")
    filter = None if settings.filter is None else parse_filter(settings.filter)
    account_ids = _checked(settings.account_ids) if settings.account_ids is not None else []
    with connection.transaction(), connection.cursor(row_factory=dict_row) as cursor:
        cursor.execute(statement("audiences/lock_audiences"))
        _check_accounts(connection, account_ids)
        before = cursor.execute(statement("audiences/get_saved"), {"name": settings.name}).fetchone()
        values = {
            "name": settings.name,
            "filter": Jsonb(filter.as_json()) if filter else None,
            "login": login,
        }
        with no_new_problems(connection):  # nobody renames a class meanwhile either
            if filter:
                check_classes(connection, filter)
            (saved,) = cursor.execute(statement("audiences/save_audience"), values).fetchall()
        listed = {"audience_id": saved["id"], "account_ids": account_ids}
        details = changes(before, saved)
        details["accounts_removed"] = cursor.execute(statement("audiences/remove_accounts"), listed).rowcount
        details["accounts_added"] = cursor.execute(statement("audiences/add_accounts"), listed).rowcount
        record_audit(connection, login, "save_audience", {"audience": settings.name}, details)
    return int(saved["id"])


def delete_audience(connection: psycopg.Connection, name: str, login: str) -> None:
    """Delete an audience that nothing uses. An audit row keeps its filter.

    Raises:
        SettingError: there is no audience of that name, or class rules or monitoring profiles, active or not,
            use it, which are named.
    """
    with connection.transaction(), connection.cursor(row_factory=dict_row) as cursor:
        cursor.execute(statement("audiences/lock_audiences"))
        found = cursor.execute(statement("audiences/get_saved"), {"name": name}).fetchone()
        if found is None:
            raise SettingError("audience", name, "there is no audience of that name")
        key = {"audience_id": found["id"]}
        users = cursor.execute(statement("audiences/list_users"), key).fetchall()
        if users:
            names = ", ".join(user["used_by"] for user in users)
            raise SettingError("audience", name, f"is used by {names}")
        cursor.execute(statement("audiences/delete_audience"), key)
        record_audit(connection, login, "delete_audience", {"audience": name}, {"deleted": found})


def check_classes(connection: psycopg.Connection, filter: Filter, *, field: str = "filter") -> None:
    """Refuse a filter that asks for a class that does not exist.

    Raises:
        SettingError: it does.
    """
    _check_classes(connection, {field: filter})


def _check_classes(connection: psycopg.Connection, filters: Mapping[str, Filter]) -> None:
    """Refuse the first filter that asks for a class that does not exist, by what errors call it."""
    fields = {
        name: field
        for field, filter in filters.items()
        for one in filter.conditions()
        for name in _classes_of(one)
    }
    if not fields:
        return
    with connection.cursor(row_factory=scalar_row) as cursor:
        unknown = cursor.execute(
            statement("audiences/list_unknown_classes"), {"names": list(fields)}
        ).fetchone()
    if unknown is not None:
        raise SettingError(fields[unknown], unknown, "there is no class of that name")


def _classes_of(condition: Condition) -> tuple[Any, ...]:
    whole = condition.field == "class" and condition.op != "contains"
    return condition.values() if whole else ()


def _checked(account_ids: Collection[int]) -> list[int]:
    """The accounts of a list."""
    for one in account_ids:
        check_range("account_ids", one, 1, _GREATEST_ID)
    if not account_ids:
        raise SettingError("account_ids", None, "names no account; a run without an audience is for all")
    return list(account_ids)


def _check_accounts(connection: psycopg.Connection, account_ids: list[int]) -> None:
    with connection.cursor(row_factory=scalar_row) as cursor:
        unknown = cursor.execute(
            statement("audiences/list_unknown_accounts"), {"account_ids": account_ids}
        ).fetchall()
    if unknown:
        raise SettingError("account_ids", ", ".join(map(str, unknown)), "there are no such accounts")
