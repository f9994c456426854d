"""The fields that conditions may speak of, and where they come from."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal

from sqlalchemy import (
    ColumnElement,
    Date,
    FromClause,
    Integer,
    Numeric,
    and_,
    case,
    cast,
    func,
    literal,
    type_coerce,
)

from rotina.models import Account, AccountClass, AccountSupplementary

FieldType = Literal["text", "choice", "boolean", "integer", "money", "date"]

_ACCOUNT = Account.__table__
_DATA = AccountSupplementary.__table__
_CLASS = AccountClass.__table__

#: Key of the account in `accounts_from()`.
ACCOUNT_ID: ColumnElement[int] = _ACCOUNT.c.id

#: Whose days `created_on` counts, as business dates do.
_TIME_ZONE = "America/Sao_Paulo"


@dataclass(frozen=True)
class Field:
    """A field of accounts.

    Attributes:
        name: as filters have it.
        type: which operators it takes, and what its values look like.
        title: in Brazilian Portuguese.
        english_title: in English.
        choices: of a choice, its values and their titles in Brazilian Portuguese.
        personal: whether its values are masked in errors.
        may_be_empty: whether accounts may have nothing there.
        least: its least value; None: no bound.
    """

    name: str
    type: FieldType
    title: str
    english_title: str
    choices: Mapping[str, str] = field(default_factory=dict)
    personal: bool = False
    may_be_empty: bool = True
    least: int | None = None


_KINDS = {"person": "pessoa", "company": "empresa"}
_STATUSES = {"active": "ativa", "inactive": "inativa", "not_integrated": "não integrada"}

#: The fields by name.
FIELDS: dict[str, Field] = {
    one.name: one
    for one in (
        Field("kind", "choice", "tipo", "kind", choices=_KINDS, may_be_empty=False),
        Field("name", "text", "nome", "name", personal=True),
        Field("document", "text", "CPF/CNPJ", "document", personal=True),
        Field("email", "text", "e-mail", "e-mail", personal=True),
        Field("phone", "text", "telefone", "phone", personal=True),
        Field("birth_on", "date", "data de nascimento", "date of birth"),
        Field("active", "boolean", "cadastro ativo", "record active", may_be_empty=False),
        Field("status", "choice", "situação", "status", choices=_STATUSES, may_be_empty=False),
        Field("class", "text", "classe", "class"),
        Field("owner", "text", "responsável", "owner"),
        Field("created_on", "date", "data de criação", "created on", may_be_empty=False),
        Field("last_purchase_date", "date", "data da última compra", "date of last purchase"),
        Field("first_purchase_date", "date", "data da primeira compra", "date of first purchase"),
        Field("last_purchase_value", "money", "valor da última compra", "value of last purchase", least=0),
        Field(
            "first_purchase_value", "money", "valor da primeira compra", "value of first purchase", least=0
        ),
        Field(
            "accumulated_value",
            "money",
            "valor acumulado",
            "accumulated value",
            may_be_empty=False,
            least=0,
        ),
        Field("last_quote_date", "date", "data da última cotação", "date of last quote"),
        Field(
            "purchase_count",
            "integer",
            "número de compras",
            "number of purchases",
            may_be_empty=False,
            least=0,
        ),
        Field(
            "days_since_last_purchase",
            "integer",
            "dias desde a última compra",
            "days since last purchase",
            least=0,
        ),
        Field("last_invoice_code", "text", "última nota fiscal", "last invoice"),
    )
}


def accounts_from() -> FromClause:
    """The accounts with their supplementary data and class, one row each: what filters are evaluated over."""
    with_data = _ACCOUNT.outerjoin(_DATA, _DATA.c.account_id == _ACCOUNT.c.id)
    return with_data.outerjoin(_CLASS, _CLASS.c.id == _ACCOUNT.c.class_id)


def field_value(name: str, on: dt.date) -> ColumnElement[Any]:
    """The value of a field over `accounts_from()`, NULL where it is empty.

    Args:
        name: of `FIELDS`.
        on: the business date, which the days since the last purchase are counted to; none before that one.
    """
    return _VALUES[name](on)


def _days_since(on: dt.date) -> ColumnElement[Any]:
    last = _DATA.c.last_purchase_date
    # PostgreSQL refuses to count from an endless date: one row would fail the run of all.
    counted = and_(last <= on, func.isfinite(last))
    return case((counted, type_coerce(literal(on, Date) - last, Integer)))


_VALUES: dict[str, Callable[[dt.date], ColumnElement[Any]]] = {
    "kind": lambda _on: _ACCOUNT.c.kind,
    "name": lambda _on: _ACCOUNT.c.name,
    "document": lambda _on: _ACCOUNT.c.document,
    "email": lambda _on: _ACCOUNT.c.email,
    "phone": lambda _on: _ACCOUNT.c.phone,
    "birth_on": lambda _on: _ACCOUNT.c.birth_on,
    "active": lambda _on: _ACCOUNT.c.active,
    "status": lambda _on: _ACCOUNT.c.status,
    "class": lambda _on: _CLASS.c.name,
    "owner": lambda _on: _ACCOUNT.c.owner_login,
    "created_on": lambda _on: cast(func.timezone(_TIME_ZONE, _ACCOUNT.c.created_at), Date),
    "last_purchase_date": lambda _on: _DATA.c.last_purchase_date,
    "first_purchase_date": lambda _on: _DATA.c.first_purchase_date,
    "last_purchase_value": lambda _on: _DATA.c.last_purchase_value,
    "first_purchase_value": lambda _on: _DATA.c.first_purchase_value,
    "accumulated_value": lambda _on: func.coalesce(
        _DATA.c.accumulated_value, literal(Decimal("0.00"), Numeric())
    ),
    "last_quote_date": lambda _on: _DATA.c.last_quote_date,
    "purchase_count": lambda _on: func.coalesce(_DATA.c.purchase_count, 0),
    "days_since_last_purchase": _days_since,
    "last_invoice_code": lambda _on: _DATA.c.last_invoice_code,
}
