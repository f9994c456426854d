"""What the tests put into the reference ERP, how they run the routine, and how they read the files."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg
import psycopg

from rotina.files import batches, daily_file_batch
from rotina.files.batches import DailyFileSettings
from rotina.files.delivery import DeliveryError, Outgoing
from rotina.files.feeds import FEEDS
from rotina.runs.record import Outcome, Run
from tests.runs_by_hand import do_work

ROUTINE = {"routine": daily_file_batch.ROUTINE, "program": "crm_lote"}
DAY = dt.date(2026, 11, 20)
NOON = dt.datetime(2026, 1, 5, 15, tzinfo=dt.UTC)
INSTANCE = "LOJA-1"

ORDERS, DETAIL, CATEGORIES, CUSTOMERS = (feed.code for feed in FEEDS)


def day(number: int) -> dt.date:
    """A day of November 2026."""
    return dt.date(2026, 11, number)


@dataclass
class Shop:
    """The reference ERP of a test, the spool, and the routine that is run by hand."""

    owner: psycopg.Connection
    connection: psycopg.Connection
    uri: str
    folder: Path

    # -- the ERP ----------------------------------------------------------------------------------------

    def customer(self, key: int, **values: Any) -> int:
        """A customer with an e-mail address, registered long ago."""
        row = {
            "kind": "person",
            "name": f"Cliente {key}",
            "email": f"cliente{key}@example.com",
            "phone": None,
            "birth_on": None,
            "created_at": NOON,
            **values,
        }
        self._insert("customer", {"customer_id": key, "updated_at": NOON, **row})
        return key

    def order(
        self,
        key: int,
        customer: int | None,
        on: dt.date = DAY,
        items: Sequence[tuple[str, str, int, str]] = (("1001", "Cafeteira", 1, "189.90"),),
        **values: Any,
    ) -> int:
        """An order of items (sku, name, quantity, price of one)."""
        total = sum((quantity * Decimal(price) for _, _, quantity, price in items), Decimal(0))
        row = {
            "code": f"P{key}",
            "store_code": "SP01",
            "status": "invoiced",
            "items_value": total,
            "discount_value": Decimal(0),
            "shipping_value": Decimal(0),
            "total_value": total,
            "channel": "site",
            **values,
        }
        self._insert(
            "sales_order",
            {"order_id": key, "customer_id": customer, "ordered_on": on, "updated_at": NOON, **row},
        )
        for number, (sku, name, quantity, price) in enumerate(items, 1):
            self._insert(
                "sales_order_item",
                {
                    "order_id": key,
                    "line_number": number,
                    "sku": sku,
                    "product_name": name,
                    "quantity": quantity,
                    "unit_value": Decimal(price),
                },
            )
        return key

    def payment(self, key: int, order: int, method: str, value: str, installments: int = 1) -> None:
        row = {"payment_id": key, "order_id": order, "method": method, "value": Decimal(value)}
        self._insert("payment", {**row, "installments": installments, "updated_at": NOON})

    def category(self, sku: str, level: int, code: str, name: str) -> None:
        row = {"sku": sku, "level": level, "category_code": code, "category_name": name}
        self._insert("product_category", row)

    def loaded(self, *days: dt.date, orders: int | None = None, customers: int | None = None) -> None:
        """The ERP says that days are loaded, with as many rows as there are if no number is given."""
        for on in days:
            self.owner.execute(
                """
                insert into erp.load_watermark (source, loaded_on, row_count, loaded_at)
                values ('sales_order', %(on)s, coalesce(%(orders)s,
                    (select count(*) from erp.sales_order where ordered_on = %(on)s)), now()),
                ('customer', %(on)s, coalesce(%(customers)s, (select count(*) from erp.customer
                    where (created_at at time zone 'America/Sao_Paulo')::date = %(on)s)), now())
                on conflict (source, loaded_on) do update
                    set row_count = excluded.row_count, loaded_at = excluded.loaded_at
                """,
                {"on": on, "orders": orders, "customers": customers},
            )

    def execute(self, statement: str, *values: Any) -> None:
        """Change the ERP or the ledger behind the routine's back."""
        self.owner.execute(statement, values)  # type: ignore[call-overload]

    def _insert(self, table: str, row: dict[str, Any]) -> None:
        names = psycopg.sql.SQL(", ").join(map(psycopg.sql.Identifier, row))
        places = psycopg.sql.SQL(", ").join(psycopg.sql.Placeholder() * len(row))
        query = psycopg.sql.SQL("insert into erp.{} ({}) values ({})")
        self.owner.execute(query.format(psycopg.sql.Identifier(table), names, places), list(row.values()))

    # -- the routine ------------------------------------------------------------------------------------

    def save_settings(self, **values: Any) -> None:
        settings = {"instance_id": INSTANCE, "first_business_date": DAY, **values}
        batches.save_settings(self.connection, DailyFileSettings(**settings), "ana")

    async def connect(self) -> asyncpg.Connection:
        return await asyncpg.connect(self.uri)

    def generate(self, on: dt.date = DAY, **params: Any) -> Outcome:
        return self.run(on, **params)[1]

    def run(self, on: dt.date = DAY, **params: Any) -> tuple[Run, Outcome]:
        """Make the batch of a day as its task does."""
        return do_work(
            self.connection,
            lambda connection, run: daily_file_batch.generate(connection, run, self.connect, self.folder),
            on,
            **ROUTINE,
            **params,
        )

    def deliver(self, partner: Partner) -> list[int]:
        return daily_file_batch.deliver(self.connection, self.folder, partner.open)

    # -- what came of it --------------------------------------------------------------------------------

    def names(self) -> list[str]:
        """Everything in the spool, hidden files included."""
        return sorted(str(path.relative_to(self.folder)) for path in self.folder.rglob("*"))

    def batch(self, on: dt.date = DAY) -> dict[str, bytes]:
        """The files of the newest batch of a day, by name."""
        newest = max((self.folder / f"{on:%Y%m%d}").iterdir(), key=lambda path: int(path.name))
        return {path.name: path.read_bytes() for path in newest.iterdir()}

    def manifest(self, on: dt.date = DAY) -> dict[str, Any]:
        name = f"ICOMMKT_MANIFEST_{INSTANCE}_{on:%Y%m%d}.json"
        return dict(json.loads(self.batch(on)[name]))

    def rows(self, code: str, on: dt.date = DAY) -> list[dict[str, str]]:
        """The rows of a file as a partner reads them: lines, split at the delimiter."""
        (feed,) = [feed for feed in FEEDS if feed.code == code]
        header, *lines = self.batch(on)[feed.file_name(INSTANCE, on)].decode().removesuffix("\n").split("\n")
        names = header.split("|")
        return [dict(zip(names, line.split("|"), strict=True)) for line in lines]

    def ledger(self, columns: str = "business_date, revision, sequence") -> list[tuple[Any, ...]]:
        query = f"select {columns} from crm.file_batch order by business_date, revision"
        return self.owner.execute(query).fetchall()  # type: ignore[call-overload]


