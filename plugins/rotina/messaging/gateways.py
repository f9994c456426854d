"""Gateways: what is set of them, and the checks before it is."""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import psycopg
from psycopg.rows import dict_row, scalar_row
from psycopg.types.json import Jsonb

from rotina.errors import SettingError
from rotina.sql import statement

Kind = Literal["opa_suite", "smtp", "http_json"]
Day = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday", "holiday"]

#: What kind of address each kind of gateway writes to.
CHANNELS: dict[Kind, Literal["phone", "email"]] = {
    "opa_suite": "phone",
    "smtp": "email",
    "http_json": "phone",
}


@dataclass(frozen=True)
class Window:
    """Hours of a day in which a gateway may send; `closes_at` None is the end of the day (24:00)."""

    day: Day
    opens_at: dt.time
    closes_at: dt.time | None


@dataclass(frozen=True)
class Gateway:
    """A gateway as stored (crm.gateway has the meaning of each field), with its send windows."""

    id: int
    code: str
    name: str
    kind: Kind
    connection_id: str
    settings: dict[str, Any]
    active: bool
    timezone: str
    max_in_flight: int
    dispatchers: int
    rate: float | None
    burst: int | None
    daily_quota: int | None
    max_attempts: int
    backoff_seconds: int
    backoff_most_seconds: int
    hold_seconds: int
    call_timeout_seconds: int
    payload_limit: int
    paused_at: dt.datetime | None
    paused_by: str | None
    pause_reason: str | None
    windows: tuple[Window, ...]

    @property
    def zone(self) -> ZoneInfo:
        """Time zone of the send windows and of the day of the quota."""
        return ZoneInfo(self.timezone)

    @property
    def share(self) -> int:
        """How many messages one dispatcher may have in flight."""
        return self.max_in_flight // self.dispatchers


@dataclass(frozen=True)
class GatewaySettings:
    """What a person sets of a gateway (crm.gateway has the meaning of each field), with its send windows."""

    code: str
    name: str
    kind: Kind
    connection_id: str
    windows: Collection[Window]
    settings: dict[str, Any] = field(default_factory=dict)
    active: bool = True
    timezone: str = "America/Sao_Paulo"
    max_in_flight: int = 64
    dispatchers: int = 1
    rate: float | None = None
    burst: int | None = None
    daily_quota: int | None = None
    max_attempts: int = 5
    backoff_seconds: int = 30
    backoff_most_seconds: int = 3600
    hold_seconds: int = 900
    call_timeout_seconds: int = 30
    payload_limit: int = 65536


#: The least and the most of the whole numbers, as the constraints of crm.gateway have them.
_RANGES: dict[str, tuple[int, int]] = {
    "max_in_flight": (1, 10_000),
    "dispatchers": (1, 64),
    "burst": (1, 2**31),
    "daily_quota": (1, 2**31),
    "max_attempts": (1, 100),
    "backoff_seconds": (1, 2**31),
    "backoff_most_seconds": (1, 2**31),
    "hold_seconds": (1, 2**31),
    "call_timeout_seconds": (1, 600),
    "payload_limit": (1, 10_485_760),
}
_MAY_BE_EMPTY = ("burst", "daily_quota")


def load_gateway(connection: psycopg.Connection, code: str) -> Gateway:
    """The gateway of a code, active or not.

    Raises:
        SettingError: there is none.
    """
    for gateway in _load(connection, code):
        return gateway
    raise SettingError("gateway", code, "there is no gateway of that code")


def load_gateways(connection: psycopg.Connection) -> list[Gateway]:
    """The active gateways, by code."""
    return _load(connection, None)


