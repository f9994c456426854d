"""What people wrote is shown as text: a script in every text column of every table, every screen read."""

from __future__ import annotations

import datetime as dt
import re
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.types.json import Jsonb
from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Float,
    Numeric,
    Table,
    Text,
    Time,
)
from sqlalchemy.dialects.postgresql import JSONB

from rotina.console import ConsoleApp, previews
from rotina.console.previews import PREVIEWS, Preview
from rotina.models import Base
from tests.console.conftest import OpenConsole
from tests.console.examples import examples
from tests.console.test_roles import send, url

#: Ends an attribute, a text and a script, and begins one of its own. A page that shows it as it is runs it.
PAYLOAD = """'"></script></textarea><script>alert(1)</script><img src=x onerror=alert(2)>{{7*7}}"""
#: What of it may stand in no page.
LIVE = ("<script>alert(1)", "<img src=x onerror")

#: Columns that hold more than free text: what stands there must mean something, or no screen can be shown.
MEANT: dict[str, Any] = {
    "audience.filter": None,
    "class_rule.conditions": Jsonb({"all": [{"field": "name", "op": "=", "value": PAYLOAD}]}),
    "gateway.timezone": "America/Sao_Paulo",
    "gateway.paused_at": dt.datetime(2026, 11, 20, 12, tzinfo=dt.UTC),
    "integration.settings": Jsonb({}),
    "monitoring_profile.layout": "inactivity_digest",
    "monitoring_profile.processes": ["ticket"],
    "monitoring_profile.transfer_to_login": None,
    # A day that was missed, for which the list of routines tells why.
    "run.business_date": dt.date.today() - dt.timedelta(days=1),  # noqa: DTZ011
    "run.started_at": dt.datetime.now(dt.UTC) - dt.timedelta(days=40),
    "run.changed": 0,
    "run.unchanged": 0,
    "run.skipped": 0,
    "run.status": "failed",
    "run.routine": "class_transition",
    "routine_progress.scope": "",
    "send_window.closes_at": dt.time(18),
}


def value_of(table: Table, column: Column[Any]) -> Any:
    """Something for a column; a script wherever text may be free."""
    name = f"{table.name}.{column.name}"
    if name in MEANT:
        return MEANT[name]
    if column.foreign_keys:
        (key,) = column.foreign_keys
        return value_of(key.column.table, key.column)
    for check in table.constraints:
        if isinstance(check, CheckConstraint):
            text = str(check.sqltext)
            if chosen := re.search(rf"\b{column.name} in \('([^']*)'", text):
                return chosen[1]
            if re.search(rf"\b{column.name} ~ '\^\[a-z\]", text):
                return "x"
            if bounds := re.search(rf"\b{column.name} (?:between|>=|>) (-?\d+)", text):
                return int(bounds[1]) + (0 if "between" in text or ">=" in text else 1)
    kind = column.type
    if isinstance(kind, ARRAY):
        return [PAYLOAD]
    if isinstance(kind, JSONB):
        return Jsonb({PAYLOAD: PAYLOAD, "nested": {"text": [PAYLOAD]}})
    by_type: list[tuple[Any, Any]] = [
        (Boolean, True),
        (BigInteger, 1),
        (Numeric, Decimal(1)),
        (Float, 1.0),
        (DateTime, dt.datetime(2026, 11, 20, 12, tzinfo=dt.UTC)),
        (Date, dt.date(2026, 11, 20)),
        (Time, dt.time(9)),
        (Text, PAYLOAD),
    ]
    return next(value for type_, value in by_type if isinstance(kind, type_))


#: Columns that take a value only when another is empty, or that the database fills in.
LEFT_OUT = {
    "monitoring_profile.transfer_to_login",
    "run.seconds",
    "class_rule.source_class_id",
    "message_archive.archived_at",
}


