"""Inactivity monitor: who has not moved, who gets the account, who is told; each once."""

from __future__ import annotations

import asyncio
import csv
import datetime as dt
import io
import itertools
import threading
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic_core import to_json

from rotina.accounts import inactivity_monitor
from rotina.accounts.audiences import AudienceSettings, save_audience
from rotina.accounts.inactivity_monitor import check_settings, monitor_accounts
from rotina.accounts.monitoring_profiles import ProfileSettings, save_profile, save_team
from rotina.errors import SettingError
from rotina.local.mailbox import Mailbox, StoredMessage
from rotina.messaging.suppressions import suppress
from rotina.runs.record import Outcome, Run
from rotina.runs.summary import DETAIL_TITLES, REASON_TITLES, RECORD_TITLES, ROUTINE_TITLES
from tests.examples import examples
from tests.messaging.queue_data import add_account, add_customer, add_gateway, insert, messages
from tests.messaging.test_birthday_emails import _dispatch as send_waiting
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
    return (
        text if isinstance(text, dt.datetime) else dt.datetime.fromisoformat(text).replace(tzinfo=SAO_PAULO)
    )


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


def monitor(connection: psycopg.Connection, date: dt.date | str = DAY, **params: Any) -> tuple[Run, Outcome]:
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
    """Every row that the routine writes, with its physical version: equal means that nothing was written."""
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
        (["task", "quote"], {"task": "2026-09-01 08:00", "quote": "2026-09-01"}, "task"),
        (["task", "quote"], {"task": "2026-09-01 00:00", "quote": "2026-09-01"}, "task"),
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


@pytest.mark.parametrize("kind", ["ticket", "change", "quote", "order"])
def test_a_movement_on_the_very_day_that_it_was_found_counts(
    owner: psycopg.Connection, connection: psycopg.Connection, kind: str
) -> None:
    add_profile(connection, processes=["ticket", "quote", "order"])
    customer = add_customer(owner)
    account = add_quiet(owner, customer_id=customer)
    monitor(connection)  # early in the morning: people read of it, and call the customer
    if kind == "ticket":
        move(owner, account, "2026-11-20 00:00")
    elif kind == "change":
        owner.execute("update crm.account set updated_at = '2026-11-20 10:00-03' where id = %s", [account])
    else:
        {"quote": add_quote, "order": add_order}[kind](owner, customer, "2026-11-20")
    assert monitor(connection)[1].changed == 0
    assert monitor(connection, "2026-12-20")[1].changed == 0
    assert monitor(connection, "2026-12-21")[1].changed == 1
    assert monitor(connection, "2026-12-22")[1].changed == 0


def test_who_does_not_move_is_not_found_again_however_long_it_takes(
    owner: psycopg.Connection, connection: psycopg.Connection
) -> None:
    add_profile(connection, processes=["ticket", "quote", "order"])
    account = add_quiet(owner)
    monitor(connection)
    move(owner, account, "2026-11-30 10:00", "task")  # no movement of this profile
    move(owner, account, "2026-11-19 23:59:59")  # of before it was found, and only known now
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


# -- whatever happens ---------------------------------------------------------------------------------------

_MOVEMENTS = ("ticket", "task", "quote", "order", "account")
#: Hours from the first midnight: the edges of days, and some in between.
_HOURS = st.builds(lambda day, hour: 24 * day + hour, st.integers(0, 24), st.sampled_from([-1, 0, 1, 12, 23]))


