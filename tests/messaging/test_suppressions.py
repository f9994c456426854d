"""Addresses that a person suppresses: as messages carry them, masked in errors, with an audit."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from rotina.errors import SettingError
from rotina.messaging.suppressions import suppress, unsuppress
from tests.messaging.queue_data import insert

PHONE = "+5511999990000"


def stored(owner: psycopg.Connection) -> list[tuple[Any, ...]]:
    return owner.execute(
        "select channel, address, reason, source from crm.suppression order by channel, address"
    ).fetchall()


def audit(owner: psycopg.Connection) -> list[tuple[Any, ...]]:
    return owner.execute(
        "select login, action, target, details, records from crm.audit_entry order by id"
    ).fetchall()


def test_an_address_is_suppressed_and_freed_with_an_audit(
    connection: psycopg.Connection, owner: psycopg.Connection
) -> None:
    assert suppress(connection, "phone", f" {PHONE}", "pediu ", "ana")
    assert suppress(connection, "email", " Ana.Souza@Example.COM", "pediu", "ana")
    assert stored(owner) == [
        ("email", "ana.souza@example.com", "pediu", "ana"),
        ("phone", PHONE, "pediu", "ana"),
    ]
    unsuppress(connection, "email", "ANA.Souza@example.com", "bia")
    assert stored(owner) == [("phone", PHONE, "pediu", "ana")]
    phone = {"channel": "phone", "address": PHONE}
    mail = {"channel": "email", "address": "ana.souza@example.com"}
    assert audit(owner) == [
        ("ana", "suppress", phone, {"reason": "pediu"}, 1),
        ("ana", "suppress", mail, {"reason": "pediu"}, 1),
        ("bia", "unsuppress", mail, {}, 1),
    ]


def test_a_suppressed_address_keeps_its_first_reason(
    connection: psycopg.Connection, owner: psycopg.Connection
) -> None:
    first = {"channel": "phone", "address": PHONE, "reason": "opted_out", "source": "queue_dispatch"}
    insert(owner, "crm.suppression", **first)
    assert not suppress(connection, "phone", PHONE, "outra", "ana")
    assert stored(owner) == [tuple(first.values())]
    assert [(entry[1], entry[4]) for entry in audit(owner)] == [("suppress", 0)]


def test_a_domain_is_known_in_every_spelling(
    connection: psycopg.Connection, owner: psycopg.Connection
) -> None:
    assert suppress(connection, "email", "Ana@Ação.example", "pediu", "ana")
    assert not suppress(connection, "email", "ana@XN--ao-siap.example", "pediu", "ana")
    assert stored(owner) == [("email", "ana@xn--ao-siap.example", "pediu", "ana")]
    unsuppress(connection, "email", "ana@AÇÃO.example", "ana")
    assert stored(owner) == []


def test_a_decision_takes_the_place_of_a_hard_bounce_and_not_the_other_way_round(
    connection: psycopg.Connection, owner: psycopg.Connection
) -> None:
    bounced = {"channel": "email", "address": "ana@example.com", "reason": "hard_bounce"}
    insert(owner, "crm.suppression", **bounced, source="queue_dispatch")
    assert not suppress(connection, "email", "ana@example.com", "hard_bounce", "ana")
    assert suppress(connection, "email", "ana@example.com", "pediu", "ana")
    assert not suppress(connection, "email", "ana@example.com", "hard_bounce", "bia")
    assert stored(owner) == [("email", "ana@example.com", "pediu", "ana")]
    assert [entry[4] for entry in audit(owner)] == [0, 1, 0]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"channel": "fax"}, "channel = 'fax': must be one of phone, email"),
        ({"address": "11999990000"}, "address = '…0000': is no phone number"),
        ({"address": "+5511999990000\n1"}, "address = '…00\\n1': is no phone number"),
        ({"address": "+0511999990000"}, "address = '…0000': is no phone number"),
        ({"channel": "email"}, "address = '…0000': is no e-mail address"),
        ({"channel": "email", "address": "ana souza@example.com"}, "address = '…@example.com': is no e-mail"),
        ({"channel": "email", "address": "a" * 250 + "@b.com"}, "address = '…@b.com': is no e-mail"),
        ({"reason": " "}, "reason = ' ': must not be blank"),
        ({"login": ""}, "login = '': must not be blank"),
    ],
)
def test_what_is_wrong_is_named_masked_and_nothing_is_changed(
    connection: psycopg.Connection, owner: psycopg.Connection, fields: dict[str, Any], said: str
) -> None:
    values = {"channel": "phone", "address": PHONE, "reason": "pediu", "login": "ana", **fields}
    with pytest.raises(SettingError) as refused:
        suppress(connection, **values)
    assert str(refused.value).startswith(said)
    if "reason" not in fields:
        del values["reason"]
        with pytest.raises(SettingError) as refused:
            unsuppress(connection, **values)
        assert str(refused.value).startswith(said)
    assert (stored(owner), audit(owner)) == ([], [])


def test_what_is_not_suppressed_cannot_be_freed(
    connection: psycopg.Connection, owner: psycopg.Connection
) -> None:
    with pytest.raises(SettingError, match=r"^address = '…0000': is not suppressed"):
        unsuppress(connection, "phone", PHONE, "ana")
    assert audit(owner) == []
