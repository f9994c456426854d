"""Account status update (crm1003) against an independent computation, on a real PostgreSQL."""

from __future__ import annotations

import datetime as dt
import threading
from collections import defaultdict
from typing import Any

import psycopg
import pytest
from dateutil.relativedelta import relativedelta
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg.types.json import Jsonb

from rotina.accounts.account_data_refresh import refresh_accounts
from rotina.accounts.account_status_update import check_settings, update_status
from rotina.errors import SettingError, SourceEmptyError
from rotina.runs.record import Outcome, Run
from rotina.runs.summary import DETAIL_TITLES, REASON_TITLES, RECORD_TITLES
from tests.accounts.erp_data import Erp
from tests.examples import examples
from tests.messaging.queue_data import insert
from tests.runs_by_hand import counts, do_work, items

DAY = dt.date(2026, 11, 20)


def update(connection: psycopg.Connection, date: dt.date | str = DAY, **params: Any) -> tuple[Run, Outcome]:
    return do_work(
        connection, update_status, date, routine="account_status_update", program="crm1003", **params
    )


@pytest.fixture
def erp(erp: Erp) -> Erp:
    """An empty ERP, which is the source of the status: inactive after six months."""
    set_months(erp, 6)
    return erp


def set_months(erp: Erp, months: object) -> None:
    erp.owner.execute(
        "update crm.integration set settings = %s where code = 'erp'", [Jsonb({"months_inactive": months})]
    )


@pytest.fixture
def plans(erp: Erp) -> Erp:
    """An ERP whose health plans are the source of the status."""
    erp.owner.execute("update crm.integration set active = false")
    insert(erp.owner, "crm.integration", code="health_plan", name="Planos", active=True)
    return erp


def add_order(erp: Erp, customer: int, ordered_on: str | dt.date, status: str = "open") -> None:
    numbers = erp.owner.execute("select count(*) + 1 from erp.sales_order").fetchone()
    assert numbers is not None
    erp.owner.execute(
        "insert into erp.sales_order values (%s, %s, %s, %s, 'WEB', %s, 1, 0, 0, 1, now())",
        [numbers[0], f"P-{numbers[0]}", customer, ordered_on, status],
    )


def add_adhesion(
    erp: Erp, customer: int, starts_on: str, ends_on: str | None = None, *, cancelled: bool = False
) -> None:
    erp.owner.execute(
        "insert into erp.health_plan_adhesion "
        "select count(*) + 1, %s, 'Essencial', %s, %s, case when %s then now() end, now() "
        "from erp.health_plan_adhesion",
        [customer, starts_on, ends_on, cancelled],
    )


def statuses(erp: Erp) -> dict[int, str]:
    return dict(erp.owner.execute("select id, status from crm.account order by id").fetchall())


def history(erp: Erp) -> list[tuple[Any, ...]]:
    return erp.owner.execute(
        "select account_id, changed_on::text, from_status, to_status, source, reason, reason_on::text "
        "from crm.account_status_change order by id"
    ).fetchall()


def rows_written(erp: Erp) -> list[tuple[Any, ...]]:
    """Every stored row with its physical version: equal lists mean that nothing was written."""
    return [
        row
        for table in ("account", "account_status_change", "routine_progress")
        for row in erp.owner.execute(f"select ctid::text, xmin::text, t::text from crm.{table} as t")  # type: ignore[arg-type]
    ]


