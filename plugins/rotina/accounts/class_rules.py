"""Classes of accounts, and the rules by which accounts move from one to another (docs/class-transition.md).

Every change is checked with all rules that are active: one that would make a rule that can never match, or a
loop, is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from rotina.accounts.audiences import Audience, load_audience
from rotina.accounts.class_rule_checks import Problem, Rule, check_alone, find_problems
from rotina.accounts.filters import Filter, parse_filter
from rotina.errors import SettingError
from rotina.messaging.gateways import changes, check_range, check_text, record_audit
from rotina.sql import statement


@dataclass(frozen=True)
class RuleSettings:
    """What a person sets of a class rule (crm.class_rule has the meaning of each field)."""

    name: str
    target: str
    priority: int
    #: As docs/audiences.md has filters.
    conditions: dict[str, Any]
    #: None: accounts of any class, or of none.
    source: str | None = None
    #: Name; None: all accounts.
    audience: str | None = None
    active: bool = True


def check_rules(connection: psycopg.Connection) -> None:
    """Refuse active rules with which something is wrong: anybody may write into a table.

    Raises:
        SettingError: names the rules that cannot be read, can never match, or make a loop.
    """
    for problem in _problems(connection):
        raise problem.error


def load_rules(connection: psycopg.Connection) -> list[Rule]:
    """The active rules in the order in which they are tried, each read by itself.

    Raises:
        SettingError: names a rule that cannot be read.
    """
    rules, problems = _read(connection)
    for problem in problems:
        raise problem.error
    return rules


def load_classes(connection: psycopg.Connection) -> dict[int, str]:
    """The name of each class, active or not, by its key."""
    return {row["id"]: name for name, row in _classes(connection).items()}


def save_rule(
    connection: psycopg.Connection, rule: RuleSettings, login: str, *, renamed_from: str | None = None
) -> int:
    """Insert a rule or change the one of that name; returns its id. An audit row tells who changed what.

    Args:
        connection: of the task role.
        rule: what the rule is to be.
        login: who decided it.
        renamed_from: the name that the rule had until now.

    Raises:
        SettingError: a field is wrong; there is no such class or audience, or the target is not active; no
            account can meet the conditions, unless the rule is only switched off; another rule always comes
            first; it makes a loop with others; there is no rule to rename, or its new name is taken.
    """
    old_name = rule.name if renamed_from is None else renamed_from
    check_text("name", rule.name)
    check_range("priority", rule.priority, 1, 999)
    if rule.source == rule.target:
        raise SettingError(
            "target", rule.target, f"rule {rule.name!r} leads to the class that it starts from"
        )
    conditions = parse_filter(rule.conditions, field="conditions")
    with connection.transaction(), connection.cursor(row_factory=dict_row) as cursor:
        cursor.execute(statement("class_rules/lock_rules"))
        classes = _classes(connection)
        source = _find_class(classes, "source", rule.source) if rule.source is not None else None
        target = _find_class(classes, "target", rule.target)
        audience = load_audience(connection, rule.audience) if rule.audience is not None else None
        _check_class_names(conditions, classes, "conditions")

        stored_problems = _problems(connection)
        before = cursor.execute(statement("class_rules/get_rule"), {"name": old_name}).fetchone()
        # A rule that others have made impossible stops the runs until it is switched off.
        if rule.active or before is None or not before["active"]:
            alone = Rule(0, rule.name, rule.source, None, rule.target, target["id"], conditions, audience)
            for problem in check_alone(alone):
                raise problem.error
        if old_name != rule.name:
            if before is None:
                raise SettingError("renamed_from", old_name, "there is no rule of that name")
            if cursor.execute(statement("class_rules/get_rule"), {"name": rule.name}).fetchone():
                raise SettingError("name", rule.name, "another rule has that name")
            cursor.execute(statement("class_rules/rename_rule"), {"old_name": old_name, "name": rule.name})
        values = {
            "name": rule.name,
            "active": rule.active,
            "source_id": source and source["id"],
            "target_id": target["id"],
            "priority": rule.priority,
            "conditions": Jsonb(conditions.as_json()),
            "audience_id": audience and audience.id,
            "login": login,
        }
        cursor.execute(statement("class_rules/save_rule"), values)
        _refuse_new(connection, stored_problems, {rule.name})
        (saved,) = cursor.execute(statement("class_rules/get_rule"), {"name": rule.name}).fetchall()
        record_audit(connection, login, "save_rule", {"class_rule": rule.name}, changes(before, saved))
    return int(saved["id"])


def delete_rule(connection: psycopg.Connection, name: str, login: str) -> None:
    """Delete a rule; the history of what it did stays. An audit row keeps what it was.

    Raises:
        SettingError: there is no rule of that name, or it kept others from making a loop.
    """
    with connection.transaction(), connection.cursor(row_factory=dict_row) as cursor:
        cursor.execute(statement("class_rules/lock_rules"))
        stored_problems = _problems(connection)
        deleted = cursor.execute(statement("class_rules/get_rule"), {"name": name}).fetchone()
        if deleted is None:
            raise SettingError("rule", name, "there is no rule of that name")
        cursor.execute(statement("class_rules/delete_rule"), {"name": name})
        _refuse_new(connection, stored_problems, set())
        record_audit(connection, login, "delete_rule", {"class_rule": name}, {"deleted": deleted})


def save_class(
    connection: psycopg.Connection,
    name: str,
    login: str,
    *,
    active: bool = True,
    renamed_from: str | None = None,
) -> int:
    """Insert a class or change the one of that name; returns its id. An audit row tells who changed what.

    A class that is not active keeps its accounts, and is no target of rules.

    Raises:
        SettingError: the name is blank or taken; there is no class to rename; active rules lead to a class
            that is to be inactive; a rule or an audience asks by name for a class that is to be renamed.
    """
    old_name = name if renamed_from is None else renamed_from
    check_text("name", name)
    with connection.transaction(), connection.cursor(row_factory=dict_row) as cursor:
        cursor.execute(statement("class_rules/lock_rules"))
        classes = _classes(connection)
        stored_problems = _problems(connection)
        if old_name != name:
            _find_class(classes, "renamed_from", old_name)
            if name in classes:
                raise SettingError("name", name, "another class has that name")
            if users := _who_asks_for(connection, old_name):
                raise SettingError(
                    "name", name, f"{', '.join(users)} asks for class {old_name!r} by name; change that first"
                )
            cursor.execute(statement("class_rules/rename_class"), {"old_name": old_name, "name": name})
        values = {"name": name, "active": active}
        (saved,) = cursor.execute(statement("class_rules/save_class"), values).fetchall()
        _refuse_new(connection, stored_problems, set())
        before = classes.get(old_name)
        record_audit(connection, login, "save_class", {"account_class": name}, changes(before, saved))
    return int(saved["id"])


@contextmanager
def no_new_problems(connection: psycopg.Connection) -> Iterator[None]:
    """Refuse, at its end, a change of what rules refer to that made rules wrong; in the caller's transaction.

    Raises:
        SettingError: names the rules; what was wrong before is not of this change's making.
    """
    connection.execute(statement("class_rules/lock_rules"))
    stored_problems = _problems(connection)
    yield
    _refuse_new(connection, stored_problems, set())


def _read(connection: psycopg.Connection) -> tuple[list[Rule], list[Problem]]:
    """The active rules that can be read, and what is wrong with those that cannot."""
    classes = _classes(connection)
    rules, problems = [], []
    for row in _rows(connection, "list_rules"):
        if not row["active"]:
            continue
        try:
            rules.append(_rule(row, classes))
        except SettingError as error:
            problems.append(Problem(frozenset([row["name"]]), error))
    return rules, problems


def _problems(connection: psycopg.Connection) -> list[Problem]:
    """What is wrong with the active rules, and between them."""
    rules, problems = _read(connection)
    return [*problems, *find_problems(rules)]


def _refuse_new(connection: psycopg.Connection, known: Iterable[Problem], saved: set[str]) -> None:
    """Refuse what a change made wrong; what was wrong with other rules before is not of its making."""
    told = {str(problem) for problem in known}
    for problem in _problems(connection):
        if problem.rules & saved or str(problem) not in told:
            raise problem.error


def _rule(row: dict[str, Any], classes: dict[str, dict[str, Any]]) -> Rule:
    field = f"class rule {row['name']!r}"
    if row["source_id"] == row["target_id"]:
        raise SettingError(f"{field}, target", row["target_name"], "leads to the class that it starts from")
    if not row["target_active"]:
        raise SettingError(f"{field}, target", row["target_name"], "this class is not active")
    conditions = parse_filter(row["conditions"], field=f"{field}, conditions")
    _check_class_names(conditions, classes, f"{field}, conditions")
    audience = None
    if row["audience_id"] is not None:
        audience = _audience(row["audience_id"], row["audience_name"], row["audience_filter"])
    return Rule(
        id=row["id"],
        name=row["name"],
        source=row["source_name"],
        source_id=row["source_id"],
        target=row["target_name"],
        target_id=row["target_id"],
        conditions=conditions,
        audience=audience,
    )


def _audience(key: int, name: str, document: object) -> Audience:
    parsed = None if document is None else parse_filter(document, field=f"audience {name}, filter")
    return Audience(key, name, parsed)


def _classes(connection: psycopg.Connection) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in _rows(connection, "list_classes")}


def _find_class(classes: dict[str, dict[str, Any]], field: str, name: str) -> dict[str, Any]:
    if name not in classes:
        raise SettingError(field, name, f"there is no such class; there are: {', '.join(classes) or 'none'}")
    return classes[name]


def _class_names(filter: Filter) -> set[str]:
    """The classes that a filter names whole."""
    return {
        str(value)
        for one in filter.conditions()
        if one.field == "class" and one.op != "contains"
        for value in one.values()
    }


def _check_class_names(conditions: Filter, classes: Iterable[str], field: str) -> None:
    for name in sorted(_class_names(conditions) - set(classes)):
        raise SettingError(field, name, "there is no such class")


def _who_asks_for(connection: psycopg.Connection, name: str) -> list[str]:
    """The rules and audiences whose filters name a class."""
    users = []
    for kind, listing, column in (
        ("rule", "list_rules", "conditions"),
        ("audience", "list_filter_audiences", "filter"),
    ):
        for row in _rows(connection, listing):
            if name in _class_names(parse_filter(row[column], field=f"{kind} {row['name']!r}")):
                users.append(f"{kind} {row['name']!r}")
    return users


def _rows(connection: psycopg.Connection, name: str) -> list[dict[str, Any]]:
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(statement(f"class_rules/{name}")).fetchall()
