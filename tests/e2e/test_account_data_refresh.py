"""account_data_refresh through Airflow's API and command line, against the real Airflow."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import pytest

from rotina.local.environment import TIME_ZONE
from rotina.local.stack import business_today
from tests.e2e.running_stack import DAG_ID, RunningStack

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("e2e"), pytest.mark.timeout(900)]

DAY = dt.timedelta(days=1)


def asked(stack: RunningStack, login: str, **conf: object) -> str:
    """Ask for a run; returns its id."""
    reply = stack.trigger(login, **conf)
    assert reply.status_code == 200, reply.text
    return str(reply.json()["dag_run_id"])


def test_a_backfill_of_three_days_on_the_command_line(stack: RunningStack) -> None:
    days = [business_today() - 23 * DAY + number * DAY for number in range(3)]
    before = {run["dag_run_id"] for run in stack.dag_runs("backfill")}
    command = ["backfill", "create", "--dag-id", DAG_ID]
    command += ["--from-date", f"{days[0]}", "--to-date", f"{days[-1]}T23:59"]

    preview = stack.airflow(*command, "--dry-run")
    assert all(str(day) in preview for day in days)
    assert str(days[0] - DAY) not in preview
    assert str(days[-1] + DAY) not in preview
    assert {run["dag_run_id"] for run in stack.dag_runs("backfill")} == before

    stack.airflow(*command)
    run_ids = {run["dag_run_id"] for run in stack.dag_runs("backfill")} - before
    assert [stack.wait_for_run(run_id) for run_id in run_ids] == ["success"] * 3
    stack.end_backfills()
    records = [stack.record(run_id) for run_id in run_ids]
    assert sorted(record["business_date"] for record in records) == days
    assert {(record["run_type"], record["status"]) for record in records} == {("backfill", "succeeded")}


def test_a_backfill_takes_no_business_date(stack: RunningStack) -> None:
    day = business_today() - 30 * DAY
    bounds = {"from_date": f"{day}T00:00:00Z", "to_date": f"{day}T23:59:00Z"}
    body = {"dag_id": DAG_ID, **bounds, "dag_run_conf": {"business_date": str(day)}}
    before = {run["dag_run_id"] for run in stack.dag_runs("backfill")}
    assert stack.call("op", "POST", "/backfills", json=body).status_code == 200
    (run_id,) = {run["dag_run_id"] for run in stack.dag_runs("backfill")} - before
    assert stack.wait_for_run(run_id) == "failed"
    stack.end_backfills()
    assert "leave the param empty" in stack.record(run_id)["message"]


def test_who_asks_gets_the_summary(stack: RunningStack) -> None:
    run_id = asked(stack, "op")
    assert stack.wait_for_run(run_id) == "success"
    record = stack.record(run_id)
    assert (record["asked_by"], record["business_date"]) == ("op", business_today())
    assert stack.summary(record)["recipients"] == ["op@example.com"]


def test_a_scheduled_run_is_the_one_of_its_local_day(stack: RunningStack) -> None:
    runs = stack.dag_runs("scheduled")
    assert runs
    for run in runs:
        assert stack.wait_for_run(run["dag_run_id"]) == "success"
        due = dt.datetime.fromisoformat(run["run_after"]).astimezone(ZoneInfo(TIME_ZONE))
        record = stack.record(run["dag_run_id"])
        assert record["business_date"] == due.date()
        assert run["partition_key"] == str(record["business_date"])
        assert stack.summary(record)["recipients"] == ["operacao@example.com"]


@pytest.mark.parametrize("business_date", ["2026-02-30", "20/11/2026", "yesterday", "", 20261120])
def test_airflow_refuses_a_malformed_date(stack: RunningStack, business_date: object) -> None:
    reply = stack.trigger("user", business_date=business_date)
    assert reply.status_code == 400
    assert "business_date" in reply.text


def test_a_viewer_starts_nothing(stack: RunningStack) -> None:
    before = stack.dag_runs("manual")
    assert stack.trigger("viewer").status_code == 403
    assert stack.dag_runs("manual") == before


def test_an_unknown_audience_changes_nothing(stack: RunningStack) -> None:
    before = stack.account_data()
    run_id = asked(stack, "user", audience="no such audience", full=True)
    assert stack.wait_for_run(run_id) == "failed"
    record = stack.record(run_id)
    assert record["status"] == "failed"
    assert "'no such audience'" in record["message"]
    assert "'no such audience'" in stack.task_log(run_id, "begin")
    assert "FALHOU" in stack.summary(record)["subject"]
    assert stack.account_data() == before


def test_two_runs_of_one_date_at_once(stack: RunningStack) -> None:
    run_ids = [asked(stack, login, full=True) for login in ("user", "op")]
    assert [stack.wait_for_run(run_id) for run_id in run_ids] == ["success"] * 2
    for run_id, login in zip(run_ids, ("user", "op"), strict=True):
        record = stack.record(run_id)
        assert (record["asked_by"], record["status"]) == (login, "succeeded")
        assert record["selected"] > 300  # the accounts and the invoices that belong to none


@pytest.mark.parametrize("downstream", [True, False], ids=["with report", "alone"])
def test_a_cleared_task_works_anew(stack: RunningStack, downstream: bool) -> None:
    run_id = asked(stack, "user")
    assert stack.wait_for_run(run_id) == "success"
    body = {"dag_run_id": run_id, "task_ids": ["refresh"], "include_downstream": downstream}
    reply = stack.call(
        "op",
        "POST",
        f"/dags/{DAG_ID}/clearTaskInstances",
        json=body | {"dry_run": False, "only_failed": False},
    )
    assert reply.status_code == 200, reply.text
    assert stack.wait_for_run(run_id) == "success"
    tries = {name: task["try_number"] for name, task in stack.task_instances(run_id).items()}
    assert tries == {"begin": 1, "refresh": 2, "report": 2 if downstream else 1}
    first, second = stack.records(run_id)
    assert (first["attempt"], first["status"], second["attempt"], second["status"]) == (
        1,
        "succeeded",
        2,
        "succeeded",
    )
    assert first["ended_at"] <= second["started_at"]
    assert stack.summary(second)["recipients"] == ["user@example.com"]
