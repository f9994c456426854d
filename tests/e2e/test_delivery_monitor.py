"""delivery_monitor in the real Airflow: it looks by itself, tells the team, and its command is taken."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
import requests

from rotina.local.stack import business_today
from rotina.runs.agenda import load_agenda
from tests.e2e.running_stack import RunningStack

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("e2e"), pytest.mark.timeout(900)]

DAG_ID = "delivery_monitor"
DAY = dt.timedelta(days=1)


def run_by_hand(stack: RunningStack) -> dict[str, Any]:
    """Run it to its end; returns the run record."""
    run_id = stack.trigger("op", DAG_ID).json()["dag_run_id"]
    assert stack.wait_for_run(run_id, DAG_ID) == "success"
    assert {task["state"] for task in stack.task_instances(run_id, DAG_ID).values()} == {"success"}
    return stack.record(run_id)


def message_ids(stack: RunningStack) -> list[str]:
    """The Message-IDs of all e-mails in the mailbox."""
    with requests.Session() as session:
        session.trust_env = False
        url = f"{stack.settings.mailbox_url}/api/messages"
        messages = [
            session.get(f"{url}/{message['id']}", timeout=60).json()
            for message in session.get(url, timeout=60).json()
        ]
    return [value for message in messages for name, value in message["headers"] if name == "Message-ID"]


def test_it_runs_by_itself(stack: RunningStack) -> None:
    first, *_ = stack.dag_runs("scheduled", DAG_ID)
    assert stack.wait_for_run(first["dag_run_id"], DAG_ID) == "success"
    # At a full hour queue_dispatch has a run of the same id.
    query = "select status from crm.run where routine = %s and dag_run_id = %s"
    assert stack.rows(query, DAG_ID, first["dag_run_id"]) == [{"status": "succeeded"}]


def test_a_problem_is_told_once_and_its_end_too(stack: RunningStack) -> None:
    stack.execute(
        "insert into crm.gateway (code, name, kind, connection_id, paused_at, paused_by, pause_reason) "
        "values ('e2e', 'Gateway e2e', 'opa_suite', 'e2e', now(), 'queue_dispatch', 'HTTP 401')"
    )
    first, second = run_by_hand(stack), run_by_hand(stack)
    assert first["changed"] >= 1
    assert second["changed"] == 0
    assert second["unchanged"] >= 1
    stack.execute(
        "update crm.gateway set paused_at = null, paused_by = null, pause_reason = null where code = 'e2e'"
    )
    third = run_by_hand(stack)
    assert third["details"]["recovered"] >= 1
    stack.execute("delete from crm.gateway where code = 'e2e'")
    (told,) = stack.rows("select * from crm.alert where problem = 'gateway_paused' and subject = 'e2e'")
    assert (told["mail_status"], told["recovery_status"]) == ("sent", "sent")
    mails = message_ids(stack)
    for run in (first, third):
        assert sum(key.startswith(f"<alert-{run['id']}-") for key in mails) == 1


@pytest.mark.parametrize("routine", ["daily_file_batch", "account_data_refresh"])
def test_airflow_makes_the_runs_that_the_command_asks_for(stack: RunningStack, routine: str) -> None:
    first, last = business_today() - 12 * DAY, business_today() - 10 * DAY
    command = load_agenda().entry(routine).backfill_command(first, last)
    printed = stack.airflow(*command.split()[1:], "--dry-run")
    days = [str(first + number * DAY) for number in range(3)]
    assert all(f" {day} " in printed for day in days)
    assert f" {first - DAY} " not in printed
    assert f" {last + DAY} " not in printed
