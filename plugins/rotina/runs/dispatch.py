"""The tasks of queue_dispatch that talk to gateways: Airflow's connections in, messages out."""

from __future__ import annotations

import asyncio
import logging
import signal
from typing import Any

import asyncpg
import psycopg
from airflow.sdk.exceptions import AirflowFailException

from rotina.errors import SettingError
from rotina.hooks.erp import ErpHook
from rotina.hooks.gateway import GatewayHook
from rotina.hooks.mail import MailHook
from rotina.messaging.adapters import Adapter, HttpEndpoint, SmtpEndpoint
from rotina.messaging.adapters.opening import open_adapter
from rotina.messaging.delivery import apply_events, poll
from rotina.messaging.gateways import Gateway, load_gateway
from rotina.messaging.queue_dispatch import Dispatcher, Tally, list_places, note_unusable
from rotina.runs.record import Run
from rotina.runs.tasks import Context, effect

log = logging.getLogger(__name__)

#: How many sent messages a run asks a gateway about, for each call that it may make at the same time.
_POLLS_PER_PLACE = 5


def open_places(context: Context) -> list[str]:
    """The codes of the gateways that may send now, each as often as it may have dispatchers."""

    def work(run: Run) -> list[str]:
        with ErpHook().connect() as connection:
            return list_places(connection, run)

    return effect(context, work)


def send_messages(context: Context, code: str) -> dict[str, Any]:
    """Send the messages of a gateway until there are none or the time of the run is over.

    Returns:
        What was done, for the log.

    Raises:
        AirflowFailException: a setting is wrong, the gateway was paused, or messages became unknown.
    """

    def work(run: Run) -> Tally:
        with ErpHook().connect() as connection:
            apply_events(connection)
            gateway = load_gateway(connection, code)
            try:
                endpoint = endpoint_of(gateway)
            except SettingError as error:
                note_unusable(connection, run, gateway, str(error))
                raise
        return asyncio.run(_dispatch(gateway, endpoint, run))

    tally = effect(context, work)
    log.info("%s: %s", code, tally)
    if problem := tally.problem:
        raise AirflowFailException(f"gateway {code}: {problem}")
    return {**vars(tally), "outcomes": dict(tally.outcomes)}


def endpoint_of(gateway: Gateway) -> HttpEndpoint | SmtpEndpoint:
    """Where a gateway is and its secret, from its Airflow connection.

    Raises:
        SettingError: the connection is missing or wrong.
    """
    if gateway.kind == "smtp":
        return MailHook(gateway.connection_id).endpoint()
    return GatewayHook(gateway.connection_id).endpoint()


async def _dispatch(gateway: Gateway, endpoint: HttpEndpoint | SmtpEndpoint, run: Run) -> Tally:
    arguments = ErpHook().asyncpg_arguments()

    async def connect() -> asyncpg.Connection:
        return await asyncpg.connect(**arguments)

    adapter = open_adapter(gateway, endpoint)
    dispatcher = Dispatcher(
        gateway, adapter, connect, run_id=run.id, budget_seconds=60.0 * float(run.params["minutes"])
    )
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        # Airflow ends a task with a signal: stop claiming, wait for the calls under way, write them back.
        loop.add_signal_handler(number, dispatcher.stop, "stopped", "the task was told to end")
    try:
        tally = await dispatcher.run()
        if tally.ended not in ("busy", "paused", "slow", "stopped"):
            await _poll(adapter, gateway)
        return tally
    finally:
        await adapter.close()


async def _poll(adapter: Adapter, gateway: Gateway) -> None:
    """Ask how far sent messages got. If that fails, what was sent stands, and the next run asks again."""
    try:
        with ErpHook().connect() as connection:
            # Bounded, because a gateway that does not answer takes the call timeout for each of its places.
            await poll(connection, adapter, gateway, most=_POLLS_PER_PLACE * gateway.share)
    except psycopg.Error:
        log.exception("gateway %s was not asked for deliveries", gateway.code)