def test_the_status_and_why(erp: Erp, connection: psycopg.Connection) -> None:
    bought = erp.add_client(1)
    erp.add_invoice(1, "2026-11-03")
    erp.add_invoice(1, "2026-01-03")
    ordered = erp.add_client(2)
    add_order(erp, 2, "2026-11-04")
    stopped = erp.add_client(3)
    erp.add_invoice(3, "2026-02-03")
    add_order(erp, 3, "2026-02-04")
    erp.cancel_invoice(erp.add_invoice(3, "2026-11-05"))
    add_order(erp, 3, "2026-11-05", "cancelled")
    never = erp.add_client(4)
    unlinked = erp.add_account(None)
    lost = erp.add_account(6)
    erp.add_invoice(6, "2026-11-05")
    erp.owner.execute("update crm.account set status = 'active' where id = any(%s)", [[unlinked, lost]])
    run, outcome = update(connection)
    assert counts(outcome) == (6, 6, 0, 0, 0)
    assert outcome.details == {
        "source": "ERP",
        "months_inactive": 6,
        "to_active": 2,
        "to_inactive": 2,
        "to_not_integrated": 2,
    }
    assert outcome.details.keys() <= DETAIL_TITLES.keys()
    changed = ("2026-11-20", "not_integrated")
    assert sorted(history(erp)) == [
        (bought, *changed, "active", "erp", "movement", "2026-11-03"),
        (ordered, *changed, "active", "erp", "movement", "2026-11-04"),
        (stopped, *changed, "inactive", "erp", "no_movement", "2026-02-04"),
        (never, *changed, "inactive", "erp", "never_moved", None),
        (unlinked, "2026-11-20", "active", "not_integrated", "erp", "not_linked", None),
        (lost, "2026-11-20", "active", "not_integrated", "erp", "customer_missing", None),
    ]
    assert statuses(erp) == {account: to for account, _, _, to, *_ in history(erp)}
    assert items(connection, run) == []
    assert erp.owner.execute("select distinct run_id from crm.account_status_change").fetchall() == [
        (run.id,)
    ]


def test_no_accounts_at_all(erp: Erp, connection: psycopg.Connection) -> None:
    assert counts(update(connection)[1]) == (0, 0, 0, 0, 0)


def test_the_same_day_twice_writes_nothing_the_second_time(erp: Erp, connection: psycopg.Connection) -> None:
    for customer in range(1, 6):
        erp.add_client(customer)
        erp.add_invoice(customer, f"2026-0{customer}-25")
    erp.add_account(None)
    assert counts(update(connection)[1]) == (6, 5, 1, 0, 0)
    before = rows_written(erp)
    assert counts(update(connection)[1]) == (6, 0, 6, 0, 0)
    assert rows_written(erp) == before


def test_only_changed_accounts_are_written_and_people_changed_none(
    erp: Erp, connection: psycopg.Connection
) -> None:
    for customer in (1, 2):
        erp.add_client(customer)
        erp.add_invoice(customer, "2026-10-01")
    erp.owner.execute("update crm.account set updated_at = '2026-01-01 12:00+00', active = id <> 1")
    update(connection)
    before = rows_written(erp)
    erp.cancel_invoice(2)
    assert counts(update(connection, "2026-11-21")[1]) == (2, 1, 1, 0, 0)
    assert len(set(before) - set(rows_written(erp))) == 2  # the account, and how far the routine has come
    assert set(statuses(erp).values()) == {"active", "inactive"}
    assert erp.owner.execute("select distinct updated_at::text from crm.account").fetchall() == [
        ("2026-01-01 12:00:00+00",)
    ]


@pytest.mark.parametrize(
    ("moved_on", "months", "business_date", "status"),
    [
        ("2026-05-20", 6, "2026-11-20", "active"),  # the boundary day counts
        ("2026-05-19", 6, "2026-11-20", "inactive"),
        ("2026-11-20", 6, "2026-11-20", "active"),  # the business date counts
        ("2026-11-21", 6, "2026-11-20", "inactive"),  # and what is later does not
        ("2026-02-28", 6, "2026-08-31", "active"),  # month ends
        ("2026-02-27", 6, "2026-08-31", "inactive"),
        ("2026-02-28", 6, "2026-08-28", "active"),
        ("2024-02-29", 6, "2024-08-31", "active"),  # leap years
        ("2024-02-28", 6, "2024-08-31", "inactive"),
        ("2024-02-28", 6, "2024-08-28", "active"),
        ("2023-02-28", 12, "2024-02-29", "active"),
        ("2023-02-27", 12, "2024-02-29", "inactive"),
        ("2024-02-29", 12, "2025-02-28", "active"),
        ("2024-02-29", 12, "2025-03-01", "inactive"),
        ("2026-10-31", 1, "2026-11-30", "active"),
        ("2026-10-30", 1, "2026-11-30", "active"),
        ("2026-10-29", 1, "2026-11-30", "inactive"),
        ("2026-02-28", 1, "2026-03-31", "active"),
        ("2016-11-20", 120, "2026-11-20", "active"),
        ("2016-11-19", 120, "2026-11-20", "inactive"),
    ],
)
def test_the_months_and_their_boundaries(
    erp: Erp, connection: psycopg.Connection, moved_on: str, months: int, business_date: str, status: str
) -> None:
    set_months(erp, months)
    bought, ordered = erp.add_client(1), erp.add_client(2)
    erp.add_invoice(1, moved_on)
    add_order(erp, 2, moved_on)
    update(connection, business_date)
    assert statuses(erp) == {bought: status, ordered: status}