def find_email_gateway(connection: psycopg.Connection, code: str | None) -> Gateway:
    """The active gateway of a code that sends e-mail; without a code the only one there is.

    Raises:
        SettingError: there is none of that code, it is not active or sends no e-mail; or, without a code, not
            exactly one can be meant.
    """
    if code is None:
        found = [gateway for gateway in load_gateways(connection) if gateway.kind == "smtp"]
        if len(found) != 1:
            codes = ", ".join(gateway.code for gateway in found) or "none"
            raise SettingError(
                "gateway", code, f"one active gateway of kind smtp is needed, there are: {codes}; name one"
            )
        return found[0]
    gateway = load_gateway(connection, code)
    if gateway.kind != "smtp":
        raise SettingError("gateway", code, f"is of kind {gateway.kind}, which sends no e-mail")
    if not gateway.active:
        raise SettingError("gateway", code, "is not active")
    return gateway


def save_gateway(connection: psycopg.Connection, settings: GatewaySettings, login: str) -> int:
    """Insert a gateway or change the one of that code, with its windows; returns its id.

    Whether it is paused stays as it is. An audit row tells who changed which fields.

    Raises:
        SettingError: a field is wrong, or the kind of a gateway would change that has messages or templates.
    """
    check_gateway(settings)
    with connection.transaction(), connection.cursor(row_factory=scalar_row) as cursor:
        cursor.execute(statement("gateways/lock_gateways"))
        before = next(iter(_load(connection, settings.code)), None)
        if before and before.kind != settings.kind:
            cursor.execute(statement("gateways/is_used"), {"gateway_id": before.id})
            if cursor.fetchone():
                raise SettingError(
                    "kind",
                    settings.kind,
                    f"gateway {before.code} has messages or templates of {before.kind}; make another gateway",
                )
        values = {name: getattr(settings, name) for name in _FIELDS}
        cursor.execute(statement("gateways/save_gateway"), {**values, "settings": Jsonb(settings.settings)})
        (gateway_id,) = cursor.fetchall()
        cursor.execute(statement("gateways/clear_windows"), {"gateway_id": gateway_id})
        cursor.execute(
            statement("gateways/add_windows"),
            {
                "gateway_id": gateway_id,
                "days": [window.day for window in settings.windows],
                "opens_at": [str(window.opens_at) for window in settings.windows],
                "closes_at": [str(window.closes_at or "24:00") for window in settings.windows],
            },
        )
        cursor.execute(statement("gateways/add_usage"), {"gateway_id": gateway_id})
        record_audit(
            connection,
            login,
            "save_gateway",
            {"gateway": settings.code},
            _audited(before, load_gateway(connection, settings.code)),
        )
    return int(gateway_id)


