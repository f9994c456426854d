"""Requests of the customers screen."""

from __future__ import annotations

import psycopg
from fastapi.testclient import TestClient

from tests.console.examples import Example

ADDRESS = {"channel": "email", "address": "ana@example.com"}


def suppressed(owner: psycopg.Connection, _: TestClient) -> None:
    """An address that gets no messages."""
    owner.execute("insert into crm.suppression values ('email', 'ana@example.com', 'pediu', 'ana')")


EXAMPLES = [
    Example("POST", "/customers/opt-out", json={**ADDRESS, "reason": "pediu"}, action="suppress"),
    Example("POST", "/customers/opt-in", json=ADDRESS, prepare=suppressed, action="unsuppress"),
]

QUERIES = {"/customers": "q=alert"}