@pytest.mark.parametrize("zone", ["UTC", "America/Sao_Paulo", "Pacific/Kiritimati"])
def test_dates_are_those_of_the_business_whatever_the_zone_of_the_session(
    erp: Erp, connection: psycopg.Connection, zone: str
) -> None:
    connection.execute("select set_config('timezone', %s, false)", [zone])
    for customer, moved_on in enumerate(("2026-05-19", "2026-05-20", "2026-11-20", "2026-11-21"), 1):
        erp.add_client(customer)
        erp.add_invoice(customer, moved_on)
    update(connection)
    assert list(statuses(erp).values()) == ["inactive", "active", "active", "inactive"]
    assert [row[-1] for row in sorted(history(erp))] == ["2026-05-19", "2026-05-20", "2026-11-20", None]


def test_a_customer_becomes_inactive_the_day_after_the_boundary_and_comes_back(
    erp: Erp, connection: psycopg.Connection
) -> None:
    erp.add_client(1)
    erp.add_invoice(1, "2026-05-20")
    for day in ("2026-11-20", "2026-11-21", "2026-11-22"):
        update(connection, day)
    erp.add_invoice(1, "2026-11-23")
    for day in ("2026-11-23", "2026-11-24"):
        update(connection, day)
    assert [(row[1], row[3], row[5], row[6]) for row in history(erp)] == [
        ("2026-11-20", "active", "movement", "2026-05-20"),
        ("2026-11-21", "inactive", "no_movement", "2026-05-20"),
        ("2026-11-23", "active", "movement", "2026-11-23"),
    ]


def test_a_row_without_a_date_or_with_an_endless_one_counts_for_nothing_and_harms_nobody(
    erp: Erp, connection: psycopg.Connection
) -> None:
    for customer, moved_on in enumerate((None, "-infinity", "infinity"), 1):
        erp.add_client(customer)
        erp.owner.execute(
            "insert into erp.invoice (invoice_id, code, customer_id, issued_on, updated_at) "
            "values (%s, 'X', %s, %s, now())",
            [customer, customer, moved_on],
        )
    erp.add_invoice(None, "2026-11-01", key=9)
    erp.add_client(4)
    erp.add_invoice(4, "2026-11-01", None, key=10)  # without a value it is a movement all the same
    assert counts(update(connection)[1]) == (4, 4, 0, 0, 0)
    assert [row[3:] for row in sorted(history(erp))] == [
        *[("inactive", "erp", "never_moved", None)] * 3,
        ("active", "erp", "movement", "2026-11-01"),
    ]


