"""The message queue in the console: what is found, what a message shows, what is done to many at once."""

from __future__ import annotations

import datetime as dt
import re
from html import unescape
from typing import Any

import psycopg
import pytest
from sqlalchemy import event

from rotina.console import ConsoleApp, message_search
from rotina.console.screens import message_queue
from rotina.messaging.email_frames import Frame, save_frame
from rotina.sql import statement
from tests.console.conftest import ConsoleClient, OpenConsole
from tests.messaging.queue_data import add_gateway, add_message, add_template, insert, messages

STATUSES = ("waiting", "sending", "sent", "failed", "unknown", "held", "cancelled", "expired")


@pytest.fixture
def gateway(owner: psycopg.Connection) -> int:
    """An open gateway; its id."""
    return add_gateway(owner)


@pytest.fixture
def viewer(open_console: OpenConsole) -> ConsoleClient:
    return open_console("viewer")


@pytest.fixture
def user(open_console: OpenConsole) -> ConsoleClient:
    return open_console("user")


def add_many(owner: psycopg.Connection, gateway_id: int, number: int, **columns: str) -> None:
    """Messages of a minute each, the newest of now; further columns are given as SQL."""
    columns = {"status": "'sent'", "recipient": "'+5511900000001'", **columns}
    owner.execute(
        f"""
        insert into crm.message (
            gateway_id, dedupe_key, origin, origin_key, payload, created_at, {", ".join(columns)}
        )
        select {gateway_id}, gen_random_uuid(), 'test', n, '{{}}',
            now() - ({number} - n) * interval '1 minute', {", ".join(columns.values())}
        from generate_series(1, {number}) as n
        """.encode()
    )


def shown(client: ConsoleClient, query: str = "") -> list[int]:
    """The numbers of the messages on a page, in its order."""
    reply = client.get(f"/rotina/queue?{query}")
    assert reply.status_code == 200, reply.text
    return [int(number) for number in re.findall(r'<tr data-message="(\d+)"', reply.text)]


def next_page(client: ConsoleClient, query: str = "") -> str | None:
    """The query of the link to the next page."""
    page = client.get(f"/rotina/queue?{query}").text
    found = re.search(r'href="\?([^"]*)">(?:Next page|Look further back)', page)
    return found[1].replace("&amp;", "&") if found else None


# -- the grid -----------------------------------------------------------------------------------------------


def test_a_row_has_what_a_person_asks_about(
    owner: psycopg.Connection, gateway: int, viewer: ConsoleClient
) -> None:
    template = add_template(owner, gateway, "vencido", name="Boleto vencido")
    number = add_message(
        owner,
        gateway,
        template_id=template,
        recipient="+5511988887777",
        recipient_name="Ana Souza",
        customer_id=771,
        status="failed",
        reason="rejected",
        error="no WhatsApp account",
        priority=3,
        tries=2,
        origin="billing_messages",
        created_at=dt.datetime(2025, 11, 20, 12, tzinfo=dt.UTC),
        send_after=dt.datetime(2025, 11, 20, 13, tzinfo=dt.UTC),
        expires_at=dt.datetime(2025, 11, 21, 3, tzinfo=dt.UTC),
    )
    page = viewer.get("/rotina/queue").text
    for text in (
        f"/rotina/queue/{number}",
        "Failed",
        "refused by the gateway",
        "no WhatsApp account",
        "Ana Souza",
        "+5511988887777",
        "customer 771",
        "Boleto vencido",
        "Ana · 129,90 · 20/11/2026",
        "Billing messages",
        "20 Nov 2025 09:00",
        "20 Nov 2025 10:00",
        "21 Nov 2025 00:00",
        "1 message\n",
    ):
        assert text in page, text
    assert "data-action=" not in page  # a viewer does nothing


def test_it_speaks_portuguese(owner: psycopg.Connection, gateway: int, open_console: OpenConsole) -> None:
    add_message(owner, gateway, status="failed", reason="rejected")
    page = open_console("user", "pt-BR").get("/rotina/queue").text
    for text in ("Fila de mensagens", "Falhou", "Aguardando", "Cancelar…", "1 mensagem\n"):
        assert text in page, text


