"""The outside world of the embedded environment in one process: the mailbox and a message gateway.

Run it with `python -m rotina.local.partners`; it serves on loopback until it gets SIGINT or SIGTERM.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.applications import Starlette

from rotina.local import gateway_simulator, mailbox
from rotina.local.environment import load_secrets
from rotina.local.settings import LocalSettings

_HOST = "127.0.0.1"
#: Where the demonstration's gateway, whose code is `opa`, tells how far messages got.
_WEBHOOK_PATH = "/rotina/webhooks/opa"


class _Server(uvicorn.Server):
    """A server that leaves the signals to `serve`, which runs several of them."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(settings: LocalSettings) -> None:
    """Serve mail, its web view and the gateway until SIGINT or SIGTERM. Raises OSError for a taken port."""
    messages = mailbox.Mailbox(settings.home / "mailbox")
    ledger = settings.home / "gateway" / "ledger.jsonl"
    ledger.parent.mkdir(parents=True, exist_ok=True)
    own = load_secrets(settings.home)
    webhook = gateway_simulator.Webhook(settings.airflow_url + _WEBHOOK_PATH, own.gateway_webhook_secret)
    gateway = gateway_simulator.create_app(own.gateway_token, ledger, webhook)
    servers = [
        _web_server(mailbox.create_app(messages), settings.mailbox_port),
        _web_server(gateway, settings.gateway_port),
    ]

    def stop() -> None:
        for server in servers:
            server.should_exit = True

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    smtp = await loop.create_server(lambda: mailbox.create_smtp(messages), _HOST, settings.smtp_port)
    async with smtp:
        await asyncio.gather(*(server.serve() for server in servers))


def _web_server(app: Starlette, port: int) -> _Server:
    # A request that hangs on purpose (the gateway simulator can) must not hold up the end.
    config = uvicorn.Config(app, host=_HOST, port=port, log_level="warning", timeout_graceful_shutdown=2)
    return _Server(config)


if __name__ == "__main__":
    asyncio.run(serve(LocalSettings.from_environment()))
