"""What the tests of messaging set up, each row by one plain function over the owner's connection."""

from __future__ import annotations

import datetime as dt
import itertools
from decimal import Decimal
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from rotina.messaging.email_frames import Frame, frame_of, with_frame

DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday", "holiday")

#: The variables of a billing template, unless a test says otherwise.
BILLING_VARIABLES = ["first_name", "value", "due_on"]

_numbers = itertools.count(1)


def insert(owner: psycopg.Connection, table: str, **fields: Any) -> tuple[Any, ...]:
    """Insert one row of `schema.table`; a dict becomes jsonb. Returns the row as stored."""
    values = [Jsonb(value) if isinstance(value, dict) else value for value in fields.values()]
    query = sql.SQL("insert into {} ({}) values ({}) returning *").format(
        sql.Identifier(*table.split(".")),
        sql.SQL(", ").join(map(sql.Identifier, fields)),
        sql.SQL(", ").join([sql.Placeholder()] * len(fields)),
    )
    row = owner.execute(query, values).fetchone()
    assert row is not None
    return row


def add_integration(owner: psycopg.Connection, code: str = "erp", *, active: bool = True) -> None:
    """An outside system, in use or not."""
    insert(owner, "crm.integration", code=code, name=code.upper(), active=active)


def add_gateway(owner: psycopg.Connection, code: str = "opa", *, always: bool = True, **fields: Any) -> int:
    """A gateway with its usage row, open all day and every day unless `always` is False; returns its id."""
    values = {"name": code, "kind": "opa_suite", "connection_id": f"gateway_{code}", **fields}
    (gateway_id, *_) = insert(owner, "crm.gateway", code=code, **values)
    insert(owner, "crm.gateway_usage", gateway_id=gateway_id)
    for day in DAYS if always else ():
        add_window(owner, gateway_id, day)
    return int(gateway_id)


def add_window(
    owner: psycopg.Connection, gateway_id: int, day: str, opens_at: str = "00:00", closes_at: str = "24:00"
) -> None:
    """Hours of a day in which a gateway may send."""
    # Not `insert`: psycopg cannot load 24:00, which it would give back.
    owner.execute(
        "insert into crm.send_window values (%s, %s, %s::time, %s::time)",
        [gateway_id, day, opens_at, closes_at],
    )


def add_template(
    owner: psycopg.Connection,
    gateway_id: int,
    code: str = "cobranca",
    *,
    variables: list[str] | None = None,
    **fields: Any,
) -> int:
    """An approved template whose body has a place for each of its variables; returns its id."""
    names = BILLING_VARIABLES if variables is None else variables
    values = {
        "name": code,
        "gateway_template_id": f"gw-{code}",
        "body": " ".join(["Olá", *(f"{{{{{place}}}}}" for place in range(1, len(names) + 1))]),
        "status": "approved",
        **fields,
    }
    return int(
        insert(owner, "crm.message_template", gateway_id=gateway_id, code=code, variables=names, **values)[0]
    )


def add_step(owner: psycopg.Connection, template_id: int, days: int = 0, **fields: Any) -> int:
    """An active step of the dunning schedule; returns its id."""
    values = {"name": f"passo {next(_numbers)}", **fields}
    return int(insert(owner, "crm.dunning_step", template_id=template_id, days=days, **values)[0])


def add_customer(owner: psycopg.Connection, customer_id: int | None = None, **fields: Any) -> int:
    """A customer of the ERP with a phone of its own; returns its id."""
    key = next(_numbers) if customer_id is None else customer_id
    now = dt.datetime.now(dt.UTC)
    values = {
        "kind": "person",
        "name": "Ana Souza",
        "phone": f"+55119{key:08d}",
        "email": f"cliente{key}@example.com",
        "created_at": now,
        "updated_at": now,
        **fields,
    }
    return int(insert(owner, "erp.customer", customer_id=key, **values)[0])


def add_account(owner: psycopg.Connection, customer_id: int | None = None, **fields: Any) -> int:
    """An account of the CRM, linked to a customer of the ERP or to none; returns its id."""
    values = {"kind": "person", "name": "Ana Souza", **fields}
    return int(insert(owner, "crm.account", erp_customer_id=customer_id, **values)[0])


def add_receivable(
    owner: psycopg.Connection,
    customer_id: int,
    due_on: str | dt.date,
    value: str | Decimal | None = "129.90",
    **fields: Any,
) -> int:
    """An open receivable of the ERP; returns its id."""
    key = fields.pop("receivable_id", None) or next(_numbers)
    values = {"code": f"T-{key}", "updated_at": dt.datetime.now(dt.UTC), **fields}
    insert(
        owner,
        "erp.receivable",
        receivable_id=key,
        customer_id=customer_id,
        due_on=due_on,
        value=value,
        **values,
    )
    return int(key)


def add_signature_request(
    owner: psycopg.Connection, customer_id: int, requested_at: str | dt.datetime, **fields: Any
) -> int:
    """An open signature request of the ERP, whose link does not expire; returns its id."""
    key = fields.pop("signature_request_id", None) or next(_numbers)
    values = {"link": f"https://assina.example/{key}", "updated_at": dt.datetime.now(dt.UTC), **fields}
    insert(
        owner,
        "erp.signature_request",
        signature_request_id=key,
        customer_id=customer_id,
        requested_at=requested_at,
        **values,
    )
    return int(key)


def add_message(owner: psycopg.Connection, gateway_id: int, **fields: Any) -> int:
    """A waiting message with its key, as a producer writes it; returns its id."""
    number = next(_numbers)
    values = {
        "dedupe_key": f"added:{number}",
        "origin": "test",
        "origin_key": str(number),
        "recipient": f"+55119{number:08d}",
        "payload": {"template": "gw-cobranca", "variables": ["Ana", "129,90", "20/11/2026"]},
        **fields,
    }
    message_id = int(insert(owner, "crm.message", gateway_id=gateway_id, **values)[0])
    insert(owner, "crm.message_key", dedupe_key=values["dedupe_key"], message_id=message_id)
    return message_id


def messages(owner: psycopg.Connection) -> list[dict[str, Any]]:
    """All messages of the queue by id, each as a dict of its columns."""
    with owner.cursor(row_factory=dict_row) as cursor:
        return cursor.execute("select * from crm.message order by id").fetchall()


def whole(owner: psycopg.Connection, payload: dict[str, Any]) -> dict[str, Any]:
    """The payload of an e-mail with its HTML as it goes out."""
    row = owner.execute("select html from crm.email_frame where id = %s", [frame_of(payload)]).fetchone()
    assert row is not None
    return with_frame(payload, Frame(row[0]))
