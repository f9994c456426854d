"""Account data refresh (crm338) against an independent computation, on a real PostgreSQL."""

from __future__ import annotations

import datetime as dt
import threading
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from rotina.accounts.account_data_refresh import check_settings, refresh_accounts
from rotina.accounts.audiences import AudienceSettings, save_audience
from rotina.errors import SettingError, SourceEmptyError
from rotina.runs.record import Outcome, Run
from tests.accounts.erp_data import NOTHING, TICK, Erp
from tests.examples import examples
from tests.runs_by_hand import counts, do_work, items

DAY = dt.date(2026, 11, 20)


def refresh(connection: psycopg.Connection, date: dt.date | str = DAY, **params: Any) -> tuple[Run, Outcome]:
    return do_work(connection, refresh_accounts, date, **params)


def refresh_and_move_on(erp: Erp, connection: psycopg.Connection) -> None:
    """A refresh; the newest changes are another customer's, all others lie before the ERP's delay."""
    if 99 not in erp.customers:
        erp.add_customer(99)
    erp.add_invoice(99, "2026-11-01")
    erp.add_quote(99, "2026-11-01")
    refresh(connection)


def rows_written(connection: psycopg.Connection) -> list[tuple[Any, ...]]:
    """Every stored row with its physical version: equal lists mean that nothing was written."""
    return connection.execute(
        "select ctid, xmin, account_supplementary.* from crm.account_supplementary order by account_id"
    ).fetchall()


def test_the_nine_fields(erp: Erp, connection: psycopg.Connection) -> None:
    account = erp.add_client(1)
    erp.add_invoice(1, "2026-03-05", "100.10")
    erp.add_invoice(1, "2026-11-10", "7.00")
    erp.add_invoice(1, "2026-11-10", "8.90")
    erp.cancel_invoice(erp.add_invoice(1, "2026-11-15", "999.00"))
    erp.add_invoice(1, "2026-11-21", "5.00")  # after the business date
    erp.add_quote(1, "2026-10-01")
    erp.add_quote(1, "2026-11-22")
    _, outcome = refresh(connection)
    assert counts(outcome) == (1, 1, 0, 0, 0)
    assert erp.stored(DAY)[account] == (
        dt.date(2026, 11, 10),
        dt.date(2026, 3, 5),
        Decimal("8.90"),
        Decimal("100.10"),
        Decimal("116.00"),
        dt.date(2026, 10, 1),
        3,
        10,
        "NF-3",
    )
    assert erp.stored(DAY) == erp.expected(DAY)


def test_no_accounts_at_all(erp: Erp, connection: psycopg.Connection) -> None:
    assert counts(refresh(connection)[1]) == (0, 0, 0, 0, 0)
    assert counts(refresh(connection, full=True)[1]) == (0, 0, 0, 0, 0)


def test_accounts_without_purchases_or_without_a_customer(erp: Erp, connection: psycopg.Connection) -> None:
    quiet = erp.add_client(1)
    stranger = erp.add_account(None)
    run, outcome = refresh(connection)
    assert counts(outcome) == (2, 0, 1, 1, 0)
    assert items(connection, run) == [("account", str(stranger), "skipped", "not_linked", None)]
    assert erp.stored(DAY) == {quiet: NOTHING, stranger: NOTHING}


def test_the_same_day_twice_writes_nothing_the_second_time(erp: Erp, connection: psycopg.Connection) -> None:
    for customer in range(1, 6):
        erp.add_client(customer)
        erp.add_invoice(customer, "2026-11-01")
    refresh(connection)
    before = rows_written(connection)
    erp.clock += dt.timedelta(days=1)
    assert counts(refresh(connection)[1])[1] == 0
    assert counts(refresh(connection, full=True)[1]) == (5, 0, 5, 0, 0)
    assert rows_written(connection) == before


def test_an_incremental_run_looks_only_at_changes(erp: Erp, connection: psycopg.Connection) -> None:
    for customer in range(1, 21):
        erp.add_client(customer)
        erp.add_invoice(customer, "2026-11-01")
    refresh(connection)
    erp.tick()
    erp.add_invoice(7, "2026-11-19")
    _, outcome = refresh(connection)
    assert counts(outcome) == (1, 1, 0, 0, 0)
    assert erp.stored(DAY) == erp.expected(DAY)


@pytest.mark.parametrize("change", [{"value": Decimal("5.00")}, {"issued_on": dt.date(2026, 11, 2)}])
def test_a_change_within_the_same_second_as_the_one_before_is_seen(
    erp: Erp, connection: psycopg.Connection, change: dict[str, Any]
) -> None:
    erp.pace = dt.timedelta()  # an ERP whose clock counts seconds, or days
    for customer in range(1, 6):
        erp.add_client(customer)
        erp.add_invoice(customer, "2026-11-01")
    refresh(connection)
    assert counts(refresh(connection)[1]) == (0, 0, 0, 0, 0)
    erp.change_invoice(3, **change)
    erp.cancel_invoice(4)
    assert counts(refresh(connection)[1]) == (2, 2, 0, 0, 0)
    assert erp.stored(DAY) == erp.expected(DAY)
    assert counts(refresh(connection)[1]) == (0, 0, 0, 0, 0)


@pytest.mark.usefixtures("by_lookup")
def test_an_invoice_that_becomes_visible_within_the_delay_is_counted(
    erp: Erp, connection: psycopg.Connection
) -> None:
    erp.pace = dt.timedelta(minutes=1)
    erp.add_client(1)
    erp.add_invoice(1, "2026-11-01")
    late = erp.clock
    erp.add_invoice(1, "2026-11-03", key=3)
    refresh(connection)
    erp.clock = late
    erp.add_invoice(1, "2026-11-02", key=2)
    assert refresh(connection)[1].changed == 1
    assert erp.stored(DAY) == erp.expected(DAY)


