"""Maintenance: what the forms save, how they refuse, and what they show before anything is saved."""

from __future__ import annotations

import datetime as dt
import html
import json
import re
from pathlib import Path
from typing import Any

import psycopg
import pytest
from starlette_admin.tools import iterencode

from rotina.console.language import set_locale
from rotina.console.problems import PROBLEMS, problem_in_words
from rotina.console.screens import email_templates
from tests.accounts.class_data import Accounts, rule, value
from tests.console.conftest import OpenConsole
from tests.console.examples.maintenance import GATEWAY, PROFILE, STEP, TEMPLATE, USER
from tests.messaging.queue_data import (
    add_account,
    add_customer,
    add_gateway,
    add_step,
    add_template,
    insert,
)

DAY = dt.date(2026, 11, 20)
ROTINA = Path(email_templates.__file__).parents[2]
CONTAINS_ANA = json.dumps({"field": "name", "op": "contains", "value": "Ana"})


def text_of(page: str) -> str:
    """The words of a page."""
    return html.unescape(" ".join(re.sub(r"<script.*?</script>|<[^>]*>", " ", page, flags=re.DOTALL).split()))


def errors(page: str) -> dict[str, str]:
    """What a form says is wrong, by field."""
    found = re.findall(r'class="invalid-feedback" id="([\w.]+)-error">(.*?)</div>', page, re.DOTALL)
    return {name: html.unescape(words).strip() for name, words in found}


@pytest.fixture
def accounts(owner: psycopg.Connection, connection: psycopg.Connection) -> Accounts:
    """Classes, and accounts whose data are refreshed."""
    return Accounts(owner, connection, DAY)


def only(owner: psycopg.Connection, query: str) -> Any:
    """The one row of a query."""
    (row,) = owner.execute(query).fetchall()
    return row


# -- class rules --------------------------------------------------------------------------------------------

RULE = {
    "name": "Bons compradores",
    "priority": "10",
    "source": "Bronze",
    "target": "Ouro",
    "conditions": json.dumps(value(">=", "1000.00")),
    "active": "on",
}


def test_a_rule_is_made_changed_renamed_and_deleted(
    open_console: OpenConsole, owner: psycopg.Connection, accounts: Accounts
) -> None:
    client = open_console("op")
    stored = "select id, name, priority, active, source_class_id is null, conditions from crm.class_rule"
    assert client.post_form("/rotina/class-rule/create", RULE, follow_redirects=False).status_code == 303
    key, *rest = only(owner, stored)
    assert rest == ["Bons compradores", 10, True, False, value(">=", "1000.00")]

    form = client.get(f"/rotina/class-rule/edit?pk={key}").text
    assert "accumulated_value" in form
    assert re.search(r'<option value="Ouro"\s+selected', form)
    changed = {**RULE, "name": "Compradores", "priority": "7", "source": ""}
    del changed["active"]  # as browsers send an empty checkbox
    assert client.post_form(f"/rotina/class-rule/edit?pk={key}", changed).status_code == 200
    assert only(owner, stored)[:5] == (key, "Compradores", 7, False, True)

    reply = client.post_form(f"/rotina/_api/class-rule/row-action?name=delete&pk={key}")
    assert reply.status_code == 200
    assert owner.execute(stored).fetchall() == []
    actions = owner.execute("select action from crm.audit_entry where login = 'op' order by id").fetchall()
    assert actions == [("save_rule",), ("save_rule",), ("delete_rule",)]


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("en", "accumulated value ≥ R$1,000.00 and (class one of (Ouro; Prata) or owner is empty)"),
        ("pt-BR", "valor acumulado ≥ R$ 1.000,00 e (classe em (Ouro; Prata) ou responsável está em branco)"),
    ],
)
def test_the_list_tells_the_conditions_in_words(
    open_console: OpenConsole, accounts: Accounts, language: str, words: str
) -> None:
    some = {
        "any": [
            {"field": "class", "op": "in", "value": ["Ouro", "Prata"]},
            {"field": "owner", "op": "is_empty"},
        ]
    }
    accounts.save(rule("Regra", None, "Bronze", {"all": [value(">=", "1000.00"), some]}))
    page = text_of(open_console("viewer", language).get("/rotina/class-rule/list").text)
    assert words in page.replace("\xa0", " ")


