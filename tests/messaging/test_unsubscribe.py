"""Unsubscribe links: whom they are for, what they do not show, rotated keys, settings that are refused."""

from __future__ import annotations

from urllib.parse import urlsplit

import psycopg
import pytest
from cryptography.fernet import Fernet
from hypothesis import given, settings
from hypothesis import strategies as st

from rotina.errors import SettingError
from rotina.messaging.suppressions import unsuppress
from rotina.messaging.unsubscribe import PATH, address_of, unsubscribe, unsubscribe_url
from tests.examples import examples
from tests.messaging.queue_data import insert

BASE = "https://rotina.example.com"
NEW, OLD, OTHER = (Fernet.generate_key().decode() for _ in range(3))


def token_of(url: str) -> str:
    return url.removeprefix(f"{BASE}{PATH}")


def test_a_link_is_for_one_address_which_it_does_not_show() -> None:
    url = unsubscribe_url(f"{BASE}/", [NEW], " Ana.Souza@Example.com")
    assert url.startswith(f"{BASE}/rotina/unsubscribe/")
    assert address_of([NEW], token_of(url)) == "ana.souza@example.com"
    assert "ana" not in url.lower().removeprefix(BASE)
    assert urlsplit(url).query == ""
    assert url[-1].isalnum() or url[-1] in "-_"


def test_a_link_is_for_a_mailbox_in_every_spelling(
    connection: psycopg.Connection, owner: psycopg.Connection
) -> None:
    for spelling in ("Ana@Ação.example", "ana@xn--ao-siap.example"):
        assert (
            address_of([NEW], token_of(unsubscribe_url(BASE, [NEW], spelling))) == "ana@xn--ao-siap.example"
        )
    older = Fernet(NEW).encrypt("email:ana@ação.example".encode()).decode()
    assert unsubscribe(connection, address_of([NEW], older) or "")
    stored = owner.execute("select address from crm.suppression").fetchall()
    assert stored == [("ana@xn--ao-siap.example",)]


def test_airflow_may_be_below_another_address() -> None:
    url = unsubscribe_url(f"{BASE}/airflow/", [NEW], "ana@example.com")
    assert url.startswith(f"{BASE}/airflow/rotina/unsubscribe/")


def test_the_longest_address_fits() -> None:
    address = "a" * 64 + "@" + "b" * 185 + ".com"
    token = token_of(unsubscribe_url(BASE, [NEW], address))
    assert len(address) == 254
    assert len(token) < 500  # mail programs cut addresses of thousands of characters
    assert address_of([NEW], token) == address


@settings(max_examples=examples(50))
@given(st.emails())
def test_every_address_comes_back(address: str) -> None:
    assert address_of([NEW], token_of(unsubscribe_url(BASE, [NEW], address))) == address.lower()


def test_the_newest_key_makes_links_and_all_of_them_open_links() -> None:
    old = token_of(unsubscribe_url(BASE, [OLD], "ana@example.com"))
    new = token_of(unsubscribe_url(BASE, [NEW, OLD], "ana@example.com"))
    assert address_of([NEW, OLD], old) == address_of([NEW], new) == "ana@example.com"
    assert address_of([OLD], new) is None
    assert address_of([NEW], old) is None  # the old key was taken out


def test_what_is_no_link_of_ours_opens_nothing() -> None:
    good = token_of(unsubscribe_url(BASE, [NEW], "ana@example.com"))
    middle = len(good) // 2
    changed = good[:middle] + ("A" if good[middle] != "A" else "B") + good[middle + 1 :]
    foreign = Fernet(NEW).encrypt(b"ana@example.com").decode()
    for token in (
        "",
        "x",
        good[:-4],
        good[4:],
        changed,
        foreign,
        "á" * 40,
        "=" * 9,
        good + "a" * 5000,
    ):
        assert address_of([NEW], token) is None, token
    assert address_of([OTHER], good) is None


@pytest.mark.parametrize(
    ("base_url", "keys", "said"),
    [
        (BASE, [], "unsubscribe keys: there is none"),
        (BASE, [NEW, "curta"], "unsubscribe keys: one of them is no Fernet key"),
        ("", [NEW], "base_url = ''"),
        ("/airflow", [NEW], "base_url = '/airflow'"),
        ("ftp://rotina.example.com", [NEW], "base_url = 'ftp"),
        (
            "http://rotina.example.com",
            [NEW],
            "base_url = 'http://rotina.example.com': must begin with https://",
        ),
        ("https://rotina.example.com/?a=b", [NEW], "base_url = 'https"),
        ("https://[rotina", [NEW], "base_url = 'https"),
    ],
)
def test_settings_that_make_no_link_are_refused(base_url: str, keys: list[str], said: str) -> None:
    with pytest.raises(SettingError) as refused:
        unsubscribe_url(base_url, keys, "ana@example.com")
    assert str(refused.value).startswith(said)
    assert NEW not in str(refused.value)


def test_this_machine_needs_no_tls() -> None:
    for base in ("http://localhost:8080", "http://127.0.0.1:8080", "http://[::1]:8080"):
        assert unsubscribe_url(base, [NEW], "ana@example.com").startswith(f"{base}{PATH}")


def test_unsubscribing_suppresses_once_and_can_be_taken_back_with_an_audit(
    connection: psycopg.Connection, owner: psycopg.Connection
) -> None:
    assert unsubscribe(connection, "ana@example.com")
    assert not unsubscribe(connection, "ana@example.com")
    stored = owner.execute("select channel, address, reason, source from crm.suppression").fetchall()
    assert stored == [("email", "ana@example.com", "opted_out", "unsubscribe")]
    unsuppress(connection, "email", "ana@example.com", "bia")
    assert owner.execute("select count(*) from crm.suppression").fetchone() == (0,)
    audit = owner.execute("select login, action, target ->> 'address' from crm.audit_entry").fetchall()
    assert audit == [("bia", "unsuppress", "ana@example.com")]


def test_unsubscribing_takes_the_place_of_a_hard_bounce(
    connection: psycopg.Connection, owner: psycopg.Connection
) -> None:
    bounced = {"channel": "email", "address": "ana@example.com", "reason": "hard_bounce"}
    insert(owner, "crm.suppression", **bounced, source="queue_dispatch")
    assert unsubscribe(connection, "ana@example.com")
    assert not unsubscribe(connection, "ana@example.com")
    stored = owner.execute("select address, reason, source from crm.suppression").fetchall()
    assert stored == [("ana@example.com", "opted_out", "unsubscribe")]
