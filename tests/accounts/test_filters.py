"""The filter language: what is read, what it finds in a real table, and what can be said without one."""

from __future__ import annotations

import datetime as dt
import itertools
import json
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from rotina.accounts.filters import (
    ACCOUNT_ID,
    FIELDS,
    Field,
    Filter,
    Group,
    accounts_from,
    can_hold,
    describe,
    execute,
    field_value,
    implies,
    language,
    parse_filter,
)
from rotina.errors import SettingError
from tests.examples import examples

DAY = dt.date(2026, 11, 20)


def condition(field: str, op: str, *value: Any) -> dict[str, Any]:
    """A condition as JSON has it."""
    return {"field": field, "op": op, **({"value": value[0]} if value else {})}


def where(field: str, op: str, *value: Any) -> Filter:
    return parse_filter(condition(field, op, *value))


def both(*members: Filter) -> Filter:
    return Group("all", members)


def either(*members: Filter) -> Filter:
    return Group("any", members)


def inside_lists(depth: int) -> object:
    """Lists inside each other."""
    value: object = "x"
    for _ in range(depth):
        value = [value]
    return value


# -- reading ------------------------------------------------------------------------------------------------


def test_a_filter_is_written_as_it_was_read_in_its_canonical_form() -> None:
    document = {
        "all": [
            condition("accumulated_value", ">=", 1000),
            {"any": [condition("class", "in", ["Ouro", "Prata"]), condition("email", "is_empty")]},
            condition("last_purchase_date", "between", ["2024-02-29", "2026-01-01"]),
            condition("active", "=", False),
        ]
    }
    read = parse_filter(document)
    assert read.fields() == ("accumulated_value", "class", "email", "last_purchase_date", "active")
    document["all"][0]["value"] = "1000.00"
    assert read.as_json() == document


