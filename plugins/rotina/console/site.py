"""The console as one site: starlette-admin with our screens, our looks and our rules."""

from __future__ import annotations

import hashlib
import hmac
import importlib
import logging
import pkgutil
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

from airflow.configuration import conf
from psycopg import OperationalError
from psycopg.errors import LockNotAvailable, QueryCanceled
from sqlalchemy import exc
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Match, Mount, Route
from starlette.types import Scope
from starlette_admin import CustomView, DropDown
from starlette_admin.contrib.sqla import Admin
from starlette_admin.i18n import TimezoneConfig
from starlette_admin.logging import get_logger
from starlette_admin.routing import route
from starlette_admin.theme import DefaultTheme, TablerSettings
from starlette_admin.types import RequestAction
from starlette_admin.views import BaseView

from rotina.console import screens, words
from rotina.console.database import Database
from rotina.console.export import Export
from rotina.console.gate import UndeclaredRouteError
from rotina.console.grids import MOST_COUNTED, Grid
from rotina.console.language import FILTERS, ZONE, gettext, install
from rotina.console.language import lazy_gettext as _
from rotina.console.pages import Declared, Page
from rotina.console.rights import Right, caller_of
from rotina.errors import SettingError, SourceEmptyError

log = logging.getLogger(__name__)

Screen = Page | Grid

#: Entries of the menu that several screens stand under; a screen names one in `group`.
GROUPS: dict[str, tuple[str, str]] = {
    "maintenance": (_("Maintenance"), "fa-solid fa-screwdriver-wrench"),
}

_ROUTE_NAME = "console"
_FILES = "/static/{path}"
_DATABASE_ERRORS = (OperationalError, QueryCanceled, exc.DBAPIError, exc.TimeoutError)


class _Theme(DefaultTheme):
    """Tabler as starlette-admin has it, with the templates and files of this package above its own."""

    name = "rotina"
    package = "rotina.console"

    def template_globals(self) -> dict[str, Any]:
        return {
            "caller_of": caller_of,
            "Right": Right,
            "MOST_COUNTED": MOST_COUNTED,
            "airflow_url": airflow_url,
            "screen_url": screen_url,
            "record_url": record_url,
            **words.template_globals(),
        }


class _Home(CustomView):
    """Leads to the first screen that the caller may see."""

    path = "/"
    route_name = "index"
    add_to_menu = False

    @route("")
    async def index(self, request: Request) -> Response:
        assert self._admin is not None
        for view in _flat(self._admin._views):
            if view.is_accessible(request):
                return RedirectResponse(screen_url(request, view))
        raise HTTPException(403)


class Console(Admin):
    """The site, with the screens of rotina.console.screens."""

    def __init__(self, database: Database) -> None:
        get_logger("starlette_admin").setLevel("WARNING")  # it logs every request, and what forms say
        install()
        self.database = database
        super().__init__(
            database.sessions,
            title="Rotina",
            base_url="",
            route_name=_ROUTE_NAME,
            templates_dir=str(Path(__file__).parent / "templates"),
            index_view=_Home(),
            theme=_Theme(TablerSettings(base="gray", primary="blue")),
            secret_key=_secret_key(),
            timezone_config=TimezoneConfig(
                default_timezone=str(ZONE), timezone_cookie_name=None, use_user_locale_timezone=False
            ),
        )
        self.templates.env.filters.update(FILTERS)
        self.routes = [one for one in self.routes if one.name != "file"]  # we keep no uploads
        self.screens = sorted((screen() for screen in _find_screens()), key=lambda screen: screen.order)
        self._build_menu()

    def mount_to(self, app: Starlette) -> None:
        """Mount the site, and answer what the database and the domain code complain about."""
        super().mount_to(app)
        self._host = app
        self.app.state.database = self.database
        for error in (HTTPException, SettingError, SourceEmptyError, *_DATABASE_ERRORS):
            self.app.add_exception_handler(error, self._render_problem)

    # -- rules ----------------------------------------------------------------------------------------------

    @cached_property
    def declared(self) -> list[Declared]:
        """Every route and who may use it."""
        own = [Declared("GET", "/", Right.READ), Declared("GET", _FILES, Right.READ, is_file=True)]
        return own + [one for screen in self.screens for one in screen.declared()]

    def find(self, scope: Scope) -> Declared | None:
        """What is declared of the route of a request; None when none answers it.

        Raises:
            UndeclaredRouteError: a route would answer that nobody declared.
        """
        beside = [one for one in self._host.routes if getattr(one, "app", None) is not self.app]
        for candidate in (*beside, *self.app.routes):
            match, child = candidate.matches(scope)
            if match is Match.FULL:
                return self._declared_of(cast(Route | Mount, candidate), {**scope, **child})
        return None

    def _declared_of(self, found: Route | Mount, scope: Scope) -> Declared | None:
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        path, name = _FILES if found.path == "/static" else found.path, None
        if "{key}" in path:
            key = scope["path_params"]["key"]
            if not any(isinstance(screen, Grid) and screen.key == key for screen in self.screens):
                return None
            path = path.replace("{key}", key)
            name = Request(scope).query_params.get("name") if path.endswith("action") else None
        for one in self.declared:
            if (one.method, one.path, one.name) == (method, path, name):
                return one
        raise UndeclaredRouteError(f"nobody declared {method} {path}" + (f" {name}" if name else ""))

    # -- what starlette-admin has not -----------------------------------------------------------------------

    @route("/{key}/export", methods=["GET"], name="export")
    async def _export(self, request: Request) -> Response:
        """The rows of a grid, as its list is searched, filtered and sorted."""
        request.state.action = RequestAction.EXPORT
        view = self._find_view_by_key(request.path_params["key"])
        assert isinstance(view, Grid)
        asked = view._parse_list_params(request)
        query = await view.filtered(request, view.get_list_query(request), asked.q, asked.filters)
        query = view.build_order_clauses(request, asked.sorts, query.order_by(None))
        return Export(self.database, str(view.key), view.export_columns(request), query)

    def _build_menu(self) -> None:
        groups: dict[str, list[Screen]] = {}
        for screen in self.screens:
            if screen.group is None:
                self.add_view(screen)
            elif screen.group in groups:
                groups[screen.group].append(screen)
            else:
                groups[screen.group] = [screen]
        for name, members in groups.items():
            label, icon = GROUPS[name]
            self.add_view(DropDown(label, list(members), icon=icon, always_open=False))

    async def _render_problem(self, request: Request, error: Exception) -> Response:
        """A refusal as the caller can read it: a page, or JSON for the pages' scripts."""
        problem = _problem(error)
        if "text/html" in request.headers.get("accept", ""):
            return await self._render_error(request, problem)
        return JSONResponse({"detail": problem.detail}, problem.status_code)


