"""The gateways in the console: how each stands, its chart, pause and resume."""

from __future__ import annotations

import datetime as dt
import re
from zoneinfo import ZoneInfo

import psycopg
import pytest

from rotina.messaging.send_windows import day_of
from tests.console.conftest import ConsoleClient, OpenConsole
from tests.messaging.queue_data import add_gateway, add_message, add_window, insert


@pytest.fixture
def viewer(open_console: OpenConsole) -> ConsoleClient:
    return open_console("viewer")


def card(client: ConsoleClient, code: str = "opa") -> str:
    """The part of the page that is about a gateway, without its tags and doubled blanks."""
    page = client.get("/rotina/gateways").text
    found = re.search(rf'data-gateway="{code}">(.*?)</dl>', page, re.DOTALL)
    assert found, page
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", found[1]))


def test_it_counts_what_waits(owner: psycopg.Connection, viewer: ConsoleClient) -> None:
    gateway = add_gateway(owner, name="Opa! Suite", rate=50)
    add_message(owner, gateway, created_at=dt.datetime.now(dt.UTC) - dt.timedelta(hours=3))
    for status, ready in (("waiting", False), ("held", False), ("unknown", True), ("failed", True)):
        add_message(owner, gateway, status=status, ready=ready)
    text = card(viewer)
    for expected in (
        "Opa! Suite opa Open now",
        "Send window today 00:00–24:00 never closes",
        "Waiting, may go now 1 ",
        "Waiting for their time 1 ",
        "Held messages 1 ",
        "Messages being sent 0 ",
        "Unknown messages 1 ",
        "Failed messages 1 ",
        "Oldest waiting 3 h 00 min",
        "Sent in the last hour 0",
        "50 per second",
    ):
        assert expected in text, (expected, text)


def test_the_window_of_today_and_when_it_opens_next(owner: psycopg.Connection, viewer: ConsoleClient) -> None:
    gateway = add_gateway(owner, always=False)
    today = dt.datetime.now(ZoneInfo("America/Sao_Paulo"))
    assert "closed all day opens on no day" in card(viewer)
    tomorrow = today.date() + dt.timedelta(days=1)
    if day_of(tomorrow) == day_of(today.date()):  # two holidays in a row
        tomorrow += dt.timedelta(days=1)
    add_window(owner, gateway, day_of(tomorrow), "08:15", "20:00")
    text = card(viewer)
    assert "Closed at this hour" in text
    assert f"opens {tomorrow.day} " in text
    assert "08:15" in text


def test_a_gateway_that_is_paused_slowed_or_off_says_why(
    owner: psycopg.Connection, viewer: ConsoleClient
) -> None:
    now = dt.datetime.now(dt.UTC)
    add_gateway(owner, "a", paused_at=now, paused_by="queue_dispatch", pause_reason="401: wrong token")
    add_gateway(
        owner, "b", slowed_until=now + dt.timedelta(minutes=5), slow_reason="429: too fast", failures=1
    )
    add_gateway(owner, "c", active=False)
    assert re.search("Paused since .* by queue_dispatch .*401: wrong token", card(viewer, "a"))
    assert re.search("Slowed down until .* 429: too fast", card(viewer, "b"))
    assert "Switched off" in card(viewer, "c")


def test_without_gateways_it_says_so(viewer: ConsoleClient) -> None:
    assert "There is no gateway yet" in viewer.get("/rotina/gateways").text


def test_who_may_act_pauses_with_a_reason_and_resumes(
    owner: psycopg.Connection, open_console: OpenConsole
) -> None:
    add_gateway(owner)
    ana, viewer = open_console("user"), open_console("viewer")
    assert "data-pause" in ana.get("/rotina/gateways").text
    assert "data-pause" not in viewer.get("/rotina/gateways").text
    blank = ana.post_json("/rotina/gateways/opa/pause", {"reason": " "})
    assert (blank.status_code, "reason" in blank.json()["detail"]) == (422, True)
    assert ana.post_json("/rotina/gateways/none/pause", {"reason": "x"}).status_code == 422
    reply = ana.post_json("/rotina/gateways/opa/pause", {"reason": "the token is renewed"})
    assert reply.json()["message"].startswith("Paused")
    again = ana.post_json("/rotina/gateways/opa/pause", {"reason": "another"})
    assert "paused before" in again.json()["message"]
    assert re.search("Paused since .* by user .*the token is renewed", card(viewer))
    assert ana.post_json("/rotina/gateways/opa/resume").json()["message"].startswith("Resumed")
    assert "Open now" in card(viewer)
    assert ana.post_json("/rotina/gateways/opa/resume").json()["message"] == "It was not paused."


def test_what_waits_and_what_failed_is_acted_on_from_there(
    owner: psycopg.Connection, open_console: OpenConsole
) -> None:
    def offered(role: str) -> list[tuple[str, str]]:
        page = open_console(role).get("/rotina/gateways").text
        return re.findall(r'data-action="(\w+)" data-query="([^"]*)"', page)

    gateway = add_gateway(owner, "opa")
    assert offered("user") == []
    add_message(owner, gateway, status="held", ready=False)
    assert offered("user") == [("cancel", "gateway=opa")]
    add_message(owner, gateway, status="failed")
    assert offered("user") == [("retry", "gateway=opa"), ("cancel", "gateway=opa")]
    assert offered("viewer") == []


def test_the_chart_has_what_was_sent_by_five_minutes(
    owner: psycopg.Connection, viewer: ConsoleClient
) -> None:
    now = dt.datetime.now(dt.UTC)
    (run_id, *_) = insert(
        owner, "crm.run", routine="queue_dispatch", program="crm_fila", dag_run_id="x", attempt=1,
        run_type="scheduled", status="running", started_at=now - dt.timedelta(hours=7),
    )  # fmt: skip
    for code, outcomes in (("opa", ["accepted"] * 3 + ["rejected"]), ("mail", ["accepted"])):
        gateway = add_gateway(owner, code)
        for outcome in outcomes:
            number = add_message(owner, gateway, status="sent")
            insert(
                owner, "crm.message_attempt", message_id=number, number=1, run_id=run_id, token=1,
                started_at=now, ended_at=now, outcome=outcome,
            )  # fmt: skip
    old = add_message(owner, gateway, status="sent")
    insert(
        owner, "crm.message_attempt", message_id=old, number=1, run_id=run_id, token=1,
        ended_at=now - dt.timedelta(hours=6, minutes=30), outcome="accepted",
    )  # fmt: skip
    told = viewer.get("/rotina/gateways/rates").json()
    assert told["seconds"] == 300
    opa, mail = told["gateways"]["opa"], told["gateways"]["mail"]
    assert len(opa["sent"]) == len(opa["other"]) == 72
    assert (sum(opa["sent"]), sum(opa["other"]), sum(mail["sent"])) == (3, 1, 1)
    since = dt.datetime.fromisoformat(told["since"])
    place = int((now - since).total_seconds()) // 300
    assert opa["sent"][place] == 3
