"""Users, and who receives the summaries of runs that nobody known asked for."""

from __future__ import annotations

from typing import Any

import psycopg
from starlette.requests import Request
from starlette_admin import BooleanField, EnumField, StringField
from starlette_admin.tools import iterdecode, iterencode

from rotina.console import words
from rotina.console.forms import MaintenanceGrid, refuse_taken
from rotina.console.language import gettext
from rotina.console.language import lazy_gettext as _
from rotina.console.rights import Right
from rotina.models import AppUser, RoutineRecipient
from rotina.runs.recipients import ALL, UserSettings, add_recipient, remove_recipient, save_user


class Users(MaintenanceGrid):
    """Who the logins of Airflow are."""

    model = AppUser
    key = "user"
    menu_label = _("Users")
    display_name = _("user")
    order = 170
    help = _("A login of Airflow: who asked for a run gets its summary at this address.")
    effect = _("Summaries and digests go to the new address from now on. Accounts stay with who has them.")
    show_pk_in_forms = True
    fields = (
        StringField("login", _("Login"), required=True, exclude_from_edit=True),
        StringField("name", _("Name"), required=True),
        StringField("email", _("E-mail"), required=True),
        BooleanField(
            "active", _("Active"), default=True, help_text=_("Who is not gets no summaries and no accounts.")
        ),
    )
    search_columns = (AppUser.login, AppUser.name, AppUser.email)
    fields_default_sort = ("login",)

    def save(self, connection: psycopg.Connection, data: dict[str, Any], login: str, pk: str | None) -> str:
        if pk is None:
            refuse_taken(connection, AppUser.login, data["login"])
        user = UserSettings(
            login=data["login"] if pk is None else pk,
            name=data["name"],
            email=data["email"],
            active=data["active"],
        )
        save_user(connection, user, login)
        return user.login


class RoutineField(EnumField):
    """A routine, or all of them."""

    def __init__(self, name: str, label: str, **options: Any) -> None:
        super().__init__(
            name, label, choices=[(ALL, ALL)], form_template="fields/form/choice.html", **options
        )

    def _get_choices(self, request: Request) -> Any:
        routines = [(routine, words.named(routine, "routine")) for routine in words.ENGLISH["routine"]]
        return [(ALL, gettext("all routines without recipients of their own")), *routines]

    def _get_label(self, value: Any, request: Request) -> Any:
        return dict(self._get_choices(request)).get(value, value)


class Recipients(MaintenanceGrid):
    """Who receives summaries besides those who asked for a run."""

    model = RoutineRecipient
    key = "recipient"
    menu_label = _("Recipients of summaries")
    display_name = _("recipient")
    title_field = "email"
    order = 180
    help = _("Summaries of scheduled runs, and of those that nobody known asked for.")
    show_pk_in_forms = True
    right_to_edit = None
    right_to_delete = Right.MAINTAIN
    fields = (
        RoutineField("routine", _("Routine"), required=True),
        StringField("email", _("E-mail"), required=True),
    )
    search_columns = (RoutineRecipient.email, RoutineRecipient.routine)
    list_template = "recipients.html"

    def save(self, connection: psycopg.Connection, data: dict[str, Any], login: str, pk: str | None) -> str:
        routine = data["routine"]
        address = add_recipient(connection, routine, data["email"], login, routines=words.ENGLISH["routine"])
        return iterencode([routine, address])

    def remove(self, connection: psycopg.Connection, pk: str, login: str) -> None:
        routine, email = (*iterdecode(pk), "")[:2]
        remove_recipient(connection, routine, email, login)


SCREENS = [Users, Recipients]
