"""GatewayHook against the simulator and against servers that misbehave, over real sockets."""

from __future__ import annotations

import json
import logging
import socket
import ssl
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from rotina.errors import SettingError
from rotina.hooks import gateway as gateway_module
from rotina.hooks.gateway import (
    DailyLimit,
    GatewayError,
    GatewayHook,
    MaybeSent,
    NotSent,
    UnexpectedReplyError,
)
from rotina.local.gateway_simulator import CHANNEL_ID, DAILY_LIMIT, TEMPLATES, create_app, serving

TOKEN = "tok-5f0c9a-secret"
RECIPIENT = "+5511987654321"
SEND = "/api/v1/template/send"
MESSAGE = {
    "contato": {"canalCliente": RECIPIENT},
    "template": {"_id": "65f0c0de0000000000000002", "variaveis": ["Ana", "129,90"]},
    "canal": CHANNEL_ID,
}

Connect = Callable[..., GatewayHook]


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The proxies and CA bundles of the machine that runs the tests are not under test."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Iterator[Connect]:
    """Makes a hook on an Airflow connection with the given address, extra and other fields."""
    with ExitStack() as hooks:

        def make(url: str | None, extra: Any = None, **fields: Any) -> GatewayHook:
            connection = {"conn_type": "http", "host": url, "password": TOKEN, "extra": extra, **fields}
            monkeypatch.setenv("AIRFLOW_CONN_MESSAGE_GATEWAY", json.dumps(connection))
            return hooks.enter_context(GatewayHook())

        yield make


@pytest.fixture
def simulator(tmp_path: Path) -> Iterator[str]:
    with serving(create_app(TOKEN, tmp_path / "ledger.jsonl")) as url:
        yield url


def order_fault(simulator: str, **fault: Any) -> None:
    requests.post(f"{simulator}/simulator/faults", json=fault, timeout=5).raise_for_status()


def ledger(simulator: str) -> tuple[int, int]:
    """How many send requests arrived, how many messages were accepted."""
    shown = requests.get(f"{simulator}/simulator/ledger", timeout=5).json()
    return shown["send_requests"], len(shown["messages"])


