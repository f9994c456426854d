"""The tasks of daily_file_batch: Airflow's connections in, files out."""

from __future__ import annotations

from typing import Any

import asyncpg
import psycopg
from airflow.sdk.exceptions import AirflowFailException

from rotina.files import daily_file_batch
from rotina.files.delivery import DeliveryError
from rotina.files.spool import spool_folder
from rotina.hooks.erp import ErpHook
from rotina.hooks.partner import open_target
from rotina.runs.record import Outcome, Run
from rotina.runs.tasks import Context, step


def generate(context: Context) -> dict[str, Any]:
    """Make the batch of the business date; returns the counts.

    Raises:
        as rotina.runs.tasks.step and rotina.files.daily_file_batch.generate.
    """
    arguments = ErpHook().asyncpg_arguments()

    async def connect() -> asyncpg.Connection:
        return await asyncpg.connect(**arguments)

    def work(connection: psycopg.Connection, run: Run) -> Outcome:
        return daily_file_batch.generate(connection, run, connect, spool_folder())

    return step(context, work)


def deliver(context: Context) -> dict[str, Any]:
    """Bring every batch that is not there yet to the partner. Each is recorded as soon as it is there, on a
    connection of its own: what the step itself does is not one transaction.

    Raises:
        AirflowFailException: it failed, and trying again is of no use until somebody mends something.
        DeliveryError: it failed; trying again may help.
        RunBusyError: another run of the routine did not end in time.
    """

    def work(_connection: psycopg.Connection, _run: Run) -> Outcome:
        with ErpHook().connect() as ledger:
            try:
                delivered = daily_file_batch.deliver(ledger, spool_folder(), open_target)
            except DeliveryError as error:
                if error.try_again:
                    raise
                raise AirflowFailException(str(error)) from error
        numbers = ", ".join(map(str, delivered))
        return Outcome(0, 0, 0, 0, 0, {"delivered": numbers or "nenhum; o parceiro já tinha todos"})

    return step(context, work)
