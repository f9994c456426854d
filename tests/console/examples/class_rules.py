"""Requests of the class rules."""

from __future__ import annotations

import psycopg
from fastapi.testclient import TestClient

from tests.console.examples import Example

CONDITIONS = '{"field": "name", "op": "contains", "value": "Ana"}'
RULE = {"name": "Regra", "priority": "10", "target": "Ouro", "conditions": CONDITIONS, "active": "on"}


def classes(owner: psycopg.Connection, _: TestClient) -> None:
    """Classes of accounts."""
    owner.execute("insert into crm.account_class (id, name) values (1, 'Ouro'), (2, 'Prata')")


def rule(owner: psycopg.Connection, airflow: TestClient) -> None:
    """A class rule."""
    classes(owner, airflow)
    owner.execute(
        "insert into crm.class_rule (id, name, target_class_id, priority, conditions, updated_by) "
        "values (1, 'Regra', 1, 10, %s, 'ana')",
        [CONDITIONS],
    )


EXAMPLES = [
    Example("POST", "/account-class/create", form={"name": "Ouro", "active": "on"}, action="save_class"),
    Example(
        "POST",
        "/account-class/edit",
        query={"pk": "1"},
        form={"name": "Diamante", "active": "on"},
        prepare=classes,
        action="save_class",
    ),
    Example("POST", "/class-rule/create", form=RULE, prepare=classes, action="save_rule"),
    Example(
        "POST",
        "/class-rule/edit",
        query={"pk": "1"},
        form={**RULE, "name": "Outra"},
        prepare=rule,
        action="save_rule",
    ),
    Example(
        "POST",
        "/_api/class-rule/action",
        query={"name": "delete", "pks": "1"},
        form={},
        prepare=rule,
        action="delete_rule",
    ),
    Example(
        "POST",
        "/_api/class-rule/row-action",
        query={"name": "delete", "pk": "1"},
        form={},
        prepare=rule,
        action="delete_rule",
    ),
    Example(
        "POST",
        "/class-preview/rule",
        json={"form": {"priority": 5, "target": "Prata", "conditions": CONDITIONS}, "pk": "1"},
        prepare=rule,
    ),
]
