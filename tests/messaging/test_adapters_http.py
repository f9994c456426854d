"""The HTTP adapters against the simulator with every fault, and against servers that misbehave worse."""

from __future__ import annotations

import asyncio
import gzip
import json
import ssl
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from rotina.errors import SettingError
from rotina.local.gateway_simulator import CHANNEL_ID, DAILY_LIMIT, FaultKind, create_app, serving
from rotina.messaging.adapters import HttpEndpoint, SmtpEndpoint
from rotina.messaging.adapters.http import Reply, refusal
from rotina.messaging.adapters.opening import open_adapter
from rotina.messaging.adapters.replies import clean_count, clean_id, retry_after, shown
from rotina.messaging.adapters.settings import check_settings
from rotina.messaging.outcome import Outcome, Result
from tests.messaging.adapter_parts import (
    PHONE,
    TOKEN,
    closed_port,
    gateway,
    opened,
    send,
    serving_tcp,
    template_message,
    write_certificate,
)

KINDS = ("opa_suite", "http_json")
_ENVELOPE = {"status": "success", "code": 200, "data": {"message": "sent", "messageSentId": "m1"}}


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The proxies and CA bundles of the machine that runs the tests are not under test."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate of 127.0.0.1 with its key."""
    path = tmp_path_factory.mktemp("tls") / "gateway.pem"
    write_certificate(path)
    return path


@pytest.fixture
def simulator(tmp_path: Path) -> Iterator[str]:
    with serving(create_app(TOKEN, tmp_path / "ledger.jsonl")) as url:
        yield url


def order_fault(simulator: str, **fault: Any) -> None:
    requests.post(f"{simulator}/simulator/faults", json=fault, timeout=5).raise_for_status()


def ledger(simulator: str) -> tuple[int, list[dict[str, Any]]]:
    """How many send requests arrived, and the messages that were accepted."""
    shown = requests.get(f"{simulator}/simulator/ledger", timeout=5).json()
    return shown["send_requests"], shown["messages"]


# -- the table of outcomes -------------------------------------------------------------------------------

#: What happens, whether the gateway took the message, and the class of the outcome.
FAULTS: list[tuple[dict[str, Any], bool, Outcome]] = [
    ({"kind": "slow", "delay_ms": 20}, True, Outcome.ACCEPTED),
    # not sent, transient
    ({"kind": "rate_limited", "retry_after": 7}, False, Outcome.TRANSIENT),
    ({"kind": "unavailable", "retry_after": 7}, False, Outcome.TRANSIENT),
    # maybe sent
    ({"kind": "unavailable"}, False, Outcome.MAYBE_SENT),
    ({"kind": "error_503"}, False, Outcome.MAYBE_SENT),
    ({"kind": "error_500"}, False, Outcome.MAYBE_SENT),
    ({"kind": "timeout_before"}, False, Outcome.MAYBE_SENT),
    ({"kind": "timeout_after"}, True, Outcome.MAYBE_SENT),
    ({"kind": "slow", "delay_ms": 30_000}, True, Outcome.MAYBE_SENT),
    ({"kind": "refuse"}, False, Outcome.MAYBE_SENT),
    ({"kind": "drop"}, True, Outcome.MAYBE_SENT),
    ({"kind": "cut_reply"}, True, Outcome.MAYBE_SENT),
    # recipient, permanent
    ({"kind": "error_body"}, False, Outcome.REJECTED),
    # opted out
    ({"kind": "opted_out"}, False, Outcome.OPTED_OUT),
    # configuration
    ({"kind": "unauthorized"}, False, Outcome.CONFIGURATION),
    ({"kind": "template_unknown"}, False, Outcome.CONFIGURATION),
    ({"kind": "template_paused"}, False, Outcome.CONFIGURATION),
    # business hold
    ({"kind": "in_attendance"}, False, Outcome.IN_ATTENDANCE),
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("fault", "taken", "outcome"), FAULTS, ids=lambda value: str(value))
def test_every_fault_has_its_outcome(
    simulator: str, kind: Any, fault: dict[str, Any], taken: bool, outcome: Outcome
) -> None:
    order_fault(simulator, **fault)
    silent = fault["kind"].startswith("timeout") or fault.get("delay_ms", 0) > 1_000
    result = send(kind, simulator, template_message(), call_timeout_seconds=0.5 if silent else 30)
    assert result.outcome is outcome
    assert result.retry_after == fault.get("retry_after")
    assert (result.error is None) == (outcome is Outcome.ACCEPTED)
    requests_to_send, messages = ledger(simulator)
    assert (requests_to_send, len(messages)) == (1, int(taken))


