"""From an Airflow connection to the endpoint of an adapter."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rotina.errors import SettingError
from rotina.hooks.gateway import GatewayHook
from rotina.hooks.mail import MailHook
from rotina.messaging.adapters import HttpEndpoint, SmtpEndpoint

TOKEN = "tok-5f0c9a-secret"


def http_endpoint(monkeypatch: pytest.MonkeyPatch, **fields: Any) -> HttpEndpoint:
    connection = {"conn_type": "http", "host": "https://gateway.example/base/", "password": TOKEN} | fields
    monkeypatch.setenv("AIRFLOW_CONN_MESSAGE_GATEWAY", json.dumps(connection))
    return GatewayHook().endpoint()


def smtp_endpoint(monkeypatch: pytest.MonkeyPatch, extra: dict[str, Any], **fields: Any) -> SmtpEndpoint:
    connection = {"conn_type": "smtp", "host": "mail.example", "extra": {"from_email": "a@b.example"} | extra}
    monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", json.dumps(connection | fields))
    return MailHook().endpoint()


def test_an_http_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint = http_endpoint(monkeypatch, extra={"connect_timeout": 2})
    assert endpoint == HttpEndpoint("https://gateway.example/base", TOKEN, connect_timeout=2.0)


@pytest.mark.parametrize(
    ("fields", "field"),
    [({"host": ""}, "host"), ({"password": ""}, "password"), ({"extra": {"connect_timeout": 0}}, "extra")],
)
def test_a_wrong_http_connection_is_named(monkeypatch: pytest.MonkeyPatch, fields: Any, field: str) -> None:
    with pytest.raises(SettingError, match=f"connection message_gateway: {field}"):
        http_endpoint(monkeypatch, **fields)


@pytest.mark.parametrize(
    ("extra", "use_tls", "start_tls"),
    [
        ({}, True, False),
        ({"disable_tls": True}, True, False),
        ({"disable_ssl": True}, False, True),
        ({"disable_ssl": True, "disable_tls": True}, False, False),
    ],
)
def test_an_smtp_connection(
    monkeypatch: pytest.MonkeyPatch, extra: dict[str, Any], use_tls: bool, start_tls: bool
) -> None:
    endpoint = smtp_endpoint(monkeypatch, extra | {"timeout": 15}, port=2525, login="ana", password=TOKEN)
    assert endpoint == SmtpEndpoint(
        "mail.example", 2525, "ana", TOKEN, use_tls, start_tls, "a@b.example", 15.0, verify_certificate=True
    )


def test_an_smtp_connection_without_login_or_verification(monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint = smtp_endpoint(monkeypatch, {"ssl_context": "none"}, login="ana")
    assert (endpoint.login, endpoint.password, endpoint.port) == (None, None, None)
    assert not endpoint.verify_certificate


@pytest.mark.parametrize(
    ("extra", "fields", "field"),
    [
        ({}, {"host": ""}, "host"),
        ({"from_email": ""}, {}, "extra from_email"),
        ({"auth_type": "oauth2"}, {}, "extra auth_type"),
        ({"ssl_context": "mine"}, {}, "extra ssl_context"),
        ({"timeout": "soon"}, {}, "extra timeout"),
        ({"timeout": 0}, {}, "extra timeout"),
    ],
)
def test_a_wrong_smtp_connection_is_named(
    monkeypatch: pytest.MonkeyPatch, extra: Any, fields: Any, field: str
) -> None:
    with pytest.raises(SettingError, match=f"connection smtp_default, {field}"):
        smtp_endpoint(monkeypatch, extra, **fields)


@pytest.mark.parametrize("hook", [GatewayHook("absent"), MailHook("absent")])
def test_a_connection_that_is_not_there_is_named(hook: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingError, match="connection = 'absent'"):
        hook.endpoint()
