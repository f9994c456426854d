"""Billing messages: which receivables are reminded of, with what, until when, and each of them once."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rotina.errors import SettingError
from rotina.messaging.billing_messages import check_settings, write_messages
from rotina.messaging.dunning import due_dates
from rotina.runs import record
from rotina.runs.record import Outcome, Run
from rotina.runs.summary import REASON_TITLES
from tests.examples import examples
from tests.messaging.queue_data import (
    add_account,
    add_customer,
    add_gateway,
    add_integration,
    add_receivable,
    add_step,
    add_template,
    insert,
    messages,
)
from tests.runs_by_hand import counts, do_work, items, open_run

SAO_PAULO = ZoneInfo("America/Sao_Paulo")
FRIDAY, SATURDAY, SUNDAY, MONDAY, TUESDAY = (dt.date(2026, 11, day) for day in (6, 7, 8, 9, 10))
ROUTINE = {"routine": "billing_messages", "program": "crm_cobranca"}


@pytest.fixture(autouse=True)
def _erp(owner: psycopg.Connection) -> None:
    add_integration(owner)


def eight_o_clock(date: dt.date) -> dt.datetime:
    return dt.datetime.combine(date, dt.time(8), SAO_PAULO)


def bill(
    connection: psycopg.Connection,
    date: dt.date | str = TUESDAY,
    *,
    now: dt.datetime | None = None,
    **params: Any,
) -> tuple[Run, Outcome]:
    """Run the routine for a date, at eight o'clock of that date unless told otherwise."""
    date = dt.date.fromisoformat(date) if isinstance(date, str) else date
    work = partial(write_messages, now=now or eight_o_clock(date))
    return do_work(connection, work, date, **ROUTINE, **params)


def reminded(owner: psycopg.Connection) -> list[int]:
    """Receivables with a message, one entry for each message."""
    return sorted(message["receivable_id"] for message in messages(owner))


def test_a_reminder_is_written_whole(
    owner: psycopg.Connection, connection: psycopg.Connection, gateway: int
) -> None:
    template = add_template(
        owner,
        gateway,
        variables=[
            "due_on",
            "value",
            "first_name",
            "customer_name",
            "receivable_code",
            "payment_code",
            "days_overdue",
            "value",
        ],
    )
    step = add_step(owner, template, 3, name="Três dias depois", priority=4)
    customer = add_customer(owner, name="MARIA da Silva", phone="+5511988887777")
    account = add_account(owner, customer)
    receivable = add_receivable(
        owner, customer, "2026-11-03", "1234567.8", code="NF 12/3", payment_code="00020126pix"
    )
    run, outcome = bill(connection, "2026-11-06")
    assert counts(outcome) == (1, 1, 0, 0, 0)
    (message,) = messages(owner)
    written = {
        "gateway_id": gateway,
        "template_id": template,
        "dedupe_key": f"billing:{receivable}:{step}:2026-11-03",
        "origin": "billing_messages",
        "origin_key": f"{receivable}:{step}",
        "account_id": account,
        "customer_id": customer,
        "receivable_id": receivable,
        "due_on": dt.date(2026, 11, 3),
        "recipient": "+5511988887777",
        "recipient_name": "MARIA da Silva",
        "payload": {
            "template": "gw-cobranca",
            "variables": [
                "03/11/2026",
                "1.234.567,80",
                "Maria",
                "MARIA da Silva",
                "NF 12/3",
                "00020126pix",
                "3",
                "1.234.567,80",
            ],
        },
        "priority": 4,
        "status": "waiting",
        "ready": True,
        "expires_at": dt.datetime(2026, 11, 7, tzinfo=SAO_PAULO),
        "run_id": run.id,
    }
    assert {name: message[name] for name in written} == written


