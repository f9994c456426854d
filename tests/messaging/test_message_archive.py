"""The message archive: which months go, that nothing is lost on the way, and that keys outlive messages."""

from __future__ import annotations

import datetime as dt
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from rotina.errors import SettingError
from rotina.messaging.delivery import Event, record_events
from rotina.messaging.health import count_statuses
from rotina.messaging.message_archive import archive_messages, check_settings, kept_since
from rotina.runs.record import Outcome
from tests.messaging.queue_data import add_gateway, add_message, insert, messages
from tests.runs_by_hand import do_work, open_run

SAO_PAULO = dt.timezone(dt.timedelta(hours=-3))


def archive(
    connection: psycopg.Connection, business_date: str, *, keep_months: Any = 3, most: Any = 1_000
) -> Outcome:
    params = {"keep_months": keep_months, "most": most}
    routine = {"routine": "message_archive", "program": "crm_arquivo"}
    return do_work(connection, archive_messages, business_date, **routine, **params)[1]


def at(text: str) -> dt.datetime:
    """A local instant in São Paulo."""
    return dt.datetime.fromisoformat(text).replace(tzinfo=SAO_PAULO)


def add_ended(owner: psycopg.Connection, gateway: int, ended_at: str, **fields: Any) -> int:
    """A message that was written two days before it came to rest, with one attempt; returns its id."""
    ended = at(ended_at)
    values = {"status": "sent", "created_at": ended - dt.timedelta(days=2), "ended_at": ended, **fields}
    number = add_message(owner, gateway, **values)
    insert(
        owner,
        "crm.message_attempt",
        message_id=number,
        number=1,
        token=1,
        outcome="accepted",
        started_at=ended,
    )
    return number


def archived(owner: psycopg.Connection) -> list[int]:
    return [row[0] for row in owner.execute("select id from crm.message_archive order by id")]


def left(owner: psycopg.Connection) -> list[int]:
    return [row["id"] for row in messages(owner)]


@pytest.mark.parametrize(
    ("business_date", "keep_months", "first_day"),
    [
        ("2026-11-22", 3, "2026-08-01"),
        ("2026-11-01", 3, "2026-08-01"),
        ("2026-10-31", 3, "2026-07-01"),
        ("2026-03-31", 3, "2025-12-01"),
        ("2026-01-01", 1, "2025-12-01"),
        ("2028-02-29", 3, "2027-11-01"),
        ("2028-02-29", 24, "2026-02-01"),
        ("2028-05-31", 3, "2028-02-01"),
    ],
)
def test_the_months_that_stay(business_date: str, keep_months: int, first_day: str) -> None:
    assert kept_since(dt.date.fromisoformat(business_date), keep_months) == dt.date.fromisoformat(first_day)


def test_a_month_ends_at_midnight_in_sao_paulo(
    connection: psycopg.Connection, owner: psycopg.Connection, gateway: int
) -> None:
    last = add_ended(owner, gateway, "2026-07-31 23:59:59")  # August in UTC
    first = add_ended(owner, gateway, "2026-08-01 00:00:00")
    outcome = archive(connection, "2026-11-22")
    assert (outcome.selected, outcome.changed) == (1, 1)
    assert outcome.details == {"ended_before": "01/08/2026", "attempts": 1, "delivery_events": 0}
    assert (archived(owner), left(owner)) == ([last], [first])


def test_the_29th_of_february(
    connection: psycopg.Connection, owner: psycopg.Connection, gateway: int
) -> None:
    number = add_ended(owner, gateway, "2028-02-29 23:59:59", created_at=at("2028-02-29 22:00:00"))
    assert archive(connection, "2028-05-31").changed == 0
    assert archive(connection, "2028-06-01").changed == 1
    # Written at 22:00 of the 29th, which is March in UTC.
    rows = owner.execute("select id, tableoid::regclass::text from crm.message_archive").fetchall()
    assert rows == [(number, "crm.message_archive_2028_03")]


