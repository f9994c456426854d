"""Codes of the database in words, in the language of the caller."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from rotina.accounts.filters import FIELDS, Condition, Filter, Group, parse_filter
from rotina.console.language import day, get_locale, gettext, money, number
from rotina.console.language import lazy_gettext as _
from rotina.errors import SettingError

WORDS: dict[str, str] = {
    # status of an account
    "active": _("active"),
    "inactive": _("inactive"),
    "not_integrated": _("not integrated"),
    # kind of an account
    "person": _("person"),
    "company": _("company"),
    # where a status comes from, and why
    "erp": _("ERP"),
    "health_plan": _("health plans"),
    "movement": _("moved in the period"),
    "no_movement": _("no movement in the period"),
    "never_moved": _("never moved"),
    "adhesion_in_force": _("adhesion in force"),
    "adhesion_ended": _("adhesion ended"),
    "no_adhesion": _("no adhesion"),
    "not_linked": _("not linked to the source"),
    "customer_missing": _("the source does not know the customer"),
    # what moves
    "account": _("account"),
    "opportunity": _("opportunity"),
    "ticket": _("ticket"),
    "task": _("task"),
    "campaign_action": _("campaign action"),
    "quote": _("quote"),
    "order": _("order"),
    # channels of messages
    "phone": _("phone"),
    "email": _("e-mail"),
    # why and how an address came to get no messages
    "hard_bounce": _("the address does not exist"),
    "opted_out": _("opted out"),
    "unsubscribe": _("by the link of an e-mail"),
    "queue_dispatch": _("told by the gateway"),
    # status of a message template
    "approved": _("approved"),
    "pending": _("pending"),
    "rejected": _("rejected"),
    "paused": _("paused"),
    # kinds of gateways
    "opa_suite": "Opa! Suite",
    "smtp": _("e-mail (SMTP)"),
    "http_json": _("HTTP with JSON"),
    # days of send windows
    "monday": _("Monday"),
    "tuesday": _("Tuesday"),
    "wednesday": _("Wednesday"),
    "thursday": _("Thursday"),
    "friday": _("Friday"),
    "saturday": _("Saturday"),
    "sunday": _("Sunday"),
    "holiday": _("holiday"),
}


def word(code: str | None) -> str:
    """A code in words; one that is not known as it is."""
    return "" if code is None else str(WORDS.get(code, code))


def document(text: str | None) -> str:
    """A CPF or CNPJ with its punctuation; what is none as it is."""
    text = text or ""
    if re.fullmatch("[0-9]{11}", text):
        return f"{text[:3]}.{text[3:6]}.{text[6:9]}-{text[9:]}"
    if re.fullmatch("[0-9A-Z]{12}[0-9]{2}", text):
        return f"{text[:2]}.{text[2:5]}.{text[5:8]}/{text[8:12]}-{text[12:]}"
    return text


def title_of(field: str) -> str:
    """What a field of filters is called; one that is not known as it is."""
    known = FIELDS.get(field)
    if known is None:
        return field
    return known.title if get_locale() == "pt" else known.english_title


def value_of(field: str, value: Any) -> str:
    """The value of a field of filters, as JSON has it, in words."""
    if value is None:
        return gettext("empty")
    known = FIELDS.get(field)
    try:
        match known.type if known else None:
            case "money":
                return money(Decimal(str(value)))
            case "date":
                return day(dt.date.fromisoformat(str(value)))
            case "integer":
                return number(int(value))
            case "choice":
                return word(str(value))
            case "boolean":
                return gettext("yes") if value else gettext("no")
    except (ValueError, InvalidOperation, TypeError):
        pass  # what stands in the database need not be what the field is
    return str(value)


def in_words(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Fields of filters and their values, in words, in the order of the fields."""
    order = list(FIELDS)
    known = sorted((name for name in values if name in FIELDS), key=order.index)
    names = [*known, *(name for name in values if name not in FIELDS)]
    return [(title_of(name), value_of(name, values[name])) for name in names]


_SIGNS = {"!=": "≠", ">=": "≥", "<=": "≤"}


def describe(document: Any) -> str:
    """A filter, as JSON has it, in words; what is none as it is."""
    try:
        return _describe(parse_filter(document))
    except SettingError:
        return json.dumps(document, ensure_ascii=False)


def _describe(filter: Filter) -> str:
    if isinstance(filter, Condition):
        return _describe_condition(filter)
    assert isinstance(filter, Group)  # there is no third
    parts = []
    for one in filter.members:
        text = _describe(one)
        nested = isinstance(one, Group) and len(one.members) > 1 and len(filter.members) > 1
        parts.append(f"({text})" if nested else text)
    between = gettext("and") if filter.kind == "all" else gettext("or")
    return f" {between} ".join(parts)


def _describe_condition(condition: Condition) -> str:
    title = title_of(condition.field)
    values = [value_of(condition.field, value) for value in condition.values()]
    match condition.op:
        case "between":
            return gettext("%(field)s between %(low)s and %(high)s") % {
                "field": title,
                "low": values[0],
                "high": values[1],
            }
        case "in":
            return gettext("%(field)s one of (%(values)s)") % {"field": title, "values": "; ".join(values)}
        case "contains":
            return gettext("%(field)s contains “%(text)s”") % {"field": title, "text": values[0]}
        case "is_empty":
            return gettext("%(field)s is empty") % {"field": title}
        case "is_not_empty":
            return gettext("%(field)s is not empty") % {"field": title}
    return f"{title} {_SIGNS.get(condition.op, condition.op)} {values[0]}"