@settings(max_examples=examples(20))
@given(data=st.data())
def test_it_finds_what_a_person_would_find_day_by_day(
    owner: psycopg.Connection, connection: psycopg.Connection, data: st.DataObject
) -> None:
    first = dt.date(2026, 11, 1)
    midnight = at("2026-11-01 00:00")
    periods = data.draw(st.lists(st.integers(1, 6), min_size=1, max_size=3), "periods")
    profiles = [
        (f"p{number}", period, data.draw(st.sets(st.sampled_from(_MOVEMENTS[:4]), min_size=1), "processes"))
        for number, period in enumerate(periods)
    ]
    lives = data.draw(
        st.lists(st.lists(st.tuples(st.sampled_from(_MOVEMENTS), _HOURS), max_size=4), max_size=3), "lives"
    )
    days = data.draw(st.lists(st.integers(0, 24), min_size=1, max_size=8, unique=True), "days")
    try:
        for name, period, processes in profiles:
            add_profile(connection, name, period_days=period, processes=sorted(processes))
        accounts: dict[int, list[tuple[str, dt.datetime]]] = {}
        for life in lives:
            customer = add_customer(owner)
            changes = [
                midnight + dt.timedelta(hours=hours) for process, hours in life if process == "account"
            ]
            account = add_quiet(owner, customer_id=customer, updated_at=max(changes, default=at(LONG_AGO)))
            moved = [("account", at(LONG_AGO)), ("account", max(changes, default=at(LONG_AGO)))]
            for process, hours in life:
                moment = midnight + dt.timedelta(hours=hours)
                if process in ("quote", "order"):
                    {"quote": add_quote, "order": add_order}[process](owner, customer, f"{moment:%Y-%m-%d}")
                    moment = dt.datetime.combine(moment.date(), dt.time(), SAO_PAULO)
                elif process != "account":
                    move(owner, account, moment, process)
                if process != "account":
                    moved.append((process, moment))
            accounts[account] = moved
        known: dict[tuple[str, int], dt.date] = {}
        expected: list[tuple[Any, ...]] = []
        done = dt.date.min
        for number in days:
            date = first + dt.timedelta(days=number)
            monitor(connection, date)
            if date < done:
                continue
            done = date
            for name, period, processes in profiles:
                begins = at(f"{date - dt.timedelta(days=period)} 00:00")
                ends = at(f"{date + dt.timedelta(days=1)} 00:00")
                for account, moved in accounts.items():
                    counted = [
                        moment for process, moment in moved
                        if moment < ends and process in {*processes, "account"}
                    ]  # fmt: skip
                    newest = max(counted)
                    before = known.get((name, account))
                    if newest < begins and (before is None or newest >= at(f"{before} 00:00")):
                        known[name, account] = date
                        shown = newest.astimezone(SAO_PAULO)
                        expected.append((name, account, str(date), f"{shown:%Y-%m-%d %H:%M}"))
        assert sorted(row[:4] for row in found(owner)) == sorted(expected)
    finally:
        owner.execute("truncate crm.inactive_account, crm.monitoring_profile, crm.account cascade")
        owner.execute("truncate crm.account_activity, crm.routine_progress, erp.quote, erp.sales_order")


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


# -- several profiles, audiences ----------------------------------------------------------------------------


def test_profiles_of_different_periods_and_processes(
    owner: psycopg.Connection, connection: psycopg.Connection
) -> None:
    add_profile(connection, "curto", period_days=10)
    add_profile(connection, "longo", period_days=300)
    add_profile(connection, "tarefas", processes=["task"])
    add_profile(connection, "velho", period_days=10, active=False)
    october, november = add_quiet(owner), add_quiet(owner)
    move(owner, october, "2026-10-01 10:00")
    move(owner, november, "2026-11-09 10:00")
    move(owner, november, "2026-11-08 10:00", "task")
    assert counts(monitor(connection)[1]) == (2, 2, 0, 0, 0)
    assert sorted(row[:2] + row[3:] for row in found(owner)) == [
        ("curto", october, "2026-10-01 10:00", "ticket"),
        ("curto", november, "2026-11-09 10:00", "ticket"),
        ("tarefas", october, LONG_AGO, "account"),
    ]


def test_only_the_audience_of_a_profile_is_looked_at(
    owner: psycopg.Connection, connection: psycopg.Connection
) -> None:
    inside, outside = add_quiet(owner), add_quiet(owner)
    add_audience(owner, "vip", [inside])
    add_audience(owner, "outra", [inside])
    add_profile(connection, "a", audience="vip")
    add_profile(connection, "b", audience="outra")
    assert counts(monitor(connection)[1]) == (1, 1, 0, 0, 0)
    assert accounts_found(owner) == [inside, inside]
    add_profile(connection, "c")
    assert counts(monitor(connection)[1]) == (2, 2, 0, 0, 0)
    assert accounts_found(owner) == [inside, inside, inside, outside]