@pytest.mark.parametrize(
    ("change", "field", "words"),
    [
        ({"name": ""}, "name", "This field is required."),
        ({"name": " "}, "name", "must not be blank"),
        ({"name": "Regra"}, "name", "there is one of that name already"),
        ({"priority": "0"}, "priority", "between 1 and 999"),
        ({"priority": "x"}, "priority", "This field is required."),
        ({"target": "Bronze"}, "target", "leads to the class that it starts from"),
        ({"target": "Nenhuma"}, "target", "there is no such class"),
        ({"audience": "Nenhum"}, "audience", "there is no audience of that name"),
        ({"conditions": ""}, "conditions", "This field is required."),
        ({"conditions": "{"}, "conditions", "must be an object"),
        (
            {"conditions": json.dumps({"all": [value(">=", "10.5x")]})},
            "conditions",
            "condition 1: must be an amount",
        ),
    ],
)
def test_a_wrong_rule_is_refused_at_its_field(
    open_console: OpenConsole,
    owner: psycopg.Connection,
    accounts: Accounts,
    change: dict[str, str],
    field: str,
    words: str,
) -> None:
    accounts.save(rule("Regra", "Prata", "Ouro", value(">=", "1.00")))
    reply = open_console("op").post_form("/rotina/class-rule/create", {**RULE, **change})
    assert reply.status_code == 422
    found = errors(reply.text)
    assert list(found) == [field]
    assert words in found[field]
    assert 'value="Bons compradores"' in reply.text or field == "name"  # what was typed is still there
    assert only(owner, "select name from crm.class_rule") == ("Regra",)


def test_errors_of_the_forms_are_in_portuguese_where_they_are_ours(
    open_console: OpenConsole, accounts: Accounts
) -> None:
    client = open_console("op", "pt-BR")
    reply = client.post_form("/rotina/account-class/create", {"name": "Ouro"})
    assert errors(reply.text) == {"name": "já existe um com esse nome"}


def test_who_would_move_and_why(open_console: OpenConsole, accounts: Accounts) -> None:
    accounts.save(
        rule("Muito", "Bronze", "Ouro", value(">=", "1000.00")),
        rule("Pouco", "Bronze", "Prata", value(">=", "1.00"), 20),
    )
    rich, poor = accounts.add("Bronze", "1500.00"), accounts.add("Bronze", "15.00")
    client = open_console("viewer")
    page = text_of(client.get("/rotina/class-preview").text)
    assert "2 accounts would move" in page
    assert f"{rich} Ana Bronze Ouro Muito accumulated value: R$1,500.00" in page
    assert f"{poor} Ana Bronze Prata Pouco accumulated value: R$15.00" in page
    page = text_of(client.get("/rotina/class-preview?rule=Pouco").text)
    assert "1 account would move" in page
    assert "Muito accumulated" not in page
    assert accounts.owner.execute("select count(*) from crm.account_class_change").fetchone() == (0,)


def test_a_preview_that_cannot_be_says_why(open_console: OpenConsole, accounts: Accounts) -> None:
    accounts.save(rule("Muito", "Bronze", "Ouro", value(">=", "1000.00")))
    page = text_of(open_console("viewer").get("/rotina/class-preview?on=2026-11-21").text)
    assert "run account_data_refresh for this date first" in page
    assert "Nobody would move." in text_of(open_console("viewer").get("/rotina/class-preview?on=ontem").text)
    assert "there is no audience" in open_console("viewer").get("/rotina/class-preview?audience=x").text


def test_a_rule_is_tried_before_it_is_saved(
    open_console: OpenConsole, owner: psycopg.Connection, accounts: Accounts
) -> None:
    accounts.save(rule("Muito", "Bronze", "Ouro", value(">=", "1000.00")))
    (key,) = only(owner, "select id from crm.class_rule")
    account = accounts.add("Bronze", "15.00")
    client = open_console("op")
    before = owner.execute("select count(*) from crm.audit_entry").fetchone()
    form = {**RULE, "conditions": json.dumps(value(">=", "10.00")), "active": True}
    reply = client.post_json("/rotina/class-preview/rule", {"form": form, "pk": str(key)})
    assert f"{account} Ana Bronze Ouro Bons compradores accumulated value: R$15.00" in text_of(reply.text)
    assert only(owner, "select name from crm.class_rule") == ("Muito",)
    assert owner.execute("select count(*) from crm.audit_entry").fetchone() == before
    reply = client.post_json("/rotina/class-preview/rule", {"form": {**form, "target": "Nenhuma"}})
    assert (reply.status_code, "no such class" in reply.json()["detail"]) == (422, True)


# -- audiences ----------------------------------------------------------------------------------------------


