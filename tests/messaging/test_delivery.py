"""How far messages got: events in any order and number, asking the gateway, on a real PostgreSQL."""

from __future__ import annotations

import asyncio
import datetime as dt
import itertools
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rotina.errors import SettingError
from rotina.messaging import delivery
from rotina.messaging.adapters import Delivery, DeliveryStatus, Outgoing
from rotina.messaging.delivery import Event, apply_events, due_polls, poll, record_events, record_polls
from rotina.messaging.gateways import load_gateway
from rotina.messaging.operations import release
from rotina.messaging.outcome import Result
from tests.examples import examples
from tests.messaging.queue_data import add_gateway, add_message, messages

NOON = dt.datetime(2026, 11, 20, 12, tzinfo=dt.UTC)
MINUTE = dt.timedelta(minutes=1)


def told(status: DeliveryStatus, minute: int = 0, key: str = "gw-1", **more: Any) -> Event:
    """An event, `minute` minutes after noon."""
    error = "caixa cheia" if status == "failed" else None
    return Event(key, status, NOON + minute * MINUTE, error, **more)


def add_sent(owner: psycopg.Connection, gateway: int, key: str = "gw-1", **fields: Any) -> int:
    values = {"status": "sent", "sent_at": NOON, "ended_at": NOON, "gateway_message_id": key, **fields}
    return add_message(owner, gateway, **values)


def state(owner: psycopg.Connection) -> list[tuple[Any, ...]]:
    """What events may change of every message, but when it was noted."""
    return owner.execute(
        "select status, delivery_status, delivered_at, read_at, delivery_error, gateway_message_id, sent_at, "
        "ended_at is null, poll_after, reason, error from crm.message order by id"
    ).fetchall()


def unapplied(owner: psycopg.Connection) -> int:
    row = owner.execute("select count(*) from crm.delivery_event where applied_at is null").fetchone()
    assert row is not None
    return int(row[0])


# -- events -------------------------------------------------------------------------------------------------


def test_events_move_a_message_forward_only(
    connection: psycopg.Connection, owner: psycopg.Connection, gateway: int
) -> None:
    add_sent(owner, gateway)
    recorded = record_events(connection, "opa", [told("delivered", 2), told("sent", 1)])
    assert recorded == delivery.Recorded(new=2, repeated=0, applied=2, unmatched=0)
    (row,) = messages(owner)
    assert (row["delivery_status"], row["delivered_at"]) == ("delivered", NOON + 2 * MINUTE)
    record_events(connection, "opa", [told("read", 5)])
    record_events(connection, "opa", [told("failed", 6)])
    (row,) = messages(owner)
    assert (row["delivery_status"], row["read_at"]) == ("read", NOON + 5 * MINUTE)
    assert (row["status"], row["delivery_error"], row["sent_at"]) == ("sent", None, NOON)


def test_a_delivery_that_failed_leaves_the_message_sent(
    connection: psycopg.Connection, owner: psycopg.Connection, gateway: int
) -> None:
    add_sent(owner, gateway)
    record_events(connection, "opa", [Event("gw-1", "failed", NOON, "para ana@example.com: caixa cheia")])
    (row,) = messages(owner)
    assert (row["status"], row["delivery_status"]) == ("sent", "failed")
    assert row["delivery_error"] == "para ***: caixa cheia"


def test_each_kind_of_event_is_kept_once(
    connection: psycopg.Connection, owner: psycopg.Connection, gateway: int
) -> None:
    add_sent(owner, gateway)
    twice = [told("sent", 1), told("sent", 1)]
    recorded = record_events(connection, "opa", twice)
    assert (recorded.new, recorded.repeated, recorded.applied) == (1, 1, 1)
    recorded = record_events(connection, "opa", [*twice, told("delivered", 2)])
    assert (recorded.new, recorded.repeated, recorded.applied) == (1, 2, 1)
    rows = owner.execute("select status, occurred_at from crm.delivery_event order by id").fetchall()
    assert rows == [("sent", NOON + MINUTE), ("delivered", NOON + 2 * MINUTE)]


def test_one_call_takes_the_events_of_many_messages(
    connection: psycopg.Connection, owner: psycopg.Connection, gateway: int
) -> None:
    other = add_gateway(owner, "other")
    for number in range(3):
        add_sent(owner, gateway, f"gw-{number}")
    add_sent(owner, other, "gw-1")
    events = [told("delivered", 1, f"gw-{number}") for number in range(4)]
    recorded = record_events(connection, "opa", events)
    assert (recorded.new, recorded.applied, recorded.unmatched) == (4, 3, 1)
    assert [row["delivery_status"] for row in messages(owner)] == ["delivered"] * 3 + [None]
    assert record_events(connection, "opa", []) == delivery.Recorded(0, 0, 0, 0)


