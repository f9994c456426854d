"""Monitoring profiles, the teams that get accounts, and what a profile would find."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg.rows import scalar_row
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import func, select
from sqlalchemy.orm import Mapped, column_property
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette_admin import BooleanField, IntegerField, StringField

from rotina.accounts import inactivity_monitor
from rotina.accounts.inactivity_digest import LAYOUT
from rotina.accounts.monitoring_profiles import (
    LONGEST_PERIOD,
    PROCESSES,
    ProfileSettings,
    delete_profile,
    save_profile,
    save_team,
)
from rotina.console import previews
from rotina.console.forms import ChoiceField, InstantField, LookupField, MaintenanceGrid, refuse_taken, stored
from rotina.console.language import ZONE, gettext
from rotina.console.language import lazy_gettext as _
from rotina.console.pages import Page, connect_for_preview, get, post
from rotina.console.rights import Right, caller_of
from rotina.expressions import execute
from rotina.models import AppUser, Audience, Base, MonitoringProfile, MonitoringProfileUser, Team, TeamMember
from rotina.runs.business_date import today_in

_PROFILE = MonitoringProfile.__table__
_USER = MonitoringProfileUser.__table__
_AUDIENCE = Audience.__table__
_TEAM = Team.__table__
_MEMBER = TeamMember.__table__

_LOGINS = select(AppUser.login, AppUser.login + " · " + AppUser.name).order_by(AppUser.login)


class ProfileRow(Base):
    """A monitoring profile with the names of what it refers to."""

    __table__ = _PROFILE

    name: Mapped[str]
    audience: Mapped[str | None] = column_property(
        select(_AUDIENCE.c.name).where(_AUDIENCE.c.id == _PROFILE.c.audience_id).scalar_subquery()
    )
    transfer_to_team: Mapped[str | None] = column_property(
        select(_TEAM.c.name).where(_TEAM.c.id == _PROFILE.c.transfer_to_team_id).scalar_subquery()
    )
    users: Mapped[list[str]] = column_property(
        func.array(
            select(_USER.c.login)
            .where(_USER.c.profile_id == _PROFILE.c.id)
            .order_by(_USER.c.login)
            .correlate(_PROFILE)
            .scalar_subquery()
        )
    )


class TeamRow(Base):
    """A team with its members."""

    __table__ = _TEAM

    id: Mapped[int]
    name: Mapped[str]
    members: Mapped[list[str]] = column_property(
        func.array(
            select(_MEMBER.c.login)
            .where(_MEMBER.c.team_id == _TEAM.c.id)
            .order_by(_MEMBER.c.login)
            .correlate(_TEAM)
            .scalar_subquery()
        )
    )


class Profiles(MaintenanceGrid):
    """The monitoring profiles."""

    model = ProfileRow
    key = "monitoring-profile"
    menu_label = _("Monitoring profiles")
    display_name = _("monitoring profile")
    order = 130
    help = _("Which accounts count as without movement, who gets them, and who is told.")
    effect = _("From its next run on, the inactivity monitor transfers accounts and notifies people by it.")
    right_to_delete = Right.MAINTAIN
    fields = (
        IntegerField(
            "id", _("Number"), exclude_from_list=True, exclude_from_create=True, exclude_from_edit=True
        ),
        StringField("name", _("Name"), required=True),
        BooleanField("active", _("Active"), default=True),
        IntegerField(
            "period_days", _("Days without movement"), required=True, default=90, min=1, max=LONGEST_PERIOD
        ),
        ChoiceField(
            "processes",
            _("What counts as movement"),
            PROCESSES,
            multiple=True,
            list_template="fields/list/wrapped.html",
            searchable=False,
            orderable=False,
            help_text=_("Besides a change of the account itself."),
        ),
        LookupField(
            "audience",
            _("Audience"),
            select(Audience.name).order_by(Audience.name),
            help_text=_("Empty: all accounts."),
        ),
        LookupField("transfer_to_login", _("Accounts go to the user"), _LOGINS, exclude_from_list=True),
        LookupField(
            "transfer_to_team",
            _("Accounts go to the team"),
            select(Team.name).order_by(Team.name),
            help_text=_(
                "To its members in turn. With no user and no team, the accounts stay where they are."
            ),
        ),
        LookupField("users", _("Notified"), _LOGINS, multiple=True, searchable=False, orderable=False),
        BooleanField(
            "notify_owners",
            _("Owners are notified"),
            help_text=_("Who has the account, and who gets it."),
            exclude_from_list=True,
        ),
        StringField(
            "layout",
            _("Layout of the digest"),
            default=LAYOUT,
            required=True,
            exclude_from_list=True,
            help_text=_("Name of the files in include/layouts, without their ending."),
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
    search_columns = (ProfileRow.name,)
    sortable_fields = ("name", "active", "period_days")
    fields_default_sort = ("name",)
    list_template = "monitoring_profiles.html"
    preview_path = "monitoring-preview"
    preview_button = _("Who would be found?")
    fields_of_errors = {"renamed_from": "name", "profile": "name"}  # noqa: RUF012

    def save(self, connection: psycopg.Connection, data: dict[str, Any], login: str, pk: str | None) -> int:
        old_name = stored(connection, ProfileRow.name, pk) if pk else None
        if old_name is None:
            refuse_taken(connection, ProfileRow.name, data["name"])
        return save_profile(connection, ProfileSettings(**data), login, renamed_from=old_name)

    def remove(self, connection: psycopg.Connection, pk: str, login: str) -> None:
        delete_profile(connection, stored(connection, ProfileRow.name, pk), login)


class Teams(MaintenanceGrid):
    """The teams. Profiles show their names, so that names stay."""

    model = TeamRow
    key = "team"
    menu_label = _("Teams")
    display_name = _("team")
    order = 140
    help = _("Its members get the accounts of a monitoring profile in turn.")
    effect = _("Accounts that were transferred stay where they are; the next ones go to these members.")
    fields = (
        IntegerField(
            "id", _("Number"), exclude_from_list=True, exclude_from_create=True, exclude_from_edit=True
        ),
        StringField("name", _("Name"), required=True, exclude_from_edit=True),
        LookupField("members", _("Members"), _LOGINS, multiple=True, searchable=False, orderable=False),
    )
    search_columns = (TeamRow.name,)
    sortable_fields = ("name",)
    fields_default_sort = ("name",)
    list_template = "teams.html"

    def save(self, connection: psycopg.Connection, data: dict[str, Any], login: str, pk: str | None) -> int:
        name = stored(connection, TeamRow.name, pk) if pk else data["name"]
        if pk is None:
            refuse_taken(connection, TeamRow.name, name)
        save_team(connection, name, data["members"], login)
        (key,) = execute(connection, select(TeamRow.id).where(TeamRow.name == name), scalar_row).fetchall()
        return int(key)


class ProfileForm(BaseModel):
    """The form of a profile, as a browser has it."""

    name: str = ""
    period_days: int
    processes: list[str] = []
    audience: str = ""
    transfer_to_login: str = ""
    transfer_to_team: str = ""
    users: list[str] = []
    notify_owners: bool = False
    layout: str = LAYOUT

    def settings(self, name: str) -> ProfileSettings:
        """The profile that is meant, at work."""
        return ProfileSettings(
            name=name,
            period_days=self.period_days,
            processes=self.processes,
            users=self.users,
            audience=self.audience or None,
            transfer_to_login=self.transfer_to_login or None,
            transfer_to_team=self.transfer_to_team or None,
            notify_owners=self.notify_owners,
            layout=self.layout,
        )


class Asked(BaseModel):
    """A profile that is not saved yet; with the key of the one that it would take the place of."""

    model_config = ConfigDict(extra="forbid")

    form: ProfileForm
    pk: str | None = Field(default=None, pattern="^[0-9]{1,18}$")


class WhoWouldBeFound(Page):
    """What a run of the inactivity monitor would do by a profile that is not saved yet."""

    path = "/monitoring-preview"
    menu_label = _("Monitoring profiles")
    icon = "fa-solid fa-user-clock"
    order = 900
    add_to_menu = False

    @get(right=Right.MAINTAIN)
    def index(self, request: Request) -> Response:
        """Leads to the profiles: a preview is asked for by their form."""
        return RedirectResponse(request.url_for("console:list", key=Profiles.key), status_code=303)

    @post("", Right.MAINTAIN, Asked)
    def preview(self, request: Request, body: Asked) -> Response:
        """The profile is saved, a dry run is made with it, and all is taken back."""
        with (
            Profiles.preview_errors(),
            connect_for_preview(request) as connection,
            connection.transaction(force_rollback=True),
        ):
            old_name = stored(connection, ProfileRow.name, body.pk) if body.pk else None
            name = body.form.name.strip() or old_name or gettext("this profile")
            settings = body.form.settings(name)
            save_profile(connection, settings, caller_of(request).login, renamed_from=old_name)
            found = previews.preview(
                connection, inactivity_monitor.ROUTINE, today_in(ZONE), {"profile": name}
            )
        return self.fragment(request, "monitoring_preview.html", preview=found)


SCREENS = [Profiles, Teams, WhoWouldBeFound]