@pytest.mark.parametrize(
    ("document", "field", "value", "problem"),
    [
        (None, "filter", "null", "must be an object"),
        ([], "filter", "an empty list", "must be an object"),
        ("active = true", "filter", "a text", "must be an object"),
        ({}, "filter", "", "must have field, op and value"),
        ({"all": []}, "filter.all", "an empty list", "one or more members"),
        ({"any": {}}, "filter.any", "an object", "one or more members"),
        ({"all": [1]}, "filter.all[0]", "1", "must be an object"),
        ({"all": [{}], "any": [{}]}, "filter", "all, any", "stands alone"),
        ({"not": []}, "filter", "not", "must have field"),
        ({**condition("active", "=", True), "or": 1}, "filter", "field, op, value, or", "must have field"),
        (condition("id", "=", 1), "filter.field", "id", "is no field; there are kind, name"),
        (condition("name; drop table", "=", "x"), "filter.field", "name; drop table", "is no field"),
        ({"field": ["name"], "op": "=", "value": "x"}, "filter.field", "['name']", "is no field"),
        (condition("name", "like", "x"), "filter.op", "like", "takes one of = != in contains"),
        (condition("name", ">", "x"), "filter.op", ">", "takes one of"),
        ({"field": "name", "op": None, "value": 1}, "filter.op", "None", "takes one of"),
        (condition("active", "is_empty"), "filter.op", "is_empty", "active is never empty"),
        (condition("birth_on", "is_empty", None), "filter.value", "None", "takes no value"),
        (condition("birth_on", "="), "filter.value", None, "is missing"),
        (condition("active", "=", "true"), "filter.value", "true", "true or false"),
        (condition("active", "=", 1), "filter.value", "1", "true or false"),
        (condition("kind", "=", "persons"), "filter.value", "persons", "one of person, company"),
        (condition("kind", "=", ["person"]), "filter.value", "['person']", "one of person, company"),
        (condition("purchase_count", ">", "3"), "filter.value", "3", "whole number"),
        (condition("purchase_count", ">", 3.0), "filter.value", "3.0", "whole number"),
        (condition("purchase_count", ">", True), "filter.value", "True", "whole number"),
        (condition("purchase_count", ">", 10**16), "filter.value", str(10**16), "whole number"),
        (condition("purchase_count", ">", 10**5000), "filter.value", "int…", "whole number"),
        (condition("accumulated_value", ">", 10**5000), "filter.value", "int…", "amount of money"),
        (condition("accumulated_value", ">", 10**18), "filter.value", str(10**18), "amount of money"),
        ({"all": [10**5000]}, "filter.all[0]", "int…", "must be an object"),
        (condition("class", "=", inside_lists(10_000)), "filter.value", "list…", "not blank"),
        (condition("accumulated_value", ">", 10.5), "filter.value", "10.5", "amount of money"),
        (condition("accumulated_value", ">", "10.555"), "filter.value", "10.555", "amount of money"),
        (condition("accumulated_value", ">", "1.000,00"), "filter.value", "1.000,00", "amount of money"),
        (condition("accumulated_value", ">", "1e3"), "filter.value", "1e3", "amount of money"),
        (condition("accumulated_value", ">", "NaN"), "filter.value", "NaN", "amount of money"),
        (condition("accumulated_value", ">", "10\n"), "filter.value", "10\n", "amount of money"),
        (condition("accumulated_value", ">", "١٢"), "filter.value", "١٢", "amount of money"),
        (condition("accumulated_value", ">", True), "filter.value", "True", "amount of money"),
        (condition("birth_on", "=", "2026-02-29"), "filter.value", "2026-02-29", "must be a date"),
        (condition("birth_on", "=", "20260228"), "filter.value", "20260228", "must be a date"),
        (condition("birth_on", "=", "2026-W08-6"), "filter.value", "2026-W08-6", "must be a date"),
        (condition("birth_on", "=", "0000-01-01"), "filter.value", "0000-01-01", "must be a date"),
        (condition("birth_on", "=", 20260228), "filter.value", "20260228", "must be a date"),
        (condition("owner", "=", " "), "filter.value", " ", "not blank"),
        (condition("owner", "contains", ""), "filter.value", "", "not blank"),
        (condition("owner", "=", None), "filter.value", "None", "not blank"),
        (condition("owner", "=", "a\0"), "filter.value", "a\0", "no text may have"),
        (condition("owner", "=", "a\ud800"), "filter.value", "a\ud800", "no text may have"),
        (condition("owner", "=", "x" * 201), "filter.value", f"{'x' * 60}…", "too long"),
        (condition("class", "in", []), "filter.value", "[]", "one or more values"),
        (condition("class", "in", "Ouro"), "filter.value", "Ouro", "one or more values"),
        (condition("class", "in", ["Ouro", 1]), "filter.value[1]", "1", "not blank"),
        (condition("purchase_count", "between", [2, 1]), "filter.value", "[2, 1]", "lower one first"),
        (condition("purchase_count", "between", [1]), "filter.value", "[1]", "two values"),
        (condition("purchase_count", "between", [1, 2, 3]), "filter.value", "[1, 2, 3]", "two values"),
        (
            {"all": [condition("active", "=", True), {"any": [condition("kind", "=", "x")]}]},
            "filter.all[1].any[0].value",
            "x",
            "must be one of",
        ),
    ],
)
def test_what_is_wrong_is_named(document: object, field: str, value: object, problem: str) -> None:
    with pytest.raises(SettingError) as refused:
        parse_filter(document)
    assert (refused.value.field, refused.value.value) == (field, value)
    assert problem in refused.value.problem


@pytest.mark.parametrize("name", ["name", "document", "email", "phone"])
@pytest.mark.parametrize(
    ("op", "value"), [("=", ["Ana"]), ("is_empty", "Ana"), ("in", "Ana"), ("in", ["x", "Ana" * 99])]
)
def test_personal_values_are_masked(name: str, op: str, value: object) -> None:
    with pytest.raises(SettingError) as refused:
        parse_filter(condition(name, op, value), field="conditions")
    assert "Ana" not in str(refused.value)
    assert refused.value.field.startswith("conditions.value")


def test_a_filter_is_neither_too_deep_nor_too_large() -> None:
    deepest: dict[str, Any] = condition("active", "=", True)
    for _ in range(language.DEEPEST):
        deepest = {"any": [deepest]}
    parse_filter(deepest)
    with pytest.raises(SettingError, match="too deep"):
        parse_filter({"all": [deepest]})
    for depth in range(100_000):
        deepest = {"all": [deepest], **({"x": 1} if depth == 99_999 else {})}
    with pytest.raises(SettingError):
        parse_filter(deepest)

    numbers = list(range(language.LARGEST))
    parse_filter(condition("purchase_count", "in", numbers))
    with pytest.raises(SettingError, match="at most 1000"):
        parse_filter({"all": [condition("birth_on", "is_empty"), condition("purchase_count", "in", numbers)]})