@pytest.mark.parametrize("status", ["sent", "delivered", "read", "failed"])
@pytest.mark.parametrize("key", [None, "gw-1"])
@pytest.mark.parametrize("reference", ["message_id", "dedupe_key"])
def test_an_event_proves_that_an_unknown_message_was_taken(
    connection: psycopg.Connection,
    owner: psycopg.Connection,
    gateway: int,
    status: DeliveryStatus,
    key: str | None,
    reference: str,
) -> None:
    number = add_message(
        owner,
        gateway,
        status="unknown",
        gateway_message_id=key,
        lease_token=7,
        error="interrupted",
        dedupe_key="k",
    )
    more = {"message_id": number} if reference == "message_id" else {"dedupe_key": "k"}
    record_events(connection, "opa", [told(status, 1, **more)])
    (row,) = messages(owner)
    assert (row["status"], row["reason"], row["error"]) == ("sent", "delivery_event", None)
    assert (row["gateway_message_id"], row["sent_at"]) == ("gw-1", NOON + MINUTE)
    assert row["ended_at"] is not None
    assert row["delivery_status"] == status


def test_a_message_that_was_released_and_did_arrive_is_not_sent_again(
    connection: psycopg.Connection, owner: psycopg.Connection, gateway: int
) -> None:
    number = add_message(owner, gateway, status="unknown", tries=1, gateway_message_id="gw-1")
    release(connection, [number], "ana")
    record_events(connection, "opa", [told("failed", 1, message_id=number)])
    assert messages(owner)[0]["status"] == "waiting"  # it did not arrive
    assert messages(owner)[0]["delivery_status"] is None
    record_events(connection, "opa", [told("delivered", 2, message_id=number)])
    assert messages(owner)[0]["status"] == "sent"


def test_the_failure_of_an_earlier_attempt_says_nothing_of_the_later_one(
    connection: psycopg.Connection, owner: psycopg.Connection, gateway: int
) -> None:
    number = add_sent(owner, gateway, "gw-2", tries=2)
    record_events(connection, "opa", [told("failed", 1, "gw-1", message_id=number)])
    assert messages(owner)[0]["delivery_status"] is None
    assert unapplied(owner) == 0


@pytest.mark.parametrize(
    ("tries", "attempt", "counts"),
    [(2, 1, False), (2, None, False), (2, 2, True), (1, None, True), (1, 1, True)],
)
@pytest.mark.parametrize("status", ["unknown", "sent"])
def test_a_failure_without_a_known_key_counts_for_its_own_attempt(
    connection: psycopg.Connection,
    owner: psycopg.Connection,
    gateway: int,
    status: str,
    tries: int,
    attempt: int | None,
    counts: bool,
) -> None:
    number = add_message(owner, gateway, status=status, tries=tries)
    record_events(connection, "opa", [told("failed", 1, message_id=number, attempt=attempt)])
    (row,) = messages(owner)
    assert (row["status"], row["delivery_status"], row["gateway_message_id"]) == (
        ("sent", "failed", "gw-1") if counts else (status, None, None)
    )
    assert unapplied(owner) == 0


def test_a_failure_with_the_key_of_the_attempt_before_does_not_settle_the_next(
    connection: psycopg.Connection, owner: psycopg.Connection, gateway: int
) -> None:
    # The key is that of the first attempt, which a person released; the second was interrupted.
    number = add_message(owner, gateway, status="unknown", tries=2, gateway_message_id="gw-1")
    record_events(connection, "opa", [told("failed", 1, message_id=number, attempt=1)])
    assert messages(owner)[0]["status"] == "unknown"
    record_events(connection, "opa", [told("failed", 2, "gw-2", message_id=number, attempt=2)])
    assert messages(owner)[0]["status"] == "sent"