def test_an_audience_may_be_a_filter(owner: psycopg.Connection, connection: psycopg.Connection) -> None:
    add_quiet(owner)
    companies = [add_quiet(owner, kind="company") for _ in range(2)]
    document = {"field": "kind", "op": "=", "value": "company"}
    save_audience(connection, AudienceSettings("empresas", filter=document), "ana")
    add_profile(connection, "a", audience="empresas")
    assert counts(monitor(connection)[1]) == (2, 2, 0, 0, 0)
    assert accounts_found(owner) == companies


def test_an_audience_that_was_written_wrong_is_refused(
    owner: psycopg.Connection, connection: psycopg.Connection
) -> None:
    add_quiet(owner)
    insert(owner, "crm.audience", name="vip", filter='{"field": "cor"}')
    add_profile(connection, "a", audience="vip")
    for refused in (lambda: check_settings(connection, {}), lambda: monitor(connection)):
        with pytest.raises(SettingError, match="audience vip, filter"):
            refused()
    assert found(owner) == []


# -- transfers ----------------------------------------------------------------------------------------------


def test_accounts_go_to_a_named_owner_and_keep_the_rest(
    owner: psycopg.Connection, connection: psycopg.Connection
) -> None:
    add_profile(connection, transfer_to_login="bia")
    nobodys, anas, bias = (add_quiet(owner, owner_login=login) for login in (None, "ana", "bia"))
    before = owner.execute("select id, updated_at, status, class_id from crm.account order by id").fetchall()
    bias_row = owner.execute("select ctid from crm.account where id = %s", [bias]).fetchall()
    _, outcome = monitor(connection)
    assert counts(outcome) == (3, 3, 0, 0, 0)
    assert outcome.details["transferred"] == 2
    assert owners(owner) == {nobodys: "bia", anas: "bia", bias: "bia"}
    assert owner.execute("select ctid from crm.account where id = %s", [bias]).fetchall() == bias_row
    assert (
        owner.execute("select id, updated_at, status, class_id from crm.account order by id").fetchall()
        == before
    )
    assert owner.execute(
        "select account_id, owner_before, owner_after, transferred from crm.inactive_account order by 1"
    ).fetchall() == [
        (nobodys, None, "bia", True),
        (anas, "ana", "bia", True),
        (bias, "bia", "bia", False),
    ]


def test_what_was_transferred_is_not_transferred_again(
    owner: psycopg.Connection, connection: psycopg.Connection
) -> None:
    add_profile(connection, transfer_to_login="bia")
    account = add_quiet(owner)
    monitor(connection)
    owner.execute("update crm.account set owner_login = 'ana'")
    for day in (DAY, "2026-11-21"):
        assert monitor(connection, day)[1].changed == 0
    assert owners(owner) == {account: "ana"}


def test_the_first_profile_by_name_that_transfers_decides(
    owner: psycopg.Connection, connection: psycopg.Connection
) -> None:
    add_user(owner, "davi")
    add_profile(connection, "c", transfer_to_login="davi")
    add_profile(connection, "b", transfer_to_login="bia")
    add_profile(connection, "a")
    account = add_quiet(owner, owner_login="ana")
    _, outcome = monitor(connection)
    assert counts(outcome) == (1, 1, 0, 0, 0)
    assert outcome.details["transferred"] == 1
    assert owners(owner) == {account: "bia"}
    assert owner.execute(
        "select p.name, owner_before, owner_after, transferred from crm.inactive_account "
        "join crm.monitoring_profile p on p.id = profile_id order by 1"
    ).fetchall() == [("a", "ana", "bia", False), ("b", "ana", "bia", True), ("c", "ana", "bia", False)]


def test_an_account_of_the_first_profiles_target_goes_nowhere(
    owner: psycopg.Connection, connection: psycopg.Connection
) -> None:
    add_profile(connection, "a", transfer_to_login="ana")
    add_profile(connection, "b", transfer_to_login="bia")
    account = add_quiet(owner, owner_login="ana")
    monitor(connection)
    assert owners(owner) == {account: "ana"}


