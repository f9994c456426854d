"""Chaos: dispatchers are killed, PostgreSQL crashes, the gateway fails, operators work; then one counts."""

from __future__ import annotations

import os
import random
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import psutil
import psycopg
import requests

from rotina.local.gateway_simulator import CHANNEL_ID, TEMPLATES
from rotina.local.postgres import TASK_ROLE, EmbeddedPostgres
from rotina.messaging import operations
from rotina.messaging.gateways import load_gateway
from rotina.messaging.operations import MessageFilter
from rotina.messaging.outbox import enqueue, open_outgoing
from rotina.migrations import upgrade
from rotina.runs.record import Run
from tests.chaos.dispatcher import CODE
from tests.chaos.judge import Verdict, judge, look, read_ledger
from tests.messaging import queue_data
from tests.runs_by_hand import open_run

Result = TypeVar("Result")

_ROOT = Path(__file__).parents[2]
_DISPATCHERS = 3
#: Messages that each may have in flight.
_SHARE = 8
_RECEIVABLES = 40
#: Producers rest while as many messages wait.
_BACKLOG = 600
_PATIENCE = 90.0
_LOGIN = "chaos"

_ACTIONS = ("cancel", "cancel", "priority", "filter", "reorder", "reorder", "retry", "pause", "pay")

#: Faults that leave open whether a message was taken, and the others, each with what else it is told.
_OPEN_FAULTS = ("timeout_before", "timeout_after", "refuse", "drop", "cut_reply", "error_500", "error_503")
_CLEAR_FAULTS: tuple[dict[str, Any], ...] = (
    {"kind": "rate_limited", "retry_after": 1},
    {"kind": "unavailable", "retry_after": 1},
    {"kind": "slow", "delay_ms": 700},
    {"kind": "in_attendance"},
    {"kind": "error_body"},
    {"kind": "unauthorized"},
    {"kind": "template_paused"},
)


def run(kills: int, restarts: int, seed: int, say: Callable[[str], None]) -> Verdict:
    """Kill dispatchers `kills` times and PostgreSQL `restarts` times, and judge what became of the messages.

    Args:
        kills: SIGKILLs, each of a random dispatcher at a random instant.
        restarts: restarts of PostgreSQL, by a crash and in order in turn.
        seed: of everything that is chosen at random; what the machine makes of it differs from run to run.
        say: gets a line on each thing that happens.
    """
    with ExitStack() as stack:
        home = Path(tempfile.mkdtemp(prefix="rotina-chaos-"))
        stack.callback(shutil.rmtree, home)
        postgres = EmbeddedPostgres(home, settings={"fsync": "on", "shared_buffers": "128MB"})
        postgres.start()
        stack.callback(postgres.stop)
        upgrade(postgres.uri())
        log = stack.enter_context((home / "dispatchers.log").open("wb"))
        ledger = home / "ledger.jsonl"
        simulator = stack.enter_context(_process("tests.chaos.simulator", str(ledger), log=log))
        assert simulator.stdout is not None
        base_url = simulator.stdout.readline().decode().strip()
        storm = _Storm(postgres, base_url, seed, say, log)
        storm.set_up(kills)
        try:
            storm.rage(kills, restarts)
            storm.calm_down()
        except Exception:
            say(_end_of(home / "dispatchers.log"))
            raise
        finally:
            storm.end_dispatchers()
        simulator.terminate()
        simulator.wait()
        with psycopg.connect(postgres.uri()) as connection:
            found = look(connection)
            ids: dict[str, int] = dict(
                connection.execute("select dedupe_key, id from crm.message").fetchall()
            )
        # A message that is gone has no id any more.
        written = {ids.get(key, -number) for number, key in enumerate(storm.written, start=1)}
        verdict = judge(written, read_ledger(ledger), found, storm.killed, _SHARE)
        say(f"statuses: {dict(Counter(status for status, _ in found.messages.values()))}")
        say(
            f"attempts interrupted: {sum(found.interrupted.values())} (most by one kill: "
            f"{max(found.interrupted.values(), default=0)} of {_SHARE}), without a clear answer: "
            f"{found.maybe_sent} (faults of that kind: {storm.open_faults}); changed by operators: "
            f"{storm.changed}, receivables paid: {storm.paid}"
        )
        if verdict.problems:
            say(_end_of(home / "dispatchers.log"))
        return verdict