@pytest.mark.parametrize(
    ("name", "first_name"),
    [
        ("Ana Souza", "Ana"),
        ("JOÃO PEDRO", "João"),
        ("érica", "Érica"),
        ("  d'ávila  Lima", "D'Ávila"),
        ("maria-clara", "Maria-Clara"),
        ("McCarthy Jr", "McCarthy"),
        ("🎉 Festa", "🎉"),
        ("{{7*7}} x", "{{7*7}}"),
        ('Zé "do Bar"; drop table x', "Zé"),
        ("Á" + "b" * 3000, "Á" + "b" * 3000),
    ],
)
def test_first_names_and_names(
    owner: psycopg.Connection, connection: psycopg.Connection, gateway: int, name: str, first_name: str
) -> None:
    add_step(owner, add_template(owner, gateway, variables=["first_name", "customer_name"]))
    person = add_receivable(owner, add_customer(owner, name=name), TUESDAY)
    company = add_receivable(owner, add_customer(owner, name="PADARIA DO ZÉ LTDA", kind="company"), TUESDAY)
    bill(connection)
    written = {message["receivable_id"]: message["payload"]["variables"] for message in messages(owner)}
    assert written[person] == [first_name, " ".join(name.split())]
    assert written[company] == ["PADARIA DO ZÉ LTDA"] * 2


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("0.01", "0,01"),
        ("0.10", "0,10"),
        ("999.99", "999,99"),
        ("1000", "1.000,00"),
        ("999999999999.99", "999.999.999.999,99"),
    ],
)
def test_values_as_people_write_them(
    owner: psycopg.Connection, connection: psycopg.Connection, gateway: int, value: str, text: str
) -> None:
    add_step(owner, add_template(owner, gateway, variables=["value"]))
    add_receivable(owner, add_customer(owner), TUESDAY, value)
    bill(connection)
    assert [message["payload"]["variables"] for message in messages(owner)] == [[text]]


def test_the_time_zone_of_the_session_changes_nothing(
    owner: psycopg.Connection, connection: psycopg.Connection, template: int
) -> None:
    step = add_step(owner, template)
    receivable = add_receivable(owner, add_customer(owner), TUESDAY, "1234.50")
    connection.execute("set timezone = 'Asia/Tokyo'")
    bill(connection)
    (message,) = messages(owner)
    assert message["dedupe_key"] == f"billing:{receivable}:{step}:2026-11-10"
    assert message["payload"]["variables"] == ["Ana", "1.234,50", "10/11/2026"]
    assert message["expires_at"] == dt.datetime(2026, 11, 11, tzinfo=SAO_PAULO)


def test_only_open_receivables_of_the_day_of_a_step(
    owner: psycopg.Connection, connection: psycopg.Connection, template: int
) -> None:
    before = add_step(owner, template, -3)
    after = add_step(owner, add_template(owner, 1, "depois"), 1)
    add_step(owner, add_template(owner, 1, "desligado"), 0, active=False)
    customer = add_customer(owner)
    soon = add_receivable(owner, customer, "2026-11-13")
    late = add_receivable(owner, customer, "2026-11-09")
    add_receivable(owner, customer, "2026-11-13", paid_at=eight_o_clock(MONDAY))
    add_receivable(owner, customer, "2026-11-09", cancelled_at=eight_o_clock(MONDAY))
    for day in ("2026-11-08", "2026-11-10", "2026-11-12", "2026-11-14"):
        add_receivable(owner, customer, day)
    _, outcome = bill(connection)
    assert counts(outcome) == (2, 2, 0, 0, 0)
    assert {message["origin_key"] for message in messages(owner)} == {f"{soon}:{before}", f"{late}:{after}"}


def test_a_customer_without_an_account_is_reminded_too(
    owner: psycopg.Connection, connection: psycopg.Connection, template: int
) -> None:
    add_step(owner, template)
    add_receivable(owner, add_customer(owner), TUESDAY)
    assert bill(connection)[1].changed == 1
    assert messages(owner)[0]["account_id"] is None


def test_several_receivables_of_one_customer_are_several_messages(
    owner: psycopg.Connection, connection: psycopg.Connection, template: int
) -> None:
    add_step(owner, template)
    customer = add_customer(owner)
    receivables = [add_receivable(owner, customer, TUESDAY) for _ in range(3)]
    assert bill(connection)[1].changed == 3
    assert reminded(owner) == receivables


def test_a_weekend_moves_to_the_next_business_day(
    owner: psycopg.Connection, connection: psycopg.Connection, template: int
) -> None:
    add_step(owner, template, 0)
    customer = add_customer(owner)
    due = {day: add_receivable(owner, customer, day) for day in (FRIDAY, SATURDAY, SUNDAY, MONDAY, TUESDAY)}
    for day in (SATURDAY, SUNDAY):
        assert counts(bill(connection, day)[1]) == (0, 0, 0, 0, 0)
    bill(connection, MONDAY)
    assert reminded(owner) == [due[SATURDAY], due[SUNDAY], due[MONDAY]]


