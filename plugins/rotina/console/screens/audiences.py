"""Audiences: lists of accounts and filters, counted and looked at before they are saved."""

from __future__ import annotations

import json
import re
from typing import Any

import psycopg
from anyio import to_thread
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import func, select
from sqlalchemy.orm import Mapped, column_property
from starlette.requests import Request
from starlette.responses import Response
from starlette_admin import IntegerField, StringField, TextAreaField

from rotina.accounts.audiences import (
    AudienceSettings,
    count_audience,
    delete_audience,
    preview_audience,
    save_audience,
)
from rotina.accounts.filters import Filter, parse_filter
from rotina.console.codes import in_words, word
from rotina.console.forms import FilterField, InstantField, MaintenanceGrid, refuse_taken, stored
from rotina.console.language import ZONE, gettext
from rotina.console.language import lazy_gettext as _
from rotina.console.pages import Page, connect_for_preview, get, post
from rotina.console.rights import Right
from rotina.errors import SettingError
from rotina.models import Audience, AudienceAccount, Base
from rotina.runs.business_date import today_in
from rotina.sql import statement

#: Accounts that a preview shows.
MOST = 50

_AUDIENCE = Audience.__table__
_LISTED = AudienceAccount.__table__


class AudienceRow(Base):
    """An audience, and how many accounts its list has."""

    __table__ = _AUDIENCE

    name: Mapped[str]
    listed: Mapped[int | None] = column_property(
        select(func.nullif(func.count(), 0)).where(_LISTED.c.audience_id == _AUDIENCE.c.id).scalar_subquery()
    )


class AccountsField(TextAreaField):
    """The accounts of a list, by their numbers. Read for the form only: there may be many."""

    async def parse_obj(self, request: Request, obj: Any) -> str:
        keys = (
            select(_LISTED.c.account_id).where(_LISTED.c.audience_id == obj.id).order_by(_LISTED.c.account_id)
        )
        result = await to_thread.run_sync(request.state.session.execute, keys)
        return " ".join(map(str, result.scalars()))


class Audiences(MaintenanceGrid):
    """The audiences. A routine's audience is its name, so that names stay."""

    model = AudienceRow
    key = "audience"
    menu_label = _("Audiences")
    display_name = _("audience")
    order = 95
    help = _("Either a filter, evaluated whenever it is used, or a list of accounts.")
    effect = _("Rules, profiles and routines that name it go by it from their next run on.")
    right_to_delete = Right.MAINTAIN
    fields = (
        IntegerField(
            "id", _("Number"), exclude_from_list=True, exclude_from_create=True, exclude_from_edit=True
        ),
        StringField("name", _("Name"), required=True, exclude_from_edit=True),
        FilterField("filter", _("Filter")),
        IntegerField("listed", _("Accounts on the list"), exclude_from_create=True, exclude_from_edit=True),
        AccountsField(
            "account_ids",
            _("List of accounts"),
            help_text=_(
                "Numbers of accounts, with spaces, commas or lines between them; instead of a filter."
            ),
            rows=3,
            exclude_from_list=True,
            exclude_from_detail=True,
            exclude_from_export=True,
        ),
        InstantField("updated_at", _("Last change"), exclude_from_create=True, exclude_from_edit=True),
        StringField("updated_by", _("Changed by"), exclude_from_create=True, exclude_from_edit=True),
    )
    search_columns = (AudienceRow.name,)
    sortable_fields = ("name", "updated_at")
    fields_default_sort = ("name",)
    list_template = "audiences.html"
    detail_template = "audience.html"
    preview_path = "audience-preview"
    preview_button = _("Count and show")
    fields_of_errors = {"audience": "filter"}  # noqa: RUF012

    def save(self, connection: psycopg.Connection, data: dict[str, Any], login: str, pk: str | None) -> int:
        name = stored(connection, AudienceRow.name, pk) if pk else data["name"]
        if pk is None:
            refuse_taken(connection, AudienceRow.name, name)
        listed = _account_ids(data["account_ids"] or "")
        settings = AudienceSettings(name, account_ids=listed or None, filter=data["filter"])
        return save_audience(connection, settings, login)

    def remove(self, connection: psycopg.Connection, pk: str, login: str) -> None:
        delete_audience(connection, stored(connection, AudienceRow.name, pk), login)


class AudienceForm(BaseModel):
    """The form of an audience, as a browser has it."""

    filter: str = ""


class Asked(BaseModel):
    """An audience that is not saved yet."""

    model_config = ConfigDict(extra="forbid")

    form: AudienceForm
    pk: str | None = Field(default=None, pattern="^[0-9]{1,18}$")


class AudiencePreview(Page):
    """How many accounts an audience has, and the first of them."""

    path = "/audience-preview"
    menu_label = _("Audience")
    icon = "fa-solid fa-users-viewfinder"
    order = 900
    add_to_menu = False

    @get()
    def index(self, request: Request) -> Response:
        """`?audience=` the name of a saved one."""
        name = request.query_params.get("audience", "")
        found, problem = None, None
        with connect_for_preview(request) as connection:
            names = [
                row[0]
                for row in connection.execute(statement("console_maintenance/list_audiences")).fetchall()
            ]
            try:
                found = _counted(connection, name) if name else None
            except SettingError as error:
                problem = error
        return self.render(
            request,
            "audience_preview.html",
            name=name,
            names=names,
            problem=problem,
            found=found,
            in_words=in_words,
            word=word,
        )

    @post("", Right.MAINTAIN, Asked)
    def preview(self, request: Request, body: Asked) -> Response:
        """A filter that is not saved yet."""
        with Audiences.preview_errors():
            if not body.form.filter.strip():
                raise SettingError(
                    "filter", None, gettext("add a condition first; a list has the accounts it names")
                )
            try:
                document = json.loads(body.form.filter)
            except (ValueError, RecursionError):
                raise SettingError("filter", "…", gettext("is no JSON")) from None
            with connect_for_preview(request) as connection:
                found = _counted(connection, parse_filter(document, field="filter"))
        return self.fragment(request, "audience_accounts.html", found=found, in_words=in_words, word=word)


def _counted(connection: psycopg.Connection, audience: str | Filter) -> dict[str, Any]:
    today = today_in(ZONE)
    return {
        "total": count_audience(connection, audience, today),
        "accounts": preview_audience(connection, audience, today, most=MOST),
        "on": today,
    }


def _account_ids(text: str) -> list[int]:
    """The numbers of a list, each once."""
    numbers = re.split(r"[\s,;]+", text.strip())
    for one in filter(None, numbers):
        if not re.fullmatch("[0-9]{1,18}", one):
            raise SettingError("account_ids", one[:30], gettext("is no number of an account"))
    return list(dict.fromkeys(int(one) for one in numbers if one))


SCREENS = [Audiences, AudiencePreview]
