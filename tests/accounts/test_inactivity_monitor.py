"""Inactivity monitor: who has not moved, who gets the account, who is told; each once."""

from __future__ import annotations

import asyncio
import csv
import datetime as dt
import email
import email.policy
import io
import itertools
import threading
from collections import Counter
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rotina.accounts import inactivity_monitor
from rotina.accounts.inactivity_monitor import check_settings, monitor_accounts
from rotina.accounts.monitoring_profiles import ProfileSettings, save_profile, save_team
from rotina.errors import SettingError
from rotina.local.mailbox import Mailbox, create_smtp
from rotina.messaging.adapters.opening import open_adapter
from rotina.messaging.gateways import load_gateway
from rotina.messaging.queue_dispatch import Dispatcher
from rotina.messaging.suppressions import suppress
from rotina.runs.record import Outcome, Run
from rotina.runs.summary import DETAIL_TITLES, REASON_TITLES, RECORD_TITLES, ROUTINE_TITLES
from tests.messaging.queue_data import add_account, add_customer, add_gateway, insert, messages
from tests.messaging.test_adapters_smtp import endpoint as smtp_endpoint
from tests.runs_by_hand import counts, do_work, items

SAO_PAULO = ZoneInfo("America/Sao_Paulo")
DAY = dt.date(2026, 11, 20)
PERIOD = 30
#: The first day of the period of DAY.
FIRST = dt.date(2026, 10, 21)
LONG_AGO = "2026-01-05 10:00"
ROUTINE = {"routine": "inactivity_monitor", "program": "crm00356"}

_keys = itertools.count(1)


@pytest.fixture(autouse=True)
def mail(owner: psycopg.Connection) -> int:
    """The only gateway for e-mail, and some users: ana and bia are active, caio has left."""
    for login, active in (("ana", True), ("bia", True), ("caio", False)):
        add_user(owner, login, active=active)
    return add_gateway(owner, "mail", kind="smtp")


def add_user(owner: psycopg.Connection, login: str, *, active: bool = True, **fields: Any) -> None:
    values = {"name": login.title(), "email": f"{login}@example.com", **fields}
    insert(owner, "crm.app_user", login=login, active=active, **values)


def add_profile(connection: psycopg.Connection, name: str = "parados", **fields: Any) -> int:
    """A profile of 30 days over tickets that notifies ana, unless told otherwise."""
    values: dict[str, Any] = {"period_days": PERIOD, "processes": ["ticket"], "users": ["ana"], **fields}
    return save_profile(connection, ProfileSettings(name, **values), "teste")


def at(text: str | dt.datetime) -> dt.datetime:
    """An instant in São Paulo."""
    return text if isinstance(text, dt.datetime) else dt.datetime.fromisoformat(text).replace(tzinfo=SAO_PAULO)


def add_quiet(owner: psycopg.Connection, moved: str | dt.datetime = LONG_AGO, **fields: Any) -> int:
    """An account that was made and last changed long ago, or at another instant."""
    values = {"created_at": at(moved), "updated_at": at(moved), **fields}
    return add_account(owner, values.pop("customer_id", None), **values)


def move(owner: psycopg.Connection, account: int, when: str | dt.datetime, process: str = "ticket") -> None:
    """Something happens to an account."""
    insert(owner, "crm.account_activity", account_id=account, process=process, occurred_at=at(when))


def add_quote(owner: psycopg.Connection, customer: int, quoted_on: str) -> None:
    values = {"quote_id": next(_keys), "customer_id": customer, "quoted_on": quoted_on}
    insert(owner, "erp.quote", updated_at=at(LONG_AGO), **values)


def add_order(owner: psycopg.Connection, customer: int, ordered_on: str) -> None:
    key = next(_keys)
    money = dict.fromkeys(("items_value", "discount_value", "shipping_value", "total_value"), 1)
    values = {"order_id": key, "code": str(key), "customer_id": customer, "ordered_on": ordered_on}
    insert(
        owner, "erp.sales_order", store_code="WEB", status="open", updated_at=at(LONG_AGO), **money, **values
    )


