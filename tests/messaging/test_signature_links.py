"""Signature links: which requests are sent, with what, until when, and each of them once."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest

from rotina.errors import SettingError
from rotina.messaging.signature_links import check_settings, write_messages
from rotina.runs.record import Outcome, Run
from rotina.runs.summary import REASON_TITLES, RECORD_TITLES
from tests.messaging.queue_data import (
    add_account,
    add_customer,
    add_gateway,
    add_integration,
    add_signature_request,
    add_template,
    insert,
    messages,
)
from tests.runs_by_hand import counts, do_work, items

SAO_PAULO = ZoneInfo("America/Sao_Paulo")
DAY = dt.date(2026, 11, 18)
ROUTINE = {"routine": "signature_links", "program": "crm_assinatura"}


@pytest.fixture(autouse=True)
def template(owner: psycopg.Connection, gateway: int) -> int:
    """The template of signature links, in a set-up whose ERP is in use."""
    add_integration(owner)
    return add_template(owner, gateway, "assinatura_digital", variables=["first_name", "link"])


def at(date: dt.date | str, time: str = "08:00") -> dt.datetime:
    """An instant in São Paulo."""
    date = dt.date.fromisoformat(date) if isinstance(date, str) else date
    return dt.datetime.combine(date, dt.time.fromisoformat(time), SAO_PAULO)


def send_links(
    connection: psycopg.Connection,
    date: dt.date | str = DAY,
    *,
    now: dt.datetime | None = None,
    **params: Any,
) -> tuple[Run, Outcome]:
    """Run the routine for a date, at nine o'clock of that date unless told otherwise."""
    return do_work(
        connection, partial(write_messages, now=now or at(date, "09:00")), date, **ROUTINE, **params
    )


def sent(owner: psycopg.Connection) -> list[int]:
    """Requests with a message, one entry for each message."""
    return sorted(int(message["origin_key"]) for message in messages(owner))


def test_a_link_is_written_whole(
    owner: psycopg.Connection, connection: psycopg.Connection, gateway: int, template: int
) -> None:
    owner.execute(
        "update crm.message_template set variables = '{link,customer_name,expires_on,first_name}', "
        "body = '{{1}} {{2}} {{3}} {{4}}'"
    )
    customer = add_customer(owner, name="ÉRICA d'Ávila", phone="+5511988887777")
    account = add_account(owner, customer)
    expires_at = dt.datetime(2026, 11, 25, 1, tzinfo=dt.UTC)  # on the 24th in São Paulo
    request = add_signature_request(
        owner, customer, at(DAY, "07:00"), link="https://assina.example/?a=1&b={{7*7}}", expires_at=expires_at
    )
    run, outcome = send_links(connection)
    assert counts(outcome) == (1, 1, 0, 0, 0)
    (message,) = messages(owner)
    written = {
        "gateway_id": gateway,
        "template_id": template,
        "dedupe_key": f"signature:{request}",
        "origin": "signature_links",
        "origin_key": str(request),
        "account_id": account,
        "customer_id": customer,
        "receivable_id": None,
        "recipient": "+5511988887777",
        "recipient_name": "ÉRICA d'Ávila",
        "payload": {
            "template": "gw-assinatura_digital",
            "variables": ["https://assina.example/?a=1&b={{7*7}}", "ÉRICA d'Ávila", "24/11/2026", "Érica"],
        },
        "priority": 3,
        "status": "waiting",
        "ready": True,
        "expires_at": expires_at,
        "run_id": run.id,
    }
    assert {name: message[name] for name in written} == written


def test_a_link_that_does_not_expire_may_go_out_for_three_days(
    owner: psycopg.Connection, connection: psycopg.Connection
) -> None:
    add_signature_request(owner, add_customer(owner), at("2024-02-27"))
    send_links(connection, "2024-02-27")
    assert messages(owner)[0]["expires_at"] == at("2024-03-02", "00:00")