@pytest.mark.parametrize("status", ["sending", "unknown"])
def test_an_earlier_attempt_that_was_sent_settles_the_message_and_leaves_it_no_key(
    connection: psycopg.Connection, owner: psycopg.Connection, gateway: int, status: str
) -> None:
    number = add_message(owner, gateway, status=status, tries=2, lease_token=7)
    record_events(connection, "opa", [told("sent", 1, message_id=number, attempt=1)])
    (row,) = messages(owner)
    assert (row["status"], row["gateway_message_id"]) == ("sending" if status == "sending" else "sent", None)
    record_events(connection, "opa", [told("delivered", 2, "gw-2", message_id=number, attempt=2)])
    assert messages(owner)[0]["gateway_message_id"] == "gw-2"


def test_the_number_of_the_attempt_may_come_later(
    connection: psycopg.Connection, owner: psycopg.Connection, gateway: int
) -> None:
    number = add_message(owner, gateway, status="unknown", tries=2)
    record_events(connection, "opa", [told("failed", 1, message_id=number)])
    assert record_events(connection, "opa", [told("failed", 1, message_id=number, attempt=2)]).applied == 1
    assert messages(owner)[0]["delivery_status"] == "failed"


def test_events_of_strangers_do_not_hold_up_ours(
    connection: psycopg.Connection, owner: psycopg.Connection, gateway: int
) -> None:
    record_events(connection, "opa", [told("delivered")])
    record_events(connection, "opa", [told("delivered", key=f"stranger-{n}") for n in range(3)])
    add_sent(owner, gateway)
    assert apply_events(connection, most=2) == 1
    assert messages(owner)[0]["delivery_status"] == "delivered"


def test_our_reference_counts_only_with_the_right_gateway(
    connection: psycopg.Connection, owner: psycopg.Connection, gateway: int
) -> None:
    other = add_gateway(owner, "other")
    number = add_message(owner, other, status="unknown")
    recorded = record_events(connection, "opa", [told("read", message_id=number)])
    assert recorded.unmatched == 1
    assert messages(owner)[0]["status"] == "unknown"


@pytest.mark.parametrize("status", ["cancelled", "expired"])
def test_a_message_that_was_ended_on_purpose_stays_so(
    connection: psycopg.Connection, owner: psycopg.Connection, gateway: int, status: str
) -> None:
    add_message(owner, gateway, status=status, gateway_message_id="gw-1")
    record_events(connection, "opa", [told("delivered")])
    (row,) = messages(owner)
    assert (row["status"], row["delivery_status"]) == (status, "delivered")


def test_an_event_that_comes_before_the_outcome_leaves_that_to_the_dispatcher(
    connection: psycopg.Connection, owner: psycopg.Connection, gateway: int
) -> None:
    number = add_message(owner, gateway, status="sending", lease_token=7)
    recorded = record_events(connection, "opa", [told("delivered", 2, message_id=number)])
    assert recorded.applied == 1
    (row,) = messages(owner)
    assert (row["status"], row["lease_token"]) == ("sending", 7)
    assert (row["delivery_status"], row["delivered_at"]) == ("delivered", NOON + 2 * MINUTE)
    # The dispatcher was killed; the message was given up as unknown.
    owner.execute("update crm.message set status = 'unknown'")
    assert apply_events(connection) == 1
    assert messages(owner)[0]["status"] == "sent"
    assert unapplied(owner) == 0


def test_a_failure_that_comes_before_the_outcome_waits_for_it(
    connection: psycopg.Connection, owner: psycopg.Connection, gateway: int
) -> None:
    number = add_message(owner, gateway, status="sending", lease_token=7)
    record_events(connection, "opa", [told("failed", 2, message_id=number)])
    assert messages(owner)[0]["delivery_status"] is None
    owner.execute("update crm.message set status = 'sent', gateway_message_id = 'gw-1', sent_at = now()")
    apply_events(connection)
    assert messages(owner)[0]["delivery_status"] == "failed"


def test_events_of_messages_that_become_known_later_are_not_lost(
    connection: psycopg.Connection, owner: psycopg.Connection, gateway: int
) -> None:
    assert record_events(connection, "opa", [told("read", 3), told("sent", 1)]).unmatched == 2
    assert apply_events(connection) == 0
    add_sent(owner, gateway)
    assert apply_events(connection) == 2
    assert messages(owner)[0]["delivery_status"] == "read"
    assert apply_events(connection) == 0


def test_a_message_in_somebodys_hand_is_not_waited_for(
    connection: psycopg.Connection, owner: psycopg.Connection, gateway: int
) -> None:
    add_sent(owner, gateway)
    with owner.transaction():
        owner.execute("update crm.message set poll_after = null")
        recorded = record_events(connection, "opa", [told("read")])  # in this very thread
        assert (recorded.new, recorded.applied, recorded.unmatched) == (1, 0, 0)
    assert apply_events(connection) == 1
    assert messages(owner)[0]["delivery_status"] == "read"


