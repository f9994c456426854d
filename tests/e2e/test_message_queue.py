"""The message queue in the real Airflow: billing messages written, dispatched, and a gateway that fails."""

from __future__ import annotations

from typing import Any

import pytest
import requests
from playwright.sync_api import expect

from rotina.local.stack import business_today
from tests.e2e.airflow_ui import AirflowUi
from tests.e2e.running_stack import RunningStack
from tests.e2e.test_account_data_refresh_ui import NewPage, Screenshot

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("e2e"), pytest.mark.timeout(900)]


def run(stack: RunningStack, dag_id: str, **conf: Any) -> dict[str, Any]:
    """Ask for a run as `op` and wait for its end; returns its run record with Airflow's final state."""
    reply = stack.trigger("op", dag_id, **conf)
    assert reply.status_code == 200, reply.text
    run_id = reply.json()["dag_run_id"]
    state = stack.wait_for_run(run_id, dag_id)
    return {**stack.record(run_id), "state": state}


def simulator(stack: RunningStack, method: str, path: str, **arguments: Any) -> requests.Response:
    """A request to the control paths of the gateway simulator."""
    with requests.Session() as session:
        session.trust_env = False
        url = f"http://127.0.0.1:{stack.settings.gateway_port}/simulator{path}"
        return session.request(method, url, timeout=60, **arguments)


def accepted(stack: RunningStack) -> list[int]:
    """Our ids of the messages that the gateway took."""
    ledger = simulator(stack, "GET", "/ledger").json()["messages"]
    return [entry["metadata"]["rotina_message"] for entry in ledger]


def by_status(stack: RunningStack) -> dict[str, int]:
    rows = stack.rows("select status, count(*) from crm.message group by status")
    return {row["status"]: row["count"] for row in rows}


def test_the_demonstration_day_wrote_and_sent_its_messages_once(
    stack: RunningStack, new_page: NewPage, screenshot: Screenshot
) -> None:
    written = [row["id"] for row in stack.rows("select id from crm.message order by id")]
    assert by_status(stack)["sent"] > 0
    again = run(stack, "billing_messages", business_date=str(business_today()))
    assert (again["state"], again["changed"]) == ("success", 0)
    assert again["unchanged"] > 0
    dispatched = run(stack, "queue_dispatch", gateway="opa")
    assert (dispatched["state"], dispatched["asked_by"]) == ("success", "op")
    assert [row["id"] for row in stack.rows("select id from crm.message order by id")] == written
    sent = stack.rows(
        "select m.id from crm.message as m join crm.gateway as g on m.gateway_id = g.id "
        "where m.status = 'sent' and g.code = 'opa' order by m.id"
    )
    assert sorted(accepted(stack)) == [row["id"] for row in sent]  # each of them once
    assert stack.summary(dispatched)["recipients"] == ["op@example.com"]

    page = new_page()
    AirflowUi(page, stack).enter("viewer")
    page.goto(f"{stack.settings.airflow_url}/dags/queue_dispatch/runs/{dispatched['dag_run_id']}")
    for task in ("begin", "dispatch", "report"):
        expect(page.get_by_role("link", name=task).first).to_be_visible()
    expect(page.get_by_text("Success", exact=True).first).to_be_visible()
    screenshot(page, "queue-run")


def test_a_gateway_that_refuses_our_token_is_paused_and_said_so(
    stack: RunningStack, new_page: NewPage, screenshot: Screenshot
) -> None:
    stack.execute(
        """
        insert into crm.message (
            gateway_id, template_id, dedupe_key, origin, origin_key, recipient, payload
        )
        select m.gateway_id, m.template_id, 'again:' || m.id, 'test', m.id::text, m.recipient, m.payload
        from crm.message as m join crm.gateway as g on m.gateway_id = g.id
        where m.status = 'sent' and g.code = 'opa' limit 3
        """
    )
    simulator(stack, "POST", "/faults", json={"kind": "unauthorized", "count": None}).raise_for_status()
    try:
        failed = run(stack, "queue_dispatch")
    finally:
        simulator(stack, "DELETE", "/faults").raise_for_status()
    paused = stack.rows("select pause_reason from crm.gateway where code = 'opa' and paused_at is not null")
    assert "401" in paused[0]["pause_reason"]
    assert by_status(stack)["waiting"] == 3
    if failed["failed"]:  # else the schedule's own run met the fault first
        assert (failed["state"], failed["status"]) == ("failed", "failed")
        letter = stack.summary(failed)
        assert "FALHOU" in letter["subject"]
        page = new_page()
        page.goto(f"{stack.settings.mailbox_url}/messages/{letter['id']}/html")
        expect(page.get_by_text("401").first).to_be_visible()
        screenshot(page, "queue-paused-email")

    stack.execute("update crm.gateway set paused_at = null, paused_by = null, pause_reason = null")
    sent = run(stack, "queue_dispatch", gateway="opa")
    assert sent["state"] == "success"
    assert "waiting" not in by_status(stack)
    assert len(set(accepted(stack))) == len(accepted(stack))


def test_an_unknown_gateway_is_refused(stack: RunningStack) -> None:
    refused = run(stack, "queue_dispatch", gateway="opx")
    assert refused["state"] == "failed"
    assert "gateway = 'opx'" in refused["message"]