@pytest.mark.parametrize("status", ["sent", "failed", "cancelled", "expired"])
def test_messages_at_rest_go_whole(
    connection: psycopg.Connection, owner: psycopg.Connection, gateway: int, status: str
) -> None:
    number = add_ended(
        owner,
        gateway,
        "2026-05-10 10:00:00",
        status=status,
        customer_id=7,
        account_id=8,
        receivable_id=9,
        recipient_name="Ana",
        run_id=3,
        tries=2,
        attempts=1,
        reason="x",
        error="y",
        gateway_message_id="gw-1",
        sent_at=at("2026-05-10 10:00:00"),
        expires_at=at("2026-06-10 10:00:00"),
        delivery_status="read",
        delivered_at=at("2026-05-10 11:00:00"),
        read_at=at("2026-05-10 12:00:00"),
        delivery_error="z",
        poll_after=at("2026-05-10 13:00:00"),
        lease_token=11,
        lease_until=at("2026-05-10 09:00:00"),
        position=-4,
        priority=2,
    )
    (before,) = messages(owner)
    attempt = owner.execute("select * from crm.message_attempt").fetchall()
    archive(connection, "2026-11-22")
    with owner.cursor(row_factory=dict_row) as cursor:
        (after,) = cursor.execute("select * from crm.message_archive").fetchall()
        (moved,) = cursor.execute("select * from crm.message_attempt_archive").fetchall()
    assert after.pop("archived_at") is not None
    assert after == before
    assert moved.pop("message_created_at") == before["created_at"]
    assert [tuple(moved.values())] == attempt
    assert moved["message_id"] == number
    assert owner.execute("select from crm.message_attempt").fetchall() == []


@pytest.mark.parametrize("status", ["waiting", "held", "sending", "unknown"])
def test_messages_not_at_rest_stay_however_old(
    connection: psycopg.Connection, owner: psycopg.Connection, gateway: int, status: str
) -> None:
    add_message(owner, gateway, status=status, created_at=at("2026-01-10 10:00:00"))
    # As an unknown one that somebody released after it had come to rest would look at worst.
    add_message(
        owner,
        gateway,
        status=status,
        created_at=at("2026-01-10 10:00:00"),
        ended_at=at("2026-01-11 10:00:00"),
    )
    assert archive(connection, "2026-11-22").selected == 0
    assert len(left(owner)) == 2


def test_again_and_an_older_date_find_nothing(
    connection: psycopg.Connection, owner: psycopg.Connection, gateway: int
) -> None:
    numbers = [add_ended(owner, gateway, f"2026-{month:02}-15 12:00:00") for month in range(1, 11)]
    assert archive(connection, "2026-11-22").changed == 7
    again = archive(connection, "2026-11-22")
    assert (again.selected, again.changed, again.details["attempts"]) == (0, 0, 0)
    assert archive(connection, "2026-06-22").selected == 0
    assert (archived(owner), left(owner)) == (numbers[:7], numbers[7:])
    assert archive(connection, "2026-12-01").changed == 1


def test_a_run_takes_the_oldest_and_says_that_there_are_more(
    connection: psycopg.Connection, owner: psycopg.Connection, gateway: int
) -> None:
    numbers = [add_ended(owner, gateway, f"2026-0{month}-15 12:00:00") for month in (5, 3, 4)]
    outcome = archive(connection, "2026-11-22", most=2)
    assert (outcome.selected, outcome.changed) == (2, 2)
    assert outcome.details["note"] == "há mais mensagens a arquivar; a próxima execução continua"
    assert archived(owner) == numbers[1:]
    outcome = archive(connection, "2026-11-23", most=2)
    assert outcome.changed == 1
    assert "note" not in outcome.details


def test_archived_messages_still_count_and_keep_their_keys(
    connection: psycopg.Connection, owner: psycopg.Connection, gateway: int
) -> None:
    add_ended(owner, gateway, "2026-05-10 10:00:00", dedupe_key="boleto:1")
    before = count_statuses(connection)
    archive(connection, "2026-11-22")
    assert count_statuses(connection) == before
    with pytest.raises(psycopg.errors.UniqueViolation):
        add_message(owner, gateway, dedupe_key="boleto:1")