def test_a_step_that_does_not_move_keeps_to_its_day(
    owner: psycopg.Connection, connection: psycopg.Connection, template: int
) -> None:
    add_step(owner, template, 0, next_business_day=False)
    receivable = add_receivable(owner, add_customer(owner), SATURDAY)
    bill(connection, SATURDAY)
    assert reminded(owner) == [receivable]
    assert counts(bill(connection, MONDAY)[1]) == (0, 0, 0, 0, 0)


def test_of_steps_that_fall_on_one_day_the_latest_counts(
    owner: psycopg.Connection, connection: psycopg.Connection, gateway: int
) -> None:
    """Due on Saturday: the steps of Saturday and of Sunday are both moved to Monday."""
    today, yesterday, too = (
        add_step(owner, add_template(owner, gateway, code), days, name=code)
        for code, days in (("hoje", 0), ("ontem", 1), ("ontem_tambem", 1))
    )
    receivable = add_receivable(owner, add_customer(owner), SATURDAY, code="T-1")
    only_today = add_receivable(owner, add_customer(owner), SUNDAY + dt.timedelta(days=1))
    run, outcome = bill(connection, MONDAY)
    assert counts(outcome) == (4, 3, 0, 1, 0)
    assert {message["origin_key"] for message in messages(owner)} == {
        f"{receivable}:{yesterday}",
        f"{receivable}:{too}",  # of the same day, for another template
        f"{only_today}:{today}",
    }
    assert items(connection, run) == [
        ("receivable", f"{receivable}:{today}", "skipped", "later_step", "T-1, hoje")
    ]


def test_a_reminder_of_before_that_a_weekend_moves_to_after_the_due_date_is_skipped(
    owner: psycopg.Connection, connection: psycopg.Connection, template: int
) -> None:
    """A day before Sunday is Saturday, moved to Monday; so is that of Monday, which is not over yet."""
    step = add_step(owner, template, -1, name="Amanhã")
    late = add_receivable(owner, add_customer(owner), SUNDAY, code="T-1")
    in_time = add_receivable(owner, add_customer(owner), MONDAY)
    tomorrow = add_receivable(owner, add_customer(owner), TUESDAY)
    run, outcome = bill(connection, MONDAY)
    assert counts(outcome) == (3, 2, 0, 1, 0)
    assert reminded(owner) == [in_time, tomorrow]
    assert items(connection, run) == [("receivable", f"{late}:{step}", "skipped", "past_due", "T-1, Amanhã")]
    assert "past_due" in REASON_TITLES


def _no_phone(owner: psycopg.Connection) -> int:
    return add_receivable(owner, add_customer(owner, phone=None), TUESDAY)


def _bad_phone(owner: psycopg.Connection) -> int:
    return add_receivable(owner, add_customer(owner, phone="11 98888-7777"), TUESDAY)


def _opted_out(owner: psycopg.Connection) -> int:
    phone = "+5511977776666"
    insert(owner, "crm.suppression", channel="phone", address=phone, reason="pediu", source="console")
    return add_receivable(owner, add_customer(owner, phone=phone), TUESDAY)


def _exception(owner: psycopg.Connection, until_on: dt.date | None) -> int:
    customer = add_customer(owner)
    insert(owner, "crm.dunning_exception", customer_id=customer, reason="acordo", until_on=until_on)
    return add_receivable(owner, customer, TUESDAY)


def _no_customer(owner: psycopg.Connection) -> int:
    return add_receivable(owner, 987, TUESDAY)


def _of_value(owner: psycopg.Connection, value: str | None) -> int:
    """A receivable of a view that promises less than the contract asks for."""
    owner.execute("alter table erp.receivable alter value drop not null, alter value type numeric")
    return add_receivable(owner, add_customer(owner), TUESDAY, value)


def _no_name(owner: psycopg.Connection) -> int:
    return add_receivable(owner, add_customer(owner, name="  "), TUESDAY)