def test_of_very_many_recent_changes_the_newest_are_remembered(
    erp: Erp, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rotina.accounts.account_data_refresh.MOST_RECENT", 2)
    erp.pace = dt.timedelta(minutes=1)
    for customer in range(1, 6):
        erp.add_client(customer)
        erp.add_invoice(customer, "2026-11-01")
    refresh(connection)
    assert counts(refresh(connection)[1]) == (3, 0, 3, 0, 0)  # the others are looked at again


@pytest.fixture
def by_lookup(monkeypatch: pytest.MonkeyPatch) -> None:
    """However large the share of the selected accounts, their invoices are looked up, or added up."""
    monkeypatch.setattr("rotina.accounts.account_data_refresh.SCAN_SHARE", 2.0)


@pytest.mark.usefixtures("by_lookup")
def test_new_invoices_are_added_to_what_is_stored(erp: Erp, connection: psycopg.Connection) -> None:
    account = erp.add_client(1)
    first = erp.add_invoice(1, "2026-11-01", "10.00")
    refresh_and_move_on(erp, connection)
    erp.owner.execute("update erp.invoice set value = 99 where invoice_id = %s", [first])  # breaks the rules
    erp.add_invoice(1, "2026-11-02", "5.00")
    assert refresh(connection)[1].changed == 1
    assert erp.stored(DAY) == erp.expected(DAY)  # the old invoice was not read again
    erp.invoices[first].value = Decimal(99)
    assert refresh(connection, full=True)[1].changed == 1
    assert erp.stored(DAY) == erp.expected(DAY)
    assert erp.stored(DAY)[account][4] == Decimal("104.00")


@pytest.mark.usefixtures("by_lookup")
@pytest.mark.parametrize("days", [(), ("2026-11-05",), ("2026-11-05", "2026-11-09")])
@pytest.mark.parametrize(
    "new_days",
    [
        ("2026-11-09",),  # of the day of the last one: counts as later
        ("2026-11-05",),  # of the day of the first one: is not the first
        ("2026-11-07",),  # in between
        ("2026-11-04", "2026-11-10"),  # before the first and after the last
        ("2026-11-10", "2026-11-10", "2026-11-03"),
        ("2026-11-21",),  # after the business date
        ("2026-11-21", "2026-11-11"),
    ],
)
def test_new_invoices_of_any_day_are_added_up(
    erp: Erp, connection: psycopg.Connection, days: tuple[str, ...], new_days: tuple[str, ...]
) -> None:
    erp.add_client(1)
    erp.add_quote(1, "2026-11-02")
    for number, day in enumerate(days):
        erp.add_invoice(1, day, f"{number}.50")
    refresh_and_move_on(erp, connection)
    for number, day in enumerate(new_days):
        erp.add_invoice(1, day, f"10{number}.00")
    refresh(connection)
    assert erp.stored(DAY) == erp.expected(DAY)
    later = dt.date(2026, 11, 22)
    refresh(connection, later)
    assert erp.stored(later) == erp.expected(later)


@pytest.mark.usefixtures("by_lookup")
def test_a_new_invoice_that_is_cancelled_already_changes_nothing(
    erp: Erp, connection: psycopg.Connection
) -> None:
    erp.add_client(1)
    erp.add_invoice(1, "2026-11-01")
    erp.add_quote(1, "2026-11-01")
    refresh_and_move_on(erp, connection)
    erp.cancel_invoice(erp.add_invoice(1, "2026-11-02"))
    before = rows_written(connection)
    assert counts(refresh(connection)[1]) == (1, 0, 1, 0, 0)
    assert rows_written(connection) == before


@pytest.mark.usefixtures("by_lookup")
def test_an_invoice_that_shows_later_than_a_greater_key_is_counted(
    erp: Erp, connection: psycopg.Connection
) -> None:
    erp.add_client(1)
    erp.add_invoice(1, "2026-11-01", "1.00")
    erp.add_invoice(1, "2026-11-02", "2.00", key=10)
    refresh_and_move_on(erp, connection)
    erp.add_invoice(1, "2026-11-02", "4.00", key=5)
    erp.add_invoice(1, "2026-11-03", "8.00")
    refresh(connection)
    assert erp.stored(DAY) == erp.expected(DAY)


@pytest.mark.usefixtures("by_lookup")
@pytest.mark.parametrize("full", [False, True])
def test_what_an_audience_counted_is_not_added_once_more(
    erp: Erp, connection: psycopg.Connection, full: bool
) -> None:
    account = erp.add_client(1)
    erp.add_invoice(1, "2026-11-01")
    erp.add_audience("VIP", [account])
    refresh_and_move_on(erp, connection)
    erp.add_invoice(1, "2026-11-02")
    assert refresh(connection, audience="VIP", full=full)[1].changed == 1
    assert erp.stored(DAY) == erp.expected(DAY)
    for audience in ("VIP", None, None):
        assert refresh(connection, audience=audience)[1].changed == 0
        assert erp.stored(DAY) == erp.expected(DAY)


@pytest.mark.usefixtures("by_lookup")
def test_a_state_that_knows_no_greatest_key_reads_all_invoices(
    erp: Erp, connection: psycopg.Connection
) -> None:
    erp.add_client(1)
    erp.add_invoice(1, "2026-11-01")
    refresh_and_move_on(erp, connection)
    erp.owner.execute("update crm.account_data_state set greatest_invoice_id = null")  # written by 0.1.0
    erp.add_invoice(1, "2026-11-02")
    assert refresh(connection)[1].changed == 1
    assert erp.stored(DAY) == erp.expected(DAY)


@pytest.mark.usefixtures("by_lookup")
def test_quotes_and_new_invoices_do_not_disturb_each_other(erp: Erp, connection: psycopg.Connection) -> None:
    for customer in (1, 2, 3):
        erp.add_client(customer)
        erp.add_invoice(customer, "2026-11-01")
        erp.add_quote(customer, "2026-11-02")
    refresh_and_move_on(erp, connection)
    erp.add_invoice(1, "2026-11-03")
    erp.add_quote(2, "2026-11-04")
    assert refresh(connection)[1].changed == 2
    assert erp.stored(DAY) == erp.expected(DAY)


@pytest.mark.usefixtures("by_lookup")
@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("-0.01", "valor negativo"),
        (None, "sem valor"),
        ("NaN", "sem valor"),
        ("999999999999.99", "o total das notas é grande demais"),
    ],
)
def test_an_invalid_invoice_is_not_added_up(
    erp: Erp, connection: psycopg.Connection, value: str | None, problem: str
) -> None:
    erp.add_client(1)
    erp.add_invoice(1, "2026-11-01")
    refresh_and_move_on(erp, connection)
    before = rows_written(connection)
    invoice = erp.add_invoice(1, "2026-11-02", value)
    run, outcome = refresh(connection)
    assert counts(outcome) == (1, 0, 0, 0, 1)
    ((*_, detail),) = items(connection, run)
    assert detail.removeprefix(f"nota NF-{invoice}: ") == problem
    assert rows_written(connection) == before
    erp.change_invoice(invoice, value=Decimal("1.00"))
    assert refresh(connection)[1].changed == 1
    assert erp.stored(DAY) == erp.expected(DAY)