def test_what_gateways_told_goes_with_its_message(
    connection: psycopg.Connection, owner: psycopg.Connection, gateway: int
) -> None:
    add_gateway(owner, "other")
    add_ended(owner, gateway, "2026-05-10 10:00:00", gateway_message_id="old")
    add_ended(owner, gateway, "2026-10-10 10:00:00", gateway_message_id="new")
    told = [Event(key, "read", at("2026-05-10 11:00:00")) for key in ("old", "new", "strange", "fresh")]
    record_events(connection, "opa", told)
    record_events(connection, "other", told[:1])
    owner.execute("update crm.delivery_event set received_at = '2026-10-23 02:59:59+00'")
    owner.execute(
        "update crm.delivery_event set received_at = '2026-10-23 03:00:00+00' "
        "where gateway_message_id in ('fresh', 'old')"
    )
    outcome = archive(connection, "2026-11-22")
    assert outcome.details["delivery_events"] == 2
    rows = owner.execute("select gateway_message_id, gateway_id = %s from crm.delivery_event", [gateway])
    assert set(rows) == {("new", True), ("fresh", True), ("old", False)}


def test_events_of_earlier_attempts_go_after_their_message(
    connection: psycopg.Connection, owner: psycopg.Connection, gateway: int
) -> None:
    numbers = [
        add_ended(owner, gateway, f"2026-{month}-10 10:00:00", gateway_message_id=f"last-{month}")
        for month in ("05", "10")
    ]
    told = [
        Event(f"first-{number}", "sent", at("2026-05-10 10:00:00"), message_id=number) for number in numbers
    ]
    assert record_events(connection, "opa", told).applied == 2
    owner.execute("update crm.delivery_event set received_at = '2026-05-10 13:00:00+00'")
    archive(connection, "2026-11-22")
    rows = owner.execute("select message_id from crm.delivery_event").fetchall()
    assert rows == [(numbers[1],)]


def test_readers_of_the_archive_do_not_wait_for_a_run(
    connection: psycopg.Connection, owner: psycopg.Connection, gateway: int, task_uri: str
) -> None:
    add_ended(owner, gateway, "2026-05-10 10:00:00")
    with psycopg.connect(task_uri, autocommit=True, options="-c lock_timeout=2s") as reader:
        routine = {"routine": "message_archive", "program": "crm_arquivo"}
        run = open_run(connection, "2026-11-22", **routine, keep_months=3, most=10)
        with connection.transaction():
            assert archive_messages(connection, run).changed == 1
            assert sum(count_statuses(reader).values()) == 1
            assert reader.execute("select from crm.message_attempt_archive").fetchall() == []
        assert sum(count_statuses(reader).values()) == 1
        assert len(reader.execute("select from crm.message_attempt_archive").fetchall()) == 1
    (partitions,) = owner.execute(
        "select count(*) from pg_inherits where inhparent = 'crm.message_archive'::regclass"
    ).fetchall()
    assert partitions == (1,)


def test_a_message_in_somebodys_hand_waits_for_another_day(
    connection: psycopg.Connection, owner: psycopg.Connection, gateway: int
) -> None:
    add_ended(owner, gateway, "2026-05-10 10:00:00")
    second = add_ended(owner, gateway, "2026-05-11 10:00:00")
    with owner.transaction():
        owner.execute("select from crm.message where id = %s for update", [second])
        assert archive(connection, "2026-11-22").changed == 1  # in this very thread
    assert left(owner) == [second]
    assert archive(connection, "2026-11-23").changed == 1


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("keep_months", 0),
        ("keep_months", 121),
        ("keep_months", "3"),
        ("keep_months", None),
        ("most", 0),
        ("most", 1.5),
    ],
)
def test_wrong_params_are_refused(
    connection: psycopg.Connection, owner: psycopg.Connection, gateway: int, field: str, value: object
) -> None:
    add_ended(owner, gateway, "2026-05-10 10:00:00")
    params = {"keep_months": 3, "most": 10, field: value}
    with pytest.raises(SettingError) as refused:
        check_settings(connection, params)
    assert refused.value.field == field
    with pytest.raises(SettingError):
        archive(connection, "2026-11-22", **params)
    assert archived(owner) == []
