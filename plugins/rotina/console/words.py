"""What codes are called, in both languages: routines, statuses, reasons, kinds of records, facts of a run.

The Portuguese names are those of the summary e-mails (rotina.runs.summary); here are the English ones, and
what only the console says. A routine that brings a new reason adds its name to both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from rotina.console.language import get_locale, gettext, zoned
from rotina.console.language import lazy_gettext as _
from rotina.runs import summary
from rotina.runs.agenda import Day, Entry

Kind = Literal["routine", "status", "run_type", "outcome", "reason", "record", "detail", "summary"]

ENGLISH: dict[Kind, Mapping[str, str]] = {
    "routine": {
        "account_data_refresh": "Account data refresh",
        "account_status_update": "Account status update",
        "birthday_emails": "Birthday e-mails",
        "billing_messages": "Billing messages",
        "inactivity_monitor": "Inactivity monitor",
        "class_transition": "Class transition",
        "daily_file_batch": "Daily file batch",
        "delivery_monitor": "Delivery monitor",
        "message_archive": "Message archive",
        "queue_dispatch": "Queue dispatch",
        "signature_links": "Signature links",
    },
    "status": {"running": "at work", "succeeded": "succeeded", "failed": "failed", "skipped": "not run"},
    "run_type": {
        "manual": "by hand",
        "scheduled": "schedule",
        "backfill": "backfill",
        "asset_triggered": "chained",
    },
    "outcome": {"failed": "failed", "skipped": "skipped"},
    "reason": {
        "alert_maybe_sent": "nobody knows whether the alert e-mail arrived; it is not sent again",
        "invalid_order_number": "order without a number, or with one of more than 50 characters",
        "invalid_order_value": "order with a value that does not fit the file",
        "order_without_customer": "order without a customer",
        "invalid_invoice": "invoice without a value, with a negative value or without a date",
        "invoice_without_customer": "invoice without a customer",
        "known_problem": "a problem known before, not mended in the ERP yet",
        "newer_data": "the account's data are of a later date",
        "not_linked": "account without a customer in the ERP",
        "customer_missing": "the customer is not in the ERP",
        "deferred": "passing failure of this recipient, all attempts made",
        "dunning_exception": "customer with an exception of the dunning schedule",
        "class_dry_run": "dry run: would change its class",
        "dry_run": "dry run: would get the message",
        "expired": "the time to send it was over before it was sent",
        "gateway_paused": "gateway paused until somebody mends and resumes it",
        "gateway_unusable": "gateway that is missing, inactive or wrongly set",
        "in_attendance": "recipient in attendance; the message waits",
        "inactive_gateway": "the gateway was switched off",
        "interrupted": "interrupted while sending; nobody knows whether it was sent",
        "invalid_email": "invalid e-mail address",
        "invalid_phone": "invalid phone number; it is written as +5511999990000",
        "invalid_value": "receivable without a value, or with one that is zero, negative or too great",
        "later_step": "a later step of the schedule falls on the same day",
        "maybe_sent": "the gateway did not confirm; nobody knows whether it was sent",
        "missing_variable": "something is missing that the message template uses",
        "no_email": "customer without an e-mail address",
        "no_phone": "customer without a phone number",
        "no_such_address": "the e-mail address does not exist",
        "owner_left": "no movement; its owner left and nobody got the account",
        "opted_out": "the recipient wants no messages",
        "past_due": "a reminder from before the due date that would fall after it",
        "payload_too_long": "message longer than the gateway takes",
        "receivable_missing": "the receivable is no longer in the ERP",
        "render_failed": "the e-mail template failed with this account's data",
        "rejected": "refused by the gateway",
        "same_address": "another account with the same address is greeted on that day",
        "status_dry_run": "dry run: would change its status",
        "settled": "the receivable is paid or cancelled",
        "suppressed": "the recipient's address is suppressed",
        "template_unusable": "message template that is missing, inactive or not approved",
        "too_late": "the time to send it is over",
        "written_not_sent": "the message was written before, and not sent",
        "user_left": "the user of the profile left and was not told",
        "would_be_found": "dry run: would be found without movement",
        "wrong_variables": "number of variables other than the template's",
    },
    "record": {
        "account": "account",
        "alert": "alert",
        "customer": "customer",
        "gateway": "gateway",
        "invoice": "invoice",
        "message": "message",
        "order": "order",
        "receivable": "receivable",
        "signature_request": "signature request",
        "user": "user",
    },
    "detail": {
        "mode": "Selection",
        "audience": "Audience",
        "rules": "Active rules",
        "template": "E-mail template",
        "note": "Note",
        "ended_before": "Ended before",
        "attempts": "Attempts archived",
        "delivery_events": "Delivery events deleted",
        "source": "Source",
        "months_inactive": "Months inactive",
        "to_active": "Became active",
        "to_inactive": "Became inactive",
        "to_not_integrated": "Became not integrated",
        "profile": "Profile",
        "transferred": "Accounts transferred",
        "owner_left": "Accounts without movement whose owner left",
        "digests": "Digest e-mails",
        "would_be_active": "Would become active",
        "would_be_inactive": "Would become inactive",
        "would_be_not_integrated": "Would become not integrated",
        "alert": "Alert",
        "problems": "Problems found",
        "recovered": "Over",
        "sequence": "Batch number",
        "replaces": "Corrects the batch",
        "rows": "Rows of each file",
        "changed_values": "Values cut or cleaned, by column",
        "delivered": "Batches delivered",
    },
    "summary": {
        "pending": "not sent yet",
        "sending": "being sent",
        "sent": "sent",
        "failed": "not sent",
        "unknown": "nobody knows whether it was sent",
        "no_recipient": "nobody is set to receive it",
        "none": "none",
    },
}

PORTUGUESE: dict[Kind, Mapping[str, str]] = {
    "routine": summary.ROUTINE_TITLES,
    "status": {**summary.STATUS_TITLES, "running": "em andamento"},
    "run_type": summary.RUN_TYPE_TITLES,
    "outcome": summary.OUTCOME_TITLES,
    "reason": summary.REASON_TITLES,
    "record": summary.RECORD_TITLES,
    "detail": {**summary.DETAIL_TITLES, "alert": "Alerta"},
    "summary": {
        "pending": "ainda não enviado",
        "sending": "sendo enviado",
        "sent": "enviado",
        "failed": "não enviado",
        "unknown": "não se sabe se foi enviado",
        "no_recipient": "ninguém está configurado para recebê-lo",
        "none": "nenhum",
    },
}

#: How a run stands, as the class of a state (static/rotina.css).
STATES = {"running": "busy", "succeeded": "good", "failed": "bad", "skipped": "off"}

#: Where a kind of record is shown: a screen of its records adds the address, as `/customers/{id}`.
RECORD_PAGES: dict[str, str] = {}

_WEEK: dict[Day, str] = {
    "monday": _("Monday"),
    "tuesday": _("Tuesday"),
    "wednesday": _("Wednesday"),
    "thursday": _("Thursday"),
    "friday": _("Friday"),
    "saturday": _("Saturday"),
    "sunday": _("Sunday"),
}


def named(code: str | None, kind: Kind) -> str:
    """What a code is called; the code itself where it has no name."""
    if code is None:
        return ""
    names = PORTUGUESE if get_locale() == "pt" else ENGLISH
    return names[kind].get(code, code)


def capitalised(text: str) -> str:
    """With a capital in front, the rest as it is."""
    return text[:1].upper() + text[1:]


def schedule(entry: Entry) -> str:
    """When a program runs, in words: `Monday to Friday at 08:00 and 14:00`."""
    names = [str(name) for name in _WEEK.values()]
    days = sorted({list(_WEEK).index(day) for day in entry.days})
    if len(days) == len(names):
        on = gettext("Every day")
    elif len(days) > 2 and days[-1] - days[0] == len(days) - 1:
        on = gettext("%(first)s to %(last)s") % {"first": names[days[0]], "last": names[days[-1]]}
    else:
        on = listed([names[day] for day in days])
    if entry.hours is None and entry.every_minutes == 60:
        text = gettext("%(days)s, every hour") % {"days": on}
    elif entry.hours is None:
        text = gettext("%(days)s, every %(minutes)s minutes") % {"days": on, "minutes": entry.every_minutes}
    else:
        hours = listed([f"{hour:%H:%M}" for hour in entry.hours])
        text = gettext("%(days)s at %(hours)s") % {"days": on, "hours": hours}
    return zoned(capitalised(text), entry.zone)


def listed(words: Sequence[str]) -> str:
    """`a, b and c`."""
    if len(words) < 2:
        return "".join(words)
    return " ".join([", ".join(words[:-1]), gettext("and"), words[-1]])


def template_globals() -> dict[str, Any]:
    """What the templates call."""
    return {"named": named, "capitalised": capitalised, "STATES": STATES}