def test_the_pages_follow_one_another_without_a_gap(
    owner: psycopg.Connection, gateway: int, viewer: ConsoleClient
) -> None:
    add_many(owner, gateway, 120)
    query, seen = "", []
    for _ in range(3):
        seen += shown(viewer, query)
        query = next_page(viewer, query) or "end"
    assert query == "end"
    assert seen == sorted((row["id"] for row in messages(owner)), reverse=True)


@pytest.mark.parametrize("status", STATUSES)
def test_a_status_finds_its_messages(
    owner: psycopg.Connection, gateway: int, viewer: ConsoleClient, status: str
) -> None:
    other = add_gateway(owner, "mail", kind="smtp")
    ids = {
        (one, gateway_id): add_message(owner, gateway_id, status=one, ready=one == "waiting")
        for one in STATUSES
        for gateway_id in (gateway, other)
    }
    later = add_message(owner, gateway, status="waiting", ready=False)
    expected = [ids[status, gateway], ids[status, other]] + ([later] if status == "waiting" else [])
    assert shown(viewer, f"status={status}") == sorted(expected, reverse=True)
    assert shown(viewer, f"status={status}&gateway=mail") == [ids[status, other]]
    both = shown(viewer, f"status={status}&status=sent&gateway=mail")
    assert both == sorted({ids[status, other], ids["sent", other]}, reverse=True)


def test_the_other_filters(owner: psycopg.Connection, gateway: int, viewer: ConsoleClient) -> None:
    template = add_template(owner, gateway, "vencido")
    plain = add_message(owner, gateway)
    wanted = {
        "template=vencido": add_message(owner, gateway, template_id=template),
        "origin=signature_links": add_message(owner, gateway, origin="signature_links"),
        "priority=2": add_message(owner, gateway, priority=2),
        "reason=rejected": add_message(owner, gateway, reason="rejected", status="failed"),
        "error=Whats": add_message(owner, gateway, error="no whatsapp here", status="failed"),
    }
    for query, number in wanted.items():
        assert shown(viewer, query) == [number], query
    assert plain in shown(viewer)
    assert shown(viewer, "error=whats&reason=rejected") == []


def test_the_days_are_those_of_sao_paulo(
    owner: psycopg.Connection, gateway: int, viewer: ConsoleClient
) -> None:
    instants = ["2026-11-19T02:59Z", "2026-11-19T03:00Z", "2026-11-20T02:59Z", "2026-11-20T03:00Z"]
    ids = [add_message(owner, gateway, created_at=dt.datetime.fromisoformat(at)) for at in instants]
    assert shown(viewer, "from=2026-11-19&to=2026-11-19") == [ids[2], ids[1]]
    assert shown(viewer, "from=2026-11-20") == [ids[3]]
    assert shown(viewer, "to=2026-11-18") == [ids[0]]
    assert shown(viewer, "from=2026-12-01") == []


def test_a_day_in_the_past_is_found_by_numbers(
    owner: psycopg.Connection, gateway: int, viewer: ConsoleClient
) -> None:
    add_many(owner, gateway, 20_000)  # two weeks
    day = dt.datetime.now(dt.UTC).date() - dt.timedelta(days=9)
    query = f"from={day}&to={day}"
    found = owner.execute(
        "select count(*), max(id) from crm.message "
        "where (created_at at time zone 'America/Sao_Paulo')::date = %s",
        [day],
    ).fetchone()
    assert found is not None
    assert f"{found[0]:,} messages\n" in viewer.get(f"/rotina/queue?{query}").text
    assert shown(viewer, query)[0] == found[1]


