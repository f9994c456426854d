"""Audiences: what is saved and refused, whom they have, who uses them, and how statements find them."""

from __future__ import annotations

import datetime as dt
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from rotina.accounts.audiences import (
    AudienceSettings,
    PreviewedAccount,
    count_audience,
    delete_audience,
    find_audience,
    load_audiences,
    open_audience,
    open_audiences,
    preview_audience,
    save_audience,
)
from rotina.accounts.filters import parse_filter
from rotina.errors import SettingError
from tests.messaging.queue_data import insert

DAY = dt.date(2026, 11, 20)

INACTIVE = {"field": "active", "op": "=", "value": False}
BIG = {"field": "accumulated_value", "op": ">=", "value": "1000.00"}


def save(connection: psycopg.Connection, name: str = "VIP", **settings: Any) -> int:
    return save_audience(connection, AudienceSettings(name, **settings), "ana")


def add_account(owner: psycopg.Connection, **fields: Any) -> int:
    return int(insert(owner, "crm.account", **{"kind": "person", "name": "Ana", **fields})[0])


def add_data(owner: psycopg.Connection, account: int, **fields: Any) -> None:
    values = {"accumulated_value": 0, "purchase_count": 0, "as_of_on": DAY, "run_id": 1, **fields}
    insert(owner, "crm.account_supplementary", account_id=account, **values)


def add_rule(owner: psycopg.Connection, audience: int, *, active: bool = True) -> None:
    (target, *_) = insert(owner, "crm.account_class", name="Ouro")
    insert(
        owner,
        "crm.class_rule",
        name="Promove",
        active=active,
        target_class_id=target,
        priority=1,
        conditions=BIG,
        audience_id=audience,
        updated_by="ana",
    )


def members(connection: psycopg.Connection) -> list[tuple[int, int]]:
    return connection.execute("select audience_id, account_id from audience_member order by 1, 2").fetchall()


def opened(connection: psycopg.Connection, name: str, on: dt.date = DAY) -> list[int]:
    """The accounts that a run finds in an audience."""
    with connection.transaction():
        key = open_audience(connection, name, on)
        found = members(connection)
    assert {audience for audience, _ in found} <= {key}
    return [account for _, account in found]


# -- saving -------------------------------------------------------------------------------------------------


def test_a_list_is_saved_and_changed(owner: psycopg.Connection, connection: psycopg.Connection) -> None:
    accounts = [add_account(owner) for _ in range(4)]
    audience = save(connection, account_ids=[accounts[2], accounts[0], accounts[2]])
    assert opened(connection, "VIP") == [accounts[0], accounts[2]]
    assert save(connection, account_ids=accounts[1:3]) == audience
    assert opened(connection, "VIP") == accounts[1:3]
    assert save(connection, account_ids=accounts[1:3]) == audience
    details = [row[0] for row in owner.execute("select details from crm.audit_entry order by id")]
    assert details == [
        {"created": True, "accounts_added": 2, "accounts_removed": 0},
        {"changed": {}, "accounts_added": 1, "accounts_removed": 1},
        {"changed": {}, "accounts_added": 0, "accounts_removed": 0},
    ]


def test_a_list_becomes_a_filter_and_a_list_again(
    owner: psycopg.Connection, connection: psycopg.Connection
) -> None:
    active, inactive = add_account(owner), add_account(owner, active=False)
    audience = save(connection, account_ids=[active])
    assert save(connection, filter=INACTIVE) == audience
    assert opened(connection, "VIP") == [inactive]
    assert owner.execute("select from crm.audience_account").fetchall() == []
    assert save(connection, account_ids=[active]) == audience
    assert opened(connection, "VIP") == [active]
    entries = owner.execute(
        "select login, action, target, details from crm.audit_entry order by id"
    ).fetchall()
    assert entries[1:] == [
        (
            "ana",
            "save_audience",
            {"audience": "VIP"},
            {"changed": {"filter": [None, INACTIVE]}, "accounts_added": 0, "accounts_removed": 1},
        ),
        (
            "ana",
            "save_audience",
            {"audience": "VIP"},
            {"changed": {"filter": [INACTIVE, None]}, "accounts_added": 1, "accounts_removed": 0},
        ),
    ]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "audience = 'VIP': is either a list of accounts or a filter"),
        ({"account_ids": [1], "filter": INACTIVE}, "audience = 'VIP': is either"),
        ({"name": " ", "filter": INACTIVE}, "name = ' ': must not be blank"),
        ({"account_ids": []}, "account_ids: names no account"),
        ({"account_ids": [1, 7, 9]}, "account_ids = '7, 9': there are no such accounts"),
        ({"account_ids": list(range(2, 100))}, "account_ids = '2, 3, 4, 5, 6, 7, 8, 9, 10, 11': "),
        ({"account_ids": [True]}, "account_ids = True: must be a whole number"),
        ({"account_ids": ["1"]}, "account_ids = '1': must be a whole number"),
        ({"account_ids": [0]}, "account_ids = 0: must be a whole number"),
        ({"account_ids": [2**63]}, f"account_ids = {2**63}: must be a whole number"),
        ({"filter": {"all": []}}, "filter.all = 'an empty list': must be a list with one or more"),
        ({"filter": {"field": "class", "op": "!=", "value": "Ouro"}}, "filter = 'Ouro': there is no class"),
        ({"filter": {"any": [{"field": "class", "op": "in", "value": ["x"]}]}}, "filter = 'x': there is no"),
    ],
)
def test_wrong_settings_are_refused_and_change_nothing(
    owner: psycopg.Connection, connection: psycopg.Connection, settings: dict[str, Any], message: str
) -> None:
    account = add_account(owner)
    save(connection, account_ids=[account])
    stored = owner.execute("select ctid, xmin, audience.* from crm.audience").fetchall()
    with pytest.raises(SettingError) as refused:
        save(connection, **settings)
    assert str(refused.value).startswith(message)
    assert owner.execute("select ctid, xmin, audience.* from crm.audience").fetchall() == stored
    assert opened(connection, "VIP") == [account]


