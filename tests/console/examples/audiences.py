"""Requests of the audiences."""

from __future__ import annotations

import psycopg
from fastapi.testclient import TestClient

from tests.console.examples import Example

FILTER = '{"field": "name", "op": "contains", "value": "Ana"}'


def audience(owner: psycopg.Connection, _: TestClient) -> None:
    """An audience by filter."""
    owner.execute("insert into crm.audience (id, name, filter) values (1, 'Anas', %s)", [FILTER])


EXAMPLES = [
    Example("POST", "/audience/create", form={"name": "Anas", "filter": FILTER}, action="save_audience"),
    Example(
        "POST",
        "/audience/edit",
        query={"pk": "1"},
        form={"filter": FILTER.replace("Ana", "Bia")},
        prepare=audience,
        action="save_audience",
    ),
    Example(
        "POST",
        "/_api/audience/action",
        query={"name": "delete", "pks": "1"},
        form={},
        prepare=audience,
        action="delete_audience",
    ),
    Example(
        "POST",
        "/_api/audience/row-action",
        query={"name": "delete", "pk": "1"},
        form={},
        prepare=audience,
        action="delete_audience",
    ),
    Example("POST", "/audience-preview", json={"form": {"filter": FILTER}}),
]
