"""Benchmarks of queue_dispatch: sending with full bookkeeping, against loops that only send.

Every figure is in messages per second of whole runs. Each run is a new process, what it sends to is another,
and the runs of a figure and of its baseline take turns. PostgreSQL waits for the disk at each commit.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import multiprocessing
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, make_msgid
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any, get_args

import aiohttp
import aiosmtplib
import asyncpg
import psycopg
from psycopg.types.json import Jsonb

from benchmarks.harness import Result, Sizes, benchmark, database, timed
from benchmarks.stubs import http_stub, smtp_sink
from rotina.messaging.adapters import HttpEndpoint, SmtpEndpoint
from rotina.messaging.adapters.opening import open_adapter
from rotina.messaging.gateways import Day, GatewaySettings, Window, load_gateway, save_gateway
from rotina.messaging.queue_dispatch import Dispatcher

ROUNDS = 5
IN_FLIGHT = 256
MAIL_CONNECTIONS = 16
#: What the bare loop is tried with first, to be measured with what suits it best.
CONCURRENCIES = (32, 64, 128, 256)
#: Seconds that a gateway takes to answer, in the benchmark of two dispatchers.
LATENCY = 0.05
#: Consumers and jobs per claim of pgqueuer, as in the benchmark that it comes with.
PGQUEUER = (5, 10)
#: How many messages the dispatcher sends whose memory is measured, and how many wait.
SENT_FOR_MEMORY = 20_000
WAITING_FOR_MEMORY = 1_000_000

GATEWAY = "bench"
CHANNEL = "65f0c0de00000000000000c1"
SEND_PATH = "/api/v1/template/send"
PAYLOAD: dict[str, Any] = {
    "template": "65f0c0de0000000000000001",
    "variables": ["Ana", "129,90", "20/11/2026"],
}
SENDER = "cobranca@example.com"
MAIL = {
    "subject": "Sua fatura vence amanhã",
    "text": "Olá, Ana!\n\nSua fatura de R$ 129,90 vence em 20/11/2026.\n" * 5,
    "html": "<p>Olá, Ana!</p><p>Sua fatura de <b>R$ 129,90</b> vence em 20/11/2026.</p>\n" * 5,
    "unsubscribe_url": "https://example.com/descadastro/65f0c0de0000000000000001",
}

_SQL = Path(__file__).parent / "sql"
_SPAWN = multiprocessing.get_context("spawn")
_barrier: Barrier  # of a measured process

_MEMORY = """
import asyncio, pathlib, re, sys
from rotina.runs import dispatch  # what a task imports: Airflow and the hooks
from benchmarks.queue_dispatch import dispatching
from rotina.messaging.adapters import HttpEndpoint

def peak():  # of this process alone; getrusage would count the parent's
    return re.search(r"VmHWM:\\s+(\\d+)", pathlib.Path("/proc/self/status").read_text())[1]

async def main(uri, base_url, most):
    async with dispatching(uri, HttpEndpoint(base_url, "secret", 5.0), int(most)) as send:
        before = peak()
        await send()
        print(before, peak())