def add_audience(owner: psycopg.Connection, name: str, accounts: list[int]) -> None:
    (audience_id, *_) = insert(owner, "crm.audience", name=name)
    for account in accounts:
        insert(owner, "crm.audience_account", audience_id=audience_id, account_id=account)


def monitor(
    connection: psycopg.Connection, date: dt.date | str = DAY, **params: Any
) -> tuple[Run, Outcome]:
    return do_work(connection, monitor_accounts, date, **ROUTINE, **params)


def found(owner: psycopg.Connection) -> list[tuple[Any, ...]]:
    """What was found: profile, account, date, last movement in São Paulo, its process."""
    return owner.execute(
        "select p.name, account_id, found_on::text, "
        "to_char(last_movement_at at time zone 'America/Sao_Paulo', 'YYYY-MM-DD HH24:MI'), last_process "
        "from crm.inactive_account i join crm.monitoring_profile p on p.id = profile_id order by i.id"
    ).fetchall()


def accounts_found(owner: psycopg.Connection) -> list[int]:
    return sorted(row[1] for row in found(owner))


def owners(owner: psycopg.Connection) -> dict[int, str | None]:
    return dict(owner.execute("select id, owner_login from crm.account order by id").fetchall())


def written(owner: psycopg.Connection) -> list[Any]:
    """Every row that the routine writes with its physical version: equal lists mean that nothing was written."""
    rows: list[Any] = []
    for table in ("account", "inactive_account", "routine_progress", "message", "message_key"):
        rows += owner.execute(f"select ctid, xmin, t::text from crm.{table} t order by ctid").fetchall()  # type: ignore[arg-type]
    return rows


# -- movement ---------------------------------------------------------------------------------------------


def test_an_account_without_movement_is_found_once(
    owner: psycopg.Connection, connection: psycopg.Connection
) -> None:
    add_profile(connection)
    quiet, moving = add_quiet(owner), add_quiet(owner)
    move(owner, quiet, "2026-09-01 12:00")
    move(owner, quiet, "2026-08-01 12:00")
    move(owner, moving, "2026-11-01 12:00")
    run, outcome = monitor(connection)
    assert counts(outcome) == (2, 1, 1, 0, 0)
    assert found(owner) == [("parados", quiet, "2026-11-20", "2026-09-01 12:00", "ticket")]
    assert items(connection, run) == []
    before = written(owner)
    assert counts(monitor(connection)[1]) == (2, 0, 2, 0, 0)
    assert written(owner) == before
    monitor(connection, "2026-11-21")
    assert len(found(owner)) == 1
    assert len(messages(owner)) == 1


@pytest.mark.parametrize(
    ("moment", "moved"),
    [
        ("2026-10-21 00:00", True),  # the first instant of the period
        ("2026-10-20 23:59:59.999999", False),
        ("2026-11-20 23:59:59.999999", True),  # the last instant of the business date
        ("2026-11-21 00:00", False),  # what happened later does not count
    ],
)
@pytest.mark.parametrize("kind", ["activity", "change", "creation"])
def test_the_period_begins_and_ends_at_local_midnight(
    owner: psycopg.Connection, connection: psycopg.Connection, kind: str, moment: str, moved: bool
) -> None:
    add_profile(connection)
    if kind == "activity":
        account = add_quiet(owner)
        move(owner, account, moment)
    elif kind == "change":
        account = add_quiet(owner, updated_at=at(moment))
    else:
        account = add_quiet(owner, moment)
    monitor(connection)
    exists = not (kind == "creation" and at(moment) >= at("2026-11-21 00:00"))
    assert accounts_found(owner) == ([account] if exists and not moved else [])