def test_a_filter_in_words() -> None:
    read = parse_filter(
        {
            "all": [
                condition("accumulated_value", ">=", "1234567.5"),
                {"any": [condition("class", "in", ["Ouro", "Prata"]), condition("class", "is_empty")]},
                {"any": [condition("birth_on", "!=", "2000-02-29")]},
                condition("days_since_last_purchase", "between", [30, 90]),
                condition("active", "=", True),
                condition("status", "=", "not_integrated"),
                condition("name", "contains", "Silva"),
            ]
        }
    )
    text = (
        "valor acumulado ≥ R$ 1.234.567,50 e (classe em (Ouro; Prata) ou classe está em branco) "
        "e data de nascimento ≠ 29/02/2000 e dias desde a última compra entre 30 e 90 "
        "e cadastro ativo = sim e situação = não integrada e nome contém “{}”"
    )
    assert describe(read) == text.format("…")
    assert describe(read, personal=True) == text.format("Silva")


# -- what filters find --------------------------------------------------------------------------------------

TEXTS = ["Ana", "ana%", "a_b", "ÁGUA/\\", "x'); drop table crm.account; --", "%(name)s", " x "]
NUMBERS = [0, 1, 2, 30]
AMOUNTS = ["0.00", "0.01", "10.00", "10.01"]
DATES = ["2024-02-29", "2026-10-21", "2026-11-19", "2026-11-20", "2026-11-21"]
CLASSES = ["Ouro", "Prata"]

#: Values that conditions ask for, and some that accounts have.
VALUES: dict[str, list[Any]] = {
    "text": TEXTS,
    "integer": NUMBERS,
    "money": AMOUNTS,
    "date": DATES,
    "boolean": [True, False],
}


def values_of(name: str) -> list[Any]:
    if name == "class":
        return CLASSES
    known = FIELDS[name]
    return list(known.choices) or VALUES[known.type]


@st.composite
def conditions(draw: st.DrawFn, names: Sequence[str]) -> dict[str, Any]:
    known = FIELDS[draw(st.sampled_from(names))]
    operators = [
        one
        for one in language.OPERATORS[known.type]
        if known.may_be_empty or one not in ("is_empty", "is_not_empty")
    ]
    op = draw(st.sampled_from(operators))
    values = st.sampled_from(values_of(known.name))
    match op:
        case "is_empty" | "is_not_empty":
            return condition(known.name, op)
        case "between":
            pair = draw(st.tuples(values, values))
            return condition(known.name, op, sorted(pair, key=lambda value: as_number(known, value)))
        case "in":
            return condition(known.name, op, draw(st.lists(values, min_size=1, max_size=3)))
        case "contains":
            return condition(known.name, op, draw(st.sampled_from([*TEXTS, "n", "a", "%", "_", "água"])))
    return condition(known.name, op, draw(values))


def filters(names: Sequence[str] = tuple(FIELDS), most: int = 8) -> st.SearchStrategy[dict[str, Any]]:
    """Filters as JSON has them, over some fields."""
    return st.recursive(
        conditions(names),
        lambda inner: st.builds(
            lambda kind, members: {kind: members},
            st.sampled_from(["all", "any"]),
            st.lists(inner, min_size=1, max_size=3),
        ),
        max_leaves=most,
    ).filter(lambda document: depth_of(document) <= language.DEEPEST)


def depth_of(document: dict[str, Any]) -> int:
    members = document.get("all") or document.get("any") or []
    return 1 + max(map(depth_of, members)) if members else 0


def meets(document: dict[str, Any], account: dict[str, Any]) -> bool:
    """Whether an account meets a filter, read from the JSON itself. Fields have the values of JSON."""
    if "all" in document:
        return all(meets(one, account) for one in document["all"])
    if "any" in document:
        return any(meets(one, account) for one in document["any"])
    known, op = FIELDS[document["field"]], document["op"]
    has, wanted = (as_number(known, value) for value in (account[known.name], document.get("value")))
    if known.type == "text" and has is not None and not has.strip(" "):
        has = None
    if op == "is_empty":
        return has is None
    if op == "!=":
        return bool(has != wanted)
    if has is None or op == "is_not_empty":
        return has is not None
    match op:
        case "=":
            return bool(has == wanted)
        case "in":
            return has in wanted
        case "contains":
            return wanted.lower() in has.lower()
        case "between":
            return bool(wanted[0] <= has <= wanted[1])
        case ">":
            return bool(has > wanted)
        case ">=":
            return bool(has >= wanted)
        case "<":
            return bool(has < wanted)
        case "<=":
            return bool(has <= wanted)
    raise AssertionError(op)


