"""Filters: read from JSON, written back, compiled to SQL, put in words."""

from __future__ import annotations

import datetime as dt
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal, get_args

from sqlalchemy import BigInteger, Boolean, ColumnElement, Date, Numeric, Text, and_, func, literal, or_
from sqlalchemy.types import TypeEngine

from rotina.accounts.filters.fields import FIELDS, Field, FieldType, field_value
from rotina.errors import SettingError

#: How deep groups may be nested.
DEEPEST = 8

#: How many conditions, and values in lists, a filter may have in all.
LARGEST = 1000

#: Characters of a text, at most.
LONGEST_TEXT = 200

_MOST_INTEGER = 10**15

Value = str | bool | int | Decimal | dt.date

GroupKind = Literal["all", "any"]

_COMPARISONS = ("=", "!=", ">", ">=", "<", "<=", "between", "in")
_EMPTINESS = ("is_empty", "is_not_empty")

#: The operators of each type of field; those of emptiness only where a field may be empty.
OPERATORS: dict[FieldType, tuple[str, ...]] = {
    "text": ("=", "!=", "in", "contains", *_EMPTINESS),
    "choice": ("=", "!=", "in"),
    "boolean": ("=", "!="),
    "integer": (*_COMPARISONS, *_EMPTINESS),
    "money": (*_COMPARISONS, *_EMPTINESS),
    "date": (*_COMPARISONS, *_EMPTINESS),
}

_SQL_TYPES: dict[FieldType, TypeEngine[Any]] = {
    "text": Text(),
    "choice": Text(),
    "boolean": Boolean(),
    "integer": BigInteger(),
    "money": Numeric(),
    "date": Date(),
}


class Filter(ABC):
    """Conditions that an account meets or not. Equal when they say the same in the same order."""

    @abstractmethod
    def as_json(self) -> dict[str, Any]:
        """What `parse_filter` reads it from, in its canonical form: money as a text with two decimals."""

    @abstractmethod
    def conditions(self) -> Iterator[Condition]:
        """Its conditions, in order."""

    @abstractmethod
    def expression(self, on: dt.date) -> ColumnElement[bool]:
        """The SQL over `accounts_from()`, all values bound: true for an account that it holds for.

        For others it is false or NULL.

        Args:
            on: the business date that days are counted to.
        """

    def fields(self) -> tuple[str, ...]:
        """The names of the fields that it uses, each once, in order."""
        return tuple(dict.fromkeys(one.field for one in self.conditions()))


@dataclass(frozen=True)
class Condition(Filter):
    """What one field is asked for.

    Comparisons with an empty field do not hold, but `!=` does: what is empty is not that value.
    """

    field: str
    op: str
    #: None for the operators of emptiness.
    value: Value | tuple[Value, ...] | None = None

    def values(self) -> tuple[Value, ...]:
        """The values, whether one, several or none."""
        if self.value is None:
            return ()
        return self.value if isinstance(self.value, tuple) else (self.value,)

    def as_json(self) -> dict[str, Any]:
        document: dict[str, Any] = {"field": self.field, "op": self.op}
        if isinstance(self.value, tuple):
            document["value"] = [_as_json(one) for one in self.value]
        elif self.value is not None:
            document["value"] = _as_json(self.value)
        return document

    def conditions(self) -> Iterator[Condition]:
        yield self

    def expression(self, on: dt.date) -> ColumnElement[bool]:
        column = field_value(self.field, on)
        field_type = FIELDS[self.field].type
        bound = [literal(one, _SQL_TYPES[field_type]) for one in self.values()]
        match self.op:
            case "=":
                return column == bound[0]
            case "!=":
                return column.is_distinct_from(bound[0])
            case ">":
                return column > bound[0]
            case ">=":
                return column >= bound[0]
            case "<":
                return column < bound[0]
            case "<=":
                return column <= bound[0]
            case "between":
                return column.between(bound[0], bound[1])
            case "in":
                return column.in_(bound)
            case "contains":
                return column.icontains(self.value, autoescape=True)
        # A text of nothing but spaces says no more than none.
        empty = func.coalesce(func.trim(column), "") == "" if field_type == "text" else column.is_(None)
        return empty if self.op == "is_empty" else ~empty