@pytest.mark.parametrize("process", ["quote", "order"])
@pytest.mark.parametrize(
    ("day", "moved"),
    [("2026-10-20", False), ("2026-10-21", True), ("2026-11-20", True), ("2026-11-21", False)],
)
def test_a_date_counts_for_the_whole_of_its_day(
    owner: psycopg.Connection, connection: psycopg.Connection, process: str, day: str, moved: bool
) -> None:
    add_profile(connection, processes=[process])
    customer = add_customer(owner)
    account = add_quiet(owner, customer_id=customer)
    {"quote": add_quote, "order": add_order}[process](owner, customer, day)
    monitor(connection)
    movement = (f"{day} 00:00", process) if day < "2026-11-21" else ("2026-01-05 10:00", "account")
    assert [row[3:] for row in found(owner)] == ([] if moved else [movement])
    assert accounts_found(owner) == ([] if moved else [account])


@pytest.mark.parametrize(
    ("processes", "movements", "last"),
    [
        (["ticket"], {"ticket": "2026-09-01 08:00", "task": "2026-09-02 08:00"}, "ticket"),
        (["task"], {"ticket": "2026-09-01 08:00", "task": "2026-09-02 08:00"}, "task"),
        (["task", "ticket"], {"ticket": "2026-09-01 08:00", "task": "2026-09-02 08:00"}, "task"),
        (["task", "ticket"], {"ticket": "2026-09-02 08:00", "task": "2026-09-02 08:00"}, "task"),
        (["opportunity"], {"ticket": "2026-11-19 08:00"}, "account"),
        (["campaign_action", "quote"], {"campaign_action": "2026-09-01 08:00", "quote": "2026-09-01"}, "campaign_action"),
        (["quote", "order"], {"order": "2026-09-02", "quote": "2026-09-01"}, "order"),
        (["quote"], {"order": "2026-11-02", "quote": "2026-09-01"}, "quote"),
        (["order"], {"order": "2026-09-01", "quote": "2026-11-01"}, "order"),
    ],
)  # fmt: skip
def test_the_newest_movement_of_the_chosen_processes_is_the_last(
    owner: psycopg.Connection,
    connection: psycopg.Connection,
    processes: list[str],
    movements: dict[str, str],
    last: str,
) -> None:
    add_profile(connection, processes=processes)
    customer = add_customer(owner)
    account = add_quiet(owner, customer_id=customer)
    for process, when in movements.items():
        if process == "quote":
            add_quote(owner, customer, when)
        elif process == "order":
            add_order(owner, customer, when)
        else:
            move(owner, account, when, process)
    monitor(connection)
    assert [row[4] for row in found(owner)] == [last]


@pytest.mark.parametrize("process", ["opportunity", "ticket", "task", "campaign_action"])
def test_every_process_of_the_crm_can_be_movement(
    owner: psycopg.Connection, connection: psycopg.Connection, process: str
) -> None:
    add_profile(connection, processes=[process])
    account = add_quiet(owner)
    move(owner, account, "2026-11-10 09:00", process)
    assert counts(monitor(connection)[1]) == (1, 0, 1, 0, 0)


def test_a_change_is_never_before_the_creation(
    owner: psycopg.Connection, connection: psycopg.Connection
) -> None:
    add_profile(connection)
    add_quiet(owner, "2026-11-10 09:00", updated_at=at(LONG_AGO))
    assert counts(monitor(connection)[1]) == (1, 0, 1, 0, 0)


def test_inactive_and_later_accounts_are_not_looked_at(
    owner: psycopg.Connection, connection: psycopg.Connection
) -> None:
    add_profile(connection)
    add_quiet(owner, active=False)
    add_quiet(owner, "2026-11-21 00:00")
    assert counts(monitor(connection)[1]) == (0, 0, 0, 0, 0)


def test_no_accounts_and_no_profiles(owner: psycopg.Connection, connection: psycopg.Connection) -> None:
    assert counts(monitor(connection)[1]) == (0, 0, 0, 0, 0)
    add_profile(connection)
    assert counts(monitor(connection)[1]) == (0, 0, 0, 0, 0)


