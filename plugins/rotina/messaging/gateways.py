"""Gateways: what is set of them, and the checks before it is."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any, Literal
from zoneinfo import ZoneInfo

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
