"""The import of purchase files: every line once, wrong lines named, nothing half done."""

from __future__ import annotations

import datetime as dt
import os
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest

from rotina import demo
from rotina.demo import PurchaseCounts, PurchaseFileError, import_purchases

LINES = [
    " 00004 0001 19970118  2   29.73",
    " 00004 0001 19970101  2   29.33",
    " 00018 0002 19970104  1   14.96",
    " 00021 0003 19970101  0    0.00",
]
REAL_FILE = Path(
    os.environ.get("ROTINA_CDNOW_FILE")
    or Path(__file__).parents[2].parent / "shared" / "data" / "cdnow_sample.txt"
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "shop.txt"
    path.write_text("\r\n".join([*LINES, ""]), encoding="ascii", newline="")
    return path


def rows(owner: psycopg.Connection[Any], query: str) -> list[tuple[Any, ...]]:
    return owner.execute(query).fetchall()  # type: ignore[call-overload, no-any-return]


INVOICES = "select code, customer_id, issued_on::text, value from erp.invoice order by invoice_id"


def test_customers_accounts_and_invoices(owner: psycopg.Connection[Any], file: Path) -> None:
    owner.execute("set time zone 'UTC'")  # the time zone of the session must not matter
    assert import_purchases(owner, file) == PurchaseCounts(4, 3, 3, 4)
    assert rows(owner, INVOICES) == [
        ("shop.txt:2", 9_000_000_004, "1997-01-01", Decimal("29.33")),
        ("shop.txt:4", 9_000_000_021, "1997-01-01", Decimal("0.00")),
        ("shop.txt:3", 9_000_000_018, "1997-01-04", Decimal("14.96")),
        ("shop.txt:1", 9_000_000_004, "1997-01-18", Decimal("29.73")),
    ]
    accounts = "select name, kind, email, erp_customer_id from crm.account order by id"
    assert rows(owner, accounts) == [
        ("Cliente 00004", "person", None, 9_000_000_004),
        ("Cliente 00018", "person", None, 9_000_000_018),
        ("Cliente 00021", "person", None, 9_000_000_021),
    ]
    registered = "select (created_at at time zone 'America/Sao_Paulo')::text from erp.customer order by 1"
    assert rows(owner, registered) == [
        ("1997-01-01 00:00:00",),
        ("1997-01-01 00:00:00",),
        ("1997-01-04 00:00:00",),
    ]
    assert rows(owner, "select count(*) from crm.account_data_due") == [(3,)]
    # A refresh looks for what changed lately: old purchases that arrive now have changed now.
    assert rows(owner, "select count(*) from erp.invoice where updated_at < now() - interval '1 hour'") == [
        (0,)
    ]


def test_the_same_file_again_adds_nothing(owner: psycopg.Connection[Any], file: Path) -> None:
    import_purchases(owner, file)
    before = rows(owner, "select i::text, a::text from erp.invoice as i, crm.account as a order by 1, 2")
    assert import_purchases(owner, file) == PurchaseCounts(4, 0, 0, 0)
    assert before == rows(
        owner, "select i::text, a::text from erp.invoice as i, crm.account as a order by 1, 2"
    )


def test_a_longer_file_adds_its_new_lines(owner: psycopg.Connection[Any], file: Path) -> None:
    import_purchases(owner, file)
    with file.open("a", encoding="ascii") as text:
        text.write("\n00021 0003 19970301 1 5.5\n00099 0004 19970302 1 7\n")
    assert import_purchases(owner, file) == PurchaseCounts(6, 1, 1, 2)
    assert rows(owner, INVOICES)[-2:] == [
        ("shop.txt:6", 9_000_000_021, "1997-03-01", Decimal("5.50")),
        ("shop.txt:7", 9_000_000_099, "1997-03-02", Decimal("7.00")),
    ]


def test_two_files_in_one_transaction(database: str, file: Path) -> None:
    other = file.with_name("other.txt")
    other.write_text(LINES[0], encoding="ascii")
    with psycopg.connect(database) as connection:
        import_purchases(connection, file)
        assert import_purchases(connection, other) == PurchaseCounts(1, 0, 0, 1)


@pytest.mark.parametrize(
    ("line", "field"),
    [
        ("00004 0001 19970118 2", "columns"),
        ("00004 0001 19970118 2 29.73 x", "columns"),
        ("abc 0001 19970118 2 29.73", "customer"),
        ("1234567890 0001 19970118 2 29.73", "customer"),
        ("00004 0001 19970230 2 29.73", "date"),
        ("00004 0001 970118 2 29.73", "date"),
        ("00004 0001 00000101 2 29.73", "date"),
        ("00004 0001 19970118 two 29.73", "items"),
        ("00004 0001 19970118 2 29,73", "value"),
        ("00004 0001 19970118 2 -29.73", "value"),
        ("00004 0001 19970118 2 nan", "value"),
        ("00004 0001 19970118 2 29.731", "value"),
        ("00004 0001 19970118 2 R\u00b229.73", "value"),
    ],
)
def test_a_malformed_line_is_named_and_nothing_is_imported(
    owner: psycopg.Connection[Any], file: Path, line: str, field: str
) -> None:
    file.write_text("\n".join([*LINES, "", line]), encoding="utf-8")
    with pytest.raises(PurchaseFileError, match=rf"^shop\.txt, line 6, {field}: ") as caught:
        import_purchases(owner, file)
    assert (caught.value.path, caught.value.line, caught.value.field) == (file, 6, field)
    assert rows(owner, "select count(*) from erp.customer") == [(0,)]
    assert rows(owner, "select count(*) from crm.account") == [(0,)]
    assert rows(owner, INVOICES) == []


@pytest.mark.parametrize(
    ("line", "field"),
    [
        ("00004 0001 19970118 2 29.74", "value"),
        ("00004 0001 19970119 2 29.73", "date"),
        ("00005 0001 19970118 2 29.73", "customer"),
    ],
)
def test_a_file_that_changed_is_refused(
    owner: psycopg.Connection[Any], file: Path, line: str, field: str
) -> None:
    import_purchases(owner, file)
    file.write_text("\n".join([line, *LINES[1:]]), encoding="ascii")
    with pytest.raises(PurchaseFileError, match=rf"^shop\.txt, line 1, {field}: "):
        import_purchases(owner, file)
    assert len(rows(owner, INVOICES)) == 4
    assert rows(owner, "select count(*) from crm.account") == [(3,)]


def test_beside_the_demonstration_data(database: str, owner: psycopg.Connection[Any], file: Path) -> None:
    counts = demo.load(database, accounts=100, seed=1, business_date=dt.date(2026, 11, 20))
    assert import_purchases(owner, file) == PurchaseCounts(4, 3, 3, 4)
    assert rows(owner, "select count(*) from erp.customer") == [(counts.customers + 3,)]
    assert rows(owner, "select min(id), max(id) from crm.account") == [(1, 103)]


@pytest.mark.skipif(not REAL_FILE.is_file(), reason="no purchase file; ROTINA_CDNOW_FILE names it")
def test_the_purchases_of_a_real_shop(owner: psycopg.Connection[Any]) -> None:
    assert import_purchases(owner, REAL_FILE) == PurchaseCounts(6919, 2357, 2357, 6919)
    total = sum(Decimal(line.split()[4]) for line in REAL_FILE.read_text(encoding="ascii").splitlines())
    assert rows(owner, "select sum(value) from erp.invoice") == [(total,)]
    assert import_purchases(owner, REAL_FILE) == PurchaseCounts(6919, 0, 0, 0)
