"""The dunning schedule: its steps, and the customers left out of it."""

from __future__ import annotations

from typing import Any

import psycopg
from sqlalchemy import select
from sqlalchemy.orm import Mapped, column_property
from starlette_admin import BooleanField, DateField, IntegerField, StringField

from rotina.console.forms import LookupField, MaintenanceGrid, number_of, refuse_taken, stored
from rotina.console.language import lazy_gettext as _
from rotina.console.rights import Right
from rotina.messaging.dunning import (
    StepSettings,
    add_exception,
    delete_step,
    remove_exception,
    save_step,
)
from rotina.models import Base, DunningException, DunningStep, Gateway, MessageTemplate

_STEP = DunningStep.__table__
_TEMPLATE = MessageTemplate.__table__
_GATEWAY = Gateway.__table__

_TEMPLATE_NAME = _GATEWAY.c.code + " / " + _TEMPLATE.c.code


class StepRow(Base):
    """A step with the name of its template."""

    __table__ = _STEP

    name: Mapped[str]
    template: Mapped[str] = column_property(
        select(_TEMPLATE_NAME)
        .join_from(_TEMPLATE, _GATEWAY, _TEMPLATE.c.gateway_id == _GATEWAY.c.id)
        .where(_TEMPLATE.c.id == _STEP.c.template_id)
        .scalar_subquery()
    )


class Steps(MaintenanceGrid):
    """The steps, by their days."""

    model = StepRow
    key = "dunning-step"
    menu_label = _("Dunning schedule")
    display_name = _("step")
    order = 150
    help = _("What is sent how many days before or after a receivable is due.")
    effect = _("Counts from the next run of the billing messages on; messages that wait stay as they are.")
    right_to_delete = Right.MAINTAIN
    fields = (
        IntegerField(
            "id", _("Number"), exclude_from_list=True, exclude_from_create=True, exclude_from_edit=True
        ),
        StringField("name", _("Name"), required=True),
        IntegerField(
            "days",
            _("Days after the due date"),
            required=True,
            min=-365,
            max=3650,
            help_text=_("Below zero: before it; zero: on it."),
        ),
        StringField("template", _("Message template"), exclude_from_create=True, exclude_from_edit=True),
        LookupField(
            "template_id",
            _("Message template"),
            select(_TEMPLATE.c.id, _TEMPLATE_NAME + " · " + _TEMPLATE.c.name)
            .join_from(_TEMPLATE, _GATEWAY, _TEMPLATE.c.gateway_id == _GATEWAY.c.id)
            .order_by(_GATEWAY.c.code, _TEMPLATE.c.code),
            coerce=int,
            required=True,
            exclude_from_list=True,
            exclude_from_detail=True,
            exclude_from_export=True,
        ),
        IntegerField(
            "priority", _("Priority"), required=True, default=5, min=1, max=9, help_text=_("1 goes first.")
        ),
        BooleanField(
            "next_business_day",
            _("On business days only"),
            default=True,
            help_text=_("A day that is none moves to the next one."),
        ),
        IntegerField(
            "valid_days",
            _("Days it may be late"),
            default=0,
            required=True,
            min=0,
            max=365,
            exclude_from_list=True,
        ),
        BooleanField("active", _("Active"), default=True),
    )
    search_columns = (StepRow.name,)
    sortable_fields = ("name", "days", "priority", "active")
    fields_default_sort = ("days", "name")
    list_template = "dunning_steps.html"
    fields_of_errors = {  # noqa: RUF012
        "renamed_from": "name",
        "step": "name",
        "template": "template_id",
        "gateway": "template_id",
        "variables": "template_id",
    }

    def save(self, connection: psycopg.Connection, data: dict[str, Any], login: str, pk: str | None) -> int:
        old_name = stored(connection, StepRow.name, pk) if pk else None
        if old_name is None:
            refuse_taken(connection, StepRow.name, data["name"])
        return save_step(connection, StepSettings(**data), login, renamed_from=old_name)

    def remove(self, connection: psycopg.Connection, pk: str, login: str) -> None:
        delete_step(connection, stored(connection, StepRow.name, pk), login)


class Exceptions(MaintenanceGrid):
    """Customers of the ERP who get no billing messages."""

    model = DunningException
    key = "dunning-exception"
    menu_label = _("Dunning exceptions")
    display_name = _("exception")
    title_field = "customer_id"
    order = 155
    help = _("A customer of the ERP who gets no billing messages.")
    effect = _("No new billing message is written to the customer; those that wait still go out.")
    show_pk_in_forms = True
    right_to_delete = Right.MAINTAIN
    fields = (
        IntegerField("customer_id", _("Number in the ERP"), required=True, min=1, exclude_from_edit=True),
        StringField("reason", _("Reason"), required=True),
        DateField("until_on", _("Last day"), help_text=_("Empty: for good.")),
    )
    search_columns = (DunningException.reason,)
    fields_default_sort = ("customer_id",)
    list_template = "dunning_exceptions.html"

    def save(self, connection: psycopg.Connection, data: dict[str, Any], login: str, pk: str | None) -> int:
        if pk is None:
            refuse_taken(connection, DunningException.customer_id, data["customer_id"])
        customer_id = data["customer_id"] if pk is None else number_of(pk)
        add_exception(connection, customer_id, data["reason"], data["until_on"], login)
        return customer_id

    def remove(self, connection: psycopg.Connection, pk: str, login: str) -> None:
        remove_exception(connection, number_of(pk), login)


SCREENS = [Steps, Exceptions]