@pytest.mark.parametrize("full", [False, True])
def test_invoices_cancelled_or_changed_after_the_refresh(
    erp: Erp, connection: psycopg.Connection, full: bool
) -> None:
    for customer in (1, 2, 3):
        erp.add_client(customer)
    first = erp.add_invoice(1, "2026-11-01", "10.00")
    erp.add_invoice(1, "2026-11-02", "20.00")
    only = erp.add_invoice(2, "2026-11-03", "30.00")
    changed = erp.add_invoice(3, "2026-11-04", "40.00")
    refresh(connection)
    erp.cancel_invoice(first)
    erp.cancel_invoice(only)
    erp.change_invoice(changed, value=Decimal("41.00"), issued_on=dt.date(2026, 11, 14))
    _, outcome = refresh(connection, full=full)
    assert outcome.changed == 3
    assert erp.stored(DAY) == erp.expected(DAY)


def test_an_invoice_dated_ahead_counts_from_its_day_on(erp: Erp, connection: psycopg.Connection) -> None:
    account = erp.add_client(1)
    erp.add_invoice(1, "2026-11-22")
    erp.add_client(2)
    for _ in range(3):
        erp.add_invoice(2, "2026-11-01")  # the newest changes are another customer's
    refresh(connection)
    assert erp.stored(DAY)[account] == NOTHING
    refresh(connection, "2026-11-21")
    assert erp.stored(dt.date(2026, 11, 21))[account] == NOTHING
    _, outcome = refresh(connection, "2026-11-22")
    assert outcome.changed == 1
    assert erp.stored(dt.date(2026, 11, 22)) == erp.expected(dt.date(2026, 11, 22))


@pytest.mark.parametrize("full", [False, True])
def test_an_older_day_after_a_newer_one_changes_nothing(
    erp: Erp, connection: psycopg.Connection, full: bool
) -> None:
    account = erp.add_client(1)
    erp.add_invoice(1, "2026-11-18")
    erp.add_invoice(1, "2026-11-20")
    refresh(connection)
    erp.add_invoice(1, "2026-11-19", "55.00")
    before = rows_written(connection)
    run, outcome = refresh(connection, "2026-11-18", full=full)
    assert counts(outcome) == (1, 0, 0, 1, 0)
    assert items(connection, run) == [
        ("account", str(account), "skipped", "newer_data", "dados de 20/11/2026")
    ]
    assert "20/11/2026" in outcome.details["note"]
    assert rows_written(connection) == before
    # what changed meanwhile is not lost to the next run of the newer day
    refresh(connection)
    assert erp.stored(DAY) == erp.expected(DAY)


def test_missed_days_made_good_in_any_order_end_the_same(erp: Erp, connection: psycopg.Connection) -> None:
    for customer in (1, 2):
        erp.add_client(customer)
        for day in range(10, 21):
            erp.add_invoice(customer, dt.date(2026, 11, day))
    for day in (10, 14, 12, 11, 13, 20, 15):
        refresh(connection, dt.date(2026, 11, day))
    assert erp.stored(DAY) == erp.expected(DAY)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("2024-02-28", "2024-02-29"),
        ("2024-02-29", "2024-03-01"),
        ("2026-02-28", "2026-03-01"),
        ("2026-10-31", "2026-11-01"),
        ("2025-12-31", "2026-01-01"),
    ],
)
def test_month_ends_and_leap_days(erp: Erp, connection: psycopg.Connection, first: str, second: str) -> None:
    account = erp.add_client(1)
    erp.add_invoice(1, first, "1.00")
    erp.add_invoice(1, second, "2.00")
    refresh(connection, first)
    on_first = dt.date.fromisoformat(first)
    assert erp.stored(on_first) == erp.expected(on_first)
    refresh(connection, second)
    on_second = dt.date.fromisoformat(second)
    assert erp.stored(on_second) == erp.expected(on_second)
    assert erp.stored(on_second + dt.timedelta(days=1))[account][7] == 1


def test_only_the_audience_is_refreshed(erp: Erp, connection: psycopg.Connection) -> None:
    accounts = [erp.add_client(customer) for customer in range(1, 5)]
    for customer in range(1, 5):
        erp.add_invoice(customer, "2026-11-01")
    erp.add_audience("VIP", accounts[:2])
    _, outcome = refresh(connection, audience="VIP")
    assert counts(outcome) == (2, 2, 0, 0, 0)
    assert {a for a, fields in erp.stored(DAY).items() if fields != NOTHING} == set(accounts[:2])
    # all accounts are still to be refreshed: an audience does not count as all
    assert counts(refresh(connection)[1]) == (4, 2, 2, 0, 0)
    assert erp.stored(DAY) == erp.expected(DAY)


