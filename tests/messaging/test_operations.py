"""What operators do to the queue, alone and while dispatchers are at work, on a real PostgreSQL."""

from __future__ import annotations

import datetime as dt
import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from rotina.errors import SettingError
from rotina.messaging import operations
from rotina.messaging.operations import (
    MessageFilter,
    cancel,
    confirm,
    pause,
    release,
    reorder,
    resume,
    retry,
    set_priority,
)
from rotina.sql import statement
from tests.messaging.queue_data import add_gateway, add_message, add_template, messages

NOW = dt.datetime.now(dt.UTC)
HOUR = dt.timedelta(hours=1)
NAIVE = dt.datetime(2099, 1, 1)  # noqa: DTZ001 - what must be refused
STATUSES = ("waiting", "held", "sending", "sent", "failed", "unknown", "cancelled", "expired")

_tokens = itertools.count(1)


def claim(connection: psycopg.Connection, gateway: int, most: int = 100) -> list[dict[str, Any]]:
    """What a dispatcher claims, in its order, each message with the token of the claim."""
    token = next(_tokens)
    values = {
        "gateway_id": gateway,
        "limited": False,
        "after_priority": -1,
        "after_position": -(2**62),
        "after_id": 0,
        "most": most,
        "token": token,
        "lease_seconds": 60,
        "run_id": None,
    }
    with connection.cursor(row_factory=dict_row) as cursor:
        claimed = cursor.execute(statement("queue_dispatch/claim_messages"), values).fetchall()
    return [{**row, "token": token} for row in claimed]


def complete(connection: psycopg.Connection, claimed: list[dict[str, Any]], outcome: str) -> None:
    """Write the outcome of claimed messages, in one batch."""
    number = len(claimed)
    connection.execute(
        statement("queue_dispatch/complete_attempts"),
        {
            "message_ids": [row["id"] for row in claimed],
            "numbers": [row["number"] for row in claimed],
            "tokens": [row["token"] for row in claimed],
            "outcomes": [outcome] * number,
            "codes": [None] * number,
            "errors": [None] * number,
            "gateway_message_ids": [f"gw-{row['id']}-{row['number']}" for row in claimed],
            "delays": [None] * number,
            "max_attempts": 5,
            "channel": "phone",
            "poll_seconds": None,
            "gateway_id": None,
        },
    )


def statuses(owner: psycopg.Connection) -> dict[int, str]:
    return {row["id"]: row["status"] for row in messages(owner)}


def message(owner: psycopg.Connection, message_id: int) -> dict[str, Any]:
    (row,) = [row for row in messages(owner) if row["id"] == message_id]
    return row


def audit(owner: psycopg.Connection) -> list[tuple[Any, ...]]:
    return owner.execute(
        "select login, action, target, details, records from crm.audit_entry order by id"
    ).fetchall()


def order_version(owner: psycopg.Connection, gateway: int) -> int:
    row = owner.execute("select order_version from crm.gateway where id = %s", [gateway]).fetchone()
    assert row is not None
    return int(row[0])


@pytest.fixture
def one_of_each(owner: psycopg.Connection, gateway: int) -> dict[str, int]:
    """A message of every status."""
    ready = {"waiting", "sending"}
    return {
        status: add_message(owner, gateway, status=status, ready=status in ready, lease_token=7)
        for status in STATUSES
    }


# -- which messages, and which of them may be touched -----------------------------------------------------

ACTIONS: dict[str, tuple[Callable[..., operations.Done], dict[str, str]]] = {
    "cancel": (cancel, {"waiting": "cancelled", "held": "cancelled"}),
    "set_priority": (
        lambda c, s, login, **more: set_priority(c, s, login, 1, **more),
        {"waiting": "waiting", "held": "held"},
    ),
    "retry": (retry, {"failed": "waiting"}),
    "release": (release, {"unknown": "waiting"}),
    "confirm sent": (lambda c, s, login, **more: confirm(c, s, login, "sent", **more), {"unknown": "sent"}),
    "confirm failed": (
        lambda c, s, login, **more: confirm(c, s, login, "failed", reason="número errado", **more),
        {"unknown": "failed"},
    ),
}