def test_an_audience_by_filter_and_by_list(open_console: OpenConsole, owner: psycopg.Connection) -> None:
    first, second = add_account(owner), add_account(owner, name="Bia")
    client = open_console("op")
    client.post_form("/rotina/audience/create", {"name": "Anas", "filter": CONTAINS_ANA})
    client.post_form(
        "/rotina/audience/create", {"name": "VIP", "account_ids": f"{second}, {first}\r\n{first}"}
    )
    assert owner.execute("select name, filter from crm.audience order by name").fetchall() == [
        ("Anas", {"field": "name", "op": "contains", "value": "Ana"}),
        ("VIP", None),
    ]
    page = text_of(client.get("/rotina/audience/list").text)
    assert "Anas name contains “Ana”" in page
    key = only(owner, "select id from crm.audience where name = 'VIP'")[0]
    form = client.get(f"/rotina/audience/edit?pk={key}").text
    assert f"{first} {second}</textarea>" in form
    assert 'name="name"' not in form
    assert (
        client.post_form(f"/rotina/audience/edit?pk={key}", {"account_ids": str(second)}).status_code == 200
    )
    assert owner.execute("select account_id from crm.audience_account").fetchall() == [(second,)]


@pytest.mark.parametrize(
    ("form", "field", "words"),
    [
        ({}, "filter", "is either a list of accounts or a filter"),
        ({"filter": CONTAINS_ANA, "account_ids": "1"}, "filter", "is either a list of accounts or a filter"),
        ({"account_ids": "1 dois"}, "account_ids", "is no number of an account"),
        ({"account_ids": "999"}, "account_ids", "there are no such accounts"),
        ({"filter": '{"field": "x"}'}, "filter", "field"),
    ],
)
def test_a_wrong_audience_is_refused_at_its_field(
    open_console: OpenConsole, form: dict[str, str], field: str, words: str
) -> None:
    reply = open_console("op").post_form("/rotina/audience/create", {"name": "A", **form})
    assert reply.status_code == 422
    assert words in errors(reply.text)[field]


def test_an_audience_is_counted_and_shown(open_console: OpenConsole, owner: psycopg.Connection) -> None:
    keys = [add_account(owner, name=f"Ana {n}") for n in range(52)]
    add_account(owner, name="Bia")
    client = open_console("op")
    reply = client.post_json("/rotina/audience-preview", {"form": {"filter": CONTAINS_ANA}})
    page = text_of(reply.text)
    assert "52 accounts The first 50 are shown" in page
    assert f"{keys[0]} Ana 0 not integrated name: Ana 0" in page
    client.post_form("/rotina/audience/create", {"name": "Anas & Bias", "filter": CONTAINS_ANA})
    assert "52 accounts" in text_of(
        open_console("viewer").get("/rotina/audience-preview", params={"audience": "Anas & Bias"}).text
    )
    assert "there is no audience" in open_console("viewer").get("/rotina/audience-preview?audience=x").text
    reply = client.post_json("/rotina/audience-preview", {"form": {"filter": ""}})
    assert (reply.status_code, "add a condition first" in reply.json()["detail"]) == (422, True)
    assert client.post_json("/rotina/audience-preview", {"form": {"filter": "[" * 9999}}).status_code == 422


def test_an_audience_in_use_is_not_deleted(
    open_console: OpenConsole, owner: psycopg.Connection, accounts: Accounts
) -> None:
    client = open_console("op")
    client.post_form("/rotina/audience/create", {"name": "Anas", "filter": CONTAINS_ANA})
    client.post_form("/rotina/class-rule/create", {**RULE, "audience": "Anas"})
    (key,) = only(owner, "select id from crm.audience")
    reply = client.post_form(f"/rotina/_api/audience/row-action?name=delete&pk={key}")
    assert (reply.status_code, "Bons compradores" in reply.text) == (400, True)
    assert only(owner, "select name from crm.audience") == ("Anas",)


# -- e-mail templates ---------------------------------------------------------------------------------------

EMAIL = {"subject": "Olá, {{ first_name }}", "html": "<p>Parabéns, <b>{{ name }}</b>!</p>"}


def test_an_email_is_shown_while_it_is_written(open_console: OpenConsole, owner: psycopg.Connection) -> None:
    key = add_account(owner, name="Bia & Cia <b>", email="bia@example.com")
    client = open_console("op")
    example = client.post_json("/rotina/email-preview", {"form": EMAIL}).json()
    assert example["subject"] == "Olá, Ana"
    reply = client.post_json("/rotina/email-preview", {"form": EMAIL, "account_id": key}).json()
    assert reply["subject"] == "Olá, Bia"
    assert "Parabéns, <b>Bia &amp; Cia &lt;b&gt;</b>!" in reply["html"]
    assert "preview.invalid" in reply["html"]
    assert "Parabéns, Bia & Cia <b>!" in reply["text"]
    assert owner.execute("select count(*) from crm.email_template").fetchone() == (0,)
    for form, account, words in (
        ({**EMAIL, "html": "{{ nme }}"}, None, "nme"),
        ({**EMAIL, "html": "{% if %}"}, None, "line 1"),
        ({**EMAIL, "html": "{{ age + 1 }}"}, key, "HTML"),
        ({**EMAIL, "subject": ""}, None, "is still empty"),
        (EMAIL, key + 1, "there is no such account"),
    ):
        refused = client.post_json("/rotina/email-preview", {"form": form, "account_id": account})
        assert refused.status_code == 422, form
        assert words in refused.json()["detail"]


