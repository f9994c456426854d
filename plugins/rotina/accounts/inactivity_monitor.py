"""Inactivity monitor (crm00356): accounts without movement in a period are found, reported and transferred.

A movement counts from the first instant of the first day of the period to the last one of the business date,
both in local time; one that has a date only is of the whole of its day. What a profile found it does not find
again until the account has moved and stopped again.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import psycopg
from psycopg.rows import class_row, scalar_row
from psycopg.types.json import Jsonb

from rotina import erp_contract
from rotina.accounts import inactivity_digest
from rotina.accounts.audiences import load_audiences, open_audiences
from rotina.accounts.inactivity_digest import LISTED, PROCESS_TITLES, Digest
from rotina.accounts.monitoring_profiles import MonitoringProfile, load_profiles
from rotina.messaging import outbox
from rotina.messaging.gateways import Gateway, find_email_gateway
from rotina.runs.agenda import load_agenda
from rotina.runs.record import Outcome, Run
from rotina.sql import statement

T = TypeVar("T")

ROUTINE = "inactivity_monitor"

#: Digests that are composed before they go to the database together.
BATCH = 50

_ERP_TABLES = {"quote": erp_contract.quote, "order": erp_contract.sales_order}
_ONE_DAY = dt.timedelta(days=1)


@dataclass(frozen=True)
class _Settings:
    """What a run works with, checked."""

    profiles: Sequence[MonitoringProfile]
    gateway: Gateway | None
    """None: no profile notifies anybody."""


@dataclass(frozen=True)
class _Judged:
    """Accounts that profiles newly found, and what came of them."""

    found: int
    skipped: int
    transferred: int
    owner_left: int


def check_settings(connection: psycopg.Connection, params: dict[str, Any]) -> None:
    """Refuse to start with a wrong setting. Changes nothing.

    Raises:
        SettingError: the profile does not exist or is not active; one of the profiles cannot be worked with
            (see `monitoring_profiles.load_profiles`); there is no gateway for the digests; or the ERP lacks a
            table or column that a profile asks for; or the filter of an audience is wrong.
    """
    _settings(connection, params)


def monitor_accounts(connection: psycopg.Connection, run: Run) -> Outcome:
    """Find the accounts without movement on the business date, in the transaction of the caller.

    They are written to crm.inactive_account, transferred where their profile says so, and told of in one
    digest per person. Params of the run: `profile` (name; empty: all that are active), `gateway` (code;
    empty: the only active one that sends e-mail) and `dry_run` (name who would be found; change nothing).

    Returns:
        The equation over the accounts that the profiles look at, and over the digests that were not written.
        Changed is an account that a profile newly found. Skipped is one whose owner left and that no profile
        gave to another (it is written all the same), and one whose profiles have done a newer date.

    Raises:
        SettingError: as `check_settings`.
        psycopg.errors.SerializationFailure: under REPEATABLE READ only: another session changed an account
            that is to be transferred. Trying the whole transaction again sees that change.
    """
    settings = _settings(connection, run.params)
    dry_run = bool(run.params.get("dry_run"))
    values = _values(run, settings)

    def execute(*names: str) -> int:
        """Run statements of the routine; returns the number of rows that the last one touched."""
        rows = 0
        for name in names:
            rows = connection.execute(statement(f"inactivity_monitor/{name}"), values).rowcount
        return rows

    connection.execute(statement("outbox/tune_session"))
    open_audiences(connection, _audience_ids(settings.profiles), run.date)
    execute("open_profiles")
    selected = _fetch(connection, "count_accounts", scalar_row, values)
    judged, digests = _Judged(0, 0, 0, 0), Outcome(0, 0, 0, 0, 0)
    if execute("select_quiet"):
        execute("find_last_movements", "assign_owners", "judge_accounts", "record_items")
        judged = _fetch(connection, "count_judged", class_row(_Judged))
        if not dry_run:
            digests = _notify(connection, run, settings, values)
            execute("transfer_accounts", "write_found")
    if not dry_run:
        execute("advance_profiles")
    unwritten = digests.skipped + digests.failed
    return Outcome(
        selected=selected + unwritten,
        changed=judged.found - judged.skipped,
        unchanged=selected - judged.found,
        skipped=judged.skipped + digests.skipped,
        failed=digests.failed,
        details=_details(run, judged, digests.changed),
    )


def _notify(connection: psycopg.Connection, run: Run, settings: _Settings, values: dict[str, Any]) -> Outcome:
    """Write the digests into the message queue; returns the equation over them."""
    connection.execute(statement("inactivity_monitor/select_notices"))
    if settings.gateway is None:
        return Outcome(0, 0, 0, 0, 0)
    outbox.open_outgoing(connection)
    values = {
        **values,
        "gateway_id": settings.gateway.id,
        "payload_limit": settings.gateway.payload_limit,
        "listed": LISTED,
        "processes": list(PROCESS_TITLES),
        "process_titles": list(PROCESS_TITLES.values()),
    }
    with connection.cursor("digests", row_factory=class_row(Digest)) as digests:
        digests.execute(statement("inactivity_monitor/list_digests"), values)
        for batch in iter(partial(digests.fetchmany, BATCH), []):
            payloads = [
                inactivity_digest.compose(
                    digest,
                    business_date=run.date,
                    run_id=run.id,
                    payload_limit=settings.gateway.payload_limit,
                )
                for digest in batch
            ]
            with (
                connection.cursor() as cursor,
                cursor.copy(statement("inactivity_monitor/copy_outgoing")) as copy,
            ):
                for digest, payload in zip(batch, payloads, strict=True):
                    copy.write_row(
                        (
                            "user",
                            digest.login,
                            f"inactivity:{run.id}:{digest.login}",
                            digest.login,
                            settings.gateway.id,
                            Jsonb(payload, dumps=bytes),
                            len(payload),
                            digest.email,
                            digest.name,
                        )
                    )
    connection.execute(statement("inactivity_monitor/add_unreachable"), values)
    return outbox.enqueue(connection, run)


def _settings(connection: psycopg.Connection, params: dict[str, Any]) -> _Settings:
    """What a run works with. Raises SettingError as `check_settings`."""
    profiles = load_profiles(connection, params.get("profile") or None)
    load_audiences(connection, _audience_ids(profiles))
    asked = {process for profile in profiles for process in profile.processes}
    erp_contract.check_tables(
        connection, [table for process, table in _ERP_TABLES.items() if process in asked]
    )
    gateway = None
    if any(profile.notifies for profile in profiles):
        gateway = find_email_gateway(connection, params.get("gateway") or None)
    return _Settings(profiles, gateway)


def _audience_ids(profiles: Sequence[MonitoringProfile]) -> set[int]:
    return {profile.audience_id for profile in profiles if profile.audience_id is not None}


def _values(run: Run, settings: _Settings) -> dict[str, Any]:
    """What the statements of a run are bound to."""
    zone = load_agenda().entry(ROUTINE).zone
    longest = max((profile.period_days for profile in settings.profiles), default=0)
    since_on = run.date - longest * _ONE_DAY
    asked = {process for profile in settings.profiles for process in profile.processes}
    return {
        "run_id": run.id,
        "business_date": run.date,
        "dry_run": bool(run.params.get("dry_run")),
        "zone": zone.key,
        "profile_ids": [profile.id for profile in settings.profiles],
        "since_on": since_on,
        "since": dt.datetime.combine(since_on, dt.time(), zone),
        "ends_at": dt.datetime.combine(run.date + _ONE_DAY, dt.time(), zone),
        "with_activities": bool(asked - _ERP_TABLES.keys()),
        "with_quotes": "quote" in asked,
        "with_orders": "order" in asked,
    }


def _fetch(
    connection: psycopg.Connection,
    name: str,
    row_factory: psycopg.rows.BaseRowFactory[T],
    values: dict[str, Any] | None = None,
) -> T:
    """The row of a statement that always has exactly one."""
    with connection.cursor(row_factory=row_factory) as cursor:
        (row,) = cursor.execute(statement(f"inactivity_monitor/{name}"), values).fetchall()
    return row


def _details(run: Run, judged: _Judged, digests: int) -> dict[str, Any]:
    details: dict[str, Any] = {}
    if run.params.get("profile"):
        details["profile"] = run.params["profile"]
    if judged.transferred:
        details["transferred"] = judged.transferred
    if judged.owner_left:
        details["owner_left"] = judged.owner_left
    if digests:
        details["digests"] = digests
    if run.params.get("dry_run"):
        details["note"] = "simulação: nada foi gravado, transferido nem avisado"
    return details
