"""What is set of the gateways, and the message templates that they approved."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Sequence
from itertools import groupby
from typing import Any, get_args

import psycopg
from sqlalchemy import Text, case, cast, func, literal, select
from sqlalchemy.orm import Mapped, column_property
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette_admin import BooleanField, IntegerField, StringField, TextAreaField

from rotina.console.codes import word
from rotina.console.forms import ChoiceField, LookupField, MaintenanceGrid, refuse_taken, stored
from rotina.console.language import get_locale, gettext
from rotina.console.language import lazy_gettext as _
from rotina.errors import SettingError
from rotina.expressions import execute
from rotina.messaging.gateways import Day, GatewaySettings, Kind, Window, save_gateway
from rotina.messaging.templates import VARIABLES, Status, TemplateSettings, save_template
from rotina.models import Base, Gateway, MessageTemplate, SendWindow

_GATEWAY = Gateway.__table__
_TEMPLATE = MessageTemplate.__table__
_WINDOW = SendWindow.__table__

_DAYS = get_args(Day)
_WINDOW_LINE = re.compile(
    r"(?P<day>\S+)\s+(?P<opens>\d\d:\d\d(:\d\d)?)\s*[-–]\s*(?P<closes>\d\d:\d\d(:\d\d)?)"
)


def _hour(column: Any) -> Any:
    return func.regexp_replace(cast(column, Text), ":00$", "")


class GatewayRow(Base):
    """A gateway with its send windows, each `monday 08:00-20:00`."""

    __table__ = _GATEWAY

    code: Mapped[str]
    name: Mapped[str]
    windows: Mapped[list[str]] = column_property(
        func.array(
            select(_WINDOW.c.day + " " + _hour(_WINDOW.c.opens_at) + "-" + _hour(_WINDOW.c.closes_at))
            .where(_WINDOW.c.gateway_id == _GATEWAY.c.id)
            .order_by(
                case({day: place for place, day in enumerate(_DAYS)}, value=_WINDOW.c.day), _WINDOW.c.opens_at
            )
            .correlate(_GATEWAY)
            .scalar_subquery()
        )
    )


class TemplateRow(Base):
    """A message template with the code of its gateway."""

    __table__ = _TEMPLATE

    code: Mapped[str]
    name: Mapped[str]
    gateway: Mapped[str] = column_property(
        select(_GATEWAY.c.code).where(_GATEWAY.c.id == _TEMPLATE.c.gateway_id).scalar_subquery()
    )


class LinesField(TextAreaField):
    """A list of texts, one per line of the form."""

    def line(self, text: str) -> str:
        """A text as it is shown."""
        return text

    def listed(self, texts: Sequence[str]) -> str:
        """The texts as a list or a page shows them."""
        return ", ".join(texts)

    async def parse_obj(self, request: Request, obj: Any) -> str:
        texts: Sequence[str] = getattr(obj, self.name)
        if request.state.action.is_form():
            return "\n".join(self.line(text) for text in texts)
        return self.listed(texts)

    async def parse_form_data(self, request: Request, form_data: FormData) -> str:
        return str(form_data.get(self.id) or "")


class WindowsField(LinesField):
    """Send windows, one per line, their days in the caller's language."""

    def line(self, text: str) -> str:
        day, _, hours = text.partition(" ")
        return f"{word(day)} {hours}"

    def listed(self, texts: Sequence[str]) -> str:
        """Days of the same windows together; those that follow each other from the first to the last."""
        hours: dict[str, list[str]] = {}
        for text in texts:
            day, _, window = text.partition(" ")
            hours.setdefault(day, []).append(window)
        told = []
        for windows, days in groupby(hours, key=lambda day: tuple(hours[day])):
            names = [word(day) for day in days]
            week = [name for name in names if name != word("holiday")]
            if len(week) > 2:
                first_to_last = gettext("%(first)s to %(last)s") % {"first": week[0], "last": week[-1]}
                names = [first_to_last, *names[len(week) :]]
            told.append(f"{', '.join(names)} {', '.join(windows)}")
        return "; ".join(told)