@pytest.mark.parametrize(
    ("first", "day"),
    [
        ("2026-11-11", "2026-11-18"),
        ("2024-02-22", "2024-02-29"),
        ("2024-02-23", "2024-03-01"),
        ("2025-02-22", "2025-03-01"),
        ("2025-12-26", "2026-01-02"),
    ],
)
def test_requests_of_the_local_days_up_to_the_business_date(
    owner: psycopg.Connection, connection: psycopg.Connection, first: str, day: str
) -> None:
    """Midnight is that of São Paulo, three hours after that of UTC."""
    customer, second = add_customer(owner), dt.timedelta(seconds=1)
    begin, end = at(first, "00:00"), at(dt.date.fromisoformat(day) + dt.timedelta(days=1), "00:00")
    within = [add_signature_request(owner, customer, moment) for moment in (begin, end - second)]
    for moment in (begin - second, end):
        add_signature_request(owner, customer, moment)
    _, outcome = send_links(connection, day, now=end)
    assert counts(outcome) == (2, 2, 0, 0, 0)
    assert sent(owner) == within


def test_days_back_is_a_parameter(owner: psycopg.Connection, connection: psycopg.Connection) -> None:
    customer = add_customer(owner)
    yesterday = add_signature_request(owner, customer, at("2026-11-17"))
    today = add_signature_request(owner, customer, at("2026-11-18"))
    send_links(connection, days_back=0)
    assert sent(owner) == [today]
    send_links(connection, days_back=1)
    assert sent(owner) == [yesterday, today]


def test_requests_that_are_signed_or_cancelled_are_left_alone(
    owner: psycopg.Connection, connection: psycopg.Connection
) -> None:
    customer = add_customer(owner)
    add_signature_request(owner, customer, at(DAY, "07:00"), signed_at=at(DAY))
    add_signature_request(owner, customer, at(DAY, "07:00"), cancelled_at=at(DAY))
    assert counts(send_links(connection)[1]) == (0, 0, 0, 0, 0)


def test_another_template(owner: psycopg.Connection, connection: psycopg.Connection, gateway: int) -> None:
    add_template(owner, gateway, "contrato_novo", variables=["link"])
    request = add_signature_request(owner, add_customer(owner), at(DAY))
    send_links(connection, template="contrato_novo")
    (message,) = messages(owner)
    assert message["payload"] == {
        "template": "gw-contrato_novo",
        "variables": [f"https://assina.example/{request}"],
    }


def _no_phone(owner: psycopg.Connection) -> int:
    return add_signature_request(owner, add_customer(owner, phone=None), at(DAY))


def _bad_phone(owner: psycopg.Connection) -> int:
    return add_signature_request(owner, add_customer(owner, phone="11988887777"), at(DAY))


def _opted_out(owner: psycopg.Connection) -> int:
    phone = "+5511977776666"
    insert(owner, "crm.suppression", channel="phone", address=phone, reason="pediu", source="console")
    return add_signature_request(owner, add_customer(owner, phone=phone), at(DAY))


def _no_customer(owner: psycopg.Connection) -> int:
    return add_signature_request(owner, 987, at(DAY))


def _expired(owner: psycopg.Connection) -> int:
    return add_signature_request(owner, add_customer(owner), at(DAY, "07:00"), expires_at=at(DAY, "09:00"))


def _no_link(owner: psycopg.Connection) -> int:
    return add_signature_request(owner, add_customer(owner), at(DAY), link=" ")