def test_an_email_template_is_made_and_changed(open_console: OpenConsole, owner: psycopg.Connection) -> None:
    client = open_console("op")
    body = {**EMAIL, "html": "<p>a</p>\r\n<p>b</p>", "name": "Aniversário", "active": "on"}
    assert client.post_form("/rotina/email-template/create", body).status_code == 200
    key, stored = only(owner, "select id, html from crm.email_template")
    assert stored == "<p>a</p>\n<p>b</p>"
    form = client.get(f"/rotina/email-template/edit?pk={key}").text
    assert "&lt;p&gt;a&lt;/p&gt;" in form
    assert 'id="email-preview"' in form
    reply = client.post_form(f"/rotina/email-template/edit?pk={key}", {**EMAIL, "html": "{{ nme }}"})
    assert reply.status_code == 422
    assert "is not a variable" in errors(reply.text)["html"]
    assert client.post_form(f"/rotina/email-template/edit?pk={key}", EMAIL).status_code == 200
    assert only(owner, "select name, html, active from crm.email_template") == (
        "Aniversário",
        EMAIL["html"],
        False,
    )


# -- gateways and message templates -------------------------------------------------------------------------


def test_the_windows_of_a_gateway_are_written_in_words(
    open_console: OpenConsole, owner: psycopg.Connection
) -> None:
    client = open_console("op", "pt-BR")
    lines = "segunda-feira 08:00-20:00\r\n\r\nFeriado 00:00 – 24:00\r\nmonday 21:00-22:30"
    assert (
        client.post_form(
            "/rotina/gateway-settings/create",
            {**GATEWAY, "code": "opa", "windows": lines},
            follow_redirects=False,
        ).status_code
        == 303
    )
    stored = "select day, opens_at::text, closes_at::text from crm.send_window order by day, opens_at"
    windows = [
        ("holiday", "00:00:00", "24:00:00"),
        ("monday", "08:00:00", "20:00:00"),
        ("monday", "21:00:00", "22:30:00"),
    ]
    assert owner.execute(stored).fetchall() == windows
    key, rate = only(owner, "select id, rate from crm.gateway")
    assert rate == 2.5
    form = client.get(f"/rotina/gateway-settings/edit?pk={key}").text
    written = "segunda-feira 08:00-20:00\nsegunda-feira 21:00-22:30\nferiado 00:00-24:00</textarea>"
    assert written in form
    assert (
        client.post_form(f"/rotina/gateway-settings/edit?pk={key}", {**GATEWAY, "windows": lines}).status_code
        == 200
    )
    assert owner.execute(stored).fetchall() == windows


@pytest.mark.parametrize(
    ("change", "field", "words"),
    [
        ({"windows": "someday 08:00-20:00"}, "windows", "is no window, as Monday 08:00-20:00"),
        ({"windows": "monday 25:00-26:00"}, "windows", "is no window"),
        ({"windows": "monday 8-20"}, "windows", "is no window"),
        ({"windows": "monday 20:00-08:00"}, "windows", "it must open before it closes"),
        ({"windows": ""}, "windows", "needs at least one"),
        ({"settings": "[]"}, "settings", "must be an object of JSON"),
        ({"settings": "{}"}, "settings", "channel_id"),
        ({"rate": "fast"}, "rate", "must be a number"),
        ({"rate": "nan"}, "rate", "must be a number"),
        ({"rate": "1,000.5"}, "rate", "must be a number"),
        ({"rate": "0"}, "rate", "must be above zero"),
        ({"timezone": "Lua"}, "timezone", "is not a time zone"),
        ({"code": "Opa!"}, "code", "must be a name"),
        ({"backoff_seconds": "99999"}, "backoff_seconds", "must be at most"),
    ],
)
def test_a_wrong_gateway_is_refused_at_its_field(
    open_console: OpenConsole, change: dict[str, str], field: str, words: str
) -> None:
    reply = open_console("op").post_form(
        "/rotina/gateway-settings/create", {**GATEWAY, "code": "opa", **change}
    )
    assert reply.status_code == 422
    assert words in errors(reply.text)[field]