def test_what_no_index_knows_is_looked_for_further_and_further_back(
    owner: psycopg.Connection, gateway: int, viewer: ConsoleClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(message_search, "LOOK", 100)
    oldest = add_message(owner, gateway, origin="rare", created_at=dt.datetime(2026, 1, 1, tzinfo=dt.UTC))
    add_many(owner, gateway, 500)
    page = viewer.get("/rotina/queue?origin=rare").text
    assert "Nothing among the newest messages" in page
    further = next_page(viewer, "origin=rare")
    assert further is not None
    assert "look=1000" in further
    assert shown(viewer, further) == [oldest]
    assert next_page(viewer, further) is None


def test_the_line_is_shown_as_it_goes(
    owner: psycopg.Connection, gateway: int, viewer: ConsoleClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(message_queue, "PAGE_SIZE", 2)
    third = add_message(owner, gateway)
    fourth = add_message(owner, gateway)
    fifth = add_message(owner, gateway, position=7)
    second = add_message(owner, gateway, position=-1)
    first = add_message(owner, gateway, priority=1)
    add_message(owner, gateway, ready=False)
    add_message(owner, gateway, status="sent")
    query, seen = "status=waiting&order=line", []
    while query:
        seen += shown(viewer, query)
        query = next_page(viewer, query) or ""
    assert seen == [first, second, third, fourth, fifth]


def test_counts_stop(owner: psycopg.Connection, gateway: int, viewer: ConsoleClient) -> None:
    add_many(owner, gateway, 10_050)
    add_many(owner, gateway, 1_010, status="'failed'")
    page = viewer.get("/rotina/queue").text
    assert "More than 10,000 messages" in page
    assert re.search(r"Failed</span>\s*<span class=\"badge ms-2\">1,000\+", page)


@pytest.mark.parametrize(
    "query",
    [
        "status=lost",
        "priority=12",
        "priority=x",
        "from=yesterday",
        "gateway=none",
        "template=none",
        "to=0001-01-01",
    ],
)
def test_a_filter_that_means_nothing_is_refused_in_words(viewer: ConsoleClient, query: str) -> None:
    for page in ("/rotina/queue", "/rotina/queue/export"):
        reply = viewer.get(f"{page}?{query}")
        assert reply.status_code == 422
        assert query.partition("=")[0] in reply.json()["detail"]


@pytest.mark.parametrize(
    "query", ["below=x", "below=99999999999999999999", "order=line", "look=0", "after=1.2.3"]
)
def test_an_odd_address_is_no_error(viewer: ConsoleClient, query: str) -> None:
    assert shown(viewer, query) == []


def test_an_empty_queue_says_so(viewer: ConsoleClient, gateway: int) -> None:
    assert "The queue is empty" in viewer.get("/rotina/queue").text
    assert "No message of the queue matches" in viewer.get("/rotina/queue?status=failed").text
    assert "No message has this number" in viewer.get("/rotina/queue?q=771").text


# -- the search ---------------------------------------------------------------------------------------------


def archive(owner: psycopg.Connection, message_id: int) -> None:
    """Move a message and its attempts into the archive."""
    owner.execute(
        "select crm.add_archive_month((select created_at::date from crm.message where id = %s))", [message_id]
    )
    columns = ", ".join(
        row[0]
        for row in owner.execute(
            "select column_name from information_schema.columns "
            "where table_schema = 'crm' and table_name = 'message'"
        )
    )
    owner.execute(
        f"with gone as (delete from crm.message where id = {message_id} returning *) "
        f"insert into crm.message_archive ({columns}) select {columns} from gone".encode()
    )
    owner.execute(
        "with gone as (delete from crm.message_attempt where message_id = %s returning *) "
        "insert into crm.message_attempt_archive "
        "(message_id, number, message_created_at, run_id, token, started_at, ended_at, outcome, code, error) "
        "select message_id, number, m.created_at, g.run_id, g.token, g.started_at, g.ended_at, g.outcome, "
        "g.code, g.error from gone as g join crm.message_archive as m on m.id = g.message_id",
        [message_id],
    )


@pytest.mark.parametrize("archived", [False, True])
def test_a_message_is_found_by_what_people_know_of_it(
    owner: psycopg.Connection, gateway: int, viewer: ConsoleClient, archived: bool
) -> None:
    add_message(owner, gateway, customer_id=901, account_id=902)
    number = add_message(
        owner,
        gateway,
        recipient="+5511988887777",
        customer_id=90_771,
        account_id=90_772,
        dedupe_key="billing:1:2",
        gateway_message_id="wamid.XYZ",
        status="sent",
    )
    mail = add_message(owner, gateway, recipient="ana@example.com", status="sent")
    if archived:
        archive(owner, number)
        archive(owner, mail)
    found = [
        str(number),
        "90771",
        " 90772 ",
        "+5511988887777",
        "(11) 98888-7777",
        "5511988887777",
        "billing:1:2",
        *([] if archived else ["wamid.XYZ"]),
    ]
    for words in found:
        reply = viewer.get("/rotina/queue", params={"q": words})
        assert re.findall(r'<tr data-message="(\d+)"', reply.text) == [str(number)], words
        assert ('<span class="badge ms-1">archived' in reply.text) is archived
    assert shown(viewer, "q=Ana@Example.com") == [mail]


def test_archived_messages_cannot_be_chosen(
    owner: psycopg.Connection, gateway: int, user: ConsoleClient
) -> None:
    number = add_message(owner, gateway, customer_id=90_771, status="sent")
    archive(owner, number)
    waiting = add_message(owner, gateway, customer_id=90_771)
    page = user.get("/rotina/queue?q=90771").text
    assert re.findall(r'value="(\d+)" data-choose', page) == [str(waiting)]


# -- a message ----------------------------------------------------------------------------------------------


def tell_a_life(owner: psycopg.Connection, gateway: int) -> int:
    """A message that was refused once, sent again by a person, taken, and read."""
    at = dt.datetime(2026, 11, 20, 12, tzinfo=dt.UTC)
    template = add_template(
        owner, gateway, "vencido", name="Boleto vencido", body="Olá {{1}}, R$ {{2}} em {{3}}"
    )
    number = add_message(
        owner,
        gateway,
        template_id=template,
        recipient_name="Ana",
        status="sent",
        reason="accepted",
        created_at=at,
        tries=2,
        gateway_message_id="wamid.1",
        delivery_status="read",
    )
    minute = dt.timedelta(minutes=1)
    attempt: dict[str, Any] = {"message_id": number, "token": 1}
    insert(
        owner,
        "crm.message_attempt",
        **attempt,
        number=1,
        started_at=at + minute,
        ended_at=at + minute + dt.timedelta(seconds=2),
        outcome="rejected",
        code=400,
        error="wrong number",
    )
    insert(
        owner,
        "crm.audit_entry",
        at=at + 2 * minute,
        login="bia",
        action="retry",
        target={"ids": [number]},
        details={"selected": 1},
        records=1,
    )
    insert(
        owner,
        "crm.message_attempt",
        **attempt,
        number=2,
        started_at=at + 3 * minute,
        ended_at=at + 3 * minute,
        outcome="accepted",
        code=200,
    )
    for status, minutes in (("delivered", 4), ("read", 5)):
        insert(
            owner,
            "crm.delivery_event",
            gateway_id=gateway,
            gateway_message_id="wamid.1",
            message_id=number,
            status=status,
            occurred_at=at + minutes * minute,
        )
    return number


def test_the_life_of_a_message_is_told_in_order(
    owner: psycopg.Connection, gateway: int, viewer: ConsoleClient
) -> None:
    number = tell_a_life(owner, gateway)
    page = viewer.get(f"/rotina/queue/{number}").text
    titles = re.findall(r'<div class="fw-semibold">([^<]*)</div>', page)
    assert titles == [
        "Included",
        "Attempt 1",
        "bia: sent it again",
        "Attempt 2",
        "The gateway tells: delivered",
        "The gateway tells: read",
    ]
    for text in (
        "refused by the gateway",
        "answer 400",
        "wrong number",
        "took 2",
        "Olá Ana, R$ 129,90 em 20/11/2026",
    ):
        assert text in page, text


def test_an_archived_message_is_shown_with_its_attempts_and_without_actions(
    owner: psycopg.Connection, gateway: int, user: ConsoleClient
) -> None:
    number = tell_a_life(owner, gateway)
    archive(owner, number)
    page = user.get(f"/rotina/queue/{number}").text
    assert "Archived on" in page
    assert "Attempt 2" in page
    assert "data-action" not in page


@pytest.mark.parametrize(
    ("action", "details", "expected"),
    [
        ("reorder", {"to": "front"}, "place: to the front"),
        ("retry", {"expires_at": "2026-11-21T12:00:00+00:00"}, "expires at: 21 Nov 2026 09:00"),
        ("confirm", {"outcome": "failed", "reason": "<b>no trace</b>"}, "outcome: Failed"),
        ("set_priority", {"priority": 2}, "priority: 2"),
    ],
)
def test_what_people_did_is_told_in_words(
    owner: psycopg.Connection,
    gateway: int,
    viewer: ConsoleClient,
    action: str,
    details: dict[str, Any],
    expected: str,
) -> None:
    number = add_message(owner, gateway)
    target = {"ids": [number]}
    insert(owner, "crm.audit_entry", login="bia", action=action, target=target, details=details, records=1)
    page = viewer.get(f"/rotina/queue/{number}").text
    assert f">{expected}</div>" in page
    assert "<b>no trace" not in page


def test_an_email_is_shown_in_a_frame_that_runs_nothing(
    owner: psycopg.Connection, gateway: int, viewer: ConsoleClient
) -> None:
    payload = {
        "subject": "Parabéns, Ana",
        "text": "Feliz aniversário\nAna",
        "html": "<p>Feliz <b>aniversário</b></p><script>alert(1)</script>",
        "unsubscribe_url": "https://example.com/u",
    }
    number = add_message(owner, gateway, payload=payload, recipient="ana@example.com")
    page = viewer.get(f"/rotina/queue/{number}").text
    assert re.search(r'<iframe class="message-html" sandbox=""[^>]* srcdoc="&lt;p&gt;Feliz', page)
    assert "<script>alert(1)" not in page
    assert "Feliz aniversário\nAna" in page
    assert "https://example.com/u" in page


@pytest.mark.parametrize("archived", [False, True])
def test_an_email_is_shown_whole_as_its_recipient_reads_it(
    owner: psycopg.Connection, gateway: int, viewer: ConsoleClient, archived: bool
) -> None:
    layout = (
        "<html><body>{{ preheader }}|{{ content }}|<a href='{{ unsubscribe_url }}'>sair</a></body></html>"
    )
    html = {
        "frame": save_frame(owner, Frame(layout)),
        "preheader": "Feliz",
        "content": "<b>Ana</b> {{ content }}",
    }
    payload = {
        "subject": "Parabéns",
        "text": "Ana",
        "html": html,
        "unsubscribe_url": "https://example.com/?a&b",
    }
    number = add_message(owner, gateway, payload=payload, status="sent")
    if archived:
        archive(owner, number)
    page = viewer.get(f"/rotina/queue/{number}").text
    found = re.search(r'<iframe class="message-html" sandbox=""[^>]* srcdoc="([^"]*)"', page)
    assert found is not None
    assert unescape(found[1]) == (
        "<html><body>Feliz|<b>Ana</b> {{ content }}|<a href='https://example.com/?a&amp;b'>sair</a></body></html>"
    )


@pytest.mark.parametrize(
    "payload", [{}, {"variables": "Ana"}, {"html": {"frame": 1}}, {"text": 1, "subject": [], "variables": {}}]
)
def test_any_payload_can_be_shown(
    owner: psycopg.Connection, gateway: int, viewer: ConsoleClient, payload: dict[str, Any]
) -> None:
    number = add_message(owner, gateway, payload=payload)
    assert shown(viewer) == [number]
    assert viewer.get(f"/rotina/queue/{number}").status_code == 200


@pytest.mark.parametrize("number", ["1", "99999999999999999999999"])
def test_a_message_that_is_not_there(viewer: ConsoleClient, number: str) -> None:
    assert viewer.get(f"/rotina/queue/{number}").status_code == 404


# -- what is done to many -----------------------------------------------------------------------------------


def statuses(owner: psycopg.Connection) -> list[str]:
    return [row["status"] for row in messages(owner)]


def do(client: ConsoleClient, route: str, **body: Any) -> dict[str, Any]:
    reply = client.post_json(f"/rotina/queue/{route}", body)
    assert reply.status_code == 200, reply.text
    answer: dict[str, Any] = reply.json()
    return answer


def test_what_was_counted_is_what_is_cancelled(
    owner: psycopg.Connection, gateway: int, user: ConsoleClient
) -> None:
    other = add_gateway(owner, "mail", kind="smtp")
    for status in STATUSES:
        add_message(owner, gateway, status=status, ready=status == "waiting")
    add_message(owner, other)
    asked = {"action": "cancel", "query": "gateway=opa"}
    told = do(user, "preview", **asked)
    assert told == {"records": 2, "facts": [["Will be cancelled", "2"]]}
    assert statuses(owner).count("waiting") == 2  # nothing was changed
    done = {"records": 2, "message": "2 messages cancelled.", "more": None}
    assert do(user, "apply", **asked) == done
    changed = [row["id"] for row in messages(owner) if row["reason"] == "cancelled"]
    assert len(changed) == 2
    assert statuses(owner) == [
        "cancelled", "sending", "sent", "failed", "unknown", "cancelled", "cancelled", "expired", "waiting",
    ]  # fmt: skip
    entry = owner.execute("select login, action, target, records from crm.audit_entry").fetchall()
    wanted = {"filter": {"gateway": "opa", "statuses": ["waiting", "held"]}}
    assert entry == [("user", "cancel", wanted, 2)]


def test_many_are_changed_part_by_part_and_what_waits_for_more_can_be_stopped(
    owner: psycopg.Connection, gateway: int, user: ConsoleClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(message_queue, "PART", 2)
    monkeypatch.setattr(message_queue, "SECONDS_OF_A_REQUEST", 0.0)
    past = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    # The first of them can never go again: a part of none that may be changed must not end it.
    for expires_at in (past, past, None, None, None):
        add_message(owner, gateway, status="failed", expires_at=expires_at)
    asked: dict[str, Any] = {"action": "retry", "query": "gateway=opa"}
    told = [do(user, "apply", **asked)]
    while more := told[-1]["more"]:
        told.append(do(user, "apply", **asked, so_far=more))
        if len(told) == 2:
            assert sorted(statuses(owner)) == ["failed", "failed", "failed", "waiting", "waiting"]
    assert [one["message"] for one in told] == [
        "0 messages go again. 2 were left alone.",
        "2 messages go again. 2 were left alone.",
        "3 messages go again. 2 were left alone.",
    ]
    entries = owner.execute(
        "select records, details -> 'left_out' from crm.audit_entry order by id"
    ).fetchall()
    assert entries == [(0, {"expired": 2}), (2, {}), (1, {})]


def test_one_request_goes_through_all_parts_that_it_has_time_for(
    owner: psycopg.Connection, gateway: int, user: ConsoleClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(message_queue, "PART", 2)
    monkeypatch.setattr(message_queue, "SECONDS_OF_A_REQUEST", 60.0)
    ids = [add_message(owner, gateway, priority=5) for _ in range(5)]
    done = do(user, "apply", action="set_priority", query="status=waiting", priority=1)
    assert (done["records"], done["more"]) == (5, None)
    assert {row["priority"] for row in messages(owner)} == {1}
    wanted = {"filter": {"statuses": ["waiting"]}}
    entries = owner.execute("select target from crm.audit_entry order by id").fetchall()
    assert entries == [(wanted,), ({**wanted, "above": ids[1]},), ({**wanted, "above": ids[3]},)]


def test_an_action_of_somebody_else_is_told_as_such(
    owner: psycopg.Connection, gateway: int, user: ConsoleClient, database: str
) -> None:
    add_message(owner, gateway)
    with psycopg.connect(database) as other:
        other.execute(statement("message_queue/lock_operators"))
        reply = user.post_json("/rotina/queue/apply", {"action": "cancel", "query": ""})
    assert (reply.status_code, "Others are at it" in reply.json()["detail"]) == (503, True)
    assert statuses(owner) == ["waiting"]


def test_a_second_click_changes_nothing(owner: psycopg.Connection, gateway: int, user: ConsoleClient) -> None:
    number = add_message(owner, gateway)
    asked = {"action": "cancel", "ids": [number]}
    do(user, "apply", **asked)
    again = do(user, "apply", **asked)
    assert (again["records"], again["message"]) == (0, "0 messages cancelled. 1 was left alone.")


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (
            "",
            {"cancel", "set_priority", "front", "back", "retry", "release", "confirm_sent", "confirm_failed"},
        ),
        ("status=failed", {"retry"}),
        ("status=waiting", {"cancel", "set_priority", "front", "back"}),
        ("status=unknown&status=expired", {"retry", "release", "confirm_sent", "confirm_failed"}),
        ("status=sent", set()),
    ],
)
def test_only_actions_that_the_statuses_allow_are_offered(
    owner: psycopg.Connection, gateway: int, user: ConsoleClient, query: str, expected: set[str]
) -> None:
    for status in STATUSES:
        add_message(owner, gateway, status=status)
    page = user.get(f"/rotina/queue?{query}").text
    assert set(re.findall(r'data-action="(\w+)"', page)) == expected


def test_a_filter_of_statuses_that_cannot_be_changed_does_nothing(
    owner: psycopg.Connection, gateway: int, user: ConsoleClient
) -> None:
    add_message(owner, gateway, status="sent")
    asked = {"action": "cancel", "query": "status=sent"}
    assert do(user, "preview", **asked) == {"records": 0, "facts": [["Will be cancelled", "0"]]}
    reply = user.post_json("/rotina/queue/apply", asked)
    assert (reply.status_code, owner.execute("select 1 from crm.audit_entry").fetchall()) == (422, [])


def test_chosen_messages_are_told_apart(owner: psycopg.Connection, gateway: int, user: ConsoleClient) -> None:
    waiting, sent = add_message(owner, gateway), add_message(owner, gateway, status="sent")
    told = do(user, "preview", action="cancel", ids=[waiting, sent, 999])
    assert told["facts"] == [
        ["Will be cancelled", "1"],
        ["Left alone, because of their status", "1"],
        ["Not in the queue any more", "1"],
    ]
    told = do(user, "apply", action="cancel", ids=[waiting, sent, 999])
    assert told["message"] == "1 message cancelled. 2 were left alone."


def test_priority_and_order(owner: psycopg.Connection, gateway: int, user: ConsoleClient) -> None:
    ids = [add_message(owner, gateway) for _ in range(4)]
    assert do(user, "apply", action="set_priority", query="", priority=2)["records"] == 4
    assert {row["priority"] for row in messages(owner)} == {2}
    do(user, "apply", action="front", ids=[ids[2], ids[3]])
    do(user, "apply", action="back", ids=[ids[0]])
    assert shown(user, "status=waiting&order=line") == [ids[2], ids[3], ids[1], ids[0]]
    reply = user.post_json("/rotina/queue/apply", {"action": "front", "query": "gateway=opa"})
    assert reply.status_code == 422


def test_retry(owner: psycopg.Connection, gateway: int, user: ConsoleClient) -> None:
    past = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    add_message(owner, gateway, status="failed")
    add_message(owner, gateway, status="failed", expires_at=past)
    add_message(owner, gateway, status="expired", expires_at=past)
    told = do(user, "preview", action="retry", query="")
    assert told["facts"] == [["Will go again", "1"], ["Left alone, because their time is over", "1"]]
    later = (
        (dt.datetime.now(dt.UTC).replace(tzinfo=None) + dt.timedelta(days=2))
        .replace(microsecond=0)
        .isoformat()
    )
    assert do(user, "preview", action="retry", query="", expires_at=later)["records"] == 2
    named = {"action": "retry", "query": "status=failed&status=expired", "expires_at": later}
    assert do(user, "apply", **named)["records"] == 3
    assert set(statuses(owner)) == {"waiting"}
    (expires_at,) = {row["expires_at"] for row in messages(owner)}
    assert expires_at == dt.datetime.fromisoformat(f"{later}-03:00")


def test_a_new_end_that_is_past_is_refused_in_the_language_of_the_page(
    owner: psycopg.Connection, gateway: int, open_console: OpenConsole
) -> None:
    number = add_message(owner, gateway, status="failed")
    asked = {"action": "retry", "ids": [number], "expires_at": "2020-01-01T00:00"}
    reply = open_console("user", "pt-BR").post_json("/rotina/queue/preview", asked)
    assert (reply.status_code, "já passou" in reply.json()["detail"]) == (422, True)


def test_the_unknown_are_released_or_settled(
    owner: psycopg.Connection, gateway: int, user: ConsoleClient
) -> None:
    ids = [add_message(owner, gateway, status="unknown", tries=1) for _ in range(3)]
    assert do(user, "apply", action="release", ids=[ids[0]])["message"] == "1 message goes again."
    assert do(user, "apply", action="confirm_sent", ids=[ids[1]])["message"] == "1 message noted as sent."
    assert do(user, "preview", action="confirm_failed", ids=[ids[2]])["records"] == 1
    refused = user.post_json("/rotina/queue/apply", {"action": "confirm_failed", "ids": [ids[2]]})
    assert (refused.status_code, "reason" in refused.json()["detail"]) == (422, True)
    do(user, "apply", action="confirm_failed", ids=[ids[2]], reason="the gateway has no trace of it")
    assert statuses(owner) == ["waiting", "sent", "failed"]


@pytest.mark.parametrize(
    "body",
    [
        {"action": "cancel"},
        {"action": "cancel", "ids": [1], "query": ""},
        {"action": "delete", "ids": [1]},
        {"action": "cancel", "ids": []},
        {"action": "cancel", "ids": [1, 1]},
        {"action": "cancel", "ids": [0]},
        {"action": "cancel", "ids": ["x"]},
        {"action": "cancel", "ids": [1], "else": 1},
        {"action": "cancel", "ids": list(range(1, 1000))},
        {"action": "cancel", "query": "status=lost"},
        {"action": "cancel", "query": "", "so_far": {"above": -1}},
        {"action": "cancel", "query": "", "so_far": {"above": 2**63}},
        {"action": "cancel", "query": "", "so_far": {"records": 1, "else": 1}},
        {"action": "cancel", "query": "origin=opa%00"},
        {"action": "cancel", "query": "gateway=opa\x00"},
        {"action": "confirm_failed", "ids": [1], "reason": "a\x00b"},
        {"action": "set_priority", "ids": [1]},
        {"action": "set_priority", "ids": [1], "priority": 10},
        {"action": "retry", "ids": [1], "expires_at": "2020-01-01T00:00"},
        {"action": "retry", "ids": [1], "expires_at": "2030-01-01T00:00:00Z"},
    ],
)
def test_a_wrong_request_is_refused_in_words(
    user: ConsoleClient, owner: psycopg.Connection, body: Any
) -> None:
    for route in ("preview", "apply"):
        reply = user.post_json(f"/rotina/queue/{route}", body)
        assert reply.status_code == 422, reply.text
        assert reply.json()["detail"]
    assert owner.execute("select 1 from crm.audit_entry").fetchall() == []


# -- the export ---------------------------------------------------------------------------------------------


def test_the_export_has_what_the_filter_finds(
    owner: psycopg.Connection, gateway: int, viewer: ConsoleClient
) -> None:
    add_message(owner, gateway, status="sent")
    number = add_message(owner, gateway, status="failed", error="=1+1", recipient_name="Ana")
    lines = viewer.get("/rotina/queue/export?status=failed&gateway=opa").text.splitlines()
    assert lines[0].startswith("\ufeffNumber,Status,Reason,Last error,Client")
    assert len(lines) == 2
    assert lines[1].startswith(f"{number},failed,,'=1+1,Ana")


# -- speed --------------------------------------------------------------------------------------------------


#: What a page may be asked for, and how many pages of the table it may read. All of the messages of the test
#: are 3,000; a look for what no index knows reads half of them.
READS = {
    "": 1_000,
    "status=sent": 1_000,
    "status=cancelled": 1_000,
    "status=failed&gateway=mail": 1_800,
    "status=waiting": 1_000,
    "gateway=opa": 1_800,
    "gateway=mail": 1_800,
    "status=waiting&order=line": 1_000,
    "from=2026-01-01&to=2026-01-02": 1_000,
    "origin=rare": 1_800,
    "q=3": 1_000,
    "q=%2B5511900000777": 1_000,
}


def test_a_page_reads_little_however_many_messages_there_are(
    owner: psycopg.Connection, console: ConsoleApp, gateway: int, viewer: ConsoleClient
) -> None:
    add_gateway(owner, "mail", kind="smtp")
    add_many(owner, gateway, 300, status="'cancelled'")
    add_many(owner, gateway, 300, status="'waiting'")
    add_many(owner, gateway, 120_000, recipient="'+55119' || lpad(n::text, 8, '0')")
    owner.execute("vacuum analyze crm.message")
    engine = console.state.console.database.engine
    asked: list[tuple[str, Any]] = []

    def note(_: Any, __: Any, text: str, values: Any, *___: Any) -> None:
        asked.append((text, values))

    event.listen(engine, "before_cursor_execute", note)
    for query, most in READS.items():
        asked.clear()
        assert viewer.get(f"/rotina/queue?{query}").status_code == 200
        statements = list(asked)
        assert len(statements) > 3
        with engine.connect() as connection:
            for text, values in statements:
                explained = connection.exec_driver_sql(
                    f"explain (analyze, buffers, format json) {text}", values
                )
                plan = explained.scalar_one()[0]["Plan"]
                pages = plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
                assert pages < most, (query, text, plan)
