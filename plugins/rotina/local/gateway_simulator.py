"""A message gateway to develop and test against: the API of Opa! Suite, a ledger, and failures on request.

Loopback only, one process: the control paths under /simulator ask for no token.
"""

from __future__ import annotations

import hmac
import json
import re
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

import uvicorn
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveInt,
    ValidationError,
    field_validator,
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


def create_app(token: str, ledger: Path) -> Starlette:
    """The simulator as an ASGI application, to be run by uvicorn in one process.

    Args:
        token: the bearer token that the gateway's own paths ask for.
        ledger: file of the accepted messages, one JSON object per line; made when it is not there, read
            when it is, so that a restart goes on where it stopped.

    Raises:
        ValueError: a blank token, or a ledger with a line that is not whole.
    """
    if not token.strip():
        raise ValueError("token is blank")
    gateway = _Gateway(token, _Ledger(ledger))
    channel = "/api/v1/canal-comunicacao/{channel_id}/template/limites-diarios-envio"
    return Starlette(
        routes=[
            Route("/api/v1/template/send", gateway.route(gateway.send, is_send=True), methods=["POST"]),
            Route("/api/v1/template", gateway.route(gateway.templates)),
            Route(channel, gateway.route(gateway.daily_limit)),
            Route("/api/v1/atendimento/mensagem/{message_id}", gateway.route(gateway.message)),
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
    RATE_LIMITED = "rate_limited"
    UNAVAILABLE = "unavailable"
    ERROR_500 = "error_500"
    UNAUTHORIZED = "unauthorized"
    ERROR_BODY = "error_body"
    IN_ATTENDANCE = "in_attendance"


#: The faults that are a reply: HTTP status, text.
_FAULT_REPLIES = {
    FaultKind.RATE_LIMITED: (429, "Limite de requisições excedido"),
    FaultKind.UNAVAILABLE: (503, "Serviço temporariamente indisponível"),
    FaultKind.ERROR_500: (500, "Erro interno"),
    FaultKind.UNAUTHORIZED: (401, "Token inválido"),
    FaultKind.ERROR_BODY: (200, "Não foi possível enviar o template"),
    FaultKind.IN_ATTENDANCE: (400, "Contato já está em atendimento"),
}


class Fault(BaseModel):
    """An order to fail, as POST /simulator/faults takes it."""

    model_config = ConfigDict(extra="forbid", strict=True)

    kind: FaultKind
    count: PositiveInt | None = 1
    """How many requests it meets; null: all, until the faults are cleared."""
    on: Literal["send", "all"] = "send"
    """Which requests it meets: POST /api/v1/template/send, or all under /api."""
    retry_after: NonNegativeInt | Annotated[str, Field(pattern=r"^[\x20-\x7e]+$")] | None = None
    """The Retry-After header, seconds or text such as an HTTP-date; only with a 429 or 503."""

    @field_validator("retry_after")
    @classmethod
    def _only_where_it_is_sent(cls, value: int | str | None, info: ValidationInfo) -> int | str | None:
        kinds = (FaultKind.RATE_LIMITED, FaultKind.UNAVAILABLE)
        if value is not None and info.data.get("kind") not in kinds:
            raise ValueError("goes with rate_limited and unavailable only")
        return value

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


class _Ledger:
    """What was accepted, in memory by message id and in an append-only file."""

    def __init__(self, path: Path) -> None:
        self.messages: dict[str, dict[str, Any]] = {}
        if path.exists():
            for number, line in enumerate(path.read_text().splitlines(keepends=True), start=1):
                try:
                    entry = json.loads(line)
                    self.messages[entry["message_id"]] = entry
                except (ValueError, KeyError, TypeError):
                    raise ValueError(f"{path}, line {number}: not a whole ledger entry") from None
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("a", buffering=1)  # flushed at each line

    def accept(self, sent: _SendRequest) -> str:
        """Write an accepted message down and return its id, which follows from its number alone."""
        sequence = len(self.messages) + 1
        message_id = f"65f0c0de{sequence:016x}"
        entry = {
            "sequence": sequence,
            "message_id": message_id,
            "recipient": sent.contato.canalCliente,
            "channel_id": sent.canal,
            "template_id": sent.template.id,
            "variables": sent.template.variaveis,
            "metadata": sent.metadata,
        }
        self._file.write(json.dumps(entry, ensure_ascii=False) + "\n")
        self.messages[message_id] = entry
        return message_id


class _Gateway:
    """The state of the simulator and its endpoints."""

    def __init__(self, token: str, ledger: _Ledger) -> None:
        self._authorization = f"Bearer {token}".encode()
        self._ledger = ledger
        self._faults: list[Fault] = []
        self._send_requests = 0

    def route(
        self, answer: Callable[[Request], Awaitable[Response]], *, is_send: bool = False
    ) -> Callable[[Request], Awaitable[Response]]:
        """An endpoint of the gateway: the fault that meets the request, or a checked token and `answer`."""

        async def endpoint(request: Request) -> Response:
            self._send_requests += is_send
            fault = self._take_fault(is_send)
            if fault is None:
                return await authorized(request)
            if reply := fault.reply():
                return reply
            if fault.kind in (FaultKind.TIMEOUT_AFTER, FaultKind.DROP):
                await authorized(request)
            return _HangUp() if fault.kind in (FaultKind.REFUSE, FaultKind.DROP) else _Silence()

        async def authorized(request: Request) -> Response:
            given = request.headers.get("Authorization", "").encode()
            if not hmac.compare_digest(given, self._authorization):
                return _error(401, "Token inválido")
            return await answer(request)

        return endpoint

    def _take_fault(self, is_send: bool) -> Fault | None:
        """The oldest fault that meets this kind of request, counted down."""
        for fault in self._faults:
            if is_send or fault.on == "all":
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
            return _error(400, "; ".join(f"{e['field']}: {e['problem']}" for e in _problems(error)))
        if problem := _refusal(sent):
            return _error(400, problem)
        message_id = self._ledger.accept(sent)
        return _success({"message": "Template has been successfully sent.", "messageSentId": message_id})

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
        return _success(
            {"_id": entry["message_id"], "statusEnvio": {"status": "enviado"}, "metadata": entry["metadata"]}
        )

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


def _refusal(sent: _SendRequest) -> str | None:
    """Why a well-formed message is not accepted, or None."""
    recipient = sent.contato.canalCliente
    if not re.fullmatch(r"\+[1-9][0-9]{7,14}", recipient) or recipient.endswith("0000"):
        return "contato.canalCliente: número inválido"
    if sent.canal != CHANNEL_ID:
        return "canal: não encontrado"
    if sent.template.id not in TEMPLATES:
        return "template._id: não encontrado"
    wanted = len(set(re.findall(r"\{\{\d+\}\}", TEMPLATES[sent.template.id][1])))
    if len(sent.template.variaveis) != wanted:
        return f"template.variaveis: esperadas {wanted}, recebidas {len(sent.template.variaveis)}"
    return None


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
