"""Settings of the daily file batch: what is refused, what is audited."""

from __future__ import annotations

import datetime as dt
from typing import Any

import psycopg
import pytest

from rotina.errors import SettingError
from rotina.files import batches
from rotina.files.batches import DailyFileSettings

SETTINGS = {"instance_id": "LOJA-1", "first_business_date": dt.date(2026, 11, 20)}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("instance_id", ""),
        ("instance_id", " "),
        ("instance_id", "LOJA 1"),
        ("instance_id", "LOJA_1"),
        ("instance_id", "../LOJA"),
        ("instance_id", "AÇÃO"),
        ("instance_id", "A" * 31),
        ("instance_id", "LOJA\n"),
        ("instance_id", None),
        ("first_business_date", None),
        ("first_business_date", dt.datetime(2026, 11, 20, tzinfo=dt.UTC)),
        ("due_at", dt.time(9, tzinfo=dt.UTC)),
        ("due_at", "09:00"),
        ("connection_id", " "),
        ("acknowledge_within_hours", 0),
        ("acknowledge_within_hours", 721),
        ("acknowledge_within_hours", True),
    ],
)
def test_a_wrong_setting_is_named_and_changes_nothing(
    connection: psycopg.Connection, field: str, value: Any
) -> None:
    with pytest.raises(SettingError, match=field) as caught:
        batches.save_settings(connection, DailyFileSettings(**{**SETTINGS, field: value}), "ana")
    assert caught.value.field == field
    assert connection.execute("select count(*) from crm.daily_file_setting").fetchone() == (0,)


def test_settings_are_saved_and_audited(connection: psycopg.Connection) -> None:
    first = DailyFileSettings(**SETTINGS)  # type: ignore[arg-type]
    batches.save_settings(connection, first, "ana")
    assert batches.load_settings(connection) == first
    second = DailyFileSettings("A" * 30, dt.date(2026, 12, 1), dt.time(8, 30), "partner_sftp", 24)
    batches.save_settings(connection, second, "rui")
    assert batches.load_settings(connection) == second
    query = "select login, action, details from crm.audit_entry order by id"
    assert connection.execute(query).fetchall() == [
        ("ana", "save_daily_file_settings", {"created": True}),
        (
            "rui",
            "save_daily_file_settings",
            {
                "changed": {
                    "instance_id": ["LOJA-1", "A" * 30],
                    "first_business_date": ["2026-11-20", "2026-12-01"],
                    "due_at": ["09:00:00", "08:30:00"],
                    "connection_id": ["daily_files", "partner_sftp"],
                    "acknowledge_within_hours": [None, 24],
                }
            },
        ),
    ]


def test_the_batch_that_is_switched_off(connection: psycopg.Connection) -> None:
    batches.save_settings(connection, DailyFileSettings(**SETTINGS, active=False), "ana")  # type: ignore[arg-type]
    with pytest.raises(SettingError, match="switched off"):
        batches.load_settings(connection)


def test_what_somebody_wrote_into_the_table_is_checked_too(
    connection: psycopg.Connection, owner: psycopg.Connection
) -> None:
    batches.save_settings(connection, DailyFileSettings(**SETTINGS), "ana")  # type: ignore[arg-type]
    owner.execute("update crm.daily_file_setting set connection_id = ''")
    with pytest.raises(SettingError, match="connection_id"):
        batches.load_settings(connection)
