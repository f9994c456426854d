"""Class transition (crm251) on a real PostgreSQL."""

from __future__ import annotations

import datetime as dt
import threading
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rotina.accounts.class_rule_checks import find_problems
from rotina.accounts.class_rules import load_rules
from rotina.accounts.class_transition import check_settings, missing_refresh, move_accounts, preview
from rotina.errors import SettingError
from rotina.runs.record import Outcome, Run
from tests.accounts.class_data import CLASSES, Accounts, rule, value
from tests.examples import examples
from tests.runs_by_hand import counts, do_work, items, open_run

DAY = dt.date(2026, 11, 20)
ONE_DAY = dt.timedelta(days=1)

UP = rule("sobe", "Bronze", "Prata", value(">=", "1000.00"))
TOP = rule("topo", "Prata", "Ouro", value(">=", "10000.00"), 20)
DOWN = rule("desce", "Prata", "Bronze", value("<", "1000.00"), 30)
ENTRY = rule("entra", None, "Bronze", {"field": "class", "op": "is_empty"}, 40)


@pytest.fixture
def accounts(owner: psycopg.Connection, connection: psycopg.Connection) -> Accounts:
    return Accounts(owner, connection, DAY)


def move(connection: psycopg.Connection, date: dt.date = DAY, **params: Any) -> tuple[Run, Outcome]:
    return do_work(connection, move_accounts, date, routine="class_transition", program="crm251", **params)


def written(owner: psycopg.Connection) -> list[Any]:
    """Every row that the routine may write, with its physical version."""
    return [
        *owner.execute("select ctid, xmin, * from crm.account order by id").fetchall(),
        *owner.execute("select ctid, xmin, * from crm.account_class_change order by id").fetchall(),
        *owner.execute("select ctid, xmin, * from crm.routine_progress").fetchall(),
    ]


def test_accounts_move_by_the_first_rule_and_their_history_says_why(
    accounts: Accounts, connection: psycopg.Connection
) -> None:
    accounts.save(UP, TOP, DOWN, ENTRY)
    at, below = accounts.add("Bronze", "1000.00"), accounts.add("Bronze", "999.99")
    top, low, new = accounts.add("Prata", "10000.00"), accounts.add("Prata", "0.01"), accounts.add()
    gone = accounts.add("Bronze", "5000.00", active=False)
    before = accounts.owner.execute("select id, updated_at from crm.account order by id").fetchall()
    run, outcome = move(connection)
    assert counts(outcome) == (4, 4, 0, 0, 0)
    assert accounts.classes() == {
        at: "Prata", below: "Bronze", top: "Ouro", low: "Bronze", new: "Bronze", gone: "Bronze",
    }  # fmt: skip
    assert sorted(accounts.history()) == [
        (at, DAY, "Bronze", "Prata", "sobe", {"accumulated_value": "1000.00"}),
        (top, DAY, "Prata", "Ouro", "topo", {"accumulated_value": "10000.00"}),
        (low, DAY, "Prata", "Bronze", "desce", {"accumulated_value": "0.01"}),
        (new, DAY, None, "Bronze", "entra", {"class": None}),
    ]
    assert items(connection, run) == []
    # The routine is no person: what it does is no movement of the account.
    assert accounts.owner.execute("select id, updated_at from crm.account order by id").fetchall() == before


def test_the_values_of_each_kind_of_field(accounts: Accounts, connection: psycopg.Connection) -> None:
    accounts.save(
        rule(
            "tudo",
            None,
            "Ouro",
            {
                "all": [
                    {"field": "days_since_last_purchase", "op": "<=", "value": 30},
                    {"field": "last_purchase_date", "op": ">=", "value": "2026-01-31"},
                    {"field": "purchase_count", "op": "=", "value": 3},
                    {"field": "active", "op": "=", "value": True},
                    {"field": "last_purchase_value", "op": "is_empty"},
                    {"any": [{"field": "kind", "op": "=", "value": "person"}, value("=", "7.00")]},
                ]
            },
        )
    )
    account = accounts.add("Prata", "7.50", last_on=DAY - 30 * ONE_DAY, count=3)
    accounts.add("Prata", "7.50", last_on=DAY - 31 * ONE_DAY, count=3)
    assert move(connection)[1].changed == 1
    assert accounts.history()[0][5] == {
        "days_since_last_purchase": 30,
        "last_purchase_date": "2026-10-21",
        "purchase_count": 3,
        "active": True,
        "last_purchase_value": None,
        "kind": "person",
        "accumulated_value": "7.50",
    }
    assert accounts.history()[0][0] == account


