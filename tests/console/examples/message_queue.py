"""The message queue."""

from __future__ import annotations

import psycopg
from fastapi.testclient import TestClient

from tests.console.examples import Example
from tests.messaging.queue_data import add_gateway, add_message

PARAMETERS = {"message_id": "1"}
QUERIES = {"/queue": "status=waiting&order=line"}


def queue(owner: psycopg.Connection, _: TestClient) -> None:
    """A message that waits."""
    add_message(owner, add_gateway(owner))


EXAMPLES = [
    Example("POST", "/queue/preview", json={"action": "cancel", "query": "gateway=opa"}, prepare=queue),
    Example(
        "POST",
        "/queue/apply",
        json={"action": "cancel", "query": "gateway=opa"},
        prepare=queue,
        action="cancel",
    ),
]
