"""The settings of unsubscribe links, as Airflow has them."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from cryptography.fernet import Fernet

from rotina.errors import SettingError
from rotina.hooks.unsubscribe import load_unsubscribe_settings, with_links
from rotina.messaging.unsubscribe import PATH, address_of

BASE_URL = "https://rotina.example.com"


@pytest.fixture(autouse=True)
def airflow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", BASE_URL)
    monkeypatch.delenv("AIRFLOW_CONN_UNSUBSCRIBE", raising=False)


def define(monkeypatch: pytest.MonkeyPatch, **fields: object) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_UNSUBSCRIBE", json.dumps({"conn_type": "generic", **fields}))


def test_keys_come_from_the_password_the_newest_first(monkeypatch: pytest.MonkeyPatch) -> None:
    define(monkeypatch, password="new=, old=,")
    settings = load_unsubscribe_settings()
    assert (settings.base_url, settings.keys) == (BASE_URL, ("new=", "old="))
    assert "new=" not in repr(settings)


def test_recipients_may_reach_airflow_by_another_address(monkeypatch: pytest.MonkeyPatch) -> None:
    define(monkeypatch, password="new=", extra={"base_url": "https://sair.example.com"})
    assert load_unsubscribe_settings().base_url == "https://sair.example.com"


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingError, match=r"^connection = 'unsubscribe': not defined"):
        load_unsubscribe_settings()
    define(monkeypatch, password=" , ")
    with pytest.raises(SettingError, match=r"^connection unsubscribe, password: is blank"):
        load_unsubscribe_settings()


def test_a_routine_gets_links_only_when_it_asks_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    def work(name: str, *, open_links: Callable[[], Callable[[str], str]]) -> str:
        return f"{name}: {open_links()('ana@example.com')}"

    routine = with_links(work)
    with pytest.raises(SettingError, match="unsubscribe"):
        routine("Ana")
    key = Fernet.generate_key().decode()
    define(monkeypatch, password=key)
    name, _, link = routine("Ana").partition(": ")
    assert name == "Ana"
    assert address_of([key], link.removeprefix(f"{BASE_URL}{PATH}")) == "ana@example.com"