def test_every_kind_of_fault_is_in_the_table() -> None:
    assert {fault["kind"] for fault, _, _ in FAULTS} == set(FaultKind)


#: What is wrong with the message itself.
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("changes", "outcome"),
    [
        ({"recipient": "+5511987650000"}, Outcome.REJECTED),
        ({"recipient": "11987654321"}, Outcome.REJECTED),
        ({"payload": {"template": "65f0c0de0000000000000002", "variables": ["Ana"]}}, Outcome.REJECTED),
        ({"payload": {"template": "unknown", "variables": ["Ana", "1"]}}, Outcome.CONFIGURATION),
    ],
)
def test_what_the_gateway_refuses(simulator: str, kind: Any, changes: Any, outcome: Outcome) -> None:
    result = send(kind, simulator, template_message(**changes))
    assert (result.outcome, result.code) == (outcome, 400)
    assert ledger(simulator)[1] == []


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("payload", [{}, {"template": "t"}, {"template": 1, "variables": []}])
def test_a_payload_without_a_template_makes_no_call(simulator: str, kind: Any, payload: Any) -> None:
    assert send(kind, simulator, template_message(payload=payload)).outcome is Outcome.REJECTED
    assert ledger(simulator)[0] == 0


def test_a_wrong_channel_or_token_is_a_wrong_setting(simulator: str) -> None:
    wrong = send("opa_suite", simulator, template_message(), settings={"channel_id": "other"})
    assert wrong.outcome is Outcome.CONFIGURATION
    for kind in KINDS:
        result = send(kind, HttpEndpoint(simulator, "other", 5.0), template_message())  # type: ignore[arg-type]
        assert (result.outcome, result.code) == (Outcome.CONFIGURATION, 401)


# -- what is sent, and asked -----------------------------------------------------------------------------


def test_opa_suite_sends_what_the_gateway_documents(simulator: str) -> None:
    result = send("opa_suite", simulator, template_message())
    (message,) = ledger(simulator)[1]
    assert result == Result(Outcome.ACCEPTED, message["message_id"], code=200)
    assert message["recipient"] == PHONE
    assert message["channel_id"] == CHANNEL_ID
    assert message["variables"] == ["Ana Gonçalves", "129,90"]
    assert message["metadata"] == {"rotina_message": 7, "rotina_attempt": 2}


def test_http_json_sends_its_key(simulator: str) -> None:
    results = [send("http_json", simulator, template_message()) for _ in range(2)]
    (message,) = ledger(simulator)[1]  # the gateway knows the key again
    assert [(result.outcome, result.gateway_message_id) for result in results] == [
        (Outcome.ACCEPTED, message["message_id"])
    ] * 2
    key = "billing:42/2026-11-20"
    assert message["metadata"] == {"idempotency_key": key, "reference": key}


@pytest.mark.parametrize("key", ["a\r\nX: 1", "ção", ""])
def test_http_json_refuses_a_key_that_no_header_holds(simulator: str, key: str) -> None:
    assert send("http_json", simulator, template_message(dedupe_key=key)).outcome is Outcome.REJECTED
    assert ledger(simulator)[0] == 0


def ask(kind: Any, url: str, question: str, *arguments: Any, **changes: Any) -> Any:
    async def run() -> Any:
        async with opened(kind, url, **changes) as adapter:
            return await getattr(adapter, question)(*arguments)

    return asyncio.run(run())


def test_opa_suite_finds_a_message_by_the_gateway_s_key_only(simulator: str) -> None:
    key = send("opa_suite", simulator, template_message()).gateway_message_id
    found = ask("opa_suite", simulator, "find", template_message(gateway_message_id=key))
    assert (found.outcome, found.gateway_message_id) == (Outcome.ACCEPTED, key)
    for unknown in (None, "other", "../../template"):
        assert ask("opa_suite", simulator, "find", template_message(gateway_message_id=unknown)) is None
    order_fault(simulator, kind="error_500", on="all", count=None)
    assert ask("opa_suite", simulator, "find", template_message(gateway_message_id=key)) is None


def test_http_json_finds_a_message_by_our_key_or_proves_that_there_is_none(simulator: str) -> None:
    message = template_message()
    absent = ask("http_json", simulator, "find", message)
    assert (absent.outcome, absent.code) == (Outcome.TRANSIENT, 404)
    path = {"send_path": "/json/v1/messages", "status_path": "/json/v1/messages/{key}"}
    assert ask("http_json", simulator, "find", message, settings=path) is None
    order_fault(simulator, kind="drop")
    assert send("http_json", simulator, message).outcome is Outcome.MAYBE_SENT
    found = ask("http_json", simulator, "find", message)
    (entry,) = ledger(simulator)[1]
    assert (found.outcome, found.gateway_message_id) == (Outcome.ACCEPTED, entry["message_id"])
    order_fault(simulator, kind="error_500", on="all", count=None)
    assert ask("http_json", simulator, "find", message) is None
    assert ask("http_json", simulator, "find", message, settings={"send_path": "/x"}) is None