@dataclass(frozen=True)
class Group(Filter):
    """Filters that all hold, or any of them."""

    kind: GroupKind
    members: tuple[Filter, ...]

    def as_json(self) -> dict[str, Any]:
        return {self.kind: [one.as_json() for one in self.members]}

    def conditions(self) -> Iterator[Condition]:
        for one in self.members:
            yield from one.conditions()

    def expression(self, on: dt.date) -> ColumnElement[bool]:
        parts = [one.expression(on) for one in self.members]
        return and_(*parts) if self.kind == "all" else or_(*parts)


# -- reading ------------------------------------------------------------------------------------------------


def parse_filter(document: object, *, field: str = "filter") -> Filter:
    """The filter that a JSON document says.

    Args:
        document: as `json.loads` gives it.
        field: what errors call it.

    Raises:
        SettingError: names the part that is wrong, as `filter.all[1].value`, and what it holds, masked when
            the field is personal.
    """
    parsed = _parse(document, field, 1)
    size = sum(max(1, len(one.values())) for one in parsed.conditions())
    if size > LARGEST:
        raise SettingError(field, size, f"has too many conditions and values; at most {LARGEST}")
    return parsed


def _parse(document: object, path: str, depth: int) -> Filter:
    if not isinstance(document, dict):
        raise SettingError(path, _kind(document), "must be an object: all, any, or a condition")
    for kind in get_args(GroupKind):
        if kind in document:
            return _parse_group(document, kind, path, depth)
    return _parse_condition(document, path)


def _parse_group(document: dict[str, object], kind: GroupKind, path: str, depth: int) -> Group:
    if len(document) > 1:
        raise SettingError(path, _names(document), f"{kind} stands alone in its object")
    members = document[kind]
    path = f"{path}.{kind}"
    if depth > DEEPEST:
        raise SettingError(path, depth, f"is nested too deep; at most {DEEPEST}")
    if not isinstance(members, list) or not members:
        raise SettingError(path, _kind(members), "must be a list with one or more members")
    return Group(kind, tuple(_parse(one, f"{path}[{n}]", depth + 1) for n, one in enumerate(members)))


def _parse_condition(document: dict[str, object], path: str) -> Condition:
    if not {"field", "op"} <= document.keys() <= {"field", "op", "value"}:
        raise SettingError(
            path, _names(document), "must have field, op and value, or one of all and any alone"
        )
    name, op = document["field"], document["op"]
    known = FIELDS.get(name) if isinstance(name, str) else None
    if known is None:
        raise SettingError(f"{path}.field", _shown(name), f"is no field; there are {', '.join(FIELDS)}")
    if op in _EMPTINESS and not known.may_be_empty:
        raise SettingError(f"{path}.op", op, f"{known.name} is never empty")
    operators = [one for one in OPERATORS[known.type] if known.may_be_empty or one not in _EMPTINESS]
    if op not in operators:
        raise SettingError(f"{path}.op", _shown(op), f"{known.name} takes one of {' '.join(operators)}")
    if op in _EMPTINESS:
        if "value" in document:
            raise SettingError(f"{path}.value", _shown(document["value"], known), f"{op} takes no value")
        return Condition(known.name, str(op))
    if "value" not in document:
        raise SettingError(f"{path}.value", None, f"is missing; {op} takes one")
    return Condition(known.name, str(op), _parse_operand(known, str(op), document["value"], f"{path}.value"))


def _parse_operand(known: Field, op: str, value: object, path: str) -> Value | tuple[Value, ...]:
    """The value of a condition; a tuple for the operators that take a list."""
    if op not in ("between", "in"):
        return _parse_value(known, value, path)
    if not isinstance(value, list) or not value:
        raise SettingError(path, _shown(value, known), "must be a list with one or more values")
    values = tuple(_parse_value(known, one, f"{path}[{n}]") for n, one in enumerate(value))
    if op == "between" and (len(values) != 2 or values[0] > values[1]):  # type: ignore[operator]
        raise SettingError(path, _shown(value, known), "must be two values, the lower one first")
    return values


