"""Kept-alive HTTP/1.1 connections to one server that say exactly how far a request got.

A general client hides what matters most here: whether a byte of the request left before something broke. And
it spends more on a request than all the bookkeeping of the queue (docs/adr/0009-http-connections.md). The
protocol itself is read by httptools, the parser of Node.js.
"""

from __future__ import annotations

import asyncio
import select
import ssl
import time
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast
from urllib.parse import SplitResult, unquote, urlsplit

import httptools

#: Seconds that an idle connection is used again. Servers close idle ones after 5 s (uvicorn) to 75 s (nginx)
#: without a word; a request that meets the closing has no reply.
KEEP_IDLE_SECONDS = 2.0

#: Seconds of idleness after which the socket itself is asked whether something lies in it.
LOOK_AFTER_SECONDS = 0.001

#: Bytes of a reply that are read, head and body.
LONGEST_REPLY = 1_000_000

_PORTS = {"http": 80, "https": 443}


class NotConnectedError(Exception):
    """No connection was made, so nothing was sent. Its cause says why."""


class ProxyRefusedError(Exception):
    """A proxy answered the request for a tunnel with another status than 2xx."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class ConnectionLostError(Exception):
    """The connection broke, or what came was no HTTP, after the request had been written."""


class NoReplyError(Exception):
    """The reply did not come in time after the request had been written."""


@dataclass(slots=True)
class RawReply:
    """A whole reply, or the beginning of one that is too long."""

    status: int
    headers: dict[str, str]
    """By name in lower case."""
    body: bytes
    whole: bool = True


class HttpConnections:
    """The connections to the server of a base URL. To be used inside one event loop.

    Args:
        base_url: scheme, host and port count; the path is of no use here.
        tls: for https, of the server or of the proxy; their certificates are checked against it.
        proxy: base URL of a proxy (http or https, with credentials or without); None: the server itself.
        headers: of every request.
        keep: connections that are kept for later at most.
        connect_seconds: until a connection stands, its TLS handshake and a proxy's tunnel included.
        seconds: a whole call at most.
    """

    def __init__(
        self,
        base_url: str,
        *,
        headers: Mapping[str, str],
        keep: int,
        connect_seconds: float,
        seconds: float,
        tls: ssl.SSLContext | None = None,
        proxy: str | None = None,
    ) -> None:
        self._server = urlsplit(base_url)
        self._proxy = urlsplit(proxy) if proxy else None
        self._tls = tls
        self._keep = keep
        self._connect_seconds = connect_seconds
        self._seconds = seconds
        self._idle: list[_Connection] = []
        self._closed = False
        host = self._server.netloc.rpartition("@")[2]
        fields = {"Host": host, **headers}
        self._target = b""
        if self._proxy and self._server.scheme == "http":  # no tunnel: the proxy is told the whole address
            self._target = f"http://{host}".encode()
            fields |= _credentials(self._proxy)
        self._head = b"".join(_field(name, value) for name, value in fields.items())

    async def request(
        self, method: bytes, target: bytes, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> RawReply:
        """Send one request, once, and read the reply.

        Args:
            method: GET or POST; a POST has a body.
            target: the path with its query, percent-encoded.
            body: of the request.
            headers: of this request, besides those of every one.

        Raises:
            NotConnectedError: nothing was sent.
            NoReplyError, ConnectionLostError: it may have been sent.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._seconds
        more = b"".join(_field(name, value) for name, value in headers.items()) if headers else b""
        if body:
            more += b"Content-Length: %d\r\n" % len(body)
        written = b"%b %b%b HTTP/1.1\r\n%b%b\r\n%b" % (method, self._target, target, self._head, more, body)
        connection = self._take_idle() or await self._connect()
        reply = await connection.exchange(written, deadline)
        if connection.usable and not self._closed and len(self._idle) < self._keep:
            self._idle.append(connection)
        else:
            connection.abort()
        return reply

    def close(self) -> None:
        """Close the idle connections."""
        self._closed = True
        while self._idle:
            self._idle.pop().abort()

    def _take_idle(self) -> _Connection | None:
        while self._idle:
            connection = self._idle.pop()
            idle = time.monotonic() - connection.replied_at
            if connection.usable and idle < KEEP_IDLE_SECONDS and connection.quiet(idle):
                return connection
            connection.abort()
        return None

    async def _connect(self) -> _Connection:
        try:
            async with asyncio.timeout(self._connect_seconds):
                if self._proxy and self._server.scheme == "https":
                    connection = await self._tunnel(self._proxy)
                else:
                    connection = await self._open(self._proxy or self._server)
        except (OSError, ValueError, ProxyRefusedError, ConnectionLostError, NoReplyError) as error:
            raise NotConnectedError from error
        if connection.transport.is_closing():  # what is written now would be thrown away
            connection.abort()
            raise NotConnectedError from ConnectionResetError("closed as soon as it stood")
        return connection

    async def _open(self, to: SplitResult) -> _Connection:
        """A connection to a server or a proxy, whose own certificate is checked against the same roots."""
        _, connection = await asyncio.get_running_loop().create_connection(
            _Connection,
            str(to.hostname),
            to.port or _PORTS[to.scheme],
            ssl=(self._tls or True) if to.scheme == "https" else None,
            happy_eyeballs_delay=0.25,
        )
        return connection

    async def _tunnel(self, proxy: SplitResult) -> _Connection:
        """A connection through a proxy to the server itself, which the proxy cannot read."""
        host = f"[{self._server.hostname}]" if ":" in str(self._server.hostname) else self._server.hostname
        server = f"{host}:{self._server.port or _PORTS['https']}"
        fields = {"Host": server, **_credentials(proxy)}
        head = b"".join(_field(name, value) for name, value in fields.items())
        loop = asyncio.get_running_loop()
        outer = await self._open(proxy)
        reply = await outer.exchange(
            b"CONNECT %b HTTP/1.1\r\n%b\r\n" % (server.encode(), head),
            loop.time() + self._connect_seconds,
            head_only=True,
        )
        if not 200 <= reply.status < 300:
            outer.abort()
            raise ProxyRefusedError(reply.status)
        try:
            inner = _Connection()
            transport = await loop.start_tls(
                outer.transport,
                inner,
                self._tls or ssl.create_default_context(),
                server_hostname=self._server.hostname,
            )
            inner.connection_made(cast(asyncio.BaseTransport, transport))
        except BaseException:
            outer.abort()
            raise
        return inner


