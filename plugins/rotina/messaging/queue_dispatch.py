"""Queue dispatch: sends the waiting messages of a gateway, each at most once, whatever breaks.

A dispatcher claims messages (their attempts are committed before any call), calls the gateway for as many at
a time as its share of the in-flight limit allows, and writes outcomes back in batches. What it had claimed
when it was killed becomes unknown, never waiting: nobody can tell whether it was sent. See
docs/message-queue.md and docs/adr/0008-outbox.md.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import gc
import json
import logging
import random
import secrets
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import psycopg
from psycopg.rows import dict_row

from rotina.errors import RotinaError
from rotina.messaging.adapters import Adapter, Outgoing
from rotina.messaging.email_frames import Frame, frame_of, with_frame
from rotina.messaging.gateways import CHANNELS, Gateway, load_gateway, load_gateways
from rotina.messaging.outcome import Outcome, Result
from rotina.messaging.send_windows import open_until
from rotina.runs.record import Outcome as RunOutcome
from rotina.runs.record import Run
from rotina.sql import numbered, statement

log = logging.getLogger(__name__)

#: How much longer than a call a claim lasts: time to write the outcome back, or to get the database back.
LEASE_MARGIN_SECONDS = 60.0
#: How often a dispatcher looks whether the gateway was paused, messages are due, expired or lost.
LOOK_SECONDS = 1.0
#: Messages that one look rescues, expires or makes ready at most; the next look goes on.
MOST_PER_LOOK = 5_000
#: How far back a dispatcher looks for leases that ran out, after its first look at all of them: longer than
#: the database may be away. What lies further back only grows while an old transaction is open.
RESCUE_BACK_SECONDS = 60.0
#: Messages that one claim takes, if there is room, however small a quarter of the share is.
SMALLEST_CLAIM = 16
#: Longest time that the first of several results waits for the others to be written back with it.
GATHER_SECONDS = 0.005
#: How long a dispatcher keeps trying to reach the database before it gives up.
DATABASE_PATIENCE_SECONDS = 50.0
#: How often the front of the queue is looked at again, where what is put back or moved ahead stands.
FRONT_SECONDS = 5.0
#: Of all the time, the share that may go to looking at the front of the queue again.
FRONT_SHARE = 0.05
#: How often the gateway is asked for what may still be sent today.
QUOTA_SECONDS = 60.0
#: First question about a sent message's delivery.
POLL_SECONDS = 600.0
#: Unknown messages that one run asks the gateway about, and for how long at most.
MOST_UNKNOWN = 1_000
RECONCILE_SECONDS = 30.0
#: Calls in a row without a clear answer after which a gateway rests.
DOUBTFUL_CALLS = 5
#: Refusals in a row, of as many messages, after which a gateway is paused: what refuses everybody is not the
#: recipients' fault, whatever its words.
REFUSED_CALLS = 50
#: However long a gateway asks to be left alone, it is tried again after this.
LONGEST_REST_SECONDS = 3_600.0
#: How long to wait when messages wait that somebody else has in hand.
BUSY_SECONDS = 0.1
#: New objects after which garbage is looked for. Python's own 700 are there after every dozen calls, and the
#: objects of hundreds of calls under way are looked at again each time: an eighth of the dispatcher's work.
COLLECT_AFTER = 20_000

#: Outcomes that are the recipients' own fault, or seem to be.
_REFUSED = (Outcome.REJECTED, Outcome.NO_SUCH_ADDRESS)
#: Outcomes of messages for which the gateway was not called: they say nothing about it.
_NO_CALL = (Outcome.NOT_TRIED, Outcome.SETTLED, Outcome.SUPPRESSED, Outcome.RECEIVABLE_MISSING)

_FRONT = (-32_768, -(2**62), 0)
_EVER = 1e9  # seconds

_LOST_CONNECTION = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # a statement begun while the server's farewell was being read
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.ReadOnlySQLTransactionError,  # a standby, just after a failover
    asyncpg.TooManyConnectionsError,
    OSError,
)
_TRY_AGAIN = (
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.LockNotAvailableError,
    asyncpg.QueryCanceledError,
    asyncpg.InsufficientResourcesError,  # a full disk, no memory
)
#: What PostgreSQL will not store, however often it is tried.
_NOT_STORABLE = (asyncpg.DataError, asyncpg.ProgramLimitExceededError, UnicodeError)


class DatabaseLostError(RotinaError):
    """The database could not be reached for too long."""


@dataclass
class Tally:
    """What one dispatcher did, and why it ended."""

    ended: str = ""
    """Why it ended: empty, closed, paused, slow, quota, budget, stopped, busy."""
    detail: str | None = None
    claimed: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    """Number of attempts by class of outcome."""
    rescued: int = 0
    expired: int = 0
    paused: str | None = None
    """Why this dispatcher paused the gateway."""

    @property
    def problem(self) -> str | None:
        """What a person has to look at; None when all is well."""
        problems = []
        if self.paused:
            problems.append(f"paused: {self.paused}")
        if unknown := self.outcomes[Outcome.MAYBE_SENT] + self.rescued:
            problems.append(f"{unknown} messages may have been sent or not; release or confirm them by hand")
        return "; ".join(problems) or None


class Database:
    """One connection that comes back when it is lost; statements by name, repeated only when that is safe."""

    def __init__(self, connect: Callable[[], Awaitable[asyncpg.Connection]]) -> None:
        self._connect = connect
        self._connection: asyncpg.Connection | None = None
        self._prepared: dict[str, Any] = {}
        self._one_at_a_time = asyncio.Lock()
        self._session: asyncpg.Record | None = None
        self.sessions = 0
        """Grows with every new session; what belonged to the old one (advisory locks) is gone then."""

    async def fetch(self, name: str, **values: Any) -> list[asyncpg.Record]:
        """The rows of a statement that may be repeated: after a lost connection it is run again.

        Raises:
            DatabaseLostError: the database was away for too long.
        """
        give_up = time.monotonic() + DATABASE_PATIENCE_SECONDS
        pause = 0.05
        while True:
            try:
                return await self.fetch_once(name, **values)
            except (*_LOST_CONNECTION, *_TRY_AGAIN) as error:
                if isinstance(error, _LOST_CONNECTION):
                    await self.close()
                if time.monotonic() + pause > give_up:
                    raise DatabaseLostError(f"the database is away: {error}") from error
                log.warning("%s: %s; trying again", name, type(error).__name__)
                await asyncio.sleep(pause)
                pause = min(pause * 2, 2.0)

    async def fetch_once(self, name: str, **values: Any) -> list[asyncpg.Record]:
        """The rows of a statement, run once."""
        async with self._one_at_a_time:
            if self._connection is None:
                self._connection = await self._connect()
                self._prepared = {}
                self.sessions += 1
                if self._session is not None:
                    # What the old session was doing must not come to its end later, behind our back.
                    text, _ = numbered("queue_dispatch/end_session")
                    await self._connection.fetch(text, *self._session)
                text, _ = numbered("queue_dispatch/get_session")
                self._session = await self._connection.fetchrow(text)
            text, names = numbered(name)
            if (prepared := self._prepared.get(name)) is None:
                prepared = self._prepared[name] = await self._connection.prepare(text)
            return await prepared.fetch(*(values[name] for name in names))  # type: ignore[no-any-return]

    async def close(self) -> None:
        """Drop the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()