@pytest.mark.parametrize(
    ("date", "period", "first"),
    [
        ("2024-03-01", 1, "2024-02-29"),
        ("2023-03-01", 1, "2023-02-28"),
        ("2024-02-29", 366, "2023-02-28"),
        ("2026-03-31", 31, "2026-02-28"),
        ("2027-01-01", 365, "2026-01-01"),
        ("2019-02-20", 10, "2019-02-10"),  # the clock went back at the end of the 16th
        ("2018-11-10", 6, "2018-11-04"),  # a day without a midnight
    ],
)
def test_month_ends_leap_days_and_changes_of_the_clock(
    owner: psycopg.Connection, connection: psycopg.Connection, date: str, period: int, first: str
) -> None:
    add_profile(connection, period_days=period)
    begins = at(f"{first} 00:00")
    inside, outside = add_quiet(owner, "2015-01-01 00:00"), add_quiet(owner, "2015-01-01 00:00")
    move(owner, inside, begins)
    move(owner, outside, (begins.astimezone(dt.UTC) - dt.timedelta(microseconds=1)))
    monitor(connection, date)
    assert accounts_found(owner) == [outside]


def test_who_moves_and_stops_again_is_found_again(
    owner: psycopg.Connection, connection: psycopg.Connection
) -> None:
    add_profile(connection)
    account = add_quiet(owner)
    monitor(connection)
    move(owner, account, "2026-11-25 10:00")
    for day in ("2026-11-25", "2026-12-10", "2026-12-25"):
        assert monitor(connection, day)[1].changed == 0
    assert monitor(connection, "2026-12-26")[1].changed == 1
    assert monitor(connection, "2026-12-27")[1].changed == 0
    assert [row[2:4] for row in found(owner)] == [
        ("2026-11-20", "2026-01-05 10:00"),
        ("2026-12-26", "2026-11-25 10:00"),
    ]


@pytest.mark.parametrize("kind", ["change", "quote", "order"])
def test_any_movement_after_it_was_found_counts(
    owner: psycopg.Connection, connection: psycopg.Connection, kind: str
) -> None:
    add_profile(connection, processes=["ticket", "quote", "order"])
    customer = add_customer(owner)
    account = add_quiet(owner, customer_id=customer)
    monitor(connection)
    if kind == "change":
        owner.execute("update crm.account set updated_at = '2026-11-21 12:00-03' where id = %s", [account])
    else:
        {"quote": add_quote, "order": add_order}[kind](owner, customer, "2026-11-21")
    assert monitor(connection, "2026-12-21")[1].changed == 0
    assert monitor(connection, "2026-12-22")[1].changed == 1


def test_who_does_not_move_is_not_found_again_however_long_it_takes(
    owner: psycopg.Connection, connection: psycopg.Connection
) -> None:
    add_profile(connection, processes=["ticket", "quote", "order"])
    account = add_quiet(owner)
    monitor(connection)
    move(owner, account, "2026-11-30 10:00", "task")  # no movement of this profile
    move(owner, account, "2026-11-20 09:00")  # of before it was found, and only known now
    for day in ("2026-12-20", "2026-12-21", "2027-06-01", "2028-11-20"):
        assert monitor(connection, day)[1].changed == 0


def test_what_people_change_later_makes_nobody_inactive_again(
    owner: psycopg.Connection, connection: psycopg.Connection
) -> None:
    add_profile(connection)
    account = add_quiet(owner, updated_at=at("2026-06-01 10:00"))
    monitor(connection, "2026-11-19")
    owner.execute("update crm.account set updated_at = '2026-11-25 12:00-03' where id = %s", [account])
    assert monitor(connection, DAY)[1].changed == 0
    assert len(found(owner)) == 1


# -- dates ------------------------------------------------------------------------------------------------


