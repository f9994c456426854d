"""The dispatcher: order, limits, every class of outcome, and what breaks while it works."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections import Counter
from typing import Any

import psycopg
import pytest

from rotina.errors import SettingError
from rotina.messaging.adapters import Outgoing
from rotina.messaging.outcome import Outcome, Result
from rotina.messaging.queue_dispatch import REFUSED_CALLS, check_settings, count_messages, list_places
from rotina.runs import record
from rotina.runs.record import Run, RunRequest
from tests.messaging.queue_data import add_customer, add_gateway, add_message, add_receivable, messages
from tests.messaging.scripted_gateway import ScriptedGateway, accept, dispatch, dispatcher


def always(outcome: Outcome, **fields: Any) -> ScriptedGateway:
    return ScriptedGateway(lambda _: Result(outcome, **fields))


def only(message_id: int, outcome: Outcome, **fields: Any) -> ScriptedGateway:
    """One message meets an outcome, the others are taken."""
    return ScriptedGateway(lambda m: Result(outcome, **fields) if m.id == message_id else accept(m))


def statuses(owner: psycopg.Connection) -> dict[int, str]:
    return {row["id"]: row["status"] for row in messages(owner)}


def attempts(owner: psycopg.Connection, message_id: int) -> list[tuple[Any, ...]]:
    return owner.execute(
        "select number, outcome, ended_at is not null from crm.message_attempt where message_id = %s "
        "order by number",
        [message_id],
    ).fetchall()


def open_run(connection: psycopg.Connection, dag_run_id: str = "manual__1", **params: Any) -> Run:
    request = RunRequest(
        routine="queue_dispatch",
        program="crm_fila",
        dag_run_id=dag_run_id,
        run_type="manual",
        business_date=dt.date(2026, 11, 20),
        asked_by="ana",
        params={"gateway": None, "minutes": 1, **params},
    )
    return record.open_run(connection, request)


def count(connection: psycopg.Connection, run: Run) -> tuple[int, ...]:
    with connection.transaction():
        counted = count_messages(connection, run)
    return counted.selected, counted.changed, counted.unchanged, counted.skipped, counted.failed


def items(owner: psycopg.Connection, run: Run) -> set[tuple[str, ...]]:
    return set(
        owner.execute(
            "select record_kind, record_id, outcome, reason from crm.run_item where run_id = %s", [run.id]
        ).fetchall()
    )


# -- sending ----------------------------------------------------------------------------------------------


def test_messages_go_by_priority_then_position_then_id_each_once(
    connection: psycopg.Connection, owner: psycopg.Connection, task_uri: str
) -> None:
    gateway = add_gateway(owner, max_in_flight=1)
    later, moved_back, first, second, moved_ahead, urgent = (
        add_message(owner, gateway, **fields)
        for fields in (
            {"priority": 9},
            {"position": 1},
            {},
            {},
            {"position": -1},
            {"priority": 1, "position": 5},
        )
    )
    simulated = ScriptedGateway()
    tally = dispatch(connection, task_uri, simulated)
    assert simulated.ledger == [urgent, moved_ahead, first, second, moved_back, later]
    assert (tally.ended, tally.outcomes) == ("empty", {"accepted": 6})
    assert set(statuses(owner).values()) == {"sent"}
    dispatch(connection, task_uri, simulated)
    assert len(simulated.ledger) == 6


def test_what_was_sent_is_written_down(
    connection: psycopg.Connection, owner: psycopg.Connection, gateway: int, task_uri: str
) -> None:
    message_id = add_message(owner, gateway)
    dispatch(connection, task_uri)
    (message,) = messages(owner)
    assert message["gateway_message_id"] == f"gw-{message_id}"
    assert (message["tries"], message["attempts"], message["lease_until"]) == (1, 0, None)
    assert message["sent_at"] == message["ended_at"] is not None
    assert message["poll_after"] > message["sent_at"]
    assert attempts(owner, message_id) == [(1, "accepted", True)]


@pytest.mark.parametrize(
    ("outcome", "status", "spent"),
    [
        (Outcome.ACCEPTED, "sent", 0),
        (Outcome.DEFERRED, "waiting", 1),
        (Outcome.MAYBE_SENT, "unknown", 0),
        (Outcome.REJECTED, "failed", 1),
        (Outcome.OPTED_OUT, "failed", 1),
        (Outcome.NO_SUCH_ADDRESS, "failed", 1),
        (Outcome.CONFIGURATION, "waiting", 0),
        (Outcome.IN_ATTENDANCE, "held", 0),
    ],
)
def test_every_class_of_outcome(
    connection: psycopg.Connection,
    owner: psycopg.Connection,
    gateway: int,
    task_uri: str,
    outcome: Outcome,
    status: str,
    spent: int,
) -> None:
    message_id = add_message(owner, gateway)
    dispatch(connection, task_uri, always(outcome, error="as told"))
    (message,) = messages(owner)
    assert (message["status"], message["attempts"], message["reason"]) == (status, spent, outcome)
    assert message["error"] == "as told"
    assert message["ready"] is (status != "held" and outcome is not Outcome.DEFERRED)
    assert (message["ended_at"] is not None) is (status in ("sent", "failed"))
    assert attempts(owner, message_id) == [(1, outcome, True)]


def test_one_bad_recipient_stops_nobody(
    connection: psycopg.Connection, owner: psycopg.Connection, gateway: int, task_uri: str
) -> None:
    ids = [add_message(owner, gateway) for _ in range(5)]
    dispatch(connection, task_uri, only(ids[0], Outcome.REJECTED, error="invalid number"))
    assert list(statuses(owner).values()) == ["failed", *["sent"] * 4]


def test_an_opt_out_suppresses_the_address(
    connection: psycopg.Connection, owner: psycopg.Connection, gateway: int, task_uri: str
) -> None:
    add_message(owner, gateway, recipient="+5511988887777")
    dispatch(connection, task_uri, always(Outcome.OPTED_OUT))
    found = owner.execute("select channel, address, reason from crm.suppression").fetchall()
    assert found == [("phone", "+5511988887777", "opted_out")]


def test_a_hard_bounce_suppresses_the_address_and_is_told_apart_from_an_opt_out(
    connection: psycopg.Connection, owner: psycopg.Connection, task_uri: str
) -> None:
    gateway = add_gateway(owner, kind="smtp")
    add_message(owner, gateway, recipient="Ana@example.com")
    dispatch(connection, task_uri, always(Outcome.NO_SUCH_ADDRESS, error="550 5.1.1 no such mailbox"))
    found = owner.execute("select channel, address, reason, source from crm.suppression").fetchall()
    assert found == [("email", "ana@example.com", "hard_bounce", "queue_dispatch")]


def test_a_deferred_message_fails_when_its_attempts_are_spent(
    connection: psycopg.Connection, owner: psycopg.Connection, task_uri: str
) -> None:
    gateway = add_gateway(owner, max_attempts=2)
    add_message(owner, gateway)
    for status in ("waiting", "failed"):
        dispatch(connection, task_uri, always(Outcome.DEFERRED, retry_after=3600.0))
        assert list(statuses(owner).values()) == [status]
        (message,) = messages(owner)
        assert message["send_after"] > dt.datetime.now(dt.UTC) + dt.timedelta(minutes=59)
        owner.execute("update crm.message set send_after = now()")


def test_a_held_message_goes_when_its_hold_is_over(
    connection: psycopg.Connection, owner: psycopg.Connection, gateway: int, task_uri: str
) -> None:
    add_message(owner, gateway)
    dispatch(connection, task_uri, always(Outcome.IN_ATTENDANCE))
    simulated = ScriptedGateway()
    dispatch(connection, task_uri, simulated)
    assert simulated.ledger == []  # not yet
    owner.execute("update crm.message set send_after = now()")
    dispatch(connection, task_uri, simulated)
    assert list(statuses(owner).values()) == ["sent"]


def test_an_adapter_that_breaks_leaves_the_message_unknown(
    connection: psycopg.Connection, owner: psycopg.Connection, gateway: int, task_uri: str
) -> None:
    def broken(message: Outgoing) -> Result:
        raise KeyError(message.id)

    add_message(owner, gateway)
    tally = dispatch(connection, task_uri, ScriptedGateway(broken))
    assert list(statuses(owner).values()) == ["unknown"]
    assert "1 messages may have been sent" in (tally.problem or "")


# -- the gateway ------------------------------------------------------------------------------------------


def test_a_configuration_error_pauses_the_gateway_and_spends_nothing(
    connection: psycopg.Connection, owner: psycopg.Connection, task_uri: str
) -> None:
    gateway = add_gateway(owner, max_in_flight=4)
    for _ in range(20):
        add_message(owner, gateway)
    run = open_run(connection)
    simulated = always(Outcome.CONFIGURATION, code=401, error="HTTP 401")
    tally = dispatch(connection, task_uri, simulated, run_id=run.id)
    assert (tally.ended, tally.problem) == ("paused", "paused: HTTP 401")
    assert len(simulated.ledger) <= 4
    assert {(row["status"], row["attempts"]) for row in messages(owner)} == {("waiting", 0)}
    paused = owner.execute("select paused_by, pause_reason from crm.gateway").fetchone()
    assert paused == ("queue_dispatch", "HTTP 401")
    assert ("gateway", "opa", "failed", "gateway_paused") in items(owner, run)
    assert owner.execute("select login, action from crm.audit_entry").fetchall() == [
        ("queue_dispatch", "pause")
    ]

    again = ScriptedGateway()
    assert dispatch(connection, task_uri, again).ended == "paused"
    assert again.ledger == []


def test_a_gateway_that_asks_for_time_gets_it_and_recovers_by_itself(
    connection: psycopg.Connection, owner: psycopg.Connection, task_uri: str
) -> None:
    gateway = add_gateway(owner, max_in_flight=4)
    ids = [add_message(owner, gateway) for _ in range(12)]
    told = {"times": 0}

    def answer(message: Outgoing) -> Result:
        told["times"] += 1
        if told["times"] <= 4:
            return Result(Outcome.TRANSIENT, code=429, retry_after=0.2)
        return accept(message)

    simulated = ScriptedGateway(answer)
    tally = dispatch(connection, task_uri, simulated)
    assert tally.ended == "empty"
    assert set(statuses(owner).values()) == {"sent"}
    assert {row["attempts"] for row in messages(owner)} == {0}
    assert sorted(simulated.ledger[4:]) == ids  # the refused ones went back to the front
    assert simulated.ledger[4] == ids[0]
    assert owner.execute("select failures, slowed_until from crm.gateway").fetchone() == (0, None)


def test_a_slow_gateway_is_left_alone_until_its_time(
    connection: psycopg.Connection, owner: psycopg.Connection, gateway: int, task_uri: str
) -> None:
    add_message(owner, gateway)
    dispatch(connection, task_uri, always(Outcome.TRANSIENT, retry_after=3600.0), budget_seconds=1)
    simulated = ScriptedGateway()
    tally = dispatch(connection, task_uri, simulated, budget_seconds=1)
    assert (tally.ended, simulated.ledger) == ("slow", [])
    assert list(statuses(owner).values()) == ["waiting"]


@pytest.mark.parametrize("outcome", [Outcome.REJECTED, Outcome.NO_SUCH_ADDRESS])
def test_a_gateway_that_refuses_everybody_is_paused(
    connection: psycopg.Connection, owner: psycopg.Connection, gateway: int, task_uri: str, outcome: Outcome
) -> None:
    for _ in range(3 * REFUSED_CALLS):
        add_message(owner, gateway)
    refusing = always(outcome, error="HTTP 400: computer says no")
    tally = dispatch(connection, task_uri, refusing)
    assert tally.ended == "paused"
    found = Counter(statuses(owner).values())
    assert found.keys() == {"failed", "waiting"}
    assert REFUSED_CALLS <= found["failed"] < 2 * REFUSED_CALLS
    ((reason,),) = owner.execute("select pause_reason from crm.gateway").fetchall()
    assert "in a row refused: HTTP 400: computer says no" in reason


def test_one_accepted_message_among_refused_ones_keeps_a_gateway_going(
    connection: psycopg.Connection, owner: psycopg.Connection, task_uri: str
) -> None:
    gateway = add_gateway(owner, max_in_flight=4)
    ids = [add_message(owner, gateway) for _ in range(3 * REFUSED_CALLS)]
    good = set(ids[:: REFUSED_CALLS // 2])

    def answer(message: Outgoing) -> Result:
        return accept(message) if message.id in good else Result(Outcome.REJECTED, code=400)

    assert dispatch(connection, task_uri, ScriptedGateway(answer)).ended == "empty"
    assert Counter(statuses(owner).values()) == {"sent": len(good), "failed": len(ids) - len(good)}


def test_the_key_of_an_earlier_attempt_says_nothing_of_the_next(
    connection: psycopg.Connection, owner: psycopg.Connection, gateway: int, task_uri: str
) -> None:
    message = add_message(owner, gateway)
    owner.execute("update crm.message set gateway_message_id = 'old' where id = %s", [message])
    dispatch(connection, task_uri, always(Outcome.MAYBE_SENT))
    assert owner.execute("select status, gateway_message_id from crm.message").fetchone() == ("unknown", None)


def test_one_message_tries_a_gateway_that_failed_before(
    connection: psycopg.Connection, owner: psycopg.Connection, gateway: int, task_uri: str
) -> None:
    for _ in range(10):
        add_message(owner, gateway)
    owner.execute("update crm.gateway set failures = 3, slowed_until = now()")
    simulated = always(Outcome.TRANSIENT, retry_after=3600.0)
    dispatch(connection, task_uri, simulated, budget_seconds=1)
    assert len(simulated.ledger) == 1


def test_the_in_flight_limit_is_kept(
    connection: psycopg.Connection, owner: psycopg.Connection, task_uri: str
) -> None:
    gateway = add_gateway(owner, max_in_flight=7, dispatchers=2)
    for _ in range(40):
        add_message(owner, gateway)
    simulated = ScriptedGateway()
    dispatch(connection, task_uri, simulated)
    assert 1 < simulated.most_at_once <= 3


def test_the_daily_quota_is_kept(
    connection: psycopg.Connection, owner: psycopg.Connection, task_uri: str
) -> None:
    gateway = add_gateway(owner, daily_quota=7)
    for _ in range(10):
        add_message(owner, gateway)
    for _ in range(2):
        assert dispatch(connection, task_uri).ended == "quota"
        assert sorted(statuses(owner).values()) == ["sent"] * 7 + ["waiting"] * 3
    owner.execute("update crm.gateway_usage set used_on = used_on - 1")  # the next day
    assert dispatch(connection, task_uri).ended == "empty"
    assert set(statuses(owner).values()) == {"sent"}


def test_what_the_gateway_itself_allows_today_is_kept(
    connection: psycopg.Connection, owner: psycopg.Connection, gateway: int, task_uri: str
) -> None:
    for _ in range(5):
        add_message(owner, gateway)
    simulated = ScriptedGateway()
    simulated.left_today = 2
    assert dispatch(connection, task_uri, simulated).ended == "quota"
    assert len(simulated.ledger) == 2


def test_the_rate_is_kept(connection: psycopg.Connection, owner: psycopg.Connection, task_uri: str) -> None:
    """With one message an hour and a burst of three, three go now."""
    gateway = add_gateway(owner, rate=1 / 3600, burst=3)
    owner.execute("update crm.gateway_usage set tokens = 3")
    for _ in range(5):
        add_message(owner, gateway)
    simulated = ScriptedGateway()
    assert dispatch(connection, task_uri, simulated, budget_seconds=1).ended == "budget"
    assert len(simulated.ledger) == 3


def test_nothing_goes_outside_the_send_windows(
    connection: psycopg.Connection, owner: psycopg.Connection, task_uri: str
) -> None:
    gateway = add_gateway(owner, always=False)
    add_message(owner, gateway)
    simulated = ScriptedGateway()
    assert dispatch(connection, task_uri, simulated).ended == "closed"
    assert simulated.ledger == []


def test_a_place_for_each_dispatcher_and_no_more(
    connection: psycopg.Connection, owner: psycopg.Connection, task_uri: str
) -> None:
    gateway = add_gateway(owner, dispatchers=2, max_in_flight=8)
    add_gateway(owner, "retired", active=False)
    ids = [add_message(owner, gateway) for _ in range(30)]
    run = open_run(connection)
    assert list_places(connection, run) == ["opa", "opa"]
    simulated = ScriptedGateway()

    async def three_at_once() -> list[str]:
        made = [dispatcher(connection, task_uri, simulated) for _ in range(3)]
        return [tally.ended for tally in await asyncio.gather(*(each.run() for each in made))]

    ended = asyncio.run(three_at_once())
    assert sorted(ended) == ["busy", "empty", "empty"]
    assert sorted(simulated.ledger) == ids


# -- what must not be sent --------------------------------------------------------------------------------


def test_a_message_past_its_expiry_is_not_sent_and_named(
    connection: psycopg.Connection, owner: psycopg.Connection, gateway: int, task_uri: str
) -> None:
    late = add_message(owner, gateway, expires_at=dt.datetime(2026, 1, 1, tzinfo=dt.UTC))
    held = add_message(
        owner, gateway, expires_at=dt.datetime(2026, 1, 1, tzinfo=dt.UTC), status="held", ready=False
    )
    fresh = add_message(owner, gateway, expires_at=dt.datetime(2126, 1, 1, tzinfo=dt.UTC))
    run = open_run(connection)
    dispatch(connection, task_uri, run_id=run.id)
    assert statuses(owner) == {late: "expired", held: "expired", fresh: "sent"}
    assert count(connection, run) == (3, 1, 0, 2, 0)
    assert ("message", str(late), "skipped", "expired") in items(owner, run)


def test_a_message_waits_for_its_time(
    connection: psycopg.Connection, owner: psycopg.Connection, gateway: int, task_uri: str
) -> None:
    add_message(owner, gateway, send_after=dt.datetime(2126, 1, 1, tzinfo=dt.UTC), ready=False)
    due = add_message(owner, gateway, send_after=dt.datetime(2026, 1, 1, tzinfo=dt.UTC), ready=False)
    simulated = ScriptedGateway()
    dispatch(connection, task_uri, simulated)
    assert simulated.ledger == [due]


@pytest.mark.parametrize(
    "fields", [{"paid_at": "2026-11-20"}, {"cancelled_at": "2026-11-20"}, {"due_on": "2026-11-30"}]
)
def test_a_receivable_that_nobody_has_to_pay_that_day_any_more_is_not_asked_for(
    connection: psycopg.Connection,
    owner: psycopg.Connection,
    gateway: int,
    task_uri: str,
    fields: dict[str, Any],
) -> None:
    customer = add_customer(owner)
    receivables = [
        add_receivable(owner, customer, **{"due_on": "2026-11-20", **more}) for more in ({}, fields)
    ]
    sent, cancelled = (
        add_message(owner, gateway, receivable_id=key, due_on=dt.date(2026, 11, 20)) for key in receivables
    )
    run = open_run(connection)
    simulated = ScriptedGateway()
    dispatch(connection, task_uri, simulated, run_id=run.id)
    assert simulated.ledger == [sent]
    assert statuses(owner) == {sent: "sent", cancelled: "cancelled"}
    assert count(connection, run) == (2, 1, 0, 1, 0)
    assert items(owner, run) == {("message", str(cancelled), "skipped", "settled")}


def test_a_receivable_that_the_erp_does_not_show_is_waited_for(
    connection: psycopg.Connection, owner: psycopg.Connection, gateway: int, task_uri: str
) -> None:
    """A load may be under way: that is no reason to send, nor to give the message up."""
    message_id = add_message(owner, gateway, receivable_id=77)
    simulated = ScriptedGateway()
    dispatch(connection, task_uri, simulated)
    assert statuses(owner) == {message_id: "held"}
    add_receivable(owner, add_customer(owner), "2026-11-20", receivable_id=77)
    owner.execute("update crm.message set send_after = now()")
    dispatch(connection, task_uri, simulated)
    assert simulated.ledger == [message_id]


def test_who_opted_out_after_the_message_was_written_does_not_get_it(
    connection: psycopg.Connection, owner: psycopg.Connection, gateway: int, task_uri: str
) -> None:
    message_id = add_message(owner, gateway, recipient="+5511988887777")
    owner.execute("insert into crm.suppression values ('phone', '+5511988887777', 'asked', 'op')")
    simulated = ScriptedGateway()
    dispatch(connection, task_uri, simulated)
    assert simulated.ledger == []
    assert statuses(owner) == {message_id: "cancelled"}


def test_what_an_operator_cancels_meanwhile_is_not_sent(
    connection: psycopg.Connection, owner: psycopg.Connection, task_uri: str
) -> None:
    gateway = add_gateway(owner, max_in_flight=2)
    ids = [add_message(owner, gateway) for _ in range(10)]
    simulated = ScriptedGateway()

    def cancel(message: Outgoing) -> None:
        owner.execute("update crm.message set status = 'cancelled', ready = false where status = 'waiting'")

    simulated.before_reply = cancel
    dispatch(connection, task_uri, simulated)
    sent = [key for key, status in statuses(owner).items() if status == "sent"]
    assert simulated.ledger == sent
    assert 0 < len(sent) < len(ids)


def test_a_pause_takes_hold_of_a_dispatcher_at_work(
    connection: psycopg.Connection, owner: psycopg.Connection, task_uri: str
) -> None:
    gateway = add_gateway(owner, max_in_flight=1, rate=20.0, burst=1)
    for _ in range(200):
        add_message(owner, gateway)
    simulated = ScriptedGateway()
    simulated.before_reply = lambda _: owner.execute(
        "update crm.gateway set paused_at = now(), pause_reason = 'by hand'"
    )
    tally = dispatch(connection, task_uri, simulated)
    assert (tally.ended, tally.detail, tally.problem) == ("paused", "by hand", None)
    assert len(simulated.ledger) < 200


@pytest.mark.parametrize(
    "words",
    [
        {"error": "550 Usu\udce1rio"},
        {"error": "a\x00b"},
        {"gateway_message_id": "x" * 20_000},
        {"gateway_message_id": "\x00"},
    ],
)
def test_words_that_cannot_be_stored_cost_no_other_message(
    connection: psycopg.Connection,
    owner: psycopg.Connection,
    gateway: int,
    task_uri: str,
    words: dict[str, str],
) -> None:
    ids = [add_message(owner, gateway) for _ in range(6)]
    dispatch(connection, task_uri, only(ids[2], Outcome.REJECTED, **words))
    assert list(statuses(owner).values()) == ["sent", "sent", "failed", "sent", "sent", "sent"]


def test_a_gateway_without_clear_answers_is_left_alone_soon(
    connection: psycopg.Connection, owner: psycopg.Connection, task_uri: str
) -> None:
    gateway = add_gateway(owner, max_in_flight=4)
    for _ in range(100):
        add_message(owner, gateway)
    dispatch(connection, task_uri, always(Outcome.MAYBE_SENT, code=502), budget_seconds=1)
    unknown = [status for status in statuses(owner).values() if status == "unknown"]
    assert 5 <= len(unknown) <= 12
    assert owner.execute("select failures > 0, slowed_until > now() from crm.gateway").fetchone() == (
        True,
        True,
    )


def test_what_was_not_sent_spends_nothing_of_the_quota(
    connection: psycopg.Connection, owner: psycopg.Connection, task_uri: str
) -> None:
    gateway = add_gateway(owner, daily_quota=3)
    paid = add_receivable(owner, add_customer(owner), "2026-11-20", paid_at="2026-11-20")
    for _ in range(3):
        add_message(owner, gateway, receivable_id=paid)
    for _ in range(3):
        add_message(owner, gateway)
    for _ in range(2):  # the claim itself is within the quota
        dispatch(connection, task_uri)
    assert list(statuses(owner).values()) == ["cancelled"] * 3 + ["sent"] * 3


def test_two_dispatchers_of_one_rate_stay_until_nothing_waits(
    connection: psycopg.Connection, owner: psycopg.Connection, task_uri: str
) -> None:
    gateway = add_gateway(owner, rate=40.0, burst=1, dispatchers=2)
    for _ in range(40):
        add_message(owner, gateway)

    async def both() -> list[int]:
        made = [dispatcher(connection, task_uri, ScriptedGateway()) for _ in range(2)]
        return [tally.claimed for tally in await asyncio.gather(*(each.run() for each in made))]

    claimed = asyncio.run(both())
    assert sum(claimed) == 40
    assert min(claimed) > 0


def test_a_clock_that_was_set_back_does_not_stop_the_rate(
    connection: psycopg.Connection, owner: psycopg.Connection, task_uri: str
) -> None:
    gateway = add_gateway(owner, rate=1000.0)
    owner.execute("update crm.gateway_usage set filled_at = now() + interval '1 hour', tokens = 10")
    for _ in range(5):
        add_message(owner, gateway)
    assert dispatch(connection, task_uri, budget_seconds=5).outcomes == {"accepted": 5}


def test_messages_of_an_inactive_gateway_are_told_of_and_expire(
    connection: psycopg.Connection, owner: psycopg.Connection, task_uri: str
) -> None:
    retired = add_gateway(owner, "retired", active=False)
    add_gateway(owner)
    add_message(owner, retired)
    late = add_message(owner, retired, expires_at=dt.datetime(2026, 1, 1, tzinfo=dt.UTC))
    run = open_run(connection)
    assert list_places(connection, run) == ["opa"]
    dispatch(connection, task_uri, run_id=run.id)
    assert statuses(owner)[late] == "expired"
    assert ("gateway", "retired", "skipped", "inactive_gateway") in items(owner, run)


# -- crashes ----------------------------------------------------------------------------------------------


def interrupt(owner: psycopg.Connection) -> None:
    """As if every dispatcher with a claim had been killed a while ago."""
    owner.execute("update crm.message set lease_until = now() - interval '1 s' where status = 'sending'")


def test_what_a_killed_dispatcher_had_claimed_becomes_unknown_and_stays_so(
    connection: psycopg.Connection, owner: psycopg.Connection, gateway: int, task_uri: str
) -> None:
    lost = add_message(
        owner, gateway, status="sending", tries=1, lease_token=7, lease_until=dt.datetime.now(dt.UTC)
    )
    owner.execute("insert into crm.message_attempt (message_id, number, token) values (%s, 1, 7)", [lost])
    run = open_run(connection)
    simulated = ScriptedGateway()
    for _ in range(2):
        tally = dispatch(connection, task_uri, simulated, run_id=run.id)
    assert simulated.ledger == []
    assert statuses(owner) == {lost: "unknown"}
    assert attempts(owner, lost) == [(1, "maybe_sent", True)]
    assert items(owner, run) == {("message", str(lost), "failed", "interrupted")}
    assert tally.rescued == 0  # the second time


def test_an_outcome_that_comes_after_the_rescue_still_counts(
    connection: psycopg.Connection, owner: psycopg.Connection, gateway: int, task_uri: str
) -> None:
    """The first dispatcher is slow; a second one takes its message for lost meanwhile."""
    message_id = add_message(owner, gateway)
    slow = ScriptedGateway()

    def rescue(message: Outgoing) -> None:
        interrupt(owner)
        owner.execute("update crm.message set status = 'unknown' where status = 'sending'")

    slow.before_reply = rescue
    dispatch(connection, task_uri, slow)
    assert statuses(owner) == {message_id: "sent"}


def test_an_outcome_that_comes_after_a_person_released_the_message_changes_nothing(
    connection: psycopg.Connection, owner: psycopg.Connection, gateway: int, task_uri: str
) -> None:
    message_id = add_message(owner, gateway)
    slow = ScriptedGateway()
    slow.before_reply = lambda _: owner.execute(
        "update crm.message set status = 'cancelled', lease_token = null where id = %s", [message_id]
    )
    dispatch(connection, task_uri, slow)
    assert statuses(owner) == {message_id: "cancelled"}
    assert attempts(owner, message_id) == [(1, "accepted", True)]  # what happened stands there


def test_what_was_sent_is_not_sent_anew_because_a_person_released_it_a_moment_before(
    connection: psycopg.Connection, owner: psycopg.Connection, gateway: int, task_uri: str
) -> None:
    message_id = add_message(owner, gateway)
    slow = ScriptedGateway()
    slow.before_reply = lambda _: owner.execute(
        "update crm.message set status = 'waiting', ready = false, send_after = now() + interval '1 h', "
        "lease_token = null where id = %s",
        [message_id],
    )
    dispatch(connection, task_uri, slow)
    assert statuses(owner) == {message_id: "sent"}


def test_a_claim_whose_reply_was_lost_does_not_come_to_its_end_later(
    connection: psycopg.Connection, owner: psycopg.Connection, task_uri: str
) -> None:
    """The claim waits for the row of the rate while its connection is cut on the way."""
    gateway = add_gateway(owner, max_in_flight=4, rate=10_000.0)
    ids = [add_message(owner, gateway) for _ in range(8)]
    simulated = ScriptedGateway()
    made = dispatcher(connection, task_uri, simulated)

    async def cut() -> Any:
        with psycopg.connect(owner.info.dsn, autocommit=False) as holder:
            holder.execute("select from crm.gateway_usage for update")
            running = asyncio.create_task(made.run())
            waits = "select count(*) from pg_stat_activity where wait_event_type = 'Lock'"
            while owner.execute(waits + " and datname = current_database()").fetchone() == (0,):
                await asyncio.sleep(0.01)
            claims = made._claims._connection
            assert claims is not None
            claims.terminate()
        return await running

    assert asyncio.run(cut()).ended == "empty"
    assert sorted(simulated.ledger) == ids
    assert set(statuses(owner).values()) == {"sent"}


def test_asking_about_unknown_messages_does_not_hold_up_the_others(
    connection: psycopg.Connection, owner: psycopg.Connection, gateway: int, task_uri: str
) -> None:
    class Dumb(ScriptedGateway):
        async def find(self, message: Outgoing) -> Result | None:
            await asyncio.sleep(3600)
            return None

    unknown = add_message(owner, gateway)
    dispatch(connection, task_uri, always(Outcome.MAYBE_SENT))
    waiting = add_message(owner, gateway)
    dumb = Dumb()
    dispatch(connection, task_uri, dumb, budget_seconds=2)
    assert statuses(owner) == {unknown: "unknown", waiting: "sent"}


def test_what_the_gateway_knows_of_unknown_messages_is_asked(
    connection: psycopg.Connection, owner: psycopg.Connection, gateway: int, task_uri: str
) -> None:
    ids = [add_message(owner, gateway) for _ in range(3)]
    dispatch(connection, task_uri, always(Outcome.MAYBE_SENT))
    simulated = ScriptedGateway()
    taken, absent, open_question = ids
    simulated.found = {
        taken: Result(Outcome.ACCEPTED, gateway_message_id="gw"),
        absent: Result(Outcome.TRANSIENT),
    }.get
    dispatch(connection, task_uri, simulated)
    assert statuses(owner) == {taken: "sent", absent: "sent", open_question: "unknown"}
    assert simulated.ledger == [absent]


@pytest.mark.parametrize("moment", ["claim", "reply"])
def test_a_lost_database_connection_loses_and_doubles_nothing(
    connection: psycopg.Connection, owner: psycopg.Connection, task_uri: str, moment: str
) -> None:
    gateway = add_gateway(owner, max_in_flight=4)
    ids = [add_message(owner, gateway) for _ in range(60)]
    simulated = ScriptedGateway()
    replies = {"number": 0}

    def cut(message: Outgoing) -> None:
        replies["number"] += 1
        if replies["number"] in (10, 30):
            owner.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity "
                "where application_name = 'dispatcher' and datname = current_database()"
            )

    simulated.before_reply = cut
    tally = dispatch(connection, task_uri, simulated)
    assert tally.ended == "empty"
    assert sorted(simulated.ledger) == ids
    assert set(statuses(owner).values()) == {"sent"}


def test_a_dispatcher_that_is_told_to_stop_ends_its_calls_and_gives_back_the_rest(
    connection: psycopg.Connection, owner: psycopg.Connection, task_uri: str
) -> None:
    gateway = add_gateway(owner, max_in_flight=8)
    for _ in range(40):
        add_message(owner, gateway)
    simulated = ScriptedGateway()
    made = dispatcher(connection, task_uri, simulated)
    simulated.before_reply = lambda _: made.stop("stopped", "told to")
    tally = asyncio.run(made.run())
    assert (tally.ended, tally.detail) == ("stopped", "told to")
    found = statuses(owner)
    assert sorted(simulated.ledger) == sorted(key for key, status in found.items() if status == "sent")
    assert set(found.values()) == {"sent", "waiting"}


# -- the run ----------------------------------------------------------------------------------------------


def test_the_equation_of_a_run_closes_and_names_what_was_not_sent(
    connection: psycopg.Connection, owner: psycopg.Connection, gateway: int, task_uri: str
) -> None:
    outcomes = [
        Outcome.ACCEPTED,
        Outcome.REJECTED,
        Outcome.MAYBE_SENT,
        Outcome.IN_ATTENDANCE,
        Outcome.DEFERRED,
    ]
    by_id = {add_message(owner, gateway): outcome for outcome in outcomes}
    run = open_run(connection)
    dispatch(connection, task_uri, ScriptedGateway(lambda m: Result(by_id[m.id])), run_id=run.id)
    assert count(connection, run) == (5, 1, 1, 1, 2)
    assert count(connection, run) == (5, 1, 1, 1, 2)
    assert {(outcome, reason) for _, _, outcome, reason in items(owner, run)} == {
        ("failed", "rejected"),
        ("failed", "maybe_sent"),
        ("skipped", "in_attendance"),
    }


def test_a_run_without_messages_counts_nothing(
    connection: psycopg.Connection, owner: psycopg.Connection, gateway: int, task_uri: str
) -> None:
    run = open_run(connection)
    assert dispatch(connection, task_uri, run_id=run.id).ended == "empty"
    assert count(connection, run) == (0, 0, 0, 0, 0)


def test_an_unknown_gateway_is_refused(connection: psycopg.Connection, owner: psycopg.Connection) -> None:
    with pytest.raises(SettingError, match="gateway = 'opx'"):
        check_settings(connection, {"gateway": "opx"})