WRONG: dict[str, tuple[Callable[[psycopg.Connection], int], str, str, str | None]] = {
    "no phone": (_no_phone, "skipped", "no_phone", None),
    "bad phone": (_bad_phone, "failed", "invalid_phone", "…7777"),
    "opted out": (_opted_out, "skipped", "opted_out", None),
    "no customer": (_no_customer, "failed", "customer_missing", "cliente 987"),
    "expired": (_expired, "skipped", "too_late", None),
    "no link": (_no_link, "failed", "missing_variable", "link"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_request_that_cannot_be_sent_is_named_and_stops_nobody(
    owner: psycopg.Connection, connection: psycopg.Connection, case: str
) -> None:
    make, outcome, reason, detail = WRONG[case]
    wrong, good = make(owner), add_signature_request(owner, add_customer(owner), at(DAY))
    run, done = send_links(connection)
    skipped = int(outcome == "skipped")
    assert counts(done) == (2, 1, 0, skipped, 1 - skipped)
    assert sent(owner) == [good]
    assert items(connection, run) == [("signature_request", str(wrong), outcome, reason, detail)]
    assert reason in REASON_TITLES
    assert "signature_request" in RECORD_TITLES


def test_a_link_is_sent_once_whatever_is_run(
    owner: psycopg.Connection, connection: psycopg.Connection, gateway: int
) -> None:
    customer = add_customer(owner)
    old = add_signature_request(owner, customer, at("2026-11-15"))
    new = add_signature_request(owner, customer, at(DAY))
    assert send_links(connection)[1].changed == 2
    before = messages(owner)
    assert counts(send_links(connection)[1]) == (2, 0, 2, 0, 0)
    assert counts(send_links(connection, "2026-11-15", now=at(DAY, "10:00"))[1]) == (1, 0, 1, 0, 0)
    assert counts(send_links(connection, "2026-11-19")[1]) == (2, 0, 2, 0, 0)
    add_template(owner, gateway, "contrato_novo", variables=["link"])
    assert send_links(connection, template="contrato_novo")[1].changed == 0
    assert messages(owner) == before
    assert sent(owner) == [old, new]


def test_a_backfill_of_an_older_day_writes_nothing_that_has_expired(
    owner: psycopg.Connection, connection: psycopg.Connection
) -> None:
    add_signature_request(owner, add_customer(owner), at("2026-11-01"))
    run, outcome = send_links(connection, "2026-11-01", now=at("2026-11-05", "00:00"))
    assert counts(outcome) == (1, 0, 0, 1, 0)
    assert items(connection, run)[0][3] == "too_late"


def test_what_was_mended_is_sent_on_a_later_day(
    owner: psycopg.Connection, connection: psycopg.Connection
) -> None:
    request = _no_phone(owner)
    send_links(connection)
    owner.execute("update erp.customer set phone = '+5511900000000'")
    send_links(connection, "2026-11-19")
    assert sent(owner) == [request]


def test_two_runs_at_once_send_each_link_once(task_uri: str, owner: psycopg.Connection) -> None:
    for _ in range(20):
        add_signature_request(owner, add_customer(owner), at(DAY))
    barrier = threading.Barrier(2)
    done: list[Outcome] = []

    def run() -> None:
        with psycopg.connect(task_uri, autocommit=True, cursor_factory=psycopg.ClientCursor) as connection:
            barrier.wait(timeout=30)
            done.append(send_links(connection)[1])

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert sorted(counts(outcome) for outcome in done) == [(20, 0, 20, 0, 0), (20, 20, 0, 0, 0)]
    assert len(sent(owner)) == 20


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ("update crm.integration set active = false", "integration erp, active"),
        ("alter table erp.signature_request drop link", "ERP"),
        ("update crm.message_template set active = false", "template"),
        ("update crm.message_template set status = 'pending'", "template"),
        ("update crm.message_template set code = 'outro'", "template"),
        ("update crm.gateway set active = false", "template"),
        ("update crm.message_template set variables = '{link,value}'", "variables"),
        ("update crm.message_template set variables = '{link}'", "variables"),
    ],
)
def test_wrong_settings_are_refused_and_nothing_is_written(
    owner: psycopg.Connection, connection: psycopg.Connection, change: Any, field: str
) -> None:
    add_signature_request(owner, add_customer(owner), at(DAY))
    check_settings(connection, {})
    owner.execute(change)
    with pytest.raises(SettingError) as refused:
        check_settings(connection, {})
    assert refused.value.field == field
    with pytest.raises(SettingError):
        send_links(connection)
    assert messages(owner) == []


@pytest.mark.parametrize("days_back", [-1, 366, "7", 1.5, True, None])
def test_wrong_days_back_are_refused(connection: psycopg.Connection, days_back: Any) -> None:
    with pytest.raises(SettingError, match="days_back"):
        check_settings(connection, {"days_back": days_back})


def test_a_template_that_two_gateways_have_is_refused(
    owner: psycopg.Connection, connection: psycopg.Connection
) -> None:
    other = add_gateway(owner, "sms", kind="http_json")
    add_template(owner, other, "assinatura_digital", variables=["link"])
    with pytest.raises(SettingError, match="several gateways"):
        check_settings(connection, {})
    with pytest.raises(SettingError, match="no gateway"):
        check_settings(connection, {"template": "outro"})
