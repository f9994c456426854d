"""Classes and class rules, and who would move to another class, and why."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import psycopg
from psycopg.rows import scalar_row
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select
from sqlalchemy.orm import Mapped, column_property
from starlette.requests import Request
from starlette.responses import Response
from starlette_admin import BooleanField, IntegerField, StringField

from rotina.accounts import class_transition
from rotina.accounts.class_rules import RuleSettings, delete_rule, save_class, save_rule
from rotina.console.codes import in_words
from rotina.console.forms import FilterField, InstantField, LookupField, MaintenanceGrid, refuse_taken, stored
from rotina.console.language import ZONE, gettext
from rotina.console.language import lazy_gettext as _
from rotina.console.pages import Page, connect_for_preview, get, post
from rotina.console.rights import Right, caller_of
from rotina.errors import SettingError
from rotina.models import AccountClass, Audience, Base, ClassRule
from rotina.runs.business_date import today_in
from rotina.sql import statement

#: Accounts that a preview shows.
MOST = 200

_RULE = ClassRule.__table__
_CLASS = AccountClass.__table__
_AUDIENCE = Audience.__table__


class RuleRow(Base):
    """A class rule with the names of what it refers to."""

    __table__ = _RULE

    name: Mapped[str]
    source: Mapped[str | None] = column_property(
        select(_CLASS.c.name).where(_CLASS.c.id == _RULE.c.source_class_id).scalar_subquery()
    )
    target: Mapped[str] = column_property(
        select(_CLASS.c.name).where(_CLASS.c.id == _RULE.c.target_class_id).scalar_subquery()
    )
    audience: Mapped[str | None] = column_property(
        select(_AUDIENCE.c.name).where(_AUDIENCE.c.id == _RULE.c.audience_id).scalar_subquery()
    )


class Classes(MaintenanceGrid):
    """The classes. One that is not active keeps its accounts and is no target of rules."""

    model = AccountClass
    key = "account-class"
    menu_label = _("Account classes")
    display_name = _("class")
    order = 110
    fields = (
        IntegerField("id", _("Number"), exclude_from_create=True, exclude_from_edit=True),
        StringField("name", _("Name"), required=True),
        BooleanField(
            "active",
            _("Active"),
            default=True,
            help_text=_("One that is not active keeps its accounts, and rules lead to it no more."),
        ),
    )
    effect = _("A new name is seen wherever the class is named, in histories too.")
    search_columns = (AccountClass.name,)
    fields_default_sort = ("name",)

    def save(self, connection: psycopg.Connection, data: dict[str, Any], login: str, pk: str | None) -> int:
        if pk is None:
            refuse_taken(connection, AccountClass.name, data["name"])
        return save_class(
            connection,
            data["name"],
            login,
            active=data["active"],
            renamed_from=stored(connection, AccountClass.name, pk) if pk else None,
        )


class ClassRules(MaintenanceGrid):
    """The rules of class transitions, in the order in which they are tried."""

    model = RuleRow
    key = "class-rule"
    menu_label = _("Class rules")
    display_name = _("class rule")
    order = 100
    help = _(
        "An account moves by the first active rule, by priority, for its class whose conditions it meets."
    )
    effect = _("From its next run on, the class transition moves everybody's accounts by it.")
    right_to_delete = Right.MAINTAIN
    fields = (
        IntegerField(
            "id", _("Number"), exclude_from_list=True, exclude_from_create=True, exclude_from_edit=True
        ),
        StringField("name", _("Name"), required=True),
        BooleanField("active", _("Active"), default=True),
        IntegerField(
            "priority",
            _("Priority"),
            required=True,
            default=100,
            min=1,
            max=999,
            help_text=_("From 1 to 999; the lowest goes first."),
        ),
        LookupField(
            "source",
            _("From class"),
            select(AccountClass.name).order_by(AccountClass.name),
            help_text=_("Empty: accounts of any class, or of none."),
        ),
        LookupField(
            "target",
            _("To class"),
            select(AccountClass.name).where(AccountClass.active).order_by(AccountClass.name),
            required=True,
        ),
        FilterField("conditions", _("Conditions"), required=True),
        LookupField(
            "audience",
            _("Audience"),
            select(Audience.name).order_by(Audience.name),
            help_text=_("Empty: all accounts."),
        ),
        InstantField(
            "updated_at",
            _("Last change"),
            exclude_from_list=True,
            exclude_from_create=True,
            exclude_from_edit=True,
        ),
        StringField(
            "updated_by",
            _("Changed by"),
            exclude_from_list=True,
            exclude_from_create=True,
            exclude_from_edit=True,
        ),
    )
    search_columns = (RuleRow.name,)
    sortable_fields = ("name", "priority", "active")
    fields_default_sort = ("priority", "id")
    list_template = "class_rules.html"
    preview_path = "class-preview/rule"
    preview_button = _("Who would move?")
    fields_of_errors = {  # noqa: RUF012
        "renamed_from": "name",
        "rule": "name",
        "class rule": "conditions",
        "class rules": "conditions",
    }

    def save(self, connection: psycopg.Connection, data: dict[str, Any], login: str, pk: str | None) -> int:
        old_name = stored(connection, RuleRow.name, pk) if pk else None
        if old_name is None:
            refuse_taken(connection, RuleRow.name, data["name"])
        return save_rule(connection, RuleSettings(**data), login, renamed_from=old_name)

    def remove(self, connection: psycopg.Connection, pk: str, login: str) -> None:
        delete_rule(connection, stored(connection, RuleRow.name, pk), login)


class RuleForm(BaseModel):
    """The form of a rule, as a browser has it."""

    name: str = ""
    priority: int
    source: str = ""
    target: str
    conditions: str
    audience: str = ""

    def settings(self, name: str) -> RuleSettings:
        """The rule that is meant, at work."""
        try:
            conditions = json.loads(self.conditions or "null")
        except (ValueError, RecursionError):
            raise SettingError("conditions", "…", gettext("is no JSON")) from None
        return RuleSettings(
            name=name,
            target=self.target,
            priority=self.priority,
            conditions=conditions,
            source=self.source or None,
            audience=self.audience or None,
        )


class Asked(BaseModel):
    """A rule that is not saved yet; with the key of the one that it would take the place of."""

    model_config = ConfigDict(extra="forbid")

    form: RuleForm
    pk: str | None = Field(default=None, pattern="^[0-9]{1,18}$")


class WhoWouldMove(Page):
    """What a run of class_transition would do, and by which rules."""

    path = "/class-preview"
    menu_label = _("Who would change class")
    icon = "fa-solid fa-ranking-star"
    group = "maintenance"
    order = 90

    @get()
    def index(self, request: Request) -> Response:
        """`?on=&audience=&rule=`: the accounts that would move."""
        asked = {name: request.query_params.get(name) or None for name in ("audience", "rule")}
        found, problem = None, None
        with connect_for_preview(request) as connection:
            on = _date(request.query_params.get("on")) or _newest(connection)
            rules, audiences = (
                [row[0] for row in connection.execute(statement(f"console_maintenance/{name}")).fetchall()]
                for name in ("list_active_rules", "list_audiences")
            )
            try:
                found = class_transition.preview(connection, asked["audience"], on, MOST, rule=asked["rule"])
            except SettingError as error:
                problem = error
        return self.render(
            request,
            "class_preview.html",
            found=found,
            problem=problem,
            on=on,
            rules=rules,
            audiences=audiences,
            in_words=in_words,
            **asked,
        )

    @post("/rule", Right.MAINTAIN, Asked)
    def rule(self, request: Request, body: Asked) -> Response:
        """What a rule would do that is not saved yet, beside all others: it is saved, and taken back."""
        with (
            ClassRules.preview_errors(),
            connect_for_preview(request) as connection,
            connection.transaction(force_rollback=True),
        ):
            on = _newest(connection)
            old_name = stored(connection, RuleRow.name, body.pk) if body.pk else None
            name = body.form.name.strip() or old_name or gettext("this rule")
            save_rule(connection, body.form.settings(name), caller_of(request).login, renamed_from=old_name)
            found = class_transition.preview(connection, None, on, 50, rule=name)
        return self.fragment(request, "class_moves.html", found=found, on=on, in_words=in_words)


def _newest(connection: psycopg.Connection) -> dt.date:
    """The business date that the supplementary data are of; today before there are any."""
    with connection.cursor(row_factory=scalar_row) as cursor:
        found: dt.date | None = cursor.execute(statement("class_transition/get_refreshed_through")).fetchone()
    return found or today_in(ZONE)


def _date(text: str | None) -> dt.date | None:
    try:
        return dt.date.fromisoformat(text or "")
    except ValueError:
        return None


SCREENS = [WhoWouldMove, ClassRules, Classes]
