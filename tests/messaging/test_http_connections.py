"""Connections to a gateway: what is used again, what is not, and how far a request got."""

from __future__ import annotations

import asyncio
import base64
import socket
import ssl
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from rotina.messaging.adapters import http_connections
from rotina.messaging.adapters.http_connections import (
    ConnectionLostError,
    HttpConnections,
    NoReplyError,
    NotConnectedError,
    ProxyRefusedError,
    RawReply,
)
from tests.messaging.adapter_parts import serving_tcp, write_certificate

_OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def read_request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
    return head + await reader.readexactly(int(length or 0))


def answering(*answers: bytes, accepted: list[bytes] | None = None) -> Handler:
    """A server that answers the requests of a connection with these bytes, then reads on."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in answers:
            request = await read_request(reader)
            if accepted is not None:
                accepted.append(request)
            writer.write(answer)
            await writer.drain()
        await reader.read()

    return handle


def connections(url: str, **changes: Any) -> HttpConnections:
    values: dict[str, Any] = {"headers": {}, "keep": 4, "connect_seconds": 2.0, "seconds": 2.0}
    return HttpConnections(url, **values | changes)


def replies_to(handle: Handler, number: int = 1, **changes: Any) -> tuple[list[RawReply | str], int]:
    """What becomes of requests one after the other, and how many connections they took."""
    taken = 0

    async def counted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal taken
        taken += 1
        await handle(reader, writer)

    async def run() -> list[RawReply | str]:
        found: list[RawReply | str] = []
        async with serving_tcp(counted) as port:
            pool = connections(f"http://127.0.0.1:{port}", **changes)
            for _ in range(number):
                try:
                    found.append(await pool.request(b"POST", b"/send", b"{}"))
                except (NotConnectedError, NoReplyError, ConnectionLostError) as error:
                    found.append(type(error).__name__)
                await asyncio.sleep(0.02)  # what comes behind a reply arrives
            pool.close()
        return found

    return asyncio.run(run()), taken


def test_what_is_written() -> None:
    accepted: list[bytes] = []
    replies, _ = replies_to(answering(_OK, accepted=accepted), headers={"Authorization": "Bearer x"})
    head, _, body = accepted[0].partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[0] == b"POST /send HTTP/1.1"
    assert lines[1].startswith(b"Host: 127.0.0.1:")
    assert lines[2:] == [b"Authorization: Bearer x", b"Content-Length: 2"]
    assert body == b"{}"
    assert replies == [RawReply(200, {"content-length": "2"}, b"{}")]


def test_a_connection_is_used_again() -> None:
    replies, taken = replies_to(answering(*[_OK] * 3), number=3)
    assert [reply.body for reply in replies if isinstance(reply, RawReply)] == [b"{}"] * 3
    assert taken == 1


_LENGTH = {"content-length": "2"}


@pytest.mark.parametrize(
    ("answer", "reply"),
    [
        (
            _OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"),
            RawReply(200, {**_LENGTH, "connection": "close"}, b"{}"),
        ),
        (_OK.replace(b"HTTP/1.1", b"HTTP/1.0"), RawReply(200, _LENGTH, b"{}")),
        (_OK + b"more", RawReply(200, _LENGTH, b"{}")),
        (
            _OK + b"HTTP/1.1 429 Slow\r\nRetry-After: 5\r\nContent-Length: 0\r\n\r\n",
            RawReply(200, _LENGTH, b"{}"),
        ),
        (
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n" + _OK,
            "ConnectionLostError",
        ),
    ],
    ids=["close", "1.0", "more", "twice", "upgrade"],
)
def test_a_connection_that_is_no_longer_in_step_is_not_used_again(
    answer: bytes, reply: RawReply | str
) -> None:
    assert replies_to(answering(answer, answer), number=2) == ([reply, reply], 2)


def test_a_trailer_is_no_header() -> None:
    answer = (
        b"HTTP/1.1 429 Slow\r\nRetry-After: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"2\r\n{}\r\n0\r\nRetry-After: 99999\r\n\r\n"
    )
    ((reply,), _) = replies_to(answering(answer))
    assert reply == RawReply(429, {"retry-after": "5", "transfer-encoding": "chunked"}, b"{}")


def test_what_comes_unasked_is_no_reply_to_the_next_request() -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(_OK)
        await writer.drain()
        await asyncio.sleep(0.005)
        writer.write(_OK.replace(b"{}", b"[]"))
        await reader.read()

    replies, taken = replies_to(handle, number=2)
    assert [reply.body for reply in replies if isinstance(reply, RawReply)] == [b"{}"] * 2
    assert taken == 2


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize(
    "unasked", [b"HTTP/1.1 503 Draining\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n", _OK, b""]
)
def test_what_the_loop_has_not_read_yet_is_no_reply_to_the_next_request(
    tmp_path: Path, unasked: bytes, tls: bool
) -> None:
    """It lies in the socket when a busy loop takes the connection out again; empty: the end of it."""
    certificate = tmp_path / "gateway.pem"
    write_certificate(certificate)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)

    def serve(server: socket.socket) -> None:
        server.settimeout(5)
        for number in range(2):
            accepted, _ = server.accept()
            stream = context.wrap_socket(accepted, server_side=True) if tls else accepted
            streams.append(stream)
            stream.recv(65_536)
            stream.sendall(_OK)
            if number == 0:
                answered.wait(5)
                if unasked:
                    stream.sendall(unasked)
                else:
                    stream.close()
                arrived.set()

    async def run(port: int) -> list[int]:
        roots = ssl.create_default_context(cafile=str(certificate)) if tls else None
        pool = connections(f"http{'s' if tls else ''}://127.0.0.1:{port}", tls=roots)
        first = await pool.request(b"POST", b"/send", b"{}")
        time.sleep(2 * http_connections.LOOK_AFTER_SECONDS)
        answered.set()
        arrived.wait(5)
        second = await pool.request(b"POST", b"/send", b"{}")
        pool.close()
        return [first.status, second.status]

    streams: list[socket.socket] = []
    answered = threading.Event()
    arrived = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, args=(server,))
        thread.start()
        assert asyncio.run(run(server.getsockname()[1])) == [200, 200]
        thread.join()
    for stream in streams:
        stream.close()


def test_a_connection_that_was_idle_for_long_is_not_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_connections, "KEEP_IDLE_SECONDS", 0.01)
    assert replies_to(answering(_OK, _OK), number=2)[1] == 2


def test_no_more_connections_are_kept_than_set() -> None:
    assert replies_to(answering(_OK, _OK), number=2, keep=0)[1] == 2


@pytest.mark.parametrize(
    "interim", [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Hints\r\nLink: x\r\n\r\n"]
)
def test_an_interim_reply_is_not_the_reply(interim: bytes) -> None:
    replies, taken = replies_to(answering(interim + _OK, interim + _OK), number=2)
    assert replies == [RawReply(200, {"content-length": "2"}, b"{}")] * 2
    assert taken == 1


def test_a_reply_in_single_bytes() -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        for number in range(len(_OK)):
            writer.write(_OK[number : number + 1])
            await writer.drain()
            await asyncio.sleep(0)
        await reader.read()

    assert replies_to(handle)[0] == [RawReply(200, {"content-length": "2"}, b"{}")]


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n{}", b"{}"),  # as long as the connection lasts
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{}", None),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n", None),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{} ", None),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}", None),
        (b"ICY 200 OK\r\n\r\n{}", None),
    ],
)
def test_a_reply_that_ends_with_its_connection(answer: bytes, found: bytes | None) -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(answer)
        await writer.drain()

    ((reply,), _) = replies_to(handle)
    assert reply == "ConnectionLostError" if found is None else isinstance(reply, RawReply)
    assert found is None or getattr(reply, "body", None) == found


def test_no_reply_in_time_may_have_been_sent_and_the_late_one_is_not_the_next_one_s() -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        await asyncio.sleep(0.15)
        writer.write(_OK)
        await reader.read()

    assert replies_to(handle, number=2, seconds=0.1) == (["NoReplyError"] * 2, 2)


def test_a_head_without_end_is_not_read_to_it() -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\n")
        while True:
            writer.write(b"X: " + b"x" * 10_000 + b"\r\n")
            await writer.drain()

    assert replies_to(handle)[0] == ["ConnectionLostError"]


def test_a_reply_that_comes_before_the_request_was_written_ends_its_connection() -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too much\r\nContent-Length: 0\r\n\r\n")
        await asyncio.Event().wait()

    async def run() -> tuple[int, int]:
        async with serving_tcp(handle) as port:
            pool = connections(f"http://127.0.0.1:{port}")
            reply = await pool.request(b"POST", b"/send", b" " * 30_000_000)
            return reply.status, len(pool._idle)

    assert asyncio.run(run()) == (413, 0)


def test_a_call_under_way_leaves_nothing_in_a_pool_that_was_closed() -> None:
    async def run() -> int:
        async with serving_tcp(answering(_OK)) as port:
            pool = connections(f"http://127.0.0.1:{port}")
            call = asyncio.create_task(pool.request(b"POST", b"/send", b"{}"))
            await asyncio.sleep(0)
            pool.close()
            assert (await call).status == 200
            return len(pool._idle)

    assert asyncio.run(run()) == 0


def test_a_refused_header_takes_no_connection() -> None:
    async def run() -> int:
        taken = 0

        async def counted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal taken
            taken += 1
            await reader.read()

        async with serving_tcp(counted) as port:
            pool = connections(f"http://127.0.0.1:{port}")
            with pytest.raises(ValueError, match="Key"):
                await pool.request(b"POST", b"/send", b"{}", {"Key": "a\nb"})
            await asyncio.sleep(0.02)
        return taken

    assert asyncio.run(run()) == 0


def test_a_header_that_is_two_is_refused_before_anything_is_sent() -> None:
    with pytest.raises(ValueError, match="Authorization"):
        connections("http://127.0.0.1:1", headers={"Authorization": "a\r\nX-Other: b"})


# -- proxies ---------------------------------------------------------------------------------------------


def tunnelled(
    tmp_path: Path, answer: bytes, login: str = ""
) -> tuple[RawReply | BaseException | None, list[bytes]]:
    """What becomes of requests over https through a proxy that answers CONNECT so, and what it was asked."""
    certificate = tmp_path / "gateway.pem"
    write_certificate(certificate)
    server_tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server_tls.load_cert_chain(certificate)
    asked: list[bytes] = []

    async def run() -> RawReply | BaseException | None:
        async with serving_tcp(answering(_OK, _OK), ssl=server_tls) as server:

            async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                asked.append(await reader.readuntil(b"\r\n\r\n"))
                writer.write(answer)
                far_reader, far_writer = await asyncio.open_connection("127.0.0.1", server)

                async def pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
                    while part := await source.read(65_536):
                        target.write(part)
                    target.close()

                await asyncio.gather(pump(reader, far_writer), pump(far_reader, writer))

            async with serving_tcp(proxy) as port:
                pool = connections(
                    f"https://127.0.0.1:{server}",
                    tls=ssl.create_default_context(cafile=str(certificate)),
                    proxy=f"http://{login}127.0.0.1:{port}",
                )
                try:
                    await pool.request(b"POST", b"/send", b"{}")
                    return await pool.request(b"POST", b"/send", b"{}")
                except NotConnectedError as error:
                    return error.__cause__
                finally:
                    pool.close()

    return asyncio.run(run()), asked


def test_https_goes_through_a_tunnel(tmp_path: Path) -> None:
    reply, asked = tunnelled(tmp_path, b"HTTP/1.1 200 Connection established\r\n\r\n", "ana:s%40o@")
    assert isinstance(reply, RawReply)
    assert reply.body == b"{}"
    assert len(asked) == 1  # the connection was kept
    assert asked[0].startswith(b"CONNECT 127.0.0.1:")
    assert b"Proxy-Authorization: Basic " + base64.b64encode(b"ana:s@o") in asked[0]


def test_a_proxy_that_refuses_the_tunnel_has_sent_nothing(tmp_path: Path) -> None:
    refused, asked = tunnelled(tmp_path, b"HTTP/1.1 407 Login\r\nContent-Length: 0\r\n\r\n")
    assert isinstance(refused, ProxyRefusedError)
    assert refused.status == 407
    assert b"Proxy-Authorization" not in asked[0]


def test_a_proxy_of_plain_http_is_told_the_whole_address() -> None:
    accepted: list[bytes] = []

    async def run() -> RawReply:
        async with serving_tcp(answering(_OK, accepted=accepted)) as port:
            pool = connections("http://gateway.invalid", proxy=f"http://ana:secret@127.0.0.1:{port}")
            try:
                return await pool.request(b"POST", b"/send", b"{}")
            finally:
                pool.close()

    assert asyncio.run(run()).status == 200
    assert accepted[0].startswith(b"POST http://gateway.invalid/send HTTP/1.1\r\nHost: gateway.invalid\r\n")
    assert b"\r\nProxy-Authorization: Basic " in accepted[0]