def as_number(known: Field, value: Any) -> Any:
    """Amounts of money, one or a list, as what can be compared; other values as they are."""
    if known.type != "money" or value is None:
        return value
    return [Decimal(one) for one in value] if isinstance(value, list) else Decimal(value)


def days_since(last: str | None) -> int | None:
    days = None if last is None else (DAY - dt.date.fromisoformat(last)).days
    return days if days is None or days >= 0 else None


def make_accounts() -> list[dict[str, Any]]:
    """Accounts whose fields go through all values, with and without data of the ERP."""
    texts, dates = itertools.cycle([*TEXTS, None, "", " "]), itertools.cycle([*DATES, None])
    accounts = []
    for number in range(60):
        has_data = number % 3 > 0
        last = next(dates) if has_data else None
        accounts.append(
            {
                "kind": ["person", "company"][number % 2],
                "name": next(texts) or "",
                "document": next(texts),
                "email": next(texts),
                "phone": next(texts),
                "birth_on": next(dates),
                "active": number % 5 > 0,
                "status": ["active", "inactive", "not_integrated"][number % 3],
                "class": [*CLASSES, None][number % 3],
                "owner": next(texts),
                "created_on": DATES[number % 5],
                "last_purchase_date": last,
                "first_purchase_date": next(dates) if has_data else None,
                "last_purchase_value": [*AMOUNTS, None][number % 5] if has_data else None,
                "first_purchase_value": [None, *AMOUNTS][number % 5] if has_data else None,
                "accumulated_value": AMOUNTS[number % 4] if has_data else "0.00",
                "last_quote_date": next(dates) if has_data else None,
                "purchase_count": NUMBERS[number % 4] if has_data else 0,
                "days_since_last_purchase": days_since(last),
                "last_invoice_code": next(texts) if has_data else None,
                "has_data": has_data,
            }
        )
    return accounts


def store(owner: psycopg.Connection, accounts: list[dict[str, Any]]) -> None:
    for name in CLASSES:
        owner.execute("insert into crm.account_class (name) values (%s)", [name])
    with owner.cursor() as cursor:
        cursor.executemany(
            "insert into crm.account (kind, name, document, email, phone, birth_on, active, status, "
            "class_id, owner_login, created_at) values (%(kind)s, %(name)s, %(document)s, %(email)s, "
            "%(phone)s, %(birth_on)s, %(active)s, %(status)s, "
            "(select id from crm.account_class where name = %(class)s), %(owner)s, "
            # the last second of the day in São Paulo, which in UTC is of the next one
            "(%(created_on)s || ' 23:59:59-03')::timestamptz)",
            accounts,
        )
        cursor.executemany(
            "insert into crm.account_supplementary values (%(id)s, %(last_purchase_date)s, "
            "%(first_purchase_date)s, %(last_purchase_value)s, %(first_purchase_value)s, "
            "%(accumulated_value)s, %(last_quote_date)s, %(purchase_count)s, "
            "%(last_invoice_code)s, %(day)s, 1)",
            [{**one, "id": n, "day": DAY} for n, one in enumerate(accounts, 1) if one["has_data"]],
        )


def found(connection: psycopg.Connection, filter: Filter, on: dt.date = DAY) -> list[int]:
    """The keys of the accounts that SQL finds."""
    statement = select(ACCOUNT_ID).select_from(accounts_from()).where(filter.expression(on))
    return [key for (key,) in execute(connection, statement.order_by(ACCOUNT_ID))]


@pytest.fixture
def accounts(owner: psycopg.Connection) -> Iterator[list[dict[str, Any]]]:
    made = make_accounts()
    store(owner, made)
    return made


@pytest.mark.hypothesis
def test_sql_and_python_find_the_same_accounts(
    connection: psycopg.Connection, accounts: list[dict[str, Any]]
) -> None:
    @settings(max_examples=examples(200))
    @given(filters())
    @example(condition("email", "contains", "x'); drop table crm.account; --"))
    @example(condition("owner", "in", TEXTS))
    @example(condition("name", "is_empty"))
    def check(document: dict[str, Any]) -> None:
        read = parse_filter(document)
        assert parse_filter(json.loads(json.dumps(read.as_json()))) == read
        expected = [n for n, account in enumerate(accounts, 1) if meets(document, account)]
        assert found(connection, read) == expected

    check()


