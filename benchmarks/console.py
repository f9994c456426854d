"""Benchmarks of the console: the grid of the message queue with five million messages."""

from __future__ import annotations

import json
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psycopg
import requests
import uvicorn
from fastapi import FastAPI
from psycopg.types.json import Jsonb

from benchmarks.harness import Result, Sizes, benchmark, database, timed

#: Messages of the queue that the others are compared with.
FEW = 5_000
ROUNDS = 40
LIMIT_SECONDS = 0.3

#: What people look at: the first page, filters, the line, the middle of it all, searches.
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
    "origin=billing_messages",
    "priority=5&status=waiting",
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
    """p95 of a page of the message queue with many messages and with few, from the request to its last byte.

    That of all pages and that of the slowest one; and, with no goal, how long it takes to count what an
    action on all that wait would change.
    """
    found: dict[int, _Found] = {}
    with database() as uri, _console(uri) as browser:
        for messages in (FEW, sizes.old_messages):
            middle, day = _fill(uri, messages)
            addresses = [page.format(middle=middle, day=day) for page in PAGES]
            for address in addresses:  # the first look of each reads from disk
                browser.page(address)
            pages: dict[str, list[float]] = {address: [] for address in addresses}
            for _ in range(ROUNDS):
                for address in addresses:
                    pages[address].append(browser.page(address))
            counts = [browser.count() for _ in range(5)]
            found[messages] = _Found(pages, statistics.median(counts))
            print(f"    {messages:,} messages: median {found[messages].median:.3f} s", flush=True)
            for address in sorted(pages, key=lambda one: -_p95(pages[one]))[:3]:
                print(f"        p95 {_p95(pages[address]):.3f} s {address or 'all'}", flush=True)
    few, many = found[FEW], found[sizes.old_messages]
    return [
        Result("console.queue_p95", many.p95, "s", "of 5,000 messages", few.p95, "<= 2"),
        Result("console.queue_p95_limit", many.p95, "s", "limit", LIMIT_SECONDS, "<= 1"),
        Result("console.queue_slowest_page_p95", many.slowest, "s", "limit", LIMIT_SECONDS, "<= 1"),
        Result("console.queue_count", many.count, "s", "of 5,000 messages", few.count, None),
    ]


@dataclass(frozen=True)
class _Found:
    """What was measured with so many messages, in seconds."""

    pages: dict[str, list[float]]
    count: float

    @property
    def _all(self) -> list[float]:
        return [seconds for one in self.pages.values() for seconds in one]

    @property
    def median(self) -> float:
        return statistics.median(self._all)

    @property
    def p95(self) -> float:
        return _p95(self._all)

    @property
    def slowest(self) -> float:
        """p95 of the slowest page."""
        return max(map(_p95, self.pages.values()))


def _p95(seconds: list[float]) -> float:
    return sorted(seconds)[int(len(seconds) * 0.95)]


class _Browser:
    """A person who is logged in, and may act on the queue."""

    def __init__(self, site: str, token: str) -> None:
        self._queue = f"{site}/rotina/queue"
        self._session = requests.Session()
        self._session.trust_env = False  # no proxy between us and loopback
        self._session.headers.update({"Accept": "text/html", "Origin": site})
        self._session.cookies.set("_token", token)

    def page(self, query: str) -> float:
        """Seconds until the whole of a page is there."""
        began = time.perf_counter()
        reply = self._session.get(f"{self._queue}?{query}", timeout=60)
        seconds = time.perf_counter() - began
        assert reply.status_code == 200, (query, reply.text)
        return seconds

    def count(self) -> float:
        """Seconds until it is counted how many messages would be cancelled."""
        headers = {"X-CSRFToken": self._session.cookies["starlette_admin_csrftoken"]}
        body = {"action": "cancel", "query": "gateway=bench"}
        began = time.perf_counter()
        reply = self._session.post(f"{self._queue}/preview", json=body, headers=headers, timeout=600)
        seconds = time.perf_counter() - began
        assert reply.status_code == 200, reply.text
        assert reply.json()["records"] > 0
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
def _console(uri: str) -> Iterator[_Browser]:
    """The console behind Airflow's login, on a port of its own, and somebody who is logged in."""
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
        token = manager.generate_jwt(SimpleAuthManagerUser(username="user", role="user"))
        server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))
        thread = threading.Thread(target=server.run)
        thread.start()
        try:
            while not server.started:
                assert thread.is_alive(), "the server did not come up"
                time.sleep(0.01)
            port = server.servers[0].sockets[0].getsockname()[1]
            yield _Browser(f"http://127.0.0.1:{port}", token)
        finally:
            server.should_exit = True
            thread.join()
            console.state.console.database.dispose()
