"""The gateways."""

from __future__ import annotations

import psycopg
from fastapi.testclient import TestClient

from tests.console.examples import Example
from tests.messaging.queue_data import add_gateway

PARAMETERS = {"gateway": "opa"}


def gateway(owner: psycopg.Connection, _: TestClient) -> None:
    """One that is open."""
    add_gateway(owner)


EXAMPLES = [
    Example(
        "POST",
        "/gateways/{gateway}/pause",
        {"gateway": "opa"},
        json={"reason": "token"},
        prepare=gateway,
        action="pause",
    ),
    Example(
        "POST", "/gateways/{gateway}/resume", {"gateway": "opa"}, json={}, prepare=gateway, action="resume"
    ),
]