@pytest.mark.parametrize(
    ("said", "status"),
    [(None, "sent"), ("entregue", "delivered"), ("lido", "read"), ("erro", "failed")],
)
def test_how_far_a_message_got(simulator: str, said: str | None, status: str) -> None:
    before = datetime.now(UTC)
    key = send("opa_suite", simulator, template_message()).gateway_message_id
    if said is not None:
        told = {"message_id": key, "status": said}
        requests.post(f"{simulator}/simulator/deliveries", json=told, timeout=5).raise_for_status()
    delivery = ask("opa_suite", simulator, "delivery", key)
    assert delivery.status == status
    assert before <= delivery.at <= datetime.now(UTC)
    assert ask("opa_suite", simulator, "delivery", "other") is None
    assert ask("http_json", simulator, "delivery", key) is None


def test_how_many_may_still_be_sent(simulator: str) -> None:
    for kind in KINDS:
        send(kind, simulator, template_message())  # type: ignore[arg-type]
        left = DAILY_LIMIT - len(ledger(simulator)[1])
        assert ask(kind, simulator, "available") == left
    assert ask("http_json", simulator, "available", settings={"send_path": "/x"}) is None
    order_fault(simulator, kind="error_500", on="all", count=None)
    assert ask("opa_suite", simulator, "available") is None
    assert ask("opa_suite", f"http://127.0.0.1:{closed_port()}", "available") is None


# -- connections -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_refused_connection_is_not_sent(kind: Any) -> None:
    result = send(kind, f"http://127.0.0.1:{closed_port()}", template_message())
    assert (result.outcome, result.code) == (Outcome.TRANSIENT, None)
    assert result.error is not None
    assert "Connection refused" in result.error


def test_a_name_that_is_none_is_not_sent() -> None:
    endpoint = HttpEndpoint("http://nobody.invalid", TOKEN, connect_timeout=1.0)
    assert send("opa_suite", endpoint, template_message()).outcome is Outcome.TRANSIENT