@pytest.mark.parametrize(
    ("field", "code", "event"),
    [
        ("gateway", "none", told("sent")),
        ("gateway_message_id", "opa", told("sent", 0, " ")),
        ("occurred_at", "opa", Event("gw-1", "sent", dt.datetime(2026, 1, 1))),  # noqa: DTZ001
    ],
)
@pytest.mark.usefixtures("gateway")
def test_wrong_events_are_refused(
    connection: psycopg.Connection, owner: psycopg.Connection, field: str, code: str, event: Event
) -> None:
    with pytest.raises(SettingError) as refused:
        record_events(connection, code, [told("read"), event])
    assert refused.value.field == field
    assert unapplied(owner) == 0


@dataclass(frozen=True)
class Place:
    """A database for many examples."""

    connection: psycopg.Connection
    owner: psycopg.Connection
    gateway: int

    def after(self, start: str, calls: list[list[Event]]) -> tuple[Any, ...]:
        """The state of one message that began as `start`, after these calls."""
        self.owner.execute("truncate crm.message, crm.message_key, crm.delivery_event")
        key = None if start == "sending" else "gw-1"
        sent = {"sent_at": NOON, "ended_at": NOON, "poll_after": NOON} if start == "sent" else {}
        number = add_message(self.owner, self.gateway, status=start, gateway_message_id=key, **sent)
        for events in calls:
            named = [Event(**{**vars(event), "message_id": number}) for event in events]
            record_events(self.connection, "opa", named)
        if start == "sending":
            self.owner.execute(
                "update crm.message set status = 'sent', sent_at = %s, gateway_message_id = 'gw-1'", [NOON]
            )
        apply_events(self.connection)
        assert unapplied(self.owner) == 0
        (row,) = state(self.owner)
        return row


@pytest.fixture
def place(connection: psycopg.Connection, owner: psycopg.Connection, gateway: int) -> Place:
    return Place(connection, owner, gateway)


_EVENTS = st.lists(
    st.builds(told, st.sampled_from(["sent", "delivered", "read", "failed"]), st.integers(0, 3)),
    min_size=1,
    max_size=6,
)


@settings(max_examples=examples(40))
@given(
    events=_EVENTS,
    start=st.sampled_from(["sent", "unknown", "sending"]),
    data=st.data(),
)
@example(events=[told("failed", 1), told("delivered", 2)], start="unknown", data=None)
@example(events=[told("read", 1), told("sent", 0), told("failed", 2)], start="sent", data=None)
def test_any_order_and_repetition_of_events_ends_in_the_same_state(
    place: Place, events: list[Event], start: str, data: Any
) -> None:
    expected = place.after(start, [[event] for event in events])
    if data is None:
        calls = [[event] for event in reversed([*events, *events])]
    else:
        shuffled = data.draw(
            st.permutations(events + data.draw(st.lists(st.sampled_from(events), max_size=4)))
        )
        cuts = sorted(data.draw(st.lists(st.integers(0, len(shuffled)), max_size=3)))
        bounds = [0, *cuts, len(shuffled)]
        calls = [shuffled[a:b] for a, b in itertools.pairwise(bounds)]
    assert place.after(start, calls) == expected
    reached = {event.status for event in events}
    furthest = next(status for status in ("read", "delivered", "failed", "sent") if status in reached)
    assert expected[:2] == ("sent", furthest)


# -- asking -------------------------------------------------------------------------------------------------


@dataclass
class FakeAdapter:
    """A gateway that knows some of its messages, and how many are asked for at a time."""

    answers: dict[str, Delivery]
    asked: list[str] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0
    places: int = 64

    async def delivery(self, gateway_message_id: str) -> Delivery | None:
        self.asked.append(gateway_message_id)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(0)  # the others begin
        self.at_once -= 1
        return self.answers.get(gateway_message_id)

    async def send(self, message: Outgoing) -> Result:
        raise NotImplementedError

    async def find(self, message: Outgoing) -> Result | None:
        raise NotImplementedError

    async def available(self) -> int | None:
        raise NotImplementedError

    async def close(self) -> None:
        raise NotImplementedError