@pytest.mark.parametrize(
    ("adhesions", "status", "reason", "reason_on"),
    [
        ([], "inactive", "no_adhesion", None),
        ([("2026-11-20", None)], "active", "adhesion_in_force", None),
        ([("2026-11-21", None)], "inactive", "no_adhesion", None),
        ([("2026-01-01", "2026-11-20")], "active", "adhesion_in_force", "2026-11-20"),
        ([("2026-01-01", "2026-11-19")], "inactive", "adhesion_ended", "2026-11-19"),
        (
            [("2025-01-01", "2025-12-31"), ("2026-01-01", "2026-06-30")],
            "inactive",
            "adhesion_ended",
            "2026-06-30",
        ),
        ([("2025-01-01", "2025-12-31"), ("2026-01-01", None)], "active", "adhesion_in_force", None),
        ([("2026-01-01", "2026-10-31"), ("2026-12-01", None)], "inactive", "adhesion_ended", "2026-10-31"),
        ([("2026-11-20", "2026-11-20")], "active", "adhesion_in_force", "2026-11-20"),
        ([("2026-11-30", "2026-11-10")], "inactive", "no_adhesion", None),  # it never begins
        ([("-infinity", "infinity")], "active", "adhesion_in_force", None),
        ([("2026-01-01", "-infinity")], "inactive", "adhesion_ended", None),
    ],
)
def test_health_plans(
    plans: Erp,
    connection: psycopg.Connection,
    adhesions: list[tuple[str, str | None]],
    status: str,
    reason: str,
    reason_on: str | None,
) -> None:
    account = plans.add_client(1)
    plans.add_invoice(1, "2026-11-01")  # which is no matter here
    add_adhesion(plans, 1, "2026-01-01", cancelled=True)
    for starts_on, ends_on in adhesions:
        add_adhesion(plans, 1, starts_on, ends_on)
    update(connection)
    assert statuses(plans) == {account: status}
    assert [row[3:] for row in history(plans)] == [(status, "health_plan", reason, reason_on)]


def test_accounts_that_the_health_plans_do_not_know(plans: Erp, connection: psycopg.Connection) -> None:
    unlinked, lost = plans.add_account(None), plans.add_account(2)
    plans.add_customer(1)
    add_adhesion(plans, 2, "2026-01-01")
    plans.owner.execute("update crm.account set status = 'active'")
    _, outcome = update(connection)
    assert outcome.details == {
        "source": "Planos",
        "to_active": 0,
        "to_inactive": 0,
        "to_not_integrated": 2,
    }
    assert [(row[0], row[5]) for row in history(plans)] == [
        (unlinked, "not_linked"),
        (lost, "customer_missing"),
    ]


def test_another_source_sets_the_status_anew(erp: Erp, connection: psycopg.Connection) -> None:
    erp.add_client(1)
    erp.add_invoice(1, "2026-11-01")
    update(connection)
    erp.owner.execute("update crm.integration set active = false")
    insert(erp.owner, "crm.integration", code="health_plan", name="Planos", active=True)
    add_adhesion(erp, 2, "2026-01-01")
    assert counts(update(connection)[1]) == (1, 1, 0, 0, 0)  # the same day
    assert [row[2:6] for row in history(erp)] == [
        ("not_integrated", "active", "erp", "movement"),
        ("active", "inactive", "health_plan", "no_adhesion"),
    ]


@pytest.mark.parametrize(("table", "seen"), [("customer", False), ("invoice", False), ("invoice", True)])
def test_an_erp_that_is_being_loaded_makes_nobody_inactive(
    erp: Erp, connection: psycopg.Connection, table: str, seen: bool
) -> None:
    erp.add_client(1)
    erp.add_invoice(1, "2026-11-01")
    if seen:  # there are orders, but the data refresh knows that there were invoices
        do_work(connection, refresh_accounts, DAY, routine="account_data_refresh", program="crm338")
        erp.add_client(2)
        add_order(erp, 2, "2026-11-01")
    update(connection)
    before = history(erp)
    erp.owner.execute(f"truncate erp.{table}")
    with pytest.raises(SourceEmptyError, match=f"^erp.{table}: there are no rows"):
        update(connection)
    assert history(erp) == before
    assert erp.owner.execute("select distinct status from crm.account").fetchall() == [("active",)]


def test_health_plans_that_are_being_loaded_make_nobody_inactive(
    plans: Erp, connection: psycopg.Connection
) -> None:
    plans.add_client(1)
    add_adhesion(plans, 1, "2026-01-01")
    update(connection)
    plans.owner.execute("truncate erp.health_plan_adhesion")
    with pytest.raises(SourceEmptyError, match="health_plan_adhesion"):
        update(connection)
    assert plans.owner.execute("select status from crm.account").fetchall() == [("active",)]


def test_an_account_that_is_linked_or_loses_its_customer(erp: Erp, connection: psycopg.Connection) -> None:
    erp.add_customer(1)
    erp.add_invoice(1, "2026-11-01")
    account = erp.add_account(None)
    update(connection)
    erp.link_account(account, 1)
    update(connection)
    erp.link_account(account, None)
    update(connection)
    assert [row[2:6] for row in history(erp)] == [
        ("not_integrated", "active", "erp", "movement"),
        ("active", "not_integrated", "erp", "not_linked"),
    ]