@pytest.mark.parametrize("answers", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", None])
def test_a_failed_tls_handshake_is_not_sent(answers: bytes | None) -> None:
    """The server hangs up, speaks plain HTTP, or says nothing at all."""

    async def run() -> Result:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(1)
            if answers is None:
                await reader.read()
            writer.write(answers or b"")

        async with serving_tcp(handle) as port:
            endpoint = HttpEndpoint(f"https://127.0.0.1:{port}", TOKEN, connect_timeout=0.3)
            async with opened("opa_suite", endpoint) as adapter:
                return await adapter.send(template_message())

    assert asyncio.run(run()).outcome is Outcome.TRANSIENT


def test_an_unknown_certificate_is_not_sent_and_a_known_one_is(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)

    async def run() -> Result:
        async with (
            serving_tcp(replying(200, _ENVELOPE), ssl=context) as port,
            opened("opa_suite", f"https://127.0.0.1:{port}") as adapter,
        ):
            return await adapter.send(template_message())

    untrusted = asyncio.run(run())
    assert untrusted.outcome is Outcome.TRANSIENT
    assert "TLS" in str(untrusted.error)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    assert asyncio.run(run()).outcome is Outcome.ACCEPTED


def test_a_kept_connection_that_is_lost_is_no_reason_to_repeat() -> None:
    """The second request meets a closing connection: nobody knows whether it was read."""
    received: list[bytes] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received.append(await read_request(reader))
        writer.write(response(200, _ENVELOPE))
        received.append(await read_request(reader))

    async def run() -> list[Outcome]:
        async with serving_tcp(handle) as port, opened("opa_suite", f"http://127.0.0.1:{port}") as adapter:
            return [(await adapter.send(template_message())).outcome for _ in range(2)]

    assert asyncio.run(run()) == [Outcome.ACCEPTED, Outcome.MAYBE_SENT]
    assert len(received) == 2


def test_a_cancelled_call_ends_as_cancelled_and_frees_its_connection() -> None:
    arrived = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        if arrived.is_set():
            writer.write(response(200, _ENVELOPE))
        arrived.set()
        await reader.read()

    async def run() -> Result:
        async with (
            serving_tcp(handle) as port,
            opened("opa_suite", f"http://127.0.0.1:{port}", max_in_flight=1) as adapter,
        ):
            call = asyncio.create_task(adapter.send(template_message()))
            await arrived.wait()
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            return await adapter.send(template_message())

    assert asyncio.run(run()).outcome is Outcome.ACCEPTED


def test_a_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    received: list[bytes] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received.append(await read_request(reader))
        writer.write(response(200, _ENVELOPE))

    async def run() -> Result:
        async with serving_tcp(handle) as port:
            monkeypatch.setenv("http_proxy", f"127.0.0.1:{port}")
            monkeypatch.setenv("no_proxy", "")
            async with opened("opa_suite", "http://gateway.invalid") as adapter:
                return await adapter.send(template_message())

    assert asyncio.run(run()).outcome is Outcome.ACCEPTED
    assert received[0].startswith(b"POST http://gateway.invalid/api/v1/template/send ")


@pytest.mark.parametrize(
    "proxy",
    ["socks5://127.0.0.1:1", "http://ana:se/cret@127.0.0.1:1", "http://", "http://x:0", "http://[::1"],
)
def test_a_proxy_that_is_none_is_a_wrong_setting(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    monkeypatch.setenv("http_proxy", proxy)
    monkeypatch.setenv("no_proxy", "")
    with pytest.raises(SettingError, match="http_proxy") as refused:
        send("opa_suite", "http://gateway.invalid", template_message())
    assert "cret" not in str(refused.value)


def test_a_host_that_no_name_can_be_is_not_connected() -> None:
    result = send("opa_suite", f"http://{'a' * 64}.invalid", template_message())
    assert result.outcome is Outcome.TRANSIENT


# -- replies ---------------------------------------------------------------------------------------------


async def read_request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
    return head + await reader.readexactly(length)


def response(status: int, body: Any, headers: str = "") -> bytes:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return f"HTTP/1.1 {status} X\r\n{headers}Content-Length: {len(content)}\r\n\r\n".encode() + content


def replying(status: int, body: Any, headers: str = "") -> Any:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(response(status, body, headers))
        await writer.drain()

    return handle


def outcome_of(kind: Any, answer: bytes) -> Result:
    """What becomes of a message that is answered with these bytes and the end of the connection."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(answer)
        await writer.drain()

    async def run() -> Result:
        async with serving_tcp(handle) as port, opened(kind, f"http://127.0.0.1:{port}") as adapter:
            return await adapter.send(template_message())

    return asyncio.run(run())


def answer_to(kind: Any, body: Any, question: str, *arguments: Any) -> Any:
    """What an adapter makes of a 200 with that body when it is asked something."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(response(200, body))
        await writer.drain()

    async def run() -> Any:
        async with serving_tcp(handle) as port, opened(kind, f"http://127.0.0.1:{port}") as adapter:
            return await getattr(adapter, question)(*arguments)

    return asyncio.run(run())


SUCCESS = json.dumps(_ENVELOPE | {"id": "m1"}).encode()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (response(200, SUCCESS), Outcome.ACCEPTED),
        (response(201, SUCCESS), Outcome.ACCEPTED),
        (response(200, {"status": "success", "code": 200, "data": {}}), Outcome.ACCEPTED),
        # cut, empty, or not what was expected
        (b"", Outcome.MAYBE_SENT),
        (b"HTTP/1.1 200", Outcome.MAYBE_SENT),
        (b"HTTP/1.1 200 OK\r\nContent-Le", Outcome.MAYBE_SENT),
        (response(200, SUCCESS)[:-1], Outcome.MAYBE_SENT),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{}", Outcome.MAYBE_SENT),
        (b"HTTP/1.1 200 OK\r\n\r\n" + SUCCESS[:-1], Outcome.MAYBE_SENT),
        (response(200, b""), Outcome.MAYBE_SENT),
        (response(204, b""), Outcome.MAYBE_SENT),
        (response(200, b"<html>login</html>"), Outcome.MAYBE_SENT),
        (response(200, b"\xff"), Outcome.MAYBE_SENT),
        (response(200, []), Outcome.MAYBE_SENT),
        (response(200, b"[" * 100_000), Outcome.MAYBE_SENT),
        (response(200, gzip.compress(SUCCESS, mtime=0), "Content-Encoding: gzip\r\n"), Outcome.MAYBE_SENT),
        (response(200, SUCCESS + b" " * 1_000_000), Outcome.MAYBE_SENT),  # more than is read
        (b"\x00\xff nonsense\r\n\r\n", Outcome.MAYBE_SENT),
        # by the status of the reply, or of the error in it
        (response(500, b""), Outcome.MAYBE_SENT),
        (response(502, b"<html>"), Outcome.MAYBE_SENT),
        (response(503, b""), Outcome.MAYBE_SENT),
        (response(504, b""), Outcome.MAYBE_SENT),
        (response(408, b""), Outcome.MAYBE_SENT),
        (response(503, b"", "Retry-After: 5\r\n"), Outcome.TRANSIENT),
        (response(429, b""), Outcome.TRANSIENT),
        (response(400, b""), Outcome.REJECTED),
        (response(409, b""), Outcome.REJECTED),
        (response(422, {"message": "campo errado"}), Outcome.REJECTED),
        (response(401, b""), Outcome.CONFIGURATION),
        (response(401, {"error": "parâmetro token ausente"}), Outcome.CONFIGURATION),
        (response(402, b""), Outcome.CONFIGURATION),
        (response(403, b""), Outcome.CONFIGURATION),
        (response(404, b"<html>"), Outcome.CONFIGURATION),
        (response(405, b""), Outcome.CONFIGURATION),
        (response(301, b"", "Location: /elsewhere\r\n"), Outcome.CONFIGURATION),
        (response(307, b"", "Location: /elsewhere\r\n"), Outcome.CONFIGURATION),
        (response(200, {"status": "error"}), Outcome.REJECTED),
        (response(200, {"status": "error", "code": "what"}), Outcome.REJECTED),
        (response(200, {"status": "error", "code": 401}), Outcome.CONFIGURATION),
        (response(200, {"status": "error", "code": 429}, "Retry-After: 5\r\n"), Outcome.TRANSIENT),
        (response(200, {"status": "error", "code": 500}), Outcome.MAYBE_SENT),
        (response(200, {"status": "error", "code": 503}), Outcome.MAYBE_SENT),
        (response(200, {}), Outcome.MAYBE_SENT),
        (response(200, {"data": {}}), Outcome.MAYBE_SENT),
        (response(200, {"error": "número inválido"}), Outcome.REJECTED),
        (response(200, {"error": {"code": 429, "message": "devagar"}}), Outcome.TRANSIENT),
        (response(200, {"error": {"code": 400, "message": "token vencido"}}), Outcome.CONFIGURATION),
    ],
)
def test_every_reply_has_its_outcome(kind: Any, answer: bytes, outcome: Outcome) -> None:
    assert outcome_of(kind, answer).outcome is outcome


