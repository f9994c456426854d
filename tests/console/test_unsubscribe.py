"""The page of unsubscribe links, over HTTP into a real PostgreSQL."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest
from cryptography.fernet import Fernet
from fastapi import FastAPI
from fastapi.testclient import TestClient
from httpx import Response

from rotina.console import create_app, unsubscribe
from rotina.messaging.unsubscribe import unsubscribe_url

BASE = "http://127.0.0.1"
KEY = Fernet.generate_key().decode()
ADDRESS = "ana.souza@example.com"
ONE_CLICK = {"List-Unsubscribe": "One-Click"}


@pytest.fixture
def client(task_uri: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    """The application mounted as Airflow does it."""
    parts = urlsplit(task_uri)
    erp = {
        "conn_type": "postgres",
        "host": parse_qs(parts.query)["host"][0],
        "login": parts.username,
        "schema": parts.path.removeprefix("/"),
    }
    monkeypatch.setenv("AIRFLOW_CONN_ERP_DB", json.dumps(erp))
    monkeypatch.setenv("AIRFLOW_CONN_UNSUBSCRIBE", json.dumps({"conn_type": "generic", "password": KEY}))
    app = FastAPI()
    app.mount("/rotina", create_app())
    with TestClient(app) as client:
        yield client


def path(address: str = ADDRESS) -> str:
    return unsubscribe_url(BASE, [KEY], address).removeprefix(BASE)


def suppressed(owner: psycopg.Connection) -> list[tuple[Any, ...]]:
    return owner.execute("select channel, address, reason, source from crm.suppression").fetchall()


def check_headers(reply: Response) -> None:
    assert reply.headers["cache-control"] == "no-store"
    assert reply.headers["x-robots-tag"].startswith("noindex")
    assert reply.headers["referrer-policy"] == "no-referrer"
    assert "default-src 'none'" in reply.headers["content-security-policy"]
    assert reply.headers["content-type"] == "text/html; charset=utf-8"
    assert "set-cookie" not in reply.headers


def test_opening_the_link_only_asks(client: TestClient, owner: psycopg.Connection) -> None:
    for reply in (client.get(path()), client.head(path())):
        assert reply.status_code == 200
        check_headers(reply)
    page = client.get(path()).text
    assert '<form method="post">' in page
    assert "a…@example.com" in page
    assert ADDRESS not in page
    assert suppressed(owner) == []


@pytest.mark.parametrize(
    "body",
    [
        {"data": ONE_CLICK},  # as mail programs send it, in both forms of RFC 8058
        {"files": {name: (None, value) for name, value in ONE_CLICK.items()}},
        {},  # as the page's own button
    ],
)
def test_a_post_unsubscribes_at_once_and_again_does_no_harm(
    client: TestClient, owner: psycopg.Connection, body: dict[str, Any]
) -> None:
    link = path("Ana.Souza@example.com")
    for _ in range(2):
        reply = client.post(link, follow_redirects=False, **body)
        assert reply.status_code == 200
        check_headers(reply)
        assert "<form" not in reply.text
    assert suppressed(owner) == [("email", ADDRESS, "opted_out", "unsubscribe")]


def test_who_clicks_needs_no_login_and_sends_no_cookie(client: TestClient, owner: psycopg.Connection) -> None:
    reply = client.post(
        path(), headers={"Origin": "https://mail.example.com", "Sec-Fetch-Site": "cross-site"}
    )
    assert reply.status_code == 200
    assert len(suppressed(owner)) == 1


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    "token",
    ["x", "gAAAAAB%3Cscript%3Ealert(1)%3E", "%00", "a" * 5000, "%C3%A1"],
    ids=["short", "script", "null", "long", "accent"],
)
def test_a_broken_link_gets_a_page_that_says_so(
    client: TestClient, owner: psycopg.Connection, method: str, token: str
) -> None:
    reply = client.request(method, f"/rotina/unsubscribe/{token}")
    assert reply.status_code == 404
    check_headers(reply)
    assert "Este link não é válido" in reply.text
    assert "<script>" not in reply.text
    assert suppressed(owner) == []


def test_an_address_with_html_in_it_is_escaped(client: TestClient) -> None:
    reply = client.get(path("<i>@<b>x</b>.com"))
    assert "&lt;…@&lt;b&gt;x&lt;/b&gt;.com" in reply.text
    assert "<b>" not in reply.text


def test_another_method_is_refused(client: TestClient) -> None:
    assert client.delete(path()).status_code == 401  # nothing of ours without a login


def test_the_address_is_in_no_log(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    link = path()
    with caplog.at_level(logging.DEBUG, logger="rotina"):
        client.post(link)
        client.post("/rotina/unsubscribe/x")
    assert "Unsubscribed an address" in caplog.text
    assert "example.com" not in caplog.text
    assert link.rpartition("/")[2] not in caplog.text


def test_without_a_key_or_a_database_it_asks_to_try_again(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    link = path()
    away = {"conn_type": "postgres", "host": str(tmp_path), "login": "rotina_task", "schema": "rotina"}
    monkeypatch.setenv("AIRFLOW_CONN_ERP_DB", json.dumps(away))
    assert client.get(link).status_code == 200  # needs no database
    replies = [client.post(link)]
    monkeypatch.delenv("AIRFLOW_CONN_UNSUBSCRIBE")
    replies.append(client.get(link))
    for reply in replies:
        assert reply.status_code == 503
        check_headers(reply)


def test_nothing_waits_in_the_event_loop(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    threads = []
    for name in ("load_unsubscribe_settings", "unsubscribe"):
        usual = getattr(unsubscribe, name)

        def noted(*arguments: Any, usual: Any = usual) -> Any:
            threads.append(threading.current_thread().name)
            return usual(*arguments)

        monkeypatch.setattr(unsubscribe, name, noted)
    assert client.post(path()).status_code == 200
    assert len(threads) == 2
    assert all("AnyIO worker" in name for name in threads)
