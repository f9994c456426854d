"""Imports a file of purchases (customer, sample, date, items, value) into the reference ERP and the CRM."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from rotina.errors import RotinaError
from rotina.sql import statement

#: Customers of purchase files are numbered from here, far above those of the demonstration data (and of most
#: ERPs): customer 00004 of a file is customer 9000000004. Their invoices are numbered above it too.
FIRST_PURCHASE_ID = 9_000_000_000

#: The columns of a line: what each must look like, as a pattern and in words.
_FIELDS = {
    "customer": (re.compile(r"[0-9]{1,9}"), "a number of at most nine digits"),
    "sample": (re.compile(r".*"), "anything"),
    "date": (re.compile(r"[0-9]{8}"), "a date in the form YYYYMMDD"),
    "items": (re.compile(r"[0-9]{1,9}"), "a whole number, zero or more"),
    "value": (
        re.compile(r"[0-9]{1,12}(\.[0-9]{1,2})?"),
        "an amount, zero or more, with at most two decimals",
    ),
}


class PurchaseFileError(RotinaError):
    """A line of a purchase file that cannot be imported; nothing of the file was.

    Attributes:
        path: the file.
        line: number of the line, from 1.
        field: what is wrong in it: customer, sample, date, items, value or columns.
    """

    def __init__(self, path: Path, line: int, field: str, problem: str) -> None:
        super().__init__(f"{path.name}, line {line}, {field}: {problem}")
        self.path = path
        self.line = line
        self.field = field


@dataclass(frozen=True)
class PurchaseCounts:
    """What a file held, and what was new."""

    purchases: int
    customers: int
    accounts: int
    invoices: int


def import_purchases(connection: psycopg.Connection[Any], path: Path) -> PurchaseCounts:
    """Import a purchase file: per customer a customer of the ERP and an account, per line an invoice.

    In one transaction (a savepoint, where one is open). Lines imported before are left alone: an invoice is
    known by the file's name and its line. A customer number means the same customer in every file.

    Args:
        connection: as the owner of the database.
        path: the file; columns separated by white space, dates as YYYYMMDD, values in BRL.

    Raises:
        PurchaseFileError: a line is malformed, or was imported before with other contents.
        OSError: the file cannot be read.
    """
    with connection.transaction(), connection.cursor() as cursor:
        cursor.execute(statement("demo/create_purchase_line"))
        with cursor.copy(statement("demo/copy_purchase_lines")) as copy:
            for row in _read(path):
                copy.write_row(row)
        purchases = cursor.rowcount
        first_id = {"first_id": FIRST_PURCHASE_ID}
        if changed := cursor.execute(statement("demo/find_changed_purchase"), first_id).fetchone():
            line, field = changed
            raise PurchaseFileError(path, line, field, "is not what was imported before from this line")
        counts = PurchaseCounts(
            purchases=purchases,
            customers=cursor.execute(statement("demo/add_purchase_customers")).rowcount,
            accounts=cursor.execute(statement("demo/add_purchase_accounts")).rowcount,
            invoices=cursor.execute(statement("demo/add_purchase_invoices"), first_id).rowcount,
        )
        cursor.execute(statement("demo/drop_purchase_line"))
    return counts


def _read(path: Path) -> Iterator[tuple[int, str, int, str, str, str]]:
    """The rows of purchase_line, from each line that is not blank."""
    # A byte that is not ASCII becomes a character that no pattern allows, so the error names its line.
    with path.open(encoding="ascii", errors="replace") as lines:
        for number, line in enumerate(lines, 1):
            columns = line.split()
            if not columns:
                continue
            if problem := _problem(columns):
                raise PurchaseFileError(path, number, *problem)
            customer, _sample, date, _items, value = columns
            yield (
                number,
                f"{path.name}:{number}",
                FIRST_PURCHASE_ID + int(customer),
                f"Cliente {customer}",
                date,
                value,
            )


def _problem(columns: list[str]) -> tuple[str, str] | None:
    """The field that is wrong and what it must be; None when all is well."""
    if len(columns) != len(_FIELDS):
        return "columns", f"{len(columns)} instead of {len(_FIELDS)} ({', '.join(_FIELDS)})"
    for text, (field, (pattern, wanted)) in zip(columns, _FIELDS.items(), strict=True):
        if not pattern.fullmatch(text) or (field == "date" and not _in_calendar(text)):
            found = "what is there" if field == "customer" else repr(text)  # it might be personal
            return field, f"{found} is not {wanted}"
    return None


def _in_calendar(text: str) -> bool:
    try:
        dt.date.fromisoformat(text)
    except ValueError:
        return False
    return True