def test_a_part_of_the_name_of_a_class_may_be_any(
    owner: psycopg.Connection, connection: psycopg.Connection
) -> None:
    insert(owner, "crm.account_class", name="Ouro")
    for document in (
        {"field": "class", "op": "contains", "value": "x"},
        {"field": "class", "op": "=", "value": "Ouro"},
        {"field": "class", "op": "is_empty"},
    ):
        key = save(connection, filter=document)
        stored = owner.execute("select filter from crm.audience where id = %s", [key]).fetchall()
        assert stored == [(document,)]


def test_two_people_save_one_after_the_other(
    owner: psycopg.Connection, connection: psycopg.Connection, task_uri: str
) -> None:
    accounts = [add_account(owner) for _ in range(2)]
    with (
        psycopg.connect(task_uri, autocommit=True, cursor_factory=psycopg.ClientCursor) as other,
        ThreadPoolExecutor(1) as threads,
    ):
        with other.transaction():
            save(other, account_ids=accounts[:1])
            pending = threads.submit(save, connection, account_ids=accounts[1:])
            wait_for_lock(owner, pending)
        pending.result(timeout=60)
    assert opened(connection, "VIP") == accounts[1:]
    (_, second) = owner.execute("select details from crm.audit_entry order by id").fetchall()
    assert second[0] == {"changed": {}, "accounts_added": 1, "accounts_removed": 1}


def wait_for_lock(owner: psycopg.Connection, pending: Future[Any]) -> None:
    """Wait until a session waits for another, or is done without."""
    while not pending.done() and not owner.execute("select from pg_locks where not granted").fetchall():
        pass


# -- deleting -----------------------------------------------------------------------------------------------


def test_an_audience_that_nothing_uses_is_deleted(
    owner: psycopg.Connection, connection: psycopg.Connection
) -> None:
    audience = save(connection, filter=INACTIVE)
    delete_audience(connection, "VIP", "bruno")
    with pytest.raises(SettingError, match="audience = 'VIP': there is no audience of that name"):
        delete_audience(connection, "VIP", "bruno")
    assert owner.execute("select from crm.audience").fetchall() == []
    entries = owner.execute("select login, action, details from crm.audit_entry order by id").fetchall()
    assert entries[1:] == [
        ("bruno", "delete_audience", {"deleted": {"id": audience, "filter": INACTIVE}}),
    ]


@pytest.mark.parametrize("active", [True, False])
def test_an_audience_in_use_is_not_deleted(
    owner: psycopg.Connection, connection: psycopg.Connection, active: bool
) -> None:
    audience = save(connection, filter=INACTIVE)
    add_rule(owner, audience, active=active)
    insert(
        owner,
        "crm.monitoring_profile",
        name="90 dias d'ouro",
        active=active,
        period_days=90,
        processes=["ticket"],
        audience_id=audience,
        updated_by="ana",
    )
    with pytest.raises(SettingError) as refused:
        delete_audience(connection, "VIP", "bruno")
    assert refused.value.problem == ("is used by class rule 'Promove', monitoring profile '90 dias d''ouro'")
    assert opened(connection, "VIP") == []


def test_an_audience_that_somebody_begins_to_use_is_not_deleted(
    owner: psycopg.Connection, connection: psycopg.Connection, database: str
) -> None:
    audience = save(connection, filter=INACTIVE)
    with psycopg.connect(database) as other, ThreadPoolExecutor(1) as threads:
        add_rule(other, audience)  # not committed yet
        pending = threads.submit(delete_audience, connection, "VIP", "bruno")
        wait_for_lock(owner, pending)
        other.commit()
        with pytest.raises(SettingError, match="is used by class rule 'Promove'"):
            pending.result(timeout=60)


