"""Classes and class rules: what is saved, what is refused, and what stands in the audit."""

from __future__ import annotations

import datetime as dt
import threading
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from rotina.accounts.audiences import AudienceSettings, load_audience, save_audience
from rotina.accounts.class_rules import (
    check_rules,
    delete_rule,
    load_rules,
    save_class,
    save_rule,
)
from rotina.errors import SettingError
from tests.accounts.class_data import Accounts, rule, value

UP = rule("sobe", "Bronze", "Prata", value(">=", "1000.00"))
DOWN = rule("desce", "Prata", "Bronze", value("<", "1000.00"))


@pytest.fixture
def accounts(owner: psycopg.Connection, connection: psycopg.Connection) -> Accounts:
    return Accounts(owner, connection, dt.date(2026, 11, 20))


def stored(owner: psycopg.Connection) -> list[Any]:
    return [
        *owner.execute("select * from crm.class_rule order by id").fetchall(),
        *owner.execute("select * from crm.account_class order by id").fetchall(),
    ]


def audit(owner: psycopg.Connection) -> list[tuple[Any, ...]]:
    """The newest entry first."""
    return owner.execute(
        "select login, action, target, details from crm.audit_entry order by id desc"
    ).fetchall()


def refused(accounts: Accounts, message: str, settings: Any, **more: Any) -> None:
    before = stored(accounts.owner)
    with pytest.raises(SettingError, match=message):
        save_rule(accounts.connection, settings, "ana", **more)
    assert stored(accounts.owner) == before


def test_rules_are_saved_changed_renamed_and_deleted(accounts: Accounts) -> None:
    connection = accounts.connection
    key = save_rule(connection, UP, "ana")
    assert audit(accounts.owner)[0] == ("ana", "save_rule", {"class_rule": "sobe"}, {"created": True})
    assert save_rule(connection, replace(UP, priority=5), "bia") == key
    assert audit(accounts.owner)[0] == (
        "bia",
        "save_rule",
        {"class_rule": "sobe"},
        {"changed": {"priority": [10, 5]}},
    )
    assert save_rule(connection, replace(UP, name="promove"), "bia", renamed_from="sobe") == key
    (loaded,) = load_rules(connection)
    assert (loaded.id, loaded.name, loaded.source, loaded.target) == (key, "promove", "Bronze", "Prata")
    assert loaded.conditions.as_json() == UP.conditions
    save_rule(connection, replace(DOWN, active=False), "ana")
    assert [one.name for one in load_rules(connection)] == ["promove"]
    delete_rule(connection, "promove", "carla")
    assert load_rules(connection) == []
    login, action, _, details = audit(accounts.owner)[0]
    assert (login, action, details["deleted"]["name"]) == ("carla", "delete_rule", "promove")


def test_rules_are_tried_by_priority_then_age(accounts: Accounts) -> None:
    accounts.save(
        rule("b", "Prata", "Ouro", value("=", "1.00"), 20),
        rule("a", "Prata", "Bronze", value("=", "2.00"), 20),
        rule("c", "Prata", "Bronze", value("=", "3.00"), 1),
    )
    assert [one.name for one in load_rules(accounts.connection)] == ["c", "b", "a"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": " "}, "name = ' ': must not be blank"),
        ({"target": "Bronze"}, "target = 'Bronze': rule 'sobe' leads to the class that it starts from"),
        ({"target": "Platina"}, "target = 'Platina': there is no such class; there are: Bronze, Ouro, Prata"),
        ({"source": "Platina"}, "source = 'Platina': there is no such class"),
        ({"audience": "VIP"}, "audience = 'VIP': there is no audience"),
        ({"priority": 0}, "priority = 0: must be a whole number from 1 to 999"),
        ({"priority": 1000}, "priority = 1000"),
        ({"conditions": {}}, "conditions"),
        (
            {"conditions": {"field": "saldo", "op": "=", "value": 1}},
            "conditions.field = 'saldo': is no field",
        ),
        ({"conditions": value(">=", "muito")}, "conditions.value = 'muito': must be an amount of money"),
        ({"conditions": value(">=", 0.1)}, "conditions.value = '0.1': must be an amount of money"),
        ({"conditions": value("between", ["9.00", "1.00"])}, "conditions.value .* the lower one first"),
        (
            {"conditions": {"all": [value(">", "9.00"), value("<", "9.00")]}},
            "class rule = 'sobe': can never match: no account meets all of it: valor acumulado > R\\$ 9,00",
        ),
        (
            {"conditions": {"field": "class", "op": "=", "value": "Platina"}},
            "conditions = 'Platina': there is no such class",
        ),
        (
            {"conditions": {"field": "class", "op": "=", "value": "Ouro"}},
            "'sobe': can never move an account of class 'Bronze'",
        ),
    ],
)
@pytest.mark.parametrize("active", [True, False])
def test_a_wrong_rule_is_refused(accounts: Accounts, change: Any, message: str, active: bool) -> None:
    refused(accounts, message, replace(UP, **change, active=active))


