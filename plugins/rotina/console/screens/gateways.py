"""Gateways as they fare: what waits at each, whether it may send now, how fast it does; pause and resume."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from psycopg.rows import dict_row
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select
from starlette.requests import Request
from starlette.responses import Response

from rotina.console import words
from rotina.console.language import gettext
from rotina.console.language import lazy_gettext as _
from rotina.console.pages import Page, connect, database_of, get, post
from rotina.console.rights import Right, caller_of
from rotina.messaging import operations
from rotina.messaging.gateways import Gateway, Window, load_gateways
from rotina.messaging.health import ROUTINE, GatewayHealth, queue_health
from rotina.messaging.send_windows import day_of, open_until, opens_next
from rotina.models import Gateway as GatewayRow
from rotina.models import GatewayUsage
from rotina.sql import statement

#: The chart of the last hours: how many, and seconds of a bar.
HOURS = 6
STRETCH = 300


class Stop(BaseModel):
    """Why a gateway is paused."""

    model_config = ConfigDict(extra="forbid")

    reason: str = Field(max_length=500)


class Nothing(BaseModel):
    """No body."""

    model_config = ConfigDict(extra="forbid")


@dataclass(frozen=True)
class Card:
    """A gateway as the page shows it."""

    health: GatewayHealth
    gateway: Gateway | None
    """None of one that is not active."""
    today: Sequence[Window]
    open_until: dt.datetime | None
    opens_next: dt.datetime | None
    used_today: int


class Gateways(Page):
    """The gateways."""

    path = "/gateways"
    menu_label = _("Gateways")
    icon = "fa-solid fa-tower-broadcast"
    order = 35

    @get()
    def index(self, request: Request) -> Response:
        """How every gateway stands."""
        now = dt.datetime.now(dt.UTC)
        with connect(request) as connection:
            health = queue_health(connection)
            active = {gateway.code: gateway for gateway in load_gateways(connection)}
        with database_of(request).sessions() as session:
            query = select(GatewayRow.code, GatewayUsage.used_on, GatewayUsage.used).join(
                GatewayUsage, GatewayUsage.gateway_id == GatewayRow.id
            )
            used = {code: (used_on, number) for code, used_on, number in session.execute(query)}
        cards = [_card(one, active.get(one.code), used.get(one.code), now) for one in health]
        return self.render(request, "gateways.html", cards=cards, hours=HOURS, now=now)

    @get("/rates")
    def rates(self, request: Request) -> dict[str, Any]:
        """What each gateway sent in the last hours, by stretches of time; the newest last."""
        now = dt.datetime.now(dt.UTC)
        ends = now.replace(minute=now.minute - now.minute % 5, second=0, microsecond=0) + dt.timedelta(
            seconds=STRETCH
        )
        since = ends - dt.timedelta(hours=HOURS)
        stretches = HOURS * 3600 // STRETCH
        values = {"routine": ROUTINE, "since": since, "seconds": STRETCH}
        sent: dict[str, list[int]] = defaultdict(lambda: [0] * stretches)
        other: dict[str, list[int]] = defaultdict(lambda: [0] * stretches)
        with connect(request) as connection, connection.cursor(row_factory=dict_row) as cursor:
            for row in cursor.execute(statement("console_queue/count_rates"), values):
                place = min(row["stretch"], stretches - 1)
                sent[row["gateway"]][place] = row["sent"]
                other[row["gateway"]][place] = row["other"]
        return {
            "since": since.isoformat(),
            "seconds": STRETCH,
            "gateways": {code: {"sent": sent[code], "other": other[code]} for code in sent},
        }

    @post("/{gateway}/pause", Right.ACT, Stop)
    def pause(self, request: Request, body: Stop) -> dict[str, str]:
        """Let it send nothing until somebody resumes it."""
        with connect(request) as connection:
            done = operations.pause(
                connection, request.path_params["gateway"], body.reason, caller_of(request).login
            )
        if not done.records:
            return {"message": gettext("It was paused before, and stays so for its first reason.")}
        return {"message": gettext("Paused. Dispatchers notice within a second.")}

    @post("/{gateway}/resume", Right.ACT, Nothing)
    def resume(self, request: Request, body: Nothing) -> dict[str, str]:
        """Let it send again."""
        with connect(request) as connection:
            done = operations.resume(connection, request.path_params["gateway"], caller_of(request).login)
        if not done.records:
            return {"message": gettext("It was not paused.")}
        return {"message": gettext("Resumed. The next run of the dispatch sends what waits.")}


def _card(
    health: GatewayHealth,
    gateway: Gateway | None,
    used: tuple[dt.date | None, int] | None,
    now: dt.datetime,
) -> Card:
    if gateway is None:
        return Card(health, None, (), None, None, 0)
    here = now.astimezone(gateway.zone).date()
    today = [window for window in gateway.windows if window.day == day_of(here)]
    used_today = used[1] if used and used[0] == here else 0
    return Card(
        health,
        gateway,
        today,
        open_until(gateway.windows, gateway.zone, now),
        opens_next(gateway.windows, gateway.zone, now),
        used_today,
    )


words.RECORD_PAGES["gateway"] = "/gateways#{id}"

SCREENS = [Gateways]
