"""Benchmarks of the console: the grid of the message queue with five million messages."""

from __future__ import annotations

import json
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psycopg
from fastapi import FastAPI
from fastapi.testclient import TestClient
from psycopg.types.json import Jsonb

from benchmarks.harness import Result, Sizes, benchmark, database, timed

#: Messages of the queue that the others are compared with.
FEW = 5_000
ROUNDS = 15
LIMIT_SECONDS = 0.3

#: What people look at; each also from its second page on where there is one.
PAGES = (
    "",
    "status=waiting",
    "status=waiting&order=line",
    "status=failed",
    "status=sent",
    "status=cancelled&gateway=bench",
    "status=failed&status=unknown&status=held",
    "gateway=bench",
    "gateway=bench&from={day}&to={day}",
    "from={day}&to={day}",
    "reason=rejected",
    "status=failed&error=account",
    "below={middle}",
    "status=sent&below={middle}",
    "q={middle}",
    "q=%2B5511900000042",
    "q=42",
)

_SQL = Path(__file__).parent / "sql"


@benchmark
def console(sizes: Sizes) -> list[Result]:
    """p95 of a page of the message queue, with many messages and with few; the whole request is measured."""
    found: dict[int, list[float]] = {}
    with database() as uri, _console(uri) as client:
        for messages in (FEW, sizes.old_messages):
            middle, day = _fill(uri, messages)
            addresses = [page.format(middle=middle, day=day) for page in PAGES]
            for address in addresses:  # the first look of each reads from disk
                _seconds(client, address)
            found[messages] = sorted(_seconds(client, one) for _ in range(ROUNDS) for one in addresses)
            print(f"    {messages:,} messages: median {statistics.median(found[messages]):.3f} s", flush=True)
            slowest = {one: max(_seconds(client, one) for _ in range(3)) for one in addresses}
            for address in sorted(slowest, key=lambda one: -slowest[one])[:3]:
                print(f"        {slowest[address]:.3f} s {address or 'all'}", flush=True)
    p95 = {messages: seconds[int(len(seconds) * 0.95)] for messages, seconds in found.items()}
    many = p95[sizes.old_messages]
    return [
        Result("console.queue_p95", many, "s", "of 5,000 messages", p95[FEW], "<= 2"),
        Result("console.queue_p95_limit", many, "s", "limit", LIMIT_SECONDS, "<= 1"),
    ]


def _seconds(client: TestClient, address: str) -> float:
    began = time.perf_counter()
    reply = client.get(f"/rotina/queue?{address}")
    seconds = time.perf_counter() - began
    assert reply.status_code == 200, (address, reply.text)
    return seconds


def _fill(uri: str, messages: int) -> tuple[int, Any]:
    """So many messages, one of a hundred waiting; returns a number and a day in the middle of them."""
    with (
        timed(f"{messages:,} messages"),
        psycopg.connect(uri, autocommit=True, cursor_factory=psycopg.ClientCursor) as connection,
    ):
        connection.execute("truncate crm.message, crm.message_attempt restart identity")
        connection.execute(
            "insert into crm.gateway (id, code, name, kind, connection_id) overriding system value "
            "values (1, 'bench', 'bench', 'opa_suite', 'bench'), (2, 'mail', 'mail', 'smtp', 'bench') "
            "on conflict do nothing"
        )
        payload = Jsonb({"template": "t", "variables": ["Ana", "129,90", "20/11/2026"]})
        waiting = messages // 100
        values = {"gateway_id": 1, "payload": payload}
        _execute(connection, "add_sent_messages", **values, number=messages - waiting)
        _execute(connection, "spread_statuses")
        _execute(connection, "add_messages", **values, address="+5511%s", number=waiting)
        connection.execute("vacuum analyze crm.message, crm.message_attempt")
        row = connection.execute(
            "select id, created_at::date from crm.message where id >= %s order by id limit 1", [messages // 2]
        ).fetchone()
    assert row is not None
    return row[0], row[1]


def _execute(connection: psycopg.Connection, name: str, **values: Any) -> None:
    connection.execute((_SQL / f"{name}.sql").read_text(encoding="utf-8"), values)


@contextmanager
def _console(uri: str) -> Iterator[TestClient]:
    """The console behind Airflow's login, as a viewer."""
    parts = urlsplit(uri)
    erp = {
        "conn_type": "postgres",
        "host": parse_qs(parts.query)["host"][0],
        "login": parts.username,
        "schema": parts.path.removeprefix("/"),
    }
    with tempfile.TemporaryDirectory(prefix="rotina-bench-") as home:
        os.environ |= {
            "AIRFLOW_CONN_ERP_DB": json.dumps(erp),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
            "AIRFLOW__API_AUTH__JWT_SECRET": "a-secret-of-the-benchmarks-" * 4,
            "AIRFLOW__API__SECRET_KEY": "another-secret-of-the-benchmarks",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": f"{home}/passwords.json",
        }
        from airflow import settings
        from airflow.api_fastapi.app import init_auth_manager
        from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
        from airflow.models.revoked_token import RevokedToken

        from rotina.console import create_app

        settings.configure_vars()
        settings.configure_orm()
        RevokedToken.metadata.create_all(settings.engine, tables=[RevokedToken.__table__])
        manager = init_auth_manager()
        app = FastAPI()
        console = create_app()
        app.mount("/rotina", console)
        client = TestClient(app, headers={"Accept": "text/html"})
        client.cookies.set(
            "_token", manager.generate_jwt(SimpleAuthManagerUser(username="viewer", role="viewer"))
        )
        try:
            yield client
        finally:
            console.state.console.database.dispose()
