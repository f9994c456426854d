"""Benchmark of the producers' side of the message queue."""

from __future__ import annotations

import datetime as dt
import itertools
import statistics
from pathlib import Path

import psycopg

from benchmarks.harness import Result, Sizes, benchmark, database, timed
from rotina.messaging.billing_messages import write_messages
from rotina.runs import record
from rotina.runs.record import Outcome, Run, RunRequest

DAY = dt.date(2026, 11, 18)
NOW = dt.datetime(2026, 11, 18, 11, tzinfo=dt.UTC)
MESSAGES = 100_000
ROUNDS = 5

_SQL = Path(__file__).parent / "sql"
_numbers = itertools.count(1)

_SETTINGS = """
insert into crm.integration (code, name, active) values ('erp', 'ERP', true);
insert into crm.gateway (code, name, kind, connection_id) values ('opa', 'Opa', 'opa_suite', 'gateway_opa');
insert into crm.message_template (gateway_id, code, name, gateway_template_id, body, variables, status)
select id, 'vence_hoje', 'Vence hoje', 'gw-1', '{{1}} {{2}} {{3}}', '{first_name,value,due_on}', 'approved'
from crm.gateway;
insert into crm.dunning_step (name, days, template_id) select 'Vence hoje', 0, id from crm.message_template;
"""


@benchmark
def billing_messages(_: Sizes) -> list[Result]:
    """Enqueueing the reminders of one day, against the bare INSERT … SELECT of the same messages."""
    bare, enqueued = [], []
    with (
        database() as uri,
        psycopg.connect(uri, autocommit=True, cursor_factory=psycopg.ClientCursor) as connection,
    ):
        connection.execute(_SETTINGS)
        _execute(connection, "add_billing_data", clients=MESSAGES, business_date=DAY)
        (step_id,) = connection.execute("select id from crm.dunning_step").fetchall()[0]
        for _round in range(ROUNDS):
            _empty(connection)
            with timed("bare INSERT … SELECT") as seconds:
                _execute(connection, "bare_billing_messages", step_id=step_id, run_id=1, business_date=DAY)
            bare += seconds
            _check_count(connection)
            _empty(connection)
            run = _open_run(connection)
            with timed("billing_messages") as seconds:
                outcome = _work(connection, run)
            enqueued += seconds
            assert outcome.changed == MESSAGES, outcome
            _check_count(connection)
    return [
        Result(
            "billing_messages.enqueue",
            statistics.median(enqueued),
            "s",
            "bare INSERT … SELECT",
            statistics.median(bare),
            "<= 3",
        )
    ]


def _open_run(connection: psycopg.Connection) -> Run:
    request = RunRequest(
        "billing_messages", "crm_cobranca", f"bench_{next(_numbers)}", "manual", DAY, None, {}
    )
    return record.open_run(connection, request)


def _work(connection: psycopg.Connection, run: Run) -> Outcome:
    """The step of a run as its task does it."""
    with record.routine_lock(connection, run.routine):
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        with connection.transaction():
            outcome = write_messages(connection, run, now=NOW)
            record.record_step(connection, run.id, "write", outcome)
    connection.isolation_level = None
    return outcome


def _empty(connection: psycopg.Connection) -> None:
    connection.execute("truncate crm.message, crm.message_key")
    connection.execute("vacuum analyze")
    connection.execute("checkpoint")


def _check_count(connection: psycopg.Connection) -> None:
    rows = connection.execute("select count(*), min(status), bool_and(ready) from crm.message").fetchall()
    assert rows == [(MESSAGES, "waiting", True)], rows


def _execute(connection: psycopg.Connection, name: str, **values: object) -> None:
    connection.execute((_SQL / f"{name}.sql").read_text(encoding="utf-8"), values)