def test_of_two_rules_that_match_the_first_by_priority_then_age_decides(
    accounts: Accounts, connection: psycopg.Connection
) -> None:
    two = {"field": "purchase_count", "op": ">=", "value": 2}
    accounts.save(
        rule("b", None, "Prata", value(">=", "10.00"), 20),
        rule("a", None, "Ouro", value("between", ["5.00", "50.00"]), 20),
        rule("c", "Bronze", "Ouro", two, 7),
    )
    both, older = accounts.add("Bronze", "20.00", count=2), accounts.add("Bronze", "20.00")
    younger, stays = accounts.add("Bronze", "5.00"), accounts.add("Prata", "20.00")
    move(connection)
    assert accounts.classes() == {both: "Ouro", older: "Prata", younger: "Ouro", stays: "Prata"}
    # "stays" is where the first rule leads: the next one does not move it on.
    assert {row[0]: row[4] for row in accounts.history()} == {both: "c", older: "b", younger: "a"}


def test_one_transition_in_a_business_date_whatever_is_run_again(
    accounts: Accounts, connection: psycopg.Connection
) -> None:
    accounts.save(UP, TOP, DOWN, ENTRY)
    account = accounts.add(None, "20000.00")
    other = accounts.add("Bronze", "5.00")
    assert counts(move(connection)[1]) == (1, 1, 0, 0, 0)
    before = written(accounts.owner)
    for _ in range(2):
        assert counts(move(connection)[1]) == (1, 0, 1, 0, 0)  # the next rule waits for the next day
    assert written(accounts.owner) == before
    accounts.set(other, "1000.00")  # the refresh of the day was run again
    assert counts(move(connection)[1]) == (2, 1, 1, 0, 0)
    for days, expected in ((1, "Prata"), (2, "Ouro"), (3, "Ouro")):
        accounts.refresh_through(DAY + days * ONE_DAY)
        move(connection, DAY + days * ONE_DAY)
        assert accounts.classes() == {account: expected, other: "Prata"}


def test_an_older_date_moves_nobody_and_names_whom_it_would_have(
    accounts: Accounts, connection: psycopg.Connection
) -> None:
    accounts.save(UP)
    account = accounts.add("Bronze", "1000.00")
    run, outcome = move(connection, DAY - ONE_DAY)
    assert counts(outcome) == (1, 0, 0, 1, 0)
    assert items(connection, run) == [("account", str(account), "skipped", "newer_data", "já em 20/11/2026")]
    assert "20/11/2026" in outcome.details["note"]
    assert (accounts.classes(), accounts.history()) == ({account: "Bronze"}, [])
    assert move(connection)[1].changed == 1  # the day itself has still to be done


def test_an_account_that_moved_on_a_newer_date_stays(
    accounts: Accounts, connection: psycopg.Connection
) -> None:
    """As after a newer run for an audience, whose data come from a refresh that was taken back."""
    accounts.save(UP, TOP)
    early, late = accounts.add("Bronze", "20000.00"), accounts.add("Bronze", "1000.00")
    accounts.add_list("A", [early])
    assert counts(move(connection, audience="A")[1]) == (1, 1, 0, 0, 0)
    accounts.refresh_through(DAY - ONE_DAY)
    run, outcome = move(connection, DAY - ONE_DAY)
    assert counts(outcome) == (2, 1, 0, 1, 0)
    assert items(connection, run) == [("account", str(early), "skipped", "newer_data", "já em 20/11/2026")]
    assert accounts.classes() == {early: "Prata", late: "Prata"}


def test_without_the_refresh_of_its_date_a_run_is_refused(
    accounts: Accounts, connection: psycopg.Connection
) -> None:
    accounts.save(UP)
    accounts.add("Bronze", "1000.00")
    later = open_run(connection, DAY + ONE_DAY, routine="class_transition")
    assert missing_refresh(connection, later) == (
        "the rules need the supplementary data of 2026-11-21, and they are of 2026-11-20: "
        "run account_data_refresh for 2026-11-21, for all accounts"
    )
    before = written(accounts.owner)
    with pytest.raises(SettingError, match=r"business_date = '2026-11-21': .* refreshed through 2026-11-20"):
        move(connection, DAY + ONE_DAY)
    with pytest.raises(SettingError, match="refreshed through 2026-11-20"):
        preview(connection, None, DAY + ONE_DAY)
    assert written(accounts.owner) == before
    for on in (DAY, DAY - ONE_DAY):
        assert missing_refresh(connection, open_run(connection, on, routine="class_transition")) is None
    accounts.owner.execute("truncate crm.account_data_state")
    assert "there are none yet" in (missing_refresh(connection, later) or "")
    with pytest.raises(SettingError, match="no day yet"):
        move(connection)


