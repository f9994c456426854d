"""The dunning schedule: every due date reminded of on exactly one day; wrong steps and exceptions refused."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotina.errors import SettingError
from rotina.messaging.dunning import (
    StepSettings,
    add_exception,
    delete_step,
    due_dates,
    is_business_day,
    remove_exception,
    save_step,
)
from tests.messaging.queue_data import add_customer, add_template, insert

ONE_DAY = dt.timedelta(days=1)


def date(text: str) -> dt.date:
    return dt.date.fromisoformat(text)


@pytest.mark.parametrize(
    ("days", "business_date", "first", "last"),
    [
        (0, "2026-11-19", "2026-11-19", "2026-11-19"),  # a Thursday
        (0, "2026-11-20", None, None),  # a holiday on a Friday
        (0, "2026-11-21", None, None),
        (0, "2026-11-22", None, None),
        (0, "2026-11-23", "2026-11-20", "2026-11-23"),
        (3, "2026-11-23", "2026-11-17", "2026-11-20"),
        (-3, "2026-11-23", "2026-11-23", "2026-11-26"),
        (10, "2026-11-24", "2026-11-14", "2026-11-14"),
        (0, "2026-11-30", "2026-11-28", "2026-11-30"),
        (1, "2024-03-01", "2024-02-29", "2024-02-29"),
        (0, "2024-02-29", "2024-02-29", "2024-02-29"),
        (0, "2026-12-28", "2026-12-25", "2026-12-28"),  # Christmas was a Friday
        (0, "2027-01-04", "2027-01-01", "2027-01-04"),
    ],
)
def test_due_dates_of_a_step_that_moves(
    days: int, business_date: str, first: str | None, last: str | None
) -> None:
    expected = (date(first), date(last)) if first and last else None
    assert due_dates(days, True, date(business_date)) == expected


def test_due_dates_of_a_step_that_does_not_move() -> None:
    for days, due_on in ((0, "2026-11-22"), (-3, "2026-11-25"), (10, "2026-11-12")):
        assert due_dates(days, False, date("2026-11-22")) == (date(due_on), date(due_on))


@given(
    due_on=st.dates(date("2020-01-01"), date("2035-12-31")),
    days=st.integers(-365, 3650),
    moves=st.booleans(),
)
def test_every_due_date_is_reminded_of_on_exactly_one_business_date(
    due_on: dt.date, days: int, moves: bool
) -> None:
    own_day = due_on + days * ONE_DAY
    reminded = []
    for offset in range(-20, 20):
        business_date = own_day + offset * ONE_DAY
        found = due_dates(days, moves, business_date)
        if found and found[0] <= due_on <= found[1]:
            reminded.append(business_date)
    (reminded_on,) = reminded
    if moves:
        assert reminded_on >= own_day
        assert is_business_day(reminded_on)
        between = [own_day + offset * ONE_DAY for offset in range((reminded_on - own_day).days)]
        assert not any(map(is_business_day, between))
    else:
        assert reminded_on == own_day


# --- steps


@pytest.fixture
def template(owner: psycopg.Connection) -> int:
    """A template that billing can use."""
    fields = {"kind": "opa_suite", "name": "-", "connection_id": "-"}
    return add_template(owner, insert(owner, "crm.gateway", code="opa", **fields)[0])


@pytest.fixture
def step(template: int) -> StepSettings:
    return StepSettings("Vence hoje", 0, template)


def stored(owner: psycopg.Connection) -> list[tuple[Any, ...]]:
    return owner.execute(
        "select (select jsonb_agg(s order by id) from crm.dunning_step as s),"
        " (select jsonb_agg(e) from crm.dunning_exception as e), (select count(*) from crm.audit_entry)"
    ).fetchall()


def audit(owner: psycopg.Connection) -> list[tuple[Any, ...]]:
    return owner.execute(
        "select login, action, target, details, records from crm.audit_entry order by id"
    ).fetchall()


def test_a_step_is_saved_changed_and_deleted_with_an_audit(
    connection: psycopg.Connection, owner: psycopg.Connection, step: StepSettings
) -> None:
    step_id = save_step(connection, step, "ana")
    assert save_step(connection, replace(step, days=3, priority=2, valid_days=1), "bia") == step_id
    assert owner.execute(
        "select days, template_id, priority, next_business_day, valid_days, active from crm.dunning_step"
    ).fetchall() == [(3, step.template_id, 2, True, 1, True)]
    save_step(connection, replace(step, days=3, priority=2, valid_days=1, active=False), "bia")
    delete_step(connection, step.name, "caio")
    assert owner.execute("select count(*) from crm.dunning_step").fetchall() == [(0,)]
    entries = audit(owner)
    assert [(entry[0], entry[1], entry[2], entry[4]) for entry in entries] == [
        (login, action, {"dunning_step": "Vence hoje"}, 1)
        for login, action in (
            ("ana", "save_step"),
            ("bia", "save_step"),
            ("bia", "save_step"),
            ("caio", "delete_step"),
        )
    ]
    assert entries[0][3] == {"created": True}
    assert entries[1][3] == {"changed": {"days": [0, 3], "priority": [5, 2], "valid_days": [0, 1]}}
    assert entries[2][3] == {"changed": {"active": [True, False]}}
    assert entries[3][3]["deleted"]["days"] == 3


def test_the_edges_of_the_ranges_are_fine(connection: psycopg.Connection, step: StepSettings) -> None:
    save_step(connection, replace(step, name="a", days=-365, priority=1, valid_days=0), "ana")
    save_step(connection, replace(step, name="b", days=3650, priority=9, valid_days=365), "ana")
    assert connection.execute(
        "select days, priority, valid_days from crm.dunning_step order by name"
    ).fetchall() == [(-365, 1, 0), (3650, 9, 365)]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", " "),
        ("days", -366),
        ("days", 3651),
        ("days", 1.5),
        ("priority", 0),
        ("priority", 10),
        ("valid_days", -1),
        ("valid_days", 366),
    ],
)
def test_a_wrong_step_is_named_and_nothing_is_changed(
    connection: psycopg.Connection, owner: psycopg.Connection, step: StepSettings, field: str, value: Any
) -> None:
    save_step(connection, step, "ana")
    before = stored(owner)
    with pytest.raises(SettingError) as caught:
        save_step(connection, replace(step, **{field: value}), "bia")
    assert str(caught.value).startswith(f"{field} = {value!r}: ")
    assert stored(owner) == before


@pytest.mark.parametrize("active", [True, False])
def test_a_step_with_a_template_that_is_not_there_is_refused(
    connection: psycopg.Connection, owner: psycopg.Connection, step: StepSettings, active: bool
) -> None:
    with pytest.raises(SettingError, match=r"^template = 99: there is no such template"):
        save_step(connection, replace(step, template_id=99, active=active), "ana")
    assert stored(owner) == [(None, None, 0)]


def test_an_active_step_needs_a_template_that_billing_can_use(
    connection: psycopg.Connection, owner: psycopg.Connection, step: StepSettings
) -> None:
    owner.execute("update crm.message_template set status = 'paused'")
    with pytest.raises(SettingError, match=r"^template = 'cobranca': is not approved"):
        save_step(connection, step, "ana")
    assert stored(owner) == [(None, None, 0)]
    save_step(connection, replace(step, active=False), "ana")

    owner.execute("update crm.message_template set status = 'approved', variables = '{first_name,link,link}'")
    with pytest.raises(SettingError, match=r"^variables = 'link': .* billing_messages offers"):
        save_step(connection, step, "ana")
    assert owner.execute("select active from crm.dunning_step").fetchall() == [(False,)]


def test_two_steps_with_the_same_template_on_one_day_are_refused(
    connection: psycopg.Connection, owner: psycopg.Connection, step: StepSettings
) -> None:
    save_step(connection, step, "ana")
    before = stored(owner)
    with pytest.raises(SettingError, match=r"^days = 0: step 'Vence hoje' sends the same template"):
        save_step(connection, replace(step, name="De novo"), "ana")
    assert stored(owner) == before


def test_a_step_that_is_not_there_cannot_be_deleted(
    connection: psycopg.Connection, owner: psycopg.Connection, step: StepSettings
) -> None:
    save_step(connection, step, "ana")
    before = stored(owner)
    with pytest.raises(SettingError, match=r"^step = 'Nada': there is no step"):
        delete_step(connection, "Nada", "ana")
    assert stored(owner) == before


def test_a_renamed_step_keeps_its_id(
    connection: psycopg.Connection, owner: psycopg.Connection, step: StepSettings
) -> None:
    step_id = save_step(connection, step, "ana")
    renamed = replace(step, name="No vencimento", priority=2)
    assert save_step(connection, renamed, "bia", renamed_from="Vence hoje") == step_id
    assert owner.execute("select id, name, priority from crm.dunning_step").fetchall() == [
        (step_id, "No vencimento", 2)
    ]
    changed = {"name": ["Vence hoje", "No vencimento"], "priority": [5, 2]}
    target = {"dunning_step": "No vencimento"}
    assert audit(owner)[-1] == ("bia", "save_step", target, {"changed": changed}, 1)
    assert save_step(connection, renamed, "bia", renamed_from="No vencimento") == step_id


def test_a_wrong_rename_is_refused_and_changes_nothing(
    connection: psycopg.Connection, owner: psycopg.Connection, step: StepSettings
) -> None:
    save_step(connection, step, "ana")
    save_step(connection, replace(step, name="Amanhã", days=-1), "ana")
    before = stored(owner)
    with pytest.raises(SettingError, match=r"^renamed_from = 'Nada': there is no step"):
        save_step(connection, replace(step, name="Hoje"), "ana", renamed_from="Nada")
    with pytest.raises(SettingError, match=r"^name = 'Amanhã': another step has that name"):
        save_step(connection, replace(step, name="Amanhã"), "ana", renamed_from="Vence hoje")
    with pytest.raises(SettingError, match=r"^days = -1: step 'Amanhã' sends the same template"):
        save_step(connection, replace(step, name="Hoje", days=-1), "ana", renamed_from="Vence hoje")
    assert stored(owner) == before


def test_a_step_that_wrote_messages_cannot_be_deleted(
    connection: psycopg.Connection, owner: psycopg.Connection, step: StepSettings
) -> None:
    step_id = save_step(connection, step, "ana")
    other_id = save_step(connection, replace(step, name="Amanhã", days=-1), "ana")
    key = f"billing:{other_id}:{step_id}:2026-11-20"  # the receivable has the number of the other step
    insert(owner, "crm.message_key", dedupe_key=key, message_id=1)
    before = stored(owner)
    with pytest.raises(SettingError, match=r"^step = 'Vence hoje': has written messages; set it inactive"):
        delete_step(connection, "Vence hoje", "ana")
    assert stored(owner) == before
    delete_step(connection, "Amanhã", "ana")


# --- exceptions


def test_an_exception_is_added_changed_and_removed_with_an_audit(
    connection: psycopg.Connection, owner: psycopg.Connection
) -> None:
    customer_id = add_customer(owner)
    add_exception(connection, customer_id, "acordo", date("2026-12-31"), "ana")
    add_exception(connection, customer_id, "contesta a dívida", None, "bia")
    rows = "select customer_id, reason, until_on from crm.dunning_exception"
    assert owner.execute(rows).fetchall() == [(customer_id, "contesta a dívida", None)]
    remove_exception(connection, customer_id, "caio")
    assert owner.execute(rows).fetchall() == []
    target = {"customer": customer_id}
    assert audit(owner) == [
        ("ana", "add_exception", target, {"reason": "acordo", "until_on": "2026-12-31"}, 1),
        ("bia", "add_exception", target, {"reason": "contesta a dívida", "until_on": None}, 1),
        ("caio", "remove_exception", target, {}, 1),
    ]


def test_wrong_exceptions_are_refused(connection: psycopg.Connection, owner: psycopg.Connection) -> None:
    customer_id = add_customer(owner)
    with pytest.raises(SettingError, match=r"^reason = ' ': must not be blank"):
        add_exception(connection, customer_id, " ", None, "ana")
    with pytest.raises(SettingError, match=r"^customer_id = 999999: the ERP has no such customer"):
        add_exception(connection, 999_999, "acordo", None, "ana")
    with pytest.raises(SettingError, match=rf"^customer_id = {customer_id}: there is no exception"):
        remove_exception(connection, customer_id, "ana")
    assert stored(owner) == [(None, None, 0)]
