"""What the grids of the maintenance group share: forms, choices out of the database, the filter builder.

Their models here are read models: classes over the tables of rotina.models, with the names that keys refer
to, so that a list is one statement and a form speaks of names, as the domain code does.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

import psycopg
from anyio import to_thread
from psycopg.rows import scalar_row
from sqlalchemy import Select, select
from sqlalchemy.orm import InstrumentedAttribute
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette_admin import BaseField, DateTimeField, EnumField, TextAreaField
from starlette_admin.exceptions import FormValidationError

from rotina.accounts.filters import FIELDS
from rotina.accounts.filters.language import OPERATORS
from rotina.console.codes import describe, title_of, word
from rotina.console.grids import Grid
from rotina.console.language import gettext, instant, moment
from rotina.console.problems import problem_in_words
from rotina.console.rights import Right
from rotina.errors import SettingError
from rotina.expressions import execute
from rotina.models import AccountClass


class MaintenanceGrid(Grid):
    """A grid of the maintenance group: everybody reads, who maintains changes."""

    group = "maintenance"
    right_to_create: ClassVar[Right | None] = Right.MAINTAIN
    right_to_edit: ClassVar[Right | None] = Right.MAINTAIN
    create_template = "maintenance_create.html"
    edit_template = "maintenance_edit.html"

    title_field: ClassVar[str] = "name"
    help: ClassVar[str | None] = None
    #: What stands below the form; the button of a preview, and where it is asked for, below /rotina/.
    form_after_template: ClassVar[str | None] = "form_preview.html"
    preview_path: ClassVar[str | None] = None
    preview_button: ClassVar[str | None] = None
    form_script: ClassVar[str] = "filter_builder.js"
    #: What saving does to others, told before it is done.
    effect: ClassVar[str | None] = None

    #: The field of the form that an error is shown at, where the domain code calls it by another name.
    fields_of_errors: ClassVar[dict[str, str]] = {}

    def explanation(self) -> str:
        """What the form says above its fields."""
        return str(self.help or "")

    async def repr(self, obj: Any, request: Request) -> str:
        """What a record is called, where it is told that it was saved."""
        return str(getattr(obj, self.title_field))

    def version(self, obj: Any) -> str:
        """Tells whether a record is still as it was when its form was opened."""
        names = [one.name for one in self.fields if isinstance(one, BaseField)]
        state = [getattr(obj, name) for name in names if hasattr(obj, name)]
        return hashlib.sha256(repr(state).encode()).hexdigest()[:16]

    async def edit(self, request: Request, pk: Any, data: dict[str, Any]) -> Any:
        """Save, unless somebody else has meanwhile saved what this form does not show."""
        seen = (await request.form()).get("_version")
        obj = await self.find_by_pk(request, pk)
        if seen and obj is not None and seen != self.version(obj):
            raise FormValidationError({"": self._changed_meanwhile(obj)})
        return await super().edit(request, pk, data)

    def _changed_meanwhile(self, obj: Any) -> str:
        who, when = getattr(obj, "updated_by", None), getattr(obj, "updated_at", None)
        by = f" ({who}, {moment(when)})" if who and when else ""
        return gettext(
            "Somebody else changed this while you had it open%(by)s. Open it again to see what there is now; "
            "saving once more puts yours in its place."
        ) % {"by": by}

    def refusal(self, error: SettingError) -> str:
        """Why a row stays, in the language of the caller."""
        return f"{error.value}: {problem_in_words(error.problem)}"

    @classmethod
    @contextmanager
    def preview_errors(cls) -> Iterator[None]:
        """What a preview is refused for names the fields as the form does.

        Raises:
            SettingError: the one that was raised within, in words.
        """
        try:
            yield
        except SettingError as error:
            ((name, words),) = cls._told(error).items()
            field = cls._field_of(name)
            raise SettingError(name if field is None else str(field.label), None, words) from None

    def _errors_of(self, request: Request, error: SettingError) -> dict[str | int, Any]:
        """The error at its field; one within a field says where."""
        ((name, words),) = self._told(error).items()
        return super()._errors_of(request, SettingError(name, None, words))

    @classmethod
    def _told(cls, error: SettingError) -> dict[str, str]:
        """The field of the form that an error is about, and what is wrong with it."""
        name, _, rest = error.field.partition(".")
        words = problem_in_words(error.problem)
        if place := ".".join(str(int(one) + 1) for one in re.findall(r"(?:all|any)\[(\d+)\]", error.field)):
            words = gettext("condition %(place)s: %(problem)s") % {"place": place, "problem": words}
        elif cls._has_parts(cls._field_of(name)) and error.value not in (None, "", "none", "…"):
            words = f"{error.value}: {words}"
        elif rest and not isinstance(cls._field_of(name), FilterField):
            words = f"{rest}: {words}"
        elif " " in name:  # another record than the one of the form, by its name
            words = f"{error.value}: {words}"
        return {cls.fields_of_errors.get(name, name): words}

    @staticmethod
    def _has_parts(field: BaseField | None) -> bool:
        """Whether an error has to tell which part of what a field holds is wrong."""
        return isinstance(field, TextAreaField) or bool(getattr(field, "multiple", False))

    @classmethod
    def _field_of(cls, name: str) -> BaseField | None:
        return next((one for one in cls.fields if isinstance(one, BaseField) and one.name == name), None)


def stored(connection: psycopg.Connection, column: InstrumentedAttribute[Any], pk: str) -> Any:
    """A column of the row that is edited.

    Raises:
        SettingError: somebody has deleted it meanwhile.
    """
    (key,) = column.class_.__table__.primary_key
    row = execute(connection, select(column).where(key == number_of(pk)), scalar_row).fetchone()
    if row is None:
        raise _gone(pk)
    return row


def number_of(pk: str) -> int:
    """A key as a number.

    Raises:
        SettingError: it is none, so that there is no such row.
    """
    if not re.fullmatch("[0-9]{1,18}", pk):
        raise _gone(pk)
    return int(pk)


def _gone(pk: str) -> SettingError:
    return SettingError("id", pk[:30], gettext("there is no such record any more"))


def refuse_taken(connection: psycopg.Connection, column: InstrumentedAttribute[Any], value: Any) -> None:
    """Refuse a new record that would change one there is: the domain code saves by name.

    Raises:
        SettingError: at the field of that name.
    """
    if execute(connection, select(column).where(column == value)).fetchone():
        raise SettingError(column.key, value, gettext("there is one of that name already"))


class InstantField(DateTimeField):
    """A point in time, told as the other screens do."""

    async def serialize_value(self, request: Request, value: Any) -> str:
        return instant(value)


class ChoiceField(EnumField):
    """One of some codes, shown in words; what is none of them is shown as it is."""

    def __init__(self, name: str, label: str, codes: Sequence[str], **options: Any) -> None:
        options.setdefault("form_template", "fields/form/choice.html")
        super().__init__(name, label, choices=[(code, code) for code in codes], **options)
        self.codes = codes

    def _get_choices(self, request: Request) -> Any:
        return [(code, word(code)) for code in self.codes]

    def _get_label(self, value: Any, request: Request) -> Any:
        return word(str(value))

    async def serialize_value(self, request: Request, value: Any) -> Any:
        shown = await super().serialize_value(request, value)
        is_list = self.multiple and not request.state.action.is_form()
        return ", ".join(map(str, shown)) if is_list else shown


class LookupField(EnumField):
    """One of the rows of another table, by name; or several of them."""

    def __init__(self, name: str, label: str, query: Select[*tuple[Any, ...]], **options: Any) -> None:
        """
        Args:
            name: of the field.
            label: as the form has it.
            query: the names, and what the form shows of each if that is something else.
            options: as EnumField has them.
        """
        options.setdefault("form_template", "fields/form/choice.html")
        super().__init__(name, label, choices_loader=self._found, **options)
        self.query = query

    def _found(self, request: Request) -> list[tuple[Any, str]]:
        found: dict[str, list[tuple[Any, str]]] = getattr(request.state, "looked_up", {})
        return found.get(self.name, [])

    async def _load(self, request: Request) -> None:
        """Read the choices, in a thread, before a form is made of them."""
        if request.state.action.is_form() and not self._found(request):
            result = await to_thread.run_sync(request.state.session.execute, self.query)
            rows = [(row[0], str(row[-1])) for row in result]
            request.state.looked_up = {**getattr(request.state, "looked_up", {}), self.name: rows}

    async def get_create_default(self, request: Request) -> Any:
        await self._load(request)
        return await super().get_create_default(request)

    async def parse_obj(self, request: Request, obj: Any) -> Any:
        await self._load(request)
        return await super().parse_obj(request, obj)

    async def parse_form_data(self, request: Request, form_data: FormData) -> Any:
        await self._load(request)
        return await super().parse_form_data(request, form_data)

    async def serialize_value(self, request: Request, value: Any) -> Any:
        if request.state.action.is_form():
            return value
        return ", ".join(map(str, value)) if self.multiple else value


class FilterField(BaseField):
    """A filter (docs/audiences.md): put together in the form, told in words elsewhere."""

    def __init__(self, name: str, label: str, **options: Any) -> None:
        super().__init__(
            name,
            label,
            form_template="fields/form/filter.html",
            list_template="fields/list/wrapped.html",
            searchable=False,
            orderable=False,
            filters=[],
            **options,
        )

    async def get_create_default(self, request: Request) -> Any:
        await self._load(request)
        return None

    async def parse_obj(self, request: Request, obj: Any) -> Any:
        await self._load(request)
        return await super().parse_obj(request, obj)

    async def parse_form_data(self, request: Request, form_data: FormData) -> Any:
        """The document; what is no JSON comes as the text that it is, for the domain code to refuse."""
        await self._load(request)
        raw = form_data.get(self.id)
        if not isinstance(raw, str) or not raw.strip():
            return None
        try:
            return json.loads(raw)
        except (ValueError, RecursionError):
            return raw

    async def serialize_value(self, request: Request, value: Any) -> Any:
        return value if request.state.action.is_form() else describe(value)

    async def _load(self, request: Request) -> None:
        if request.state.action.is_form():
            names = select(AccountClass.name).order_by(AccountClass.name)
            result = await to_thread.run_sync(request.state.session.execute, names)
            request.state.class_names = list(result.scalars())

    def builder(self, request: Request) -> dict[str, Any]:
        """What static/filter_builder.js needs to know: fields, operators, texts."""
        fields = [
            {
                "name": one.name,
                "title": title_of(one.name),
                "type": one.type,
                "ops": [
                    op
                    for op in OPERATORS[one.type]
                    if one.may_be_empty or op not in ("is_empty", "is_not_empty")
                ],
                "choices": [[code, word(code)] for code in one.choices],
                "known": getattr(request.state, "class_names", []) if one.name == "class" else [],
            }
            for one in FIELDS.values()
        ]
        return {
            "fields": fields,
            "ops": {
                "=": "=",
                "!=": "≠",
                ">": ">",
                ">=": "≥",
                "<": "<",
                "<=": "≤",
                "between": gettext("between"),
                "in": gettext("one of"),
                "contains": gettext("contains"),
                "is_empty": gettext("is empty"),
                "is_not_empty": gettext("is not empty"),
            },
            "texts": {
                "all": gettext("All of these hold"),
                "any": gettext("Any of these holds"),
                "addCondition": gettext("Add a condition"),
                "addGroup": gettext("Add a group"),
                "remove": gettext("Remove"),
                "yes": gettext("yes"),
                "no": gettext("no"),
                "and": gettext("and"),
                "onePerLine": gettext("one per line"),
                "field": gettext("Field"),
                "operator": gettext("Comparison"),
                "value": gettext("Value"),
            },
        }
