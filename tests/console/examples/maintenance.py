"""Requests of the other grids of the maintenance group."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
from fastapi.testclient import TestClient
from starlette_admin.tools import iterencode

from tests.console.examples import Example
from tests.messaging.queue_data import add_customer, add_gateway, add_step, add_template

USER = {"name": "Ana", "email": "ana@example.com", "active": "on"}
PROFILE = {
    "name": "Perfil",
    "period_days": "90",
    "processes": ["ticket", "task"],
    "transfer_to_login": "ana",
    "layout": "inactivity_digest",
    "active": "on",
}
GATEWAY = {
    "name": "Opa",
    "kind": "opa_suite",
    "connection_id": "gateway_opa",
    "active": "on",
    "windows": "monday 08:00-20:00\r\nfriday 08:00-24:00\r\n",
    "settings": '{"channel_id": "1"}',
    "timezone": "America/Sao_Paulo",
    "max_in_flight": "8",
    "dispatchers": "1",
    "rate": "2,5",
    "burst": "",
    "daily_quota": "",
    "max_attempts": "5",
    "backoff_seconds": "30",
    "backoff_most_seconds": "3600",
    "hold_seconds": "900",
    "call_timeout_seconds": "30",
    "payload_limit": "65536",
}
TEMPLATE = {
    "name": "Cobrança",
    "gateway_template_id": "x",
    "body": "Olá {{1}}, {{2}}",
    "variables": "first_name\r\nvalue",
    "status": "approved",
    "active": "on",
}
STEP = {"name": "Passo", "days": "3", "priority": "5", "valid_days": "0", "active": "on"}


def user(owner: psycopg.Connection, _: TestClient) -> None:
    """A user."""
    owner.execute("insert into crm.app_user values ('ana', 'Ana', 'ana@example.com', true)")


def recipient(owner: psycopg.Connection, _: TestClient) -> None:
    """A recipient of all summaries."""
    owner.execute("insert into crm.routine_recipient values ('*', 'ana@example.com')")


def profile(owner: psycopg.Connection, airflow: TestClient) -> None:
    """A monitoring profile."""
    user(owner, airflow)
    owner.execute(
        "insert into crm.monitoring_profile "
        "(id, name, period_days, processes, transfer_to_login, updated_by) "
        "values (1, 'Perfil', 30, '{ticket}', 'ana', 'ana')"
    )


def team(owner: psycopg.Connection, airflow: TestClient) -> None:
    """A team."""
    user(owner, airflow)
    owner.execute("insert into crm.team (id, name) values (1, 'Vendas')")


def gateway(owner: psycopg.Connection, _: TestClient) -> None:
    """A gateway, whose key is 1."""
    assert add_gateway(owner) == 1


def template(owner: psycopg.Connection, airflow: TestClient) -> None:
    """A message template, whose key is 1."""
    gateway(owner, airflow)
    assert add_template(owner, 1) == 1


def step(owner: psycopg.Connection, airflow: TestClient) -> None:
    """A step of the dunning schedule, whose key is 1."""
    template(owner, airflow)
    assert add_step(owner, 1) == 1


def customer(owner: psycopg.Connection, _: TestClient) -> None:
    """A customer of the ERP."""
    add_customer(owner, 77)


def exception(owner: psycopg.Connection, airflow: TestClient) -> None:
    """An exception of the dunning schedule."""
    customer(owner, airflow)
    owner.execute("insert into crm.dunning_exception values (77, 'acordo')")


def _deletes(
    key: str, pk: str, prepare: Callable[[psycopg.Connection, TestClient], None], action: str
) -> list[Example]:
    return [
        Example(
            "POST",
            f"/_api/{key}/{path}",
            query={"name": "delete", name: pk},
            form={},
            prepare=prepare,
            action=action,
        )
        for path, name in (("action", "pks"), ("row-action", "pk"))
    ]


EXAMPLES = [
    Example("POST", "/user/create", form={**USER, "login": "ana"}, action="save_user"),
    Example("POST", "/user/edit", query={"pk": "ana"}, form=USER, prepare=user, action="save_user"),
    Example(
        "POST", "/recipient/create", form={"routine": "*", "email": "ana@example.com"}, action="add_recipient"
    ),
    *_deletes("recipient", iterencode(["*", "ana@example.com"]), recipient, "remove_recipient"),
    Example("POST", "/monitoring-profile/create", form=PROFILE, prepare=user, action="save_profile"),
    Example(
        "POST",
        "/monitoring-profile/edit",
        query={"pk": "1"},
        form={**PROFILE, "name": "Outro"},
        prepare=profile,
        action="save_profile",
    ),
    *_deletes("monitoring-profile", "1", profile, "delete_profile"),
    Example(
        "POST",
        "/monitoring-preview",
        json={"form": {"period_days": 30, "processes": ["task"], "transfer_to_login": "ana"}, "pk": "1"},
        prepare=profile,
    ),
    Example(
        "POST", "/team/create", form={"name": "Vendas", "members": ["ana"]}, prepare=user, action="save_team"
    ),
    Example(
        "POST", "/team/edit", query={"pk": "1"}, form={"members": ["ana"]}, prepare=team, action="save_team"
    ),
    Example("POST", "/gateway-settings/create", form={**GATEWAY, "code": "opa"}, action="save_gateway"),
    Example(
        "POST",
        "/gateway-settings/edit",
        query={"pk": "1"},
        form=GATEWAY,
        prepare=gateway,
        action="save_gateway",
    ),
    Example(
        "POST",
        "/message-template/create",
        form={**TEMPLATE, "gateway": "opa", "code": "cobranca"},
        prepare=gateway,
        action="save_template",
    ),
    Example(
        "POST",
        "/message-template/edit",
        query={"pk": "1"},
        form=TEMPLATE,
        prepare=template,
        action="save_template",
    ),
    Example(
        "POST",
        "/dunning-step/create",
        form={**STEP, "template_id": "1"},
        prepare=template,
        action="save_step",
    ),
    Example(
        "POST",
        "/dunning-step/edit",
        query={"pk": "1"},
        form={**STEP, "template_id": "1"},
        prepare=step,
        action="save_step",
    ),
    *_deletes("dunning-step", "1", step, "delete_step"),
    Example(
        "POST",
        "/dunning-exception/create",
        form={"customer_id": "77", "reason": "acordo", "until_on": "2026-12-31"},
        prepare=customer,
        action="add_exception",
    ),
    Example(
        "POST",
        "/dunning-exception/edit",
        query={"pk": "77"},
        form={"reason": "outro"},
        prepare=exception,
        action="add_exception",
    ),
    *_deletes("dunning-exception", "77", exception, "remove_exception"),
]
