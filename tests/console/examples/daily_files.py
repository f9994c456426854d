"""The daily files."""

from __future__ import annotations

import psycopg
from fastapi.testclient import TestClient

from tests.console.examples import Example
from tests.files.monitor_data import set_up_batch

PARAMETERS = {"business_date": "2026-11-20", "sequence": "1", "part": "orders"}
QUERIES = {"/files": "month=2026-11", "/files/backfill": "from_on=2026-11-20&to_on=2026-11-20"}


def batch(owner: psycopg.Connection, _: TestClient) -> None:
    """A batch that is expected since 1 March 2024."""
    set_up_batch(owner, "2024-03-01")


EXAMPLES = [
    Example(
        "POST",
        "/files/backfill",
        json={"from_on": "2024-03-01", "to_on": "2024-03-02"},
        prepare=batch,
        action="ask_for_backfill",
    ),
    Example(
        "POST",
        "/file-settings/save",
        json={
            "instance_id": "LOJA-1",
            "first_business_date": "2026-11-20",
            "due_at": "09:00",
            "connection_id": "daily_files",
            "acknowledge_within_hours": 4,
            "active": True,
        },
        action="save_daily_file_settings",
    ),
]