def test_every_operator_of_every_field_finds_what_it_should(
    connection: psycopg.Connection, accounts: list[dict[str, Any]]
) -> None:
    for known in FIELDS.values():
        for op in language.OPERATORS[known.type]:
            if op in ("is_empty", "is_not_empty") and not known.may_be_empty:
                continue
            value = values_of(known.name)[1]
            operand = {"between": [[value, value]], "in": [[value]], "is_empty": [], "is_not_empty": []}
            document = condition(known.name, op, *operand.get(op, [value]))
            expected = [n for n, account in enumerate(accounts, 1) if meets(document, account)]
            assert found(connection, parse_filter(document)) == expected, document


def test_every_field_has_the_value_that_accounts_have(
    connection: psycopg.Connection, accounts: list[dict[str, Any]]
) -> None:
    columns = [field_value(name, DAY) for name in FIELDS]
    rows = execute(connection, select(*columns).select_from(accounts_from()).order_by(ACCOUNT_ID))
    shown = [
        {
            name: str(value) if isinstance(value, Decimal | dt.date) else value
            for name, value in zip(FIELDS, row, strict=True)
        }
        for row in rows
    ]
    assert shown == [{name: one[name] for name in FIELDS} for one in accounts]


def test_days_are_counted_to_the_date_that_is_asked_for(
    owner: psycopg.Connection, connection: psycopg.Connection, accounts: list[dict[str, Any]]
) -> None:
    for on in (dt.date(2026, 11, 19), DAY, dt.date(2028, 2, 29)):
        shown = execute(
            connection,
            select(ACCOUNT_ID, field_value("days_since_last_purchase", on))
            .select_from(accounts_from())
            .order_by(ACCOUNT_ID),
        ).fetchall()
        assert (
            shown
            == owner.execute(
                "select account_id, days_since_last_purchase from crm.account_data(%s) order by 1", [on]
            ).fetchall()
        )
        for days in (0, 1, 30, 1461):
            expected = [key for key, since in shown if since == days]
            assert found(connection, where("days_since_last_purchase", "=", days), on) == expected


@pytest.mark.parametrize("text", ["%", "_", "\\", "/", "a%b", "' or true --", "%(name)s", "%s", "{0}", ":x"])
def test_texts_are_taken_as_they_are(
    owner: psycopg.Connection, connection: psycopg.Connection, text: str
) -> None:
    for name in ("nothing of it", f"before{text.upper()}after", text):
        owner.execute("insert into crm.account (kind, name) values ('person', %s)", [name])
    for op, expected in (("contains", [2, 3]), ("=", [3]), ("!=", [1, 2])):
        assert found(connection, where("name", op, text)) == expected
    assert found(connection, where("name", "in", [text, "other"])) == [3]


def test_case_is_ignored_in_portuguese_too(owner: psycopg.Connection, connection: psycopg.Connection) -> None:
    for name in ("JOÃO CONCEIÇÃO", "joão", "Joao"):
        owner.execute("insert into crm.account (kind, name) values ('person', %s)", [name])
    assert found(connection, where("name", "contains", "joÃo")) == [1, 2]
    assert found(connection, where("name", "contains", "çÃO")) == [1]


def test_the_most_that_money_may_be_can_be_asked_for(
    connection: psycopg.Connection, accounts: list[dict[str, Any]]
) -> None:
    for name in ("accumulated_value", "last_purchase_value"):
        assert found(connection, where(name, ">", "9" * 18 + ".99")) == []
        assert found(connection, where(name, "<", 10**18 - 1))


# -- without accounts ---------------------------------------------------------------------------------------

#: Fields of each type, few, so that conditions meet.
MEETING = ["purchase_count", "class", "active", "last_purchase_value", "kind"]

#: What an account may have there: all that conditions ask for, and what lies between and beside.
WORLD: dict[str, list[Any]] = {
    "purchase_count": [*range(4), 29, 30, 31],
    "class": [None, *CLASSES, "Bronze"],
    "active": [True, False],
    "last_purchase_value": [None, "0.00", "0.01", "0.02", "9.99", "10.00", "10.01", "10.02"],
    "kind": ["person", "company"],
}

WHOLE_WORLD = [dict(zip(WORLD, one, strict=True)) for one in itertools.product(*WORLD.values())]


def comparable(document: dict[str, Any]) -> bool:
    """Contains is left out: the world would have to hold every text. Its tests are below."""
    return '"contains"' not in json.dumps(document)


