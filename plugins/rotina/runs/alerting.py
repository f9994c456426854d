"""The tasks of delivery_monitor, which talk to the partner that files go to and to the mail server."""

from __future__ import annotations

import datetime as dt
import logging
from typing import Any

import psycopg

from rotina.errors import RotinaError
from rotina.files import alerts, delivery_monitor
from rotina.hooks.erp import ErpHook
from rotina.hooks.mail import MailHook
from rotina.runs.agenda import load_agenda
from rotina.runs.record import Outcome, Run
from rotina.runs.tasks import Context, effect, run_url, step

log = logging.getLogger(__name__)


def ask_partner(context: Context) -> str | None:
    """Ask the partner which delivered batches it acknowledges; returns why it could not be asked, if so."""

    from rotina.hooks.partner import open_target  # the other tasks do without what it needs

    def work(run: Run) -> str | None:
        with ErpHook().connect() as connection:
            connection_id = delivery_monitor.partner_to_ask(connection, run)
            if connection_id is None:
                log.info("There is no batch to ask the partner about")
                return None
            try:
                with open_target(connection_id) as target:
                    number = delivery_monitor.note_acknowledgements(connection, run, target.acknowledgement)
            except RotinaError as error:  # the monitor tells the team of it, and goes on without
                log.warning("The partner could not be asked: %s", error)
                return str(error)
        log.info("The partner acknowledged %s more batches", number)
        return None

    return effect(context, work)


def look(context: Context, partner_problem: str | None) -> dict[str, Any]:
    """Look for problems and write down what the team is to be told; returns the counts."""

    def work(connection: psycopg.Connection, run: Run) -> Outcome:
        return delivery_monitor.look(connection, run, dt.datetime.now(dt.UTC), partner_problem)

    return step(context, work)


def tell(context: Context) -> dict[str, Any]:
    """Send what the team is to be told in one e-mail; returns the counts.

    Raises:
        NotSentError: the mail server did not take it; trying again is safe.
        AirflowFailException: a setting is wrong; nothing was sent.
    """

    def work(connection: psycopg.Connection, run: Run) -> Outcome:
        zone = load_agenda().entry(run.routine).zone
        with ErpHook().connect() as books:
            return alerts.tell(connection, books, run, zone, run_url(run), MailHook().send)

    return step(context, work)