@dataclass(frozen=True, slots=True)
class _Claimed:
    message: Outgoing
    token: int
    latest_start: float
    expires_at: dt.datetime | None


class Dispatcher:
    """Sends the messages of one gateway until there are none, its time is over, or it is told to stop."""

    def __init__(
        self,
        gateway: Gateway,
        adapter: Adapter,
        connect: Callable[[], Awaitable[asyncpg.Connection]],
        *,
        run_id: int | None,
        budget_seconds: float,
        clock: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
        lease_margin_seconds: float = LEASE_MARGIN_SECONDS,
    ) -> None:
        self.gateway = gateway
        self.adapter = adapter
        self.tally = Tally()
        self._run_id = run_id
        self._budget = budget_seconds
        self._clock = clock
        self._share = min(gateway.share, adapter.places)
        self._lease_seconds = gateway.call_timeout_seconds + lease_margin_seconds
        self._claims, self._outcomes, self._looks = (Database(connect) for _ in range(3))
        self._queue: asyncio.Queue[_Claimed] = asyncio.Queue()
        self._results: list[tuple[_Claimed, Result]] = []
        self._in_flight = 0
        self._freed = asyncio.Event()
        self._resulted = asyncio.Event()
        self._stopping = asyncio.Event()
        self._after = _FRONT
        self._from_front = True
        self._front_seen = 0.0
        self._front_cost = 0.0
        self._rescue_back = _EVER
        self._doubtful = 0
        self._refused = 0
        self._frames: dict[int, Frame] = {}
        self._state: asyncpg.Record
        self._slot_session = 0

    def stop(self, ended: str = "stopped", detail: str | None = None) -> None:
        """Claim nothing more; calls under way are waited for and written back. The first reason stands."""
        if not self._stopping.is_set():
            self.tally.ended, self.tally.detail = ended, detail
            self._stopping.set()
            self._freed.set()

    async def run(self) -> Tally:
        """Work until there is nothing to do; returns what was done.

        Raises:
            DatabaseLostError: the database was away for too long; what was in flight becomes unknown.
        """
        gc.set_threshold(COLLECT_AFTER, *gc.get_threshold()[1:])  # of the process, which does little else
        try:
            if not await self._take_slot():
                self.stop("busy", "all its dispatchers are at work")
                return self.tally
            await self._look()
            await self._reconcile()
            await self._ask_quota()
            closes_at = open_until(self.gateway.windows, self.gateway.zone, self._clock())
            if closes_at is None:
                self.stop("closed", "outside its send windows")
            else:
                self._limit_time(closes_at)
            await self._work()
            return self.tally
        finally:
            for database in (self._claims, self._outcomes, self._looks):
                await database.close()

    def _limit_time(self, closes_at: dt.datetime) -> None:
        loop = asyncio.get_running_loop()
        until_close = (closes_at - self._clock()).total_seconds()
        if until_close < self._budget:
            loop.call_later(until_close, self.stop, "closed", "its send window closed")
        else:
            loop.call_later(self._budget, self.stop, "budget", "its time was over")

    async def _work(self) -> None:
        claimer = asyncio.create_task(self._keep_claiming())
        looker = asyncio.create_task(self._keep_looking())
        asker = asyncio.create_task(self._keep_asking_quota())
        writer = asyncio.create_task(self._write_back())
        workers = [asyncio.create_task(self._call()) for _ in range(self._share)]
        drained: asyncio.Task[None] | None = None
        try:
            await asyncio.wait([claimer, looker, asker, writer], return_when=asyncio.FIRST_COMPLETED)
            self.stop("failed")
            # A claim on its way is waited for: what it takes goes back.
            await asyncio.wait([claimer, writer], return_when=asyncio.FIRST_COMPLETED)
            self._give_back_untried()
            drained = asyncio.create_task(self._drain())
            await asyncio.wait([drained, writer], return_when=asyncio.FIRST_COMPLETED)
            for task in (writer, looker, asker, claimer):  # whatever broke is raised here
                if task.done():
                    task.result()
        finally:
            tasks = [claimer, looker, asker, writer, *workers, *([drained] if drained else [])]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _drain(self) -> None:
        while self._in_flight:
            await self._wait_for_room()

    def _give_back_untried(self) -> None:
        while not self._queue.empty():
            self._finish(self._queue.get_nowait(), Result(Outcome.NOT_TRIED))

    # -- claiming ---------------------------------------------------------------------------------------

    async def _keep_claiming(self) -> None:
        while not self._stopping.is_set():
            if reason := self._state["pause_reason"]:
                return self.stop("paused", reason)
            if not self._state["active"]:
                return self.stop("paused", "not active")
            if wait := self._state["slowed_seconds"]:
                if not self._in_flight and wait > self._budget:
                    return self.stop("slow", self._state["slow_reason"])
                await self._rest(min(wait, LOOK_SECONDS) + 0.01)
                await self._read_state()
                continue
            if self._state["limited"]:
                await self._read_state()
                if (left := self._state["quota_left"]) is not None and left <= 0 and not self._in_flight:
                    return self.stop("quota", "nothing more may be sent today")
                if wait := self._state["token_seconds"]:
                    await self._rest(min(wait, LOOK_SECONDS))
                    continue
            # In quarters: while one is claimed and another written back, the others are being called. A share
            # claimed at once ends at once, and the gateway would wait for the database each time.
            quarter = max(1, self._share // 4)
            room = (1 if self._state["failures"] else self._share) - self._in_flight
            if room < quarter and self._in_flight:
                await self._wait_for_room()
            elif not await self._claim(min(room, max(quarter, SMALLEST_CLAIM))):
                # Others may have what waits in their hands, or have taken the last token.
                if self._in_flight:
                    await self._rest_or_room(LOOK_SECONDS)
                elif await self._is_waiting():
                    await self._rest(BUSY_SECONDS)
                else:
                    return self.stop("empty")
        return None

    async def _claim(self, most: int) -> int:
        """Claim up to `most` messages and hand them to the workers; returns their number."""
        began = time.monotonic()
        if self._from_front or began - self._front_seen > max(FRONT_SECONDS, self._front_cost / FRONT_SHARE):
            self._after = _FRONT
            self._from_front = False
        from_front = self._after == _FRONT
        token = secrets.randbits(63)
        rows = await self._claim_once(most, token)
        if rows is None or not (rows or from_front):  # look again, at the front
            self._from_front = True
            return await self._claim(most)
        if from_front:
            self._front_seen = time.monotonic()
            self._front_cost = self._front_seen - began
        if rows:
            self._after = (rows[-1]["priority"], rows[-1]["position"], rows[-1]["id"])
        self._in_flight += len(rows)
        self.tally.claimed += len(rows)
        latest_start = began + self._lease_seconds - self.gateway.call_timeout_seconds - 1.0
        claims = [_Claimed(_outgoing(row), token, latest_start, row["expires_at"]) for row in rows]
        try:
            await self._add_frames(claims)
            not_to_send = await self._not_to_send(rows)
        except Exception:
            for claimed in claims:
                self._finish(claimed, Result(Outcome.NOT_TRIED))
            raise
        for claimed in claims:
            if outcome := not_to_send.get(claimed.message.id):
                self._finish(claimed, Result(outcome))
            else:
                self._queue.put_nowait(claimed)
        return len(rows)

    async def _claim_once(self, most: int, token: int) -> list[asyncpg.Record] | None:
        """The rows of one claim; None when its reply was lost, and what it may have claimed was put back."""
        priority, position, message_id = self._after
        try:
            return await self._claims.fetch_once(
                "queue_dispatch/claim_messages",
                gateway_id=self.gateway.id,
                limited=self._state["limited"],
                after_priority=priority,
                after_position=position,
                after_id=message_id,
                most=most,
                token=token,
                lease_seconds=self._lease_seconds,
                run_id=self._run_id,
            )
        except (*_LOST_CONNECTION, *_TRY_AGAIN) as error:
            # It may be committed. None of it was tried, so it goes back at once instead of becoming unknown.
            log.warning("the reply to a claim was lost: %s", type(error).__name__)
            await self._claims.close()
            await self._claims.fetch("queue_dispatch/put_back_claim", gateway_id=self.gateway.id, token=token)
            return None

    async def _add_frames(self, claims: list[_Claimed]) -> None:
        """Give e-mails that only name the frame of their HTML the whole of it."""
        named = [(claimed.message, key) for claimed in claims if (key := frame_of(claimed.message.payload))]
        if unknown := {key for _, key in named} - self._frames.keys():
            found = await self._claims.fetch("email_frames/list_frames", ids=list(unknown))
            self._frames.update((row["id"], Frame(row["html"])) for row in found)
        for message, key in named:
            if key in self._frames:  # the adapter refuses one whose frame is gone
                message.payload.update(with_frame(message.payload, self._frames[key]))

    async def _not_to_send(self, rows: list[asyncpg.Record]) -> dict[int, Outcome]:
        """Of claimed messages, those that must not be sent (any more), and why."""
        if not rows:
            return {}
        found = await self._claims.fetch(
            "queue_dispatch/list_not_to_send",
            message_ids=[row["id"] for row in rows],
            channel=CHANNELS[self.gateway.kind],
        )
        outcomes = {row["id"]: Outcome.SUPPRESSED for row in found}
        asked = {row["receivable_id"] for row in rows} - {None}
        if not asked:
            return outcomes
        found = await self._claims.fetch("queue_dispatch/list_receivables", receivable_ids=list(asked))
        receivables = {row["receivable_id"]: row for row in found}
        for row in rows:
            if row["receivable_id"] is None or row["id"] in outcomes:
                continue
            receivable = receivables.get(row["receivable_id"])
            if receivable is None:
                # A load may be under way, or a view hide it for a moment: no reason to send, nor to give up.
                outcomes[row["id"]] = Outcome.RECEIVABLE_MISSING
            elif receivable["settled"] or row["due_on"] not in (None, receivable["due_on"]):
                outcomes[row["id"]] = Outcome.SETTLED
        return outcomes

    async def _is_waiting(self) -> bool:
        (row,) = await self._claims.fetch("queue_dispatch/is_waiting", gateway_id=self.gateway.id)
        return bool(row["waiting"])

    async def _wait_for_room(self) -> None:
        self._freed.clear()
        await self._freed.wait()

    async def _rest_or_room(self, seconds: float) -> None:
        self._freed.clear()
        try:
            await asyncio.wait_for(self._freed.wait(), seconds)
        except TimeoutError:
            return

    async def _rest(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            return

    # -- calling ----------------------------------------------------------------------------------------

    async def _call(self) -> None:
        while True:
            claimed = await self._queue.get()
            late = claimed.expires_at is not None and claimed.expires_at <= self._clock()
            if late or time.monotonic() > claimed.latest_start or self._stopping.is_set():
                self._finish(claimed, Result(Outcome.NOT_TRIED))
                continue
            try:
                result = await self.adapter.send(claimed.message)
            except Exception as error:
                # A defect of the adapter: the call may have gone out, so nobody knows.
                log.exception("the adapter broke at message %s", claimed.message.id)
                result = Result(Outcome.MAYBE_SENT, error=type(error).__name__)
            self._finish(claimed, result)

    def _finish(self, claimed: _Claimed, result: Result) -> None:
        self._results.append((claimed, result))
        self._resulted.set()

    # -- writing back -----------------------------------------------------------------------------------

    async def _write_back(self) -> None:
        while True:
            await self._resulted.wait()
            if len(self._results) < self._in_flight:
                await asyncio.sleep(GATHER_SECONDS)
            self._resulted.clear()
            batch, self._results = self._results, []
            await self._record(batch)
            await self._react([result for _, result in batch])
            self._in_flight -= len(batch)
            self._freed.set()

    async def _record(self, batch: list[tuple[_Claimed, Result]]) -> None:
        """Write outcomes down, whatever a gateway said with them."""
        try:
            await self._write(batch)
        except _NOT_STORABLE:
            log.exception("words of gateway %s cannot be stored", self.gateway.code)
            for claimed, result in batch:
                try:
                    await self._write([(claimed, result)])
                except _NOT_STORABLE:
                    await self._write([(claimed, Result(result.outcome, code=result.code))])
        self.tally.outcomes.update(result.outcome.value for _, result in batch)

    async def _write(self, batch: list[tuple[_Claimed, Result]]) -> None:
        """Write outcomes down, in the order in which others lock messages too."""
        batch.sort(key=lambda entry: entry[0].message.id)
        await self._outcomes.fetch(
            "queue_dispatch/complete_attempts",
            message_ids=[claimed.message.id for claimed, _ in batch],
            numbers=[claimed.message.number for claimed, _ in batch],
            tokens=[claimed.token for claimed, _ in batch],
            outcomes=[result.outcome.value for _, result in batch],
            codes=[result.code for _, result in batch],
            errors=[result.error for _, result in batch],
            gateway_message_ids=[result.gateway_message_id for _, result in batch],
            delays=[self._delay(claimed, result) for claimed, result in batch],
            max_attempts=self.gateway.max_attempts,
            channel=CHANNELS[self.gateway.kind],
            poll_seconds=POLL_SECONDS if self.gateway.kind == "opa_suite" else None,
            gateway_id=self.gateway.id,
        )

    async def _react(self, results: list[Result]) -> None:
        """Do what outcomes ask of the gateway: pause it, let it rest, take it for recovered."""
        found = {result.outcome: result for result in results}
        for result in results:
            if result.outcome is Outcome.MAYBE_SENT:
                self._doubtful += 1
            elif result.outcome is Outcome.ACCEPTED:
                self._doubtful = 0
            if result.outcome in _REFUSED:
                self._refused += 1
            elif result.outcome not in _NO_CALL:
                self._refused = 0
        if wrong := found.get(Outcome.CONFIGURATION):
            await self._pause(wrong.error or "wrong settings")
        elif self._refused >= REFUSED_CALLS and (
            refusals := [found[one] for one in _REFUSED if one in found]
        ):
            await self._pause(f"{self._refused} messages in a row refused: {refusals[0].error}")
        if Outcome.TRANSIENT in found:
            self._from_front = True  # they stand in their old places again
            await self._slow([result for result in results if result.outcome is Outcome.TRANSIENT])
        elif self._doubtful >= DOUBTFUL_CALLS and Outcome.MAYBE_SENT in found:
            # Every message that such a gateway is tried with becomes unknown.
            await self._slow([result for result in results if result.outcome is Outcome.MAYBE_SENT])
        elif Outcome.ACCEPTED in found and self._state["failures"]:
            await self._outcomes.fetch("queue_dispatch/recover_gateway", gateway_id=self.gateway.id)
            await self._read_state()

    def _delay(self, claimed: _Claimed, result: Result) -> float | None:
        """Seconds until the message may go again; None: at once, in its place, or never."""
        if result.outcome is Outcome.DEFERRED:
            return max(result.retry_after or 0.0, self._backoff(claimed.message.number - 1))
        if result.outcome in (Outcome.IN_ATTENDANCE, Outcome.RECEIVABLE_MISSING):
            return max(result.retry_after or 0.0, float(self.gateway.hold_seconds))
        return None

    def _backoff(self, failures: int) -> float:
        """Seconds to wait after so many failures before: doubling, with jitter, up to the gateway's most."""
        most = min(self.gateway.backoff_seconds * 2.0 ** min(failures, 30), self.gateway.backoff_most_seconds)
        return most * random.uniform(0.5, 1.0)  # noqa: S311 - no secret

    async def _slow(self, results: list[Result]) -> None:
        asked = max((result.retry_after or 0.0 for result in results), default=0.0)
        delay = min(asked, LONGEST_REST_SECONDS) or self._backoff(self._state["failures"])
        await self._outcomes.fetch(
            "queue_dispatch/slow_gateway",
            gateway_id=self.gateway.id,
            delay=delay,
            reason=results[0].error or "transient failure",
        )
        await self._read_state()

    async def _pause(self, reason: str) -> None:
        self.tally.paused = reason
        self.stop("paused", reason)
        await self._outcomes.fetch(
            "queue_dispatch/pause_gateway", gateway_id=self.gateway.id, reason=reason, run_id=self._run_id
        )

    # -- looking after the queue ------------------------------------------------------------------------

    async def _keep_looking(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await self._look()

    async def _keep_asking_quota(self) -> None:
        while True:
            await asyncio.sleep(QUOTA_SECONDS)
            await self._ask_quota()

    async def _look(self) -> None:
        """Rescue what is lost, expire what is late, line up what is due, and see how the gateway stands."""
        if self._looks.sessions != self._slot_session and not await self._take_slot():
            return self.stop("busy", "another dispatcher took its place while the database was away")
        bounds = {"gateway_id": self.gateway.id, "run_id": self._run_id, "most": MOST_PER_LOOK}
        (rescued,) = await self._looks.fetch(
            "queue_dispatch/rescue_messages", back_seconds=self._rescue_back, **bounds
        )
        self._rescue_back = _EVER if rescued["count"] == MOST_PER_LOOK else RESCUE_BACK_SECONDS
        (expired,) = await self._looks.fetch("queue_dispatch/expire_messages", **bounds)
        (readied,) = await self._looks.fetch("queue_dispatch/ready_messages", **bounds)
        self.tally.rescued += rescued["count"]
        self.tally.expired += expired["count"]
        if readied["count"]:
            self._from_front = True
        await self._read_state()
        return None

    async def _read_state(self) -> None:
        before = getattr(self, "_state", None)
        (self._state,) = await self._looks.fetch(
            "queue_dispatch/get_gateway_state", gateway_id=self.gateway.id
        )
        if before is not None and before["order_version"] != self._state["order_version"]:
            self._from_front = True

    async def _take_slot(self) -> bool:
        for slot in range(1, self.gateway.dispatchers + 1):
            (row,) = await self._looks.fetch(
                "queue_dispatch/take_slot", gateway_id=self.gateway.id, slot=slot
            )
            if row["taken"]:
                self._slot_session = self._looks.sessions
                return True
        return False

    async def _ask_quota(self) -> None:
        used_before = self._state["used_today"]
        available = await self.adapter.available()
        if available is not None:
            await self._looks.fetch(
                "queue_dispatch/note_available",
                gateway_id=self.gateway.id,
                available=available,
                used_before=used_before,
            )
            await self._read_state()

    async def _reconcile(self) -> None:
        """Ask the gateway what became of messages whose outcome is unknown, others each time, for a while."""
        rows = await self._looks.fetch(
            "queue_dispatch/list_unknown", gateway_id=self.gateway.id, most=MOST_UNKNOWN
        )
        if not rows:
            return
        room = asyncio.Semaphore(self._share)

        async def find(row: asyncpg.Record) -> tuple[_Claimed, Result] | None:
            claimed = _Claimed(_outgoing(row), row["token"], 0.0, None)
            async with room:
                result = await self.adapter.find(claimed.message)
            return (claimed, result) if result else None

        questions = [asyncio.create_task(find(row)) for row in rows]
        answered, open_ones = await asyncio.wait(questions, timeout=min(RECONCILE_SECONDS, self._budget / 4))
        for question in open_ones:
            question.cancel()
        await asyncio.gather(*open_ones, return_exceptions=True)
        if known := [entry for question in answered if (entry := question.result())]:
            await self._record(known)


def _outgoing(row: asyncpg.Record) -> Outgoing:
    return Outgoing(
        id=row["id"],
        number=row["number"],
        recipient=row["recipient"],
        payload=json.loads(row["payload"]),
        dedupe_key=row["dedupe_key"],
        gateway_message_id=row.get("gateway_message_id"),
    )


# -- the routine ------------------------------------------------------------------------------------------


def check_settings(connection: psycopg.Connection, params: dict[str, Any]) -> None:
    """Refuse a gateway that does not exist. Changes nothing.

    Raises:
        SettingError: there is no gateway of that code.
    """
    if params.get("gateway") is not None:
        load_gateway(connection, params["gateway"])


def list_places(connection: psycopg.Connection, run: Run) -> list[str]:
    """The codes of the gateways that this run sends with, each as often as it may have dispatchers.

    Names gateways that are not active and have messages waiting.
    """
    connection.execute(statement("queue_dispatch/note_inactive"), {"run_id": run.id})
    code = run.params.get("gateway")
    gateways = [load_gateway(connection, code)] if code else load_gateways(connection)
    return [gateway.code for gateway in gateways for _ in range(gateway.dispatchers)]


def note_unusable(connection: psycopg.Connection, run: Run, gateway: Gateway, problem: str) -> None:
    """Name a gateway in the run that cannot be used because of its settings."""
    connection.execute(
        statement("queue_dispatch/note_unusable"),
        {"run_id": run.id, "gateway": gateway.code, "problem": problem},
    )


def count_messages(connection: psycopg.Connection, run: Run) -> RunOutcome:
    """Name what the run did not send, and count what it did, inside the transaction of the caller."""
    connection.execute(statement("queue_dispatch/forget_settled_items"), {"run_id": run.id})
    connection.execute(statement("queue_dispatch/record_items"), {"run_id": run.id})
    with connection.cursor(row_factory=dict_row) as cursor:
        (counts,) = cursor.execute(statement("queue_dispatch/count_run"), {"run_id": run.id}).fetchall()
    alerts = counts.pop("alerts")
    details = {"alert": alerts} if alerts else {}
    return RunOutcome(selected=sum(counts.values()), **counts, details=details)