class Partner:
    """A partner's folder that keeps to the interface of a target, and can be made to fail."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.delivered: list[int] = []
        self.refuses_login = False
        self.cuts_after: int | None = None
        self.damages: str | None = None

    @contextmanager
    def open(self, connection_id: str) -> Iterator[Partner]:
        assert connection_id == "daily_files"
        if self.refuses_login:
            raise DeliveryError("the server cannot be reached", try_again=True)
        yield self

    def deliver(self, files: Sequence[Outgoing], manifest: Outgoing) -> None:
        (self.folder / manifest.name).unlink(missing_ok=True)
        for number, outgoing in enumerate((*files, manifest)):
            if number == self.cuts_after:
                raise DeliveryError("the connection was lost", try_again=True)
            data = outgoing.path.read_bytes()
            assert len(data) == outgoing.bytes
            (self.folder / outgoing.name).write_bytes(data)
        self.delivered.append(json.loads(manifest.path.read_bytes())["sequence"])
        if self.damages:
            (self.folder / self.damages).write_bytes(b"")

    def verify(self, files: Sequence[Outgoing], manifest: Outgoing) -> None:
        for outgoing in (*files, manifest):
            if (self.folder / outgoing.name).read_bytes() != outgoing.path.read_bytes():
                raise DeliveryError(f"{outgoing.name} differs", try_again=True)