asyncio.run(main(*sys.argv[1:]))
"""

Send = Callable[[], Awaitable[None]]


# -- what is measured -------------------------------------------------------------------------------------


@asynccontextmanager
async def dispatching(
    uri: str, endpoint: HttpEndpoint | SmtpEndpoint, most: int | None = None
) -> AsyncIterator[Send]:
    """A dispatcher as the task of the routine runs it, until nothing waits or about `most` were claimed."""
    with psycopg.connect(uri) as connection:
        gateway = load_gateway(connection, GATEWAY)
    adapter = open_adapter(gateway, endpoint)

    async def connect() -> asyncpg.Connection:
        return await asyncpg.connect(uri)

    dispatcher = Dispatcher(gateway, adapter, connect, run_id=1, budget_seconds=3600)

    async def stop_in_time() -> None:
        while most is not None and dispatcher.tally.claimed < most:
            await asyncio.sleep(0.01)
        dispatcher.stop()

    async def send() -> None:
        stopper = asyncio.create_task(stop_in_time()) if most else None
        tally = await dispatcher.run()
        assert tally.ended == ("stopped" if stopper else "empty"), tally
        assert tally.outcomes.keys() <= {"accepted", "not_tried"}, tally

    yield send
    await adapter.close()


@asynccontextmanager
async def bare_http(url: str, messages: int, concurrency: int) -> AsyncIterator[Send]:
    """A loop over messages in memory that keeps no state."""
    waiting = iter([(n, f"+55119{n:08d}", PAYLOAD) for n in range(1, messages + 1)])
    async with _session(concurrency) as session:

        async def work() -> None:
            for number, recipient, payload in waiting:
                await _post(session, url, number, recipient, payload)

        async def send() -> None:
            await asyncio.gather(*(work() for _ in range(concurrency)))

        yield send


@asynccontextmanager
async def pgqueuer_http(uri: str, url: str, consumers: int, batch_size: int) -> AsyncIterator[Send]:
    """A job of pgqueuer for each message: consumers with a connection each, as in its own benchmark."""
    from pgqueuer import PgQueuer
    from pgqueuer.models import Job
    from pgqueuer.types import QueueExecutionMode

    # pgqueuer starts jobs without end; as many as a dispatcher has in flight get a connection.
    async with _session(IN_FLIGHT) as session:

        async def send_message(job: Job) -> None:
            assert job.payload is not None
            message = json.loads(job.payload)
            await _post(session, url, job.id, message["recipient"], message["payload"])

        queues = []
        for _ in range(consumers):
            queue = PgQueuer.from_asyncpg_connection(await asyncpg.connect(uri))
            queue.entrypoint("send_message")(send_message)
            queues.append(queue)

        async def send() -> None:
            drain = QueueExecutionMode.drain
            await asyncio.gather(*(queue.run(batch_size=batch_size, mode=drain) for queue in queues))

        yield send


def _session(concurrency: int) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=concurrency),
        timeout=aiohttp.ClientTimeout(total=None),
        headers={"Authorization": "Bearer secret"},
    )


async def _post(
    session: aiohttp.ClientSession, url: str, number: int, recipient: str, payload: dict[str, Any]
) -> None:
    body = {
        "contato": {"canalCliente": recipient},
        "template": {"_id": payload["template"], "variaveis": payload["variables"]},
        "canal": CHANNEL,
        "metadata": {"rotina_message": number, "rotina_attempt": 1},
    }
    async with session.post(url, json=body) as response:
        reply = await response.json()
        assert response.status == 200, response.status
        assert reply["status"] == "success", reply


@asynccontextmanager
async def bare_mail(port: int, messages: int, connections: int) -> AsyncIterator[Send]:
    """A loop over e-mails in memory, on connections that stay open, that keeps no state."""
    waiting = iter(range(1, messages + 1))
    clients = [aiosmtplib.SMTP(hostname="127.0.0.1", port=port) for _ in range(connections)]
    for client in clients:
        await client.connect(start_tls=False)

    async def work(client: aiosmtplib.SMTP) -> None:
        for number in waiting:
            mail = EmailMessage(policy=SMTP)
            mail["From"] = SENDER
            mail["To"] = f"cliente{number:08d}@example.com"
            mail["Subject"] = MAIL["subject"]
            mail["Date"] = format_datetime(dt.datetime.now(dt.UTC))
            mail["Message-ID"] = make_msgid(str(number), "example.com")
            mail["Auto-Submitted"] = "auto-generated"
            mail["List-Unsubscribe"] = f"<{MAIL['unsubscribe_url']}>"
            mail["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
            mail.set_content(MAIL["text"])
            mail.add_alternative(MAIL["html"], subtype="html")
            refused, _ = await client.send_message(mail)
            assert not refused, refused

    async def send() -> None:
        await asyncio.gather(*map(work, clients))

    yield send
    for client in clients:
        await client.quit()


# -- runs -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Run:
    """One run: when it began and ended on the machine's clock, and its own processor time, in seconds."""

    began: float
    ended: float
    processor: float


Work = Callable[..., AbstractAsyncContextManager[Send]]


def sink_endpoint(port: int) -> SmtpEndpoint:
    """The SMTP sink on loopback."""
    return SmtpEndpoint(
        host="127.0.0.1",
        port=port,
        login=None,
        password=None,
        use_tls=False,
        start_tls=False,
        sender=SENDER,
        connect_timeout=5.0,
    )


def rate(messages: int, work: Work, *arguments: object, processes: int = 1) -> float:
    """Messages per second of new processes that begin together."""
    barrier = _SPAWN.Barrier(processes, timeout=60)
    with ProcessPoolExecutor(processes, _SPAWN, initializer=_meet_at, initargs=(barrier,)) as pool:
        futures = [pool.submit(_run, work, arguments) for _ in range(processes)]
        runs = [future.result() for future in futures]
    found = messages / (max(run.ended for run in runs) - min(run.began for run in runs))
    processor = sum(run.processor for run in runs) / messages * 1e6
    print(
        f"    {work.__name__} in {processes}: {found:,.0f} messages/s, {processor:,.0f} µs of processor each",
        flush=True,
    )
    return found


def _meet_at(barrier: Barrier) -> None:
    global _barrier
    _barrier = barrier