def _parse_value(known: Field, value: object, path: str) -> Value:
    """A value of the field's type. Raises SettingError for any other."""
    shown = _shown(value, known)
    match known.type:
        case "boolean" if isinstance(value, bool):
            return value
        case "boolean":
            raise SettingError(path, shown, "must be true or false")
        case "choice" if isinstance(value, str) and value in known.choices:
            return value
        case "choice":
            raise SettingError(path, shown, f"must be one of {', '.join(known.choices)}")
        case "integer" if type(value) is int and abs(value) <= _MOST_INTEGER:
            return value
        case "integer":
            raise SettingError(path, shown, "must be a whole number")
        case "money":
            return _parse_money(value, path)
        case "date":
            return _parse_date(value, path)
        case "text":
            if not isinstance(value, str) or not value.strip():
                raise SettingError(path, shown, "must be a text that is not blank")
            if len(value) > LONGEST_TEXT:
                raise SettingError(path, shown, f"is too long; at most {LONGEST_TEXT} characters")
            if re.search("[\0\ud800-\udfff]", value):
                raise SettingError(path, shown, "has a character that no text may have")
            return value


def _parse_money(value: object, path: str) -> Decimal:
    written = ""
    if isinstance(value, str) or (type(value) is int and abs(value) < 10**18):
        written = str(value)
    if not re.fullmatch(r"-?[0-9]{1,18}(\.[0-9]{1,2})?", written):
        raise SettingError(
            path, _shown(value), 'must be an amount of money: a text as "1000.00" or a whole number'
        )
    return Decimal(written).quantize(Decimal("0.01"))


def _parse_date(value: object, path: str) -> dt.date:
    if isinstance(value, str) and re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value):
        try:
            return dt.date.fromisoformat(value)
        except ValueError:
            pass  # as 30 February
    raise SettingError(path, _shown(value), 'must be a date as "2026-11-20"')


def _shown(value: object, known: Field | None = None) -> object:
    """What an error shows of a value: nothing of a personal one, the beginning of a long one."""
    if known is not None and known.personal:
        return "…"
    if isinstance(value, str):
        text = value
    else:
        try:
            text = str(value)
        except (ValueError, RecursionError):  # more digits, or lists inside each other, than Python writes
            text = f"{type(value).__name__}…"
    return text if len(text) <= 60 else f"{text[:60]}…"


def _names(document: dict[str, object]) -> str:
    return str(_shown(", ".join(map(str, document))))


def _kind(value: object) -> str:
    """What a part of a document is, without what stands in it, which may be personal."""
    kinds = {dict: "an object", list: "a list", str: "a text", type(None): "null"}
    return "an empty list" if value == [] else kinds.get(type(value)) or str(_shown(value))


def _as_json(value: Value) -> Any:
    if isinstance(value, Decimal):
        return f"{value:f}"
    return value.isoformat() if isinstance(value, dt.date) else value


# -- in words -----------------------------------------------------------------------------------------------

_SIGNS = {"!=": "≠", ">=": "≥", "<=": "≤", "is_empty": "está em branco", "is_not_empty": "não está em branco"}


def describe(filter: Filter, *, personal: bool = False) -> str:
    """A filter in words, in Brazilian Portuguese.

    Args:
        filter: what to describe.
        personal: show the values of personal fields, for who may see them; otherwise they are masked, so that
            the text may stand in logs and e-mails.
    """
    if isinstance(filter, Condition):
        return _describe_condition(filter, personal)
    assert isinstance(filter, Group)  # there is no third
    parts = []
    for one in filter.members:
        text = describe(one, personal=personal)
        nested = isinstance(one, Group) and len(one.members) > 1 and len(filter.members) > 1
        parts.append(f"({text})" if nested else text)
    return (" e " if filter.kind == "all" else " ou ").join(parts)


def _describe_condition(condition: Condition, personal: bool) -> str:
    known = FIELDS[condition.field]
    sign = _SIGNS.get(condition.op, condition.op)
    values = ["…" if known.personal and not personal else _in_words(known, v) for v in condition.values()]
    match condition.op:
        case "between":
            return f"{known.title} entre {values[0]} e {values[1]}"
        case "in":
            return f"{known.title} em ({'; '.join(values)})"
        case "contains":
            return f"{known.title} contém “{values[0]}”"
    return " ".join([known.title, sign, *values])


def _in_words(known: Field, value: Value) -> str:
    match value:
        case bool():
            return "sim" if value else "não"
        case Decimal():
            return "R$ " + f"{value:,.2f}".translate(str.maketrans(",.", ".,"))
        case dt.date():
            return f"{value:%d/%m/%Y}"
    return known.choices.get(str(value), str(value))