@contextmanager
def server(
    handle: Callable[[socket.socket], None], context: ssl.SSLContext | None = None
) -> Iterator[tuple[int, list[int]]]:
    """A raw server: `handle` gets each connection. Yields its port and the number of each connection."""
    connections: list[int] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def work() -> None:
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                connections.append(len(connections))
                with client:
                    if context is None:
                        handle(client)
                        continue
                    try:
                        with context.wrap_socket(client, server_side=True) as secured:
                            handle(secured)
                    except OSError:  # the client left during the handshake
                        continue

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        try:
            yield listener.getsockname()[1], connections
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def read_request(client: socket.socket) -> bytes:
    """A whole request with a Content-Length body, or with none."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += client.recv(65536)
    head, _, body = data.partition(b"\r\n\r\n")
    length = next(
        (int(h.split(b":")[1]) for h in head.split(b"\r\n") if h.lower().startswith(b"content-l")), 0
    )
    while len(body) < length:
        body += client.recv(65536)
    return data


# Replies are values


def test_an_accepted_message(connect: Connect, simulator: str) -> None:
    reply = connect(simulator).call("POST", SEND, json=MESSAGE)
    assert reply.status == 200
    assert reply.body["status"] == "success"
    assert reply.body["data"]["messageSentId"]
    assert reply.headers["content-type"] == "application/json"
    assert reply.retry_after is None
    assert ledger(simulator) == (1, 1)
    assert "messageSentId" not in repr(reply)


@pytest.mark.parametrize(
    ("kind", "status", "retry_after"),
    [
        ("rate_limited", 429, 1.0),
        ("unavailable", 503, None),
        ("error_500", 500, None),
        ("unauthorized", 401, None),
        ("error_body", 200, None),
        ("in_attendance", 400, None),
    ],
)
def test_every_http_error_is_a_value_and_is_not_repeated(
    connect: Connect, simulator: str, kind: str, status: int, retry_after: float | None
) -> None:
    order_fault(simulator, kind=kind)
    reply = connect(simulator).call("POST", SEND, json=MESSAGE)
    assert (reply.status, reply.retry_after) == (status, retry_after)
    assert reply.body["status"] == "error"
    assert ledger(simulator) == (1, 0)


def test_retry_after_in_seconds_and_as_a_date(connect: Connect, simulator: str) -> None:
    gateway = connect(simulator)
    order_fault(simulator, kind="unavailable", retry_after=120)
    assert gateway.call("POST", SEND, json=MESSAGE).retry_after == 120
    in_an_hour = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    order_fault(simulator, kind="rate_limited", retry_after=in_an_hour)
    retry_after = gateway.call("POST", SEND, json=MESSAGE).retry_after
    assert retry_after is not None
    assert 3000 < retry_after <= 3600


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("0", 0.0),
        (" 7 ", 7.0),
        ("Sun, 22 Nov 2026 12:00:30 GMT", 30.0),
        ("Sun, 22 Nov 2026 12:00:30 -0000", 30.0),
        ("Sun, 22 Nov 2026 09:00:30 -0300", 30.0),
        ("Sun, 22 Nov 2026 11:00:00 GMT", 0.0),
        ("-5", None),
        ("soon", None),
        ("", None),
        ("²", None),
        ("9" * 400, None),
    ],
)
def test_reading_retry_after(value: str | None, seconds: float | None) -> None:
    noon = datetime(2026, 11, 22, 12, tzinfo=UTC)
    assert gateway_module._retry_after(value, noon) == seconds


def test_a_body_that_is_not_json_is_none(connect: Connect) -> None:
    app = Starlette(routes=[Route("/", lambda _: Response(b"\xff<html>", media_type="application/json"))])
    with serving(app) as url:
        reply = connect(url).call("GET", "/")
    assert (reply.status, reply.body) == (200, None)


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("location", ["/elsewhere", "http://[", "mailto:someone"])
def test_redirects_are_not_followed(connect: Connect, method: str, location: str) -> None:
    seen: list[str] = []

    async def redirect(request: Request) -> Response:
        seen.append(request.url.path)
        return Response(status_code=307, headers={"Location": location})

    route = [Route("/{path:path}", redirect, methods=["GET", "POST"])]
    with serving(Starlette(routes=route)) as url:
        assert connect(url).call(method, "/start", json={}).status == 307
    assert seen == ["/start"]


def test_questions_about_templates_and_limits(connect: Connect, simulator: str) -> None:
    gateway = connect(simulator)
    assert [template.id for template in gateway.get_templates()] == list(TEMPLATES)
    gateway.call("POST", SEND, json=MESSAGE)
    assert gateway.daily_limit(CHANNEL_ID) == DailyLimit(1, DAILY_LIMIT, DAILY_LIMIT - 1)
    with pytest.raises(UnexpectedReplyError, match="HTTP 404"):
        gateway.daily_limit("../../template")


@pytest.mark.parametrize(
    ("body", "limit"),
    [
        ({}, None),
        ({"messagesSent": 1, "dailyLimit": 9, "availableAmount": 8}, DailyLimit(1, 9, 8)),
        (
            {"status": "success", "data": {"messagesSent": 1, "dailyLimit": 9, "availableAmount": 8}},
            DailyLimit(1, 9, 8),
        ),
    ],
)
def test_forms_of_the_daily_limit(connect: Connect, body: Any, limit: DailyLimit | None) -> None:
    with serving(Starlette(routes=[Route("/{path:path}", lambda _: JSONResponse(body))])) as url:
        assert connect(url).daily_limit(CHANNEL_ID) == limit


@pytest.mark.parametrize("body", [None, [], "text", {"status": "error"}, {"status": "success", "data": [1]}])
def test_an_answer_that_is_none(connect: Connect, body: Any) -> None:
    with serving(Starlette(routes=[Route("/{path:path}", lambda _: JSONResponse(body))])) as url:
        gateway = connect(url)
        with pytest.raises(UnexpectedReplyError):
            gateway.daily_limit(CHANNEL_ID)
        if body != []:
            with pytest.raises(UnexpectedReplyError):
                gateway.get_templates()


def test_test_connection(connect: Connect, simulator: str) -> None:
    assert connect(simulator).test_connection() == (
        True,
        f"gateway {simulator.removeprefix('http://')} answered: 4 templates",
    )
    ok, text = connect(simulator, password="another-token").test_connection()
    assert (ok, "HTTP 401" in text, "another-token" in text) == (False, True, False)
    ok, text = connect("").test_connection()
    assert (ok, "host" in text) == (False, True)
    assert ledger(simulator) == (0, 0)


# Nothing was sent


def test_a_closed_port_is_not_sent(connect: Connect) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(NotSent) as caught:
        connect(f"http://127.0.0.1:{port}").call("POST", SEND, json=MESSAGE)
    assert (caught.value.host, caught.value.kind) == (f"127.0.0.1:{port}", "connection refused")


def test_an_unknown_name_is_not_sent(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)  # no test asks a name server
    with pytest.raises(NotSent, match=r"gateway\.invalid: name not resolved"):
        connect("https://gateway.invalid").call("POST", SEND, json=MESSAGE)


def test_a_connect_timeout_is_not_sent(connect: Connect) -> None:
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):  # nobody accepts: the queue is full, and the kernel ignores who comes next
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        gateway = connect("http://127.0.0.1", {"connect_timeout": 0.2}, port=listener.getsockname()[1])
        with pytest.raises(NotSent, match="connect timeout"):
            gateway.call("POST", SEND, json=MESSAGE)


def test_a_server_that_speaks_no_tls_is_not_sent(connect: Connect, simulator: str) -> None:
    with pytest.raises(NotSent, match="TLS failure"):
        connect(simulator.replace("http:", "https:")).call("POST", SEND, json=MESSAGE)
    assert ledger(simulator) == (0, 0)


def test_a_handshake_that_is_cut_or_stalls_is_not_sent(connect: Connect) -> None:
    with server(lambda client: None) as (port, _), pytest.raises(NotSent):
        connect(f"https://127.0.0.1:{port}").call("POST", SEND, json=MESSAGE)
    done = threading.Event()
    with server(lambda client: done.wait() and None) as (port, _):
        gateway = connect(f"https://127.0.0.1:{port}", {"connect_timeout": 0.2})
        with pytest.raises(NotSent, match="connect timeout"):
            gateway.call("POST", SEND, json=MESSAGE)
        done.set()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate of 127.0.0.1 with its key, in one PEM file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "gateway")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = tmp_path_factory.mktemp("tls") / "gateway.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    pem.write_bytes(private + signed.public_bytes(serialization.Encoding.PEM))
    return pem


def test_what_tls_proves(connect: Connect, certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A certificate nobody trusts stops the request; a TLS error after the request leaves it open."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    requests_read: list[bytes] = []

    def read_and_break(client: socket.socket) -> None:
        requests_read.append(read_request(client))
        raw = socket.socket(fileno=client.detach())
        raw.sendall(b"this is no TLS record")
        raw.shutdown(socket.SHUT_RDWR)
        raw.close()

    with server(read_and_break, context) as (port, _):
        with pytest.raises(NotSent, match=r"TLS failure .*self-signed"):
            connect(f"https://127.0.0.1:{port}").call("POST", SEND, json=MESSAGE)
        assert requests_read == []
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
        with pytest.raises(MaybeSent):
            connect(f"https://127.0.0.1:{port}").call("POST", SEND, json=MESSAGE)
    assert len(requests_read) == 1


def test_a_proxy_that_is_down_is_not_sent(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
    for url in ("http://gateway.invalid", "https://gateway.invalid"):
        with pytest.raises(NotSent, match="connection refused"):
            connect(url).call("POST", SEND, json=MESSAGE)


def test_a_proxy_that_refuses_the_tunnel_is_not_sent(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(client: socket.socket) -> None:
        read_request(client)
        client.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")

    with server(refuse) as (port, _):
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
        with pytest.raises(NotSent):
            connect("https://gateway.invalid").call("POST", SEND, json=MESSAGE)


# Perhaps it was sent


@pytest.mark.parametrize(
    ("fault", "accepted", "kind"),
    [
        ("timeout_before", 0, "read timeout"),
        ("timeout_after", 1, "read timeout"),
        ("drop", 1, "connection lost"),
        ("refuse", 0, "connection lost"),
    ],
)
def test_no_reply_is_maybe_sent_and_sent_once(
    connect: Connect, simulator: str, fault: str, accepted: int, kind: str
) -> None:
    order_fault(simulator, kind=fault)
    gateway = connect(simulator, {"timeout": 0.3})
    with pytest.raises(MaybeSent) as caught:
        gateway.call("POST", SEND, json=MESSAGE)
    assert caught.value.kind == kind
    assert caught.value.__cause__ is None  # it would carry the request, and the token with it
    assert caught.value.__suppress_context__
    assert ledger(simulator) == (1, accepted)
    assert gateway.call("POST", SEND, json=MESSAGE).status == 200  # and the session still works
    assert ledger(simulator) == (2, accepted + 1)


def test_a_kept_alive_connection_that_dies_is_maybe_sent(connect: Connect) -> None:
    """The connection of the first call is used again, so the lost second one is not provably unsent."""

    def answer_once(client: socket.socket) -> None:
        read_request(client)
        client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        read_request(client)

    with server(answer_once) as (port, connections):
        gateway = connect(f"http://127.0.0.1:{port}")
        assert gateway.call("POST", SEND, json=MESSAGE).status == 200
        with pytest.raises(MaybeSent, match="connection lost"):
            gateway.call("POST", SEND, json=MESSAGE)
        assert connections == [0]


@pytest.mark.parametrize(
    "reply",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}",
        b"SSH-2.0-hello\r\n",
        b"",
    ],
)
def test_half_a_reply_is_maybe_sent(connect: Connect, reply: bytes) -> None:
    def answer(client: socket.socket) -> None:
        read_request(client)
        client.sendall(reply)

    with server(answer) as (port, connections):
        with pytest.raises(MaybeSent):
            connect(f"http://127.0.0.1:{port}").call("POST", SEND, json=MESSAGE)
        assert connections == [0]


@pytest.mark.parametrize(
    "reply", [b"HTTP/1.1 200", b"HTTP/1.1 200 OK\r\nDate: Sun", b'HTTP/1.1 200 OK\r\n\r\n{"s']
)
def test_a_reply_cut_where_http_cannot_tell_has_no_body(connect: Connect, reply: bytes) -> None:
    def answer(client: socket.socket) -> None:
        read_request(client)
        client.sendall(reply)

    with server(answer) as (port, connections):
        received = connect(f"http://127.0.0.1:{port}").call("POST", SEND, json=MESSAGE)
        assert (received.status, received.body, connections) == (200, None, [0])


def test_a_failure_handled_before_proves_nothing_about_the_next(connect: Connect, simulator: str) -> None:
    order_fault(simulator, kind="drop")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        closed = listener.getsockname()[1]
    try:
        connect(f"http://127.0.0.1:{closed}").call("POST", SEND, json=MESSAGE)
    except NotSent:
        with pytest.raises(MaybeSent):
            connect(simulator).call("POST", SEND, json=MESSAGE)
    assert ledger(simulator) == (1, 1)


# Secrets and headers


@pytest.mark.parametrize("fault", ["drop", "timeout_before", "error_500", "unauthorized", None])
def test_neither_token_nor_recipient_reach_log_or_exception(
    connect: Connect, simulator: str, caplog: pytest.LogCaptureFixture, fault: str | None
) -> None:
    if fault:
        order_fault(simulator, kind=fault)
    shown = ""
    with caplog.at_level(logging.DEBUG):
        try:
            connect(simulator, {"timeout": 0.3}).call("POST", SEND, json=MESSAGE)
        except GatewayError as error:
            shown = "".join(traceback.format_exception(error)) + repr(error)
    records = "".join(f"{record.getMessage()}{record.__dict__}" for record in caplog.records)
    assert "urllib3" in records  # the debug lines of the libraries are there
    for secret in (TOKEN, RECIPIENT):
        assert secret not in shown
        assert secret not in records


def test_only_the_usual_headers_are_sent(
    connect: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Known extras do not become headers, and a .netrc entry of the host does not replace the token."""
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    app = Starlette(routes=[Route("/echo", lambda request: JSONResponse(dict(request.headers)))])
    with serving(app) as url:
        extra = {"timeout": 4.5, "connect_timeout": "2", "srv_lookup": None}
        headers = connect(url, extra, login="somebody").call("GET", "/echo").body
    assert headers.pop("authorization") == f"Bearer {TOKEN}"
    assert headers.keys() == {"host", "user-agent", "accept", "accept-encoding", "connection"}


