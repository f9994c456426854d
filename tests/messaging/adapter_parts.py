"""What the tests of the adapters share: a gateway, a message, and servers that misbehave as they are told."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from rotina.local.gateway_simulator import CHANNEL_ID
from rotina.messaging.adapters import Adapter, HttpEndpoint, Outgoing, SmtpEndpoint
from rotina.messaging.adapters.opening import open_adapter
from rotina.messaging.gateways import Gateway, Kind
from rotina.messaging.outcome import Result

TOKEN = "tok-5f0c9a-secret"
PHONE = "+5511987654321"
SETTINGS: dict[Kind, dict[str, Any]] = {
    "opa_suite": {"channel_id": CHANNEL_ID},
    "http_json": {
        "send_path": "/json/v1/messages",
        "status_path": "/json/v1/messages/{key}",
        "available_path": "/json/v1/available",
        "absent_is_final": True,
    },
    "smtp": {},
}

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def gateway(kind: Kind, **changes: Any) -> Gateway:
    """A gateway of that kind, set up for the simulator."""
    usual = Gateway(
        id=1,
        code="main",
        name="Main",
        kind=kind,
        connection_id="message_gateway",
        settings=SETTINGS[kind],
        active=True,
        timezone="America/Sao_Paulo",
        max_in_flight=8,
        dispatchers=1,
        rate=None,
        burst=None,
        daily_quota=None,
        max_attempts=5,
        backoff_seconds=30,
        backoff_most_seconds=3600,
        hold_seconds=900,
        call_timeout_seconds=30,
        payload_limit=65_536,
        paused_at=None,
        paused_by=None,
        pause_reason=None,
        windows=(),
    )
    return replace(usual, **changes)


def template_message(**changes: Any) -> Outgoing:
    """A message for opa_suite or http_json that the simulator takes."""
    payload = {"template": "65f0c0de0000000000000002", "variables": ["Ana Gonçalves", "129,90"]}
    usual = Outgoing(id=7, number=2, recipient=PHONE, payload=payload, dedupe_key="billing:42/2026-11-20")
    return replace(usual, **changes)


@asynccontextmanager
async def opened(
    kind: Kind, endpoint: HttpEndpoint | SmtpEndpoint | str, **changes: Any
) -> AsyncIterator[Adapter]:
    """An open adapter; a string is the address of an HTTP gateway."""
    if isinstance(endpoint, str):
        endpoint = HttpEndpoint(endpoint, TOKEN, connect_timeout=5.0)
    adapter = open_adapter(gateway(kind, **changes), endpoint)
    try:
        yield adapter
    finally:
        await adapter.close()


def send(
    kind: Kind, endpoint: HttpEndpoint | SmtpEndpoint | str, message: Outgoing, **changes: Any
) -> Result:
    """What becomes of one message."""

    async def run() -> Result:
        async with opened(kind, endpoint, **changes) as adapter:
            return await adapter.send(message)

    return asyncio.run(run())


@asynccontextmanager
async def serving_tcp(handle: Handler, **arguments: Any) -> AsyncIterator[int]:
    """A server in this event loop that does with each connection what `handle` does; yields its port."""
    tasks: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await handle(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client has gone, or the test is over
        finally:
            writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0, **arguments)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def closed_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return int(unused.getsockname()[1])


def write_certificate(path: Path) -> None:
    """Write a self-signed certificate of 127.0.0.1 with its key, in one PEM file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "partner")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now - timedelta(1), now + timedelta(1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + signed.public_bytes(serialization.Encoding.PEM))
