"""One dispatcher, as the task of queue_dispatch runs it, again and again until SIGTERM, or SIGKILL.

`python -m tests.chaos.dispatcher DATABASE GATEWAY RUN_ID` prints a line when it makes its first call.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from functools import cache

import asyncpg
import psycopg

from rotina.messaging.adapters import HttpEndpoint, Outgoing
from rotina.messaging.adapters.opa_suite import OpaSuiteAdapter
from rotina.messaging.gateways import Gateway, load_gateway
from rotina.messaging.outcome import Result
from rotina.messaging.queue_dispatch import Dispatcher
from tests.chaos.simulator import TOKEN

#: The code of the gateway.
CODE = "opa"
#: How much longer than a call a claim lasts: short, so that what a kill leaves is soon given up.
LEASE_MARGIN_SECONDS = 3.0
_BUDGET_SECONDS = 5.0
_BETWEEN_RUNS = 0.1


@cache
def tell_at_work() -> None:
    """Say, the first time, that it is worth killing this dispatcher."""
    print("at work", flush=True)


class _Adapter(OpaSuiteAdapter):
    async def send(self, message: Outgoing) -> Result:
        tell_at_work()
        return await super().send(message)


def load(database: str) -> Gateway | None:
    """The gateway; None while the database is away."""
    try:
        with psycopg.connect(database, cursor_factory=psycopg.ClientCursor) as connection:
            return load_gateway(connection, CODE)
    except psycopg.OperationalError:
        return None


async def work(database: str, base_url: str, run_id: int) -> None:
    """Dispatch until SIGTERM."""
    told_to_end = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told_to_end.set)
    while not told_to_end.is_set():
        if gateway := await asyncio.to_thread(load, database):
            adapter = _Adapter(gateway, HttpEndpoint(base_url, TOKEN, connect_timeout=1.0))
            dispatcher = Dispatcher(
                gateway,
                adapter,
                lambda: asyncpg.connect(database),
                run_id=run_id,
                budget_seconds=_BUDGET_SECONDS,
                lease_margin_seconds=LEASE_MARGIN_SECONDS,
            )
            try:
                await dispatcher.run()
            finally:
                await adapter.close()
        await asyncio.sleep(_BETWEEN_RUNS)


if __name__ == "__main__":
    logging.basicConfig(format="%(asctime)s %(process)d %(levelname)s %(message)s")
    asyncio.run(work(sys.argv[1], sys.argv[2], int(sys.argv[3])))