def test_a_message_template_keeps_its_gateway_and_code(
    open_console: OpenConsole, owner: psycopg.Connection
) -> None:
    add_gateway(owner)
    client = open_console("op")
    new = {**TEMPLATE, "gateway": "opa", "code": "cobranca"}
    assert client.post_form("/rotina/message-template/create", new).status_code == 200
    reply = client.post_form("/rotina/message-template/create", new)
    assert errors(reply.text) == {"code": "the gateway has a template of that code already"}
    key, variables = only(owner, "select id, variables from crm.message_template")
    assert variables == ["first_name", "value"]
    address = f"/rotina/message-template/edit?pk={key}"
    assert "first_name\nvalue</textarea>" in client.get(address).text
    reply = client.post_form(address, {**TEMPLATE, "variables": "first_name"})
    assert "1 variables for the 2 places" in errors(reply.text)["variables"]
    assert client.post_form(address, {**TEMPLATE, "name": "Outro", "status": "paused"}).status_code == 200
    assert only(owner, "select code, name, status from crm.message_template") == (
        "cobranca",
        "Outro",
        "paused",
    )


# -- dunning ------------------------------------------------------------------------------------------------


def test_a_step_shows_its_template_and_is_refused_by_field(
    open_console: OpenConsole, owner: psycopg.Connection
) -> None:
    gateway = add_gateway(owner)
    template = add_template(owner, gateway)
    paused = add_template(owner, gateway, "outro", status="paused")
    client = open_console("op")
    body = {**STEP, "template_id": str(template)}
    assert client.post_form("/rotina/dunning-step/create", body).status_code == 200
    assert "Passo 3 opa / cobranca" in text_of(client.get("/rotina/dunning-step/list").text)
    for change, field, words in (
        ({"name": "Passo"}, "name", "one of that name"),
        ({"name": "B"}, "days", "sends the same template that day"),
        ({"name": "B", "template_id": str(paused)}, "template_id", "is not approved"),
        ({"name": "B", "days": "9999"}, "days", "between -365 and 3650"),
    ):
        reply = client.post_form("/rotina/dunning-step/create", {**body, **change})
        assert words in errors(reply.text)[field]


def test_an_exception_is_made_changed_and_taken_back(
    open_console: OpenConsole, owner: psycopg.Connection
) -> None:
    add_customer(owner, 77)
    client = open_console("op")
    assert "every customer gets billing messages" in client.get("/rotina/dunning-exception/list").text
    reply = client.post_form("/rotina/dunning-exception/create", {"customer_id": "78", "reason": "acordo"})
    assert errors(reply.text) == {"customer_id": "the ERP has no such customer"}
    client.post_form("/rotina/dunning-exception/create", {"customer_id": "77", "reason": "acordo"})
    client.post_form("/rotina/dunning-exception/edit?pk=77", {"reason": "outro", "until_on": "2026-12-31"})
    stored = "select customer_id, reason, until_on from crm.dunning_exception"
    assert only(owner, stored) == (77, "outro", dt.date(2026, 12, 31))
    add_account(owner, 77, name="Ana")
    assert "No billing messages: outro" in client.get("/rotina/customers?q=77").text
    client.post_form("/rotina/_api/dunning-exception/action?name=delete&pks=77")
    assert owner.execute(stored).fetchall() == []


def test_a_step_that_wrote_messages_is_not_deleted(
    open_console: OpenConsole, owner: psycopg.Connection
) -> None:
    key = add_step(owner, add_template(owner, add_gateway(owner)))
    client = open_console("op")
    assert client.post_form(f"/rotina/_api/dunning-step/row-action?name=delete&pk={key}").status_code == 200
    assert owner.execute("select count(*) from crm.dunning_step").fetchone() == (0,)
    assert client.post_form("/rotina/_api/dunning-step/row-action?name=delete&pk=x").status_code in (400, 404)


# -- monitoring, teams, users, recipients -------------------------------------------------------------------


@pytest.fixture
def users(owner: psycopg.Connection) -> None:
    """Two users, one of whom has left."""
    insert(owner, "crm.app_user", login="ana", name="Ana", email="ana@example.com")
    insert(owner, "crm.app_user", login="caio", name="Caio", email="caio@example.com", active=False)


@pytest.mark.usefixtures("users")
def test_a_profile_is_made_renamed_and_refused_by_field(
    open_console: OpenConsole, owner: psycopg.Connection
) -> None:
    client = open_console("op")
    body = {**PROFILE, "users": ["ana", "caio"]}
    assert client.post_form("/rotina/monitoring-profile/create", body).status_code == 200
    key, processes = only(owner, "select id, processes from crm.monitoring_profile")
    assert processes == ["ticket", "task"]
    assert "Perfil" in text_of(client.get("/rotina/monitoring-profile/list").text)
    assert "ticket, task" in text_of(client.get("/rotina/monitoring-profile/list").text)
    assert "ana, caio" in text_of(client.get("/rotina/monitoring-profile/list").text)
    address = f"/rotina/monitoring-profile/edit?pk={key}"
    assert len(re.findall(r'<option value="(?:ana|caio)"\s+selected', client.get(address).text)) == 3
    assert client.post_form(address, {**PROFILE, "name": "Outro"}).status_code == 200
    assert only(owner, "select id, name from crm.monitoring_profile") == (key, "Outro")
    for change, field, words in (
        ({"transfer_to_login": "caio"}, "transfer_to_login", "has left"),
        ({"processes": []}, "processes", "name what counts as movement"),
        ({"layout": "nenhum"}, "layout", ""),
        ({"transfer_to_login": ""}, "users", "does nothing"),
    ):
        reply = client.post_form(address, {**PROFILE, **change})
        assert words in errors(reply.text)[field]