def test_a_team_gets_accounts_in_turn_without_those_who_left(
    owner: psycopg.Connection, connection: psycopg.Connection
) -> None:
    add_user(owner, "davi")
    save_team(connection, "vendas", ["ana", "bia", "caio", "davi"], "teste")
    add_profile(connection, transfer_to_team="vendas")
    recent = at("2026-11-15 10:00")
    for login in ("ana", "ana", "ana", "davi"):
        add_account(owner, owner_login=login, created_at=recent, updated_at=recent)
    add_account(owner, owner_login="davi", active=False)
    kept = add_quiet(owner, owner_login="ana")
    given_away = [add_quiet(owner, owner_login=login) for login in ("caio", None, "eva", None, None, None)]
    monitor(connection)
    assert owners(owner)[kept] == "ana"
    # They have 4, 0 and 1: bia is raised to one, then bia and davi go in turn.
    assert [owners(owner)[account] for account in given_away] == ["bia", "bia", "davi", "bia", "davi", "bia"]


@settings(max_examples=examples(30))  # each example rolls back
@given(
    owned=st.lists(st.integers(0, 6), min_size=1, max_size=5),
    inactive=st.integers(0, 5),
    given_away=st.integers(0, 25),
)
def test_a_team_is_balanced_as_if_each_account_went_to_who_has_the_fewest(
    owner: psycopg.Connection,
    connection: psycopg.Connection,
    owned: list[int],
    inactive: int,
    given_away: int,
) -> None:
    logins = [f"m{number}" for number in range(len(owned))]
    try:
        for login in [*logins, "z"]:
            add_user(owner, login, active=login != "z")
        save_team(connection, "time", [*logins, "z"], "teste")
        add_profile(connection, transfer_to_team="time")
        recent = at("2026-11-15 10:00")
        for login, number in zip(logins, owned, strict=True):
            for _ in range(number):
                add_account(owner, owner_login=login, created_at=recent, updated_at=recent)
        for _ in range(inactive):
            add_account(owner, owner_login=logins[0], active=False)
        accounts = [add_quiet(owner) for _ in range(given_away)]
        monitor(connection)
        has = dict(zip(logins, owned, strict=True))
        expected = []
        for _ in accounts:
            lucky = min(logins, key=lambda login: (has[login], login))
            has[lucky] += 1
            expected.append(lucky)
        assert [owners(owner)[account] for account in accounts] == expected
    finally:
        owner.execute("delete from crm.inactive_account")
        owner.execute("delete from crm.monitoring_profile")
        owner.execute("delete from crm.account")
        owner.execute("delete from crm.team")
        owner.execute("delete from crm.app_user where login ~ '^m|z'")


def test_an_owner_who_left_is_reported(owner: psycopg.Connection, connection: psycopg.Connection) -> None:
    add_profile(connection, "a", period_days=60)
    add_profile(connection, "b", period_days=100, transfer_to_login="bia")
    stays = add_quiet(owner, "2026-09-01 10:00", owner_login="caio")
    unknown = add_quiet(owner, "2026-09-01 10:00", owner_login="eva")
    goes = add_quiet(owner, owner_login="caio")
    run, outcome = monitor(connection)
    assert counts(outcome) == (3, 1, 0, 2, 0)
    assert outcome.details["owner_left"] == 3
    assert items(connection, run) == [
        ("account", str(stays), "skipped", "owner_left", "caio"),
        ("account", str(unknown), "skipped", "owner_left", "eva"),
    ]
    assert owners(owner) == {stays: "caio", unknown: "eva", goes: "bia"}
    assert accounts_found(owner) == [stays, unknown, goes, goes]
    run, outcome = monitor(connection, "2026-11-21")
    assert (counts(outcome), items(connection, run)) == ((3, 0, 3, 0, 0), [])


def test_a_dry_run_names_who_would_be_found_and_changes_nothing(
    owner: psycopg.Connection, connection: psycopg.Connection
) -> None:
    add_profile(connection, "a")
    add_profile(connection, "b", transfer_to_login="bia")
    first, second = add_quiet(owner, owner_login="ana"), add_quiet(owner, owner_login="bia")
    before = written(owner)
    run, outcome = monitor(connection, dry_run=True)
    assert counts(outcome) == (2, 0, 0, 2, 0)
    assert items(connection, run) == [
        ("account", str(first), "skipped", "would_be_found", "a, b; ana → bia"),
        ("account", str(second), "skipped", "would_be_found", "a, b"),
    ]
    assert written(owner) == before
    assert monitor(connection)[1].changed == 2


