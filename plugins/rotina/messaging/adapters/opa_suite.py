"""Opa! Suite: WhatsApp templates through its REST API (docs/message-queue.md has the table of outcomes)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from rotina.messaging.adapters import Delivery, DeliveryStatus, HttpEndpoint, Outgoing
from rotina.messaging.adapters.http import NO_TEMPLATE, HttpClient, Reply, folded, refusal, template_of
from rotina.messaging.adapters.replies import clean_count, clean_id
from rotina.messaging.adapters.settings import OpaSuiteSettings
from rotina.messaging.gateways import Gateway
from rotina.messaging.outcome import Outcome, Result

#: `statusEnvio.status`, without accents, in our words.
DELIVERY_STATUSES: dict[str, DeliveryStatus] = {
    "enviado": "sent",
    "sent": "sent",
    "entregue": "delivered",
    "delivered": "delivered",
    "lido": "read",
    "lida": "read",
    "read": "read",
    "erro": "failed",
    "error": "failed",
    "falha": "failed",
    "falhou": "failed",
    "failed": "failed",
    "nao entregue": "failed",
}


class OpaSuiteAdapter:
    """An Opa! Suite channel. To be made inside the event loop that uses it."""

    def __init__(self, gateway: Gateway, endpoint: HttpEndpoint) -> None:
        """Raises SettingError for wrong settings of the gateway."""
        settings = OpaSuiteSettings.read(gateway.settings)
        self._channel = settings.channel_id
        self._token = endpoint.token
        self.places = gateway.share
        self._http = HttpClient(endpoint, gateway.share, gateway.call_timeout_seconds)
        self._send_target = self._http.target("/api/v1/template/send")
        channel = quote(self._channel, safe="")
        self._limits_target = self._http.target(
            f"/api/v1/canal-comunicacao/{channel}/template/limites-diarios-envio"
        )

    async def send(self, message: Outgoing) -> Result:
        """As `Adapter.send`."""
        if (used := template_of(message.payload)) is None:
            return NO_TEMPLATE
        template, variables = used
        body = {
            "contato": {"canalCliente": message.recipient},
            "template": {"_id": template, "variaveis": variables},
            "canal": self._channel,
            "metadata": {"rotina_message": message.id, "rotina_attempt": message.number},
        }
        reply = await self._http.post(self._send_target, body)
        if isinstance(reply, Result):
            return reply
        if reply.ok and reply.body.get("status") == "success":
            return Result(Outcome.ACCEPTED, _message_id(reply.body), code=reply.status)
        return refusal(reply, private=(self._token, message.recipient, *variables))

    async def find(self, message: Outgoing) -> Result | None:
        """ACCEPTED when the gateway knows its own key of the message; None otherwise.

        Only by that key can it be asked: no search by our metadata is documented.
        """
        key = message.gateway_message_id
        if key is None or await self._sent_message(key) is None:
            return None
        return Result(Outcome.ACCEPTED, key, code=200)

    async def delivery(self, gateway_message_id: str) -> Delivery | None:
        """As `Adapter.delivery`. The gateway tells no time: it is the one of this answer."""
        found = await self._sent_message(gateway_message_id)
        sending = found.get("statusEnvio") if found else None
        status = sending.get("status") if isinstance(sending, dict) else None
        known = DELIVERY_STATUSES.get(folded(status)) if isinstance(status, str) else None
        return Delivery(known, datetime.now(UTC)) if known else None

    async def available(self) -> int | None:
        """As `Adapter.available`; None also for a channel without a limit."""
        limits = _data(await self._http.get(self._limits_target))
        return clean_count(limits.get("availableAmount")) if limits else None

    async def close(self) -> None:
        """As `Adapter.close`."""
        await self._http.close()

    async def _sent_message(self, key: str) -> dict[str, Any] | None:
        target = self._http.target(f"/api/v1/atendimento/mensagem/{quote(key, safe='')}")
        return _data(await self._http.get(target))


def _message_id(body: dict[str, Any]) -> str | None:
    data = body.get("data")
    return clean_id(data.get("messageSentId")) if isinstance(data, dict) else None


def _data(reply: Reply | None) -> dict[str, Any] | None:
    """The data of an answer, with or without the envelope {status, code, data}; None when it is none."""
    if reply is None or not reply.ok:
        return None
    body = reply.body
    if "status" in body:
        body = body.get("data") if body["status"] == "success" else None
    return body if isinstance(body, dict) else None
