"""What people did: every change that was made in the console or by its domain code, and by whom."""

from __future__ import annotations

from starlette_admin import DateTimeField, IntegerField, JSONField, StringField

from rotina.console.grids import Grid
from rotina.console.language import lazy_gettext as _
from rotina.models import AuditEntry


class AuditLog(Grid):
    """The audit entries, newest first. Nobody changes them."""

    model = AuditEntry
    key = "audit"
    menu_label = _("Audit log")
    display_name = _("Entry")
    group = "maintenance"
    order = 90
    large = True
    fields = (
        IntegerField("id", _("Number")),
        DateTimeField("at", _("When")),
        StringField("login", _("Who")),
        StringField("action", _("What")),
        JSONField("target", _("To what"), exclude_from_list=True),
        JSONField("details", _("Details"), exclude_from_list=True),
        IntegerField("records", _("Records")),
    )
    search_columns = (AuditEntry.login, AuditEntry.action)
    sortable_fields = ()


SCREENS = [AuditLog]
