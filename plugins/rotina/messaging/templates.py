"""Message templates: texts that a gateway approved, and which of our variables fill their places."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Literal, get_args

import psycopg
from psycopg.rows import dict_row

from rotina.errors import SettingError
from rotina.messaging.gateways import changes, check_code, check_text, load_gateway, record_audit
from rotina.sql import statement

Status = Literal["approved", "pending", "rejected", "paused"]

#: The variables that each producer fills: value as 129,90, dates as dd/mm/yyyy.
VARIABLES: dict[str, tuple[str, ...]] = {
    "billing_messages": (
        "customer_name",
        "first_name",
        "value",
        "due_on",
        "days_overdue",
        "receivable_code",
        "payment_code",
    ),
    "signature_links": ("customer_name", "first_name", "link", "expires_on"),
}


@dataclass(frozen=True)
class TemplateSettings:
    """What a person sets of a template (crm.message_template has the meaning of each field)."""

    gateway: str
    """Code of the gateway."""
    code: str
    name: str
    gateway_template_id: str
    body: str
    variables: Sequence[str]
    status: Status = "pending"
    active: bool = True


@dataclass(frozen=True)
class PausedTemplate:
    """A template that no longer is what the gateway has."""

    code: str
    problem: str


def places(body: str) -> int:
    """How many variables a text takes: its places {{1}} to {{n}}, each of them once or more.

    Raises:
        SettingError: a place is no number, or a number is left out.
    """
    found = re.findall(r"\{\{(.*?)\}\}", body, re.DOTALL)
    for place in found:
        if not re.fullmatch("[1-9][0-9]{0,2}", place):
            raise SettingError("body", f"{{{{{place}}}}}", "a place must be a number from 1, as {{1}}")
    numbers = {int(place) for place in found}
    for number in range(1, len(numbers) + 1):
        if number not in numbers:
            raise SettingError(
                "body", body, f"{{{{{number}}}}} is missing: places are numbered from 1 without a gap"
            )
    return len(numbers)


def save_template(connection: psycopg.Connection, template: TemplateSettings, login: str) -> int:
    """Insert a template or change the one of that code in its gateway; returns its id.

    Messages written before keep what they were written with. An audit row tells who changed which fields.

    Raises:
        SettingError: a field is wrong.
    """
    check_code("code", template.code)
    for name in ("name", "gateway_template_id", "body"):
        check_text(name, getattr(template, name))
    if template.status not in get_args(Status):
        raise SettingError("status", template.status, f"must be one of {', '.join(get_args(Status))}")
    _check_count(list(template.variables), places(template.body))
    _check_offered(template.variables)
    with connection.transaction(), connection.cursor(row_factory=dict_row) as cursor:
        cursor.execute(statement("gateways/lock_gateways"))
        gateway = load_gateway(connection, template.gateway)
        if gateway.kind == "smtp":
            raise SettingError(
                "gateway", gateway.code, "sends e-mail, which has no templates of the gateway with places"
            )
        values = {**asdict(template), "variables": list(template.variables), "gateway_id": gateway.id}
        before = cursor.execute(statement("templates/get_template"), values).fetchone()
        saved = cursor.execute(statement("templates/save_template"), values).fetchone()
        assert saved is not None
        record_audit(
            connection,
            login,
            "save_template",
            {"gateway": gateway.code, "template": template.code},
            changes(before, saved),
        )
    return int(saved["id"])


def sync_templates(
    connection: psycopg.Connection,
    gateway_code: str,
    gateway_templates: Mapping[str, str],
    login: str = "sync_templates",
) -> list[PausedTemplate]:
    """Pause the templates that the gateway no longer has, or has with another number of places.

    What the gateway has again is for a person to approve. An audit row lists what was paused.

    Args:
        connection: of the task role.
        gateway_code: whose templates.
        gateway_templates: texts by id, all that the gateway lists.
        login: who asked for it.

    Returns:
        The templates that were paused, by code.

    Raises:
        SettingError: there is no such gateway, or it lists no template at all: that would pause them all, and
            more likely the wrong channel was asked, or the answer was empty.
    """
    with connection.transaction(), connection.cursor(row_factory=dict_row) as cursor:
        gateway = load_gateway(connection, gateway_code)
        if not gateway_templates:
            raise SettingError(
                "gateway_templates", "none", f"gateway {gateway.code} lists no template at all"
            )
        cursor.execute(
            statement("templates/pause_changed"),
            {
                "gateway_id": gateway.id,
                "ids": list(gateway_templates),
                "places": [_places_or_none(text) for text in gateway_templates.values()],
            },
        )
        paused = sorted((PausedTemplate(**row) for row in cursor), key=lambda template: template.code)
        if paused:
            record_audit(
                connection,
                login,
                "sync_templates",
                {"gateway": gateway.code},
                {"paused": {template.code: template.problem for template in paused}},
                records=len(paused),
            )
    return paused


def check_template(connection: psycopg.Connection, template_id: int, origin: str) -> None:
    """Refuse a template that a producer cannot use.

    Args:
        connection: of the task role.
        template_id: key of the template.
        origin: the routine that writes the messages, a key of `VARIABLES`.

    Raises:
        SettingError: there is no such template; it or its gateway is not active; it is not approved; it has
            another number of variables than places; or a variable that this routine does not offer.
    """
    with connection.cursor(row_factory=dict_row) as cursor:
        found = cursor.execute(
            statement("templates/get_with_gateway"), {"template_id": template_id}
        ).fetchone()
    if found is None:
        raise SettingError("template", template_id, "there is no such template")
    if not found["gateway_active"]:
        raise SettingError("gateway", found["gateway"], f"of template {found['code']} is not active")
    if not found["active"]:
        raise SettingError("template", found["code"], "is not active")
    if found["status"] != "approved":
        raise SettingError("template", found["code"], f"is not approved by the gateway: {found['status']}")
    _check_count(found["variables"], places(found["body"]))
    for name in found["variables"]:
        if name not in VARIABLES[origin]:
            raise SettingError(
                "variables",
                name,
                f"template {found['code']} wants it, and {origin} offers {', '.join(VARIABLES[origin])}",
            )


def _check_count(variables: list[str], count: int) -> None:
    if len(variables) != count:
        raise SettingError(
            "variables", variables, f"{len(variables)} variables for the {count} places of the body"
        )


def _check_offered(variables: Sequence[str]) -> None:
    """Refuse variables that no routine fills, or not one and the same."""
    known = sorted({name for names in VARIABLES.values() for name in names})
    for name in variables:
        if name not in known:
            raise SettingError("variables", name, f"is not a variable; there are {', '.join(known)}")
    if not any(set(variables) <= set(names) for names in VARIABLES.values()):
        raise SettingError("variables", list(variables), "no single routine fills all of them")


def _places_or_none(text: str) -> int | None:
    """As `places`; None of a text that is not ours to mend."""
    try:
        return places(text)
    except SettingError:
        return None