WRONG: dict[str, tuple[Callable[[psycopg.Connection], int], str, str, str]] = {
    "no phone": (_no_phone, "skipped", "no_phone", ""),
    "bad phone": (_bad_phone, "failed", "invalid_phone", ": …7777"),
    "opted out": (_opted_out, "skipped", "opted_out", ""),
    "exception": (partial(_exception, until_on=None), "skipped", "dunning_exception", ""),
    "exception until today": (partial(_exception, until_on=TUESDAY), "skipped", "dunning_exception", ""),
    "no customer": (_no_customer, "failed", "customer_missing", ": cliente 987"),
    "no value": (partial(_of_value, value=None), "failed", "invalid_value", ""),
    "zero": (partial(_of_value, value="0"), "failed", "invalid_value", ""),
    "negative": (partial(_of_value, value="-1"), "failed", "invalid_value", ""),
    "not a number": (partial(_of_value, value="NaN"), "failed", "invalid_value", ""),
    "infinite": (partial(_of_value, value="Infinity"), "failed", "invalid_value", ""),
    "too much": (partial(_of_value, value="1e12"), "failed", "invalid_value", ""),
    "no name": (_no_name, "failed", "missing_variable", ": first_name"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_receivable_that_cannot_be_reminded_of_is_named_and_stops_nobody(
    owner: psycopg.Connection, connection: psycopg.Connection, template: int, case: str
) -> None:
    make, outcome, reason, detail = WRONG[case]
    step = add_step(owner, template, name="Vence hoje")
    wrong, good = make(owner), add_receivable(owner, add_customer(owner), TUESDAY)
    run, done = bill(connection)
    skipped = int(outcome == "skipped")
    assert counts(done) == (2, 1, 0, skipped, 1 - skipped)
    assert reminded(owner) == [good]
    assert items(connection, run) == [
        ("receivable", f"{wrong}:{step}", outcome, reason, f"T-{wrong}, Vence hoje{detail}")
    ]
    assert reason in REASON_TITLES


def test_a_missing_payment_code_matters_where_the_template_uses_it(
    owner: psycopg.Connection, connection: psycopg.Connection, template: int
) -> None:
    add_step(owner, template)
    add_step(owner, add_template(owner, 1, "com_pix", variables=["payment_code"]))
    add_receivable(owner, add_customer(owner), TUESDAY)
    run, outcome = bill(connection)
    assert counts(outcome) == (2, 1, 0, 0, 1)
    ((_, _, _, reason, detail),) = items(connection, run)
    assert reason == "missing_variable"
    assert detail.endswith(": payment_code")


def test_an_exception_that_ended_yesterday_is_none(
    owner: psycopg.Connection, connection: psycopg.Connection, template: int
) -> None:
    add_step(owner, template)
    _exception(owner, until_on=MONDAY)
    assert counts(bill(connection)[1]) == (1, 1, 0, 0, 0)


def test_a_day_run_twice_writes_nothing_twice(
    owner: psycopg.Connection, connection: psycopg.Connection, template: int
) -> None:
    add_step(owner, template)
    for _ in range(3):
        add_receivable(owner, add_customer(owner), TUESDAY)
    bill(connection)
    before = messages(owner)
    assert counts(bill(connection)[1]) == (3, 0, 3, 0, 0)
    assert messages(owner) == before
    mended = _no_phone(owner)
    bill(connection)
    owner.execute("update erp.customer set phone = '+5511900000000' where phone is null")
    assert counts(bill(connection)[1]) == (4, 1, 3, 0, 0)
    assert mended in reminded(owner)


def test_an_older_day_after_a_newer_one_writes_only_what_may_still_go_out(
    owner: psycopg.Connection, connection: psycopg.Connection, gateway: int
) -> None:
    add_step(owner, add_template(owner, gateway, "so_hoje"), 0, valid_days=0)
    patient = add_step(owner, add_template(owner, gateway, "paciente"), 1, valid_days=1)
    customer = add_customer(owner)
    monday, friday, tuesday = (add_receivable(owner, customer, day) for day in (MONDAY, FRIDAY, TUESDAY))
    bill(connection, TUESDAY)
    newer = messages(owner)
    assert reminded(owner) == sorted([monday, tuesday])
    run, outcome = bill(connection, MONDAY, now=eight_o_clock(TUESDAY))
    assert counts(outcome) == (2, 1, 0, 1, 0)
    assert [item[3] for item in items(connection, run)] == ["too_late"]
    assert messages(owner)[:2] == newer
    (late,) = messages(owner)[2:]
    assert late["origin_key"] == f"{friday}:{patient}"
    assert late["expires_at"] == dt.datetime(2026, 11, 11, tzinfo=SAO_PAULO)
    _, outcome = bill(connection, MONDAY, now=eight_o_clock(TUESDAY + dt.timedelta(days=1)))
    assert counts(outcome) == (2, 0, 1, 1, 0)


@pytest.mark.parametrize(("seconds", "written"), [(-1, 1), (0, 0)])
def test_a_reminder_expires_at_local_midnight(
    owner: psycopg.Connection, connection: psycopg.Connection, template: int, seconds: int, written: int
) -> None:
    add_step(owner, template)
    add_receivable(owner, add_customer(owner), TUESDAY)
    midnight = dt.datetime(2026, 11, 11, 3, tzinfo=dt.UTC)  # in São Paulo
    _, outcome = bill(connection, TUESDAY, now=midnight + dt.timedelta(seconds=seconds))
    assert outcome.changed == written
    assert outcome.skipped == 1 - written


@pytest.mark.parametrize(
    ("due_on", "days", "date"),
    [
        ("2024-02-29", 0, "2024-02-29"),
        ("2024-02-29", 1, "2024-03-01"),
        ("2024-03-01", -1, "2024-02-29"),
        ("2024-01-30", 30, "2024-02-29"),
        ("2025-02-28", 1, "2025-03-01"),
        ("2026-10-31", 1, "2026-11-01"),
        ("2026-01-01", -1, "2025-12-31"),
        ("2025-12-31", 365, "2026-12-31"),
        ("2026-12-31", -365, "2025-12-31"),
    ],
)
def test_month_ends_and_leap_days(
    owner: psycopg.Connection,
    connection: psycopg.Connection,
    template: int,
    due_on: str,
    days: int,
    date: str,
) -> None:
    add_step(owner, template, days, next_business_day=False)
    receivable = add_receivable(owner, add_customer(owner), due_on)
    day = dt.date.fromisoformat(date)
    for other in (day - dt.timedelta(days=1), day + dt.timedelta(days=1)):
        assert counts(bill(connection, other)[1]) == (0, 0, 0, 0, 0)
    bill(connection, day)
    assert reminded(owner) == [receivable]
    (message,) = messages(owner)
    assert message["expires_at"] == dt.datetime.combine(day + dt.timedelta(days=1), dt.time(), SAO_PAULO)


def test_a_receivable_that_gets_another_due_date_is_reminded_of_that_one_too(
    owner: psycopg.Connection, connection: psycopg.Connection, template: int
) -> None:
    add_step(owner, template)
    receivable = add_receivable(owner, add_customer(owner), MONDAY)
    bill(connection, MONDAY)
    owner.execute("update erp.receivable set due_on = %s", [TUESDAY])
    bill(connection, TUESDAY)
    assert reminded(owner) == [receivable, receivable]
    owner.execute("update erp.receivable set due_on = %s", [MONDAY])
    assert counts(bill(connection, MONDAY)[1]) == (1, 0, 1, 0, 0)


def test_a_dry_run_writes_no_message(
    owner: psycopg.Connection, connection: psycopg.Connection, template: int
) -> None:
    add_step(owner, template)
    add_receivable(owner, add_customer(owner), TUESDAY)
    _no_phone(owner)
    run, outcome = bill(connection, dry_run=True)
    assert counts(outcome) == (2, 0, 1, 1, 0)
    assert "simulação" in outcome.details["note"]
    assert [item[3] for item in items(connection, run)] == ["no_phone"]
    assert messages(owner) == []
    assert bill(connection)[1].changed == 1


def test_two_runs_at_once_write_each_reminder_once(
    task_uri: str, owner: psycopg.Connection, template: int
) -> None:
    add_step(owner, template)
    for _ in range(50):
        add_receivable(owner, add_customer(owner), TUESDAY)
    barrier = threading.Barrier(2)
    done: list[Outcome] = []

    def run() -> None:
        with psycopg.connect(task_uri, autocommit=True, cursor_factory=psycopg.ClientCursor) as connection:
            barrier.wait(timeout=30)
            done.append(bill(connection)[1])

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert sorted(counts(outcome) for outcome in done) == [(50, 0, 50, 0, 0), (50, 50, 0, 0, 0)]
    assert len(reminded(owner)) == 50


def test_without_the_lock_of_the_routine_the_later_run_finds_the_messages(
    task_uri: str, connection: psycopg.Connection, owner: psycopg.Connection, template: int
) -> None:
    add_step(owner, template)
    receivable = add_receivable(owner, add_customer(owner), TUESDAY)
    run = open_run(connection, TUESDAY, **ROUTINE)
    with connection.transaction():
        connection.execute("select")
        with psycopg.connect(task_uri, autocommit=True, cursor_factory=psycopg.ClientCursor) as other:
            bill(other)
        outcome = write_messages(connection, run, now=eight_o_clock(TUESDAY))
        record.record_step(connection, run.id, "write", outcome)
    assert counts(outcome) == (1, 0, 1, 0, 0)
    assert reminded(owner) == [receivable]


@settings(max_examples=examples(25))
@given(
    due=st.lists(st.integers(0, 20), min_size=1, max_size=12),
    steps=st.lists(
        st.tuples(st.integers(-4, 4), st.booleans(), st.integers(0, 2)),
        min_size=1,
        max_size=3,
        unique_by=lambda s: s[0],
    ),
    days=st.lists(st.integers(0, 20), min_size=1, max_size=12),
)
def test_days_in_any_order_against_a_computation_by_hand(
    owner: psycopg.Connection,
    connection: psycopg.Connection,
    template: int,
    due: list[int],
    steps: list[tuple[int, bool, int]],
    days: list[int],
) -> None:
    """Days of November 2026, with its holidays, run in any order; the clock never goes back."""
    first = dt.date(2026, 10, 30)
    owner.execute("truncate crm.message, crm.message_key, crm.dunning_step, erp.receivable, erp.customer")
    added = {
        add_step(owner, template, step_days, next_business_day=moves, valid_days=valid): (
            step_days,
            moves,
            valid,
        )
        for step_days, moves, valid in steps
    }
    due_on = {
        add_receivable(owner, add_customer(owner), first + dt.timedelta(days=day)): first
        + dt.timedelta(days=day)
        for day in due
    }
    expected: set[str] = set()
    today = first
    for day in days:
        date = first + dt.timedelta(days=day)
        today = max(today, date)
        for receivable, on in due_on.items():
            hits = [
                (step_days, step, valid)
                for step, (step_days, moves, valid) in added.items()
                if (dates := due_dates(step_days, moves, date)) and dates[0] <= on <= dates[1]
            ]
            if hits:
                step_days, step, valid = max(hits)
                past_due = step_days < 0 and date > on
                if (today - date).days <= valid and not past_due:
                    expected.add(f"{receivable}:{step}")
        bill(connection, date, now=eight_o_clock(today))
    assert sorted(message["origin_key"] for message in messages(owner)) == sorted(expected)


@pytest.mark.parametrize(
    ("change", "field", "value"),
    [
        ("update crm.integration set active = false", "integration erp, active", False),
        ("delete from crm.integration", "integration erp, active", False),
        ("alter table erp.receivable drop payment_code", "ERP", "erp.receivable.payment_code"),
        ("revoke select on erp.customer from rotina_task", "ERP", "erp.customer"),
        ("update crm.dunning_step set active = false", "dunning schedule", None),
        ("delete from crm.dunning_step", "dunning schedule", None),
        ("update crm.message_template set active = false", "dunning step Hoje, template", "cobranca"),
        ("update crm.message_template set status = 'paused'", "dunning step Hoje, template", "cobranca"),
        ("update crm.message_template set variables = '{value}'", "dunning step Hoje, variables", ["value"]),
        (
            "update crm.message_template set variables = '{value,due_on,link}'",
            "dunning step Hoje, variables",
            "link",
        ),
        ("update crm.gateway set active = false", "dunning step Hoje, gateway", "opa"),
    ],
)
def test_wrong_settings_are_refused_and_nothing_is_written(
    owner: psycopg.Connection,
    connection: psycopg.Connection,
    template: int,
    change: Any,
    field: str,
    value: Any,
) -> None:
    add_step(owner, template, name="Hoje")
    add_receivable(owner, add_customer(owner), TUESDAY)
    check_settings(connection, {})
    owner.execute(change)
    with pytest.raises(SettingError) as refused:
        check_settings(connection, {})
    assert refused.value.field == field
    assert value is None or str(value) in str(refused.value.value)
    with pytest.raises(SettingError):
        bill(connection)
    assert messages(owner) == []


def test_a_template_of_an_inactive_step_does_not_matter(
    owner: psycopg.Connection, connection: psycopg.Connection, template: int
) -> None:
    add_step(owner, template)
    add_step(owner, add_template(owner, 1, "recusado", status="rejected"), active=False)
    check_settings(connection, {})


def test_steps_of_two_gateways(
    owner: psycopg.Connection, connection: psycopg.Connection, gateway: int, template: int
) -> None:
    other = add_gateway(owner, "sms", kind="http_json")
    add_step(owner, template)
    add_step(owner, add_template(owner, other, variables=["first_name"]))
    add_receivable(owner, add_customer(owner), TUESDAY)
    bill(connection)
    assert sorted(message["gateway_id"] for message in messages(owner)) == sorted([gateway, other])