# -- whom they have -----------------------------------------------------------------------------------------


def test_a_filter_asks_for_accounts_and_their_data(
    owner: psycopg.Connection, connection: psycopg.Connection
) -> None:
    (gold, *_) = insert(owner, "crm.account_class", name="Ouro")
    big = add_account(owner, class_id=gold, active=False)
    small, without_data = add_account(owner, class_id=gold), add_account(owner)
    add_data(owner, big, accumulated_value="1000.00", last_purchase_date=dt.date(2026, 11, 1))
    add_data(owner, small, accumulated_value="999.99", last_purchase_date=dt.date(2026, 11, 21))
    for document, expected in (
        (BIG, [big]),
        ({"field": "class", "op": "=", "value": "Ouro"}, [big, small]),
        ({"field": "accumulated_value", "op": "=", "value": 0}, [without_data]),
        ({"field": "days_since_last_purchase", "op": "=", "value": 19}, [big]),
        ({"field": "days_since_last_purchase", "op": "is_empty"}, [small, without_data]),
        ({"any": [BIG, {"field": "last_purchase_date", "op": "is_empty"}]}, [big, without_data]),
    ):
        save(connection, filter=document)
        assert opened(connection, "VIP") == expected
        assert count_audience(connection, "VIP", DAY) == len(expected)
        assert count_audience(connection, parse_filter(document), DAY) == len(expected)
        assert [one.account_id for one in preview_audience(connection, "VIP", DAY)] == expected
    assert opened(connection, "VIP", dt.date(2026, 11, 21)) == [big, without_data]


def test_a_preview_shows_what_the_filter_asks_for(
    owner: psycopg.Connection, connection: psycopg.Connection
) -> None:
    (gold, *_) = insert(owner, "crm.account_class", name="Ouro")
    # An ERP may hold any date, and Python knows none before Christ.
    first = add_account(owner, name="Ana", class_id=gold)
    owner.execute("update crm.account set birth_on = '0044-03-15 BC'")
    second = add_account(owner, name="Bia", status="active")
    add_data(owner, second, accumulated_value="12.50", last_purchase_date=dt.date(2026, 11, 10))
    fields = ("accumulated_value", "birth_on", "days_since_last_purchase", "active")
    document = {
        "all": [
            {"field": "accumulated_value", "op": ">=", "value": 0},
            {
                "any": [
                    {"field": "birth_on", "op": "is_empty"},
                    {"field": "birth_on", "op": "<", "value": "2000-01-01"},
                ]
            },
            {"field": "days_since_last_purchase", "op": "!=", "value": 9},
            {"field": "active", "op": "=", "value": True},
        ]
    }
    expected = [
        PreviewedAccount(
            first,
            "Ana",
            "Ouro",
            "not_integrated",
            dict(zip(fields, ("0.00", "0044-03-15 BC", None, True), strict=True)),
        ),
        PreviewedAccount(
            second, "Bia", None, "active", dict(zip(fields, ("12.50", None, 10, True), strict=True))
        ),
    ]
    save(connection, filter=document)
    assert preview_audience(connection, "VIP", DAY) == expected
    assert preview_audience(connection, parse_filter(document), DAY, most=1) == expected[:1]
    save(connection, "list", account_ids=[second])
    assert preview_audience(connection, "list", DAY) == [expected[1]._replace(values={})]
    assert count_audience(connection, "list", DAY) == 1
    with pytest.raises(SettingError, match="most = 0"):
        preview_audience(connection, "VIP", DAY, most=0)


def test_no_account_at_all(connection: psycopg.Connection) -> None:
    save(connection, filter=BIG)
    assert opened(connection, "VIP") == []
    assert count_audience(connection, "VIP", DAY) == 0
    assert preview_audience(connection, "VIP", DAY) == []


# -- how statements find them -------------------------------------------------------------------------------


def test_several_audiences_are_opened_at_once(
    owner: psycopg.Connection, connection: psycopg.Connection
) -> None:
    active, inactive = add_account(owner), add_account(owner, active=False)
    listed = save(connection, "listed", account_ids=[active, inactive])
    filtered = save(connection, "filtered", filter=INACTIVE)
    with connection.transaction():
        open_audiences(connection, [filtered, listed, listed], DAY)
        assert members(connection) == [(listed, active), (listed, inactive), (filtered, inactive)]
        assert open_audience(connection, "filtered", DAY) == filtered
        assert members(connection) == [(filtered, inactive)]
        assert open_audience(connection, None, DAY) is None
        assert members(connection) == []
        open_audiences(connection, [], DAY)
        assert members(connection) == []
    assert connection.execute("select to_regclass('pg_temp.audience_member')").fetchone() == (None,)
    with connection.transaction(), pytest.raises(SettingError, match="audience_id = 999: there is no such"):
        open_audiences(connection, [listed, 999], DAY)