def test_an_older_day_after_a_newer_one_changes_nothing_and_names_what_it_would_have(
    erp: Erp, connection: psycopg.Connection
) -> None:
    quiet = erp.add_client(1)
    erp.add_invoice(1, "2026-05-20")
    erp.add_client(2)
    erp.add_invoice(2, "2026-11-01")
    erp.add_account(None)
    update(connection, "2026-11-21")
    before = rows_written(erp)
    for params in ({}, {"dry_run": True}):
        run, outcome = update(connection, "2026-11-20", **params)
        assert counts(outcome) == (3, 0, 2, 1, 0)
        assert outcome.details["note"] == "as contas já têm a situação de 21/11/2026; nenhuma foi alterada"
        assert items(connection, run) == [
            (
                "account",
                str(quiet),
                "skipped",
                "newer_data",
                "de inativa para ativa: último movimento em 20/05/2026",
            )
        ]
        assert rows_written(erp) == before
    assert {"newer_data", "status_dry_run"} <= REASON_TITLES.keys()
    assert "account" in RECORD_TITLES


def test_a_dry_run_names_who_would_change_and_writes_nothing(
    erp: Erp, connection: psycopg.Connection
) -> None:
    for customer, moved_on in ((1, "2026-11-01"), (2, "2026-02-01"), (3, None)):
        erp.add_client(customer)
        if moved_on:
            erp.add_invoice(customer, moved_on)
    unlinked, lost = erp.add_account(None), erp.add_account(9)
    erp.owner.execute("update crm.account set status = 'active' where id = any(%s)", [[unlinked, lost]])
    before = rows_written(erp)
    run, outcome = update(connection, dry_run=True)
    assert counts(outcome) == (5, 0, 0, 5, 0)
    assert outcome.details == {
        "source": "ERP",
        "months_inactive": 6,
        "note": "simulação: nenhuma conta foi alterada",
        "would_be_active": 1,
        "would_be_inactive": 2,
        "would_be_not_integrated": 2,
    }
    assert outcome.details.keys() <= DETAIL_TITLES.keys()
    assert [item[3:] for item in items(connection, run)] == [
        ("status_dry_run", "de não integrada para ativa: último movimento em 01/11/2026"),
        ("status_dry_run", "de não integrada para inativa: último movimento em 01/02/2026"),
        ("status_dry_run", "de não integrada para inativa: nunca teve movimento"),
        ("status_dry_run", "de ativa para não integrada: sem cliente no ERP"),
        ("status_dry_run", "de ativa para não integrada: o cliente não existe no ERP"),
    ]
    assert rows_written(erp) == before
    assert counts(update(connection, "2026-11-19")[1])[1] == 5  # the dry run of a later day was none


@pytest.mark.parametrize(
    ("starts_on", "ends_on", "detail"),
    [
        ("2026-01-01", None, "de não integrada para ativa: adesão em vigor"),
        ("2026-01-01", "2026-12-31", "de não integrada para ativa: adesão em vigor até 31/12/2026"),
        ("2026-01-01", "2026-06-30", "de não integrada para inativa: adesão encerrada em 30/06/2026"),
        ("2026-01-01", "-infinity", "de não integrada para inativa: adesão encerrada"),
        ("2027-01-01", None, "de não integrada para inativa: sem adesão"),
    ],
)
def test_a_dry_run_says_what_the_health_plans_say(
    plans: Erp, connection: psycopg.Connection, starts_on: str, ends_on: str | None, detail: str
) -> None:
    plans.add_client(1)
    add_adhesion(plans, 1, starts_on, ends_on)
    run, _ = update(connection, dry_run=True)
    assert [item[4] for item in items(connection, run)] == [detail]