@pytest.mark.parametrize("full", [False, True])
def test_only_the_accounts_that_meet_the_filter_of_an_audience_are_refreshed(
    erp: Erp, connection: psycopg.Connection, full: bool
) -> None:
    accounts = [erp.add_client(customer) for customer in range(1, 5)]
    for customer in range(1, 5):
        erp.add_invoice(customer, "2026-11-01", f"{customer}.00")
    refresh(connection)
    document = {"field": "accumulated_value", "op": ">=", "value": "3.00"}
    save_audience(connection, AudienceSettings("Grandes", filter=document), "ana")
    for customer in range(1, 5):
        erp.add_invoice(customer, "2026-11-02", "7.00")
    run, outcome = refresh(connection, audience="Grandes", full=full)
    assert counts(outcome) == (2, 2, 0, 0, 0)
    assert outcome.details["audience"] == "Grandes"
    refreshed = erp.owner.execute(
        "select account_id from crm.account_supplementary where run_id = %s order by 1", [run.id]
    ).fetchall()
    assert refreshed == [(account,) for account in accounts[2:]]
    assert counts(refresh(connection)[1])[1] == 2
    assert erp.stored(DAY) == erp.expected(DAY)


def test_a_filter_is_evaluated_for_the_business_date(erp: Erp, connection: psycopg.Connection) -> None:
    account = erp.add_client(1)
    erp.add_invoice(1, "2026-11-01")
    refresh(connection)
    document = {"field": "days_since_last_purchase", "op": "=", "value": 20}
    save_audience(connection, AudienceSettings("Há 20 dias", filter=document), "ana")
    for date, selected in (("2026-11-20", 0), ("2026-11-21", 1), ("2026-11-22", 0)):
        assert refresh(connection, date, audience="Há 20 dias", full=True)[1].selected == selected
    assert erp.stored(DAY)[account][6] == 1


def test_an_account_refreshed_ahead_with_an_audience_does_not_go_back_nor_miss_a_change(
    erp: Erp, connection: psycopg.Connection
) -> None:
    ahead, other = erp.add_client(1), erp.add_client(2)
    erp.add_invoice(1, "2026-11-10")
    erp.add_invoice(2, "2026-11-10")
    refresh(connection, "2026-11-10")
    erp.add_invoice(1, "2026-11-11", "3.00")  # not of age on a later day, which would find it anyway
    erp.add_audience("VIP", [ahead])
    refresh(connection, audience="VIP")
    late = erp.add_invoice(1, "2026-11-12", "4.00")
    run, outcome = refresh(connection, "2026-11-12")
    assert ("account", str(ahead), "skipped", "newer_data", "dados de 20/11/2026") in items(connection, run)
    assert outcome.skipped == 1
    assert erp.stored(DAY)[ahead][6] == 2
    for _ in range(3):
        erp.add_invoice(2, "2026-11-13")  # pushes the newest change far beyond the late one
    refresh(connection, "2026-11-13")
    refresh(connection)
    assert erp.stored(DAY) == erp.expected(DAY)
    assert erp.invoices[late].issued_on == dt.date(2026, 11, 12)
    assert other in erp.stored(DAY)


def test_a_newly_linked_or_relinked_account_is_picked_up(erp: Erp, connection: psycopg.Connection) -> None:
    for customer in range(1, 5):
        erp.add_customer(customer)
        erp.add_invoice(customer, "2026-11-01", f"{customer}.00")
    first = erp.add_account(1)
    stranger = erp.add_account(None)
    refresh(connection)
    refresh(connection)
    erp.link_account(stranger, 2)
    erp.add_account(3)
    refresh(connection)
    assert erp.stored(DAY) == erp.expected(DAY)
    erp.link_account(first, 4)
    refresh(connection)
    assert erp.stored(DAY) == erp.expected(DAY)


@pytest.mark.parametrize(
    ("issued_on", "value", "problem"),
    [
        ("2026-11-05", None, "sem valor"),
        ("2026-11-05", "-0.01", "valor negativo"),
        ("2026-11-05", "NaN", "sem valor"),
        (None, "5.00", "sem data"),
    ],
)
def test_an_invalid_invoice_fails_its_account_and_no_other(
    erp: Erp, connection: psycopg.Connection, issued_on: str | None, value: str | None, problem: str
) -> None:
    good, bad = erp.add_client(1), erp.add_client(2)
    erp.add_invoice(1, "2026-11-01")
    erp.add_invoice(2, "2026-11-01", "9.00")
    refresh(connection)
    kept = erp.stored(DAY)[bad]
    erp.add_invoice(1, "2026-11-02")
    invoice = erp.add_invoice(2, issued_on, value)

    run, outcome = refresh(connection)
    assert (outcome.changed, outcome.failed) == (1, 1)
    failure = ("account", str(bad), "failed", "invalid_invoice", f"nota NF-{invoice}: {problem}")
    assert items(connection, run) == [failure]
    assert erp.stored(DAY)[bad] == kept
    assert erp.stored(DAY)[good][6] == 2

    # it is named again in every run, as known, until the ERP mends it
    for full in (False, True):
        run, outcome = refresh(connection, full=full)
        assert (outcome.changed, outcome.skipped, outcome.failed) == (0, 1, 0)
        assert items(connection, run)[0][2:4] == ("skipped", "known_problem")
    erp.change_invoice(invoice, value=Decimal("1.00"), issued_on=dt.date(2026, 11, 5))
    run, outcome = refresh(connection)
    assert (outcome.changed, outcome.skipped, outcome.failed) == (1, 0, 0)
    assert erp.stored(DAY) == erp.expected(DAY)
    assert items(connection, run) == []