@pytest.mark.parametrize(
    ("body", "outcome", "key"),
    [
        ({"id": "m1"}, Outcome.ACCEPTED, "m1"),
        ({"id": 7, "status": "pending"}, Outcome.ACCEPTED, "7"),
        ({"id": "m1", "error": None}, Outcome.ACCEPTED, "m1"),
        ({"status": "Queued"}, Outcome.ACCEPTED, None),
        ({"status": "ok", "id": " "}, Outcome.ACCEPTED, None),
        ({"id": "m1", "error": "number unknown"}, Outcome.REJECTED, None),
        ({"id": "m1", "status": "failed"}, Outcome.REJECTED, None),
        ({"status": "sent", "error": {"code": 401}}, Outcome.CONFIGURATION, None),
        ({"status": "not_found"}, Outcome.REJECTED, None),
        ({"status": "denied", "code": 403}, Outcome.CONFIGURATION, None),
        ({"status": "processing"}, Outcome.MAYBE_SENT, None),
        ({"status": "processing", "error": "wrong number"}, Outcome.REJECTED, None),
        ({"id": True}, Outcome.MAYBE_SENT, None),
        ({"id": "a\nb"}, Outcome.MAYBE_SENT, None),
        ({"message": "hello"}, Outcome.MAYBE_SENT, None),
    ],
)
def test_http_json_accepts_only_what_says_so(body: Any, outcome: Outcome, key: str | None) -> None:
    result = outcome_of("http_json", response(200, body))
    assert (result.outcome, result.gateway_message_id) == (outcome, key)


@pytest.mark.parametrize(
    ("body", "key"),
    [
        ({"status": "not_found"}, None),
        ({"id": "m1", "status": "not_found"}, None),
        ({"id": "m1", "error": "x"}, None),
        ({}, None),
        ({"id": "m1", "status": "delivered"}, "m1"),
    ],
)
def test_http_json_finds_only_what_the_answer_says_is_there(body: Any, key: str | None) -> None:
    found = answer_to("http_json", body, "find", template_message())
    assert (found and (found.outcome, found.gateway_message_id)) == (key and (Outcome.ACCEPTED, key))