def test_two_runs_at_once_wait_for_each_other(
    erp: Erp, connection: psycopg.Connection, task_uri: str
) -> None:
    for customer in range(1, 30):
        erp.add_client(customer)
        erp.add_invoice(customer, "2026-11-01")
    outcomes: list[Outcome] = []

    def other() -> None:
        with psycopg.connect(task_uri, autocommit=True, cursor_factory=psycopg.ClientCursor) as mine:
            outcomes.append(update(mine)[1])

    threads = [threading.Thread(target=other) for _ in range(3)]
    for thread in threads:
        thread.start()
    outcomes.append(update(connection)[1])
    for thread in threads:
        thread.join(30)
    assert sorted(outcome.changed for outcome in outcomes) == [0, 0, 0, 29]
    assert len(history(erp)) == 29


def test_an_account_that_somebody_changes_meanwhile_is_not_overwritten(
    erp: Erp, connection: psycopg.Connection
) -> None:
    account = erp.add_client(1)

    def unlinked_meanwhile(connection: psycopg.Connection, run: Run) -> Outcome:
        connection.execute("select count(*) from crm.account")  # the snapshot is taken
        erp.link_account(account, None)
        return update_status(connection, run)

    with pytest.raises(psycopg.errors.SerializationFailure):
        do_work(connection, unlinked_meanwhile, DAY, routine="account_status_update", program="crm1003")
    assert history(erp) == []
    assert counts(update(connection)[1]) == (1, 0, 1, 0, 0)


def test_the_history_goes_with_its_account(erp: Erp, connection: psycopg.Connection) -> None:
    erp.add_client(1)
    update(connection)
    erp.owner.execute("delete from crm.account")
    assert history(erp) == []


def test_settings_are_refused_before_anything_changes(erp: Erp, connection: psycopg.Connection) -> None:
    erp.add_client(1)
    before = rows_written(erp)

    def refused(message: str) -> None:
        with pytest.raises(SettingError, match=message):
            check_settings(connection, {})
        with pytest.raises(SettingError, match=message):
            update(connection)
        assert rows_written(erp) == before

    for months in (0, 121, "6", 6.5, True, None):
        set_months(erp, months)
        refused("^integration erp, months_inactive")
    erp.owner.execute("update crm.integration set settings = default")
    refused("^integration erp, months_inactive: is missing")
    erp.owner.execute("update crm.integration set settings = '[6]'")
    refused("^integration erp, settings = ")
    set_months(erp, 6)
    erp.owner.execute("alter table erp.sales_order rename column ordered_on to made_on")
    refused(r"erp\.sales_order\.ordered_on")
    erp.owner.execute("alter table erp.sales_order rename column made_on to ordered_on")
    erp.owner.execute("update crm.integration set active = false")
    refused("^integrations erp and health_plan, active = 'neither'")
    insert(erp.owner, "crm.integration", code="health_plan", name="Planos", active=True)
    erp.owner.execute("alter table erp.health_plan_adhesion alter ends_on type timestamp")
    refused(r"erp\.health_plan_adhesion\.ends_on is timestamp without time zone, must be date")
    erp.owner.execute("update crm.integration set active = true")
    refused("^integrations erp and health_plan, active = 'both'")
    erp.owner.execute("delete from crm.integration")
    refused("^integrations erp and health_plan, active = 'neither'")


def test_the_tables_of_the_other_source_may_be_absent(erp: Erp, connection: psycopg.Connection) -> None:
    erp.add_client(1)
    erp.owner.execute("drop table erp.health_plan_adhesion")
    assert update(connection)[1].changed == 1
    erp.owner.execute("update crm.integration set active = false")
    insert(erp.owner, "crm.integration", code="health_plan", name="Planos", active=True)
    with pytest.raises(SettingError, match=r"erp\.health_plan_adhesion\.adhesion_id"):
        check_settings(connection, {})


def test_the_erp_may_be_views(erp: Erp, connection: psycopg.Connection) -> None:
    account = erp.add_client(1)
    erp.add_invoice(1, "2026-11-01")
    for table in ("customer", "invoice", "sales_order"):
        erp.owner.execute(f"alter table erp.{table} rename to {table}_of_vendor")  # type: ignore[arg-type]
        erp.owner.execute(f"create view erp.{table} as select * from erp.{table}_of_vendor")  # type: ignore[arg-type]
        erp.owner.execute(f"grant select on erp.{table} to rotina_task")  # type: ignore[arg-type]
    update(connection)
    assert statuses(erp) == {account: "active"}