@pytest.mark.usefixtures("users")
def test_who_a_profile_would_find(open_console: OpenConsole, owner: psycopg.Connection) -> None:
    old = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    key = add_account(owner, created_at=old, updated_at=old)
    add_account(owner)
    client = open_console("op", "en")
    form = {"name": "Novo", "period_days": 90, "processes": ["task"], "transfer_to_login": "ana"}
    page = text_of(client.post_json("/rotina/monitoring-preview", {"form": form}).text)
    assert f"Account {key} · Ana" in page
    assert "ana" in page
    for table in ("monitoring_profile", "run", "audit_entry", "inactive_account"):
        assert owner.execute(f"select count(*) from crm.{table}").fetchone() == (0,)
    reply = client.post_json("/rotina/monitoring-preview", {"form": {**form, "processes": []}})
    assert (reply.status_code, "What counts as movement: name what" in reply.json()["detail"]) == (422, True)


@pytest.mark.usefixtures("users")
def test_a_team_and_its_members(open_console: OpenConsole, owner: psycopg.Connection) -> None:
    client = open_console("op")
    reply = client.post_form("/rotina/team/create", {"name": "Vendas", "members": ["caio"]})
    assert errors(reply.text) == {"members": "caio: a team needs a member who is active"}
    assert (
        client.post_form("/rotina/team/create", {"name": "Vendas", "members": ["ana", "caio"]}).status_code
        == 200
    )
    assert "Vendas ana, caio" in text_of(client.get("/rotina/team/list").text)
    (key,) = only(owner, "select id from crm.team")
    client.post_form(f"/rotina/team/edit?pk={key}", {"members": ["ana"]})
    assert owner.execute("select login from crm.team_member").fetchall() == [("ana",)]


def test_users_and_recipients(open_console: OpenConsole, owner: psycopg.Connection) -> None:
    client = open_console("op")
    reply = client.post_form("/rotina/user/create", {**USER, "login": "ana", "email": "ana"})
    assert errors(reply.text) == {"email": "is no e-mail address"}
    client.post_form("/rotina/user/create", {**USER, "login": "ana"})
    reply = client.post_form("/rotina/user/create", {**USER, "login": "ana"})
    assert errors(reply.text) == {"login": "there is one of that name already"}
    client.post_form("/rotina/user/edit?pk=ana", {"name": "Ana Lima", "email": "Ana@Example.com"})
    assert only(owner, "select * from crm.app_user") == ("ana", "Ana Lima", "ana@example.com", False)

    reply = client.post_form("/rotina/recipient/create", {"routine": "nenhuma", "email": "ana@example.com"})
    assert "must be * or one of" in errors(reply.text)["routine"]
    client.post_form("/rotina/recipient/create", {"routine": "class_transition", "email": "a,b@example.com"})
    client.post_form("/rotina/recipient/create", {"routine": "class_transition", "email": "ana@example.com"})
    assert only(owner, "select * from crm.routine_recipient") == ("class_transition", "ana@example.com")
    assert "Class transition ana@example.com" in text_of(client.get("/rotina/recipient/list").text)
    pk = iterencode(["class_transition", "ana@example.com"])
    query = f"name=delete&pk={pk}"
    assert client.post_form(f"/rotina/_api/recipient/row-action?{query}").status_code == 200
    assert owner.execute("select * from crm.routine_recipient").fetchall() == []
    assert client.post_form(f"/rotina/_api/recipient/row-action?{query}").status_code in (400, 404)


# -- people who are in a hurry, many, or up to no good -------------------------------------------------------


def version_of(form: str) -> str:
    """What a form remembers of the record that it was opened with."""
    (version,) = re.findall(r'name="_version" value="(\w+)"', form)
    return str(version)