def check_gateway(settings: GatewaySettings) -> None:
    """Refuse settings that a gateway cannot work with.

    Raises:
        SettingError: names the first field that is wrong.
    """
    check_code("code", settings.code)
    for name in ("name", "connection_id"):
        check_text(name, getattr(settings, name))
    if settings.kind not in get_args(Kind):
        raise SettingError("kind", settings.kind, f"must be one of {', '.join(get_args(Kind))}")
    try:
        ZoneInfo(settings.timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise SettingError(
            "timezone", settings.timezone, "is not a time zone, as America/Sao_Paulo"
        ) from None
    for name, (least, most) in _RANGES.items():
        value = getattr(settings, name)
        if value is not None or name not in _MAY_BE_EMPTY:
            check_range(name, value, least, most)
    rate = settings.rate
    if rate is not None and (type(rate) not in (int, float) or not 0 < rate < math.inf):
        raise SettingError("rate", rate, "must be above zero (messages per second), or empty for no limit")
    if settings.dispatchers > settings.max_in_flight:
        raise SettingError(
            "dispatchers",
            settings.dispatchers,
            f"must be at most max_in_flight ({settings.max_in_flight}): each takes its share of it",
        )
    if settings.backoff_seconds > settings.backoff_most_seconds:
        raise SettingError(
            "backoff_seconds",
            settings.backoff_seconds,
            f"must be at most backoff_most_seconds ({settings.backoff_most_seconds})",
        )
    _check_windows(settings)
    from rotina.messaging.adapters.settings import check_settings  # which knows the kinds of this module

    check_settings(settings.kind, settings.settings)


def check_code(field: str, value: str) -> None:
    """Refuse what is not a name as code and files have it.

    Raises:
        SettingError: it is not.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", value):
        raise SettingError(
            field, value, "must be a name of small letters, digits and _, beginning with a letter"
        )


def check_text(field: str, value: str) -> None:
    """Refuse a blank text.

    Raises:
        SettingError: it is blank.
    """
    if not value.strip():
        raise SettingError(field, value, "must not be blank")


def check_range(field: str, value: Any, least: int, most: int) -> None:
    """Refuse what is not a whole number from `least` to `most`.

    Raises:
        SettingError: it is not.
    """
    if type(value) is not int or not least <= value <= most:
        raise SettingError(field, value, f"must be a whole number from {least} to {most}")


def changes(before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> dict[str, Any]:
    """What an audit row tells of a row that was saved: the old and new value of each field that changed."""
    if before is None:
        return {"created": True}
    return {"changed": {name: [before[name], after[name]] for name in after if before[name] != after[name]}}


def record_audit(
    connection: psycopg.Connection,
    login: str,
    action: str,
    target: Mapping[str, Any],
    details: Mapping[str, Any],
    records: int = 1,
) -> int:
    """Write down, in the transaction of the change itself, who did what; returns the key of the entry."""
    values = {
        "login": login,
        "action": action,
        "target": Jsonb(dict(target)),
        "details": Jsonb(dict(details)),
        "records": records,
    }
    with connection.cursor(row_factory=scalar_row) as cursor:
        (key,) = cursor.execute(statement("gateways/add_audit_entry"), values).fetchall()
    return int(key)


_FIELDS = [one.name for one in fields(GatewaySettings)]


def _load(connection: psycopg.Connection, code: str | None) -> list[Gateway]:
    with connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(statement("gateways/list_gateways"), {"code": code}).fetchall()
    return [
        Gateway(**{**row, "windows": tuple(sorted(map(_window, row["windows"]), key=_order))}) for row in rows
    ]


def _order(window: Window) -> tuple[int, dt.time]:
    return get_args(Day).index(window.day), window.opens_at


def _window(stored: dict[str, Any]) -> Window:
    opens_at, closes_at = stored["opens_at"], stored["closes_at"]
    return Window(
        stored["day"],
        dt.time.fromisoformat(opens_at),
        None if closes_at.startswith("24") else dt.time.fromisoformat(closes_at),  # datetime knows no 24:00
    )


def _check_windows(settings: GatewaySettings) -> None:
    if settings.active and not settings.windows:
        raise SettingError(
            "windows", "none", "a window that never opens: an active gateway needs at least one"
        )
    seen = set()
    for window in settings.windows:
        if window.day not in get_args(Day):
            raise SettingError("windows", window.day, f"the day must be one of {', '.join(get_args(Day))}")
        text = _in_words(window)
        if window.closes_at is not None and window.opens_at >= window.closes_at:
            raise SettingError(
                "windows",
                text,
                "a window that never opens: it must open before it closes; over midnight takes two windows, "
                "one to 24:00 and one from 00:00 of the next day",
            )
        if (window.day, window.opens_at) in seen:
            raise SettingError("windows", text, "another window of the day opens at the same time")
        seen.add((window.day, window.opens_at))


def _audited(before: Gateway | None, after: Gateway) -> dict[str, Any]:
    """What an audit row tells: old and new values, but of `settings` only the keys that differ."""
    details = changes(_shown(before) if before else None, _shown(after))
    changed = details.get("changed", {})
    if "settings" in changed:
        old, new = changed["settings"]
        changed["settings"] = sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))
    return details


def _shown(gateway: Gateway) -> dict[str, Any]:
    values = {name: getattr(gateway, name) for name in _FIELDS}
    return {**values, "windows": [_in_words(window) for window in gateway.windows]}


def _in_words(window: Window) -> str:
    return f"{window.day} {window.opens_at}-{window.closes_at or '24:00:00'}"