def test_a_zero_value_is_a_purchase(erp: Erp, connection: psycopg.Connection) -> None:
    erp.add_client(1)
    erp.add_invoice(1, "2026-11-05", "0.00")
    assert counts(refresh(connection)[1]) == (1, 1, 0, 0, 0)
    assert erp.stored(DAY) == erp.expected(DAY)


def test_a_cancelled_invoice_may_be_as_wrong_as_it_likes(erp: Erp, connection: psycopg.Connection) -> None:
    erp.add_client(1)
    erp.cancel_invoice(erp.add_invoice(1, "2026-11-05", "-5.00"))
    erp.cancel_invoice(erp.add_invoice(None, "2026-11-05", None))
    assert counts(refresh(connection)[1]) == (1, 0, 1, 0, 0)


@pytest.mark.usefixtures("by_lookup")
@pytest.mark.parametrize("customer", [None, 77])
def test_an_invoice_without_a_customer_is_found_on_a_later_day(
    erp: Erp, connection: psycopg.Connection, customer: int | None
) -> None:
    erp.add_client(1)
    refresh_and_move_on(erp, connection)
    orphan = erp.add_invoice(customer, "2026-11-02")
    run, outcome = refresh(connection)
    assert counts(outcome) == (1, 0, 0, 0, 1)
    assert items(connection, run)[0][:4] == ("invoice", str(orphan), "failed", "invoice_without_customer")


@pytest.mark.parametrize("customer", [None, 99])
def test_an_invoice_without_a_customer_is_reported_until_it_has_one(
    erp: Erp, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch, customer: int | None
) -> None:
    monkeypatch.setattr("rotina.accounts.account_data_refresh.SCAN_SHARE", 2.0)  # a scan finds it anyway
    erp.add_client(1)
    erp.add_invoice(1, "2026-11-01")
    orphan = erp.add_invoice(customer, "2026-11-02")
    run, outcome = refresh(connection)
    assert counts(outcome) == (2, 1, 0, 0, 1)
    reported = items(connection, run)
    assert [row[:4] for row in reported] == [("invoice", str(orphan), "failed", "invoice_without_customer")]
    assert f"NF-{orphan}" in reported[0][4]
    for _ in range(2):  # the second time the orphan is no longer among the newest changes
        for _ in range(2):
            erp.add_invoice(1, "2026-11-03")
        run, outcome = refresh(connection)
        assert (outcome.skipped, outcome.failed) == (1, 0)
        assert items(connection, run)[0][2:4] == ("skipped", "known_problem")
    if customer is None:
        erp.change_invoice(orphan, customer=1)
    else:
        erp.add_customer(customer)
    run, outcome = refresh(connection)
    assert items(connection, run) == []
    assert erp.stored(DAY) == erp.expected(DAY)


def test_customers_that_the_crm_does_not_have_are_no_problem(
    erp: Erp, connection: psycopg.Connection
) -> None:
    erp.add_customer(1)
    erp.add_invoice(1, "2026-11-01")
    assert counts(refresh(connection)[1]) == (0, 0, 0, 0, 0)


def test_a_wrong_clock_in_the_erp_hides_no_later_change(erp: Erp, connection: psycopg.Connection) -> None:
    erp.add_client(1)
    erp.add_invoice(1, "2026-11-01")
    erp.owner.execute("update erp.invoice set updated_at = '2099-01-01 00:00+00'")
    refresh(connection)
    erp.clock = dt.datetime.now(dt.UTC)
    erp.add_invoice(1, "2026-11-02")
    refresh(connection)
    assert erp.stored(DAY) == erp.expected(DAY)


def test_an_erp_that_was_empty_at_first(erp: Erp, connection: psycopg.Connection) -> None:
    erp.add_client(1)
    refresh(connection)
    erp.add_invoice(1, "2026-11-01")
    erp.add_quote(1, "2026-11-01")
    refresh(connection)
    assert erp.stored(DAY) == erp.expected(DAY)


@pytest.mark.parametrize("table", ["erp.invoice", "erp.quote"])
@pytest.mark.parametrize("full", [False, True])
def test_an_erp_that_is_being_loaded_takes_no_data_away(
    erp: Erp, connection: psycopg.Connection, full: bool, table: str
) -> None:
    erp.add_client(1)
    erp.add_invoice(1, "2026-11-01")
    erp.add_quote(1, "2026-11-01")
    refresh(connection)
    before = erp.stored(DAY)
    erp.owner.execute(f"truncate {table}")
    with pytest.raises(SourceEmptyError, match=f"^{table}: there are no rows"):
        refresh(connection, full=full)
    assert erp.stored(DAY) == before


def test_an_erp_that_is_meant_to_be_empty(erp: Erp, connection: psycopg.Connection) -> None:
    account = erp.add_client(1)
    erp.add_invoice(1, "2026-11-01")
    erp.add_quote(1, "2026-11-01")
    refresh(connection)
    erp.owner.execute("truncate erp.invoice, erp.quote")
    erp.owner.execute(  # as docs/operations.md says
        "update crm.account_data_state set greatest_invoice_id = null, quotes_seen_through = null"
    )
    assert counts(refresh(connection, full=True)[1]) == (1, 1, 0, 0, 0)
    assert erp.stored(DAY) == {account: NOTHING}


@pytest.mark.parametrize("full", [False, True])
def test_an_account_that_lost_its_customer_loses_its_data(
    erp: Erp, connection: psycopg.Connection, full: bool
) -> None:
    account = erp.add_client(1)
    erp.add_invoice(1, "2026-11-01")
    refresh(connection)
    erp.link_account(account, None)
    assert counts(refresh(connection, full=full)[1]) == (1, 1, 0, 0, 0)
    assert erp.stored(DAY) == {account: NOTHING}
    assert refresh(connection, full=True)[1].skipped == 1