@pytest.mark.parametrize("value", [True, -1, 2**31, 1.5, "7", None])
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_number_of_messages_is_not_told(kind: Any, value: Any) -> None:
    body = {"available": value, "availableAmount": value}
    assert answer_to(kind, body, "available") is None


@pytest.mark.parametrize("kind", KINDS)
def test_a_reply_without_end_is_not_read_to_it(kind: Any) -> None:
    """The connection is closed beyond the bound, and the next message takes another one."""
    hung_up = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        if hung_up.is_set():
            writer.write(response(200, SUCCESS))
            return
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        try:
            while True:
                writer.write(b"10000\r\n" + b" " * 65_536 + b"\r\n")
                await writer.drain()
        except ConnectionError:
            hung_up.set()

    async def run() -> list[Outcome]:
        async with (
            serving_tcp(handle) as port,
            opened(kind, f"http://127.0.0.1:{port}", call_timeout_seconds=10) as adapter,
        ):
            first = await adapter.send(template_message())
            async with asyncio.timeout(5):
                await hung_up.wait()
            assert first.code == 200  # not the end of its time
            return [first.outcome, (await adapter.send(template_message())).outcome]

    assert asyncio.run(run()) == [Outcome.MAYBE_SENT, Outcome.ACCEPTED]


def test_a_compressed_reply_is_not_unpacked() -> None:
    """200 MB of an answer in 200 kB: read as bytes that are no JSON."""
    bomb = gzip.compress(b" " * 200_000_000, compresslevel=1)
    tracemalloc.start()
    try:
        result = outcome_of("http_json", response(200, bomb, "Content-Encoding: gzip\r\n"))
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert result.outcome is Outcome.MAYBE_SENT
    assert most < 20_000_000


@pytest.mark.parametrize("kind", KINDS)
def test_it_has_as_many_places_as_its_share(kind: Any) -> None:
    async def run() -> int:
        async with opened(kind, "http://127.0.0.1:1", max_in_flight=9, dispatchers=2) as adapter:
            return adapter.places

    assert asyncio.run(run()) == 4


def test_a_retry_after_is_kept_also_as_a_date() -> None:
    assert outcome_of("opa_suite", response(429, b"", "Retry-After: 12\r\n")).retry_after == 12.0
    past = "Retry-After: Sun, 22 Nov 2020 12:00:00 GMT\r\n"
    assert outcome_of("opa_suite", response(503, b"", past)).retry_after == 0.0
    assert outcome_of("opa_suite", response(429, b"", "Retry-After: soon\r\n")).retry_after is None


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ("Contato não deseja receber mensagens (opt-out)", Outcome.OPTED_OUT),
        ("Recipient opted out", Outcome.OPTED_OUT),
        ("O usuário bloqueou a empresa", Outcome.OPTED_OUT),
        ("O destinatário bloqueou este número", Outcome.OPTED_OUT),
        ("bloqueou nosso contato", Outcome.OPTED_OUT),
        ("A Meta bloqueou o template", Outcome.CONFIGURATION),
        ("WhatsApp bloqueou a conta", Outcome.CONFIGURATION),
        ("A Meta bloqueou este número", Outcome.CONFIGURATION),
        ("Template rejeitado: sem texto de opt-out", Outcome.CONFIGURATION),
        ("Canal inativo: envios suprimidos", Outcome.CONFIGURATION),
        ("Token expirado", Outcome.CONFIGURATION),
        ("Parâmetro token ausente", Outcome.CONFIGURATION),
        ("Credenciais inválidas", Outcome.CONFIGURATION),
        ("Sessão do número desconectada", Outcome.CONFIGURATION),
        ("Phone number session invalid", Outcome.CONFIGURATION),
        ("Saldo insuficiente", Outcome.CONFIGURATION),
        ("Sem créditos", Outcome.CONFIGURATION),
        ("Limite de crédito excedido", Outcome.CONFIGURATION),
        ("Assinatura vencida", Outcome.CONFIGURATION),
        ("Limite diário de envios atingido", Outcome.TRANSIENT),
        ("Limite de mensagens por segundo excedido", Outcome.TRANSIENT),
        ("Daily limit reached", Outcome.TRANSIENT),
        ("Too many requests", Outcome.TRANSIENT),
        ("Limite de 1024 caracteres excedido", Outcome.REJECTED),
        ("Variável token inválida", Outcome.REJECTED),
        ("Variável 2: limite de tamanho excedido", Outcome.REJECTED),
        ("contact is on the suppression list", Outcome.OPTED_OUT),
        ("CONTATO JÁ ESTÁ EM ATENDIMENTO", Outcome.IN_ATTENDANCE),
        ("Já existe um atendimento aberto para o contato", Outcome.IN_ATTENDANCE),
        ("contato.canalCliente: número inválido", Outcome.REJECTED),
        ("Número inválido para este canal", Outcome.REJECTED),
        ("Invalid phone", Outcome.REJECTED),
        ("template.variaveis: esperadas 2, recebidas 1", Outcome.REJECTED),
        ("Parâmetros do template inválidos", Outcome.REJECTED),
        ("Template não encontrado", Outcome.CONFIGURATION),
        ("template._id: não encontrado", Outcome.CONFIGURATION),
        ("TEMPLATE   PAUSADO", Outcome.CONFIGURATION),
        ("Template is not approved", Outcome.CONFIGURATION),
        ("canal: não encontrado", Outcome.CONFIGURATION),
        ("Unknown channel", Outcome.CONFIGURATION),
        ("Algo deu errado", Outcome.REJECTED),
    ],
)
def test_what_a_refusal_means_by_its_text(text: str, outcome: Outcome) -> None:
    for status, body in (
        (400, {"data": {"message": text}}),
        (200, {"status": "error", "code": 400, "message": text}),
    ):
        assert refusal(Reply(status, body, {}), private=()).outcome is outcome
    assert refusal(Reply(500, {"message": text}, {}), private=()).outcome is Outcome.MAYBE_SENT