def test_the_planner_knows_how_many_accounts_there_are(
    owner: psycopg.Connection, connection: psycopg.Connection
) -> None:
    owner.execute("insert into crm.account (kind, name) select 'person', 'x' from generate_series(1, 20000)")
    save(connection, filter={"field": "kind", "op": "=", "value": "person"})
    with connection.transaction():
        open_audience(connection, "VIP", DAY)
        plan = connection.execute("explain select from audience_member").fetchall()
    assert "rows=20000 " in plan[0][0]


@pytest.mark.parametrize(
    ("stored", "message"),
    [
        ('{"all": [{"field": "active", "op": "=", "value": 1}]}', "filter.all[0].value = '1': must be true"),
        ('{"field": "email", "op": "=", "value": ["a@b"]}', "filter.value = '…': must be a text"),
        ("{}", "filter = '': must have field, op and value"),
        ("null", "filter = 'null': must be an object"),
        (
            '{"field": "class", "op": "!=", "value": "Ouro"}',
            "filter = 'Ouro': there is no class of that name",
        ),
        # What JSON holds and Python does not.
        (f"[{'1' * 5000}]", "filter = '…': is too large or too deep to be read"),
        ("[" * 3000 + "]" * 3000, "filter = '…': is too large or too deep to be read"),
    ],
    ids=lambda value: value[:60],
)
def test_a_filter_that_was_written_wrong_by_hand_is_refused_where_it_is_used(
    owner: psycopg.Connection, connection: psycopg.Connection, stored: str, message: str
) -> None:
    owner.execute("insert into crm.audience (name, filter) values ('VIP', %s::jsonb)", [stored])
    (audience,) = owner.execute("select id from crm.audience").fetchone() or ()
    for use in (
        lambda: find_audience(connection, "VIP"),
        lambda: load_audiences(connection, [audience]),
        lambda: open_audience(connection, "VIP", DAY),
        lambda: count_audience(connection, "VIP", DAY),
        lambda: preview_audience(connection, "VIP", DAY),
    ):
        with pytest.raises(SettingError) as refused:
            use()
        assert str(refused.value).startswith(f"audience VIP, {message}")


def test_a_class_that_is_renamed_does_not_change_whom_an_audience_has(
    owner: psycopg.Connection, connection: psycopg.Connection
) -> None:
    (gold, *_) = insert(owner, "crm.account_class", name="Ouro")
    add_account(owner, class_id=gold)
    other = add_account(owner)
    save(connection, filter={"field": "class", "op": "!=", "value": "Ouro"})
    owner.execute("update crm.account_class set name = 'Gold'")
    for use in (find_audience, lambda c, name: opened(c, name)):
        with pytest.raises(SettingError, match="audience VIP, filter = 'Ouro': there is no class"):
            use(connection, "VIP")
    save(connection, filter={"field": "class", "op": "!=", "value": "Gold"})
    assert opened(connection, "VIP") == [other]


def test_a_filter_that_is_wrong_can_be_deleted(
    owner: psycopg.Connection, connection: psycopg.Connection
) -> None:
    owner.execute("insert into crm.audience (name, filter) values ('VIP', '{}')")
    delete_audience(connection, "VIP", "ana")
    assert owner.execute("select from crm.audience").fetchall() == []


def test_an_endless_date_that_somebody_wrote_fails_no_run(
    owner: psycopg.Connection, connection: psycopg.Connection
) -> None:
    accounts = [add_account(owner) for _ in range(3)]
    owner.execute(
        "insert into crm.account_supplementary "
        "(account_id, last_purchase_date, accumulated_value, purchase_count, as_of_on, run_id) "
        "select account_id, purchased_on, 0, 0, %s, 1 "
        "from unnest(%s::bigint[], '{-infinity, infinity, 2026-10-21}'::date[]) "
        "as t (account_id, purchased_on)",
        [DAY, accounts],
    )
    save(connection, filter={"field": "days_since_last_purchase", "op": ">=", "value": 30})
    assert opened(connection, "VIP") == accounts[2:]


def test_no_audience_and_an_unknown_one(connection: psycopg.Connection) -> None:
    assert find_audience(connection, None) is None
    assert find_audience(connection, "") is None
    for use in (find_audience, lambda c, name: count_audience(c, name, DAY)):
        with pytest.raises(SettingError, match="audience = 'VIP': there is no audience of that name"):
            use(connection, "VIP")
