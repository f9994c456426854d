"""No order of claims, calls, crashes, rescues and operators' actions loses a message or sends it twice."""

from __future__ import annotations

import datetime as dt
import itertools
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, get_args

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from psycopg.rows import dict_row

from rotina.messaging import delivery, operations
from rotina.messaging.adapters import DeliveryStatus
from rotina.messaging.operations import Done
from rotina.messaging.outbox import enqueue, open_outgoing
from rotina.messaging.outcome import Outcome
from rotina.runs.record import Run
from rotina.sql import statement
from tests.examples import examples
from tests.messaging.queue_data import add_customer, add_gateway, add_receivable, add_template
from tests.runs_by_hand import open_run

_AT_REST = {"sent", "failed", "cancelled", "expired"}
_PENDING = {"waiting", "held"}
_LOGIN = "ana"
_MOST_ATTEMPTS = 2

_RECEIVABLE = 1

_receivables = st.sampled_from((None, _RECEIVABLE))
_rarely = st.sampled_from((False,) * 7 + (True,))
#: Of calls that are made; most messages are taken.
_called = [outcome for outcome in Outcome if outcome not in (Outcome.SETTLED, Outcome.SUPPRESSED)]
_outcomes = st.lists(st.sampled_from([Outcome.ACCEPTED, Outcome.MAYBE_SENT] * 4 + _called), max_size=4)
_tokens = itertools.count(1)

#: What operators do: the statuses that allow it, and the one that comes of it, if another.
_ACTIONS: dict[str, tuple[set[str], Callable[[psycopg.Connection, list[int]], Done], str | None]] = {
    "cancel": (_PENDING, lambda db, ids: operations.cancel(db, ids, _LOGIN), "cancelled"),
    "prefer": (_PENDING, lambda db, ids: operations.set_priority(db, ids, _LOGIN, 1), None),
    "move": (_PENDING, lambda db, ids: operations.reorder(db, ids, _LOGIN, "back"), None),
    "retry": ({"failed"}, lambda db, ids: operations.retry(db, ids, _LOGIN), "waiting"),
    "release": ({"unknown"}, lambda db, ids: operations.release(db, ids, _LOGIN), "waiting"),
    "confirm": ({"unknown"}, lambda db, ids: operations.confirm(db, ids, _LOGIN, "sent"), "sent"),
    "deny": (
        {"unknown"},
        lambda db, ids: operations.confirm(db, ids, _LOGIN, "failed", reason="looked it up"),
        "failed",
    ),
}


@dataclass
class Call:
    """An attempt that a dispatcher has in hand."""

    dispatcher: int
    message_id: int
    number: int
    token: int
    outcome: Outcome | None = None
    """None: not called yet."""
    too_late: bool = False
    """Its lease ran out, so its dispatcher makes no call any more."""