def test_what_somebody_else_saved_meanwhile_is_not_overwritten_unnoticed(
    open_console: OpenConsole, owner: psycopg.Connection, accounts: Accounts
) -> None:
    accounts.save(rule("Bons compradores", "Bronze", "Ouro", value(">=", "1.00")))
    (key,) = only(owner, "select id from crm.class_rule")
    address = f"/rotina/class-rule/edit?pk={key}"
    first, second = open_console("op"), open_console("admin", "pt-BR")
    opened = version_of(second.get(address).text)
    mine = {**RULE, "priority": "7", "_version": version_of(first.get(address).text)}
    assert first.post_form(address, mine, follow_redirects=False).status_code == 303

    reply = second.post_form(address, {**RULE, "priority": "9", "_version": opened})
    assert reply.status_code == 422
    assert "Outra pessoa alterou isto enquanto estava aberto aqui (op, hoje" in reply.text
    assert 'value="9"' in reply.text  # what was typed is still there
    assert only(owner, "select priority, updated_by from crm.class_rule") == (7, "op")

    again = {**RULE, "priority": "9", "_version": version_of(reply.text)}
    assert second.post_form(address, again, follow_redirects=False).status_code == 303
    assert only(owner, "select priority, updated_by from crm.class_rule") == (9, "admin")


def test_days_with_the_same_windows_are_told_together(
    open_console: OpenConsole, owner: psycopg.Connection
) -> None:
    client = open_console("op")
    days = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday", "holiday")
    form = {**GATEWAY, "code": "sempre", "windows": "\n".join(f"{day} 00:00-24:00" for day in days)}
    client.post_form("/rotina/gateway-settings/create", form)
    some = "\n".join(f"{day} 08:00-12:00\n{day} 13:00-18:30" for day in days[:5]) + "\nsaturday 09:00-12:00"
    client.post_form("/rotina/gateway-settings/create", {**GATEWAY, "code": "uteis", "windows": some})
    page = text_of(client.get("/rotina/gateway-settings/list").text)
    assert "Monday to Sunday, holiday 00:00-24:00" in page
    assert "Monday to Friday 08:00-12:00, 13:00-18:30; Saturday 09:00-12:00" in page
    pt = text_of(open_console("op", "pt-BR").get("/rotina/gateway-settings/list").text)
    assert "de segunda-feira a domingo, feriado 00:00-24:00" in pt
    assert re.search(r"2,5\b", pt)


@pytest.mark.parametrize("key", ["gateway-settings", "team"])
def test_a_form_is_not_disturbed_by_what_it_does_not_show(
    open_console: OpenConsole, owner: psycopg.Connection, key: str
) -> None:
    add_gateway(owner)
    insert(owner, "crm.team", id=1, name="Vendas")
    address = f"/rotina/{key}/edit?pk=1"
    client = open_console("op")
    before = version_of(client.get(address).text)
    owner.execute(
        "update crm.gateway set failures = 3, paused_at = now(), paused_by = 'x', pause_reason = 'x'"
    )
    assert version_of(client.get(address).text) == before
    insert(owner, "crm.app_user", login="ana", name="Ana", email="ana@example.com")
    insert(owner, "crm.team_member", team_id=1, login="ana")
    owner.execute("update crm.gateway set rate = 3")
    assert version_of(client.get(address).text) != before


def test_a_record_is_told_by_its_name_and_what_saving_does_is_told_before(
    open_console: OpenConsole, accounts: Accounts
) -> None:
    client = open_console("op")
    assert "the class transition moves everybody" in text_of(client.get("/rotina/class-rule/create").text)
    page = html.unescape(client.post_form("/rotina/class-rule/create", RULE).text)
    assert 'The item "Bons compradores" was added successfully.' in page


def test_a_form_sets_nothing_that_it_does_not_show(
    open_console: OpenConsole, owner: psycopg.Connection, accounts: Accounts
) -> None:
    client = open_console("op")
    forged = {"id": "77", "updated_by": "chefe", "updated_at": "2020-01-01T00:00:00", "login": "chefe"}
    client.post_form("/rotina/class-rule/create", {**RULE, **forged})
    key, by, at = only(owner, "select id, updated_by, updated_at from crm.class_rule")
    assert (key, by) != (77, "chefe")
    assert (by, at.year) == ("op", dt.datetime.now(dt.UTC).year)
    client.post_form("/rotina/user/create", {**USER, "login": "ana"})
    client.post_form("/rotina/user/edit?pk=ana", {**USER, **forged, "name": "Outra"})
    assert only(owner, "select login, name from crm.app_user") == ("ana", "Outra")
    client.post_form("/rotina/email-template/create", {**EMAIL, "name": "Aniversário"})
    (pk,) = only(owner, "select id from crm.email_template")
    client.post_form(f"/rotina/email-template/edit?pk={pk}", {**EMAIL, **forged, "name": "Outro"})
    assert only(owner, "select id, name, updated_by from crm.email_template") == (pk, "Aniversário", "op")


SCRIPT = "<script>alert(1)</script>"


