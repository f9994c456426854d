"""http_json: any gateway that takes a message as JSON and knows an idempotency key.

Send: POST {"to", "template", "variables", "reference"}, answered by a 2xx with {"id", "status"}, either of
which will do, and without {"error"}. Ask: GET the status path, where the dedupe key stands for {key},
answered likewise. The outcomes are those of the other HTTP gateways.
"""

from __future__ import annotations

import re
from urllib.parse import quote

from rotina.messaging.adapters import Delivery, HttpEndpoint, Outgoing
from rotina.messaging.adapters.http import NO_TEMPLATE, HttpClient, Reply, refusal, template_of
from rotina.messaging.adapters.replies import clean_count, clean_id, shown
from rotina.messaging.adapters.settings import HttpJsonSettings
from rotina.messaging.gateways import Gateway
from rotina.messaging.outcome import Outcome, Result

_HEADER_VALUE = re.compile(r"[\x21-\x7e]+")
#: `status` of a 2xx that is an acceptance also without an id, and one that is none even with an id.
_TAKEN = {"accepted", "ok", "queued", "sent", "success"}
_REFUSED = {"error", "failed", "not_found", "refused", "rejected"}


class HttpJsonAdapter:
    """A generic JSON gateway. To be made inside the event loop that uses it."""

    def __init__(self, gateway: Gateway, endpoint: HttpEndpoint) -> None:
        """Raises SettingError for wrong settings of the gateway."""
        self._settings = HttpJsonSettings.read(gateway.settings)
        self._token = endpoint.token
        self.places = gateway.share
        self._http = HttpClient(endpoint, gateway.share, gateway.call_timeout_seconds)
        self._send_target = self._http.target(self._settings.send_path)

    async def send(self, message: Outgoing) -> Result:
        """As `Adapter.send`."""
        if not _HEADER_VALUE.fullmatch(message.dedupe_key):
            return Result(
                Outcome.REJECTED, error="its dedupe key has characters that no HTTP header may hold"
            )
        if (used := template_of(message.payload)) is None:
            return NO_TEMPLATE
        template, variables = used
        body = {
            "to": message.recipient,
            "template": template,
            "variables": variables,
            "reference": message.dedupe_key,
        }
        headers = {self._settings.idempotency_header: message.dedupe_key}
        reply = await self._http.post(self._send_target, body, headers)
        if isinstance(reply, Result):
            return reply
        return (
            _accepted(reply)
            or _unclear(reply)
            or refusal(reply, private=(self._token, message.recipient, *variables))
        )

    async def find(self, message: Outgoing) -> Result | None:
        """ACCEPTED when the gateway has the message; TRANSIENT when its 404 proves that it never will."""
        settings = self._settings
        if settings.status_path is None:
            return None
        path = settings.status_path.replace("{key}", quote(message.dedupe_key, safe=""))
        reply = await self._http.get(self._http.target(path))
        if reply is None:
            return None
        if reply.status == 404 and settings.absent_is_final:
            return Result(Outcome.TRANSIENT, code=404, error="the gateway does not have it")
        return _accepted(reply)

    async def delivery(self, gateway_message_id: str) -> Delivery | None:
        """None: it is asked by our key only, and tells the delivery by webhook."""
        return None

    async def available(self) -> int | None:
        """As `Adapter.available`: the field `available` of the answer."""
        if self._settings.available_path is None:
            return None
        reply = await self._http.get(self._http.target(self._settings.available_path))
        if reply is None or not reply.ok:
            return None
        return clean_count(reply.body.get("available"))

    async def close(self) -> None:
        """As `Adapter.close`."""
        await self._http.close()


def _unclear(reply: Reply) -> Result | None:
    """The result of a 2xx whose `status` is a word that says neither yes nor no; None for any other reply."""
    if not reply.ok or not isinstance(status := reply.body.get("status"), str):
        return None
    if reply.body.get("error") or "code" in reply.body or status.casefold() in _REFUSED:
        return None
    return Result(Outcome.MAYBE_SENT, code=reply.status, error=shown(status, prefix="unknown status: "))


def _accepted(reply: Reply) -> Result | None:
    """The result of a reply that says that the gateway has the message; None for any other."""
    if not reply.ok or reply.body.get("error"):
        return None
    key = clean_id(reply.body.get("id"))
    status = str(reply.body.get("status")).casefold()
    if status in _TAKEN or (key is not None and status not in _REFUSED):
        return Result(Outcome.ACCEPTED, key, code=reply.status)
    return None