def _end_of(log: Path) -> str:
    return f"what the dispatchers logged last:\n{log.read_text(errors='replace')[-4_000:]}"


@contextmanager
def _process(module: str, *arguments: str, log: Any) -> Iterator[subprocess.Popen[bytes]]:
    process = _start(module, *arguments, log=log)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _start(module: str, *arguments: str, log: Any) -> subprocess.Popen[bytes]:
    path = os.pathsep.join([str(_ROOT / "plugins"), str(_ROOT)])
    return subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=log,
    )


@dataclass
class _Dispatcher:
    process: subprocess.Popen[bytes]
    run_id: int
    at_work: bool = False

    def look(self) -> bool:
        """Whether it has told that it is at work."""
        assert self.process.stdout is not None
        assert self.process.poll() is None, f"the dispatcher of run {self.run_id} ended by itself"
        if not self.at_work and select.select([self.process.stdout], [], [], 0)[0]:
            self.at_work = bool(self.process.stdout.readline())
        return self.at_work


@dataclass
class _Storm:
    postgres: EmbeddedPostgres
    base_url: str
    seed: int
    say: Callable[[str], None]
    log: Any
    written: list[str] = field(default_factory=list)
    killed: set[int] = field(default_factory=set)
    changed: int = 0
    paid: int = 0
    open_faults: int = 0
    _dispatchers: list[_Dispatcher] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)

    # -- the stage ------------------------------------------------------------------------------------------

    def set_up(self, kills: int) -> None:
        """A gateway, a template, receivables, a run for each dispatcher; the first dispatchers."""
        self._owner_uri = self.postgres.uri()
        self._task_uri = self.postgres.uri(role=TASK_ROLE)
        with psycopg.connect(self._owner_uri, autocommit=True) as owner:
            gateway_id = queue_data.add_gateway(
                owner,
                CODE,
                settings={"channel_id": CHANNEL_ID},
                max_in_flight=_DISPATCHERS * _SHARE,
                dispatchers=_DISPATCHERS,
                call_timeout_seconds=2,
                backoff_seconds=1,
                backoff_most_seconds=1,
                hold_seconds=1,
            )
            self._template_id = queue_data.add_template(
                owner, gateway_id, gateway_template_id=next(iter(TEMPLATES))
            )
            customer_id = queue_data.add_customer(owner)
            for number in range(_RECEIVABLES):
                queue_data.add_receivable(owner, customer_id, "2026-11-20", receivable_id=number + 1)
        with psycopg.connect(self._task_uri, autocommit=True) as connection:
            self._run = open_run(connection, "2026-11-20", routine="billing_messages", program="crm_cobranca")
            self._runs: Iterator[int] = iter(
                [
                    open_run(connection, "2026-11-20", routine="queue_dispatch", program="crm_fila").id
                    for _ in range(2 * kills + 20)
                ]
            )
        self._dispatchers = [self._start_dispatcher() for _ in range(_DISPATCHERS)]

    def _start_dispatcher(self) -> _Dispatcher:
        run_id = next(self._runs)
        process = _start("tests.chaos.dispatcher", self._task_uri, self.base_url, str(run_id), log=self.log)
        return _Dispatcher(process, run_id)

    def _insist(self, action: Callable[[psycopg.Connection], Result], uri: str | None = None) -> Result:
        """Do something that may be repeated, as often as PostgreSQL goes away meanwhile."""
        give_up = time.monotonic() + _PATIENCE
        while True:
            try:
                with psycopg.connect(
                    uri or self._task_uri, autocommit=True, cursor_factory=psycopg.ClientCursor
                ) as connection:
                    return action(connection)
            except psycopg.OperationalError as error:
                if isinstance(error, psycopg.errors.DeadlockDetected) or time.monotonic() > give_up:
                    raise
                time.sleep(0.05)

    # -- the storm ------------------------------------------------------------------------------------------

    def rage(self, kills: int, restarts: int) -> None:
        """Everything at once, until all kills and restarts are done."""
        dice = random.Random(f"{self.seed} kills")
        restart_at = set(dice.sample(range(kills), restarts))
        with ThreadPoolExecutor() as pool:
            actors = [
                pool.submit(self._act, actor, random.Random(f"{self.seed} {actor.__name__}"))
                for actor in (self._produce, self._operate, self._fail)
            ]
            restarting: list[Future[None]] = []
            try:
                for number in range(kills):
                    if number in restart_at:
                        restarting.append(pool.submit(self._restart_postgres, len(restarting) % 2 == 0))
                    self._kill(number + 1, kills, dice)  # which may be while PostgreSQL is away
                    for other in (*restarting, *(actor for actor in actors if actor.done())):
                        other.result()
            finally:
                self._over.set()
            for actor in actors:
                actor.result()

    def _kill(self, number: int, kills: int, dice: random.Random) -> None:
        """SIGKILL a dispatcher that is at work, at a random instant, and start another at once."""
        give_up = time.monotonic() + _PATIENCE
        while not (ready := [place for place, one in enumerate(self._dispatchers) if one.look()]):
            assert time.monotonic() < give_up, "no dispatcher gets to work"
            time.sleep(0.02)
        time.sleep(dice.uniform(0.05, 1.0))
        place = dice.choice(ready)
        victim = self._dispatchers[place]
        victim.process.kill()
        ended = victim.process.wait()
        assert ended == -signal.SIGKILL, f"the dispatcher of run {victim.run_id} ended by itself: {ended}"
        self.killed.add(victim.run_id)
        self._dispatchers[place] = self._start_dispatcher()
        self.say(f"kill {number} of {kills}: run {victim.run_id}; {len(self.written)} messages written")

    def _restart_postgres(self, crash: bool) -> None:
        """As `pg_ctl restart`, in mode immediate (a crash, with recovery) or fast."""
        server = psutil.Process(int((self.postgres.data_dir / "postmaster.pid").read_text().split()[0]))
        server.send_signal(signal.SIGQUIT if crash else signal.SIGINT)
        server.wait()
        self.postgres.start()
        self.say(f"PostgreSQL restarted after {'a crash' if crash else 'a fast shutdown'}")

    def _act(self, actor: Callable[[random.Random], None], dice: random.Random) -> None:
        while not self._over.wait(dice.uniform(0.1, 0.5)):
            actor(dice)

    def _produce(self, dice: random.Random) -> None:
        """Write some messages, unless many wait already."""
        waiting = self._insist(
            lambda connection: connection.execute(
                "select count(*) from crm.message where status in ('waiting', 'held')"
            ).fetchall()
        )[0][0]
        if waiting > _BACKLOG:
            return
        first = len(self.written) + 1
        numbers = range(first, first + dice.randint(20, 100))
        self._insist(lambda connection: _write_messages(connection, self._run, self._template_id, numbers))
        self.written += [f"chaos:{number}" for number in numbers]

    def _operate(self, dice: random.Random) -> None:
        """What operators do, and a customer who pays."""
        action = dice.choice(_ACTIONS)

        def work(connection: psycopg.Connection) -> int:
            ids = [
                key
                for (key,) in connection.execute(
                    "select id from crm.message where status in ('waiting', 'held', 'sending') "
                    "order by random() limit 8"
                )
            ]
            match action:
                case "cancel" if ids:
                    return operations.cancel(connection, ids, _LOGIN).records
                case "priority" if ids:
                    return operations.set_priority(connection, ids, _LOGIN, dice.randint(1, 9)).records
                case "filter":
                    lowest = MessageFilter(gateway=CODE, priority=9)
                    return operations.set_priority(connection, lowest, _LOGIN, 1).records
                case "reorder" if ids:
                    return operations.reorder(connection, ids, _LOGIN, "front").records
                case "retry":
                    return operations.retry(connection, MessageFilter(statuses=["failed"]), _LOGIN).records
                case "pause":
                    operations.pause(connection, CODE, "chaos", _LOGIN)
                    time.sleep(dice.uniform(0, 0.3))
            return 0

        self.changed += self._insist(work)
        if action == "pay" and self.paid < _RECEIVABLES // 2:
            self.paid += 1
            query = "update erp.receivable set paid_at = now() where receivable_id = %s"
            self._insist(lambda owner: owner.execute(query, [self.paid]), self._owner_uri)
        if self._insist(lambda connection: load_gateway(connection, CODE)).paused_at:
            self._insist(lambda connection: operations.resume(connection, CODE, _LOGIN))

    def _fail(self, dice: random.Random) -> None:
        """Have the gateway fail a few times, or not at all for a while."""
        if dice.random() < 0.7:
            return
        count = dice.randint(1, 3)
        if dice.random() < 0.5:
            fault: dict[str, Any] = {"kind": dice.choice(_OPEN_FAULTS)}
            self.open_faults += count
        else:
            fault = dice.choice(_CLEAR_FAULTS)
        told = requests.post(f"{self.base_url}/simulator/faults", json={**fault, "count": count}, timeout=10)
        told.raise_for_status()

    # -- the end --------------------------------------------------------------------------------------------

    def calm_down(self) -> None:
        """No more faults; wait until nothing waits."""
        requests.delete(f"{self.base_url}/simulator/faults", timeout=10).raise_for_status()
        self._insist(lambda connection: operations.resume(connection, CODE, _LOGIN))
        give_up = time.monotonic() + _PATIENCE
        query = "select count(*) from crm.message where status in ('waiting', 'held', 'sending')"
        while time.monotonic() < give_up:
            ((left,),) = self._insist(lambda connection: connection.execute(query).fetchall())
            if not left:
                return
            time.sleep(0.2)
        self.say(f"{left} messages still wait")

    def end_dispatchers(self) -> None:
        """Tell the dispatchers to end, and see to it."""
        for one in self._dispatchers:
            one.process.terminate()
        for one in self._dispatchers:
            try:
                one.process.wait(15)
            except subprocess.TimeoutExpired:
                self.say(f"the dispatcher of run {one.run_id} does not end")
                one.process.kill()
                one.process.wait()


def _write_messages(connection: psycopg.Connection, run: Run, template_id: int, numbers: range) -> None:
    """What a producer does, with a bit of everything: later ones, short-lived ones, bills."""
    with connection.transaction():
        open_outgoing(connection)
        connection.execute(
            """
            insert into outgoing (
                record_kind, record_id, dedupe_key, origin_key, template_id, variables, recipient,
                receivable_id, priority, send_after, expires_at
            )
            select
                'chaos', number, 'chaos:' || number, number, %(template_id)s,
                array['Ana', '129,90', '20/11/2026'], '+55119' || lpad(number::text, 8, '0'),
                case when number %% 11 = 0 then 1 + number %% %(receivables)s end,
                1 + number %% 9,
                case when number %% 10 = 0 then now() + make_interval(secs => number %% 4) end,
                case when number %% 7 = 0 then now() + make_interval(secs => 1 + number %% 8) end
            from unnest(%(numbers)s::bigint[]) as number
            """,
            {"template_id": template_id, "receivables": _RECEIVABLES, "numbers": list(numbers)},
        )
        enqueue(connection, run)
