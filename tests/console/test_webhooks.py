"""Webhooks: who may tell, in which forms, and what is refused; over HTTP into a real PostgreSQL."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import logging
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest
from airflow import plugins_manager
from fastapi import FastAPI
from fastapi.testclient import TestClient
from httpx import ASGITransport, AsyncClient, Response

from rotina.console import create_app, webhooks
from rotina.console.webhooks import MOST_BYTES
from rotina.local.environment import load_secrets
from rotina.messaging.gateways import Gateway
from tests.messaging.queue_data import add_gateway, add_message, messages

PLUGINS = Path(__file__).parents[2] / "plugins"

SECRET = "segredo-do-webhook"
AT = "2026-11-20T12:00:00-03:00"
NOON = dt.datetime.fromisoformat(AT)


def opa(status: str = "entregue", key: str = "gw-1", **data: Any) -> dict[str, Any]:
    return {
        "event": "message.status",
        "data": {"messageSentId": key, "status": status, "timestamp": AT, **data},
    }


def plain(status: str = "delivered", key: str = "gw-1", **more: Any) -> dict[str, Any]:
    return {"id": key, "status": status, "at": AT, **more}


@pytest.fixture
def gateways(owner: psycopg.Connection) -> dict[str, int]:
    """A gateway of each kind whose webhook has a secret, and one without."""
    return {
        "opa": add_gateway(owner, "opa", connection_id="opa"),
        "json": add_gateway(owner, "json", kind="http_json", connection_id="json"),
        "mail": add_gateway(owner, "mail", kind="smtp", connection_id="mail"),
        "mute": add_gateway(owner, "mute", connection_id="mute"),
        "blank": add_gateway(owner, "blank", connection_id="blank"),
    }


@pytest.fixture
def client(task_uri: str, gateways: dict[str, int], monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    """The application mounted as Airflow does it."""
    parts = urlsplit(task_uri)
    erp = {
        "conn_type": "postgres",
        "host": parse_qs(parts.query)["host"][0],
        "login": parts.username,
        "schema": parts.path.removeprefix("/"),
    }
    monkeypatch.setenv("AIRFLOW_CONN_ERP_DB", json.dumps(erp))
    for code in ("opa", "json", "mail"):
        secret = json.dumps({"conn_type": "http", "password": f"{SECRET}-{code}"})
        monkeypatch.setenv(f"AIRFLOW_CONN_{code.upper()}_WEBHOOK", secret)
    monkeypatch.setenv("AIRFLOW_CONN_BLANK_WEBHOOK", json.dumps({"conn_type": "http", "password": ""}))
    app = FastAPI()
    app.mount("/rotina", create_app())
    with TestClient(app) as client:
        yield client


def tell(client: TestClient, code: str, body: Any, secret: str | None = None) -> Response:
    """Tell events as the gateway does that knows its secret, unless another is given."""
    headers = {"Authorization": f"Bearer {secret or f'{SECRET}-{code}'}"}
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    reply: Response = client.post(f"/rotina/webhooks/{code}", content=content, headers=headers)
    return reply


def post(client: TestClient, body: AsyncIterator[bytes]) -> Response:
    """Tell a body that is sent piece by piece while the application reads it."""

    async def send() -> Response:
        headers = {"Authorization": f"Bearer {SECRET}-json"}
        async with AsyncClient(transport=ASGITransport(client.app), base_url="http://test") as sender:
            return await sender.post("/rotina/webhooks/json", content=body, headers=headers)

    return asyncio.run(send())


def answer(**counts: int) -> dict[str, int]:
    return {"new": 0, "repeated": 0, "unmatched": 0, "ignored": 0, **counts}


def events(owner: psycopg.Connection) -> list[tuple[Any, ...]]:
    return owner.execute("select gateway_message_id, status from crm.delivery_event order by 1, 2").fetchall()


# -- the forms ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ("enviado", "sent"),
        ("Entregue", "delivered"),
        ("LIDO", "read"),
        ("erro", "failed"),
        ("não entregue", "failed"),
    ],
)
def test_opa_suite_tells_with_our_key_in_its_metadata(
    client: TestClient, owner: psycopg.Connection, gateways: dict[str, int], said: str, status: str
) -> None:
    number = add_message(owner, gateways["opa"], status="unknown", tries=2)
    metadata = {"rotina_message": number, "rotina_attempt": 2, "other": [1]}
    reply = tell(client, "opa", opa(said, metadata=metadata, error="sem WhatsApp"))
    assert (reply.status_code, reply.json()) == (200, answer(new=1))
    (row,) = messages(owner)
    assert (row["status"], row["delivery_status"], row["gateway_message_id"]) == ("sent", status, "gw-1")
    assert row["delivery_error"] == ("sem WhatsApp" if status == "failed" else None)
    assert row["sent_at"] == NOON


@pytest.mark.parametrize("code", ["json", "mail"])
def test_the_plain_form_tells_with_the_dedupe_key(
    client: TestClient, owner: psycopg.Connection, gateways: dict[str, int], code: str
) -> None:
    add_message(owner, gateways[code], status="unknown", dedupe_key="boleto:1")
    reply = tell(client, code, plain("read", reference="boleto:1", error=None, more="ignored"))
    assert reply.json() == answer(new=1)
    (row,) = messages(owner)
    assert (row["status"], row["delivery_status"], row["read_at"]) == ("sent", "read", NOON)


def test_a_list_of_events_and_keys_that_are_numbers(
    client: TestClient, owner: psycopg.Connection, gateways: dict[str, int]
) -> None:
    add_message(owner, gateways["json"], status="sent", gateway_message_id="42")
    body = [plain("sent", "42"), {**plain("delivered"), "id": 42}, plain("read", "43")]
    reply = tell(client, "json", [*body, body[0]])
    assert reply.json() == answer(new=3, repeated=1, unmatched=1)
    assert messages(owner)[0]["delivery_status"] == "delivered"
    assert tell(client, "json", []).json() == answer()


@pytest.mark.parametrize("at", [1795186800, 1795186800000, "1795186800", "2026-11-20T15:00:00Z"])
def test_instants_as_gateways_write_them(
    client: TestClient, owner: psycopg.Connection, gateways: dict[str, int], at: Any
) -> None:
    add_message(owner, gateways["json"], status="sent", gateway_message_id="gw-1")
    assert tell(client, "json", {**plain("read"), "at": at}).status_code == 200
    assert messages(owner)[0]["read_at"] == NOON


WRONG: list[tuple[str, Any, str]] = [
    ("opa", {"event": "message.status"}, "data"),
    ("opa", [opa(key="")], "0.data.messageSentId"),
    ("json", [1], "0"),
    ("json", b"[" * 100_000, "body"),
    ("json", b'{"id": ' + b"1" * 900_000 + b', "status": "sent"}', "body"),
    ("json", plain(key=" "), "id"),
    ("json", plain(key="a\0b"), "id"),
    ("json", plain(key="x" * 301), "id"),
    ("json", plain(reference="a\0b"), "reference"),
    ("json", {**plain(), "at": "2026-11-20T12:00:00"}, "at"),
    ("json", {**plain(), "at": "0001-01-01T00:00:00+14:00"}, "at"),
    ("json", {**plain(), "at": "ontem"}, "at"),
    ("json", {"status": "sent", "at": AT}, "id"),
    ("json", "x", "body"),
    ("json", b"{", "body"),
    ("json", b"", "body"),
    ("json", b'{"id": "\xff"}', "body"),
    ("json", rb'{"id": "\ud800", "status": "sent", "at": "2026-11-20T12:00:00Z"}', "body"),
]


FOREIGN: list[tuple[str, Any]] = [
    ("opa", opa("visto")),
    ("opa", {"event": "message.created", "data": {"text": "oi"}}),
    ("opa", [{"event": "chat.closed"}]),
    ("json", {**plain(), "status": "queued"}),
]


@pytest.mark.parametrize(("code", "body"), FOREIGN)
def test_what_is_not_for_us_is_ignored(
    client: TestClient, owner: psycopg.Connection, code: str, body: Any
) -> None:
    reply = tell(client, code, body)
    assert (reply.status_code, reply.json()) == (200, answer(ignored=1))
    assert events(owner) == []


@pytest.mark.parametrize(
    "metadata", [[1], "x", {"rotina_message": "x"}, {"rotina_message": 2**63}, {"rotina_attempt": 1}]
)
def test_metadata_of_another_system_does_not_spoil_an_event(
    client: TestClient, owner: psycopg.Connection, gateways: dict[str, int], metadata: Any
) -> None:
    add_message(owner, gateways["opa"], status="sent", gateway_message_id="gw-1")
    assert tell(client, "opa", opa("lido", metadata=metadata)).json() == answer(new=1)
    assert messages(owner)[0]["delivery_status"] == "read"


def test_the_good_events_of_a_body_are_recorded(client: TestClient, owner: psycopg.Connection) -> None:
    body = [opa(key="a"), opa("visto"), opa(key=""), 7, {"event": "chat.closed"}, opa("lido", key="b")]
    reply = tell(client, "opa", body)
    assert (reply.status_code, reply.json()) == (200, answer(new=2, unmatched=2, ignored=4))
    assert events(owner) == [("a", "delivered"), ("b", "read")]


def test_an_instant_in_the_future_becomes_now(client: TestClient, owner: psycopg.Connection) -> None:
    before = dt.datetime.now(dt.UTC)
    assert tell(client, "json", {**plain(), "at": "2099-01-01T00:00:00Z"}).status_code == 200
    row = owner.execute("select occurred_at from crm.delivery_event").fetchone()
    assert row is not None
    assert before <= row[0] <= dt.datetime.now(dt.UTC)


def test_a_body_of_too_many_events_is_refused_before_they_are_looked_at(
    client: TestClient, owner: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = 0

    def look(_: Any) -> None:
        nonlocal looked
        looked += 1
        pytest.fail("looked at")

    assert tell(client, "json", [plain()] * webhooks.MOST_EVENTS).json()["new"] == 1
    monkeypatch.setattr(webhooks._PlainEvent, "model_validate", look)
    assert tell(client, "json", b"[" + b"0," * 499_990 + b"0]").status_code == 413
    assert tell(client, "json", [plain()] * (webhooks.MOST_EVENTS + 1)).status_code == 413
    assert looked == 0


def test_a_wrong_body_is_refused_whole_and_names_the_field(
    client: TestClient, owner: psycopg.Connection
) -> None:
    for code, body, field in WRONG:
        reply = tell(client, code, body)
        assert reply.status_code == 422, body
        assert [problem["field"] for problem in reply.json()["detail"]] == [field], body
    assert events(owner) == []


def test_an_error_text_may_hold_anything(client: TestClient, owner: psycopg.Connection) -> None:
    assert tell(client, "json", plain("failed", error="a\0b\n" + "x" * 5_000)).status_code == 200
    row = owner.execute("select left(error, 4), length(error) from crm.delivery_event").fetchone()
    assert row == ("ab x", 300)


def test_of_many_mistakes_some_are_told(client: TestClient) -> None:
    reply = tell(client, "json", [{**plain(), "at": "perdido"}] * 500)
    assert (reply.status_code, len(reply.json()["detail"])) == (422, 20)
    assert "perdido" not in reply.text


def test_a_long_body_is_not_read_to_its_end(client: TestClient, owner: psycopg.Connection) -> None:
    body = json.dumps(plain()).encode()
    assert tell(client, "json", body.ljust(MOST_BYTES)).status_code == 200
    assert tell(client, "json", body.ljust(MOST_BYTES + 1)).status_code == 413
    read = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        while read < 50 * MOST_BYTES:
            read += 100_000
            yield b" " * 100_000

    assert post(client, endless()).status_code == 413
    assert read < 2 * MOST_BYTES
    assert len(events(owner)) == 1


def test_no_session_is_held_while_a_caller_sends(client: TestClient, owner: psycopg.Connection) -> None:
    sessions = (
        "select from pg_stat_activity where datname = current_database() and usename = 'rotina_task' limit 1"
    )

    async def slow() -> AsyncIterator[bytes]:
        while owner.execute(sessions).fetchone():  # PostgreSQL takes a moment to end one
            await asyncio.sleep(0)
        yield json.dumps(plain()).encode()

    assert post(client, slow()).json() == answer(new=1, unmatched=1)


def test_a_caller_that_does_not_go_on_is_cut_off(
    client: TestClient, owner: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "BODY_SECONDS", 0.05)

    async def stuck() -> AsyncIterator[bytes]:
        yield b"["
        await asyncio.Event().wait()

    assert post(client, stuck()).status_code == 408
    assert events(owner) == []


def test_few_calls_work_at_a_time(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    record, together = webhooks._record, threading.Barrier(webhooks.WORKERS, timeout=30)
    lock, working, most = threading.Lock(), 0, 0

    def counted(gateway: Gateway, body: bytes) -> dict[str, int]:
        nonlocal working, most
        with lock:
            working += 1
            most = max(most, working)
        together.wait()
        done = record(gateway, body)
        with lock:
            working -= 1
        return done

    monkeypatch.setattr(webhooks, "_record", counted)
    with ThreadPoolExecutor(3 * webhooks.WORKERS) as pool:
        replies = list(pool.map(lambda n: tell(client, "json", plain(key=f"gw-{n}")), range(12)))
    assert [reply.status_code for reply in replies] == [200] * 12
    assert most == webhooks.WORKERS


# -- who may tell -------------------------------------------------------------------------------------------


AUTHORIZATIONS: list[str | bytes] = [
    "",
    "Bearer",
    "Bearer ",
    f"Bearer {SECRET}",
    f"Bearer {SECRET}-mail",
    f"Bearer {SECRET}-opa x",
    f"Basic {SECRET}-opa",
    f"{SECRET}-opa",
    "Bearer None",
    "Bearer ação".encode(),
]


@pytest.mark.parametrize("code", ["opa", "json", "none", "mute", "blank", "OPA", "%00", "opa%20", "ação"])
def test_without_the_secret_of_that_gateway_all_answers_are_the_same(
    client: TestClient, owner: psycopg.Connection, code: str
) -> None:
    for headers in [{}, *({"Authorization": given} for given in AUTHORIZATIONS)]:
        reply = client.post(f"/rotina/webhooks/{code}", content=b"{", headers=headers)
        assert (reply.status_code, reply.json()) == (401, {"detail": "not the secret of this gateway"}), (
            headers
        )
        assert reply.headers["WWW-Authenticate"] == "Bearer"
    assert events(owner) == []


def test_the_word_bearer_is_written_as_one_likes(client: TestClient) -> None:
    headers = {"Authorization": f"bearer  {SECRET}-json"}
    assert client.post("/rotina/webhooks/json", json=plain(), headers=headers).status_code == 200


def test_no_secret_and_nobody_s_address_in_the_log(
    client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        tell(client, "json", plain("failed", "id-do-gateway", error="para ana@example.com"))
        tell(client, "opa", plain())
        tell(client, "mute", opa(), secret="outro-segredo")
    assert "Webhook of gateway json: 1 events new" in caplog.text
    assert "no connection mute_webhook with a password" in caplog.text
    for private in (SECRET, "outro-segredo", "ana@", "id-do-gateway"):
        assert private not in caplog.text


@pytest.mark.parametrize("path", ["/rotina/", "/rotina/docs", "/rotina/openapi.json", "/rotina/webhooks"])
def test_nothing_else_is_open(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 401
    assert client.get("/rotina/webhooks/json").status_code == 401


# -- the plugin ---------------------------------------------------------------------------------------------


def test_airflow_finds_the_plugin_and_its_application(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airflow.settings.PLUGINS_FOLDER", str(PLUGINS))
    plugins_manager._get_plugins.cache_clear()
    try:
        plugins, errors = plugins_manager._get_plugins()
        apps, _ = plugins_manager.get_fastapi_plugins()
    finally:
        plugins_manager._get_plugins.cache_clear()
    assert errors == {}
    assert [plugin.name for plugin in plugins if "rotina" in str(plugin.source)] == ["rotina"]
    (mounted,) = [app for app in apps if app["url_prefix"] == "/rotina"]
    assert isinstance(mounted["app"], FastAPI)


def test_the_plugin_costs_the_other_processes_nothing() -> None:
    script = (
        "import sys, airflow.plugins_manager; before = set(sys.modules); import rotina_plugin; "
        "rotina_plugin.RotinaPlugin(); print(sorted(set(sys.modules) - before))"
    )
    environment = {"PYTHONPATH": str(PLUGINS), "PATH": "", "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment
    )
    assert done.stdout.strip().splitlines()[-1] == "['rotina_plugin']"


def test_an_older_environment_gets_the_secret_it_lacks(tmp_path: Path) -> None:
    first = load_secrets(tmp_path)
    path = tmp_path / "secrets.json"
    older = {name: value for name, value in json.loads(path.read_text()).items() if "webhook" not in name}
    path.write_text(json.dumps(older))
    again = load_secrets(tmp_path)
    assert (again.gateway_token, again.passwords) == (first.gateway_token, first.passwords)
    assert len(again.gateway_webhook_secret) >= 32
    assert again.gateway_webhook_secret != first.gateway_webhook_secret
    assert load_secrets(tmp_path) == again
