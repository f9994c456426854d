"""The gateway simulator in a process of its own, slowed so that calls are under way when something dies.

`python -m tests.chaos.simulator LEDGER` prints its address, and serves until SIGTERM.
"""

from __future__ import annotations

import asyncio
import random
import socket
import sys
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from rotina.local.gateway_simulator import create_app

TOKEN = "chaos"
#: Longest wait, in seconds, before a request is looked at, and again before it is answered.
_SLOWNESS = 0.08


def slowed(app: ASGIApp) -> ASGIApp:
    """The application as seen over a slow line; its control paths stay quick."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith("/simulator"):
            return await app(scope, receive, send)

        async def send_late(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                await asyncio.sleep(random.uniform(0, _SLOWNESS))
            await send(message)

        await asyncio.sleep(random.uniform(0, _SLOWNESS))
        return await app(scope, receive, send_late)

    return serve


def main(ledger: Path) -> None:
    """Serve on a free port of loopback."""
    config = uvicorn.Config(
        slowed(create_app(TOKEN, ledger)), lifespan="off", log_level="warning", timeout_graceful_shutdown=2
    )
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print("http://{}:{}".format(*listener.getsockname()), flush=True)
        uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