def test_an_older_day_after_a_newer_one_writes_nothing(
    owner: psycopg.Connection, connection: psycopg.Connection
) -> None:
    add_profile(connection, transfer_to_login="bia")
    known, missed = add_quiet(owner), add_quiet(owner)
    move(owner, missed, "2026-11-19 10:00")
    monitor(connection)
    assert accounts_found(owner) == [known]
    owner.execute("delete from crm.account_activity")  # so that the older run has something to find
    before = written(owner)
    run, outcome = monitor(connection, "2026-11-19")
    assert counts(outcome) == (2, 0, 1, 1, 0)
    assert items(connection, run) == [
        ("account", str(missed), "skipped", "newer_data", "parados: 20/11/2026")
    ]
    assert written(owner) == before


def test_missed_days_made_good_in_order_find_each_account_on_its_day(
    owner: psycopg.Connection, connection: psycopg.Connection
) -> None:
    add_profile(connection)
    first, second = add_quiet(owner, "2026-10-18 10:00"), add_quiet(owner, "2026-10-19 10:00")
    for day in ("2026-11-17", "2026-11-18", "2026-11-19"):
        monitor(connection, day)
    assert [row[1:3] for row in found(owner)] == [(first, "2026-11-18"), (second, "2026-11-19")]


def test_each_profile_has_its_own_progress(owner: psycopg.Connection, connection: psycopg.Connection) -> None:
    add_profile(connection, "a")
    add_profile(connection, "b")
    account = add_quiet(owner)
    assert monitor(connection, profile="a")[1].details["profile"] == "a"
    assert [row[0] for row in found(owner)] == ["a"]
    run, outcome = monitor(connection, "2026-11-19")
    assert counts(outcome) == (1, 1, 0, 0, 0)
    assert items(connection, run) == []
    assert [row[0:3] for row in found(owner)] == [("a", account, "2026-11-20"), ("b", account, "2026-11-19")]


def test_a_renamed_or_changed_profile_finds_nothing_anew(
    owner: psycopg.Connection, connection: psycopg.Connection
) -> None:
    add_profile(connection)
    add_quiet(owner)
    monitor(connection)
    profile = ProfileSettings("outros", 10, ["task"], users=["bia"], transfer_to_login="bia")
    save_profile(connection, profile, "teste", renamed_from="parados")
    assert counts(monitor(connection, "2026-11-21")[1]) == (1, 0, 1, 0, 0)


def test_two_runs_at_once_find_each_account_once(task_uri: str, owner: psycopg.Connection) -> None:
    with psycopg.connect(task_uri, autocommit=True, cursor_factory=psycopg.ClientCursor) as connection:
        add_profile(connection, transfer_to_login="bia")
    for _ in range(20):
        add_quiet(owner)
    barrier = threading.Barrier(2)
    done: list[Outcome] = []

    def run() -> None:
        with psycopg.connect(task_uri, autocommit=True, cursor_factory=psycopg.ClientCursor) as connection:
            barrier.wait(timeout=30)
            done.append(monitor(connection)[1])

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert sorted(counts(outcome) for outcome in done) == [(20, 0, 20, 0, 0), (20, 20, 0, 0, 0)]
    assert len(found(owner)) == 20
    assert len(messages(owner)) == 1


def test_an_account_that_changes_during_the_run_is_not_overwritten(
    owner: psycopg.Connection, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_profile(connection, transfer_to_login="bia")
    account = add_quiet(owner)
    notify = inactivity_monitor._notify

    def meanwhile(*arguments: Any) -> Outcome:
        owner.execute("update crm.account set owner_login = 'ana', updated_at = %s where id = %s",
                      [at("2026-11-20 12:00"), account])  # fmt: skip
        return notify(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(inactivity_monitor, "_notify", meanwhile)
        with pytest.raises(psycopg.errors.SerializationFailure):
            monitor(connection)
    assert (found(owner), messages(owner), owners(owner)) == ([], [], {account: "ana"})
    connection.isolation_level = None
    assert counts(monitor(connection)[1]) == (1, 0, 1, 0, 0)
