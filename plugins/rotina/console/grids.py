"""Screens that are grids over a model: filters, columns, details, export, forms that domain code saves.

    class Teams(Grid):
        model = Team
        key = "team"
        menu_label = _("Teams")
        fields = [IntegerField("id", _("Number")), StringField("name", _("Name"))]
        search_columns = [Team.name]
        right_to_edit = Right.MAINTAIN

        def save(self, connection, data, login, pk):
            return save_team(connection, TeamSettings(**data), login)

A grid reads through SQLAlchemy. It never writes through it: starlette-admin's own saving would wait in the
event loop, sets what a form leaves out to NULL, and knows neither our checks nor our audit. `save` and
`remove` call the domain code instead, in a worker thread, with a connection as ErpHook makes them.

Counts stop at MOST_COUNTED, so a list costs the same however many rows there are. A grid that is `large` is
paged by its key (before, after) and not by a number of rows to skip.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import psycopg
from anyio import CapacityLimiter, to_thread
from sqlalchemy import ColumnElement, Select, func, or_, select
from sqlalchemy.exc import DataError
from sqlalchemy.orm import InstrumentedAttribute
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette_admin import IntegerField
from starlette_admin.contrib.sqla import ModelView
from starlette_admin.exceptions import ActionFailed, FormValidationError
from starlette_admin.filters import FilterGroup
from starlette_admin.types import RequestAction

from rotina.console.database import WORKERS
from rotina.console.export import Columns
from rotina.console.gate import FORMS
from rotina.console.pages import Declared, connect
from rotina.console.rights import Right, caller_of
from rotina.errors import SettingError

#: Rows are counted up to here; beyond, there are "more than".
MOST_COUNTED = 10_000

_workers = CapacityLimiter(WORKERS)


class Grid(ModelView):
    """A grid. Set `model`, `key`, `menu_label`, `fields`; the rest is as starlette_admin.ModelView has it."""

    model: type[Any]
    order: ClassVar[int] = 100
    group: ClassVar[str | None] = None

    right_to_read: ClassVar[Right] = Right.READ
    #: None: nobody.
    right_to_create: ClassVar[Right | None] = None
    right_to_edit: ClassVar[Right | None] = None
    right_to_delete: ClassVar[Right | None] = None

    #: The attribute of a row that its page is headed by; None: its key.
    title_field: ClassVar[str | None] = None

    #: What the search looks through, for a part of the text; where there are many rows, with a trigram index,
    #: or by an own `get_search_query`. Empty: no search.
    search_columns: ClassVar[Sequence[InstrumentedAttribute[Any]]] = ()
    #: Whether there may be so many rows that pages are counted from the newest by their key.
    large: ClassVar[bool] = False

    list_template = "grid.html"
    detail_template = "grid_detail.html"
    exporters: Sequence[Any] = ()
    importers: Sequence[Any] = ()
    actions: Sequence[str] | None = None
    page_size = 25
    page_size_options: Sequence[int] = (25, 50, 100)

    def __init__(self) -> None:
        super().__init__(type(self).model)

    # -- what a subclass may fill in ------------------------------------------------------------------------

    def save(self, connection: psycopg.Connection, data: dict[str, Any], login: str, pk: str | None) -> Any:
        """Save what a form says, in a worker thread; returns the key of the row.

        Args:
            connection: as ErpHook makes it.
            data: the value of each field of the form, by its name.
            login: who saves it, for the audit entry that this must write.
            pk: the key of the row that is edited; None for a new one.

        Raises:
            SettingError: a value is wrong; it is shown at the field of that name.
        """
        raise NotImplementedError

    def remove(self, connection: psycopg.Connection, pk: str, login: str) -> None:
        """Delete a row, in a worker thread; writes an audit entry.

        Raises:
            SettingError: it is needed.
        """
        raise NotImplementedError

    def export_columns(self, request: Request) -> Columns:
        """The title and the expression of each column of the export: those of the model among the fields."""
        fields = self.get_fields_list(request, action=RequestAction.EXPORT)
        return [
            (str(field.label), getattr(self.model, field.name))
            for field in fields
            if field.name in self._columns
        ]

    # -- rights ---------------------------------------------------------------------------------------------

    def declared(self) -> Iterator[Declared]:
        """Its routes."""
        api = f"/_api/{self.key}"
        for path in (f"/{self.key}/list", f"/{self.key}/detail", f"/{self.key}/export"):
            yield Declared("GET", path, self.right_to_read)
        yield Declared("GET", f"{api}/relation-lookup", self.right_to_read)
        yield Declared("GET", f"{api}/inline-edit/row", self.right_to_read)
        for what, right in (("create", self.right_to_create), ("edit", self.right_to_edit)):
            for method in ("GET", "POST"):
                yield Declared(method, f"/{self.key}/{what}", right, FORMS)
        for method in ("GET", "POST"):
            right = self.right_to_edit if self.inline_editable_fields else None
            yield Declared(method, f"{api}/inline-edit", right, FORMS)
        yield Declared("POST", f"{api}/import", None)
        for name in self._actions_handlers:
            yield Declared("POST", f"{api}/action", self._right_of(name), FORMS, name)
        for name in self._row_actions_handlers:
            right = None if name in ("view", "edit") else self._right_of(name)  # those are links
            yield Declared("POST", f"{api}/row-action", right, FORMS, name)

    def _right_of(self, action: str) -> Right | None:
        """What an action of starlette-admin asks for; of others there are none, and the export is ours."""
        rights = {"view": self.right_to_read, "edit": self.right_to_edit, "delete": self.right_to_delete}
        return rights.get(action)

    def numbers(self) -> list[str]:
        """The columns of whole numbers, which are aligned by their last digits."""
        return [one.name for one in self.fields if isinstance(one, IntegerField)]

    def is_accessible(self, request: Request) -> bool:
        return caller_of(request).may(self.right_to_read)

    def can_create(self, request: Request) -> bool:
        return caller_of(request).may(self.right_to_create)

    def can_edit(self, request: Request) -> bool:
        return caller_of(request).may(self.right_to_edit)

    def can_delete(self, request: Request) -> bool:
        return caller_of(request).may(self.right_to_delete)

    def can_export(self, request: Request) -> bool:
        return False  # ours is `export` of the site

    def can_import(self, request: Request) -> bool:
        return False

    async def is_action_allowed(self, request: Request, name: str) -> bool:
        return caller_of(request).may(self._right_of(name))

    async def is_row_action_allowed(self, request: Request, name: str) -> bool:
        return caller_of(request).may(self._right_of(name))

    # -- reading --------------------------------------------------------------------------------------------

    def get_search_query(self, request: Request, term: str) -> ColumnElement[bool]:
        """Rows that have the term in one of the searched columns."""
        return or_(*(column.icontains(term, autoescape=True) for column in self.search_columns))

    async def filtered(
        self, request: Request, query: Select[Any], q: str | None, filters: FilterGroup | None
    ) -> Select[Any]:
        """The rows of a query that are searched and filtered for."""
        term = q if self.search_columns else None
        found: Select[Any] = await self._apply_search_and_filters(request, query, term, filters)
        return found

    async def count(self, request: Request, q: str | None = None, filters: FilterGroup | None = None) -> int:
        """How many rows match, or MOST_COUNTED + 1 when there are more than that."""
        matching = await self.filtered(request, self.get_list_query(request), q, filters)
        some = matching.with_only_columns(*self.model.__table__.primary_key).order_by(None)
        counted = select(func.count()).select_from(some.limit(MOST_COUNTED + 1).subquery())
        result = await to_thread.run_sync(request.state.session.execute, counted)
        return int(result.scalar_one())

    async def find_all(
        self,
        request: Request,
        skip: int = 0,
        limit: int = 100,
        q: str | None = None,
        sorts: Sequence[tuple[str, str]] | None = None,
        filters: FilterGroup | None = None,
    ) -> Sequence[Any]:
        """The rows of a page; of a large grid those after or before the key that the address names."""
        if not self.search_columns:
            q = None
        try:
            if self.large and request.state.action is RequestAction.LIST:
                return await self._page_by_key(request, limit, q, filters)
            # Nobody comes further by paging than rows are counted.
            skip = min(skip, MOST_COUNTED)
            found: Sequence[Any] = await super().find_all(request, skip, limit, q, sorts, filters)
        except DataError as error:
            raise HTTPException(400, f"Invalid 'filter' parameter: {error.orig}") from error
        return found

    async def _page_by_key(
        self, request: Request, limit: int, q: str | None, filters: FilterGroup | None
    ) -> Sequence[Any]:
        """The newest rows; with `after` those that follow a key downwards, with `before` those above it."""
        key = self._pk_column
        assert isinstance(key, InstrumentedAttribute)
        query = await self.filtered(request, self.get_list_query(request), q, filters)
        before, after = (self._key_of(request.query_params.get(name)) for name in ("before", "after"))
        if before is not None:
            query = query.where(key > before).order_by(key.asc())
        else:
            query = query.order_by(key.desc())
            query = query if after is None else query.where(key < after)
        result = await to_thread.run_sync(request.state.session.execute, query.limit(limit + 1))
        rows = list(result.scalars())
        more, rows = len(rows) > limit, rows[:limit]
        if before is not None:
            rows.reverse()
        newer, older = (more, True) if before is not None else (after is not None, more)
        request.state.newer = rows[0] if rows and newer else None
        request.state.older = rows[-1] if rows and older else None
        return rows

    def _key_of(self, value: str | None) -> int | None:
        return int(value) if value and value.isascii() and value.isdigit() and len(value) < 19 else None

    async def find_by_pk(self, request: Request, pk: Any) -> Any:
        """The row of a key; None when there is none, and for what can be no key."""
        try:
            return await super().find_by_pk(request, pk)
        except (TypeError, ValueError, DataError):
            return None

    # -- writing --------------------------------------------------------------------------------------------

    async def create(self, request: Request, data: dict[str, Any]) -> Any:
        return await self._save(request, data, None)

    async def edit(self, request: Request, pk: Any, data: dict[str, Any]) -> Any:
        return await self._save(request, data, pk)

    async def delete(self, request: Request, pks: list[Any]) -> int:
        def work() -> None:
            with connect(request) as connection:
                for pk in pks:
                    self.remove(connection, pk, caller_of(request).login)

        try:
            await to_thread.run_sync(work, limiter=_workers)
        except SettingError as error:
            raise ActionFailed(self.refusal(error)) from error
        return len(pks)

    def refusal(self, error: SettingError) -> str:
        """Why a row stays, as it is told."""
        return str(error)

    async def _save(self, request: Request, data: dict[str, Any], pk: str | None) -> Any:
        await self.validate(request, data)

        def work() -> Any:
            with connect(request) as connection:
                return self.save(connection, data, caller_of(request).login, pk)

        try:
            key = await to_thread.run_sync(work, limiter=_workers)
        except SettingError as error:
            raise FormValidationError(self._errors_of(request, error)) from error
        request.state.session.expire_all()
        return await self.find_by_pk(request, str(key))

    def _errors_of(self, request: Request, error: SettingError) -> dict[str | int, Any]:
        """The error at the field that it names, else at the first one."""
        names = [field.name for field in self.get_fields_list(request)]
        field = error.field.partition(",")[0].partition(".")[0]
        return {field: error.problem} if field in names else {names[0]: str(error)}