def _field(name: str, value: str) -> bytes:
    if not (name + value).isprintable():
        raise ValueError(f"no header can hold {name}")
    return f"{name}: {value}\r\n".encode("latin-1")


def _credentials(proxy: SplitResult) -> dict[str, str]:
    if proxy.username is None:
        return {}
    login = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    return {"Proxy-Authorization": f"Basic {b64encode(login.encode()).decode()}"}


class _Connection(asyncio.Protocol):
    """One connection: one request at a time, until its reply is whole."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport
        self.replied_at = 0.0
        self.usable = False
        """Whether another request can follow."""
        self._waiting: asyncio.Future[RawReply] | None = None
        self._look: select.poll | None = None

    async def exchange(self, request: bytes, deadline: float, *, head_only: bool = False) -> RawReply:
        """Write a request and read its reply; `head_only` where the reply has no body of its own."""
        loop = asyncio.get_running_loop()
        self.usable = False
        self._head_only = head_only
        self._parser = httptools.HttpResponseParser(self)
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._size = 0
        self._headed = self._done = False
        waiting: asyncio.Future[RawReply] = loop.create_future()
        self._waiting = waiting
        timer = loop.call_at(deadline, self._expire)
        try:
            self.transport.write(request)
            return await waiting
        except BaseException:
            self.abort()
            raise
        finally:
            timer.cancel()
            self._waiting = None

    def quiet(self, idle: float) -> bool:
        """Whether nothing came unasked, nor an end, that the event loop has not read yet."""
        if self.transport.is_closing():
            return False
        if idle < LOOK_AFTER_SECONDS:
            return True
        if self._look is None:
            self._look = select.poll()
            self._look.register(self.transport.get_extra_info("socket").fileno(), select.POLLIN)
        return not self._look.poll(0)

    def abort(self) -> None:
        """Close at once, without a word."""
        self.usable = False
        self.transport.abort()

    def _expire(self) -> None:
        self._fail(NoReplyError())

    def _fail(self, error: Exception) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(error)

    def _succeed(self) -> None:
        self._done = True
        whole = self._size <= LONGEST_REPLY
        if self._waiting is not None and not self._waiting.done():
            self.replied_at = time.monotonic()
            self._waiting.set_result(
                RawReply(self._parser.get_status_code(), self._headers, b"".join(self._body), whole)
            )

    # -- what asyncio tells -----------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self._waiting is None or self._done:
            self.usable = False  # nobody asked
            return
        self._size += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            if not self._done:
                self._fail(ConnectionLostError("the server wants another protocol"))
        except httptools.HttpParserError as error:
            if self._done:
                self.usable = False  # what came behind the reply
            else:
                self._fail(ConnectionLostError(f"what came is no HTTP/1.1: {error}"))
        if self._size > LONGEST_REPLY and not self._done:
            if self._headed:
                self._succeed()
            else:
                self._fail(ConnectionLostError("a head without end"))
            self.usable = False

    def connection_lost(self, error: Exception | None) -> None:
        self.usable = False
        if self._waiting is None or self._done:
            return
        unframed = not {"content-length", "transfer-encoding"} & self._headers.keys()
        # Such a reply ends with its connection. Over TLS it may have been cut, since asyncio does not tell a
        # missing close_notify: JSON that was cut cannot be read.
        if error is None and self._headed and unframed:
            self._succeed()
        else:
            self._fail(ConnectionLostError(type(error).__name__ if error else "closed by the server"))

    # -- what the parser tells --------------------------------------------------------------------------

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._headed:  # a trailer, or of what came behind the reply
            return
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        if self._headed:
            return
        if self._parser.get_status_code() < 200:  # 100 Continue, 103 Early Hints: the reply is yet to come
            self._headers.clear()
            return
        self._headed = True
        if self._head_only:
            self._succeed()

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        if self._headed and not self._done:
            self.usable = self._parser.should_keep_alive() and not self.transport.get_write_buffer_size()
            self._succeed()

    def on_message_begin(self) -> None:
        if self._headed:
            self.usable = False  # a second reply to one request
