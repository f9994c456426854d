"""Webhooks: gateways tell here how far messages got, POST /rotina/webhooks/{gateway code}.

A gateway shows who it is by `Authorization: Bearer <secret>`. The secret is the password of the Airflow
connection `<connection_id of the gateway>_webhook`, wherever Airflow finds connections: a secrets backend,
the environment or its own database. Everything that waits (for the database) is done in threads, because the
API server's event loop also serves the tasks.
"""

from __future__ import annotations

import datetime as dt
import hmac
import logging
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import psycopg
from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException
from fastapi import APIRouter, Depends, Header, HTTPException, Request
from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    TypeAdapter,
    ValidationError,
)

from rotina.errors import SettingError
from rotina.hooks.erp import ErpHook
from rotina.messaging.adapters import DeliveryStatus
from rotina.messaging.adapters.http import folded
from rotina.messaging.adapters.opa_suite import DELIVERY_STATUSES
from rotina.messaging.delivery import Event, record_events
from rotina.messaging.gateways import Gateway, Kind, load_gateway

log = logging.getLogger(__name__)

#: Longest body that is read, in bytes.
MOST_BYTES = 1_000_000
#: Of a body with many mistakes, so many are told.
_MOST_PROBLEMS = 20

router = APIRouter()


def _known_status(value: Any) -> Any:
    return DELIVERY_STATUSES.get(folded(value), value) if isinstance(value, str) else value


Status = Annotated[DeliveryStatus, BeforeValidator(_known_status)]
#: A key of the gateway, or of ours; PostgreSQL stores no NUL.
Key = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=300, pattern=r"^[^\x00]*$")
]
Text = Annotated[str, BeforeValidator(lambda v: v.replace("\0", "") if isinstance(v, str) else v)]
Instant = Annotated[
    AwareDatetime,
    Field(ge=dt.datetime(2000, 1, 1, tzinfo=dt.UTC), lt=dt.datetime(2100, 1, 1, tzinfo=dt.UTC)),
]


class _Form(BaseModel):
    model_config = ConfigDict(coerce_numbers_to_str=True)


class _OpaMetadata(_Form):
    rotina_message: Annotated[int, Field(ge=1, lt=2**63)] | None = None


class _OpaData(_Form):
    messageSentId: Key  # noqa: N815 - the gateway's name
    status: Status
    timestamp: Instant
    error: Text | None = None
    metadata: _OpaMetadata | None = None


class _OpaEvent(_Form):
    """What Opa! Suite tells; our key is in the metadata that every message carries."""

    event: Literal["message.status"]
    data: _OpaData

    def told(self) -> Event:
        data = self.data
        message_id = data.metadata.rotina_message if data.metadata else None
        return Event(data.messageSentId, data.status, data.timestamp, data.error, message_id=message_id)


class _PlainEvent(_Form):
    """What a gateway of kind http_json tells; the reference is the dedupe key that every message carries."""

    id: Key
    status: Status
    at: Instant
    error: Text | None = None
    reference: Key | None = None

    def told(self) -> Event:
        return Event(self.id, self.status, self.at, self.error, dedupe_key=self.reference)


def _as_list(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


_OPA: TypeAdapter[list[_OpaEvent]] = TypeAdapter(Annotated[list[_OpaEvent], BeforeValidator(_as_list)])
_PLAIN: TypeAdapter[list[_PlainEvent]] = TypeAdapter(Annotated[list[_PlainEvent], BeforeValidator(_as_list)])
_FORMS: dict[Kind, TypeAdapter[list[_OpaEvent]] | TypeAdapter[list[_PlainEvent]]] = {
    "opa_suite": _OPA,
    "http_json": _PLAIN,
    "smtp": _PLAIN,
}


@dataclass(frozen=True)
class _Caller:
    """A gateway that showed who it is, and a connection to work for it."""

    gateway: Gateway
    connection: psycopg.Connection


def _caller(gateway_code: str, authorization: Annotated[str, Header()] = "") -> Iterator[_Caller]:
    scheme, _, given = authorization.partition(" ")
    if scheme.lower() != "bearer" or not given.strip():
        raise _refusal()
    with ErpHook().connect() as connection:
        gateway = _gateway(connection, gateway_code)
        # An unknown gateway is refused as a wrong secret is, after the same comparison.
        secret = (_secret(gateway) if gateway else None) or secrets.token_urlsafe()
        if not hmac.compare_digest(given.strip().encode("latin-1"), secret.encode()) or gateway is None:
            raise _refusal()
        yield _Caller(gateway, connection)


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST_BYTES:
            raise HTTPException(413, f"body: longer than {MOST_BYTES} bytes")
    return bytes(body)


@router.post("/webhooks/{gateway_code}")
def receive(
    caller: Annotated[_Caller, Depends(_caller)], body: Annotated[bytes, Depends(_body)]
) -> dict[str, int]:
    """Take one event of a gateway, or a list of them, in the form of its kind.

    Answers 401 without the secret of that gateway, 413 to a body that is too long, 422 with the fields that
    are wrong; nothing is recorded then.
    """
    try:
        events = [form.told() for form in _FORMS[caller.gateway.kind].validate_json(body)]
    except ValidationError as error:
        raise HTTPException(422, _problems(error, single=not body.lstrip().startswith(b"["))) from None
    recorded = record_events(caller.connection, caller.gateway.code, events)
    log.debug(
        "Webhook of gateway %s: %s events new, %s repeated, %s of unknown messages",
        caller.gateway.code,
        recorded.new,
        recorded.repeated,
        recorded.unmatched,
    )
    return {"new": recorded.new, "repeated": recorded.repeated, "unmatched": recorded.unmatched}


def _gateway(connection: psycopg.Connection, code: str) -> Gateway | None:
    if not re.fullmatch(r"[a-z][a-z0-9_]*", code):
        return None
    try:
        return load_gateway(connection, code)
    except SettingError:
        return None


def _secret(gateway: Gateway) -> str | None:
    connection_id = f"{gateway.connection_id}_webhook"
    try:
        secret = BaseHook.get_connection(connection_id).password
    except AirflowNotFoundException:
        secret = None
    if not secret:
        log.warning(
            "Webhook of gateway %s refused: no connection %s with a password", gateway.code, connection_id
        )
    return secret


def _refusal() -> HTTPException:
    return HTTPException(401, "not the secret of this gateway", headers={"WWW-Authenticate": "Bearer"})


def _problems(error: ValidationError, *, single: bool) -> list[dict[str, str]]:
    """Field and problem of what is wrong with a body; the values stay out."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    return [
        {"field": ".".join(map(str, one["loc"][single:])) or "body", "problem": one["msg"]}
        for one in found[:_MOST_PROBLEMS]
    ]