@pytest.mark.parametrize("name", ACTIONS)
@pytest.mark.parametrize("by", ["ids", "filter"])
def test_an_action_touches_only_the_statuses_that_allow_it(
    connection: psycopg.Connection, owner: psycopg.Connection, one_of_each: dict[str, int], name: str, by: str
) -> None:
    act, moves = ACTIONS[name]
    selection = list(one_of_each.values()) if by == "ids" else MessageFilter(everything=True)
    before = messages(owner)

    would = act(connection, selection, "ana", dry_run=True)
    assert messages(owner) == before
    assert audit(owner) == []
    assert would.audit_id is None

    done = act(connection, selection, "ana")
    after = statuses(owner)
    assert {status: after[key] for status, key in one_of_each.items()} == {
        **{status: status for status in STATUSES},
        **moves,
    }
    assert (done.selected, done.records) == (8, len(moves))
    assert done.left_out == {"status": 8 - len(moves)}
    assert (would.selected, would.records, would.left_out) == (done.selected, done.records, done.left_out)
    untouched = {key for status, key in one_of_each.items() if status not in moves}
    assert [row for row in messages(owner) if row["id"] in untouched] == [
        row for row in before if row["id"] in untouched
    ]


def test_each_action_leaves_an_audit_entry(
    connection: psycopg.Connection, owner: psycopg.Connection, gateway: int
) -> None:
    first = add_message(owner, gateway)
    done = cancel(connection, [first, 10**9], "ana")
    assert done.left_out == {"not_found": 1}
    since = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    set_priority(connection, MessageFilter(gateway="opa", created_from=since, statuses=["held"]), "bia", 3)
    assert audit(owner) == [
        ("ana", "cancel", {"ids": [first, 10**9]}, {"selected": 2, "left_out": {"not_found": 1}}, 1),
        (
            "bia",
            "set_priority",
            {"filter": {"gateway": "opa", "created_from": since.isoformat(), "statuses": ["held"]}},
            {"priority": 3, "selected": 0, "left_out": {}},
            0,
        ),
    ]
    row = owner.execute("select max(id) - 1 from crm.audit_entry").fetchone()
    assert row == (done.audit_id,)


@pytest.mark.parametrize(
    ("fields", "asked"),
    [
        ({}, MessageFilter(gateway="other")),
        ({"origin": "billing_messages"}, MessageFilter(origin="billing_messages")),
        ({"status": "held", "ready": False}, MessageFilter(statuses=["held", "failed"])),
        ({"ready": False}, MessageFilter(statuses=["waiting"], priority=5, gateway="other")),
        ({"template_id": "template"}, MessageFilter(template="cobranca")),
        ({"priority": 2}, MessageFilter(priority=2)),
        ({"created_at": NOW - 5 * HOUR}, MessageFilter(created_to=NOW - 4 * HOUR)),
        ({"created_at": NOW + HOUR}, MessageFilter(created_from=NOW + HOUR)),
        ({"recipient": "+5511999990001"}, MessageFilter(recipient="+5511999990001")),
        ({"customer_id": 77}, MessageFilter(customer_id=77)),
        ({"account_id": 78}, MessageFilter(account_id=78)),
        ({"reason": "deferred"}, MessageFilter(reason="deferred")),
        ({"error": "Caixa de entrada CHEIA: 100%"}, MessageFilter(error="cheia: 100%")),
        ({"customer_id": 77, "origin": "x"}, MessageFilter(customer_id=77, origin="x", statuses=["waiting"])),
    ],
)
def test_a_filter_means_the_messages_that_match_all_of_it(
    connection: psycopg.Connection,
    owner: psycopg.Connection,
    gateway: int,
    fields: dict[str, Any],
    asked: MessageFilter,
) -> None:
    other = add_gateway(owner, "other")
    template = add_template(owner, other)
    if "template_id" in fields:
        fields = {"template_id": template}
    for _ in range(2):
        add_message(owner, gateway, reason="x", error="y", customer_id=1, account_id=1)
    wanted = add_message(owner, other, **fields)
    done = cancel(connection, asked, "ana")
    assert (done.selected, done.records) == (1, 1)
    assert [key for key, status in statuses(owner).items() if status == "cancelled"] == [wanted]