def test_an_unknown_extra_is_refused_by_name_and_not_sent(connect: Connect, simulator: str) -> None:
    with pytest.raises(SettingError, match=r"message_gateway: extra = 'X-Api-Key'") as caught:
        connect(simulator, {"X-Api-Key": "k3y"}).call("POST", SEND, json=MESSAGE)
    assert "k3y" not in str(caught.value)
    assert ledger(simulator) == (0, 0)


# Settings


@pytest.mark.parametrize(
    ("fields", "base_url"),
    [
        ({"host": "gw.example", "schema": "https"}, "https://gw.example"),
        ({"host": "gw.example", "schema": "http", "port": 8026}, "http://gw.example:8026"),
        ({"host": "https://gw.example/"}, "https://gw.example"),
        ({"host": "https://gw.example/opa/", "port": 8443}, "https://gw.example:8443/opa"),
        ({"host": "https://gw.example:8443", "port": 8443}, "https://gw.example:8443"),
        ({"host": "http://[::1]:8026"}, "http://[::1]:8026"),
    ],
)
def test_forms_of_the_address(connect: Connect, fields: dict[str, Any], base_url: str) -> None:
    gateway = connect(fields.pop("host"), **fields)
    gateway.get_conn()
    assert gateway.base_url == base_url


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"host": None}, "host: is blank"),
        ({"host": "   "}, "host: is blank"),
        ({"host": "gw.example"}, "schema: is blank"),
        ({"host": "gw.example", "schema": "ftp"}, "schema = 'ftp': must be http or https"),
        ({"host": "ftp://gw.example"}, "host = 'ftp': must be http or https"),
        ({"host": "https://"}, "host = 'https://': is not the address"),
        ({"host": "https://gw example"}, "host = 'https://gw example': is not the address"),
        ({"host": "https://gw.example?a=1"}, "host"),
        ({"host": "https://gw.example:99999"}, "port number"),
        ({"host": "https://gw.example:1", "port": 2}, "port = 2: the host already says 1"),
        ({"password": None}, "password: is blank"),
        ({"password": "   "}, "password: is blank"),
        ({"password": "two words"}, "password: has spaces"),
        ({"password": "ação"}, "password: has spaces or characters outside ASCII"),
        ({"extra": {"timeout": 0}}, "extra timeout = 0: must be a number of seconds above 0"),
        ({"extra": {"timeout": -1}}, "extra timeout = -1"),
        ({"extra": {"connect_timeout": "soon"}}, "extra connect_timeout = 'soon'"),
        ({"extra": {"timeout": True}}, "extra timeout = True"),
        ({"extra": {"timeout": None}}, "extra timeout"),
        ({"extra": {"timeout": "nan"}}, "extra timeout = 'nan'"),
        ({"extra": {"timeout": 1e300}}, "extra timeout = 1e\\+300"),
        ({"extra": {"timeout": [5]}}, "extra timeout"),
        ({"extra": "not json"}, "extra: is not a JSON object"),
        ({"extra": "[1]"}, "extra: is not a JSON object"),
        ({"extra": {"srv_lookup": True}}, "extra = 'srv_lookup'"),
    ],
)
def test_a_wrong_setting_names_its_field(connect: Connect, fields: dict[str, Any], message: str) -> None:
    fields = {"host": "https://gw.example", **fields}
    with pytest.raises(SettingError, match=message) as caught:
        connect(fields.pop("host"), **fields).call("GET", "/")
    assert "connection message_gateway" in str(caught.value)
    for secret in (TOKEN, "two words", "ação"):
        assert secret not in str(caught.value)