def test_a_relink_during_the_refresh_is_not_lost(erp: Erp, connection: psycopg.Connection) -> None:
    for customer, value in ((1, "1.00"), (2, "2.00")):
        erp.add_customer(customer)
        erp.add_invoice(customer, "2026-11-01", value)
    account = erp.add_account(1)  # due from the start

    def relinked_meanwhile(connection: psycopg.Connection, run: Run) -> Outcome:
        connection.execute("select count(*) from crm.account")  # the snapshot is taken
        erp.link_account(account, 2)
        return refresh_accounts(connection, run)

    with pytest.raises(psycopg.errors.SerializationFailure):
        do_work(connection, relinked_meanwhile, DAY)
    refresh(connection)
    assert erp.stored(DAY) == erp.expected(DAY)


def test_a_total_that_cannot_be_is_reported(erp: Erp, connection: psycopg.Connection) -> None:
    erp.add_client(1)
    erp.add_client(2)
    erp.add_invoice(2, "2026-11-01")
    for _ in range(2):
        erp.add_invoice(1, "2026-11-01", "999999999999.99")
    run, outcome = refresh(connection)
    assert counts(outcome) == (2, 1, 0, 0, 1)
    assert items(connection, run)[0][4] == "o total das notas é grande demais"


def test_another_problem_of_a_known_account_is_a_new_failure(
    erp: Erp, connection: psycopg.Connection
) -> None:
    erp.add_client(1)
    erp.add_invoice(1, "2026-11-01", "-1.00")
    assert refresh(connection)[1].failed == 1
    assert refresh(connection)[1].failed == 0
    erp.add_invoice(1, "2026-11-02", None)
    run, outcome = refresh(connection)
    assert outcome.failed == 1
    assert items(connection, run)[0][4] == "nota NF-1: valor negativo, e mais 1"
    assert refresh(connection)[1].failed == 0


@pytest.mark.parametrize("full", [False, True])
def test_an_account_of_a_customer_that_the_erp_lost_is_no_orphan(
    erp: Erp, connection: psycopg.Connection, full: bool
) -> None:
    erp.add_account(7)
    refresh(connection)
    erp.add_invoice(7, "2026-11-01")
    assert counts(refresh(connection, full=full)[1]) == (1, 1, 0, 0, 0)


def test_a_row_that_does_not_say_when_it_changed_counts_as_changed(
    erp: Erp, connection: psycopg.Connection
) -> None:
    erp.owner.execute("alter table erp.invoice alter updated_at drop not null")
    erp.add_client(1)
    erp.add_client(2)
    for _ in range(3):
        erp.add_invoice(2, "2026-11-01")
    refresh(connection)
    late = erp.add_invoice(1, "2026-11-01")
    erp.owner.execute("update erp.invoice set updated_at = null where invoice_id = %s", [late])
    refresh(connection)
    assert erp.stored(DAY) == erp.expected(DAY)


@pytest.mark.parametrize(("date", "failed"), [("-infinity", 1), ("infinity", 0)])
def test_an_infinite_date_harms_nobody(
    erp: Erp, connection: psycopg.Connection, date: str, failed: int
) -> None:
    good = erp.add_client(1)
    erp.add_client(2)
    erp.add_invoice(1, "2026-11-01")
    erp.add_invoice(2, "2026-11-01")
    erp.owner.execute("update erp.invoice set issued_on = %s where invoice_id = 2", [date])
    assert refresh(connection)[1].failed == failed
    assert erp.stored(DAY)[good] == erp.expected(DAY)[good]


def test_days_are_unknown_before_the_last_purchase_and_data_say_what_they_stand_for(
    erp: Erp, connection: psycopg.Connection
) -> None:
    good, bad = erp.add_client(1), erp.add_client(2)
    erp.add_invoice(1, "2026-11-10")
    erp.add_invoice(2, "2026-11-10", "-1.00")
    refresh(connection)
    assert erp.stored(dt.date(2026, 11, 9))[good][7] is None
    assert erp.stored(dt.date(2026, 11, 10))[good][7] == 0
    rows = erp.owner.execute("select account_id, as_of_on from crm.account_data(%s)", [DAY])
    assert dict(rows.fetchall()) == {good: DAY, bad: None}


