"""class_transition in the real Airflow: scheduled, by hand and as a backfill, it waits for the refresh."""

from __future__ import annotations

import datetime as dt
import time

import pytest

from rotina.local.stack import business_today
from tests.e2e.running_stack import RunningStack

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("e2e"), pytest.mark.timeout(900)]

DAG_ID = "class_transition"
DAY = dt.timedelta(days=1)


def test_the_scheduled_run_went_on_when_the_refresh_of_its_day_had_ended(stack: RunningStack) -> None:
    (scheduled,) = stack.dag_runs("scheduled", DAG_ID)
    assert stack.wait_for_run(scheduled["dag_run_id"], DAG_ID) == "success"
    record = stack.record(scheduled["dag_run_id"])
    assert (record["status"], record["failed"]) == ("succeeded", 0)
    refreshed = stack.rows(
        "select min(ended_at) as at from crm.run where routine = 'account_data_refresh' "
        "and status = 'succeeded' and business_date >= %s",
        record["business_date"],
    )
    moved = stack.task_instances(scheduled["dag_run_id"], DAG_ID)["move"]
    # The data are there when the step is committed, a moment before the record of the refresh is closed.
    assert dt.datetime.fromisoformat(moved["start_date"]) > refreshed[0]["at"] - dt.timedelta(seconds=10)


def test_by_hand_and_as_a_backfill_it_waits_for_the_refresh_of_its_day(stack: RunningStack) -> None:
    day = business_today() - 3 * DAY
    (before,) = stack.rows("select refreshed_through_on from crm.account_data_state")
    # As on the morning of that day.
    stack.execute(
        f"update crm.account_data_state set refreshed_through_on = '{day - DAY}';"
        "delete from crm.routine_progress where routine = 'class_transition';"
        "delete from crm.account_class_change"
    )
    runs = {
        name: stack.trigger("op", DAG_ID, business_date=str(day), **conf).json()["dag_run_id"]
        for name, conf in {"by hand": {}, "impatient": {"wait_minutes": 0}}.items()
    }
    body = {"dag_id": DAG_ID, "from_date": f"{day}T00:00:00Z", "to_date": f"{day}T23:59:00Z"}
    assert stack.call("op", "POST", "/backfills", json=body).status_code == 200
    (backfill,) = stack.dag_runs("backfill", DAG_ID)
    waiting = [runs["by hand"], backfill["dag_run_id"]]

    assert stack.wait_for_run(runs["impatient"], DAG_ID) == "failed"
    impatient = stack.record(runs["impatient"])
    assert f"run account_data_refresh for {day}" in impatient["message"]
    assert f"run account_data_refresh for {day}" in stack.summary(impatient)["text"]
    give_up = time.monotonic() + 120
    while {stack.task_instances(run_id, DAG_ID)["wait_for_refresh"]["state"] for run_id in waiting} != {
        "up_for_reschedule"
    }:  # holds no worker slot
        assert time.monotonic() < give_up
        time.sleep(0.5)

    refresh = stack.trigger("op", business_date=str(day)).json()["dag_run_id"]
    assert stack.wait_for_run(refresh) == "success"
    assert [stack.wait_for_run(run_id, DAG_ID) for run_id in waiting] == ["success"] * 2
    stack.end_backfills(DAG_ID)
    first, second = sorted(map(stack.record, waiting), key=lambda record: record["unchanged"])
    assert [first["business_date"], second["business_date"]] == [day, day]
    assert first["changed"] > 0
    assert second["changed"] == 0
    stack.execute(
        f"update crm.account_data_state set refreshed_through_on = '{before['refreshed_through_on']}'"
    )