def test_credentials_in_the_host_are_refused_and_not_shown(connect: Connect) -> None:
    with pytest.raises(SettingError, match="host: must not hold credentials") as caught:
        connect("https://me:hunter2@gw.example").call("GET", "/")
    assert "hunter2" not in str(caught.value)


def test_a_missing_connection_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AIRFLOW_CONN_MESSAGE_GATEWAY", raising=False)
    with pytest.raises(SettingError, match="connection = 'message_gateway': not defined"):
        GatewayHook().call("GET", "/")


def test_misuse_is_refused(connect: Connect, simulator: str) -> None:
    gateway = connect(simulator)
    with pytest.raises(ValueError, match="path must start with a slash"):
        gateway.call("GET", "@elsewhere.example/")
    with pytest.raises(NotImplementedError, match=r"call\(\)"):
        gateway.run(SEND)


def test_timeouts_default_and_are_read_from_the_extra(connect: Connect, simulator: str) -> None:
    gateway = connect(simulator)
    gateway.get_conn()
    assert gateway._timeout == (5.0, 30.0)
    gateway = connect(simulator, {"connect_timeout": 2, "timeout": "7.5"})
    gateway.get_conn()
    assert gateway._timeout == (2.0, 7.5)


def test_close_opens_the_way_for_new_settings(connect: Connect, simulator: str) -> None:
    gateway = connect(simulator, password="old-token")
    assert gateway.call("GET", "/api/v1/template").status == 401
    connect(simulator)
    assert gateway.call("GET", "/api/v1/template").status == 401
    gateway.close()
    assert gateway.call("GET", "/api/v1/template").status == 200