@pytest.mark.parametrize(
    ("text", "private", "outcome"),
    [
        ("Falha ao enviar para SUPRIMIDOS LTDA", ["Suprimidos Ltda"], Outcome.REJECTED),
        ("Falha ao enviar para Opção  Token", ["opcao token"], Outcome.REJECTED),
        ("canal: não encontrado", ["Ana", "não há", "a", ""], Outcome.CONFIGURATION),
    ],
)
def test_an_echo_does_not_decide(text: str, private: list[str], outcome: Outcome) -> None:
    assert refusal(Reply(400, {"message": text}, {}), private).outcome is outcome


# -- texts -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_shows_nothing_personal_and_no_secret(kind: Any) -> None:
    message = template_message()
    echo = f"Bearer {TOKEN}: para {PHONE}, (11) 98765-4321, Ana  GONÇALVES, R$ 129,90, ana@example.com"
    result = outcome_of(kind, response(422, {"message": f"não deu: {echo}" + " x" * 500}))
    assert result.error is not None
    assert "não deu" in result.error
    assert len(result.error) < 350
    for private in (TOKEN, PHONE, "98765", "GONÇALVES", "129,90", "ana@", *message.payload["variables"]):
        assert private.lower() not in result.error.lower()
    assert PHONE not in repr(message)
    assert "Ana" not in repr(message)


@given(st.text(max_size=600), st.text("abç x", min_size=3, max_size=20))
def test_a_shown_text_is_one_short_line_without_what_is_private(text: str, private: str) -> None:
    line = shown(f"{text}{private}{text} 11987654321", [private])
    assert len(line) <= 300
    assert "\n" not in line
    assert "987654321" not in line
    hidden = " ".join(private.split())
    assert len(hidden) < 3 or hidden not in line


def is_stored(text: str) -> bool:
    """Whether PostgreSQL takes a text: as UTF-8, without NUL; and nothing in it moves a terminal."""
    text.encode()  # raises an error for half of a character
    return all(ord(char) >= 32 and ord(char) != 127 for char in text)


@given(st.text(st.characters(exclude_categories=()), max_size=400))
def test_every_text_and_id_can_be_stored(text: str) -> None:
    assert is_stored(shown(text))
    key = clean_id(text)
    assert key is None or (key == text and is_stored(key) and len(key) <= 200)


def test_a_shown_text_has_neither_halves_of_characters_nor_control_characters() -> None:
    assert shown("Usu\udce1rio\x00 \x1b[1m inv\x85álido\n") == "Usu?rio [1m inv álido"
    assert shown("para A\x00na", ["Ana"]) == "para ***"
    assert len(shown("x" * 400, prefix="550 ")) == 300


@pytest.mark.parametrize("kind", KINDS)
def test_a_reply_that_cannot_be_stored(kind: Any) -> None:
    refused = outcome_of(kind, response(422, {"message": "n\x00o \ud83d"}))
    assert refused.error == "HTTP 422: no ?"
    body = _ENVELOPE | {"id": "m\x00", "data": {"messageSentId": "m\ud83d"}}
    accepted = outcome_of(kind, response(200, body))
    assert (accepted.outcome, accepted.gateway_message_id) == (Outcome.ACCEPTED, None)


