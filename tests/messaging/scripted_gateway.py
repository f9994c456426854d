"""A gateway for tests of the dispatcher: it does as it is told, and keeps a ledger of what it took."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import asyncpg
import psycopg

from rotina.messaging.adapters import Delivery, Outgoing
from rotina.messaging.gateways import load_gateway
from rotina.messaging.outcome import Outcome, Result
from rotina.messaging.queue_dispatch import Dispatcher, Tally

Answer = Callable[[Outgoing], Result]


def accept(message: Outgoing) -> Result:
    """Take the message."""
    return Result(Outcome.ACCEPTED, gateway_message_id=f"gw-{message.id}", code=200)


class ScriptedGateway:
    """An adapter whose answers a test gives; `ledger` holds the ids of the messages it was called for."""

    places = 10_000

    def __init__(self, answer: Answer = accept) -> None:
        self.answer = answer
        self.ledger: list[int] = []
        self.left_today: int | None = None
        self.found: Callable[[int], Result | None] = lambda _: None
        self.before_reply: Callable[[Outgoing], None] = lambda _: None
        self.most_at_once = 0
        self._at_once = 0

    async def send(self, message: Outgoing) -> Result:
        """Answer as told, after other tasks had their turn."""
        self.ledger.append(message.id)
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        await asyncio.sleep(0)
        self.before_reply(message)
        self._at_once -= 1
        return self.answer(message)

    async def find(self, message: Outgoing) -> Result | None:
        """What the test says of an unknown message."""
        return self.found(message.id)

    async def delivery(self, gateway_message_id: str) -> Delivery | None:
        """Nothing."""

    async def available(self) -> int | None:
        """What the test says may still be sent today."""
        return self.left_today

    async def close(self) -> None:
        """Nothing to close."""


def dispatcher(
    connection: psycopg.Connection,
    uri: str,
    adapter: ScriptedGateway,
    *,
    code: str = "opa",
    run_id: int | None = None,
    budget_seconds: float = 30.0,
) -> Dispatcher:
    """A dispatcher of a gateway, as stored, on the database at `uri`."""

    async def connect() -> asyncpg.Connection:
        return await asyncpg.connect(uri, server_settings={"application_name": "dispatcher"})

    return Dispatcher(
        load_gateway(connection, code), adapter, connect, run_id=run_id, budget_seconds=budget_seconds
    )


def dispatch(
    connection: psycopg.Connection,
    uri: str,
    adapter: ScriptedGateway | None = None,
    *,
    code: str = "opa",
    run_id: int | None = None,
    budget_seconds: float = 30.0,
) -> Tally:
    """One run of a dispatcher from beginning to end."""
    made = dispatcher(
        connection, uri, adapter or ScriptedGateway(), code=code, run_id=run_id, budget_seconds=budget_seconds
    )
    return asyncio.run(made.run())