def airflow_url(request: Request, path: str) -> str:
    """The address of a page of Airflow, behind whatever prefix it is: `dags/birthday_emails/runs/…`.

    Links to it need the attribute `data-airflow`: the console stands in a frame of Airflow's page.
    """
    return f"{request.scope.get('app_root_path', '')}/{path}"


def screen_url(request: Request, screen: Screen) -> str:
    """The address of a screen."""
    if isinstance(screen, Grid):
        return str(request.url_for(f"{_ROUTE_NAME}:list", key=screen.key))
    return str(request.url_for(f"{_ROUTE_NAME}:{screen.route_name}"))


def record_url(request: Request, kind: str, key: str) -> str | None:
    """The address where a record is shown; None when no screen shows its kind (words.RECORD_PAGES)."""
    page = words.RECORD_PAGES.get(kind)
    return f"{request.scope['root_path']}{page.format(id=quote(key, safe=''))}" if page else None


def _find_screens() -> Iterator[type[Screen]]:
    """The screens of every module in rotina.console.screens."""
    for module in sorted(pkgutil.iter_modules(screens.__path__), key=lambda found: found.name):
        yield from importlib.import_module(f"{screens.__name__}.{module.name}").SCREENS


def _flat(views: list[BaseView]) -> Iterator[Any]:
    for view in views:
        if isinstance(view, DropDown):
            yield from _flat(view.views)
        elif isinstance(view, Page | Grid):
            yield view


def _secret_key() -> str:
    """Signs the cookies of the console; all API servers have the same, derived from Airflow's own."""
    key = conf.get_mandatory_value("api", "secret_key").encode()
    return hmac.new(key, b"rotina console", hashlib.sha256).hexdigest()


def _problem(error: Exception) -> HTTPException:
    """What an error means to the caller.

    Raises:
        Exception: it is none that they can do something about.
    """
    if isinstance(error, HTTPException):
        return error
    if isinstance(error, SettingError):
        return HTTPException(422, str(error))
    if isinstance(error, SourceEmptyError):
        said = gettext("No rows in %(tables)s of the ERP: a load is under way or failed. Try again later.")
        return HTTPException(503, said % {"tables": error.tables})
    cause = getattr(error, "orig", error)
    log.warning("The database refused: %s", type(cause).__name__)
    if isinstance(cause, LockNotAvailable):
        return HTTPException(503, gettext("Others are at it. Try again in a moment."))
    if isinstance(error, exc.DBAPIError) and not isinstance(
        cause, OperationalError | QueryCanceled
    ):  # a mistake of ours
        raise error
    return HTTPException(503, gettext("The database does not answer, or took too long. Try again."))
