"""Settings of integrations: exactly one source of the status, wrong values refused, changes audited."""

from __future__ import annotations

import threading
from typing import Any

import psycopg
import pytest

from rotina.errors import SettingError
from rotina.integration.settings import load_status_source, save_integration_settings
from tests.messaging.queue_data import add_integration

SIX_MONTHS = {"months_inactive": 6}


def stored(owner: psycopg.Connection) -> list[tuple[Any, ...]]:
    return owner.execute("select code, active, settings from crm.integration order by code").fetchall()


def audited(owner: psycopg.Connection) -> list[tuple[Any, ...]]:
    return owner.execute("select login, action, target, details from crm.audit_entry order by id").fetchall()


def test_an_integration_is_saved_changed_and_audited(
    owner: psycopg.Connection, connection: psycopg.Connection
) -> None:
    save_integration_settings(connection, "erp", SIX_MONTHS, True, "ana")
    save_integration_settings(connection, "erp", {"months_inactive": 12}, True, "rui")
    source = load_status_source(connection)
    assert (source.code, source.name, source.settings) == ("erp", "ERP", {"months_inactive": 12})
    assert audited(owner) == [
        ("ana", "save_integration", {"integration": "erp"}, {"created": True}),
        (
            "rui",
            "save_integration",
            {"integration": "erp"},
            {"changed": {"settings": [{"months_inactive": 6}, {"months_inactive": 12}]}},
        ),
    ]


def test_the_name_that_somebody_gave_it_stays(
    owner: psycopg.Connection, connection: psycopg.Connection
) -> None:
    save_integration_settings(connection, "erp", SIX_MONTHS, True, "ana")
    owner.execute("update crm.integration set name = 'Datasul EMS2'")
    save_integration_settings(connection, "erp", {"months_inactive": 12}, True, "rui")
    assert load_status_source(connection).name == "Datasul EMS2"
    assert list(audited(owner)[1][3]["changed"]) == ["settings"]


def test_the_source_changes_in_one_step(owner: psycopg.Connection, connection: psycopg.Connection) -> None:
    save_integration_settings(connection, "erp", SIX_MONTHS, True, "ana")
    save_integration_settings(connection, "health_plan", {}, True, "ana", instead_of="erp")
    assert stored(owner) == [("erp", False, SIX_MONTHS), ("health_plan", True, {})]
    assert load_status_source(connection).code == "health_plan"
    assert [(target["integration"], details) for _, _, target, details in audited(owner)[1:]] == [
        ("health_plan", {"created": True}),
        ("erp", {"changed": {"active": [True, False]}}),
    ]


@pytest.mark.parametrize("months", [1, 120])
def test_months_at_their_limits(connection: psycopg.Connection, months: int) -> None:
    save_integration_settings(connection, "erp", {"months_inactive": months}, True, "ana")
    assert load_status_source(connection).settings == {"months_inactive": months}


@pytest.mark.parametrize(
    ("code", "settings", "message"),
    [
        ("sap", {}, "^integration = 'sap': must be one of erp, health_plan"),
        ("erp", {}, "^integration erp, months_inactive: is missing"),
        ("erp", {"months_inactive": 0}, "^integration erp, months_inactive = 0: "),
        ("erp", {"months_inactive": 121}, "^integration erp, months_inactive = 121: "),
        ("erp", {"months_inactive": -6}, "^integration erp, months_inactive = -6: "),
        ("erp", {"months_inactive": 6.0}, "^integration erp, months_inactive = 6.0: "),
        ("erp", {"months_inactive": "6"}, "^integration erp, months_inactive = '6': "),
        ("erp", {"months_inactive": True}, "^integration erp, months_inactive = True: "),
        ("erp", {"months_inactive": None}, "^integration erp, months_inactive: "),
        ("erp", {"months_inactive": 6, "months": 1}, "^integration erp, months = 1: there is no such"),
        ("erp", [], "^integration erp, settings = \\[\\]: "),
        ("health_plan", SIX_MONTHS, "^integration health_plan, months_inactive = 6: there is no such"),
    ],
)
def test_wrong_settings_are_refused(
    owner: psycopg.Connection, connection: psycopg.Connection, code: str, settings: Any, message: str
) -> None:
    with pytest.raises(SettingError, match=message):
        save_integration_settings(connection, code, settings, True, "ana")
    assert stored(owner) == []
    assert audited(owner) == []


@pytest.mark.parametrize(
    ("code", "active", "instead_of", "message"),
    [
        ("health_plan", True, None, "^integrations erp and health_plan, active = 'both': .*switch one off"),
        ("erp", False, None, "^integrations erp and health_plan, active = 'neither': .*switch one on"),
        ("health_plan", False, "erp", "active = 'neither'"),
        ("erp", True, "erp", "^instead_of = 'erp': "),
        ("erp", True, "sap", "^instead_of = 'sap': "),
        ("erp", True, "health_plan", "^instead_of = 'health_plan': "),  # which is not there yet
    ],
)
def test_no_source_or_two_are_refused(
    owner: psycopg.Connection,
    connection: psycopg.Connection,
    code: str,
    active: bool,
    instead_of: str | None,
    message: str,
) -> None:
    save_integration_settings(connection, "erp", SIX_MONTHS, True, "ana")
    settings = SIX_MONTHS if code == "erp" else {}
    with pytest.raises(SettingError, match=message):
        save_integration_settings(connection, code, settings, active, "ana", instead_of=instead_of)
    assert stored(owner) == [("erp", True, SIX_MONTHS)]
    assert len(audited(owner)) == 1


def test_what_was_written_by_hand_can_be_mended(
    owner: psycopg.Connection, connection: psycopg.Connection
) -> None:
    add_integration(owner, "erp")
    add_integration(owner, "health_plan")
    save_integration_settings(connection, "erp", SIX_MONTHS, False, "ana")
    assert load_status_source(connection).code == "health_plan"


def test_two_people_at_once_do_not_switch_both_on(
    owner: psycopg.Connection, connection: psycopg.Connection, task_uri: str
) -> None:
    """The second waits for the first, sees what it did, and is refused."""
    refused: list[str] = []

    def other() -> None:
        with psycopg.connect(task_uri, autocommit=True, cursor_factory=psycopg.ClientCursor) as mine:
            try:
                save_integration_settings(mine, "health_plan", {}, True, "rui")
            except SettingError as error:
                refused.append(str(error.value))

    with connection.transaction():
        save_integration_settings(connection, "erp", SIX_MONTHS, True, "ana")
        thread = threading.Thread(target=other)
        thread.start()
        waiting = (
            "select from pg_locks join pg_database as d on database = d.oid "
            "where locktype = 'advisory' and not granted and datname = current_database()"
        )
        while thread.is_alive() and not owner.execute(waiting).rowcount:
            thread.join(0.01)
    thread.join(30)
    assert refused == ["both"]
    assert stored(owner) == [("erp", True, SIX_MONTHS)]