def test_a_poll_asks_about_what_is_due_and_records_it(
    connection: psycopg.Connection, owner: psycopg.Connection
) -> None:
    gateway = add_gateway(owner, max_in_flight=4, dispatchers=2)
    now = dt.datetime.now(dt.UTC)
    sent_at = now - 11 * MINUTE
    due = {"sent_at": sent_at, "poll_after": now - MINUTE}
    for number in range(5):
        add_sent(owner, gateway, f"gw-{number}", **due)
    add_sent(owner, gateway, "later", sent_at=now, poll_after=now + 10 * MINUTE)
    add_sent(owner, gateway, "no more", sent_at=sent_at)
    add_sent(owner, add_gateway(owner, "other"), "others", **due)
    answers = {
        "gw-0": Delivery("read", now),
        "gw-1": Delivery("failed", now, "número errado"),
        "gw-2": Delivery("delivered", now),
        "gw-3": Delivery("sent", now),
    }
    adapter = FakeAdapter(answers)
    recorded = asyncio.run(poll(connection, adapter, load_gateway(connection, "opa")))
    assert (recorded.new, recorded.applied) == (4, 4)
    assert sorted(adapter.asked) == [f"gw-{number}" for number in range(5)]
    assert adapter.most_at_once == 2
    rows = messages(owner)[:5]
    assert [row["delivery_status"] for row in rows] == ["read", "failed", "delivered", "sent", None]
    assert [row["poll_after"] is None for row in rows] == [True, True, False, False, False]
    assert all(row["poll_after"] > now + 59 * MINUTE for row in rows[2:])
    assert asyncio.run(poll(connection, adapter, load_gateway(connection, "opa"))).new == 0


@pytest.mark.parametrize(
    ("age", "next_in"),
    [("10 minutes", "1 hour"), ("70 minutes", "6 hours"), ("8 hours", "24 hours"), ("47 hours", "24 hours")],
)
def test_polls_come_at_growing_intervals(
    connection: psycopg.Connection, owner: psycopg.Connection, gateway: int, age: str, next_in: str
) -> None:
    add_sent(owner, gateway)
    owner.execute(
        "update crm.message set sent_at = now() - %s::interval, poll_after = now() - interval '1 minute'",
        [age],
    )
    (due,) = due_polls(connection, gateway)
    record_polls(connection, [due.id])
    row = owner.execute(
        "select poll_after between now() + %(in)s::interval - interval '1 minute' "
        "and now() + %(in)s::interval from crm.message",
        {"in": next_in},
    ).fetchone()
    assert row == (True,)
    assert due_polls(connection, gateway) == []


def test_polls_end_after_three_days(
    connection: psycopg.Connection, owner: psycopg.Connection, gateway: int
) -> None:
    number = add_sent(owner, gateway)
    owner.execute("update crm.message set sent_at = now() - interval '49 hours', poll_after = now()")
    record_polls(connection, [number])
    assert messages(owner)[0]["poll_after"] is None
    record_polls(connection, [number])
    assert messages(owner)[0]["poll_after"] is None


def test_two_dispatchers_do_not_ask_about_the_same_messages(
    connection: psycopg.Connection, owner: psycopg.Connection, gateway: int
) -> None:
    now = dt.datetime.now(dt.UTC)
    numbers = [
        add_sent(owner, gateway, f"gw-{n}", sent_at=now, poll_after=now - n * MINUTE) for n in range(3)
    ]
    with owner.transaction():
        owner.execute("select from crm.message where id = %s for update", [numbers[2]])
        assert due_polls(connection, gateway, most=1) == [delivery.Due(numbers[1], "gw-1")]
    assert {due.id for due in due_polls(connection, gateway)} == {numbers[0], numbers[2]}
    assert due_polls(connection, gateway) == []
    again = messages(owner)[0]["poll_after"]
    assert now + 4 * MINUTE < again < dt.datetime.now(dt.UTC) + 6 * MINUTE


def test_nobody_asks_about_what_was_sent_more_than_three_days_ago(
    connection: psycopg.Connection, owner: psycopg.Connection, gateway: int
) -> None:
    now = dt.datetime.now(dt.UTC)
    add_sent(owner, gateway, "old", sent_at=now - dt.timedelta(days=3), poll_after=now)
    add_sent(owner, gateway, "new", sent_at=now - dt.timedelta(days=2, hours=23), poll_after=now)
    assert [due.gateway_message_id for due in due_polls(connection, gateway)] == ["new"]
    assert [row["poll_after"] is None for row in messages(owner)] == [True, False]
