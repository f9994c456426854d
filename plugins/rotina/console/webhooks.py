"""Webhooks: gateways tell here how far messages got, POST /rotina/webhooks/{gateway code}.

A gateway shows who it is by `Authorization: Bearer <secret>`. The secret is the password of the Airflow
connection `<connection_id of the gateway>_webhook`, wherever Airflow finds connections: a secrets backend,
the environment or its own database. Everything that waits (for the database) is done in threads, because the
API server's event loop also serves the tasks; in few of them, and none waits for a slow caller.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import hmac
import logging
import re
import secrets
from typing import Annotated, Any, Literal

import psycopg
from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException
from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Header, HTTPException, Request
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)
from pydantic_core import from_json

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
#: Most events of one body.
MOST_EVENTS = 5_000
#: How long a caller may take to send its body.
BODY_SECONDS = 10.0
#: Calls that work at a time, each with at most one database session; the others wait for their turn.
WORKERS = 4
#: Of a body with many mistakes, so many are told.
_MOST_PROBLEMS = 20

router = APIRouter()
_workers = CapacityLimiter(WORKERS)


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
    Field(ge=dt.datetime(2000, 1, 1, tzinfo=dt.UTC)),
    # The clock of a gateway may be ahead.
    AfterValidator(lambda at: min(at, dt.datetime.now(dt.UTC))),
]


Number = Annotated[int, Field(ge=1, lt=2**63)]


class _Form(BaseModel):
    model_config = ConfigDict(coerce_numbers_to_str=True)


class _OpaMetadata(_Form):
    rotina_message: Number
    rotina_attempt: Number | None = None


def _ours(value: Any, handler: ValidatorFunctionWrapHandler) -> _OpaMetadata | None:
    """Metadata of a message that another system sent says nothing to us; the event may still be of use."""
    try:
        ours: _OpaMetadata = handler(value)
    except ValidationError:
        return None
    return ours


class _OpaData(_Form):
    messageSentId: Key  # noqa: N815 - the gateway's name
    status: Status
    timestamp: Instant
    error: Text | None = None
    metadata: Annotated[_OpaMetadata | None, WrapValidator(_ours)] = None


class _OpaEvent(_Form):
    """What Opa! Suite tells; our key is in the metadata that every message carries."""

    event: Literal["message.status"]
    data: _OpaData

    def told(self) -> Event:
        data = self.data
        ours = data.metadata
        return Event(
            data.messageSentId,
            data.status,
            data.timestamp,
            data.error,
            message_id=ours.rotina_message if ours else None,
            attempt=ours.rotina_attempt if ours else None,
        )


class _PlainEvent(_Form):
    """What a gateway of kind http_json tells; the reference is the dedupe key that every message carries."""

    id: Key
    status: Status
    at: Instant
    error: Text | None = None
    reference: Key | None = None

    def told(self) -> Event:
        return Event(self.id, self.status, self.at, self.error, dedupe_key=self.reference)


_FORMS: dict[Kind, type[_OpaEvent | _PlainEvent]] = {
    "opa_suite": _OpaEvent,
    "http_json": _PlainEvent,
    "smtp": _PlainEvent,
}


@router.post("/webhooks/{gateway_code}")
async def receive(
    gateway_code: str, request: Request, authorization: Annotated[str, Header()] = ""
) -> dict[str, int]:
    """Take one event of a gateway, or a list of them, in the form of its kind.

    Records the events that it understands and ignores the others: another kind of event, a status that we do
    not know, a field that is wrong. Answers how many were new, repeated, of unknown messages, and ignored;
    401 without the secret of that gateway, 408 to a body that does not come, 413 to one that is too long or
    has too many events, 422 with the fields that are wrong when nothing in it has the form of an event.
    """
    gateway = await to_thread.run_sync(_authenticate, gateway_code, authorization, limiter=_workers)
    body = await _read(request)
    return await to_thread.run_sync(_record, gateway, body, limiter=_workers)


def _authenticate(gateway_code: str, authorization: str) -> Gateway:
    scheme, _, given = authorization.partition(" ")
    if scheme.lower() != "bearer" or not given.strip():
        raise _refusal()
    with ErpHook().connect() as connection:
        gateway = _gateway(connection, gateway_code)
    # An unknown gateway is refused as a wrong secret is, after the same comparison.
    secret = (_secret(gateway) if gateway else None) or secrets.token_urlsafe()
    if not hmac.compare_digest(given.strip().encode("latin-1"), secret.encode()) or gateway is None:
        raise _refusal()
    return gateway


async def _read(request: Request) -> bytes:
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MOST_BYTES:
                    raise HTTPException(413, f"body: longer than {MOST_BYTES} bytes")
    except TimeoutError:
        raise HTTPException(408, f"body: not sent within {BODY_SECONDS:g} seconds") from None
    return bytes(body)


def _record(gateway: Gateway, body: bytes) -> dict[str, int]:
    events, ignored = _events(gateway.kind, body)
    with ErpHook().connect() as connection:
        recorded = record_events(connection, gateway.code, events)
    log.debug(
        "Webhook of gateway %s: %s events new, %s repeated, %s of unknown messages, %s ignored",
        gateway.code,
        recorded.new,
        recorded.repeated,
        recorded.unmatched,
        ignored,
    )
    return {
        "new": recorded.new,
        "repeated": recorded.repeated,
        "unmatched": recorded.unmatched,
        "ignored": ignored,
    }


def _events(kind: Kind, body: bytes) -> tuple[list[Event], int]:
    """The events of a body that are understood, and how many are not.

    Raises:
        HTTPException: 413, there are more than MOST_EVENTS; 422, nothing in it has the form of an event.
    """
    try:
        value = from_json(body, allow_inf_nan=False)
    except ValueError:
        raise HTTPException(422, [{"field": "body", "problem": "is not JSON"}]) from None
    items = value if isinstance(value, list) else [value]
    if len(items) > MOST_EVENTS:
        raise HTTPException(413, f"body: more than {MOST_EVENTS} events")
    form = _FORMS[kind]
    events: list[Event] = []
    problems: list[dict[str, str]] = []
    foreign = 0
    for number, item in enumerate(items):
        try:
            events.append(form.model_validate(item).told())
        except ValidationError as error:
            found = error.errors(include_url=False, include_context=False, include_input=False)
            if any(one["type"] == "literal_error" for one in found):  # another kind of event, or status
                foreign += 1
            elif len(problems) < _MOST_PROBLEMS:
                place = [number] if value is items else []
                problems += [
                    {"field": ".".join(map(str, [*place, *one["loc"]])) or "body", "problem": one["msg"]}
                    for one in found
                ]
    if problems and not events and not foreign:
        raise HTTPException(422, problems[:_MOST_PROBLEMS])
    return events, len(items) - len(events)


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