def test_previews_of_forms_escape_what_people_wrote(
    open_console: OpenConsole, owner: psycopg.Connection, accounts: Accounts
) -> None:
    insert(owner, "crm.app_user", login="ana", name=SCRIPT, email="ana@example.com")
    accounts.add("Bronze", "15.00")
    owner.execute("update crm.account set name = %(name)s", {"name": SCRIPT})
    client = open_console("op")
    conditions = json.dumps(value(">=", "10.00"))
    named = json.dumps({"field": "name", "op": "contains", "value": "script"})
    asked = (
        ("class-preview/rule", {**RULE, "name": SCRIPT, "conditions": conditions, "active": True}),
        ("audience-preview", {"filter": named}),
        (
            "monitoring-preview",
            {"name": SCRIPT, "period_days": 1, "processes": ["task"], "transfer_to_login": "ana"},
        ),
    )
    for path, form in asked:
        reply = client.post_json(f"/rotina/{path}", {"form": form})
        assert reply.status_code == 200, reply.text
        assert SCRIPT not in reply.text
    assert "&lt;script&gt;" in client.post_json("/rotina/audience-preview", {"form": asked[1][1]}).text


@pytest.mark.parametrize(
    "attack",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ name.__init__.__globals__ }}",
        "{{ self._TemplateReference__context }}",
        "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
        "{{ ('%s' % name).format(name) }}{{ '{0.__class__}'.format(name) }}",
        "{{ name|attr('__class__') }}",
        "{{ 'a' * 10**10 }}",
        "{% for a in range(10**9) %}x{% endfor %}",
        "{% include '/etc/passwd' %}",
        "{% import 'os' as os %}",
        "{{ config }}{{ request }}",
    ],
)
def test_a_template_reaches_nothing_but_its_variables(open_console: OpenConsole, attack: str) -> None:
    for part in ("html", "subject", "text", "preheader"):
        form = {**EMAIL, part: f"Olá {attack}"}
        reply = open_console("op").post_json("/rotina/email-preview", {"form": form})
        assert reply.status_code == 422, reply.text
        assert "root:" not in reply.text


def test_the_frame_of_a_preview_runs_nothing(open_console: OpenConsole) -> None:
    page = open_console("op").get("/rotina/email-template/create")
    policy = page.headers["Content-Security-Policy"]
    assert "img-src 'self' data:" in policy
    assert "default-src 'self'" in policy
    script = (Path(email_templates.__file__).parents[1] / "static" / "email_preview.js").read_text()
    assert 'box.setAttribute("sandbox", "");' in script
    assert "innerHTML" not in script


@pytest.mark.parametrize(
    ("problem", "words"),
    [
        ("must not be blank", "não pode ficar em branco"),
        ("must be a whole number from 1 to 999", "deve ser um número inteiro de 1 a 999"),
        ("name what counts as movement: quote, order", "diga o que conta como movimento: cotação, pedido"),
        (
            "prints a variable that is empty; ask first, as {% if age %}",
            "mostra uma variável que está vazia; pergunte antes, como {% if age %}",
        ),
        (
            "{{2}} is missing: places are numbered from 1 without a gap",
            "falta {{2}}: os lugares são numerados",
        ),
        ("is used by class rule 'A', monitoring profile 'B'", "é usado por regra de classe 'A', perfil de"),
        ("nobody translated this", "nobody translated this"),
    ],
)
def test_what_is_wrong_is_told_in_portuguese(problem: str, words: str) -> None:
    set_locale("pt")
    try:
        assert problem_in_words(problem).startswith(words)
    finally:
        set_locale("en")
    assert problem_in_words(problem) == problem


def test_every_refusal_of_the_domain_code_is_known() -> None:
    """Each text that a form may be refused with stands in the code as PROBLEMS has it."""
    source = " ".join(
        path.read_text()
        for part in ("accounts", "messaging", "runs")
        for path in (ROTINA / part).rglob("*.py")
    )
    source = re.sub(r'"\s+f?"', "", source)  # texts that go on in the next line
    for text in PROBLEMS:
        if text == "Field required":  # pydantic says it
            continue
        longest = max(re.split(r"%\(\w+\)s", text.replace("%%", "%")), key=len)
        assert longest in source or longest.replace("{", "{{").replace("}", "}}") in source, text


# -- all of them --------------------------------------------------------------------------------------------

KEYS = (
    "account-class",
    "audience",
    "class-rule",
    "dunning-exception",
    "dunning-step",
    "email-template",
    "gateway-settings",
    "message-template",
    "monitoring-profile",
    "recipient",
    "team",
    "user",
)


@pytest.mark.parametrize("key", KEYS)
def test_an_empty_list_and_form_in_both_languages(open_console: OpenConsole, key: str) -> None:
    for language in ("en", "pt-BR"):
        client = open_console("op", language)
        assert client.get(f"/rotina/{key}/list?q=x").status_code == 200
        form = client.get(f"/rotina/{key}/create").text
        assert ("Salvar" if language == "pt-BR" else "Save") in form
    assert f"/rotina/{key}/create" not in open_console("viewer").get(f"/rotina/{key}/list").text