class Queue(RuleBasedStateMachine):
    """The statements of the queue on a real database, between dispatchers, people and a gateway."""

    connection: psycopg.Connection
    owner: psycopg.Connection
    gateway_id: int
    template_id: int
    run: Run

    def __init__(self) -> None:
        super().__init__()
        self.keys: set[str] = set()
        self.in_hand: list[Call] = []
        self.written: list[Call] = []
        #: The gateway's ledger: ids of the messages in the order in which it took them.
        self.ledger: list[int] = []
        #: Messages that the gateway took, and that no person had sent again since.
        self.taken: set[int] = set()
        #: Messages that a person settled or had sent again after the gateway took them.
        self.answered_for: set[int] = set()
        self.silent_calls = 0
        self.messages: list[dict[str, Any]] = []

    # -- producers ------------------------------------------------------------------------------------------

    @initialize(receivable=_receivables, later=st.booleans(), expires=st.booleans())
    def begin(self, receivable: int | None, *, later: bool, expires: bool) -> None:
        self.enqueue({1, 2, 3, 4}, None, later=False, expires=True)
        self.enqueue({5, 6, 7, 8}, receivable, later=later, expires=expires)

    @rule(
        numbers=st.sets(st.integers(1, 12), min_size=1, max_size=4),
        receivable=_receivables,
        later=st.booleans(),
        expires=st.booleans(),
    )
    def enqueue(self, numbers: set[int], receivable: int | None, *, later: bool, expires: bool) -> None:
        """Write messages, some of which were written before."""
        with self.connection.transaction():
            open_outgoing(self.connection)
            self.connection.execute(
                "insert into outgoing (record_kind, record_id, dedupe_key, origin_key, template_id, "
                "variables, recipient, receivable_id, send_after, expires_at) "
                "select 'test', n, 'key:' || n, n, %s, '{Ana}', '+551190000000' || n, %s, %s, %s "
                "from unnest(%s::int[]) as n",
                [
                    self.template_id,
                    receivable,
                    _from_now(1) if later else None,
                    _from_now(2) if expires else None,
                    sorted(numbers),
                ],
            )
            enqueue(self.connection, self.run)
        self.keys |= {f"key:{number}" for number in numbers}

    @precondition(lambda self: any(row["status"] in _PENDING for row in self.messages))
    @rule(what=st.sampled_from(("due", "late", "paid")))
    def time_passes(self, what: str) -> None:
        """The time of messages comes, or is over, or what they ask for is paid."""
        match what:
            case "due":
                self.owner.execute(
                    "update crm.message set send_after = now() - interval '1 s' where not ready"
                )
            case "late":
                self.owner.execute(
                    "update crm.message set expires_at = now() - interval '1 s' where expires_at is not null"
                )
            case "paid":
                self.owner.execute("update erp.receivable set paid_at = now()")
        self.fetch("expire_messages", run_id=self.run.id, most=100)
        self.fetch("ready_messages", most=100)

    # -- dispatchers ----------------------------------------------------------------------------------------

    @rule(most=st.integers(1, 4), outcomes=_outcomes, written=st.integers(0, 4), reply_is_lost=_rarely)
    def first_dispatcher(self, **asked: Any) -> None:
        self.dispatch(1, **asked)

    @rule(most=st.integers(1, 4), outcomes=_outcomes, written=st.integers(0, 4), reply_is_lost=_rarely)
    def second_dispatcher(self, **asked: Any) -> None:
        self.dispatch(2, **asked)

    def dispatch(
        self, dispatcher: int, most: int, outcomes: list[Outcome], written: int, *, reply_is_lost: bool
    ) -> None:
        """Claim; then perhaps call for some of what is in hand, and perhaps write some of that back."""
        token = next(_tokens)
        rows = self.fetch(
            "claim_messages",
            limited=False,
            after_priority=-1,
            after_position=-(2**62),
            after_id=0,
            most=most,
            token=token,
            lease_seconds=60.0,
            run_id=self.run.id,
        )
        self.look()
        made = {message["id"]: message["made"] for message in self.messages}
        for row in rows:  # the attempt is written down before any call
            assert made[row["id"]][-1] == [row["number"], token, True]
        if reply_is_lost:
            self.fetch("put_back_claim", token=token)
            return
        claimed = [row["id"] for row in rows]
        suppressed = self.fetch("list_not_to_send", message_ids=claimed, channel="phone")
        receivables = self.fetch("list_receivables", receivable_ids=[_RECEIVABLE])
        for row in rows:
            outcome = None
            if row["id"] in [other["id"] for other in suppressed]:
                outcome = Outcome.SUPPRESSED
            elif row["receivable_id"] and receivables[0]["settled"]:
                outcome = Outcome.SETTLED
            self.in_hand.append(Call(dispatcher, row["id"], row["number"], token, outcome))
        self.go_on(outcomes, written)

    @precondition(lambda self: self.in_hand)
    @rule(outcomes=_outcomes, written=st.integers(0, 4))
    def go_on(self, outcomes: list[Outcome], written: int) -> None:
        """Call for what is in hand, oldest first; write back in one batch, perhaps long after a rescue."""
        uncalled = [call for call in self.in_hand if call.outcome is None]
        for call, outcome in zip(uncalled, outcomes, strict=False):
            self.call(call, outcome)
        batch = [call for call in self.in_hand if call.outcome is not None][:written]
        self.complete(batch)
        self.in_hand = [call for call in self.in_hand if call not in batch]
        self.written += batch

    def call(self, call: Call, outcome: Outcome) -> None:
        """The gateway takes a message before it replies, and every other time fails to reply."""
        call.outcome = Outcome.NOT_TRIED if call.too_late else outcome
        taken = call.outcome is Outcome.ACCEPTED
        if call.outcome is Outcome.MAYBE_SENT:
            self.silent_calls += 1
            taken = self.silent_calls % 2 == 0
        if taken:
            assert call.message_id not in self.taken, "the gateway took a message twice"
            self.ledger.append(call.message_id)
            self.taken.add(call.message_id)
            self.answered_for.discard(call.message_id)

    @precondition(lambda self: self.written)
    @rule(data=st.data())
    def write_back_again(self, data: st.DataObject) -> None:
        """As a dispatcher does that lost the reply to its writing."""
        self.complete([data.draw(st.sampled_from(self.written))])

    @precondition(lambda self: self.in_hand)
    @rule(dispatcher=st.integers(1, 2))
    def crash(self, dispatcher: int) -> None:
        self.in_hand = [call for call in self.in_hand if call.dispatcher != dispatcher]

    @precondition(lambda self: any(row["status"] == "sending" for row in self.messages))
    @rule(newest_only=st.booleans())
    def rescue(self, *, newest_only: bool) -> None:
        """The leases of all that is being sent run out, or that of the newest."""
        lapsed = self.owner.execute(
            "update crm.message set lease_until = now() - interval '1 s' where status = 'sending' "
            "and (not %s or id = (select max(id) from crm.message where status = 'sending')) "
            "returning lease_token, id",
            [newest_only],
        ).fetchall()
        for call in self.in_hand:
            call.too_late = call.too_late or (call.token, call.message_id) in lapsed
        self.fetch("rescue_messages", run_id=self.run.id, most=100, back_seconds=60.0)

    # -- people ---------------------------------------------------------------------------------------------

    @rule(data=st.data(), action=st.sampled_from(sorted(_ACTIONS)), fitting=st.booleans())
    def operate(self, data: st.DataObject, action: str, *, fitting: bool) -> None:
        """An operator's action on a message: one whose status allows it (`fitting`), or any."""
        allowed, work, after = _ACTIONS[action]
        fit = [row for row in self.messages if row["status"] in allowed]
        row = data.draw(st.sampled_from(fit if fit and fitting else self.messages), label="message")
        late = row["expires_at"] is not None and row["expires_at"] < _from_now(0)
        done = work(self.connection, [row["id"]])
        assert done.records == (row["status"] in allowed and not (late and action in ("release", "retry")))
        if done.records:
            self.look()
            (changed,) = (one for one in self.messages if one["id"] == row["id"])
            assert changed["status"] == (after or row["status"])
            if action in ("release", "retry"):
                self.taken.discard(row["id"])
            if "unknown" in allowed or "failed" in allowed:
                self.answered_for.add(row["id"])

    # -- the gateway tells ----------------------------------------------------------------------------------

    @precondition(lambda self: self.ledger)
    @rule(data=st.data(), status=st.sampled_from(get_args(DeliveryStatus)), refers=st.booleans())
    def deliver(self, data: st.DataObject, status: DeliveryStatus, *, refers: bool) -> None:
        """Anything, at any time, repeatedly, and with our reference or without it."""
        key = data.draw(st.sampled_from(self.ledger))
        event = delivery.Event(f"gw-{key}", status, _from_now(0), message_id=key if refers else None)
        delivery.record_events(self.connection, "opa", [event])
        delivery.apply_events(self.connection)

    # -- what must always be --------------------------------------------------------------------------------

    @invariant()
    def nothing_vanishes_or_doubles(self) -> None:
        self.look()
        rows = self.messages
        assert sorted(row["dedupe_key"] for row in rows) == sorted(self.keys)
        by_status = Counter(row["status"] for row in rows)
        assert sum(by_status[status] for status in get_args(operations.Status)) == len(self.keys)
        for row in rows:
            key, status = row["id"], row["status"]
            if key in set(self.ledger) - self.answered_for:
                assert status in ("sent", "unknown", "sending"), f"taken, but {status}"
            if status == "sent":
                assert key in self.ledger or row["reason"] == "confirmed", "sent, but not taken"
                assert row["sent_at"]
            assert (row["ended_at"] is not None) == (status in _AT_REST)
            assert (row["lease_until"] is not None) == (status == "sending")
            assert 0 <= row["attempts"] <= _MOST_ATTEMPTS
            assert [number for number, _, _ in row["made"]] == list(range(1, row["tries"] + 1))
            under_way = [(number, token) for number, token, is_open in row["made"] if is_open]
            assert under_way == ([(row["tries"], row["lease_token"])] if status == "sending" else [])

    def teardown(self) -> None:
        self.owner.execute(
            "delete from crm.message_attempt; delete from crm.message; delete from crm.message_key; "
            "delete from crm.delivery_event; delete from crm.suppression; delete from crm.audit_entry; "
            "delete from crm.run_item; update erp.receivable set paid_at = null"
        )

    # -- helpers --------------------------------------------------------------------------------------------

    def complete(self, calls: list[Call]) -> None:
        accepted = Outcome.ACCEPTED
        delayed = (Outcome.DEFERRED, Outcome.IN_ATTENDANCE, Outcome.RECEIVABLE_MISSING)
        self.fetch(
            "complete_attempts",
            message_ids=[call.message_id for call in calls],
            numbers=[call.number for call in calls],
            tokens=[call.token for call in calls],
            outcomes=[str(call.outcome) for call in calls],
            codes=[None for _ in calls],
            errors=[None for _ in calls],
            gateway_message_ids=[
                f"gw-{call.message_id}" if call.outcome is accepted else None for call in calls
            ],
            delays=[60.0 if call.outcome in delayed else None for call in calls],
            max_attempts=_MOST_ATTEMPTS,
            channel="phone",
            poll_seconds=600.0,
        )

    def fetch(self, name: str, **values: Any) -> list[dict[str, Any]]:
        with self.connection.cursor(row_factory=dict_row) as cursor:
            cursor.execute(statement(f"queue_dispatch/{name}"), {"gateway_id": self.gateway_id, **values})
            return cursor.fetchall() if cursor.description else []

    def look(self) -> None:
        """Read all messages, by id, with their attempts: number, token, whether it is open."""
        with self.owner.cursor(row_factory=dict_row) as cursor:
            self.messages = cursor.execute(
                "select m.*, (select coalesce(json_agg(json_build_array(a.number, a.token, "
                "a.ended_at is null) order by a.number), '[]') from crm.message_attempt as a "
                "where a.message_id = m.id) as made from crm.message as m order by m.id"
            ).fetchall()


def _from_now(hours: float) -> dt.datetime:
    return dt.datetime.now(dt.UTC) + dt.timedelta(hours=hours)


@pytest.mark.hypothesis
def test_no_order_of_events_loses_or_doubles_a_message(
    connection: psycopg.Connection, owner: psycopg.Connection
) -> None:
    gateway_id = add_gateway(owner)
    customer_id = add_customer(owner)
    add_receivable(owner, customer_id, "2026-11-20", receivable_id=_RECEIVABLE)
    machine: type[Queue] = type(
        "Machine",
        (Queue,),
        {
            "connection": connection,
            "owner": owner,
            "gateway_id": gateway_id,
            "template_id": add_template(owner, gateway_id, variables=["first_name"]),
            "run": open_run(connection, "2026-11-20", routine="test", program="test"),
        },
    )
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples(40),
            stateful_step_count=30,
            suppress_health_check=list(HealthCheck),
        ),
    )
