"""Class transition (crm251): accounts move to another class when they reach a rule's trigger.

Each active account is asked the rules that are for its class, in their order; the first that holds decides.
One statement asks all accounts, and only those that are to move come out of it. An account moves once
in a business date. See docs/class-transition.md.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import psycopg
from psycopg.rows import class_row, dict_row, scalar_row
from psycopg.types.json import Jsonb
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Numeric,
    Select,
    Subquery,
    Text,
    and_,
    case,
    cast,
    func,
    literal,
    null,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import JSONB

from rotina.accounts.audiences import Audience, load_audience
from rotina.accounts.class_rule_checks import Rule, within
from rotina.accounts.class_rules import check_rules, load_classes, load_rules
from rotina.accounts.filters import ACCOUNT_ID, FIELDS, Filter, accounts_from, execute, field_value
from rotina.errors import SettingError
from rotina.expressions import CreateTempTable
from rotina.models import Account, AccountSupplementary
from rotina.runs import progress
from rotina.runs.record import Outcome, Run
from rotina.sql import statement

ROUTINE = "class_transition"

#: The fields that account_data_refresh computes.
ERP_FIELDS = {column.name for column in AccountSupplementary.__table__.columns} | {"days_since_last_purchase"}

_ACCOUNT = Account.__table__


@dataclass(frozen=True)
class Transition:
    """An account that a run would move."""

    account_id: int
    name: str
    from_class: str | None
    to_class: str
    rule: str
    values: dict[str, Any]
    """The fields that the rule asks for, as they are; money as text, as filters have it."""


@dataclass(frozen=True)
class Preview:
    """What a run would do: how many accounts it would move, and the first of them."""

    total: int
    transitions: list[Transition]


@dataclass(frozen=True)
class _Settings:
    """What a run works with, checked."""

    rules: list[Rule]
    classes: dict[int, str]
    audience: Audience | None

    @property
    def reads_erp(self) -> bool:
        """Whether anything asks for what account_data_refresh computes."""
        return any(map(_reads_erp, (*self.rules, self.audience)))


@dataclass(frozen=True)
class _Counts:
    selected: int
    changed: int
    unchanged: int
    skipped: int


def check_settings(connection: psycopg.Connection, params: dict[str, Any]) -> None:
    """Refuse to start with a wrong setting. Changes nothing.

    Raises:
        SettingError: something is wrong with the active rules, or there is no such audience.
    """
    check_rules(connection)
    _settings(connection, params.get("audience"))


def missing_refresh(connection: psycopg.Connection, run: Run) -> str | None:
    """What a run must wait for, in words: the refresh of its business date; None when it need not.

    Raises:
        SettingError: as `check_settings`.
    """
    settings = _settings(connection, run.params.get("audience"))
    refreshed_through = _refreshed_through(connection)
    if not settings.reads_erp or (refreshed_through and refreshed_through >= run.date):
        return None
    until = f"they are of {refreshed_through}" if refreshed_through else "there are none yet"
    return (
        f"the rules need the supplementary data of {run.date}, and {until}: "
        f"run account_data_refresh for {run.date}, for all accounts"
    )


def move_accounts(connection: psycopg.Connection, run: Run) -> Outcome:
    """Move the accounts for the business date of `run`, inside the transaction of the caller.

    Params of the run: `audience` (name; empty = all accounts) and `dry_run` (name the accounts that would
    move, and move none).

    Returns:
        The equation over the accounts that a rule asks to move. Those that moved on this business date before
        are unchanged.

    Raises:
        SettingError: a rule cannot be read, there is no such audience, or the data of the date are missing.
        psycopg.errors.SerializationFailure: somebody changed one of the accounts meanwhile; nothing was done.
    """
    settings = _settings(connection, run.params.get("audience"))
    dry_run = bool(run.params.get("dry_run"))
    newer_than = _newer_than(connection, settings, run.date)
    _judge(connection, settings, run.date, newer_than, dry_run=dry_run)
    titles = {known.name: known.title for known in FIELDS.values() if not known.personal}
    connection.execute(
        statement("class_transition/record_items"), {"run_id": run.id, "titles": Jsonb(titles)}
    )
    with connection.cursor(row_factory=class_row(_Counts)) as cursor:
        (counts,) = cursor.execute(statement("class_transition/count_transitions")).fetchall()
    if counts.changed:
        connection.execute(
            statement("class_transition/write_transitions"), {"business_date": run.date, "run_id": run.id}
        )
    if settings.audience is None and not dry_run and newer_than is None:
        progress.advance(connection, run)
    return Outcome(**vars(counts), failed=0, details=_details(run, settings, newer_than))


def preview(
    connection: psycopg.Connection,
    audience: str | None,
    on: dt.date,
    most: int = 50,
    *,
    rule: str | None = None,
) -> Preview:
    """What a run would do on a business date. Changes nothing.

    Args:
        connection: of the task role.
        audience: name; None: all accounts.
        on: the business date.
        most: how many accounts to show.
        rule: name; tell only of the accounts that this rule would move.

    Raises:
        SettingError: as `check_settings` and `move_accounts`.
    """
    with connection.transaction(force_rollback=True), connection.cursor(row_factory=dict_row) as cursor:
        check_rules(connection)
        settings = _settings(connection, audience)
        _judge(connection, settings, on, _newer_than(connection, settings, on), dry_run=True)
        rows = cursor.execute(
            statement("class_transition/list_transitions"), {"rule": rule, "most": most}
        ).fetchall()
    totals = [row.pop("total") for row in rows]
    return Preview(totals[0] if totals else 0, [Transition(**row) for row in rows])


def _settings(connection: psycopg.Connection, audience: str | None) -> _Settings:
    """What a run works with. The rules were checked with each other when they were saved, and by `begin`.

    Raises:
        SettingError: a rule or the audience cannot be read, or there is no such audience.
    """
    return _Settings(
        load_rules(connection),
        load_classes(connection),
        load_audience(connection, audience) if audience else None,
    )


def _refreshed_through(connection: psycopg.Connection) -> dt.date | None:
    with connection.cursor(row_factory=scalar_row) as cursor:
        found: dt.date | None = cursor.execute(statement("class_transition/get_refreshed_through")).fetchone()
    return found


def _newer_than(connection: psycopg.Connection, settings: _Settings, on: dt.date) -> dt.date | None:
    """The business date that the data, or the classes, stand for where that is a newer one than `on`.

    Raises:
        SettingError: the rules read data that are not there yet.
    """
    newest = [progress.done_through(connection, ROUTINE)]
    if settings.reads_erp:
        refreshed_through = _refreshed_through(connection)
        if refreshed_through is None or refreshed_through < on:
            raise SettingError(
                "business_date",
                on.isoformat(),
                f"the supplementary data are refreshed through {refreshed_through or 'no day yet'}; "
                "run account_data_refresh for this date first, for all accounts",
            )
        newest.append(refreshed_through)
    return max((date for date in newest if date and date > on), default=None)


def _judge(
    connection: psycopg.Connection,
    settings: _Settings,
    on: dt.date,
    newer_than: dt.date | None,
    *,
    dry_run: bool,
) -> None:
    """Make the temporary table `transition`: whom a rule asks to move, and what becomes of each."""
    connection.execute(statement("class_transition/tune_session"))
    execute(connection, CreateTempTable("candidate", _candidates(settings, on)))
    values = {
        "business_date": on,
        "newer_than": newer_than,
        "erp_rule_ids": [rule.id for rule in settings.rules if _reads_erp(rule)],
        "dry_run": dry_run,
    }
    connection.execute(statement("class_transition/judge_candidates"), values)


def _candidates(settings: _Settings, on: dt.date) -> Select[Any]:
    """The statement that finds the accounts that a rule asks to move, with the rule and what it asks for."""
    asked = _fields(rule.conditions for rule in settings.rules)
    accounts = (
        select(
            ACCOUNT_ID.label("account_id"),
            _ACCOUNT.c.class_id,
            _first_rule(settings, on).label("rule_id"),
            *(_written(name, settings.classes, on).label(f"asked_{name}") for name in asked),
        )
        .select_from(accounts_from())
        .where(_ACCOUNT.c.active)
    )
    if settings.audience is not None:
        accounts = accounts.where(settings.audience.expression(on))
    moving = accounts.subquery("moving")
    return select(
        moving.c.account_id,
        moving.c.class_id,
        moving.c.rule_id,
        _rule_values(settings.rules, moving).label("rule_values"),
    ).where(moving.c.rule_id.is_not(None))


def _first_rule(settings: _Settings, on: dt.date) -> ColumnElement[Any]:
    """The key of the rule that moves an account; NULL for one that stays.

    The rules of each class stand by themselves, so that an account is asked no others, nor for its class.
    """
    by_class = {key: _first_within(settings.rules, name, on) for key, name in settings.classes.items()}
    without = _first_within(settings.rules, None, on)
    return case(by_class, value=_ACCOUNT.c.class_id, else_=without) if by_class else without


def _first_within(rules: Sequence[Rule], name: str | None, on: dt.date) -> ColumnElement[Any]:
    """The key of the first rule that holds for an account of a class; NULL where it leads to that class."""
    branches: list[tuple[ColumnElement[bool], ColumnElement[Any]]] = []
    for rule in rules:
        asked = within(rule.conditions, name) if rule.source in (None, name) else False
        if asked is not False:
            key = null() if rule.target == name else literal(rule.id)
            branches.append((_holds(rule, asked, on), cast(key, BigInteger)))
    return case(*branches) if branches else cast(null(), BigInteger)


def _holds(rule: Rule, asked: Filter | bool, on: dt.date) -> ColumnElement[bool]:
    conditions = asked.expression(on) if isinstance(asked, Filter) else true()
    return conditions if rule.audience is None else and_(conditions, rule.audience.expression(on))


def _rule_values(rules: Sequence[Rule], moving: Subquery) -> ColumnElement[Any]:
    """The fields that the rule of an account asks for, as JSON."""
    asking: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for rule in rules:
        asking[_fields([rule.conditions])].append(rule.id)
    branches = [
        (
            moving.c.rule_id.in_(keys),
            func.jsonb_build_object(
                *chain.from_iterable((literal(f), moving.c[f"asked_{f}"]) for f in fields)
            ),
        )
        for fields, keys in asking.items()
    ]
    return case(*branches) if branches else cast(null(), JSONB)


def _written(name: str, classes: dict[int, str], on: dt.date) -> ColumnElement[Any]:
    """The value of a field as filters have it: money as text with its cents."""
    if name == "class":  # without a join of all accounts to their classes
        names = {key: literal(known) for key, known in classes.items()}
        return case(names, value=_ACCOUNT.c.class_id) if names else cast(null(), Text)
    value = field_value(name, on)
    return cast(cast(value, Numeric(20, 2)), Text) if FIELDS[name].type == "money" else value


def _fields(filters: Iterable[Filter]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for one in filters for name in one.fields()))


def _reads_erp(user: Rule | Audience | None) -> bool:
    filters = user.guards if isinstance(user, Rule) else [user.filter] if user and user.filter else []
    return not ERP_FIELDS.isdisjoint(_fields(filters))


def _details(run: Run, settings: _Settings, newer_than: dt.date | None) -> dict[str, Any]:
    details: dict[str, Any] = {"rules": len(settings.rules)}
    if settings.audience:
        details["audience"] = settings.audience.name
    if newer_than:
        details["note"] = f"as contas já estão como em {newer_than:%d/%m/%Y}; nenhuma foi mudada"
    return details
