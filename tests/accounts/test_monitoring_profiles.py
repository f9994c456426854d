"""Monitoring profiles and teams: what is refused when they are saved, and what an audit row tells."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import psycopg
import pytest

from rotina.accounts.monitoring_profiles import (
    PROCESSES,
    ProfileSettings,
    delete_profile,
    find_profile,
    load_profiles,
    save_profile,
    save_team,
)
from rotina.errors import SettingError
from tests.messaging.queue_data import add_account, insert

PROFILE = ProfileSettings("Sem contato", 90, ["ticket", "quote"], ["ana"])


@pytest.fixture(autouse=True)
def users(owner: psycopg.Connection) -> None:
    """Ana and bia are active, caio has left; a team of each kind, and an audience."""
    for login, active in (("ana", True), ("bia", True), ("caio", False)):
        insert(owner, "crm.app_user", login=login, name=login, email=f"{login}@example.com", active=active)
    save_team(owner, "vendas", ["ana", "caio"], "teste")
    insert(owner, "crm.team", name="vazia")
    insert(owner, "crm.audience", name="vip")


def audit(owner: psycopg.Connection) -> list[tuple[Any, ...]]:
    return owner.execute("select login, action, target, details from crm.audit_entry order by id").fetchall()


def test_a_profile_is_stored_as_given(connection: psycopg.Connection) -> None:
    profile = ProfileSettings(
        name="Clientes VIP",
        period_days=3650,
        processes=list(PROCESSES),
        users=["ana", "caio"],
        audience="vip",
        transfer_to_team="vendas",
        notify_owners=True,
        active=False,
    )
    key = save_profile(connection, profile, "chefe")
    stored = find_profile(connection, "Clientes VIP")
    assert stored is not None
    assert stored.id == key
    assert {name: getattr(stored, name) for name in ProfileSettings.__dataclass_fields__} == vars(profile)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": " "}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"period_days": 0}, "period_days"),
        ({"period_days": -1}, "period_days"),
        ({"period_days": 3651}, "period_days"),
        ({"period_days": 1.5}, "period_days"),
        ({"period_days": True}, "period_days"),
        ({"processes": []}, "processes"),
        ({"processes": ["ticket", "fax"]}, "processes"),
        ({"processes": ["ticket", "ticket"]}, "processes"),
        ({"users": ["ana", "ninguém"]}, "users"),
        ({"users": []}, "users"),
        ({"audience": "nenhum"}, "audience"),
        ({"transfer_to_login": "ninguém"}, "transfer_to_login"),
        ({"transfer_to_login": "caio"}, "transfer_to_login"),
        ({"transfer_to_team": "nenhum"}, "transfer_to_team"),
        ({"transfer_to_team": "vazia"}, "transfer_to_team"),
        ({"transfer_to_login": "ana", "transfer_to_team": "vendas"}, "transfer_to_team"),
        ({"layout": "nenhum"}, "layout"),
        ({"layout": "../../etc/passwd"}, "layout"),
        ({"layout": "run_summary"}, "layout"),
        ({"layout": ""}, "layout"),
    ],
)
def test_a_wrong_profile_is_refused_by_field(
    owner: psycopg.Connection, connection: psycopg.Connection, changes: dict[str, Any], field: str
) -> None:
    with pytest.raises(SettingError) as error:
        save_profile(connection, replace(PROFILE, **changes), "chefe")
    assert error.value.field == field
    assert owner.execute("select count(*) from crm.monitoring_profile").fetchone() == (0,)
    assert "save_profile" not in [row[1] for row in audit(owner)]


def test_a_profile_that_does_something_needs_no_users(connection: psycopg.Connection) -> None:
    for changes in ({"notify_owners": True}, {"transfer_to_login": "bia"}, {"transfer_to_team": "vendas"}):
        saved = replace(PROFILE, users=[], **changes)  # type: ignore[arg-type]
        save_profile(connection, saved, "chefe")
        (loaded,) = load_profiles(connection, None)
        assert {name: getattr(loaded, name) for name in vars(saved)} == vars(saved)


def test_a_profile_whose_new_owner_left_can_be_switched_off(
    owner: psycopg.Connection, connection: psycopg.Connection
) -> None:
    profile = replace(PROFILE, transfer_to_login="bia")
    save_profile(connection, profile, "chefe")
    owner.execute("update crm.app_user set active = false where login = 'bia'")
    with pytest.raises(SettingError):
        save_profile(connection, profile, "chefe")
    save_profile(connection, replace(profile, active=False), "chefe")
    assert load_profiles(connection, None) == []


def test_an_audit_row_tells_who_changed_what(
    owner: psycopg.Connection, connection: psycopg.Connection
) -> None:
    save_profile(connection, PROFILE, "chefe")
    save_profile(connection, replace(PROFILE, period_days=60, users=["bia", "ana"]), "outra")
    save_profile(connection, replace(PROFILE, name="Novo"), "outra", renamed_from="Sem contato")
    assert audit(owner)[1:] == [
        ("chefe", "save_profile", {"monitoring_profile": "Sem contato"}, {"created": True}),
        (
            "outra",
            "save_profile",
            {"monitoring_profile": "Sem contato"},
            {"changed": {"period_days": [90, 60], "users": [["ana"], ["ana", "bia"]]}},
        ),
        (
            "outra",
            "save_profile",
            {"monitoring_profile": "Novo"},
            {
                "changed": {
                    "name": ["Sem contato", "Novo"],
                    "period_days": [60, 90],
                    "users": [["ana", "bia"], ["ana"]],
                }
            },
        ),
    ]
    (profile,) = load_profiles(connection, None)
    assert (profile.name, profile.users) == ("Novo", ["ana"])


@pytest.mark.parametrize(
    ("name", "renamed_from", "field"), [("Novo", "Nenhum", "renamed_from"), ("Outro", "Sem contato", "name")]
)
def test_a_rename_needs_a_profile_and_a_free_name(
    connection: psycopg.Connection, name: str, renamed_from: str, field: str
) -> None:
    save_profile(connection, PROFILE, "chefe")
    save_profile(connection, replace(PROFILE, name="Outro"), "chefe")
    with pytest.raises(SettingError) as error:
        save_profile(connection, replace(PROFILE, name=name), "chefe", renamed_from=renamed_from)
    assert error.value.field == field


def test_a_profile_that_found_accounts_is_not_deleted(
    owner: psycopg.Connection, connection: psycopg.Connection
) -> None:
    key = save_profile(connection, PROFILE, "chefe")
    insert(
        owner,
        "crm.inactive_account",
        profile_id=key,
        account_id=add_account(owner),
        found_on="2026-11-20",
        last_movement_at="2026-01-01",
        last_process="account",
        transferred=False,
        notified=[],
        run_id=1,
    )
    with pytest.raises(SettingError, match="inactive instead"):
        delete_profile(connection, PROFILE.name, "chefe")
    owner.execute("delete from crm.inactive_account")
    delete_profile(connection, PROFILE.name, "chefe")
    assert find_profile(connection, PROFILE.name) is None
    (*_, (login, action, target, details)) = audit(owner)
    assert (login, action, target) == ("chefe", "delete_profile", {"monitoring_profile": PROFILE.name})
    assert details["deleted"]["period_days"] == 90
    with pytest.raises(SettingError) as error:
        delete_profile(connection, PROFILE.name, "chefe")
    assert error.value.field == "profile"


def test_a_team_gets_new_members(owner: psycopg.Connection, connection: psycopg.Connection) -> None:
    save_team(connection, "vendas", ["bia", "caio", "bia"], "chefe")
    assert owner.execute(
        "select login from crm.team_member join crm.team on team_id = id where name = 'vendas' order by 1"
    ).fetchall() == [("bia",), ("caio",)]
    assert audit(owner)[-1] == (
        "chefe",
        "save_team",
        {"team": "vendas"},
        {"changed": {"members": [["ana", "caio"], ["bia", "caio"]]}},
    )


@pytest.mark.parametrize(
    ("name", "members", "field"),
    [
        (" ", ["ana"], "name"),
        ("nova", [], "members"),
        ("nova", ["caio"], "members"),
        ("nova", ["ana", "ninguém"], "members"),
    ],
)
def test_a_team_needs_a_name_and_somebody_active(
    owner: psycopg.Connection, connection: psycopg.Connection, name: str, members: list[str], field: str
) -> None:
    with pytest.raises(SettingError) as error:
        save_team(connection, name, members, "chefe")
    assert error.value.field == field
    assert owner.execute("select count(*) from crm.team").fetchone() == (2,)


def test_who_decided_must_be_said(connection: psycopg.Connection) -> None:
    for save in (
        lambda: save_profile(connection, PROFILE, ""),
        lambda: delete_profile(connection, PROFILE.name, " "),
        lambda: save_team(connection, "nova", ["ana"], ""),
    ):
        with pytest.raises(SettingError) as error:
            save()
        assert error.value.field == "login"