def test_a_view_that_has_a_customer_twice_does_not_count_its_account_twice(
    erp: Erp, connection: psycopg.Connection
) -> None:
    account = erp.add_client(1)
    erp.add_invoice(1, "2026-11-01")
    add_adhesion(erp, 1, "2026-01-01", "2026-10-31")
    erp.owner.execute("alter table erp.customer rename to customer_of_vendor")
    erp.owner.execute(
        "create view erp.customer as "
        "select * from erp.customer_of_vendor union all select * from erp.customer_of_vendor"
    )
    erp.owner.execute("grant select on erp.customer to rotina_task")
    assert counts(update(connection)[1]) == (1, 1, 0, 0, 0)
    erp.owner.execute("update crm.integration set active = false")
    insert(erp.owner, "crm.integration", code="health_plan", name="Planos", active=True)
    assert counts(update(connection)[1]) == (1, 1, 0, 0, 0)
    assert [(row[0], row[3]) for row in history(erp)] == [(account, "active"), (account, "inactive")]


# -- any data, any order of the days

CUSTOMERS = range(1, 5)
#: Around the boundaries of some months before the days of the runs, and of the days themselves.
MOVED_ON = st.dates(dt.date(2024, 1, 27), dt.date(2024, 3, 5)) | st.dates(
    dt.date(2024, 8, 25), dt.date(2024, 9, 5)
)
RUN_ON = st.dates(dt.date(2024, 8, 27), dt.date(2024, 9, 3))

CHANGES = st.one_of(
    st.tuples(st.just("invoice"), st.sampled_from(CUSTOMERS), MOVED_ON, st.booleans()),
    st.tuples(st.just("order"), st.sampled_from(CUSTOMERS), MOVED_ON, st.booleans()),
    st.tuples(st.just("run"), RUN_ON, st.integers(5, 7), st.booleans()),
)


@settings(max_examples=examples(30))
@given(changes=st.lists(CHANGES, min_size=4, max_size=14))
def test_the_status_is_that_of_the_newest_day_whatever_happens(
    erp: Erp, connection: psycopg.Connection, changes: list[tuple[Any, ...]]
) -> None:
    erp.owner.execute(
        "truncate crm.account, crm.account_status_change, crm.routine_progress, "
        "erp.customer, erp.invoice, erp.sales_order cascade"
    )
    accounts = {erp.add_client(customer): customer for customer in CUSTOMERS}
    erp.invoices.clear()
    moved: dict[int, list[dt.date]] = defaultdict(list)
    status = dict.fromkeys(accounts, "not_integrated")
    newest = dt.date.min
    for kind, *values in changes:
        if kind == "run":
            date, months, dry_run = values
            set_months(erp, months)
            since = date - relativedelta(months=months)
            expected = {
                account: "active" if any(since <= day <= date for day in moved[customer]) else "inactive"
                for account, customer in accounts.items()
            }
            different = sum(expected[account] != status[account] for account in accounts)
            run, outcome = update(connection, date, dry_run=dry_run)
            if dry_run or date < newest:
                assert counts(outcome) == (4, 0, 4 - different, different, 0)
                assert len(items(connection, run)) == different
            else:
                assert counts(outcome) == (4, different, 4 - different, 0, 0)
                newest, status = date, expected
            written = [row for row in history(erp) if row[0] in accounts]
            assert statuses(erp) == status
            assert {row[0]: row[3] for row in written} == {
                account: to for account, to in status.items() if to != "not_integrated"
            }
            if written and outcome.changed:
                account, changed_on, *_, reason, reason_on = written[-1]
                last = max((day for day in moved[accounts[account]] if day <= date), default=None)
                assert changed_on == date.isoformat()
                assert reason_on == (last and last.isoformat())
                assert reason == (
                    "movement" if status[account] == "active" else "no_movement" if last else "never_moved"
                )
        else:
            customer, day, cancelled = values
            if kind == "invoice":
                invoice = erp.add_invoice(customer, day)
                if cancelled:
                    erp.cancel_invoice(invoice)
            else:
                add_order(erp, customer, day, "cancelled" if cancelled else "open")
            if not cancelled:
                moved[customer].append(day)
