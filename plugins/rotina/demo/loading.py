"""Loads the demonstration data: everything in one transaction, by COPY, indexes built at the end."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any, NamedTuple

import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg import sql

from rotina.demo.generate import CODE_OFFSET, NULL, Plan, Rows, generate
from rotina.errors import SettingError
from rotina.sql import statement

_ROWS_PER_CHUNK = 20_000


@dataclass(frozen=True)
class DemoCounts:
    """How many rows were loaded."""

    accounts: int
    customers: int
    invoices: int
    quotes: int
    contracts: int
    orders: int
    order_items: int
    payments: int
    receivables: int
    signature_requests: int
    adhesions: int


def load(
    uri: str,
    *,
    accounts: int,
    seed: int,
    business_date: dt.date,
    invoices: int | None = None,
    problems: bool = True,
    progress: Callable[[str], None] | None = None,
) -> DemoCounts:
    """Fill the reference ERP and the CRM of an empty database with demonstration data.

    The same arguments give the same rows. The data end on the business date; later are only due dates, and
    the expiry of links.

    Args:
        uri: connection URI of the owner of the database.
        accounts: accounts of the CRM, 10 or more.
        seed: another seed gives other people, documents and purchases.
        business_date: last day of the data.
        invoices: invoices to make; 10 per customer if not given.
        problems: add three invoices and three phones that no routine can use, so that a demonstration shows
            such records.
        progress: called with a line of text from time to time.

    Raises:
        SettingError: an argument is out of range, or the database has data already (nothing was changed).
    """
    plan = Plan(accounts, seed, business_date, invoices)
    tell = progress or (lambda _line: None)
    with psycopg.connect(uri) as connection:
        _take_empty_tables(connection)
        erp_indexes, crm_indexes = _drop_indexes(connection, "erp"), _drop_indexes(connection, "crm")
        copied = _copy_blocks(connection, plan, tell)
        parameters = {
            "business_date": business_date,
            "account_id": 5,
            "last_invoice_id": plan.invoice_total,
            "code_offset": CODE_OFFSET,
        }
        if problems:
            copied["invoice"] += connection.execute(
                statement("demo/add_problem_invoices"), parameters
            ).rowcount
            connection.execute(statement("demo/add_problem_phones"))
        copied["health_plan_adhesion"] = connection.execute(
            statement("demo/add_adhesions"), parameters
        ).rowcount
        tell("Indexes and statistics")
        _create_indexes(connection, erp_indexes)
        connection.execute(statement("demo/add_product_categories"))
        connection.execute(statement("demo/add_load_watermarks"), parameters)
        connection.execute(statement("demo/add_daily_files"), parameters)
        connection.execute(statement("demo/add_settings"))
        connection.execute(statement("demo/add_message_settings"))
        connection.execute(statement("demo/add_audiences"), parameters)
        connection.execute(statement("demo/add_activities"), parameters)
        connection.execute(statement("demo/add_sales_team"))
        connection.execute(statement("demo/add_monitoring_profiles"), parameters)
        connection.execute(statement("demo/add_classes"))
        connection.execute(statement("demo/add_class_rules"), parameters)
        _create_indexes(connection, crm_indexes)
        connection.execute(statement("demo/finish_load"))
    return DemoCounts(
        accounts=copied["account"],
        customers=copied["customer"],
        invoices=copied["invoice"],
        quotes=copied["quote"],
        contracts=copied["contract"],
        orders=copied["sales_order"],
        order_items=copied["sales_order_item"],
        payments=copied["payment"],
        receivables=copied["receivable"],
        signature_requests=copied["signature_request"],
        adhesions=copied["health_plan_adhesion"],
    )


def _take_empty_tables(connection: psycopg.Connection[Any]) -> None:
    """Lock the tables and make sure they are empty."""
    connection.execute(statement("demo/lock_tables"))
    filled = connection.execute(statement("demo/list_filled_tables")).fetchall()
    if filled:
        raise SettingError(
            "database",
            ", ".join(name for (name,) in filled),
            "has data already; `make reset` starts over with an empty database",
        )
    # COPY may freeze its rows only in a table truncated in the same transaction; without hint bits to set,
    # the first routine reads them at full speed.
    connection.execute(statement("demo/truncate_tables"))


def _drop_indexes(connection: psycopg.Connection[Any], schema: str) -> list[str]:
    """Drop what costs more to keep up row by row than to make at the end; returns the statements for that."""
    found = connection.execute(statement("demo/list_indexes"), {"schema": schema}).fetchall()
    for name, _ in found:
        connection.execute(sql.SQL("drop index {}").format(sql.Identifier(schema, name)))
    return [definition for _, definition in found]


def _create_indexes(connection: psycopg.Connection[Any], definitions: list[str]) -> None:
    """Make indexes by PostgreSQL's own words for them."""
    for definition in definitions:
        connection.execute(definition)


class _Encoded(NamedTuple):
    """Rows in the text format of COPY."""

    schema: str
    table: str
    columns: tuple[str, ...]
    chunks: list[bytes]


def _copy_blocks(
    connection: psycopg.Connection[Any], plan: Plan, tell: Callable[[str], None]
) -> Counter[str]:
    """Copy all blocks and count the rows per table."""
    copied: Counter[str] = Counter()
    for number, block in enumerate(_encoded_one_ahead(plan), 1):
        for rows in block:
            into = sql.SQL("copy {} ({}) from stdin (freeze)").format(
                sql.Identifier(rows.schema, rows.table),
                sql.SQL(", ").join(map(sql.Identifier, rows.columns)),
            )
            with connection.cursor() as cursor:
                with cursor.copy(into) as copy:
                    for chunk in rows.chunks:
                        copy.write(chunk)
                copied[rows.table] += cursor.rowcount
        percent = 100 * number // plan.blocks
        tell(f"{percent:3d} %  {copied['account']:,} accounts, {copied['invoice']:,} invoices")
    return copied


def _encoded_one_ahead(plan: Plan) -> Iterator[list[_Encoded]]:
    """All blocks, the next one made while PostgreSQL takes in the one before.

    In a process of its own: a thread would take the interpreter from the one that feeds PostgreSQL.
    """
    if plan.blocks == 1:
        yield _make(plan, 0)
        return
    with ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn")) as executor:
        following = executor.submit(_make, plan, 0)
        for block in range(1, plan.blocks):
            ready = following.result()
            following = executor.submit(_make, plan, block)
            yield ready
        yield following.result()


def _make(plan: Plan, block: int) -> list[_Encoded]:
    return [_encode(rows) for rows in generate(plan, block)]


def _encode(rows: Rows) -> _Encoded:
    columns = list(rows.columns.values())
    template = "\t".join("%.2f" if column.dtype.kind == "f" else "%s" for column in columns) + "\n"
    chunks = []
    for start in range(0, len(columns[0]), _ROWS_PER_CHUNK):
        values = (_as_texts(column[start : start + _ROWS_PER_CHUNK]) for column in columns)
        chunks.append("".join(map(template.__mod__, zip(*values, strict=True))).encode())
    return _Encoded(str(rows.table.schema), rows.table.name, tuple(rows.columns), chunks)


def _as_texts(column: NDArray[Any]) -> list[Any]:
    if column.dtype.kind == "M":
        column = np.where(np.isnat(column), NULL, np.datetime_as_string(column))
    return list(column.tolist())
