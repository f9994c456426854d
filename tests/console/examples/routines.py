"""The screen of the routines."""

from __future__ import annotations

import datetime as dt

import psycopg
from fastapi.testclient import TestClient

from tests.console.examples import Example

PARAMETERS = {"routine": "class_transition", "dag_run_id": "nothing"}

LATER = (dt.datetime.now(dt.UTC) + dt.timedelta(days=2)).date().isoformat()

WAITING = "asked__later"


def wait(_: psycopg.Connection, airflow: TestClient) -> None:
    """A run that waits for its hour."""
    body = {"logical_date": None, "run_after": f"{LATER}T12:30:00Z", "dag_run_id": WAITING}
    assert airflow.post("/api/v2/dags/class_transition/dagRuns", json=body).status_code == 200


EXAMPLES = [
    Example(
        "POST",
        "/routines/{routine}/requests",
        {"routine": "class_transition"},
        json={"date": LATER, "hour": "09:30", "params": {"dry_run": True}},
        action="ask_for_run",
    ),
    Example(
        "POST",
        "/routines/{routine}/backfills",
        {"routine": "class_transition"},
        json={"first_on": "2026-11-16", "last_on": "2026-11-18"},
        action="ask_for_backfill",
    ),
    Example(
        "POST",
        "/routines/{routine}/requests/{dag_run_id}/cancel",
        {"routine": "class_transition", "dag_run_id": WAITING},
        prepare=wait,
        action="cancel_run",
    ),
    Example(
        "POST",
        "/routines/{routine}/preview",
        {"routine": "class_transition"},
        json={},
    ),
]
