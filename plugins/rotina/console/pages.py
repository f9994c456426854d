"""Screens that are pages of their own: handlers are plain functions, run in a thread, with a right each.

    class Clocks(Page):
        path = "/clocks"
        menu_label = _("Clocks")
        icon = "fa-solid fa-clock"
        order = 40

        @get()
        def index(self, request: Request) -> Response:
            with connect(request) as connection: ...
            return self.render(request, "clocks.html", clocks=clocks)

        @post("/{clock}/stop", Right.ACT, Stop)
        def stop(self, request: Request, body: Stop) -> dict[str, str]:
            ...  # writes an audit entry with caller_of(request).login

See docs/console.md, "Adding a screen".
"""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

import psycopg
from anyio import CapacityLimiter, to_thread
from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette_admin import CustomView

from rotina.console.database import LONG_MILLISECONDS, PAGE_MILLISECONDS, WORKERS, Database
from rotina.console.gate import FORMS, JSON
from rotina.console.language import gettext
from rotina.console.rights import Right, caller_of

Handler = TypeVar("Handler", bound=Callable[..., Any])

_workers = CapacityLimiter(WORKERS)


@dataclass(frozen=True)
class Declared:
    """A route of the console, and who may use it."""

    method: str
    path: str
    """As the router has it: `/runs/{run_id}`; keys of grids are filled in."""
    right: Right | None
    """None: nobody."""
    media: tuple[str, ...] = (*FORMS, JSON)
    """The content types that a body may have."""
    name: str | None = None
    """The action of a grid, which is told by the parameter `name`."""
    is_file: bool = False
    """Whether it is a file of the pages, which needs no database and may be kept by the browser."""


@dataclass(frozen=True)
class _Asked:
    method: str
    path: str
    right: Right


def get(path: str = "", right: Right = Right.READ) -> Callable[[Handler], Handler]:
    """Decorator of a handler that changes nothing: `handler(self, request) -> Response`.

    Args:
        path: below the path of the page, as `/{run_id}/items`; each page needs a handler of "".
        right: what it asks for.
    """
    return _route("GET", path, right, None)


def post(path: str, right: Right, body: type[BaseModel]) -> Callable[[Handler], Handler]:
    """Decorator of a handler that changes something: `handler(self, request, body) -> dict | Response`.

    It is called with JSON by `rotina.post()` of the pages' script. What does not fit `body` is answered with
    422 and the fields; a SettingError that the handler raises too.

    Args:
        path: below the path of the page.
        right: what it asks for.
        body: the form of the JSON.
    """
    return _route("POST", path, right, body)


def _route(
    method: str, path: str, right: Right, body: type[BaseModel] | None
) -> Callable[[Handler], Handler]:
    def decorate(handler: Handler) -> Handler:
        @functools.wraps(handler)
        async def endpoint(self: Page, request: Request) -> Response:
            arguments: list[Any] = [request]
            if body is not None:
                arguments.append(_parse(body, await request.body()))
            work = functools.partial(handler, self, *arguments)
            answer = await to_thread.run_sync(work, limiter=_workers)
            return answer if isinstance(answer, Response) else JSONResponse(answer)

        # What starlette_admin's own decorator notes down, and our right beside it.
        endpoint._route_path = path  # type: ignore[attr-defined]
        endpoint._route_methods = [method]  # type: ignore[attr-defined]
        endpoint._route_name = None  # type: ignore[attr-defined]
        endpoint._asked = _Asked(method, path, right)  # type: ignore[attr-defined]
        return endpoint  # type: ignore[return-value]

    return decorate


def _parse(form: type[BaseModel], body: bytes) -> BaseModel:
    # PostgreSQL takes it in no text. In JSON it is written so, and it may be in any name or value.
    if b"\\u0000" in body.replace(b"\\\\", b""):
        raise HTTPException(422, gettext("The request holds the character NUL, which nobody can type."))
    try:
        return form.model_validate_json(body or b"{}")
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        raise HTTPException(
            422, "; ".join(f"{'.'.join(map(str, one['loc'])) or 'body'}: {one['msg']}" for one in found)
        ) from None


class Page(CustomView):
    """A page of its own. Set `path`, `menu_label`, `icon` and `order`, and decorate handlers."""

    #: Where it stands in the menu; the menu of the console is in the order of these.
    order: ClassVar[int] = 100
    #: The entry of the menu that it stands under (see rotina.console.site.GROUPS); empty: one of its own.
    group: ClassVar[str | None] = None

    def __init__(self) -> None:
        super().__init__(route_name=f"{self.path.strip('/').replace('/', '-') or 'index'}")

    def is_accessible(self, request: Request) -> bool:
        """Whether it is shown in the menu of the caller."""
        return any(caller_of(request).may(one.right) for one in self.declared() if one.method == "GET")

    def is_active(self, request: Request) -> bool:
        """Whether a page of this screen is open."""
        below = f"{request.scope['root_path']}{self.path}"
        return request.url.path == below or request.url.path.startswith(f"{below.rstrip('/')}/")

    def declared(self) -> Iterator[Declared]:
        """Its routes."""
        for _, handler in inspect.getmembers(type(self), inspect.isfunction):
            asked: _Asked | None = getattr(handler, "_asked", None)
            if asked is not None:
                path = (self.path.rstrip("/") + asked.path) or "/"
                media = () if asked.method == "GET" else (JSON,)
                yield Declared(asked.method, path, asked.right, media)

    def render(self, request: Request, template: str, **context: Any) -> Response:
        """A page from one of the templates, which extends `page.html`."""
        assert self._admin is not None
        context = {"title": self.title(request), "screen": self, **context}
        return self._admin._template_response(request=request, name=template, context=context)

    def fragment(self, request: Request, template: str, **context: Any) -> Response:
        """A part of a page, for its script to fetch."""
        assert self._admin is not None
        return self._admin.templates.TemplateResponse(request=request, name=template, context=context)


class Turns:
    """Work that takes long, a little of it at a time; who comes when all turns are taken is asked to wait."""

    def __init__(self, most: int) -> None:
        """
        Args:
            most: how many may work at a time, in each process of the API server.
        """
        self._free = threading.BoundedSemaphore(most)

    @contextmanager
    def take(self) -> Iterator[None]:
        """A turn.

        Raises:
            HTTPException: 503, all are taken.
        """
        if not self._free.acquire(blocking=False):
            raise HTTPException(503, gettext("Others are at it. Try again in a moment."))
        try:
            yield
        finally:
            self._free.release()


#: All accounts are looked through, or a day is worked in rehearsal.
_previews = Turns(2)


@contextmanager
def connect_for_preview(request: Request) -> Iterator[psycopg.Connection]:
    """A connection for what takes minutes, as `connect`; few of them work at a time.

    Raises:
        HTTPException: 503, others are at it.
    """
    with _previews.take(), connect(request, LONG_MILLISECONDS) as connection:
        yield connection


def database_of(request: Request) -> Database:
    """The database of the console."""
    database: Database = request.app.state.database
    return database


def connect(
    request: Request, milliseconds: int = PAGE_MILLISECONDS
) -> AbstractContextManager[psycopg.Connection]:
    """A connection for domain code, in autocommit. For handlers of pages, which run in worker threads.

    Args:
        request: the one that is worked for.
        milliseconds: how long one statement may take.
    """
    return database_of(request).connect(milliseconds)
