"""Templates: places and variables agree, wrong ones refused by name, what the gateway changed paused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from rotina.errors import SettingError
from rotina.messaging.templates import (
    VARIABLES,
    PausedTemplate,
    TemplateSettings,
    check_template,
    places,
    save_template,
    sync_templates,
)
from tests.messaging.queue_data import add_template, insert

BODY = "Olá, {{1}}! Seu boleto de R$ {{2}} vence em {{3}}."
SETTINGS = TemplateSettings(
    gateway="opa",
    code="vence_em_breve",
    name="Vence em breve",
    gateway_template_id="65f0",
    body=BODY,
    variables=["first_name", "value", "due_on"],
    status="approved",
)


@pytest.fixture
def gateway(owner: psycopg.Connection) -> int:
    """An active gateway `opa`, and an e-mail server `mail`."""
    fields = {"name": "-", "connection_id": "-"}
    insert(owner, "crm.gateway", code="mail", kind="smtp", **fields)
    return int(insert(owner, "crm.gateway", code="opa", kind="opa_suite", **fields)[0])


def stored(owner: psycopg.Connection) -> list[tuple[Any, ...]]:
    return owner.execute(
        "select t::text, (select count(*) from crm.audit_entry) from crm.message_template as t order by id"
    ).fetchall()


def audit(owner: psycopg.Connection) -> list[tuple[Any, ...]]:
    return owner.execute(
        "select login, action, target, details, records from crm.audit_entry order by id"
    ).fetchall()


@pytest.mark.parametrize(
    ("body", "count"),
    [("Olá!", 0), ("{{1}}", 1), (BODY, 3), ("{{2}} {{1}} {{2}}", 2), ("{1} { {2} }", 0),
     (" ".join(f"{{{{{number}}}}}" for number in range(1, 12)), 11)],
)  # fmt: skip
def test_places(body: str, count: int) -> None:
    assert places(body) == count


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ("{{1}} {{3}}", "{{2}} is missing"),
        ("{{2}}", "{{1}} is missing"),
        ("{{0}}", "'{{0}}'"),
        ("{{01}}", "'{{01}}'"),
        ("{{nome}}", "'{{nome}}'"),
        ("{{ 1 }}", "'{{ 1 }}'"),
        ("{{}}", "'{{}}'"),
        ("{{²}}", "'{{²}}'"),
    ],
)
def test_places_that_are_wrong(body: str, place: str) -> None:
    with pytest.raises(SettingError) as caught:
        places(body)
    assert caught.value.field == "body"
    assert place in str(caught.value)


def test_a_template_is_saved_changed_and_audited(
    connection: psycopg.Connection, owner: psycopg.Connection, gateway: int
) -> None:
    template_id = save_template(connection, SETTINGS, "ana")
    changed = replace(SETTINGS, body="Olá, {{1}}!", variables=["customer_name"])
    assert save_template(connection, changed, "bia") == template_id
    rows = owner.execute("select gateway_id, body, variables, status, active from crm.message_template")
    assert rows.fetchall() == [(gateway, "Olá, {{1}}!", ["customer_name"], "approved", True)]
    target = {"gateway": "opa", "template": "vence_em_breve"}
    assert audit(owner) == [
        ("ana", "save_template", target, {"created": True}, 1),
        (
            "bia",
            "save_template",
            target,
            {
                "changed": {
                    "body": [BODY, "Olá, {{1}}!"],
                    "variables": [["first_name", "value", "due_on"], ["customer_name"]],
                }
            },
            1,
        ),
    ]


def test_a_template_without_places_has_no_variables(connection: psycopg.Connection, gateway: int) -> None:
    template_id = save_template(connection, replace(SETTINGS, body="Olá!", variables=()), "ana")
    check_template(connection, template_id, "signature_links")


@pytest.mark.parametrize("origin", VARIABLES)
def test_all_variables_of_a_routine_can_be_used(
    connection: psycopg.Connection, gateway: int, origin: str
) -> None:
    body = " ".join(f"{{{{{place}}}}}" for place in range(1, len(VARIABLES[origin]) + 1))
    template_id = save_template(connection, replace(SETTINGS, body=body, variables=VARIABLES[origin]), "ana")
    check_template(connection, template_id, origin)


@pytest.mark.parametrize(
    ("field", "change", "shown"),
    [
        ("code", {"code": "Vence"}, "'Vence'"),
        ("name", {"name": " "}, "' '"),
        ("gateway_template_id", {"gateway_template_id": ""}, "''"),
        ("body", {"body": " \n"}, r"' \n'"),
        ("body", {"body": "Olá, {{2}}!", "variables": ["value"]}, "{{1}} is missing"),
        ("status", {"status": "ok"}, "'ok'"),
        ("variables", {"variables": ["first_name"]}, "['first_name']: 1 variables for the 3 places"),
        ("variables", {"variables": ["value"] * 4}, "4 variables for the 3 places"),
        ("variables", {"variables": ["first_name", "valor", "due_on"]}, "'valor': is not a variable"),
        ("variables", {"variables": ["first_name", "value", "link"]}, "no single routine fills all of them"),
        ("gateway", {"gateway": "zap"}, "'zap'"),
        ("gateway", {"gateway": "mail"}, "'mail': sends e-mail"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_changed(
    connection: psycopg.Connection,
    owner: psycopg.Connection,
    gateway: int,
    field: str,
    change: dict[str, Any],
    shown: str,
) -> None:
    save_template(connection, SETTINGS, "ana")
    before = stored(owner)
    with pytest.raises(SettingError) as caught:
        save_template(connection, replace(SETTINGS, **change), "bia")
    assert caught.value.field == field
    assert shown in str(caught.value)
    assert stored(owner) == before


# --- what the gateway lists


def test_templates_that_the_gateway_changed_are_paused(
    connection: psycopg.Connection, owner: psycopg.Connection, gateway: int
) -> None:
    for code, status in (
        ("same", "approved"),
        ("gone", "approved"),
        ("shorter", "pending"),
        ("odd", "approved"),
        ("rejected", "rejected"),
    ):
        add_template(owner, gateway, code, status=status, gateway_template_id=f"id-{code}")
    listed = {
        "id-same": "{{1}} {{2}} {{3}} agora",
        "id-shorter": "{{1}}",
        "id-odd": "{{nome}}",
        "id-new": "-",
    }

    paused = [
        PausedTemplate("gone", "the gateway no longer has it"),
        PausedTemplate("odd", "the text of the gateway has unreadable places, ours 3"),
        PausedTemplate("shorter", "the text of the gateway has 1 places, ours 3"),
    ]
    assert sync_templates(connection, "opa", listed, "ana") == paused
    statuses = dict(owner.execute("select code, status from crm.message_template").fetchall())
    assert statuses == {
        "same": "approved", "gone": "paused", "shorter": "paused", "odd": "paused", "rejected": "rejected",
    }  # fmt: skip
    details = {"paused": {template.code: template.problem for template in paused}}
    assert audit(owner) == [("ana", "sync_templates", {"gateway": "opa"}, details, 3)]

    assert sync_templates(connection, "opa", listed) == []
    assert len(audit(owner)) == 1


def test_templates_of_another_gateway_are_left_alone(
    connection: psycopg.Connection, owner: psycopg.Connection, gateway: int
) -> None:
    other = insert(owner, "crm.gateway", code="zap", kind="http_json", name="-", connection_id="-")[0]
    add_template(owner, other)
    before = stored(owner)
    assert sync_templates(connection, "opa", {"id": "-"}) == []
    assert stored(owner) == before
    with pytest.raises(SettingError, match=r"^gateway = 'nada'"):
        sync_templates(connection, "nada", {"id": "-"})


def test_a_gateway_that_lists_nothing_at_all_pauses_nothing(
    connection: psycopg.Connection, owner: psycopg.Connection, gateway: int
) -> None:
    add_template(owner, gateway)
    before = stored(owner)
    with pytest.raises(SettingError, match=r"^gateway_templates = 'none': gateway opa lists no template"):
        sync_templates(connection, "opa", {})
    assert stored(owner) == before


# --- what a producer can use


def _sql(text: str) -> Callable[[psycopg.Connection], object]:
    return lambda owner: owner.execute(text)  # type: ignore[call-overload,no-any-return]


def test_an_approved_template_can_be_used(
    connection: psycopg.Connection, owner: psycopg.Connection, gateway: int
) -> None:
    template_id = add_template(owner, gateway)
    check_template(connection, template_id, "billing_messages")
    owner.execute("update crm.gateway set paused_at = now(), pause_reason = 'senha'")  # messages wait for it
    check_template(connection, template_id, "billing_messages")


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        (
            _sql("update crm.gateway set active = false"),
            "gateway = 'opa': of template cobranca is not active",
        ),
        (_sql("update crm.message_template set active = false"), "template = 'cobranca': is not active"),
        *(
            (
                _sql(f"update crm.message_template set status = '{status}'"),
                f"template = 'cobranca': is not approved by the gateway: {status}",
            )
            for status in ("pending", "rejected", "paused")
        ),
        (
            _sql("update crm.message_template set variables = '{value}'"),
            "variables = ['value']: 1 variables for the 3 places",
        ),
        (_sql("update crm.message_template set body = '{{2}}'"), "body = '{{2}}': {{1}} is missing"),
        (
            _sql("update crm.message_template set variables = '{first_name,link,value}'"),
            "variables = 'link': template cobranca wants it, and billing_messages offers customer_name, ",
        ),
    ],
)
def test_a_template_that_cannot_be_used_is_refused(
    connection: psycopg.Connection,
    owner: psycopg.Connection,
    gateway: int,
    change: Callable[[psycopg.Connection], object],
    refusal: str,
) -> None:
    template_id = add_template(owner, gateway)
    change(owner)
    with pytest.raises(SettingError) as caught:
        check_template(connection, template_id, "billing_messages")
    assert str(caught.value).startswith(refusal)


def test_a_template_of_another_routine_or_none_is_refused(
    connection: psycopg.Connection, owner: psycopg.Connection, gateway: int
) -> None:
    template_id = add_template(owner, gateway)
    with pytest.raises(SettingError, match=r"^variables = 'value': .* signature_links offers"):
        check_template(connection, template_id, "signature_links")
    with pytest.raises(SettingError, match=r"^template = 99: there is no such template"):
        check_template(connection, 99, "billing_messages")