# -- digests ------------------------------------------------------------------------------------------------


def digests(owner: psycopg.Connection) -> dict[str, dict[str, Any]]:
    """The payload of each digest, by recipient."""
    return {message["recipient"]: message["payload"] for message in messages(owner)}


def notified(owner: psycopg.Connection) -> dict[int, list[str]]:
    return dict(owner.execute("select account_id, notified from crm.inactive_account").fetchall())


def test_one_digest_per_person_with_a_section_per_profile(
    owner: psycopg.Connection, connection: psycopg.Connection
) -> None:
    add_profile(connection, "Sem atendimento", users=["ana", "bia"])
    add_profile(connection, "Sem tarefa", processes=["task"], period_days=1, transfer_to_login="bia")
    account = add_quiet(owner, name="Empresa <X> & Filhos", owner_login="caio")
    move(owner, account, "2026-08-03 00:30")
    run, outcome = monitor(connection)
    assert outcome.details["digests"] == 2
    ana, bia = messages(owner)
    assert (ana["recipient"], ana["recipient_name"]) == ("ana@example.com", "Ana")
    assert (ana["origin"], ana["origin_key"], ana["run_id"]) == ("inactivity_monitor", "ana", run.id)
    assert ana["payload"]["subject"] == "[Rotina] Contas sem movimento em 20/11/2026: 2"
    assert set(ana["payload"]) == {"subject", "text", "html"}
    text = ana["payload"]["text"]
    line = f"- Empresa <X> & Filhos (conta {account}): último movimento em"
    assert text.splitlines() == [
        "Olá, Ana!",
        "",
        "2 contas estão sem movimento em 20/11/2026.",
        "",
        "Sem atendimento — 1 conta sem movimento há mais de 30 dias",
        f"{line} 03/08/2026 (atendimento); responsável: caio (saiu) → bia",
        "",
        "Sem tarefa — 1 conta sem movimento há mais de 1 dia",
        f"{line} 05/01/2026 (cadastro); responsável: caio (saiu) → bia",
        "",
        "Mensagem automática de Rotina.",
    ]
    assert "Empresa &lt;X&gt; &amp; Filhos" in ana["payload"]["html"]
    assert "1 conta está sem movimento" in bia["payload"]["text"]
    assert "Sem tarefa" not in bia["payload"]["text"]
    assert owner.execute(
        "select p.name, notified from crm.inactive_account "
        "join crm.monitoring_profile p on p.id = profile_id order by 1"
    ).fetchall() == [("Sem atendimento", ["ana", "bia"]), ("Sem tarefa", ["ana"])]


def test_owners_are_told_of_their_own_accounts(
    owner: psycopg.Connection, connection: psycopg.Connection
) -> None:
    for login in ("davi", "eva"):
        add_user(owner, login)
    save_team(connection, "time", ["davi", "eva"], "teste")
    add_profile(connection, users=[], notify_owners=True, transfer_to_team="time")
    accounts = [add_quiet(owner, owner_login=login) for login in ("ana", "bia", "caio", None, "davi")]
    run, _ = monitor(connection)
    assert items(connection, run) == []  # caio left, and is no user of the profile
    first, second, third, fourth, fifth = accounts
    assert notified(owner) == {
        first: ["ana", "eva"],
        second: ["bia", "davi"],
        third: ["eva"],
        fourth: ["davi"],
        fifth: ["davi"],
    }
    sent = digests(owner)
    told = {
        who: [account for account in accounts if f"(conta {account})" in payload["text"]]
        for who, payload in sent.items()
    }
    assert told == {
        "ana@example.com": [first],
        "bia@example.com": [second],
        "davi@example.com": [second, fourth, fifth],
        "eva@example.com": [first, third],
    }