class RateField(StringField):
    """A number that need not be whole, with the decimal sign of the caller's language."""

    async def serialize_value(self, request: Request, value: Any) -> str:
        text = str(value).removesuffix(".0")
        return text.replace(".", ",") if get_locale() == "pt" else text


class JsonField(TextAreaField):
    """An object of JSON, written as such."""

    async def parse_obj(self, request: Request, obj: Any) -> str:
        return json.dumps(getattr(obj, self.name), ensure_ascii=False, indent=2)


class GatewaysSettings(MaintenanceGrid):
    """The gateways. Whether one is paused is for the screen of the queue."""

    model = GatewayRow
    key = "gateway-settings"
    menu_label = _("Gateways: settings")
    display_name = _("gateway")
    title_field = "code"
    order = 160
    help = _(
        "Where messages go out, when, and how fast. Address and secret are those of the Airflow connection."
    )
    effect = _("The next dispatch goes by it, for all messages that wait.")
    fields = (
        IntegerField(
            "id", _("Number"), exclude_from_list=True, exclude_from_create=True, exclude_from_edit=True
        ),
        StringField("code", _("Code"), required=True, exclude_from_edit=True),
        StringField("name", _("Name"), required=True),
        ChoiceField("kind", _("Kind"), get_args(Kind), required=True),
        StringField("connection_id", _("Airflow connection"), required=True),
        BooleanField("active", _("Active"), default=True),
        WindowsField(
            "windows",
            _("Send windows"),
            rows=8,
            list_template="fields/list/wrapped.html",
            searchable=False,
            orderable=False,
            help_text=_(
                "One per line: the day, and from when until when, as monday 08:00-20:00; 24:00 ends a day."
            ),
        ),
        JsonField(
            "settings",
            _("Settings of its kind"),
            rows=5,
            default="{}",
            class_="form-control rotina-code",
            exclude_from_list=True,
            searchable=False,
            orderable=False,
        ),
        StringField(
            "timezone", _("Time zone"), required=True, default="America/Sao_Paulo", exclude_from_list=True
        ),
        IntegerField(
            "max_in_flight",
            _("Messages in flight at most"),
            required=True,
            default=64,
            exclude_from_list=True,
        ),
        IntegerField(
            "dispatchers", _("Dispatchers at most"), required=True, default=1, exclude_from_list=True
        ),
        RateField("rate", _("Messages per second at most"), help_text=_("Empty: as fast as it goes.")),
        IntegerField(
            "burst",
            _("At once after a pause"),
            help_text=_("Empty: one second's worth."),
            exclude_from_list=True,
        ),
        IntegerField("daily_quota", _("Messages per day at most"), help_text=_("Empty: no limit.")),
        IntegerField("max_attempts", _("Attempts at most"), required=True, default=5, exclude_from_list=True),
        IntegerField(
            "backoff_seconds",
            _("First wait after a failure (s)"),
            required=True,
            default=30,
            exclude_from_list=True,
        ),
        IntegerField(
            "backoff_most_seconds", _("Longest wait (s)"), required=True, default=3600, exclude_from_list=True
        ),
        IntegerField(
            "hold_seconds",
            _("Wait while in attendance (s)"),
            required=True,
            default=900,
            exclude_from_list=True,
        ),
        IntegerField(
            "call_timeout_seconds", _("Longest call (s)"), required=True, default=30, exclude_from_list=True
        ),
        IntegerField(
            "payload_limit",
            _("Bytes of a message at most"),
            required=True,
            default=65536,
            exclude_from_list=True,
        ),
    )
    search_columns = (GatewayRow.code, GatewayRow.name)
    sortable_fields = ("code", "name", "kind", "active")
    fields_default_sort = ("code",)

    def save(self, connection: psycopg.Connection, data: dict[str, Any], login: str, pk: str | None) -> int:
        if pk is None:
            refuse_taken(connection, GatewayRow.code, data["code"])
        else:
            data = {**data, "code": stored(connection, GatewayRow.code, pk)}
        settings = {
            **data,
            "windows": [_window(line) for line in data["windows"].splitlines() if line.strip()],
            "settings": _object(data["settings"]),
            "rate": _rate(data["rate"]),
        }
        return save_gateway(connection, GatewaySettings(**settings), login)


