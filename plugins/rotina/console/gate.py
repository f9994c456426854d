"""The gate: nothing of the console answers before it is known who asks, and whether they may.

One ASGI middleware around everything under /rotina, files included. A route that is neither declared public
nor declared with a right is refused, whoever asks: forgetting to declare one locks it, and opens nothing.

What changes something must come from our own pages: Airflow has no token against forged requests, and its
login is a cookie. So a request of another origin is refused, and so is one in a form that any page of the
internet could send (see also the signed token of starlette-admin, which the console asks for besides).
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Protocol
from urllib.parse import urlsplit
from weakref import WeakValueDictionary

import jinja2
from airflow.api_fastapi.app import get_auth_manager
from airflow.configuration import conf
from anyio import CapacityLimiter, fail_after
from starlette.datastructures import MutableHeaders, URLPath
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Match, Router
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rotina.console.database import WORKERS
from rotina.console.language import choose, get_locale, gettext, set_locale
from rotina.console.rights import Right, caller_of, find_login

log = logging.getLogger(__name__)

#: Requests of one login that work at a time; further ones wait, and leave room for the others.
WORKERS_PER_LOGIN = WORKERS - 2
#: How long a request waits for its turn, and how long its body may take to arrive (seconds).
TURN_SECONDS = 20
BODY_SECONDS = 30
#: The longest body, which is that of an e-mail template (bytes).
MOST_BYTES = 2_000_000

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
        self._turns = _Turns()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or (scope["type"] == "http" and self._is_public(scope)):
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # nothing here speaks WebSocket
            await send({"type": "websocket.close", "code": 1008})
            return
        request = Request(scope, receive)
        set_locale(choose(request.headers.get("accept-language", "")))
        try:
            rule = await self._check(request)
            if rule is None or rule.is_file:
                await self._app(_placed(scope), receive, _guarded(send, keep=rule is not None))
                return
            # Before it has its turn: a body that never ends must keep nobody else waiting.
            receive = await _read(request)
            async with self._turns.of(caller_of(request).login):
                await self._app(_placed(scope), receive, _guarded(send))
        except ClientDisconnect:
            log.info("Nobody waits for the answer to %s %s any more", request.method, request.url.path)
        except HTTPException as refusal:
            answer = self._refuse(request, refusal.status_code, refusal.detail)
            await answer(scope, receive, _guarded(send))

    def _is_public(self, scope: Scope) -> bool:
        return any(route.matches(scope)[0] is Match.FULL for route in self._public)

    async def _check(self, request: Request) -> Rule | None:
        """What is declared of the route of a request, if there is such a route.

        Raises:
            HTTPException: it is refused.
        """
        try:
            login = await find_login(request)
        except HTTPException as error:
            raise _refusal(error.status_code) from error
        try:
            rule = self._rules.find(request.scope)
        except UndeclaredRouteError as error:
            log.exception("Refused to everybody")
            raise _refusal(403) from error
        except ValueError as error:  # a number in the address with thousands of digits
            raise _refusal(404) from error
        if rule is not None and rule.is_file:
            return rule
        caller = request.state.caller = await login.caller()
        if not caller.may(rule.right if rule else Right.READ):
            log.info("%s may not %s %s", caller.login, request.method, request.url.path)
            raise _refusal(403)
        if "%00" in request.url.query or "\0" in request.url.path:
            raise _refusal(400)
        if rule is None or request.method in SAFE_METHODS:
            return rule
        if not _is_ours(request, by_cookie=caller.by_cookie):
            log.warning("%s %s of another site is refused", request.method, request.url.path)
            raise HTTPException(403, gettext("The request came from another site."))
        if not _is_media(request, rule.media):
            raise _refusal(415)
        return rule

    def _refuse(self, request: Request, status: int, detail: str) -> Response:
        headers = {"WWW-Authenticate": "Bearer"} if status == 401 else None
        if "text/html" not in request.headers.get("accept", ""):
            return JSONResponse({"detail": detail}, status, headers)
        content = self._templates.get_template("refused.html").render(
            language=get_locale(),
            status=status,
            detail=detail,
            login_url=_login_url(request) if status == 401 else None,
        )
        return HTMLResponse(content, status, headers)


class _Turns:
    """Who may be at work behind the gate at the same time: some requests, and fewer of one login."""

    def __init__(self) -> None:
        self._all = CapacityLimiter(WORKERS)
        # Of those who ask now; the others' are forgotten.
        self._own: WeakValueDictionary[str, CapacityLimiter] = WeakValueDictionary()

    @asynccontextmanager
    async def of(self, login: str) -> AsyncIterator[None]:
        """The turn of a request.

        Raises:
            HTTPException: 503, the others are at it for too long.
        """
        own = self._own.setdefault(login, CapacityLimiter(WORKERS_PER_LOGIN))
        async with AsyncExitStack() as stack:
            try:
                with fail_after(TURN_SECONDS):
                    await stack.enter_async_context(own)
                    await stack.enter_async_context(self._all)
            except TimeoutError as error:
                raise _refusal(503) from error
            yield


async def _read(request: Request) -> Receive:
    """A `receive` that has the body of a request already.

    Raises:
        HTTPException: 408 or 413, it takes too long or is too long.
    """
    body = bytearray()
    try:
        with fail_after(BODY_SECONDS):
            async for piece in request.stream():
                body += piece
                if len(body) > MOST_BYTES:
                    raise _refusal(413)
    except TimeoutError as error:
        raise _refusal(408) from error
    messages: list[Message] = [{"type": "http.request", "body": bytes(body), "more_body": False}]

    async def receive() -> Message:
        return messages.pop() if messages else await request.receive()

    return receive


class _Paths:
    """Makes the addresses of a router without a scheme."""

    def __init__(self, router: Router) -> None:
        self._router = router

    def url_path_for(self, name: str, /, **parameters: Any) -> URLPath:
        """As Router.url_path_for, which `request.url_for` calls."""
        return URLPath(str(self._router.url_path_for(name, **parameters)))


def _placed(scope: Scope) -> Scope:
    """The scope of a request that knows no host, so that every address that is made of it is a path.

    What stands in front of Airflow may have another name, and speak TLS: only the browser knows.
    """
    headers = [(name, value) for name, value in scope["headers"] if name != b"host"]
    return {**scope, "headers": headers, "server": None, "scheme": "", "router": _Paths(scope["router"])}


def _login_url(request: Request) -> str:
    """Where Airflow logs people in, and leads back from."""
    here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return get_auth_manager().get_url_login(next_url=here)


def _refusal(status: int) -> HTTPException:
    return HTTPException(status, _reason(status))


def _reason(status: int) -> str:
    return {
        400: gettext("The address has characters that nobody can type."),
        401: gettext("You are not logged in to Airflow, or your session is over."),
        403: gettext("Your role in Airflow does not allow this."),
        404: gettext("There is no such page or record."),
        408: gettext("The request did not arrive in time. Try again."),
        413: gettext("The request is too long."),
        415: gettext("The request is in a form that is not taken here."),
        503: gettext("Others are at it. Try again in a moment."),
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


def _guarded(send: Send, *, keep: bool = False) -> Send:
    """`send` with the headers that keep a page to itself; what may be kept is asked for anew."""

    async def guarded(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
            headers.setdefault("Cache-Control", "no-cache" if keep else "no-store")
        await send(message)

    return guarded