def test_without_anybody_to_notify_no_gateway_is_needed(
    owner: psycopg.Connection, connection: psycopg.Connection, mail: int
) -> None:
    owner.execute("update crm.gateway set active = false")
    add_profile(connection, users=[], transfer_to_login="bia")
    account = add_quiet(owner)
    assert monitor(connection)[1].changed == 1
    assert (messages(owner), notified(owner)) == ([], {account: []})


def test_a_later_run_of_the_day_tells_of_what_it_finds(
    owner: psycopg.Connection, connection: psycopg.Connection
) -> None:
    add_profile(connection)
    add_quiet(owner)
    monitor(connection)
    late = add_quiet(owner)
    monitor(connection)
    first, second = messages(owner)
    assert first["dedupe_key"] != second["dedupe_key"]
    assert f"(conta {late})" in second["payload"]["text"]
    assert "1 conta está" in second["payload"]["text"]


def test_people_who_cannot_be_told_are_named_and_stop_nobody(
    owner: psycopg.Connection, connection: psycopg.Connection
) -> None:
    add_user(owner, "davi", email="sem arroba")
    add_user(owner, "eva", email="Eva@Example.com")
    add_user(owner, "gil", email="")
    suppress(connection, "email", "eva@example.com", "opted_out", "teste")
    add_profile(connection, users=["ana", "caio", "davi", "eva", "gil"])
    account = add_quiet(owner)
    run, outcome = monitor(connection)
    assert counts(outcome) == (5, 1, 0, 3, 1)
    assert items(connection, run) == [
        ("user", "caio", "skipped", "user_left", "parados"),
        ("user", "davi", "failed", "invalid_email", None),
        ("user", "eva", "skipped", "opted_out", None),
        ("user", "gil", "skipped", "no_email", None),
    ]
    assert notified(owner) == {account: ["ana"]}
    assert list(digests(owner)) == ["ana@example.com"]


def attached(payload: dict[str, Any]) -> list[list[str]]:
    """The rows of the file of a digest."""
    (file,) = payload["attachments"]
    assert (file["name"], file["type"]) == ("contas-sem-movimento-2026-11-20.csv", "text/csv")
    assert file["text"].startswith("\ufeff")
    return list(csv.reader(io.StringIO(file["text"].removeprefix("\ufeff")), delimiter=";"))


def test_fifty_accounts_stand_in_the_e_mail_and_more_in_a_file(
    owner: psycopg.Connection, connection: psycopg.Connection
) -> None:
    add_profile(connection, "a", users=["ana"])
    add_profile(connection, "b", users=["bia"], period_days=60)
    for number in range(49):
        add_quiet(owner, name=f"Conta {number}")
    newest = add_quiet(owner, "2026-10-01 10:00", name="Recente")
    oldest = add_quiet(owner, "2026-01-01 10:00", name="Antiga", owner_login="bia")
    monitor(connection)
    ana, bia = digests(owner)["ana@example.com"], digests(owner)["bia@example.com"]
    assert "attachments" not in bia
    assert bia["text"].count("- ") == 50
    assert ana["text"].count("- ") == 50
    assert "Recente" not in ana["text"]
    assert "… e mais 1." in ana["text"]
    assert "O anexo contas-sem-movimento-2026-11-20.csv traz 51 das 51 linhas." in ana["text"]
    assert "não coube" not in ana["text"] + ana["html"]
    head, first, *_, last = attached(ana)
    assert head[:4] == ["Perfil", "Conta", "Nome", "Último movimento"]
    assert head[4:] == ["Processo", "Responsável antes", "Responsável depois"]
    assert first == ["a", str(oldest), "Antiga", "01/01/2026", "cadastro", "bia", "bia"]
    assert last == ["a", str(newest), "Recente", "01/10/2026", "cadastro", "", ""]
    assert len(attached(ana)) == 52


def test_cells_that_look_like_formulas_are_harmless(
    owner: psycopg.Connection, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inactivity_monitor, "LISTED", 1)
    add_profile(connection)
    names = ["=1+1", "+55", "-1", "@cmd", " =2", '"=3', "a;b", "a\r\nb\t=c", "Ação & \\r\\n", "'x"]
    for name in names:
        add_quiet(owner, name=name)
    monitor(connection)
    rows = attached(digests(owner)["ana@example.com"])
    assert [row[2] for row in rows[1:]] == [
        "'=1+1", "'+55", "'-1", "'@cmd", "' =2", '"=3', "a;b", "a b =c", "Ação & \\r\\n", "'x",
    ]  # fmt: skip