class MessageTemplates(MaintenanceGrid):
    """The templates. Their keys are the gateway and the code, so that these stay."""

    model = TemplateRow
    key = "message-template"
    menu_label = _("Message templates")
    display_name = _("message template")
    title_field = "code"
    order = 165
    fields = (
        IntegerField(
            "id", _("Number"), exclude_from_list=True, exclude_from_create=True, exclude_from_edit=True
        ),
        LookupField(
            "gateway",
            _("Gateway"),
            select(Gateway.code).where(Gateway.kind != "smtp").order_by(Gateway.code),
            required=True,
            exclude_from_edit=True,
        ),
        StringField("code", _("Code"), required=True, exclude_from_edit=True),
        StringField("name", _("Name"), required=True),
        StringField("gateway_template_id", _("Number at the gateway"), required=True, exclude_from_list=True),
        TextAreaField(
            "body",
            _("Text"),
            required=True,
            rows=5,
            list_template="fields/list/wrapped.html",
            help_text=_("As the gateway has it, with places {{1}}, {{2}} …"),
        ),
        LinesField(
            "variables",
            _("Variables"),
            rows=4,
            list_template="fields/list/wrapped.html",
            searchable=False,
            orderable=False,
            help_text=_("One per line, in the order of the places."),
        ),
        ChoiceField("status", _("Status"), get_args(Status), required=True, default="pending"),
        BooleanField("active", _("Active"), default=True),
    )
    effect = _(
        "Messages that are written from now on use it; those that wait keep what they were written with."
    )
    search_columns = (TemplateRow.code, TemplateRow.name)
    sortable_fields = ("code", "name", "status", "active")
    fields_default_sort = ("code",)
    list_template = "message_templates.html"

    def explanation(self) -> str:
        return gettext(
            "Texts that a gateway approved, and which of our variables fill their places: %(names)s."
        ) % {"names": ", ".join(sorted({name for names in VARIABLES.values() for name in names}))}

    def save(self, connection: psycopg.Connection, data: dict[str, Any], login: str, pk: str | None) -> int:
        if pk is None:
            _refuse_second(connection, data["gateway"], data["code"])
        else:
            own = {name: stored(connection, getattr(TemplateRow, name), pk) for name in ("gateway", "code")}
            data = {**data, **own}
        variables = data["variables"].split()
        body = data["body"].replace("\r\n", "\n")
        return save_template(
            connection, TemplateSettings(**{**data, "variables": variables, "body": body}), login
        )


def _refuse_second(connection: psycopg.Connection, gateway: str, code: str) -> None:
    asked = select(literal(1)).where(TemplateRow.gateway == gateway, TemplateRow.code == code)
    if execute(connection, asked).fetchone():
        raise SettingError("code", code, gettext("the gateway has a template of that code already"))


def _window(line: str) -> Window:
    """A send window as people write it.

    Raises:
        SettingError: it is none.
    """
    found = _WINDOW_LINE.fullmatch(line.strip())
    days: dict[str, Day] = {name: day for day in _DAYS for name in (day, word(day).casefold())}
    example = f"{word('monday')} 08:00-20:00"
    wrong = SettingError(
        "windows", line.strip()[:40], gettext("is no window, as %(example)s") % {"example": example}
    )
    if found is None or found["day"].casefold() not in days:
        raise wrong
    closes = found["closes"]
    try:
        return Window(
            days[found["day"].casefold()],
            dt.time.fromisoformat(found["opens"]),
            None if closes in ("24:00", "24:00:00") else dt.time.fromisoformat(closes),
        )
    except ValueError:
        raise wrong from None


def _object(text: str | None) -> dict[str, Any]:
    try:
        document = json.loads(text or "{}")
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise SettingError("settings", "…", gettext('must be an object of JSON, as {"channel_id": "…"}'))
    return document


def _rate(text: str | None) -> float | None:
    if not text or not text.strip():
        return None
    if not re.fullmatch(r"-?[0-9]{1,9}([.,][0-9]{1,6})?", text.strip()):
        raise SettingError("rate", text[:20], gettext("must be a number, or empty for no limit"))
    return float(text.strip().replace(",", "."))


SCREENS = [GatewaysSettings, MessageTemplates]