def test_an_audience_is_not_changed_to_one_that_makes_its_rules_wrong(accounts: Accounts) -> None:
    def save(name: str, op: str, amount: str) -> None:
        save_audience(accounts.connection, AudienceSettings(name, filter=value(op, amount)), "ana")

    save("grandes", ">=", "500.00")
    save("pequenas", "<", "500.00")
    count = {"field": "purchase_count", "op": ">=", "value": 1}
    accounts.save(replace(UP, audience="grandes"), replace(DOWN, audience="pequenas", conditions=count))
    before = accounts.owner.execute("select * from crm.audience order by id").fetchall()
    with pytest.raises(SettingError, match="'sobe': can never match"):
        save("grandes", "<", "400.00")
    with pytest.raises(SettingError, match="make a loop"):
        save("pequenas", "<", "2000.00")
    assert accounts.owner.execute("select * from crm.audience order by id").fetchall() == before
    save("grandes", ">=", "600.00")
    accounts.owner.execute("update crm.class_rule set conditions = '{}' where name = 'sobe'")
    save("pequenas", "<", "300.00")  # what is wrong already is not of its making


def test_a_rule_that_can_no_longer_match_can_be_switched_off(accounts: Accounts) -> None:
    accounts.add_filter("grandes", '{"field": "accumulated_value", "op": ">=", "value": "500.00"}')
    for_large = replace(UP, audience="grandes")
    accounts.save(for_large)
    accounts.owner.execute(
        "update crm.audience set filter = jsonb_set(filter, '{op}', '\"<\"') where name = 'grandes'"
    )
    with pytest.raises(SettingError, match="'sobe': can never match"):
        check_rules(accounts.connection)
    accounts.save(replace(for_large, active=False))
    assert load_rules(accounts.connection) == []
    refused(accounts, "can never match", for_large)


def test_a_hidden_rule_and_one_that_hides_another_are_refused(accounts: Accounts) -> None:
    accounts.save(UP)
    message = "class rule = 'muito': can never match: rule 'sobe' comes before it"
    much = rule("muito", "Bronze", "Ouro", value(">=", "5000.00"), 20)
    refused(accounts, message, much)
    accounts.save(replace(much, active=False))
    refused(accounts, message, much)
    accounts.save(replace(much, priority=1))
    refused(
        accounts,
        "'sobe': can never match: rule 'muito'",
        replace(much, priority=1, conditions=value(">", "0.00")),
    )
    accounts.add_list("A", [accounts.add()])
    accounts.save(replace(UP, audience="A"))
    accounts.save(much)  # those who are not on the list


def test_a_loop_is_refused_with_its_path(accounts: Accounts) -> None:
    accounts.save(UP)
    loop = replace(DOWN, conditions=value("<=", "1000.00"))
    message = r"make a loop .*: Bronze → Prata \(rule 'sobe'\) → Bronze \(rule 'desce'\)"
    refused(accounts, message, loop)
    accounts.save(replace(loop, active=False))
    refused(accounts, message, loop)
    accounts.save(DOWN)


def test_a_rule_that_keeps_others_from_a_loop_cannot_be_deleted(accounts: Accounts) -> None:
    keeps = rule("fica", None, "Ouro", value(">=", "5000.00"), 1)
    accounts.save(
        keeps,
        rule("sobe", "Prata", "Ouro", value(">=", "1000.00"), 2),
        rule("desce", "Ouro", "Prata", {"any": [value("<", "1000.00"), value(">", "7000.00")]}, 3),
    )
    before = stored(accounts.owner)
    with pytest.raises(SettingError, match="make a loop"):
        delete_rule(accounts.connection, "fica", "ana")
    with pytest.raises(SettingError, match="make a loop"):
        save_rule(accounts.connection, replace(keeps, active=False), "ana")
    with pytest.raises(SettingError, match="rule = 'nada': there is no rule"):
        delete_rule(accounts.connection, "nada", "ana")
    assert stored(accounts.owner) == before


def test_names_that_are_taken_or_missing(accounts: Accounts) -> None:
    accounts.save(UP, DOWN)
    refused(
        accounts,
        "name = 'sobe': another rule has that name",
        replace(DOWN, name="sobe"),
        renamed_from="desce",
    )
    refused(accounts, "renamed_from = 'x': there is no rule", replace(DOWN, name="y"), renamed_from="x")


