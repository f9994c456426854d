"""daily_file_batch in the real Airflow: scheduled, by hand and as a backfill, each day once and in order."""

from __future__ import annotations

import datetime as dt
import json
import time
from typing import Any

import pytest

from rotina.local.stack import business_today
from tests.e2e.running_stack import RunningStack

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("e2e"), pytest.mark.timeout(900)]

DAG_ID = "daily_file_batch"
DAY = dt.timedelta(days=1)


def batches(stack: RunningStack) -> list[dict[str, Any]]:
    return stack.rows(
        "select business_date, revision, sequence, delivered_at is not null as delivered, "
        "verified_at is not null as verified from crm.file_batch where sequence is not null order by sequence"
    )


def partner(stack: RunningStack) -> dict[str, dict[str, Any]]:
    """The manifests that the partner has, by business date; each with all of its files beside it."""
    folder = stack.home / "partner"
    manifests = [json.loads(path.read_text()) for path in folder.glob("*.json")]
    for manifest in manifests:
        for file in manifest["files"]:
            assert (folder / file["name"]).stat().st_size == file["bytes"]
    return {manifest["business_date"]: manifest for manifest in manifests}


def test_the_demonstration_day_shows_the_batch_of_the_day_before(stack: RunningStack) -> None:
    yesterday = business_today() - DAY
    # Made by the schedule, or by the demonstration where the schedule's hour is still to come.
    (record,) = stack.rows("select * from crm.run where routine = %s order by id limit 1", DAG_ID)
    assert (record["business_date"], record["status"]) == (yesterday, "succeeded")
    assert record["selected"] >= 3
    orders = partner(stack)[str(yesterday)]["files"][0]
    assert orders["name"] == f"ICOMMKT_ORDERS_DEMO_{yesterday:%Y%m%d}"
    assert orders["rows"] >= 3
    assert "Lotes entregues" in stack.summary(record)["text"]


def test_the_scheduled_run_is_the_one_of_the_day_before(stack: RunningStack) -> None:
    for run in stack.dag_runs("scheduled", DAG_ID):
        assert stack.wait_for_run(run["dag_run_id"], DAG_ID) == "success"
        due = dt.datetime.fromisoformat(run["run_after"]).astimezone(dt.timezone(dt.timedelta(hours=-3)))
        record = stack.record(run["dag_run_id"])
        assert record["business_date"] == due.date() - DAY
        assert run["partition_key"] == str(record["business_date"])


def test_by_hand_it_is_the_day_before_and_today_is_refused(stack: RunningStack) -> None:
    again = stack.trigger("op", DAG_ID).json()["dag_run_id"]
    assert stack.wait_for_run(again, DAG_ID) == "success"
    record = stack.record(again)
    assert (record["business_date"], record["changed"]) == (business_today() - DAY, 0)
    assert record["unchanged"] > 0
    today = stack.trigger("op", DAG_ID, business_date=str(business_today())).json()["dag_run_id"]
    assert stack.wait_for_run(today, DAG_ID) == "failed"
    assert "is not over" in stack.record(today)["message"]


def test_missed_days_are_made_up_in_order_by_a_backfill(stack: RunningStack) -> None:
    """Three runs at the same time: each waits until the day before it is delivered."""
    first = business_today() - 4 * DAY
    days = [first + number * DAY for number in range(3)]
    assert len(batches(stack)) == 1
    stack.execute(f"update crm.daily_file_setting set first_business_date = '{first}'")
    impatient = stack.trigger("op", DAG_ID, business_date=str(days[2]), wait_minutes=0).json()["dag_run_id"]
    assert stack.wait_for_run(impatient, DAG_ID) == "failed"
    message = stack.record(impatient)["message"]
    assert f"--from-date {days[0]} --to-date {days[1]}T23:59" in message

    waiting = stack.trigger("op", DAG_ID, business_date=str(days[2])).json()["dag_run_id"]
    give_up = time.monotonic() + 120
    while stack.task_instances(waiting, DAG_ID)["wait_for_source"]["state"] != "up_for_reschedule":
        assert time.monotonic() < give_up
        time.sleep(0.5)  # holds no worker slot
    before = {run["dag_run_id"] for run in stack.dag_runs("backfill", DAG_ID)}
    stack.airflow(
        *("backfill", "create", "--dag-id", DAG_ID),
        *("--from-date", f"{days[0]}", "--to-date", f"{days[-1]}T23:59"),
    )
    run_ids = {run["dag_run_id"] for run in stack.dag_runs("backfill", DAG_ID)} - before
    assert [stack.wait_for_run(run_id, DAG_ID) for run_id in (*run_ids, waiting)] == ["success"] * 4
    stack.end_backfills(DAG_ID)
    assert sorted(stack.record(run_id)["business_date"] for run_id in run_ids) == days
    made = batches(stack)
    assert [batch["business_date"] for batch in made] == [business_today() - DAY, *days]
    assert [batch["sequence"] for batch in made] == [1, 2, 3, 4]
    assert all(batch["delivered"] and batch["verified"] for batch in made)
    assert set(map(str, days)) <= set(partner(stack))