def test_many_changed_accounts_are_read_by_a_scan_with_the_same_result(
    erp: Erp, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    for customer in range(1, 11):
        erp.add_client(customer)
        erp.add_invoice(customer, "2026-11-01")
    refresh(connection)
    for share in (0.0, 2.0):  # always scan, never scan
        monkeypatch.setattr("rotina.accounts.account_data_refresh.SCAN_SHARE", share)
        for customer in (2, 3):
            erp.add_invoice(customer, "2026-11-02")
        refresh(connection)
        assert erp.stored(DAY) == erp.expected(DAY)
        assert refresh(connection, full=True)[1].changed == 0


def test_two_runs_at_once_wait_for_each_other(
    erp: Erp, connection: psycopg.Connection, task_uri: str
) -> None:
    for customer in range(1, 30):
        erp.add_client(customer)
        erp.add_invoice(customer, "2026-11-01")
    outcomes: list[Outcome] = []

    def other() -> None:
        with psycopg.connect(task_uri, autocommit=True, cursor_factory=psycopg.ClientCursor) as mine:
            outcomes.append(refresh(mine)[1])

    threads = [threading.Thread(target=other) for _ in range(4)]
    for thread in threads:
        thread.start()
    outcomes.append(refresh(connection)[1])
    for thread in threads:
        thread.join(30)
    assert sorted(outcome.changed for outcome in outcomes) == [0, 0, 0, 0, 29]
    assert erp.stored(DAY) == erp.expected(DAY)


def test_settings_are_refused_before_anything_changes(erp: Erp, connection: psycopg.Connection) -> None:
    erp.add_client(1)
    erp.add_invoice(1, "2026-11-01")

    def refused(message: str, **params: Any) -> None:
        with pytest.raises(SettingError, match=message):
            check_settings(connection, params)
        with pytest.raises(SettingError, match=message):
            refresh(connection, **params)
        assert rows_written(connection) == []

    refused("audience = 'Nobody': there is no audience", audience="Nobody")
    erp.owner.execute("insert into crm.audience (name, filter) values ('Wrong', '{\"all\": []}')")
    refused("audience Wrong, filter.all = 'an empty list'", audience="Wrong")
    erp.owner.execute("alter table erp.invoice rename column cancelled_at to voided_at")
    refused(r"erp\.invoice\.cancelled_at")
    erp.owner.execute("alter table erp.invoice rename column voided_at to cancelled_at")
    erp.owner.execute("alter table erp.quote rename to quotation")
    refused(r"erp\.quote\.quoted_on")
    erp.owner.execute("alter table erp.quotation rename to quote")
    erp.owner.execute("alter table erp.invoice alter issued_on type timestamp")
    refused(r"erp\.invoice\.issued_on is timestamp without time zone, must be date")
    erp.owner.execute("alter table erp.invoice alter issued_on type date")
    erp.owner.execute("revoke select on erp.customer from rotina_task")
    refused(r"erp\.customer\.customer_id")
    erp.owner.execute("grant select on erp.customer to rotina_task")
    erp.owner.execute("update crm.integration set active = false")
    refused("integration erp, active")
    erp.owner.execute("delete from crm.integration")
    refused("integration erp, active")


def test_the_erp_may_be_views(erp: Erp, connection: psycopg.Connection) -> None:
    erp.add_client(1)
    erp.add_invoice(1, "2026-11-01")
    for table in ("customer", "invoice", "quote"):
        erp.owner.execute(f"alter table erp.{table} rename to {table}_of_vendor")  # type: ignore[arg-type]
        erp.owner.execute(f"create view erp.{table} as select * from erp.{table}_of_vendor")  # type: ignore[arg-type]
        erp.owner.execute(f"grant select on erp.{table} to rotina_task")  # type: ignore[arg-type]
    refresh(connection)
    assert erp.stored(DAY) == erp.expected(DAY)


def test_an_erp_on_another_server_is_attached_as_foreign_tables(
    erp: Erp, connection: psycopg.Connection, database: str
) -> None:
    for customer in range(1, 30):
        erp.add_client(customer)
        erp.add_invoice(customer, "2026-11-01")
    bad = erp.add_invoice(5, "2026-11-02", "-1.00")
    orphan = erp.add_invoice(None, "2026-11-02")
    erp.add_quote(3, "2026-11-03")
    info = connection.info
    erp.owner.execute("alter schema erp rename to erp_remote")
    erp.owner.execute("create extension postgres_fdw")
    erp.owner.execute("create schema erp")
    erp.owner.execute(
        psycopg.sql.SQL(
            "create server vendor foreign data wrapper postgres_fdw options (host {}, dbname {})"
        ).format(psycopg.sql.Literal(info.host), psycopg.sql.Literal(info.dbname))
    )
    erp.owner.execute(
        "create user mapping for public server vendor options (user 'postgres', password_required 'false')"
    )
    erp.owner.execute("import foreign schema erp_remote from server vendor into erp")
    erp.owner.execute("grant usage on schema erp to rotina_task")
    erp.owner.execute("grant select on all tables in schema erp to rotina_task")

    run, outcome = refresh(connection)
    assert counts(outcome) == (30, 28, 0, 0, 2)
    assert {row[1] for row in items(connection, run)} == {str(orphan), "5"}
    assert refresh(connection, full=True)[1].changed == 0
    erp.owner.execute(
        "update erp_remote.invoice set value = 1, updated_at = now() where invoice_id = %s", [bad]
    )
    erp.invoices[bad].value = Decimal(1)
    assert refresh(connection)[1].changed == 1
    assert erp.stored(DAY) == erp.expected(DAY)


DAYS = st.integers(1, 6).map(lambda day: dt.date(2026, 11, day))
CUSTOMERS = st.integers(1, 4)
#: Only this one has invoices that cannot be counted: the others are compared whatever else happens.
SPOILT_CUSTOMER = 1
VALUES = st.sampled_from(["0.00", "0.01", "10.00", "99.99"])
BAD_VALUES = st.sampled_from(["-1.00", None])
#: How far apart changes of the ERP are: beyond the delay that is allowed for, within it, not at all.
PACES = st.sampled_from([TICK, dt.timedelta(minutes=20), dt.timedelta()])


class RefreshMachine(RuleBasedStateMachine):
    """Any history of the ERP and of runs: incremental equals full equals the independent computation."""

    connection: psycopg.Connection
    owner: psycopg.Connection

    def __init__(self) -> None:
        super().__init__()
        self.owner.execute(
            "truncate erp.customer, erp.invoice, erp.quote, crm.account, crm.audience, "
            "crm.audience_account, crm.account_supplementary, crm.account_data_due, "
            "crm.account_data_problem, crm.account_data_state, "
            "crm.account_data_recent_invoice, crm.account_data_recent_quote, "
            "crm.integration, crm.run, crm.run_step, crm.run_item restart identity cascade"
        )
        self.erp = Erp(self.owner)
        accounts = [self.erp.add_client(customer) for customer in range(1, 5)]
        self.stranger = self.erp.add_account(None)
        self.erp.add_audience("A", accounts[:3])
        self.today = dt.date(2026, 11, 1)

    @initialize(filled=st.sampled_from([True, True, False]), pace=PACES)
    def fill(self, filled: bool, pace: dt.timedelta) -> None:
        self.erp.pace = pace
        if filled:
            for customer in range(1, 5):
                self.erp.add_invoice(customer, dt.date(2026, 11, customer), f"{customer}.00")
            self.today = dt.date(2026, 11, 4)
            self._run(self.today)

    @rule(purchases=st.lists(st.tuples(CUSTOMERS, DAYS, VALUES), min_size=1, max_size=3))
    def invoices(self, purchases: list[tuple[int, dt.date, str]]) -> None:
        for customer, day, value in purchases:
            self.erp.add_invoice(customer, day, value)

    @rule(customer=CUSTOMERS, day=DAYS)
    def invoice_that_leaves_out_a_key(self, customer: int, day: dt.date) -> None:
        self.erp.add_invoice(customer, day, key=max(self.erp.invoices, default=0) + 2)

    @precondition(lambda self: len(self.erp.invoices) < max(self.erp.invoices, default=0))
    @rule(data=st.data(), customer=CUSTOMERS, day=DAYS)
    def late_invoice(self, data: st.DataObject, customer: int, day: dt.date) -> None:
        """One that becomes visible after others with a greater key."""
        kept_back = set(range(1, max(self.erp.invoices))) - self.erp.invoices.keys()
        self.erp.add_invoice(customer, day, key=data.draw(st.sampled_from(sorted(kept_back))))

    @rule(day=DAYS, value=BAD_VALUES)
    def bad_invoice(self, day: dt.date, value: str | None) -> None:
        self.erp.add_invoice(SPOILT_CUSTOMER, day, value)

    @rule(customer=st.sampled_from([None, 77]), day=DAYS)
    def invoice_without_customer(self, customer: int | None, day: dt.date) -> None:
        self.erp.add_invoice(customer, day)

    @precondition(lambda self: self.erp.invoices)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        self.erp.cancel_invoice(data.draw(st.sampled_from(sorted(self.erp.invoices))))

    @precondition(lambda self: self.erp.invoices)
    @rule(data=st.data(), day=DAYS, value=VALUES)
    def change(self, data: st.DataObject, day: dt.date, value: str) -> None:
        invoice = data.draw(st.sampled_from(sorted(self.erp.invoices)))
        self.erp.change_invoice(invoice, issued_on=day, value=Decimal(value))

    @precondition(lambda self: any(i.customer == SPOILT_CUSTOMER for i in self.erp.invoices.values()))
    @rule(data=st.data(), day=st.one_of(st.none(), DAYS), value=BAD_VALUES)
    def spoil(self, data: st.DataObject, day: dt.date | None, value: str | None) -> None:
        invoices = sorted(i.id for i in self.erp.invoices.values() if i.customer == SPOILT_CUSTOMER)
        invoice = data.draw(st.sampled_from(invoices))
        self.erp.change_invoice(invoice, issued_on=day, value=None if value is None else Decimal(value))

    @rule(customer=CUSTOMERS, day=DAYS)
    def quote(self, customer: int, day: dt.date) -> None:
        self.erp.add_quote(customer, day)

    @rule(linked=st.booleans())
    def relink(self, linked: bool) -> None:
        customer = 50 + len(self.erp.invoices) if linked else None
        if customer and customer not in self.erp.customers:
            self.erp.add_customer(customer)
            self.erp.add_invoice(customer, "2026-11-01")
        self.erp.link_account(self.stranger, customer)

    @rule(days=st.sampled_from([0, 0, 1]), audience=st.sampled_from([None, None, "A"]))
    def usual_run(self, days: int, audience: str | None) -> None:
        """An incremental run on the same day or the next."""
        self._run(self.today + dt.timedelta(days=days), audience=audience)

    @rule(day=DAYS, full=st.booleans(), audience=st.sampled_from([None, "A"]))
    def any_run(self, day: dt.date, full: bool, audience: str | None) -> None:
        self._run(day, full=full, audience=audience)

    def _run(self, day: dt.date, *, full: bool = False, audience: str | None = None) -> None:
        run, outcome = refresh(self.connection, day, full=full, audience=audience)
        reported = items(self.connection, run)
        assert len(reported) == outcome.skipped + outcome.failed
        assert sum(row[2] == "failed" for row in reported) == outcome.failed
        if audience is None and "note" not in outcome.details:
            self.today = day
            ahead = {int(row[1]) for row in reported if row[3] == "newer_data"}
            stored = self.erp.stored(day)
            expected = self.erp.expected(day).items()
            assert {a: stored[a] for a, _ in expected if a not in ahead} == {
                a: fields for a, fields in expected if a not in ahead
            }

    def teardown(self) -> None:
        last = max(self.today, dt.date(2026, 11, 6))
        refresh(self.connection, last)
        invalid = {a for a, c in self.erp.accounts.items() if c in self.erp.invalid_customers(last)}
        stored = self.erp.stored(last)
        assert {a: fields for a, fields in stored.items() if a not in invalid} == self.erp.expected(last)
        run, outcome = refresh(self.connection, last, full=True)
        assert outcome.changed == 0
        named = {row[1] for row in items(self.connection, run) if row[0] == "account"}
        assert named >= {str(account) for account in invalid}
        assert self.erp.stored(last) == stored


@pytest.mark.hypothesis
@pytest.mark.parametrize("scan_share", [2.0, 0.0], ids=["by lookup", "by scan"])
def test_incremental_equals_full_whatever_happens(
    connection: psycopg.Connection,
    owner: psycopg.Connection,
    monkeypatch: pytest.MonkeyPatch,
    scan_share: float,
) -> None:
    monkeypatch.setattr("rotina.accounts.account_data_refresh.SCAN_SHARE", scan_share)
    RefreshMachine.connection, RefreshMachine.owner = connection, owner
    run_state_machine_as_test(
        RefreshMachine,
        settings=settings(
            max_examples=examples(20),
            stateful_step_count=30,
            suppress_health_check=list(HealthCheck),
        ),
    )
