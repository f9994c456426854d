"""A message gateway to develop and test against: its API, a ledger, and failures on request.

It speaks the API of Opa! Suite under /api and a plain JSON one under /json, with one ledger. Loopback only,
one process: the control paths under /simulator ask for no token.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import re
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import aiohttp
import uvicorn
from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveInt,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core.core_schema import ValidationInfo
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

CHANNEL_ID = "65f0c0de00000000000000c1"
DAILY_LIMIT = 100_000
#: The texts of the templates by id; their variables are positional.
TEMPLATES = {
    "65f0c0de0000000000000001": ("vence_em_breve", "Olá, {{1}}! Seu boleto de R$ {{2}} vence em {{3}}."),
    "65f0c0de0000000000000002": ("vence_hoje", "Olá, {{1}}! Seu boleto de R$ {{2}} vence hoje."),
    "65f0c0de0000000000000003": ("em_atraso", "Olá, {{1}}! Seu boleto de R$ {{2}} venceu em {{3}}."),
    "65f0c0de0000000000000004": ("assinatura_digital", "Olá, {{1}}! Assine seu contrato em {{2}}."),
}


@dataclass(frozen=True)
class Webhook:
    """Where the simulator tells what became of messages, and the secret by which it is known there."""

    url: str
    secret: str = field(repr=False)


def create_app(token: str, ledger: Path, webhook: Webhook | None = None) -> Starlette:
    """The simulator as an ASGI application, to be run by uvicorn in one process.

    Args:
        token: the bearer token that the gateway's own paths ask for.
        ledger: file of the accepted messages, one JSON object per line; made when it is not there, read
            when it is, so that a restart goes on where it stopped.
        webhook: where delivery statuses are posted to; None: nowhere.

    Raises:
        ValueError: a blank token, or a ledger with a line that is not an entry.
    """
    if not token.strip():
        raise ValueError("token is blank")
    gateway = _Gateway(token, _Ledger(ledger), webhook)
    channel = "/api/v1/canal-comunicacao/{channel_id}/template/limites-diarios-envio"
    return Starlette(
        routes=[
            Route("/api/v1/template/send", gateway.route(gateway.send, is_send=True), methods=["POST"]),
            Route("/api/v1/template", gateway.route(gateway.templates)),
            Route(channel, gateway.route(gateway.daily_limit)),
            Route("/api/v1/atendimento/mensagem/{message_id}", gateway.route(gateway.message)),
            Route("/json/v1/messages", gateway.route(gateway.send_json, is_send=True), methods=["POST"]),
            Route("/json/v1/messages/{key:path}", gateway.route(gateway.message_by_key)),
            Route("/json/v1/available", gateway.route(gateway.available)),
            Route("/simulator/deliveries", gateway.deliver, methods=["POST"]),
            Route("/simulator/faults", gateway.add_fault, methods=["POST"]),
            Route("/simulator/faults", gateway.clear_faults, methods=["DELETE"]),
            Route("/simulator/ledger", gateway.show_ledger),
        ]
    )


@contextmanager
def serving(app: Starlette) -> Iterator[str]:
    """Run an application on a free loopback port, in a thread of this process; yields its base URL."""
    config = uvicorn.Config(app, log_level="warning", lifespan="off", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()  # from here on connections queue, so nobody needs to wait for the thread
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        try:
            yield "http://{}:{}".format(*listener.getsockname())
        finally:
            server.should_exit = True
            thread.join()


class FaultKind(StrEnum):
    """What the simulator can be told to do instead of its work."""

    REFUSE = "refuse"
    TIMEOUT_BEFORE = "timeout_before"
    TIMEOUT_AFTER = "timeout_after"
    DROP = "drop"
    CUT_REPLY = "cut_reply"
    SLOW = "slow"
    RATE_LIMITED = "rate_limited"
    UNAVAILABLE = "unavailable"
    ERROR_500 = "error_500"
    ERROR_503 = "error_503"
    UNAUTHORIZED = "unauthorized"
    ERROR_BODY = "error_body"
    IN_ATTENDANCE = "in_attendance"
    OPTED_OUT = "opted_out"
    TEMPLATE_UNKNOWN = "template_unknown"
    TEMPLATE_PAUSED = "template_paused"


#: The faults that are a reply: HTTP status, text.
_FAULT_REPLIES = {
    FaultKind.RATE_LIMITED: (429, "Limite de requisições excedido"),
    FaultKind.UNAVAILABLE: (503, "Serviço temporariamente indisponível"),
    FaultKind.ERROR_500: (500, "Erro interno"),
    FaultKind.ERROR_503: (503, "Serviço indisponível"),
    FaultKind.UNAUTHORIZED: (401, "Token inválido"),
    FaultKind.ERROR_BODY: (200, "Não foi possível enviar o template"),
    FaultKind.IN_ATTENDANCE: (400, "Contato já está em atendimento"),
    FaultKind.OPTED_OUT: (400, "Contato não deseja receber mensagens (opt-out)"),
    FaultKind.TEMPLATE_UNKNOWN: (404, "Template não encontrado"),
    FaultKind.TEMPLATE_PAUSED: (400, "Template pausado"),
}


class Fault(BaseModel):
    """An order to fail, as POST /simulator/faults takes it."""

    model_config = ConfigDict(extra="forbid", strict=True)

    kind: FaultKind
    count: PositiveInt | None = 1
    """How many requests it meets; null: all, until the faults are cleared."""
    on: Literal["send", "all"] = "send"
    """Which requests it meets: those that send a message, or all under /api and /json."""
    recipient: str | None = None
    """Only requests to send to this recipient; null: to any."""
    delay_ms: PositiveInt | None = None
    """Milliseconds that `slow` takes to answer."""
    retry_after: NonNegativeInt | Annotated[str, Field(pattern=r"^[\x20-\x7e]+$")] | None = None
    """The Retry-After header, seconds or text such as an HTTP-date; only with a 429 or 503."""

    @field_validator("retry_after")
    @classmethod
    def _only_where_it_is_sent(cls, value: int | str | None, info: ValidationInfo) -> int | str | None:
        kinds = (FaultKind.RATE_LIMITED, FaultKind.UNAVAILABLE)
        if value is not None and info.data.get("kind") not in kinds:
            raise ValueError("goes with rate_limited and unavailable only")
        return value

    @model_validator(mode="after")
    def _fields_that_go_together(self) -> Self:
        if self.recipient is not None and self.on != "send":
            raise ValueError("a recipient goes with requests to send only")
        if (self.delay_ms is not None) != (self.kind is FaultKind.SLOW):
            raise ValueError("delay_ms goes with slow, and slow with delay_ms")
        return self

    def reply(self) -> Response | None:
        """The reply that this fault is, or None when it is no reply."""
        if self.kind not in _FAULT_REPLIES:
            return None
        status, text = _FAULT_REPLIES[self.kind]
        response = _error(status, text)
        retry_after = self.retry_after
        if retry_after is None and self.kind is FaultKind.RATE_LIMITED:
            retry_after = 1
        if retry_after is not None:
            response.headers["Retry-After"] = str(retry_after)
        return response


class _Contact(BaseModel):
    canalCliente: str  # noqa: N815 - the gateway's name


class _TemplateUse(BaseModel):
    id: str = Field(alias="_id")
    variaveis: list[str] = []


class _SendRequest(BaseModel):
    """The body of POST /api/v1/template/send, as far as the simulator looks at it."""

    contato: _Contact
    template: _TemplateUse
    canal: str
    metadata: dict[str, Any] | None = None


class _JsonSendRequest(BaseModel):
    """The body of POST /json/v1/messages."""

    to: str
    template: str
    variables: list[str] = []
    reference: str | None = None


DeliveryStatus = Literal["enviado", "entregue", "lido", "erro"]
#: A message never falls back from a later one to an earlier one, whatever is told afterwards.
_DELIVERY_ORDER: tuple[DeliveryStatus, ...] = ("enviado", "entregue", "lido", "erro")


class Delivery(BaseModel):
    """What became of a message, as POST /simulator/deliveries takes it."""

    model_config = ConfigDict(extra="forbid")

    message_id: str
    status: DeliveryStatus
    at: AwareDatetime | None = None
    """When; now when not given."""
    times: Annotated[int, Field(ge=0, le=100)] = 1
    """How many times the webhook is called with it."""


class _Ledger:
    """What was accepted, in memory by message id and in an append-only file."""

    def __init__(self, path: Path) -> None:
        self.messages: dict[str, dict[str, Any]] = {}
        self.by_key: dict[str, dict[str, Any]] = {}
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab+") as file:
            file.seek(0)
            whole = 0  # bytes
            for number, line in enumerate(file, start=1):
                if not line.endswith(b"\n"):
                    break  # torn by a kill: nobody was told that it was accepted
                try:
                    self._remember(json.loads(line))
                except (ValueError, KeyError, TypeError):
                    raise ValueError(f"{path}, line {number}: not a whole ledger entry") from None
                whole += len(line)
            file.truncate(whole)
        # Flushed at each line, which so outlives a kill of this process.
        self._file = path.open("a", buffering=1, encoding="utf-8")

    def accept(
        self, recipient: str, channel_id: str, template_id: str, variables: list[str], metadata: Any
    ) -> str:
        """Write an accepted message down and return its id, which follows from its number alone."""
        sequence = len(self.messages) + 1
        entry = {
            "sequence": sequence,
            "message_id": f"65f0c0de{sequence:016x}",
            "recipient": recipient,
            "channel_id": channel_id,
            "template_id": template_id,
            "variables": variables,
            "metadata": metadata,
        }
        self._file.write(json.dumps(entry, ensure_ascii=False) + "\n")
        self._remember(entry)
        return str(entry["message_id"])

    def _remember(self, entry: dict[str, Any]) -> None:
        self.messages[entry["message_id"]] = entry
        if key := (entry.get("metadata") or {}).get("idempotency_key"):
            self.by_key[key] = entry


class _Gateway:
    """The state of the simulator and its endpoints."""

    def __init__(self, token: str, ledger: _Ledger, webhook: Webhook | None) -> None:
        self._authorization = f"Bearer {token}".encode()
        self._ledger = ledger
        self._webhook = webhook
        self._faults: list[Fault] = []
        self._send_requests = 0
        self._statuses: dict[str, DeliveryStatus] = {}

    def route(
        self, answer: Callable[[Request], Awaitable[Response]], *, is_send: bool = False
    ) -> Callable[[Request], Awaitable[Response]]:
        """An endpoint of the gateway: the fault that meets the request, or a checked token and `answer`."""

        async def endpoint(request: Request) -> Response:
            self._send_requests += is_send
            fault = await self._take_fault(request, is_send)
            if fault is None:
                return await authorized(request)
            if reply := fault.reply():
                return reply
            if fault.kind in (FaultKind.REFUSE, FaultKind.TIMEOUT_BEFORE):
                return _HangUp() if fault.kind is FaultKind.REFUSE else _Silence()
            answered = await authorized(request)
            if fault.delay_ms is not None:
                await asyncio.sleep(fault.delay_ms / 1000)
                return answered
            if fault.kind is FaultKind.CUT_REPLY:
                return _HalfReply(answered)
            return _HangUp() if fault.kind is FaultKind.DROP else _Silence()

        async def authorized(request: Request) -> Response:
            given = request.headers.get("Authorization", "").encode()
            if not hmac.compare_digest(given, self._authorization):
                return _error(401, "Token inválido")
            return await answer(request)

        return endpoint

    async def _take_fault(self, request: Request, is_send: bool) -> Fault | None:
        """The oldest fault that meets this request, counted down."""
        recipient = None
        if is_send and any(fault.recipient is not None for fault in self._faults):
            recipient = _recipient(await request.body())
        for fault in self._faults:
            if (is_send or fault.on == "all") and fault.recipient in (None, recipient):
                if fault.count is not None:
                    fault.count -= 1
                    if fault.count == 0:
                        self._faults.remove(fault)
                return fault
        return None

    async def send(self, request: Request) -> Response:
        try:
            sent = _SendRequest.model_validate_json(await request.body())
        except ValidationError as error:
            return _error(400, _summary(error))
        recipient, template = sent.contato.canalCliente, sent.template
        if problem := _refusal(recipient, sent.canal, template.id, template.variaveis):
            return _error(400, problem)
        message_id = self._ledger.accept(
            recipient, sent.canal, template.id, template.variaveis, sent.metadata
        )
        return _success({"message": "Template has been successfully sent.", "messageSentId": message_id})

    async def send_json(self, request: Request) -> Response:
        key = request.headers.get("Idempotency-Key", "")
        if not key:
            return _error(400, "Idempotency-Key: missing")
        if known := self._ledger.by_key.get(key):
            return JSONResponse({"id": known["message_id"], "status": "accepted"})
        try:
            sent = _JsonSendRequest.model_validate_json(await request.body())
        except ValidationError as error:
            return _error(400, _summary(error))
        if problem := _refusal(sent.to, CHANNEL_ID, sent.template, sent.variables):
            return _error(400, problem)
        metadata = {"idempotency_key": key, "reference": sent.reference}
        message_id = self._ledger.accept(sent.to, CHANNEL_ID, sent.template, sent.variables, metadata)
        return JSONResponse({"id": message_id, "status": "accepted"}, status_code=201)

    async def message_by_key(self, request: Request) -> Response:
        entry = self._ledger.by_key.get(request.path_params["key"])
        if entry is None:
            return _error(404, "Mensagem não encontrada")
        return JSONResponse({"id": entry["message_id"], "status": "accepted"})

    async def available(self, request: Request) -> Response:
        return JSONResponse({"available": max(0, DAILY_LIMIT - len(self._ledger.messages))})

    async def templates(self, request: Request) -> Response:
        return _success(
            [
                {"_id": template_id, "atalho": shortcut, "texto": text}
                for template_id, (shortcut, text) in TEMPLATES.items()
            ]
        )

    async def daily_limit(self, request: Request) -> Response:
        if request.path_params["channel_id"] != CHANNEL_ID:
            return _error(404, "Canal não encontrado")
        sent = len(self._ledger.messages)
        limits = {
            "messagesSent": sent,
            "dailyLimit": DAILY_LIMIT,
            "availableAmount": max(0, DAILY_LIMIT - sent),
        }
        return JSONResponse(limits)  # this one has no envelope

    async def message(self, request: Request) -> Response:
        entry = self._ledger.messages.get(request.path_params["message_id"])
        if entry is None:
            return _error(404, "Mensagem não encontrada")
        message_id = entry["message_id"]
        status = self._statuses.get(message_id, "enviado")
        return _success({"_id": message_id, "statusEnvio": {"status": status}, "metadata": entry["metadata"]})

    async def deliver(self, request: Request) -> Response:
        try:
            told = Delivery.model_validate_json(await request.body())
        except ValidationError as error:
            return JSONResponse({"errors": _problems(error)}, status_code=400)
        entry = self._ledger.messages.get(told.message_id)
        if entry is None:
            unknown = {"field": "message_id", "problem": "no such message"}
            return JSONResponse({"errors": [unknown]}, status_code=400)
        before = self._statuses.get(told.message_id, "enviado")
        self._statuses[told.message_id] = max(before, told.status, key=_DELIVERY_ORDER.index)
        event = {
            "event": "message.status",
            "data": {
                "messageSentId": told.message_id,
                "status": told.status,
                "timestamp": (told.at or datetime.now(UTC)).isoformat(),
                "metadata": entry["metadata"],
            },
        }
        return JSONResponse({"webhook": await self._call_webhook(event, told.times)})

    async def _call_webhook(self, event: dict[str, Any], times: int) -> list[int | None]:
        """The statuses that the webhook answered with, one per call; None where it did not."""
        if self._webhook is None:
            return []
        answers: list[int | None] = []
        headers = {"Authorization": f"Bearer {self._webhook.secret}"}
        timeout = aiohttp.ClientTimeout(total=10)
        async with aiohttp.ClientSession(headers=headers, timeout=timeout) as session:
            for _ in range(times):
                try:
                    async with session.post(self._webhook.url, json=event) as reply:
                        answers.append(reply.status)
                except (aiohttp.ClientError, TimeoutError):
                    answers.append(None)
        return answers

    async def add_fault(self, request: Request) -> Response:
        try:
            fault = Fault.model_validate_json(await request.body())
        except ValidationError as error:
            return JSONResponse({"errors": _problems(error)}, status_code=400)
        self._faults.append(fault)
        return JSONResponse(fault.model_dump(mode="json"), status_code=201)

    async def clear_faults(self, request: Request) -> Response:
        self._faults.clear()
        return Response(status_code=204)

    async def show_ledger(self, request: Request) -> Response:
        messages = list(self._ledger.messages.values())
        return JSONResponse({"send_requests": self._send_requests, "messages": messages})


def _recipient(body: bytes) -> str | None:
    """Whom a request to send is for; None when it does not say."""
    try:
        sent = json.loads(body)
        recipient = sent["to"] if "to" in sent else sent["contato"]["canalCliente"]
    except (ValueError, LookupError, TypeError):
        return None
    return recipient if isinstance(recipient, str) else None


def _refusal(recipient: str, channel_id: str, template_id: str, variables: list[str]) -> str | None:
    """Why a well-formed message is not accepted, or None."""
    if not re.fullmatch(r"\+[1-9][0-9]{7,14}", recipient) or recipient.endswith("0000"):
        return "contato.canalCliente: número inválido"
    if channel_id != CHANNEL_ID:
        return "canal: não encontrado"
    if template_id not in TEMPLATES:
        return "template._id: não encontrado"
    wanted = len(set(re.findall(r"\{\{\d+\}\}", TEMPLATES[template_id][1])))
    if len(variables) != wanted:
        return f"template.variaveis: esperadas {wanted}, recebidas {len(variables)}"
    return None


def _summary(error: ValidationError) -> str:
    return "; ".join(f"{problem['field']}: {problem['problem']}" for problem in _problems(error))


def _problems(error: ValidationError) -> list[dict[str, str]]:
    """Field and problem of everything that is wrong with an input; the values stay out."""
    return [
        {"field": ".".join(map(str, e["loc"])) or "body", "problem": e["msg"]}
        for e in error.errors(include_url=False, include_context=False, include_input=False)
    ]


def _success(data: Any) -> JSONResponse:
    return JSONResponse({"status": "success", "code": 200, "data": data})


def _error(status: int, text: str) -> JSONResponse:
    """A failure in the gateway's envelope; HTTP 200 with an error in it is one of its habits."""
    code = 400 if status == 200 else status
    return JSONResponse({"status": "error", "code": code, "data": {"message": text}}, status_code=status)


class _Silence(Response):
    """No reply at all: holds the connection until the client gives it up."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass


class _HangUp(_Silence):
    """No reply: resets the connection."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # ASGI has no word for this; uvicorn's `receive` is a method of the object that holds the transport
        receive.__self__.transport.abort()  # type: ignore[attr-defined]
        await super().__call__(scope, receive, send)


class _HalfReply(_Silence):
    """The first half of a reply, and the end of the connection."""

    def __init__(self, whole: Response) -> None:
        super().__init__()
        self._whole = whole

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = bytes(self._whole.body)
        await send(
            {
                "type": "http.response.start",
                "status": self._whole.status_code,
                "headers": self._whole.raw_headers,
            }
        )
        await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
        receive.__self__.transport.close()  # type: ignore[attr-defined]
        await super().__call__(scope, receive, send)