def add_many(owner: psycopg.Connection, number: int) -> None:
    """Accounts without movement, by one statement."""
    owner.execute(
        "insert into crm.account (kind, name, created_at, updated_at) "
        "select 'company', 'Comércio de Ação ' || n, %s, %s from generate_series(1, %s) n",
        [at(LONG_AGO), at(LONG_AGO), number],
    )


@pytest.mark.parametrize(("limit", "least"), [(27_000, 80), (65_536, 500), (200_000, 1200)])
def test_what_does_not_fit_is_cut_and_the_e_mail_says_so(
    owner: psycopg.Connection, connection: psycopg.Connection, limit: int, least: int
) -> None:
    owner.execute("update crm.gateway set payload_limit = %s", [limit])
    add_profile(connection)
    add_many(owner, 1200)
    assert counts(monitor(connection)[1]) == (1200, 1200, 0, 0, 0)
    (message,) = messages(owner)
    text, rows = message["payload"]["text"], attached(message["payload"])[1:]
    assert all(len(row) == 7 for row in rows)
    assert least <= len(rows)
    size = len(to_json(message["payload"]))
    if len(rows) < 1200:
        assert limit - 300 < size <= limit
        missing = f"{1200 - len(rows):,}".replace(",", ".")
        assert f"{missing} linhas não couberam neste e-mail" in text
        assert "crm.inactive_account" in text
    else:
        assert "couber" not in text
    shown = f"{len(rows):,}".replace(",", ".")
    assert f"traz {shown} das 1.200 linhas" in text


@pytest.mark.parametrize("number", [50, 60])
@pytest.mark.parametrize("limit", [6_000, 9_000])
def test_where_there_is_no_room_for_a_file_the_e_mail_tells_what_it_can(
    owner: psycopg.Connection, connection: psycopg.Connection, limit: int, number: int
) -> None:
    owner.execute("update crm.gateway set payload_limit = %s", [limit])
    add_profile(connection)
    add_many(owner, number)
    monitor(connection)
    (message,) = messages(owner)
    assert set(message["payload"]) == {"subject", "text", "html"}
    assert len(to_json(message["payload"])) <= limit
    listed = message["payload"]["text"].count("- ")
    assert 0 < listed < 50
    assert f"{number - listed} linhas não couberam neste e-mail" in message["payload"]["text"]


def test_a_digest_that_fits_nowhere_is_named(
    owner: psycopg.Connection, connection: psycopg.Connection
) -> None:
    owner.execute("update crm.gateway set payload_limit = 500")
    add_profile(connection)
    account = add_quiet(owner)
    run, outcome = monitor(connection)
    assert counts(outcome) == (2, 1, 0, 0, 1)
    assert [item[:4] for item in items(connection, run)] == [("user", "ana", "failed", "payload_too_long")]
    assert notified(owner) == {account: []}


def test_more_people_than_a_batch(
    owner: psycopg.Connection, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inactivity_monitor, "BATCH", 2)
    logins = [f"u{number}" for number in range(5)]
    for login in logins:
        add_user(owner, login)
    add_profile(connection, users=logins)
    add_quiet(owner)
    monitor(connection)
    assert len(messages(owner)) == 5