WRONG: dict[str, tuple[str, Callable[[psycopg.Connection], object]]] = {
    "no login": ("login", lambda c: cancel(c, [1], " ")),
    "no ids": ("ids", lambda c: cancel(c, [], "ana")),
    "an id twice": ("ids", lambda c: cancel(c, [1, 1], "ana")),
    "an id that is none": ("ids", lambda c: cancel(c, [0], "ana")),
    "an empty filter": ("filter", lambda c: cancel(c, MessageFilter(), "ana")),
    "everything and more": (
        "everything",
        lambda c: cancel(c, MessageFilter(everything=True, priority=1), "ana"),
    ),
    "no statuses": ("statuses", lambda c: cancel(c, MessageFilter(statuses=[]), "ana")),
    "unknown status": ("statuses", lambda c: cancel(c, MessageFilter(statuses=["gone"]), "ana")),  # type: ignore[list-item]
    "unknown gateway": ("gateway", lambda c: cancel(c, MessageFilter(gateway="none"), "ana")),
    "unknown template": ("template", lambda c: cancel(c, MessageFilter(template="none"), "ana")),
    "blank text": ("error", lambda c: cancel(c, MessageFilter(error=" "), "ana")),
    "priority of filter": ("priority", lambda c: cancel(c, MessageFilter(priority=10), "ana")),
    "no time zone": ("created_to", lambda c: cancel(c, MessageFilter(created_to=NAIVE), "ana")),
    "no time": ("created_to", lambda c: cancel(c, MessageFilter(created_from=NOW, created_to=NOW), "ana")),
    "priority 0": ("priority", lambda c: set_priority(c, [1], "ana", 0)),
    "priority 10": ("priority", lambda c: set_priority(c, [1], "ana", 10)),
    "to nowhere": ("to", lambda c: reorder(c, [1], "ana", "up")),  # type: ignore[arg-type]
    "order by filter": ("ids", lambda c: reorder(c, MessageFilter(priority=1), "ana", "front")),  # type: ignore[arg-type]
    "expires in the past": ("expires_at", lambda c: retry(c, [1], "ana", expires_at=NOW - HOUR)),
    "expires beyond the calendar": (
        "expires_at",
        lambda c: retry(c, [1], "ana", expires_at=NOW.replace(year=9999)),
    ),
    "expires somewhere": ("expires_at", lambda c: release(c, [1], "ana", expires_at=NAIVE)),
    "unknown outcome": ("outcome", lambda c: confirm(c, [1], "ana", "read")),  # type: ignore[arg-type]
    "failed without a reason": ("reason", lambda c: confirm(c, [1], "ana", "failed")),
    "failed for a blank reason": ("reason", lambda c: confirm(c, [1], "ana", "failed", reason=" ")),
    "sent for a reason": ("reason", lambda c: confirm(c, [1], "ana", "sent", reason="x")),
    "pause without a reason": ("reason", lambda c: pause(c, "opa", "", "ana")),
    "pause without a login": ("login", lambda c: pause(c, "opa", "manutenção", "")),
    "pause nothing": ("gateway", lambda c: pause(c, "none", "manutenção", "ana")),
    "resume nothing": ("gateway", lambda c: resume(c, "none", "ana")),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_order_is_refused_and_changes_nothing(
    connection: psycopg.Connection, owner: psycopg.Connection, gateway: int, case: str
) -> None:
    add_message(owner, gateway)
    before = messages(owner)
    field, act = WRONG[case]
    with pytest.raises(SettingError) as refused:
        act(connection)
    assert refused.value.field == field
    assert messages(owner) == before
    assert audit(owner) == []


# -- the order of sending ---------------------------------------------------------------------------------


def test_priority_and_place_decide_what_is_sent_next(
    connection: psycopg.Connection, owner: psycopg.Connection, gateway: int
) -> None:
    ids = [add_message(owner, gateway) for _ in range(6)]
    a, b, c, d, e, f = ids
    set_priority(connection, [f], "ana", 2)
    reorder(connection, [e, c], "ana", "front")
    reorder(connection, [b, a], "ana", "back")
    reorder(connection, [d], "ana", "front")
    assert order_version(owner, gateway) == 4
    assert [row["id"] for row in claim(connection, gateway)] == [f, d, e, c, b, a]


def test_reorder_keeps_to_gateway_and_priority(
    connection: psycopg.Connection, owner: psycopg.Connection, gateway: int
) -> None:
    other = add_gateway(owner, "other")
    a, b = (add_message(owner, gateway, priority=1) for _ in range(2))
    c, d = (add_message(owner, gateway, priority=3) for _ in range(2))
    e, f = (add_message(owner, other, priority=1, position=40) for _ in range(2))
    held = add_message(owner, other, priority=1, position=-3, status="held", ready=False)
    done = reorder(connection, [f, d, b, held], "ana", "front")
    assert done.records == 4
    assert [row["id"] for row in claim(connection, gateway)] == [b, a, d, c]
    assert [row["id"] for row in claim(connection, other)] == [f, e]
    assert message(owner, f)["position"] == -5
    assert message(owner, held)["position"] == -4


def test_a_new_priority_begins_without_a_place(
    connection: psycopg.Connection, owner: psycopg.Connection, gateway: int
) -> None:
    moved, same = (
        add_message(owner, gateway, position=-9),
        add_message(owner, gateway, position=-9, priority=2),
    )
    set_priority(connection, [moved, same], "ana", 2)
    assert (message(owner, moved)["position"], message(owner, same)["position"]) == (0, -9)


# -- sending again, and settling --------------------------------------------------------------------------


@pytest.mark.parametrize(("act", "status"), [(retry, "failed"), (release, "unknown")])
def test_a_message_whose_time_is_over_goes_again_only_with_a_new_one(
    connection: psycopg.Connection,
    owner: psycopg.Connection,
    gateway: int,
    act: Callable[..., operations.Done],
    status: str,
) -> None:
    in_time = add_message(owner, gateway, status=status, expires_at=NOW + HOUR)
    late = add_message(owner, gateway, status=status, expires_at=NOW - HOUR)
    would = act(connection, MessageFilter(everything=True), "ana", dry_run=True)
    done = act(connection, MessageFilter(everything=True), "ana")
    assert (done.selected, done.records, done.left_out) == (2, 1, {"expired": 1})
    assert (would.selected, would.records, would.left_out) == (2, 1, {"expired": 1})
    assert statuses(owner) == {in_time: "waiting", late: status}
    assert message(owner, in_time)["expires_at"] == NOW + HOUR

    done = act(connection, [late], "ana", expires_at=NOW + 2 * HOUR)
    assert (done.records, done.left_out) == (1, {})
    assert message(owner, late)["expires_at"] == NOW + 2 * HOUR


def test_expired_messages_are_retried_when_they_are_named_and_get_a_new_time(
    connection: psycopg.Connection, owner: psycopg.Connection, gateway: int
) -> None:
    one, other = (
        add_message(
            owner, gateway, status="expired", attempts=2, ended_at=NOW, expires_at=NOW - HOUR, ready=False
        )
        for _ in range(2)
    )
    later = NOW + HOUR
    assert retry(connection, [one], "ana").left_out == {"status": 1}
    for filter_ in (MessageFilter(everything=True), MessageFilter(statuses=["failed"])):
        assert retry(connection, filter_, "ana", expires_at=later).records == 0
    assert retry(connection, [one], "ana", expires_at=later).records == 1
    assert statuses(owner) == {one: "waiting", other: "expired"}
    row = message(owner, one)
    assert (row["expires_at"], row["ready"], row["attempts"], row["ended_at"]) == (later, True, 0, None)
    assert retry(connection, MessageFilter(statuses=["expired"]), "ana", expires_at=later).records == 1
    assert statuses(owner) == {one: "waiting", other: "waiting"}


def test_retry_gives_back_all_attempts(
    connection: psycopg.Connection, owner: psycopg.Connection, gateway: int
) -> None:
    key = add_message(
        owner,
        gateway,
        status="failed",
        ready=False,
        attempts=5,
        tries=6,
        error="x",
        reason="deferred",
        ended_at=NOW,
        send_after=NOW + HOUR,
    )
    retry(connection, [key], "ana")
    row = message(owner, key)
    assert (row["status"], row["ready"], row["attempts"], row["tries"]) == ("waiting", True, 0, 6)
    assert (row["error"], row["reason"], row["ended_at"]) == (None, "retry", None)
    assert order_version(owner, gateway) == 1
    assert [claimed["number"] for claimed in claim(connection, gateway)] == [7]


def test_a_late_outcome_of_the_old_attempt_is_not_taken_for_the_new_one(
    connection: psycopg.Connection, owner: psycopg.Connection, gateway: int
) -> None:
    key = add_message(owner, gateway)
    old = claim(connection, gateway)
    owner.execute("update crm.message set status = 'unknown', gateway_message_id = 'old'")  # as a rescue does
    release(connection, [key], "ana")
    assert message(owner, key)["lease_token"] is None
    complete(connection, old, "rejected")
    assert message(owner, key)["status"] == "waiting"
    new = claim(connection, gateway)
    complete(connection, old, "accepted")
    assert message(owner, key)["status"] == "sending"
    complete(connection, new, "accepted")
    row = message(owner, key)
    assert (row["status"], row["gateway_message_id"]) == ("sent", f"gw-{key}-2")


def test_confirmed_messages_say_when_and_why(
    connection: psycopg.Connection, owner: psycopg.Connection, gateway: int
) -> None:
    sent, failed = add_message(owner, gateway), add_message(owner, gateway)
    late = claim(connection, gateway)
    owner.execute("update crm.message set status = 'unknown'")
    confirm(connection, [sent], "ana", "sent")
    confirm(connection, [failed], "ana", "failed", reason="número errado")
    complete(connection, late, "maybe_sent")
    row = message(owner, sent)
    started = owner.execute(
        "select started_at from crm.message_attempt where message_id = %s", [sent]
    ).fetchone()
    assert started == (row["sent_at"],)
    assert (row["status"], row["reason"]) == ("sent", "confirmed")
    assert row["ended_at"] > row["sent_at"]
    row = message(owner, failed)
    assert (row["status"], row["error"], row["sent_at"]) == ("failed", "número errado", None)
    assert [entry[3].get("reason") for entry in audit(owner)] == [None, "número errado"]


# -- gateways ---------------------------------------------------------------------------------------------


def test_pause_and_resume(connection: psycopg.Connection, owner: psycopg.Connection, gateway: int) -> None:
    query = (
        "select paused_by, pause_reason, slowed_until, slow_reason, failures, order_version from crm.gateway"
    )
    assert pause(connection, "opa", " manutenção ", "ana").records == 1
    assert pause(connection, "opa", "outra coisa", "bia").records == 0
    assert owner.execute(query).fetchall() == [("ana", "manutenção", None, None, 0, 0)]
    owner.execute(
        "update crm.gateway set slowed_until = now() + interval '1 hour', slow_reason = '429', failures = 3"
    )
    assert resume(connection, "opa", "ana").records == 1
    assert owner.execute(query).fetchall() == [(None, None, None, None, 0, 1)]
    assert resume(connection, "opa", "ana").records == 0
    assert [(entry[1], entry[2], entry[4]) for entry in audit(owner)] == [
        ("pause", {"gateway": "opa"}, 1),
        ("pause", {"gateway": "opa"}, 0),
        ("resume", {"gateway": "opa"}, 1),
        ("resume", {"gateway": "opa"}, 0),
    ]


# -- while dispatchers are at work ------------------------------------------------------------------------


@pytest.fixture
def dispatcher(task_uri: str) -> psycopg.Connection:
    """A session of another process."""
    return psycopg.connect(task_uri, autocommit=True, cursor_factory=psycopg.ClientCursor)


def test_what_is_claimed_at_that_moment_is_left_alone(
    connection: psycopg.Connection, owner: psycopg.Connection, gateway: int, dispatcher: psycopg.Connection
) -> None:
    ids = [add_message(owner, gateway) for _ in range(5)]
    with ThreadPoolExecutor(1) as threads:
        with dispatcher.transaction():
            claim(dispatcher, gateway, most=3)
            pending = threads.submit(cancel, connection, MessageFilter(everything=True), "ana")
        done = pending.result(timeout=60)
    assert (done.selected, done.records, done.left_out) == (5, 2, {"status": 3})
    assert statuses(owner) == dict(zip(ids, ["sending"] * 3 + ["cancelled"] * 2, strict=True))
    dispatcher.close()


def test_what_a_dispatcher_only_put_into_the_line_is_cancelled_all_the_same(
    connection: psycopg.Connection,
    owner: psycopg.Connection,
    gateway: int,
    dispatcher: psycopg.Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    add_message(owner, gateway, status="held", ready=False, send_after=NOW - HOUR)
    looked, committed = threading.Event(), threading.Event()

    def between_looks(_seconds: float) -> None:
        looked.set()
        assert committed.wait(60)

    monkeypatch.setattr(time, "sleep", between_looks)
    with ThreadPoolExecutor(1) as threads:
        with dispatcher.transaction():
            dispatcher.execute(
                statement("queue_dispatch/ready_messages"), {"gateway_id": gateway, "most": 10}
            )
            pending = threads.submit(cancel, connection, MessageFilter(everything=True), "ana")
            assert looked.wait(60)
        committed.set()
        done = pending.result(timeout=60)
    assert (done.records, done.left_out) == (1, {})
    dispatcher.close()


def test_an_action_never_waits_for_a_dispatcher(
    connection: psycopg.Connection,
    owner: psycopg.Connection,
    gateway: int,
    dispatcher: psycopg.Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(operations, "_LOOKS", 2)
    for _ in range(3):
        add_message(owner, gateway)
    with dispatcher.transaction():
        claim(dispatcher, gateway, most=1)
        done = cancel(connection, MessageFilter(everything=True), "ana")  # in this very thread
    assert (done.records, done.left_out) == (2, {"busy": 1})
    dispatcher.close()


def test_operators_follow_one_another(
    connection: psycopg.Connection, owner: psycopg.Connection, gateway: int, dispatcher: psycopg.Connection
) -> None:
    ids = [add_message(owner, gateway) for _ in range(3)]
    waiting = "select from pg_locks where locktype = 'advisory' and not granted"
    with ThreadPoolExecutor(1) as threads:
        with connection.transaction():
            reorder(connection, [ids[1]], "ana", "front")
            pending = threads.submit(reorder, dispatcher, [ids[2]], "bia", "front")
            while not pending.done() and not owner.execute(waiting).fetchall():
                pass
        assert pending.result(timeout=60).records == 1
    assert [row["id"] for row in claim(connection, gateway)] == [ids[2], ids[1], ids[0]]
    dispatcher.close()


def test_dispatchers_and_operators_at_once_lose_and_double_nothing(
    task_uri: str, owner: psycopg.Connection, gateway: int
) -> None:
    ids = [add_message(owner, gateway) for _ in range(600)]

    def session() -> psycopg.Connection:
        return psycopg.connect(task_uri, autocommit=True, cursor_factory=psycopg.ClientCursor)

    def dispatch() -> None:
        with session() as connection:
            while claimed := claim(connection, gateway, most=15):
                # In the order that a lock in the order of ids would collide with.
                complete(connection, claimed[::-1], "maybe_sent" if len(claimed) % 2 else "rejected")

    def operate(number: int) -> int:
        cancelled = 0
        with session() as connection:
            for turn in range(12):
                part = ids[(number + turn) % 7 :: 7]
                cancelled += cancel(connection, part[::9], "ana").records
                set_priority(connection, part[1::9], "ana", 1 + turn % 9)
                reorder(connection, part[2::9], "ana", "front" if turn % 2 else "back")
                confirm(connection, MessageFilter(statuses=["unknown"]), "ana", "sent")
                cancel(connection, MessageFilter(everything=True), "ana", dry_run=True)
        return cancelled

    with ThreadPoolExecutor(4) as threads:
        dispatching = [threads.submit(dispatch) for _ in range(2)]
        operating = [threads.submit(operate, number) for number in range(2)]
        for work in dispatching:
            work.result(timeout=120)
        cancelled = sum(work.result(timeout=120) for work in operating)
    with session() as connection:
        dispatch()  # what was moved ahead of the dispatchers at the very end
        confirm(connection, MessageFilter(everything=True), "ana", "sent")
    ended = Counter(statuses(owner).values())
    assert sum(ended.values()) == 600
    assert set(ended) <= {"sent", "failed", "cancelled"}
    assert ended["cancelled"] == cancelled
    assert {row["tries"] for row in messages(owner) if row["status"] == "cancelled"} <= {0}
    assert {row["tries"] for row in messages(owner) if row["status"] != "cancelled"} == {1}


def test_a_dry_run_and_the_real_one_in_one_transaction(
    connection: psycopg.Connection, owner: psycopg.Connection, gateway: int
) -> None:
    first, second = add_message(owner, gateway), add_message(owner, gateway)
    with connection.transaction():
        assert cancel(connection, [first], "ana", dry_run=True).records == 1
        assert cancel(connection, [first], "ana").records == 1
        assert set_priority(connection, [first, second], "ana", 1).records == 1
    assert [(row["status"], row["priority"]) for row in messages(owner)] == [("cancelled", 5), ("waiting", 1)]
