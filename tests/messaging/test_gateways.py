"""Settings of gateways: loaded with their windows, saved whole or not at all, wrong ones refused by name."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest

from rotina.errors import SettingError
from rotina.messaging.gateways import GatewaySettings, Window, load_gateway, load_gateways, save_gateway
from tests.messaging.queue_data import add_gateway, add_message, add_template, add_window

EIGHT, NOON, EIGHT_PM = dt.time(8), dt.time(12), dt.time(20)
WINDOWS = (Window("monday", EIGHT, EIGHT_PM), Window("saturday", NOON, None))
SETTINGS = GatewaySettings(
    code="opa",
    name="Opa! Suite",
    kind="opa_suite",
    connection_id="message_gateway",
    windows=WINDOWS,
    settings={"channel_id": "c1"},
    rate=50,
)

#: Everything that save_gateway writes.
ALL_ROWS = """
    select (select jsonb_agg(g order by id) from crm.gateway as g),
        (select jsonb_agg(w order by w::text) from crm.send_window as w),
        (select jsonb_agg(u) from crm.gateway_usage as u),
        (select count(*) from crm.audit_entry)
"""


def audit(owner: psycopg.Connection) -> list[tuple[Any, ...]]:
    return owner.execute(
        "select login, action, target, details, records from crm.audit_entry order by id"
    ).fetchall()


def test_a_gateway_is_saved_with_its_windows_and_loaded_as_it_was(
    connection: psycopg.Connection, owner: psycopg.Connection
) -> None:
    settings = replace(
        SETTINGS, timezone="America/Manaus", burst=7, daily_quota=1000, dispatchers=2, hold_seconds=60
    )
    gateway_id = save_gateway(connection, settings, "ana")

    loaded = load_gateway(connection, "opa")
    assert loaded.id == gateway_id
    for name in GatewaySettings.__dataclass_fields__:
        assert getattr(loaded, name) == getattr(settings, name), name
    assert loaded.zone == ZoneInfo("America/Manaus")
    assert loaded.share == 32
    assert (loaded.paused_at, loaded.paused_by, loaded.pause_reason) == (None, None, None)
    assert owner.execute("select tokens, used from crm.gateway_usage").fetchall() == [(7, 0)]
    assert audit(owner) == [("ana", "save_gateway", {"gateway": "opa"}, {"created": True}, 1)]


@pytest.mark.parametrize(("rate", "tokens"), [(50, 50), (0.1, 1), (None, 1)])
def test_the_bucket_of_a_new_gateway_holds_one_seconds_worth(
    connection: psycopg.Connection, owner: psycopg.Connection, rate: float | None, tokens: float
) -> None:
    save_gateway(connection, replace(SETTINGS, rate=rate), "ana")
    assert owner.execute("select tokens from crm.gateway_usage").fetchall() == [(tokens,)]


def test_a_change_keeps_what_is_not_set_and_is_audited(
    connection: psycopg.Connection, owner: psycopg.Connection
) -> None:
    gateway_id = save_gateway(connection, SETTINGS, "ana")
    owner.execute("update crm.gateway set paused_at = now(), pause_reason = 'senha', failures = 3")
    owner.execute("update crm.gateway_usage set tokens = 2, used = 10")
    changed = replace(
        SETTINGS,
        rate=20.5,
        settings={"channel_id": "c2"},
        windows=[Window("monday", EIGHT, NOON), Window("holiday", dt.time(0), None)],
    )
    assert save_gateway(connection, changed, "bia") == gateway_id

    loaded = load_gateway(connection, "opa")
    assert (loaded.rate, loaded.settings, loaded.pause_reason) == (20.5, {"channel_id": "c2"}, "senha")
    assert list(loaded.windows) == changed.windows
    assert owner.execute("select tokens, used from crm.gateway_usage").fetchall() == [(2, 10)]
    assert owner.execute("select failures from crm.gateway").fetchall() == [(3,)]
    assert audit(owner)[1:] == [
        (
            "bia",
            "save_gateway",
            {"gateway": "opa"},
            {
                "changed": {
                    "rate": [50.0, 20.5],
                    "settings": ["channel_id"],  # what it holds stays out
                    "windows": [
                        ["monday 08:00:00-20:00:00", "saturday 12:00:00-24:00:00"],
                        ["monday 08:00:00-12:00:00", "holiday 00:00:00-24:00:00"],
                    ],
                }
            },
            1,
        )
    ]


def test_windows_come_by_day_and_hour(connection: psycopg.Connection, owner: psycopg.Connection) -> None:
    gateway_id = add_gateway(owner, always=False)
    for day, opens_at, closes_at in (
        ("holiday", "09:00", "10:00"),
        ("friday", "14:00", "24:00"),
        ("monday", "08:00", "12:00:01.5"),
        ("friday", "00:00", "12:00"),
    ):
        add_window(owner, gateway_id, day, opens_at, closes_at)
    assert load_gateway(connection, "opa").windows == (
        Window("monday", EIGHT, dt.time(12, 0, 1, 500_000)),
        Window("friday", dt.time(0), NOON),
        Window("friday", dt.time(14), None),
        Window("holiday", dt.time(9), dt.time(10)),
    )


def test_overlapping_windows_of_a_day_are_fine(connection: psycopg.Connection) -> None:
    windows = (Window("monday", EIGHT, NOON), Window("monday", dt.time(11), EIGHT_PM))
    save_gateway(connection, replace(SETTINGS, windows=windows), "ana")
    assert load_gateway(connection, "opa").windows == windows


def test_the_active_gateways_by_code(connection: psycopg.Connection, owner: psycopg.Connection) -> None:
    for code, active in (("zap", True), ("mail", True), ("old", False)):
        add_gateway(owner, code, always=code == "zap", active=active)
    gateways = load_gateways(connection)
    assert [(gateway.code, len(gateway.windows)) for gateway in gateways] == [("mail", 0), ("zap", 8)]
    assert load_gateway(connection, "old").active is False


def test_a_gateway_that_is_not_there_is_named(connection: psycopg.Connection) -> None:
    with pytest.raises(SettingError, match=r"^gateway = 'nada': there is no gateway"):
        load_gateway(connection, "nada")


def test_an_inactive_gateway_needs_no_window(connection: psycopg.Connection) -> None:
    save_gateway(connection, replace(SETTINGS, windows=(), active=False), "ana")
    assert load_gateway(connection, "opa").windows == ()


@pytest.mark.parametrize(
    ("field", "value", "shown"),
    [
        ("code", "Opa Suite", "'Opa Suite'"),
        ("code", "opa\n", r"'opa\n'"),
        ("name", " ", "' '"),
        ("connection_id", "", "''"),
        ("kind", "sms", "'sms'"),
        ("timezone", "America/Nowhere", "'America/Nowhere'"),
        ("timezone", "America", "'America'"),
        ("timezone", "../etc", "'../etc'"),
        ("timezone", "", "''"),
        ("rate", 0, "0"),
        ("rate", -1.5, "-1.5"),
        ("rate", float("inf"), "inf"),
        ("rate", float("nan"), "nan"),
        ("rate", "50", "'50'"),
        ("burst", 0, "0"),
        ("daily_quota", 0, "0"),
        ("daily_quota", -5, "-5"),
        ("max_in_flight", 0, "0"),
        ("max_in_flight", 10_001, "10001"),
        ("max_in_flight", None, "whole number"),
        ("dispatchers", 0, "0"),
        ("dispatchers", 65, "65"),
        ("dispatchers", True, "True"),
        ("max_attempts", 0, "0"),
        ("max_attempts", 101, "101"),
        ("backoff_seconds", 0, "0"),
        ("backoff_seconds", 3601, "3601"),
        ("backoff_most_seconds", 0, "0"),
        ("hold_seconds", 0, "0"),
        ("call_timeout_seconds", 0, "0"),
        ("call_timeout_seconds", 601, "601"),
        ("call_timeout_seconds", 1.5, "1.5"),
        ("payload_limit", 0, "0"),
        ("payload_limit", 10_485_761, "10485761"),
        ("windows", (), "a window that never opens"),
        ("windows", (Window("monday", NOON, NOON),), "monday 12:00:00-12:00:00': a window that never opens"),
        (
            "windows",
            (Window("monday", EIGHT_PM, EIGHT),),
            "monday 20:00:00-08:00:00': a window that never opens",
        ),
        ("windows", (*WINDOWS, Window("monday", EIGHT, NOON)), "monday 08:00:00-12:00:00"),
        ("windows", (Window("someday", EIGHT, NOON),), "'someday'"),  # type: ignore[arg-type]
        ("settings", {"channel_id": ""}, "settings.channel_id"),
        ("settings", {}, "settings.channel_id"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_changed(
    connection: psycopg.Connection, owner: psycopg.Connection, field: str, value: Any, shown: str
) -> None:
    save_gateway(connection, SETTINGS, "ana")
    before = owner.execute(ALL_ROWS).fetchall()
    with pytest.raises(SettingError) as caught:
        save_gateway(connection, replace(SETTINGS, **{"name": "Outra", field: value}), "bia")
    assert caught.value.field.startswith(field)
    assert shown in str(caught.value)
    assert owner.execute(ALL_ROWS).fetchall() == before


def test_more_dispatchers_than_messages_in_flight_are_refused(connection: psycopg.Connection) -> None:
    with pytest.raises(SettingError, match=r"^dispatchers = 3: must be at most max_in_flight \(2\)"):
        save_gateway(connection, replace(SETTINGS, dispatchers=3, max_in_flight=2), "ana")


@pytest.mark.parametrize("use", [add_message, add_template])
def test_the_kind_of_a_gateway_in_use_stays(
    connection: psycopg.Connection, owner: psycopg.Connection, use: Any
) -> None:
    gateway_id = save_gateway(connection, SETTINGS, "ana")
    as_mail = replace(SETTINGS, kind="smtp", settings={})
    save_gateway(connection, as_mail, "ana")
    save_gateway(connection, SETTINGS, "ana")
    use(owner, gateway_id)
    before = owner.execute(ALL_ROWS).fetchall()
    with pytest.raises(SettingError, match=r"^kind = 'smtp': gateway opa has messages or templates"):
        save_gateway(connection, as_mail, "bia")
    assert owner.execute(ALL_ROWS).fetchall() == before
    save_gateway(connection, replace(SETTINGS, name="Outro nome"), "bia")  # the rest may change


def test_a_save_that_breaks_leaves_nothing(connection: psycopg.Connection, owner: psycopg.Connection) -> None:
    owner.execute("alter table crm.audit_entry add check (login <> 'bia')")
    save_gateway(connection, SETTINGS, "ana")
    before = owner.execute(ALL_ROWS).fetchall()
    with pytest.raises(psycopg.errors.CheckViolation):
        save_gateway(connection, replace(SETTINGS, rate=1, windows=WINDOWS[:1]), "bia")
    assert owner.execute(ALL_ROWS).fetchall() == before