def _run(work: Work, arguments: tuple[object, ...]) -> Run:
    async def run() -> Run:
        async with work(*arguments) as send:
            _barrier.wait()
            began, processor = time.monotonic(), time.process_time()
            await send()
            return Run(began, time.monotonic(), time.process_time() - processor)

    return asyncio.run(run())


class Queue:
    """The queue of one gateway in a database, which is filled anew for each run of a dispatcher."""

    def __init__(self, uri: str, **settings: Any) -> None:
        self.uri = uri
        self._connection = psycopg.connect(uri, autocommit=True, cursor_factory=psycopg.ClientCursor)
        values = {"kind": "opa_suite", "settings": {"channel_id": CHANNEL}, "max_in_flight": IN_FLIGHT}
        windows = [Window(day, dt.time(), None) for day in get_args(Day)]
        self._gateway_id = save_gateway(
            self._connection,
            GatewaySettings(
                code=GATEWAY, name="Gateway", connection_id="bench", windows=windows, **{**values, **settings}
            ),
            "bench",
        )
        self._mail = settings.get("kind") == "smtp"

    def add_old(self, number: int) -> None:
        """Add messages that were sent in the last months."""
        self._execute("add_sent_messages", number=number, payload=Jsonb(PAYLOAD))

    def fill(self, number: int, *, empty: bool = True) -> None:
        """Have so many messages wait, after emptying the tables or not."""
        if empty:
            self._connection.execute("truncate crm.message, crm.message_attempt")
        self._connection.execute("truncate erp.receivable")
        self._execute("add_receivables", number=number)
        self._execute(
            "add_messages",
            number=number,
            payload=Jsonb(MAIL if self._mail else PAYLOAD),
            address="cliente%s@example.com" if self._mail else "+55119%s",
        )
        for table in ("crm.message", "crm.message_attempt", "erp.receivable"):
            self._connection.execute(f"vacuum analyze {table}")
        self._connection.execute("checkpoint")

    def rate(self, number: int, endpoint: HttpEndpoint | SmtpEndpoint, *, processes: int = 1) -> float:
        """Messages per second of dispatchers that send the `number` that wait, each of them once."""
        found = rate(number, dispatching, self.uri, endpoint, processes=processes)
        counts = self._connection.execute(
            "select m.status, m.tries, a.outcome, count(*) from crm.message as m "
            "left join crm.message_attempt as a on m.id = a.message_id "
            "where m.id > (select max(id) from crm.message) - %s group by 1, 2, 3",
            [number],
        ).fetchall()
        assert counts == [("sent", 1, "accepted", number)], counts
        return found

    def _execute(self, name: str, **values: object) -> None:
        text = (_SQL / f"{name}.sql").read_text(encoding="utf-8")
        self._connection.execute(text, {"gateway_id": self._gateway_id, **values})


def _median(name: str, value: list[float], baseline_name: str, baseline: list[float], goal: str) -> Result:
    for what, rates in ((name, value), (baseline_name, baseline)):
        print(f"    {what}: {min(rates):,.0f} to {max(rates):,.0f} messages/s")
    return Result(
        f"queue_dispatch.{name}",
        statistics.median(value),
        "/s",
        baseline_name,
        statistics.median(baseline),
        goal,
    )


# -- the benchmarks ---------------------------------------------------------------------------------------