@settings(max_examples=examples(100))
@given(filters(MEETING, 6).filter(comparable), filters(MEETING, 6).filter(comparable))
@example(condition("last_purchase_value", ">", "0.01"), condition("last_purchase_value", "<", "0.02"))
def test_what_is_said_of_two_filters_is_so_for_every_account(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    ones = [meets(one, account) for account in WHOLE_WORLD]
    others = [meets(other, account) for account in WHOLE_WORLD]
    first, second = parse_filter(one), parse_filter(other)
    assert can_hold(first) == any(ones)
    assert can_hold(first, second) == any(a and b for a, b in zip(ones, others, strict=True))
    assert implies(first, second) == all(b for a, b in zip(ones, others, strict=True) if a)


#: Every text of three letters, one of which nobody asks for, that is long enough to have all parts asked for.
ALL_TEXTS = [
    "".join(letters) for length in range(1, 7) for letters in itertools.product("ab-", repeat=length)
]
TEXT_WORLD = [{"owner": text} for text in (None, "B", *ALL_TEXTS)]


def text_conditions() -> st.SearchStrategy[dict[str, Any]]:
    texts = st.sampled_from(["a", "B", "ab", "ba"])
    return st.one_of(
        st.builds(condition, st.just("owner"), st.sampled_from(["=", "!=", "contains"]), texts),
        st.builds(condition, st.just("owner"), st.just("in"), st.lists(texts, min_size=1, max_size=3)),
        st.builds(condition, st.just("owner"), st.sampled_from(["is_empty", "is_not_empty"])),
    )


def groups_of(members: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    return st.builds(
        lambda kind, members: {kind: members},
        st.sampled_from(["all", "any"]),
        st.lists(members, min_size=1, max_size=3),
    )


@settings(max_examples=examples(100))
@given(groups_of(text_conditions()), groups_of(text_conditions()))
@example(condition("owner", "contains", "ab"), condition("owner", "contains", "A"))
def test_what_is_said_of_parts_of_texts_is_so_for_every_text(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    ones = [meets(one, account) for account in TEXT_WORLD]
    others = [meets(other, account) for account in TEXT_WORLD]
    first, second = parse_filter(one), parse_filter(other)
    assert can_hold(first, second) == any(a and b for a, b in zip(ones, others, strict=True))
    assert implies(first, second) == all(b for a, b in zip(ones, others, strict=True) if a)


def test_amounts_and_dates_have_neighbours() -> None:
    assert not can_hold(where("accumulated_value", ">", "10.00"), where("accumulated_value", "<", "10.01"))
    assert can_hold(where("accumulated_value", ">", "10.00"), where("accumulated_value", "<", "10.02"))
    assert implies(where("birth_on", ">", "2024-02-28"), where("birth_on", ">=", "2024-02-29"))
    assert not implies(where("birth_on", ">", "2023-02-28"), where("birth_on", ">", "2023-03-01"))
    assert not can_hold(where("days_since_last_purchase", "<", 0))


def pigeons(fields: list[str], holes: list[str]) -> Filter:
    """Each field has one of the values, and no two have the same: possible with as many values as fields."""
    return both(
        *(where(field, "in", holes) for field in fields),
        *(
            either(where(one, "!=", hole), where(other, "!=", hole))
            for one, other in itertools.combinations(fields, 2)
            for hole in holes
        ),
    )


def test_what_would_take_too_long_is_left_open() -> None:
    fields = ["owner", "class", "last_invoice_code", "name", "email", "phone", "document"]
    assert can_hold(pigeons(fields[:3], ["1", "2", "3"]))
    assert not can_hold(pigeons(fields[:3], ["1", "2"]))
    assert can_hold(pigeons(fields, ["1", "2", "3", "4", "5", "6"]))  # by no account, in truth


def test_a_filter_may_be_as_large_as_it_is_allowed_to_be() -> None:
    alternatives = [
        either(where("purchase_count", "!=", number), where("birth_on", "is_empty"))
        for number in range(language.LARGEST // 2)
    ]
    largest = parse_filter(both(*alternatives).as_json())
    assert can_hold(largest)
    assert can_hold(largest, largest, where("birth_on", "is_not_empty"))
    assert implies(where("birth_on", "is_empty"), largest)
    assert not can_hold(largest, where("birth_on", "is_not_empty"), where("purchase_count", "=", 499))