@pytest.mark.parametrize(
    ("value", "key"),
    [
        ("wamid.HBg=", "wamid.HBg="),
        (7, "7"),
        ("x" * 200, "x" * 200),
        ("x" * 201, None),
        (10**200, None),
        ("", None),
        (" \u00a0", None),
        ("a\x00", None),
        ("a\r\nb", None),
        ("\ud83d", None),
        (True, None),
        (1.5, None),
        (None, None),
        ({}, None),
    ],
)
def test_what_is_a_key_of_a_message(value: Any, key: str | None) -> None:
    assert clean_id(value) == key


def test_what_is_a_number_of_messages() -> None:
    assert [clean_count(value) for value in (0, 2**31 - 1)] == [0, 2**31 - 1]


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("999999999", 86_400.0),
        ("Sun, 22 Nov 2099 12:00:00 GMT", 86_400.0),
        ("Fri, 31 Dec 9999 23:59:59 -2359", 86_400.0),
        ("Mon, 01 Jan 0001 00:00:00 +2359", 0.0),
        ("Sun, 22 Nov 2026 12:00:00 +99999999999999", None),
        ("Sun, 22 Nov 99999999999999999999 12:00:00 GMT", None),
    ],
)
def test_an_absurd_retry_after(value: str, seconds: float | None) -> None:
    noon = datetime(2026, 11, 22, 12, tzinfo=UTC)
    assert retry_after(value, noon) == seconds


@given(
    st.text(max_size=40)
    | st.from_regex(r"[A-Z][a-z]{2}, \d{1,3} Nov \d{1,12} \d{1,3}:\d\d:\d\d [+-]\d{1,20}")
)
def test_no_retry_after_breaks_the_adapter(value: str) -> None:
    seconds = retry_after(value, datetime(2026, 11, 22, 12, tzinfo=UTC))
    assert seconds is None or 0.0 <= seconds <= 86_400.0


def test_the_repr_of_an_endpoint_has_no_secret() -> None:
    assert TOKEN not in repr(HttpEndpoint("http://gateway", TOKEN, 5.0))
    assert TOKEN not in repr(SmtpEndpoint("mail", 25, "ana", TOKEN, False, True, "a@b.c", 5.0))


# -- settings --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "settings", "field"),
    [
        ("opa_suite", {}, "settings.channel_id"),
        ("opa_suite", {"channel_id": "  "}, "settings.channel_id"),
        ("opa_suite", {"channel_id": 7}, "settings.channel_id"),
        ("opa_suite", {"channel_id": "c", "chanel": "c"}, "settings.chanel"),
        ("http_json", {}, "settings.send_path"),
        ("http_json", {"send_path": "messages"}, "settings.send_path"),
        ("http_json", {"send_path": "/a b"}, "settings.send_path"),
        ("http_json", {"send_path": "/m", "status_path": "/m"}, "settings"),
        ("http_json", {"send_path": "/m", "absent_is_final": True}, "settings"),
        ("http_json", {"send_path": "/m", "absent_is_final": "yes"}, "settings.absent_is_final"),
        ("http_json", {"send_path": "/m", "idempotency_header": "a b"}, "settings.idempotency_header"),
        (
            "http_json",
            {"send_path": "/m", "idempotency_header": "Authorization"},
            "settings.idempotency_header",
        ),
        ("smtp", {"connections": 0}, "settings.connections"),
        ("smtp", {"connections": 101}, "settings.connections"),
        ("smtp", {"messages_per_connection": True}, "settings.messages_per_connection"),
        ("smtp", {"messages_per_connection": 0}, "settings.messages_per_connection"),
    ],
)
def test_a_wrong_setting_is_named(kind: Any, settings: dict[str, Any], field: str) -> None:
    with pytest.raises(SettingError) as caught:
        check_settings(kind, settings)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("opa_suite", {"channel_id": CHANNEL_ID}),
        ("http_json", {"send_path": "/m", "status_path": "/m?key={key}", "absent_is_final": True}),
        ("smtp", {}),
        ("smtp", {"connections": 1, "messages_per_connection": 1}),
    ],
)
def test_right_settings_pass(kind: Any, settings: dict[str, Any]) -> None:
    check_settings(kind, settings)


def test_a_connection_of_the_wrong_kind_is_refused() -> None:
    smtp = SmtpEndpoint("mail", 25, None, None, False, False, "a@example.com", 5.0)
    http = HttpEndpoint("http://gateway", TOKEN, 5.0)
    for kind, endpoint in (("opa_suite", smtp), ("http_json", smtp), ("smtp", http)):
        with pytest.raises(SettingError, match="connection_id = 'message_gateway'"):
            open_adapter(gateway(kind), endpoint)  # type: ignore[arg-type]