@benchmark
def queue_dispatch(sizes: Sizes) -> list[Result]:
    """Dispatch with full bookkeeping, against an aiohttp loop that keeps no state, and against pgqueuer."""
    number = sizes.messages
    dispatched, bare, queued = [], [], []
    with database() as uri, http_stub() as base_url:
        queue, endpoint, url = Queue(uri), HttpEndpoint(base_url, "secret", 5.0), base_url + SEND_PATH
        trials = {way: rate(number // 5, bare_http, url, number // 5, way) for way in CONCURRENCIES}
        concurrency = max(trials, key=lambda way: trials[way])
        asyncio.run(_install_pgqueuer(uri))
        for _ in range(ROUNDS):
            bare.append(rate(number, bare_http, url, number, concurrency))
            queue.fill(number)
            dispatched.append(queue.rate(number, endpoint))
            asyncio.run(_enqueue_pgqueuer(uri, number))
            queued.append(rate(number, pgqueuer_http, uri, url, *PGQUEUER))
    return [
        _median("http", dispatched, "bare aiohttp loop", bare, ">= 0.95"),
        _median("http_queue", dispatched, "pgqueuer", queued, ">= 3"),
    ]


async def _install_pgqueuer(uri: str) -> None:
    from pgqueuer.queries import Queries

    connection = await asyncpg.connect(uri)
    queries = Queries.from_asyncpg_connection(connection)
    await queries.install()
    await queries.optimize_autovacuum()  # as its documentation asks for
    await connection.close()


async def _enqueue_pgqueuer(uri: str, number: int) -> None:
    from pgqueuer.queries import Queries

    connection = await asyncpg.connect(uri)
    queries = Queries.from_asyncpg_connection(connection)
    await queries.clear_queue()
    await queries.clear_queue_log()
    payloads: list[bytes | None] = [
        json.dumps({"recipient": f"+55119{n:08d}", "payload": PAYLOAD}).encode() for n in range(1, number + 1)
    ]
    await queries.enqueue(["send_message"] * number, payloads, [0] * number)
    for statement in ("vacuum analyze pgqueuer", "vacuum analyze pgqueuer_log", "checkpoint"):
        await connection.execute(statement)
    await connection.close()


@benchmark
def queue_dispatch_scale_out(sizes: Sizes) -> list[Result]:
    """Two dispatchers of a gateway, each in a process, against one.

    The gateway takes 50 ms to answer, as one at the other end of a line does, and allows 64 calls at a time,
    of which each dispatcher has half: what one sends is bound by its share. At a stub that answers at once,
    one dispatcher keeps a core busy, and two share what the stub and PostgreSQL leave of a small machine:
    those runs are printed, without a goal.
    """
    number = sizes.messages // 4
    one: list[float] = []
    two: list[float] = []
    with database() as uri, http_stub(LATENCY) as far, http_stub() as near:
        queue = Queue(uri, max_in_flight=64, dispatchers=2)
        for _ in range(ROUNDS):
            for base_url, processes, rates in ((far, 1, one), (far, 2, two), (near, 1, []), (near, 2, [])):
                queue.fill(number)
                rates.append(queue.rate(number, HttpEndpoint(base_url, "secret", 5.0), processes=processes))
    return [_median("two_dispatchers", two, "one dispatcher", one, ">= 1.5")]


@benchmark
def queue_dispatch_old_messages(sizes: Sizes) -> list[Result]:
    """Dispatch from a table with millions of messages that were sent before, against one without."""
    with_old, without = [], []
    with database() as full_uri, database() as empty_uri, http_stub() as base_url:
        full, empty, endpoint = Queue(full_uri), Queue(empty_uri), HttpEndpoint(base_url, "secret", 5.0)
        with timed(f"load {sizes.old_messages:,} old messages"):
            full.add_old(sizes.old_messages)
        for _ in range(ROUNDS):
            empty.fill(sizes.messages)
            without.append(empty.rate(sizes.messages, endpoint))
            full.fill(sizes.messages, empty=False)
            with_old.append(full.rate(sizes.messages, endpoint))
    name = f"{sizes.old_messages:,} old messages"
    print(f"    with {name} against none")
    return [_median("old_messages", with_old, "without old messages", without, ">= 0.9")]


@benchmark
def queue_dispatch_mail(sizes: Sizes) -> list[Result]:
    """Dispatch of e-mail, against a loop that writes and sends the same over connections that stay open."""
    number = sizes.messages // 5
    dispatched, bare = [], []
    with database() as uri, smtp_sink() as port:
        queue = Queue(uri, kind="smtp", settings={"connections": MAIL_CONNECTIONS})
        endpoint = sink_endpoint(port)
        for _ in range(ROUNDS):
            bare.append(rate(number, bare_mail, port, number, MAIL_CONNECTIONS))
            queue.fill(number)
            dispatched.append(queue.rate(number, endpoint))
    return [_median("mail", dispatched, "bare aiosmtplib loop", bare, ">= 0.95")]


@benchmark
def queue_dispatch_memory(_: Sizes) -> list[Result]:
    """Memory of a dispatcher that sends 20,000 messages of a million, against one without more to send."""
    peaks = {}
    with database() as uri, http_stub() as base_url:
        queue = Queue(uri)
        for waiting in (SENT_FOR_MEMORY + IN_FLIGHT, WAITING_FOR_MEMORY):
            queue.fill(waiting)
            output = subprocess.run(
                [sys.executable, "-c", _MEMORY, uri, base_url, str(SENT_FOR_MEMORY)],
                check=True,
                stdout=subprocess.PIPE,
                text=True,
            ).stdout
            before, peaks[waiting] = (int(kilobytes) / 1024 for kilobytes in output.split())
            print(f"    {waiting:,} waiting: {before:.0f} MB before, {peaks[waiting]:.0f} MB after")
    few, many = peaks.values()
    return [
        Result("queue_dispatch.memory", many, "MB", "limit in MB", 200, "<= 1"),
        Result("queue_dispatch.memory_growth", many, "MB", "with 20,000 waiting", few, "<= 1.05"),
    ]