def test_rules_that_ask_for_nothing_of_the_erp_need_no_refresh(
    accounts: Accounts, connection: psycopg.Connection
) -> None:
    accounts.save(rule("ativa", None, "Prata", {"field": "status", "op": "=", "value": "not_integrated"}))
    account, day = accounts.add(), DAY + ONE_DAY
    assert missing_refresh(connection, open_run(connection, day, routine="class_transition")) is None
    assert move(connection, day)[1].changed == 1
    accounts.add()
    assert counts(move(connection)[1]) == (1, 0, 0, 1, 0)  # older than what was done
    assert accounts.classes()[account] == "Prata"
    accounts.add_filter("compradores", '{"field": "purchase_count", "op": ">", "value": 0}')
    with pytest.raises(SettingError, match="refreshed through 2026-11-20"):
        move(connection, day, audience="compradores")


def test_no_accounts_and_no_rules(accounts: Accounts, connection: psycopg.Connection) -> None:
    assert counts(move(connection)[1]) == (0, 0, 0, 0, 0)
    accounts.save(UP)
    assert counts(move(connection)[1]) == (0, 0, 0, 0, 0)
    assert preview(connection, None, DAY).total == 0
    accounts.save(rule("sobe", "Bronze", "Prata", value(">=", "1000.00"), active=False))
    accounts.add("Bronze", "1000.00")
    assert counts(move(connection)[1]) == (0, 0, 0, 0, 0)


def test_a_dry_run_and_the_preview_list_who_would_move_and_why(
    accounts: Accounts, connection: psycopg.Connection
) -> None:
    asked = {"all": [value(">=", "1000.00"), {"field": "email", "op": "is_not_empty"}]}
    accounts.save(rule("sobe", "Bronze", "Prata", asked), ENTRY)
    account, new = accounts.add("Bronze", "1234.50"), accounts.add()
    before = written(accounts.owner)
    run, outcome = move(connection, dry_run=True)
    assert counts(outcome) == (2, 0, 0, 2, 0)
    assert items(connection, run) == [
        (
            "account",
            str(account),
            "skipped",
            "class_dry_run",
            "Bronze → Prata, regra sobe: valor acumulado 1234.50",  # the address is nobody's business
        ),
        ("account", str(new), "skipped", "class_dry_run", "sem classe → Bronze, regra entra: classe vazio"),
    ]
    shown = preview(connection, None, DAY, most=1)
    assert shown.total == 2
    (one,) = shown.transitions
    assert (one.account_id, one.name, one.from_class, one.to_class, one.rule) == (
        account, "Ana", "Bronze", "Prata", "sobe",
    )  # fmt: skip
    assert one.values == {"accumulated_value": "1234.50", "email": "ana@example.com"}
    assert written(accounts.owner) == before
    assert connection.execute("select to_regclass('pg_temp.transition')").fetchone() == (None,)
    assert move(connection)[1].changed == 2
    assert preview(connection, None, DAY).total == 0


def test_audiences_of_the_run_and_of_a_rule(accounts: Accounts, connection: psycopg.Connection) -> None:
    listed, rich, poor = (accounts.add("Bronze", amount) for amount in ("50.00", "900.00", "50.00"))
    accounts.add_list("lista", [listed])
    accounts.add_filter("ricos", '{"field": "accumulated_value", "op": ">", "value": "500.00"}')
    accounts.save(
        rule("1", "Bronze", "Prata", value(">", "1.00"), audience="lista"),
        rule("2", "Bronze", "Ouro", value(">", "2.00"), audience="ricos"),
    )
    assert counts(move(connection, audience="ricos")[1]) == (1, 1, 0, 0, 0)
    assert accounts.classes() == {listed: "Bronze", rich: "Ouro", poor: "Bronze"}
    assert accounts.owner.execute("select count(*) from crm.routine_progress").fetchone() == (0,)
    assert counts(move(connection)[1]) == (1, 1, 0, 0, 0)
    assert accounts.classes() == {listed: "Prata", rich: "Ouro", poor: "Bronze"}
    assert accounts.owner.execute("select done_through_on from crm.routine_progress").fetchone() == (DAY,)


