"""What the benchmarks send to: servers in processes of their own that take everything and keep nothing."""

from __future__ import annotations

import asyncio
import itertools
import multiprocessing
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import cast

import uvloop

#: Of commands that take more than "ok".
_SMTP_REPLIES = {
    b"EHLO": b"250-sink\r\n250-SIZE 26214400\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n",
    b"DATA": b"354 go on\r\n",
    b"QUIT": b"221 bye\r\n",
}
_SPAWN = multiprocessing.get_context("spawn")


@contextmanager
def http_stub(latency: float = 0.0) -> Iterator[str]:
    """The base URL of a gateway that accepts every message, each under a new key, after `latency` seconds."""
    with _serving(_HttpStub, latency) as port:
        yield f"http://127.0.0.1:{port}"


@contextmanager
def smtp_sink() -> Iterator[int]:
    """The port of a mail server that accepts every message."""
    with _serving(_SmtpSink) as port:
        yield port


@contextmanager
def _serving(protocol: Callable[..., asyncio.Protocol], *arguments: object) -> Iterator[int]:
    receiver, sender = _SPAWN.Pipe(duplex=False)
    process = _SPAWN.Process(target=_serve, args=(protocol, arguments, sender), daemon=True)
    process.start()
    try:
        yield receiver.recv()
    finally:
        process.terminate()
        process.join()


def _serve(
    protocol: Callable[..., asyncio.Protocol], arguments: tuple[object, ...], port: Connection
) -> None:
    async def serve() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: protocol(*arguments), "127.0.0.1", 0, backlog=1024)
        port.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    uvloop.run(serve())


class _HttpStub(asyncio.Protocol):
    """Just enough of HTTP: requests with a Content-Length, answered as Opa! Suite does."""

    _keys = itertools.count(0x65F0C0DE0000000000000000)

    def __init__(self, latency: float) -> None:
        self._latency = latency
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            _, found, length = self._received[:end].lower().partition(b"content-length:")
            end += 4 + (int(length.split(b"\r\n", 1)[0]) if found else 0)
            if len(self._received) < end:
                return
            self._received = self._received[end:]
            self._answer()

    def _answer(self) -> None:
        body = b'{"status":"success","code":200,"data":{"messageSentId":"%x"}}' % next(self._keys)
        reply = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
            len(body),
            body,
        )
        if self._latency:
            asyncio.get_running_loop().call_later(self._latency, self._transport.write, reply)
        else:
            self._transport.write(reply)


class _SmtpSink(asyncio.Protocol):
    """Just enough of SMTP (RFC 5321)."""

    def __init__(self) -> None:
        self._received = b""
        self._in_data = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(b"220 sink\r\n")

    def data_received(self, data: bytes) -> None:
        self._received += data
        while True:
            line, found, rest = self._received.partition(b"\r\n.\r\n" if self._in_data else b"\r\n")
            if not found:
                return
            self._received = rest
            command = b"" if self._in_data else line[:4].upper()
            self._in_data = command == b"DATA"
            self._transport.write(_SMTP_REPLIES.get(command, b"250 ok\r\n"))
            if command == b"QUIT":
                self._transport.close()