@pytest.fixture
def scripted(owner: psycopg.Connection) -> list[str]:
    """A row in every table, with the script in every text; returns the columns that hold it."""
    holding = []
    owner.execute("set session_replication_role = replica")  # archives have partitions, tables have an order
    for table in Base.metadata.sorted_tables:
        if table.dialect_kwargs.get("postgresql_partition_by"):
            continue
        columns = [
            column
            for column in table.columns
            if f"{table.name}.{column.name}" not in LEFT_OUT and column.computed is None
        ]
        values = [value_of(table, column) for column in columns]
        holding += [f"{table.name}.{c.name}" for c, v in zip(columns, values, strict=True) if v == PAYLOAD]
        names = sql.SQL(", ").join(sql.Identifier(column.name) for column in columns)
        places = sql.SQL(", ").join([sql.Placeholder()] * len(columns))
        owner.execute(
            sql.SQL("insert into crm.{} ({}) overriding system value values ({})").format(
                sql.Identifier(table.name), names, places
            ),
            values,
        )
    return holding


@pytest.mark.parametrize("language", ["en", "pt"])
def test_no_screen_runs_what_people_wrote(
    console: ConsoleApp, open_console: OpenConsole, scripted: list[str], language: str
) -> None:
    assert len(scripted) > 60
    client = open_console("admin", language)
    shown = 0
    for declared in console.state.console.declared:
        if declared.method != "GET" or declared.is_file or declared.right is None:
            continue
        reply = client.get(url(declared), headers={"Accept": "text/html"})
        assert reply.status_code in (200, 404, 422), (declared, reply.text[:500])
        if not reply.headers["content-type"].startswith("text/html"):
            assert reply.headers["X-Content-Type-Options"] == "nosniff"  # no browser takes it for a page
            continue
        for live in LIVE:
            assert live not in reply.text, f"{declared.path} shows {live} as it is"
        assert "49" not in re.findall(r"&lt;img src=x onerror=alert\(2\)&gt;(\d+)", reply.text)
        shown += "alert(1)" in reply.text
    assert shown > 0  # the screens did show the rows


def test_no_fragment_runs_what_people_wrote(
    open_console: OpenConsole, scripted: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the pages' scripts put into a page: dialogs, and everything that a preview answers."""
    client = open_console("admin")
    found = Preview(1, [PAYLOAD], [[PAYLOAD]], details={"rules": PAYLOAD})
    monkeypatch.setattr(previews, "preview", lambda *_: found)
    replies = {
        f"{routine} {mode}": client.get(f"/rotina/routines/{routine}/form", params={"mode": mode})
        for routine in PREVIEWS
        for mode in ("now", "later", "missed", "preview")
    }
    for routine in PREVIEWS:
        replies[f"preview of {routine}"] = client.post_json(f"/rotina/routines/{routine}/preview", {})
    for example in examples():
        if example.action is None:
            replies[example.path] = send(client, example)
    showing = set()
    for name, reply in replies.items():
        assert reply.status_code in (200, 404, 422), (name, reply.text[:300])
        if reply.headers["content-type"].startswith("text/html"):
            assert not any(live in reply.text for live in LIVE), name
            showing |= {name} if "alert(1)" in reply.text else set()
    assert {"class_transition missed", *(f"preview of {routine}" for routine in PREVIEWS)} <= showing


def test_a_search_is_shown_as_text(console: ConsoleApp, open_console: OpenConsole) -> None:
    client = open_console("viewer")
    for declared in console.state.console.declared:
        if declared.method == "GET" and not declared.is_file and declared.right is not None:
            reply = client.get(
                f"/rotina{declared.path.replace('{', '').replace('}', '')}",
                params=dict.fromkeys(
                    (
                        "q",
                        "sort",
                        "cols",
                        "page",
                        "reason",
                        "status",
                        "routine",
                        "_origin",
                        "after",
                        "dag_id",
                    ),
                    PAYLOAD,
                ),
                headers={"Accept": "text/html"},
            )
            assert reply.status_code < 500
            assert not any(live in reply.text for live in LIVE)
