"""Adapters: one module per kind of gateway, all with the same few questions. They know no Airflow."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from rotina.messaging.outcome import Result

DeliveryStatus = Literal["sent", "delivered", "read", "failed"]


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message as an adapter gets it, claimed for one attempt."""

    id: int
    number: int
    """Number of the attempt, from 1."""
    recipient: str = field(repr=False)
    payload: dict[str, Any] = field(repr=False)
    """Frozen when written: `template` and `variables` (opa_suite, http_json), or `subject`, `text`, `html`,
    `unsubscribe_url` and `attachments` (smtp): files of text, each with `name`, `type` (as text/csv) and
    `text`, which goes out as UTF-8."""
    dedupe_key: str
    gateway_message_id: str | None = None
    """Known of a message whose outcome is unknown, when the gateway gave one before the reply broke."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """How far the gateway says a message got."""

    status: DeliveryStatus
    at: dt.datetime
    error: str | None = None


@dataclass(frozen=True, slots=True)
class HttpEndpoint:
    """Where a gateway is spoken to over HTTP, and as whom."""

    base_url: str
    """With its path, if any, and without a slash at the end."""
    token: str = field(repr=False)
    connect_timeout: float
    """Seconds."""


@dataclass(frozen=True, slots=True)
class SmtpEndpoint:
    """A mail server, and as whom mail is handed to it."""

    host: str
    port: int | None
    """None: the usual one (465 with use_tls, 587 with start_tls, else 25)."""
    login: str | None
    """None: without authentication."""
    password: str | None = field(repr=False)
    use_tls: bool
    """TLS from the first byte."""
    start_tls: bool
    """TLS by STARTTLS, without which nothing is sent."""
    sender: str
    """The From of all messages: an address, or `Name <address>`."""
    connect_timeout: float
    """Seconds."""
    verify_certificate: bool = True


class Adapter(Protocol):
    """A gateway, spoken to asynchronously. One instance per dispatcher; calls run concurrently."""

    @property
    def places(self) -> int:
        """How many calls it can have under way; a further one would only wait for its turn."""

    async def send(self, message: Outgoing) -> Result:
        """Send a message once, within the gateway's call timeout. Raises no error, whatever happens.

        The timeout begins when the call has one of the `places`.
        Only when its task is cancelled does it end without a result: the message may have been sent.
        """

    async def find(self, message: Outgoing) -> Result | None:
        """What became of an attempt whose outcome is unknown, as the gateway tells.

        ACCEPTED when it has the message; TRANSIENT when it surely has not, nor will (only where the gateway
        can prove it); None when it cannot tell or did not answer.
        """

    async def delivery(self, gateway_message_id: str) -> Delivery | None:
        """How far an accepted message got; None when the gateway cannot tell or did not answer."""

    async def available(self) -> int | None:
        """How many messages the gateway says may still be sent today; None when it does not tell."""

    async def close(self) -> None:
        """Close the connections."""
