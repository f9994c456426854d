"""The gate: nothing of the console answers before it is known who asks, and whether they may.

One ASGI middleware around everything under /rotina, files included. A route that is neither declared public
nor declared with a right is refused, whoever asks: forgetting to declare one locks it, and opens nothing.

What changes something must come from our own pages: Airflow has no token against forged requests, and its
login is a cookie. So a request of another origin is refused, and so is one in a form that any page of the
internet could send (see also the signed token of starlette-admin, which the console asks for besides).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Protocol
from urllib.parse import urlsplit

import jinja2
from airflow.api_fastapi.app import get_auth_manager
from airflow.configuration import conf
from anyio import CapacityLimiter
from fastapi import HTTPException
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rotina.console.database import WORKERS
from rotina.console.language import choose, get_locale, gettext, set_locale
from rotina.console.rights import Right, find_caller

log = logging.getLogger(__name__)

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
JSON = "application/json"
FORMS = ("multipart/form-data", "application/x-www-form-urlencoded")

#: Everything the pages load comes from here; starlette-admin's templates have scripts in them.
_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; script-src 'self' 'unsafe-inline'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:; object-src 'none'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'self'",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


class Rule(Protocol):
    """What is declared of the route that a request is for."""

    @property
    def right(self) -> Right | None:
        """What it asks for; None: nobody may."""

    @property
    def media(self) -> Sequence[str]:
        """The content types that a request with a body may have."""

    @property
    def is_file(self) -> bool:
        """Whether it is a file of the pages, which needs no database and may be kept by the browser."""


class Rules(Protocol):
    """The declared routes."""

    def find(self, scope: Scope) -> Rule | None:
        """What is declared of the route of a request; None when no route answers it.

        Raises:
            UndeclaredRouteError: a route would answer that nobody declared.
        """


class UndeclaredRouteError(LookupError):
    """A route that nobody declared a right for."""


class Gate:
    """The middleware. It puts the caller into `request.state.caller` (see rotina.console.rights)."""

    def __init__(
        self, app: ASGIApp, *, public: Sequence[BaseRoute], rules: Rules, templates: jinja2.Environment
    ) -> None:
        """
        Args:
            app: what is behind the gate.
            public: routes that need no login, because they have a protection of their own.
            rules: what is declared of the others.
            templates: has the page of a refusal.
        """
        self._app = app
        self._public = public
        self._rules = rules
        self._templates = templates
        self._turns = CapacityLimiter(WORKERS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or (scope["type"] == "http" and self._is_public(scope)):
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # nothing here speaks WebSocket
            await send({"type": "websocket.close", "code": 1008})
            return
        request = Request(scope, receive)
        set_locale(choose(request.headers.get("accept-language", "")))
        answer = await self._check(request)
        if isinstance(answer, Response):
            await answer(scope, receive, _guarded(send))
        elif answer is None or answer.is_file:
            await self._app(scope, receive, _guarded(send))
        else:
            async with self._turns:
                await self._app(scope, receive, _guarded(send, store=False))

    def _is_public(self, scope: Scope) -> bool:
        return any(route.matches(scope)[0] is Match.FULL for route in self._public)

    async def _check(self, request: Request) -> Response | Rule | None:
        """The refusal of a request; else what is declared of its route, if there is such a route."""
        try:
            caller = await find_caller(request)
        except HTTPException as error:
            return self._refuse(request, error.status_code)
        request.state.caller = caller
        try:
            rule = self._rules.find(request.scope)
        except UndeclaredRouteError:
            log.exception("Refused to everybody")
            return self._refuse(request, 403)
        if not caller.may(rule.right if rule else Right.READ):
            log.info("%s may not %s %s", caller.login, request.method, request.url.path)
            return self._refuse(request, 403)
        if "%00" in request.url.query or "\0" in request.url.path:
            return self._refuse(request, 400)
        if rule is None or request.method in SAFE_METHODS:
            return rule
        if not _is_ours(request, by_cookie=caller.by_cookie):
            log.warning("%s %s of another site is refused", request.method, request.url.path)
            return self._refuse(request, 403, gettext("The request came from another site."))
        if not _is_media(request, rule.media):
            return self._refuse(request, 415)
        return rule

    def _refuse(self, request: Request, status: int, detail: str | None = None) -> Response:
        detail = detail or _reason(status)
        headers = {"WWW-Authenticate": "Bearer"} if status == 401 else None
        if "text/html" not in request.headers.get("accept", ""):
            return JSONResponse({"detail": detail}, status, headers)
        content = self._templates.get_template("refused.html").render(
            language=get_locale(),
            status=status,
            detail=detail,
            login_url=get_auth_manager().get_url_login(next_url=str(request.url)) if status == 401 else None,
        )
        return HTMLResponse(content, status, headers)


def _reason(status: int) -> str:
    return {
        400: gettext("The address has characters that nobody can type."),
        401: gettext("You are not logged in to Airflow, or your session is over."),
        403: gettext("Your role in Airflow does not allow this."),
        415: gettext("The request is in a form that is not taken here."),
    }.get(status, gettext("This is not possible."))


def _is_ours(request: Request, *, by_cookie: bool) -> bool:
    """Whether a request comes from our own pages, or from a program that proves who it is by itself."""
    origin = request.headers.get("origin")
    if origin is None:
        # Browsers name the origin of every request that may change something.
        return not by_cookie and request.headers.get("sec-fetch-site", "none") in ("none", "same-origin")
    ours = {request.headers.get("host", ""), urlsplit(conf.get("api", "base_url", fallback="")).netloc}
    parts = urlsplit(origin)
    return parts.scheme in ("http", "https") and parts.netloc in ours - {""}


def _is_media(request: Request, media: Sequence[str]) -> bool:
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if given:
        return given in media
    has_body = request.headers.get("content-length", "0") != "0" or "transfer-encoding" in request.headers
    return not has_body


def _guarded(send: Send, *, store: bool = True) -> Send:
    """`send` with the headers that keep a page to itself."""

    async def guarded(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
            if not store:
                headers.setdefault("Cache-Control", "no-store")
        await send(message)

    return guarded