def test_an_account_whose_data_could_not_be_computed_stays_where_a_rule_reads_them(
    accounts: Accounts, connection: psycopg.Connection
) -> None:
    accounts.save(UP, ENTRY)
    bad, good, new = accounts.add("Bronze", "1000.00"), accounts.add("Bronze", "1000.00"), accounts.add()
    for account in (bad, new):
        accounts.owner.execute(
            "insert into crm.account_data_problem values ('account', %s, 'nota NF-1: sem valor', 1, %s)",
            [account, DAY],
        )
    run, outcome = move(connection)
    assert counts(outcome) == (3, 2, 0, 1, 0)
    assert items(connection, run) == [
        ("account", str(bad), "skipped", "known_problem", "nota NF-1: sem valor")
    ]
    assert accounts.classes() == {bad: "Bronze", good: "Prata", new: "Bronze"}


def test_days_and_dates_at_month_ends_and_on_a_leap_day(
    accounts: Accounts, connection: psycopg.Connection
) -> None:
    day = dt.date(2028, 3, 1)
    accounts.refresh_through(day)
    accounts.save(
        rule("um", "Bronze", "Prata", {"field": "days_since_last_purchase", "op": "=", "value": 1}),
        rule(
            "ano",
            "Bronze",
            "Ouro",
            {"field": "days_since_last_purchase", "op": "between", "value": [366, 367]},
        ),
    )
    leap, eve = (accounts.add("Bronze", "1.00", last_on=dt.date(2028, 2, one)) for one in (29, 28))
    year_ago, future = (
        accounts.add("Bronze", "1.00", last_on=one) for one in (dt.date(2027, 3, 1), day + ONE_DAY)
    )
    move(connection, day)
    assert accounts.classes() == {leap: "Prata", eve: "Bronze", year_ago: "Ouro", future: "Bronze"}


def test_created_on_is_the_local_date(accounts: Accounts, connection: psycopg.Connection) -> None:
    accounts.save(rule("nova", None, "Bronze", {"field": "created_on", "op": ">=", "value": "2026-11-20"}))
    before, after = accounts.add(), accounts.add()
    for account, moment in ((before, "2026-11-20 02:59:59+00"), (after, "2026-11-20 03:00:00+00")):
        accounts.owner.execute("update crm.account set created_at = %s where id = %s", [moment, account])
    move(connection)
    assert accounts.classes() == {before: None, after: "Bronze"}


def test_two_runs_at_once(accounts: Accounts, connection: psycopg.Connection, task_uri: str) -> None:
    accounts.save(UP, TOP)
    moved = [accounts.add("Bronze", "20000.00") for _ in range(20)]
    outcomes: list[Outcome] = []

    def other() -> None:
        with psycopg.connect(task_uri, autocommit=True, cursor_factory=psycopg.ClientCursor) as mine:
            outcomes.append(move(mine)[1])

    threads = [threading.Thread(target=other) for _ in range(3)]
    for thread in threads:
        thread.start()
    outcomes.append(move(connection)[1])
    for thread in threads:
        thread.join(30)
    assert sorted(map(counts, outcomes)) == [(20, 0, 20, 0, 0)] * 3 + [(20, 20, 0, 0, 0)]
    assert set(accounts.classes().values()) == {"Prata"}
    assert len(accounts.history()) == len(moved)


def test_an_account_that_somebody_changes_meanwhile_is_never_overwritten(
    accounts: Accounts, connection: psycopg.Connection
) -> None:
    accounts.save(UP)
    account, other = accounts.add("Bronze", "1000.00"), accounts.add("Bronze", "1000.00")

    def work(connection: psycopg.Connection, run: Run) -> Outcome:
        connection.execute("select 1")  # the snapshot of the run
        accounts.owner.execute(
            "update crm.account set class_id = (select id from crm.account_class where name = 'Ouro') "
            "where id = %s",
            [account],
        )
        return move_accounts(connection, run)

    with pytest.raises(psycopg.errors.SerializationFailure):
        do_work(connection, work, DAY, routine="class_transition")
    assert accounts.classes() == {account: "Ouro", other: "Bronze"}
    assert accounts.history() == []
    connection.isolation_level = None
    assert move(connection)[1].changed == 1
    assert accounts.classes() == {account: "Ouro", other: "Prata"}


