"""E-mail templates: an editor that shows the e-mail while it is written."""

from __future__ import annotations

from typing import Any

import psycopg
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette_admin import BooleanField, IntegerField, StringField, TextAreaField

from rotina.console.forms import InstantField, MaintenanceGrid, refuse_taken, stored
from rotina.console.language import ZONE, get_locale, gettext
from rotina.console.language import lazy_gettext as _
from rotina.console.pages import Page, connect, get, post
from rotina.console.rights import Right
from rotina.errors import SettingError
from rotina.messaging.email_templates import (
    LONGEST_SUBJECT,
    VARIABLES,
    EmailTemplateSettings,
    RenderError,
    preview,
    save_email_template,
)
from rotina.models import EmailTemplate
from rotina.runs.business_date import today_in


class EmailTemplates(MaintenanceGrid):
    """The templates. Routines name them, so that names stay."""

    model = EmailTemplate
    key = "email-template"
    menu_label = _("E-mail templates")
    display_name = _("e-mail template")
    order = 120
    fields = (
        IntegerField(
            "id", _("Number"), exclude_from_list=True, exclude_from_create=True, exclude_from_edit=True
        ),
        StringField("name", _("Name"), required=True, exclude_from_edit=True),
        StringField("subject", _("Subject"), required=True, maxlength=LONGEST_SUBJECT),
        StringField(
            "preheader",
            _("Preheader"),
            exclude_from_list=True,
            help_text=_("What mail programs show beside the subject; empty: the first words of the text."),
        ),
        StringField("company", _("Company"), help_text=_("The sender's name in the e-mail.")),
        TextAreaField(
            "html",
            _("HTML"),
            required=True,
            rows=16,
            class_="form-control rotina-code",
            exclude_from_list=True,
            help_text=_(
                "What stands inside the layout; or a whole document, which must print the unsubscribe link."
            ),
        ),
        TextAreaField(
            "text",
            _("Text"),
            rows=6,
            class_="form-control rotina-code",
            exclude_from_list=True,
            help_text=_("For mail programs without HTML; empty: derived from the HTML."),
        ),
        BooleanField("active", _("Active"), default=True),
        InstantField("updated_at", _("Last change"), exclude_from_create=True, exclude_from_edit=True),
        StringField("updated_by", _("Changed by"), exclude_from_create=True, exclude_from_edit=True),
    )
    effect = _("E-mails that are written from now on look like this; those that wait stay as they are.")
    search_columns = (EmailTemplate.name, EmailTemplate.subject)
    sortable_fields = ("name", "active", "updated_at")
    fields_default_sort = ("name",)
    list_template = "email_templates.html"
    form_after_template = "email_preview.html"
    form_script = "email_preview.js"
    fields_of_errors = {"unsubscribe_url": "html"}  # noqa: RUF012

    def variables(self) -> list[tuple[str, str]]:
        """What a template may print, and what that is."""
        return [(name, titles[get_locale() == "pt"]) for name, titles in VARIABLES.items()]

    def save(self, connection: psycopg.Connection, data: dict[str, Any], login: str, pk: str | None) -> int:
        if pk is None:
            refuse_taken(connection, EmailTemplate.name, data["name"])
        name = data["name"] if pk is None else stored(connection, EmailTemplate.name, pk)
        draft = TemplateForm(**{part: data[part] or "" for part in TemplateForm.model_fields})
        return save_email_template(connection, draft.settings(name, active=data["active"]), login)


class TemplateForm(BaseModel):
    """The form of a template, as a browser has it."""

    subject: str = ""
    preheader: str = ""
    company: str = ""
    html: str = ""
    text: str = ""

    def settings(self, name: str, *, active: bool = True) -> EmailTemplateSettings:
        """The template that is meant."""
        return EmailTemplateSettings(
            name=name,
            subject=_lines(self.subject),
            preheader=_lines(self.preheader),
            company=_lines(self.company),
            html=_lines(self.html),
            text=_lines(self.text),
            active=active,
        )


class Draft(BaseModel):
    """A template that is not saved yet, and whom it is shown for."""

    model_config = ConfigDict(extra="forbid")

    form: TemplateForm
    account_id: int | None = Field(default=None, ge=1, lt=2**63)


class EmailPreview(Page):
    """The e-mail that a draft makes."""

    path = "/email-preview"
    menu_label = _("E-mail templates")
    icon = "fa-solid fa-envelope-open-text"
    order = 900
    add_to_menu = False

    @get(right=Right.MAINTAIN)
    def index(self, request: Request) -> Response:
        """Leads to the templates: a preview is asked for by their form."""
        return RedirectResponse(request.url_for("console:list", key=EmailTemplates.key), status_code=303)

    @post("", Right.MAINTAIN, Draft)
    def render_draft(self, request: Request, body: Draft) -> dict[str, str]:
        """Its subject, HTML and text, for an account or for an example."""
        with EmailTemplates.preview_errors(), connect(request) as connection:
            for name, part in (("subject", body.form.subject), ("html", body.form.html)):
                if not part.strip():
                    raise SettingError(name, None, gettext("is still empty"))
            try:
                shown = preview(connection, body.form.settings("-"), body.account_id, today_in(ZONE))
            except RenderError as error:
                raise SettingError(error.field, None, error.problem) from None
        return shown._asdict()


def _lines(text: str) -> str:
    """A text as people wrote it: browsers send line ends of their own."""
    return text.replace("\r\n", "\n")


SCREENS = [EmailTemplates, EmailPreview]