def test_classes_are_saved_renamed_and_set_inactive(accounts: Accounts) -> None:
    connection, owner = accounts.connection, accounts.owner
    accounts.save(UP, rule("nomeada", "Ouro", "Bronze", {"field": "class", "op": "!=", "value": "Prata"}))
    accounts.add_filter("prateados", '{"field": "class", "op": "=", "value": "Prata"}')
    assert audit(owner)[-1] == ("ana", "save_class", {"account_class": "Bronze"}, {"created": True})

    def refuse(message: str, *arguments: Any, **more: Any) -> None:
        before = stored(owner)
        with pytest.raises(SettingError, match=message):
            save_class(connection, *arguments, "ana", **more)
        assert stored(owner) == before

    refuse("name = '': must not be blank", "")
    refuse("class rule 'sobe', target = 'Prata': this class is not active", "Prata", active=False)
    refuse("rule 'nomeada', audience 'prateados' asks for class 'Prata'", "Silver", renamed_from="Prata")
    refuse("name = 'Ouro': another class", "Ouro", renamed_from="Bronze")
    refuse("renamed_from = 'Platina': there is no such class", "Silver", renamed_from="Platina")
    key = save_class(connection, "Inicial", "bia", renamed_from="Bronze")
    assert audit(owner)[0][3] == {"changed": {"name": ["Bronze", "Inicial"]}}
    assert {one.source_id for one in load_rules(connection)} >= {key}
    save_class(connection, "Ouro", "bia", active=False)  # a source may be inactive
    refused(
        accounts,
        "'nova', target = 'Ouro': this class is not active",
        rule("nova", None, "Ouro", value("=", 3)),
    )


def test_what_was_written_by_hand_is_refused_when_a_run_begins(accounts: Accounts) -> None:
    connection, owner = accounts.connection, accounts.owner
    accounts.save(UP, DOWN)
    accounts.add_filter("errado", '{"field": "saldo"}')

    def by_hand(message: str, statement: str) -> None:
        with owner.transaction(force_rollback=True):
            owner.execute(statement)  # type: ignore[arg-type]
            with pytest.raises(SettingError, match=message):
                check_rules(owner)

    of_up = " where name = 'sobe'"
    by_hand(
        r"class rule 'sobe', conditions\.field = 'saldo'",
        """update crm.class_rule set conditions = '{"field": "saldo", "op": "=", "value": 1}'""" + of_up,
    )
    by_hand(
        "make a loop",
        """update crm.class_rule set conditions = '{"field": "active", "op": "=", "value": true}'""",
    )
    by_hand(
        "'sobe', conditions = 'X': there is no such class",
        """update crm.class_rule set conditions = '{"field": "class", "op": "!=", "value": "X"}'""" + of_up,
    )
    by_hand(
        "'Prata': this class is not active",
        "update crm.account_class set active = false where name = 'Prata'",
    )
    by_hand(
        "audience errado, filter",
        "update crm.class_rule set audience_id = (select id from crm.audience)" + of_up,
    )
    with pytest.raises(SettingError, match="audience errado, filter"):
        load_audience(connection, "errado")
    assert len(load_rules(connection)) == 2


def test_one_wrong_rule_does_not_keep_others_from_being_mended(accounts: Accounts) -> None:
    accounts.save(UP, DOWN)
    accounts.owner.execute("update crm.class_rule set conditions = '{}'")
    refused(accounts, "class rule 'sobe', conditions|conditions", replace(UP, conditions={}))
    accounts.save(UP)
    with pytest.raises(SettingError, match="'desce', conditions"):
        load_rules(accounts.connection)
    delete_rule(accounts.connection, "desce", "ana")
    assert [one.name for one in load_rules(accounts.connection)] == ["sobe"]


def test_a_rule_that_was_wrong_before_is_refused_when_it_is_saved_and_still_wrong(accounts: Accounts) -> None:
    late = rule("tarde", "Bronze", "Ouro", value(">=", "5000.00"), 20)
    accounts.save(UP, replace(late, conditions=value("<", "1.00")))
    accounts.owner.execute(
        "update crm.class_rule set conditions = %s where name = 'tarde'",
        [psycopg.types.json.Jsonb(late.conditions)],
    )
    refused(accounts, "'tarde': can never match", replace(late, conditions=value(">=", "6000.00")))
    accounts.save(DOWN, replace(late, conditions=value("<", "2.00")))


def test_two_people_at_once_cannot_make_a_loop(accounts: Accounts, task_uri: str) -> None:
    """Each rule is fine by itself: the second to be saved sees the first."""
    loop = replace(DOWN, conditions=value("<=", "1000.00"))
    barrier, errors = threading.Barrier(2), []

    def save(settings: Any) -> None:
        with psycopg.connect(task_uri, autocommit=True, cursor_factory=psycopg.ClientCursor) as mine:
            barrier.wait(30)
            try:
                save_rule(mine, settings, "ana")
            except SettingError as error:
                errors.append(str(error))

    threads = [threading.Thread(target=save, args=[one]) for one in (UP, loop)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    (error,) = errors
    assert "make a loop" in error
    assert len(load_rules(accounts.connection)) == 1
