"""Previews: what a run would do, told without anything of it staying.

A preview is the routine's own dry run in a transaction that is taken back, or what the domain code offers
itself. A screen may add one: `PREVIEWS["my_routine"] = my_preview`.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg.rows import dict_row

from rotina.accounts import account_status_update, class_transition, inactivity_monitor
from rotina.console import words
from rotina.console.codes import in_words
from rotina.console.language import gettext
from rotina.errors import SettingError
from rotina.hooks.unsubscribe import with_links
from rotina.messaging import billing_messages, birthday_emails
from rotina.runs import record
from rotina.runs.agenda import load_agenda
from rotina.runs.record import Outcome, Run, RunRequest
from rotina.sql import statement

#: Rows that a preview shows.
MOST = 50

#: Params that are a program of whoever asks (a subject is Jinja): for those who may ask for a run as well.
EXECUTED = frozenset({"subject"})


@dataclass(frozen=True)
class Preview:
    """What a run would do."""

    total: int
    """How many records the rows stand for; more than there are rows where only some are shown."""
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    outcome: Outcome | None = None
    """The equation of a dry run."""
    details: dict[str, Any] = field(default_factory=dict)
    records: Sequence[tuple[str, str]] = ()
    """Kind and key of the record that each row is about; none where rows are about none."""


#: Makes the preview of a routine, for a business date and the params of a run.
Source = Callable[[psycopg.Connection, dt.date, dict[str, Any]], Preview]


def dry_run(
    routine: str,
    check: Callable[[psycopg.Connection, dict[str, Any]], None],
    work: Callable[[psycopg.Connection, Run], Outcome],
) -> Source:
    """The preview of a routine that has the param `dry_run`: it runs so, and everything is taken back."""

    def preview(connection: psycopg.Connection, on: dt.date, params: dict[str, Any]) -> Preview:
        asked = {**params, "dry_run": True}
        request = RunRequest(
            routine,
            load_agenda().entry(routine).program,
            f"preview__{uuid.uuid4().hex}",
            "manual",
            on,
            None,
            asked,
        )
        with connection.transaction(force_rollback=True):
            check(connection, asked)
            run = record.open_run(connection, request)
            outcome = work(connection, run)
            with connection.cursor(row_factory=dict_row) as cursor:
                items = cursor.execute(
                    statement("runs/list_items"), {"run_id": run.id, "most": MOST}
                ).fetchall()
                names = _names(cursor, items)
        rows = [
            (
                f"{words.capitalised(words.named(item['record_kind'], 'record'))} {item['record_id']}"
                + names.get((item["record_kind"], item["record_id"]), ""),
                words.capitalised(words.named(item["reason"], "reason")),
                item["detail"] or "",
            )
            for item in items
        ]
        return Preview(
            outcome.skipped + outcome.failed,
            [gettext("Record"), gettext("What would become of it"), gettext("Detail")],
            rows,
            outcome,
            outcome.details,
            [(item["record_kind"], item["record_id"]) for item in items],
        )

    return preview


def _names(
    cursor: psycopg.Cursor[dict[str, Any]], items: Sequence[dict[str, Any]]
) -> dict[tuple[str, str], str]:
    """What is told of accounts beside their numbers."""
    ids = [item["record_id"] for item in items if item["record_kind"] == "account"]
    found = cursor.execute(statement("console_maintenance/list_account_names"), {"ids": ids}).fetchall()
    return {("account", str(one["id"])): f" · {one['name']}" for one in found}


def _transitions(connection: psycopg.Connection, on: dt.date, params: dict[str, Any]) -> Preview:
    found = class_transition.preview(connection, params.get("audience"), on, MOST)
    return Preview(
        found.total,
        [
            gettext("Account"),
            gettext("Name"),
            gettext("From class"),
            gettext("To class"),
            gettext("Rule"),
            gettext("Because of"),
        ],
        [
            (
                one.account_id,
                one.name,
                one.from_class or "–",
                one.to_class,
                one.rule,
                "; ".join(f"{name}: {value}" for name, value in in_words(one.values)),
            )
            for one in found.transitions
        ],
        records=[("account", str(one.account_id)) for one in found.transitions],
    )


PREVIEWS: dict[str, Source] = {
    "class_transition": _transitions,
    "account_status_update": dry_run(
        "account_status_update", account_status_update.check_settings, account_status_update.update_status
    ),
    "inactivity_monitor": dry_run(
        "inactivity_monitor", inactivity_monitor.check_settings, inactivity_monitor.monitor_accounts
    ),
    "billing_messages": dry_run(
        "billing_messages", billing_messages.check_settings, billing_messages.write_messages
    ),
    "birthday_emails": dry_run(
        "birthday_emails",
        with_links(birthday_emails.check_settings),
        with_links(birthday_emails.write_messages),
    ),
}


def preview(connection: psycopg.Connection, routine: str, on: dt.date, params: dict[str, Any]) -> Preview:
    """What a run of a routine would do on a business date. Nothing of it stays.

    Raises:
        SettingError: the routine has no preview, or a setting or param is wrong.
    """
    source = PREVIEWS.get(routine)
    if source is None:
        raise SettingError("routine", routine, gettext("has no preview"))
    return source(connection, on, params)