def test_wrong_settings_are_refused_before_anything_changes(
    accounts: Accounts, connection: psycopg.Connection
) -> None:
    accounts.save(UP, DOWN)
    accounts.add("Bronze", "1000.00")
    before = written(accounts.owner)

    def refused(message: str, **params: Any) -> None:
        with pytest.raises(SettingError, match=message):
            check_settings(connection, params)
        with pytest.raises(SettingError, match=message):
            move(connection, **params)
        connection.isolation_level = None
        assert written(accounts.owner) == before

    refused("audience = 'VIP': there is no audience", audience="VIP")
    accounts.add_filter("errado", '{"field": "saldo"}')
    refused("audience errado, filter", audience="errado")
    accounts.owner.execute(
        "update crm.class_rule set conditions = %s where name = 'desce'",
        [psycopg.types.json.Jsonb(value("<=", "1000.00"))],
    )
    with pytest.raises(SettingError, match="make a loop"):
        check_settings(connection, {})
    accounts.owner.execute("update crm.class_rule set conditions = '[]' where name = 'desce'")
    refused("class rule 'desce', conditions")


AMOUNTS = [None, "0.00", "0.01", "999.99", "1000.00", "1000.01"]
CONDITIONS = st.recursive(
    st.one_of(
        st.builds(value, st.sampled_from(["=", ">", ">=", "<", "<="]), st.sampled_from(AMOUNTS[1:])),
        st.builds(
            lambda op, name: {"field": "class", "op": op, "value": name},
            st.sampled_from(["=", "!="]),
            st.sampled_from(CLASSES),
        ),
    ),
    lambda parts: st.builds(
        lambda kind, members: {kind: members},
        st.sampled_from(["all", "any"]),
        st.lists(parts, min_size=1, max_size=2),
    ),
    max_leaves=3,
)


def meets(amount: Decimal, class_name: str | None, document: dict[str, Any]) -> bool:
    """Whether an account meets a filter, computed without SQL."""
    if "all" in document:
        return all(meets(amount, class_name, one) for one in document["all"])
    if "any" in document:
        return any(meets(amount, class_name, one) for one in document["any"])
    if document["field"] == "class":
        return (class_name == document["value"]) == (document["op"] == "=")
    wanted = Decimal(document["value"])
    return {
        "=": amount == wanted,
        ">": amount > wanted,
        ">=": amount >= wanted,
        "<": amount < wanted,
        "<=": amount <= wanted,
    }[document["op"]]


@settings(max_examples=examples(30))
@given(
    wanted=st.lists(
        st.tuples(
            st.sampled_from([None, *CLASSES]),
            st.sampled_from(CLASSES),
            CONDITIONS,
            st.integers(1, 3),
            st.sampled_from([None, None, None, "A", "B"]),
        ).filter(lambda one: one[0] != one[1]),
        max_size=6,
    )
)
def test_any_rules_move_every_account_as_a_computation_without_sql_does(
    accounts: Accounts, connection: psycopg.Connection, wanted: list[Any]
) -> None:
    accounts.owner.execute("truncate crm.account, crm.audience, crm.class_rule restart identity cascade")
    accounts.owner.execute("truncate crm.account_supplementary, crm.routine_progress")
    held = {
        accounts.add(class_name, amount): (class_name, Decimal(amount or 0))
        for class_name in (None, *CLASSES)
        for amount in AMOUNTS
    }
    on_list = set(list(held)[::2])
    accounts.add_list("A", sorted(on_list))
    accounts.add_filter("B", '{"field": "accumulated_value", "op": ">", "value": "0.01"}')
    saved = []
    for number, (source, target, conditions, priority, audience) in enumerate(wanted):
        try:
            accounts.save(rule(f"r{number}", source, target, conditions, priority, audience=audience))
        except SettingError:
            continue
        saved.append((priority, number, source, target, conditions, audience))
    assert find_problems(load_rules(connection)) == []

    expected = {account: class_name for account, (class_name, _) in held.items()}
    for account, (class_name, amount) in held.items():
        for _, _, source, target, conditions, audience in sorted(saved, key=lambda one: one[:2]):
            listed = {None: True, "A": account in on_list, "B": amount > Decimal("0.01")}[audience]
            if source in (None, class_name) and listed and meets(amount, class_name, conditions):
                expected[account] = target
                break
    _, outcome = move(connection)
    assert accounts.classes() == expected
    assert outcome.changed == sum(expected[one] != class_name for one, (class_name, _) in held.items())