def test_a_digest_arrives_in_the_mailbox(
    owner: psycopg.Connection,
    connection: psycopg.Connection,
    task_uri: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(inactivity_monitor, "LISTED", 1)
    add_profile(connection)
    for name in ("Ação", "Bela"):
        add_quiet(owner, name=name)
    monitor(connection)
    mailbox = Mailbox(tmp_path / "mailbox")
    asyncio.run(send_waiting(connection, task_uri, mailbox))
    (listed,) = mailbox.messages()
    received = StoredMessage(listed.path)
    assert received.recipients == ["ana@example.com"]
    assert received.header("Subject") == "[Rotina] Contas sem movimento em 20/11/2026: 2"
    assert received.header("List-Unsubscribe") == ""
    (file,) = received.attachments
    assert (file.filename, file.content_type) == ("contas-sem-movimento-2026-11-20.csv", "text/csv")
    assert file.content.startswith(b"\xef\xbb\xbf")
    assert file.content.decode() == digests(owner)["ana@example.com"]["attachments"][0]["text"]


# -- settings -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ("update crm.app_user set active = false where login = 'bia'",
         "monitoring profile 'alvo', transfer_to_login"),
        ("update crm.app_user set active = false", "monitoring profile 'alvo', transfer_to_login"),
        ("delete from crm.team_member", "monitoring profile 'equipe', transfer_to_team"),
        ("update crm.monitoring_profile set processes = '{ticket,fax}'", "processes"),
        ("update crm.monitoring_profile set processes = '{ticket,ticket}'", "processes"),
        ("update crm.monitoring_profile set layout = 'não existe'", "layout"),
        ("update crm.monitoring_profile set layout = '../inactivity_digest'", "layout"),
        ("update crm.monitoring_profile set layout = 'nenhum'", "layout"),
        ("update crm.monitoring_profile set layout = 'run_summary'", "layout"),
        ("update crm.monitoring_profile set name = ' ' where name = 'alvo'", "name"),
        ("update crm.monitoring_profile set name = E'a\\nb' where name = 'alvo'", "name"),
        ("delete from crm.monitoring_profile_user;"
         "update crm.monitoring_profile set transfer_to_login = null, transfer_to_team_id = null", "users"),
        ("update crm.gateway set active = false", "gateway"),
        ("update crm.gateway set kind = 'http_json'", "gateway"),
        ("alter table erp.sales_order drop column ordered_on", "ERP"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_the_tables_is_refused_by_begin_and_by_the_step(
    owner: psycopg.Connection, connection: psycopg.Connection, wrong: str, field: str
) -> None:
    save_team(connection, "time", ["ana"], "teste")
    add_profile(connection, "alvo", transfer_to_login="bia")
    add_profile(connection, "equipe", transfer_to_team="time")
    add_profile(connection, "pedidos", processes=["order"])
    add_profile(connection, "sem uso", transfer_to_login="bia", active=False)
    add_quiet(owner)
    owner.execute(wrong)  # type: ignore[arg-type]
    with pytest.raises(SettingError) as begin:
        check_settings(connection, {})
    assert field in begin.value.field
    with pytest.raises(SettingError) as step:
        monitor(connection)
    assert str(step.value) == str(begin.value)
    assert (found(owner), messages(owner)) == ([], [])


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"profile": "não existe"}, "profile"),
        ({"profile": "sem uso"}, "profile"),
        ({"gateway": "não existe"}, "gateway"),
        ({"gateway": "opa"}, "gateway"),
    ],
)
def test_wrong_params_are_refused(
    owner: psycopg.Connection, connection: psycopg.Connection, params: dict[str, Any], field: str
) -> None:
    add_gateway(owner, "opa")
    add_profile(connection)
    add_profile(connection, "sem uso", active=False)
    for refused in (lambda: check_settings(connection, params), lambda: monitor(connection, **params)):
        with pytest.raises(SettingError) as error:
            refused()
        assert error.value.field == field
        connection.isolation_level = None


def test_a_run_of_one_profile_minds_no_other(
    owner: psycopg.Connection, connection: psycopg.Connection
) -> None:
    add_profile(connection, "bom")
    add_profile(connection, "mau", transfer_to_login="bia")
    owner.execute("update crm.app_user set active = false where login = 'bia'")
    account = add_quiet(owner)
    monitor(connection, profile="bom")
    assert [row[:2] for row in found(owner)] == [("bom", account)]


def test_all_that_is_told_has_a_title() -> None:
    assert {"newer_data", "owner_left", "user_left", "would_be_found", "no_email"} <= REASON_TITLES.keys()
    assert {"profile", "transferred", "owner_left", "digests", "note"} <= DETAIL_TITLES.keys()
    assert {"account", "user"} <= RECORD_TITLES.keys()
    assert "inactivity_monitor" in ROUTINE_TITLES
