"""The daily file batch: what is in the files, once and for all, in order, four of them or none."""

from __future__ import annotations

import datetime as dt
import hashlib
import threading
from decimal import Decimal
from typing import Any

import hypothesis
import hypothesis.strategies as st
import psycopg
import pytest
from psycopg import sql

from rotina.errors import NothingToDoError, SettingError
from rotina.files import batches, daily_file_batch
from rotina.files.daily_file_batch import SourceChangedError
from rotina.files.feeds import FEEDS
from rotina.files.spool import SpoolError
from tests.examples import examples
from tests.files.shop import CATEGORIES, CUSTOMERS, DAY, DETAIL, INSTANCE, NOON, ORDERS, Partner, Shop, day
from tests.runs_by_hand import counts, items, open_run

NAMES = [feed.file_name(INSTANCE, DAY) for feed in FEEDS]
MANIFEST = f"ICOMMKT_MANIFEST_{INSTANCE}_20261120.json"


def fill(shop: Shop) -> None:
    """A day with two orders of two customers, and a customer registered on it who bought nothing."""
    shop.category("1001", 1, "CASA", "Casa")
    shop.category("1001", 2, "COZ", "Cozinha")
    shop.customer(
        1, name="Ana", email="ana@example.com", phone="+5511999990000", birth_on=dt.date(1990, 2, 28)
    )
    shop.customer(2, kind="company", name="Padaria São João", email=" contato@padaria.example ")
    shop.customer(3, name="Rui", created_at=dt.datetime(2026, 11, 20, 12, tzinfo=dt.UTC))
    shop.order(11, 2, status="cancelled", channel=None, store_code="WEB")
    shop.order(
        10,
        1,
        items=[("1001", "Cafeteira", 2, "189.90"), ("2001", "Caderno", 1, "18.90")],
        discount_value=Decimal("10.00"),
        shipping_value=Decimal("25.50"),
        total_value=Decimal("454.07"),
    )
    shop.payment(1, 10, "pix", "54.07")
    shop.payment(2, 10, "credit_card", "400.00", 3)
    shop.loaded(DAY)


# -- what is in the files -----------------------------------------------------------------------------------


def test_the_files_of_a_day(shop: Shop) -> None:
    fill(shop)
    shop.order(12, 1, on=day(19))  # of another day
    run, outcome = shop.run()
    assert counts(outcome) == (3, 3, 0, 0, 0)
    assert items(shop.connection, run) == []
    files = shop.batch()
    assert sorted(files) == sorted([*NAMES, MANIFEST])
    assert files["ICOMMKT_ORDERS_LOJA-1_20261120"].decode() == (
        "OrderNumber|StoreCode|UserId|Date|TotalItems|TotalProducts|TotalAmount|ItemsAmount|DiscountsAmount|"
        "ShippingAmount|Status|Channel|PaymentMethod|Installments\n"
        "P10|SP01|1|20/11/2026|3|2|454.07|398.70|10.00|25.50|invoiced|site|credit_card|3\n"
        "P11|WEB|2|20/11/2026|1|1|189.90|189.90|0.00|0.00|cancelled|||0\n"
    )
    assert files["ICOMMKT_ORDERSDETAIL_LOJA-1_20261120"].decode() == (
        "OrderNumber|LineNumber|ProductCode|ProductName|Quantity|UnitAmount|TotalAmount\n"
        "P10|1|1001|Cafeteira|2|189.90|379.80\n"
        "P10|2|2001|Caderno|1|18.90|18.90\n"
        "P11|1|1001|Cafeteira|1|189.90|189.90\n"
    )
    assert files["ICOMMKT_ORDERSDETAILCATEGORIES_LOJA-1_20261120"].decode() == (
        "OrderNumber|LineNumber|ProductCode|CategoryLevel|CategoryCode|CategoryName\n"
        "P10|1|1001|1|CASA|Casa\n"
        "P10|1|1001|2|COZ|Cozinha\n"
        "P11|1|1001|1|CASA|Casa\n"
        "P11|1|1001|2|COZ|Cozinha\n"
    )
    assert files["ICOMMKT_CUSTOMERS_LOJA-1_20261120"].decode() == (
        "UserId|Email|Name|Kind|Phone|BirthDate|RegisteredOn\n"
        "1|ana@example.com|Ana|person|+5511999990000|28/02/1990|05/01/2026\n"
        "2|contato@padaria.example|Padaria São João|company|||05/01/2026\n"
        "3|cliente3@example.com|Rui|person|||20/11/2026\n"
    )
    assert shop.manifest() == {
        "schema_version": 1,
        "instance": INSTANCE,
        "business_date": "2026-11-20",
        "sequence": 1,
        "replaces": None,
        "files": [
            {
                "name": name,
                "rows": rows,
                "bytes": len(files[name]),
                "sha256": hashlib.sha256(files[name]).hexdigest(),
            }
            for name, rows in zip(NAMES, [2, 3, 4, 3], strict=True)
        ],
    }
    (batch,) = batches.revisions(shop.connection, DAY)
    assert (batch.sequence, batch.delivered_at) == (1, None)
    assert batch.manifest_sha256 == hashlib.sha256(files[MANIFEST]).hexdigest()
    assert {(file.name, file.rows, file.sha256) for file in batch.files} == {
        (file["name"], file["rows"], file["sha256"]) for file in shop.manifest()["files"]
    }
    assert batch.due_at.isoformat() == "2026-11-21T12:00:00+00:00"  # 09:00 in São Paulo


def test_a_confirmed_day_without_data_has_header_only_files(shop: Shop) -> None:
    shop.loaded(DAY)
    assert counts(shop.generate()) == (0, 0, 0, 0, 0)
    files = shop.batch()
    assert {name: files[name].decode() for name in NAMES} == dict(
        zip(NAMES, (feed.header for feed in FEEDS), strict=True)
    )
    assert [file["rows"] for file in shop.manifest()["files"]] == [0, 0, 0, 0]
    assert shop.ledger() == [(DAY, 1, 1)]


@pytest.mark.parametrize(
    "on", [day(20), day(30), dt.date(2026, 12, 31), dt.date(2028, 2, 28), dt.date(2028, 2, 29)]
)
def test_a_day_ends_at_midnight_in_sao_paulo(shop: Shop, on: dt.date) -> None:
    shop.save_settings(first_business_date=on)
    midnight = dt.datetime.combine(on + dt.timedelta(days=1), dt.time(3), dt.UTC)
    second = dt.timedelta(seconds=1)
    shop.customer(1, created_at=midnight - dt.timedelta(days=1))
    shop.customer(2, created_at=midnight - second)
    shop.customer(3, created_at=midnight)
    shop.customer(4, created_at=midnight - dt.timedelta(days=1) - second)
    shop.order(10, 4, on=on)
    shop.order(11, 3, on=on + dt.timedelta(days=1))
    shop.loaded(on)
    assert counts(shop.generate(on)) == (3, 3, 0, 0, 0)
    assert [row["UserId"] for row in shop.rows(CUSTOMERS, on)] == ["1", "2", "4"]
    assert [row["Date"] for row in shop.rows(ORDERS, on)] == [f"{on:%d/%m/%Y}"]
    assert shop.manifest(on)["business_date"] == on.isoformat()


@pytest.mark.parametrize(
    ("buyer", "email", "reason"),
    [
        (None, "a@example.com", "order_without_customer"),
        (99, "a@example.com", "customer_missing"),
        (1, None, "no_email"),
        (1, "  ", "no_email"),
        (1, "ana", "invalid_email"),
        (1, "ana@example", "invalid_email"),
        (1, "ana silva@example.com", "invalid_email"),
        (1, "ana@exam|ple.com", "invalid_email"),
        (1, "ana@example.com\n", "invalid_email"),
        (1, f"{'a' * 243}@example.com", "invalid_email"),
    ],
)
def test_a_buyer_without_a_valid_address(
    shop: Shop, buyer: int | None, email: str | None, reason: str
) -> None:
    shop.category("1001", 1, "CASA", "Casa")
    shop.customer(1, email=email)
    shop.customer(2)
    shop.order(10, buyer, code="A-10")
    shop.order(11, 2)
    shop.loaded(DAY)
    run, outcome = shop.run()
    assert counts(outcome) == (2, 1, 0, 1, 0)
    assert items(shop.connection, run) == [("order", "10", "skipped", reason, "A-10")]
    assert [row["OrderNumber"] for code in (ORDERS, DETAIL, CATEGORIES) for row in shop.rows(code)] == [
        "P11"
    ] * 3
    assert [row["UserId"] for row in shop.rows(CUSTOMERS)] == ["2"]


def test_a_registered_customer_without_address_is_named_and_the_longest_address_fits(shop: Shop) -> None:
    registered = {"created_at": dt.datetime(2026, 11, 20, 12, tzinfo=dt.UTC)}
    longest = f"{'a' * 242}@example.com"
    shop.customer(1, email=None, **registered)
    shop.customer(2, email=longest, **registered)
    shop.order(10, 1)
    shop.loaded(DAY)
    run, outcome = shop.run()
    assert counts(outcome) == (3, 1, 0, 2, 0)
    assert items(shop.connection, run) == [
        ("customer", "1", "skipped", "no_email", None),
        ("order", "10", "skipped", "no_email", "P10"),
    ]
    assert [row["Email"] for row in shop.rows(CUSTOMERS)] == [longest]


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"code": "9" * 51}, "invalid_order_number"),
        ({"code": ""}, "invalid_order_number"),
        ({"code": " "}, "invalid_order_number"),
        ({"total_value": Decimal("100000000.00")}, "invalid_order_value"),
        ({"items_value": Decimal("-100000000.00")}, "invalid_order_value"),
        ({"discount_value": Decimal("NaN")}, "invalid_order_value"),
        ({"code": "9" * 50, "total_value": Decimal("99999999.00")}, None),
    ],
)
def test_an_order_that_does_not_fit_is_named(shop: Shop, values: dict[str, Any], reason: str | None) -> None:
    shop.customer(1)
    shop.order(10, 1, **values)
    shop.order(11, 1)
    shop.loaded(DAY)
    run, outcome = shop.run()
    assert [item[3] for item in items(shop.connection, run)] == ([reason] if reason else [])
    assert counts(outcome) == ((2, 1, 0, 1, 0) if reason else (2, 2, 0, 0, 0))
    assert len(shop.rows(ORDERS)) == len(shop.rows(DETAIL)) == (1 if reason else 2)


DIRTY = {
    'Fone 32" | preto': "Fone 32'   preto",
    "duas\r\nlinhas": "duas  linhas",
    "tab\te\x07sino": "tab e sino",
    "barra \\ e \\| fim\\": "barra / e /  fim/",
    "\\n não é quebra": "/n não é quebra",
    "nbsp\xa0fica, NEL\x85não": "nbsp\xa0fica, NEL não",
    "linha\u2028parágrafo\u2029": "linha parágrafo ",
    "\x7f": " ",
    "\\N": "/N",
    "": "",
    "Ação 🛒 ñ": "Ação 🛒 ñ",
}


def test_characters_that_would_break_a_row_are_replaced_and_counted(shop: Shop) -> None:
    shop.customer(1, name='Ana "Nina" | Silva')
    for number, name in enumerate(DIRTY):
        shop.order(10 + number, 1, items=[("1001", name, 1, "1.00")])
    shop.loaded(DAY)
    outcome = shop.generate()
    assert [row["ProductName"] for row in shop.rows(DETAIL)] == list(DIRTY.values())
    assert [row["Name"] for row in shop.rows(CUSTOMERS)] == ["Ana 'Nina'   Silva"]
    changed = sum(name != clean for name, clean in DIRTY.items())
    assert outcome.details["changed_values"] == f"ORDERSDETAIL.ProductName {changed}, CUSTOMERS.Name 1"
    query = "select feed, changed_values from crm.file_batch_file where changed_values <> '{}' order by 1"
    assert shop.owner.execute(query).fetchall() == [
        (CUSTOMERS, {"Name": 1}),
        (DETAIL, {"ProductName": changed}),
    ]


@pytest.mark.parametrize("filler", ["a", "ã", "🛒", "e\u0301"])
def test_texts_are_cut_at_their_width_in_characters(shop: Shop, filler: str) -> None:
    shop.customer(1, name=(filler * 201)[:201])
    shop.customer(2, name=(filler * 200)[:200])
    shop.order(10, 1, store_code=(filler * 31)[:31])
    shop.order(11, 2, store_code=(filler * 30)[:30])
    shop.loaded(DAY)
    outcome = shop.generate()
    assert {row["Name"] for row in shop.rows(CUSTOMERS)} == {(filler * 200)[:200]}
    assert {row["StoreCode"] for row in shop.rows(ORDERS)} == {(filler * 30)[:30]}
    assert outcome.details["changed_values"] == "ORDERS.StoreCode 1, CUSTOMERS.Name 1"


def test_numbers_and_dates_that_do_not_fit_are_emptied_and_counted(shop: Shop) -> None:
    shop.customer(1)
    shop.order(10, 1, items=[("1001", "Cafeteira", 1, "1.00")])
    shop.execute("update erp.sales_order_item set quantity = 100000000, unit_value = 'NaN'")
    shop.execute("update erp.customer set birth_on = '-infinity'")
    shop.loaded(DAY)
    outcome = shop.generate()
    (row,) = shop.rows(DETAIL)
    assert (row["Quantity"], row["UnitAmount"], row["TotalAmount"]) == ("0", "0", "0")
    assert shop.rows(ORDERS)[0]["TotalItems"] == "0"
    assert shop.rows(CUSTOMERS)[0]["BirthDate"] == ""
    assert outcome.details["changed_values"] == (
        "ORDERS.TotalItems 1, ORDERSDETAIL.Quantity 1, ORDERSDETAIL.UnitAmount 1, "
        "ORDERSDETAIL.TotalAmount 1, CUSTOMERS.BirthDate 1"
    )


# -- again, and corrections ---------------------------------------------------------------------------------


def test_the_same_day_again_writes_nothing(shop: Shop) -> None:
    fill(shop)
    shop.generate()
    before = shop.batch()
    times = {name: (shop.folder / name).stat().st_mtime_ns for name in shop.names()}
    ledger = shop.ledger("*")
    outcome = shop.generate()
    assert counts(outcome) == (3, 0, 3, 0, 0)
    assert shop.batch() == before
    assert {name: (shop.folder / name).stat().st_mtime_ns for name in shop.names()} == times
    assert shop.ledger("*") == ledger


def test_a_batch_that_never_left_is_made_anew_under_its_number(shop: Shop) -> None:
    fill(shop)
    shop.generate()
    first = shop.batch()
    shop.execute("update erp.sales_order_item set product_name = 'Outra' where order_id = 11")
    outcome = shop.generate()
    assert counts(outcome) == (3, 1, 2, 0, 0)
    assert (outcome.details["sequence"], "replaces" in outcome.details) == (1, False)
    changed = {name for name, data in shop.batch().items() if data != first[name]}
    assert changed == {"ICOMMKT_ORDERSDETAIL_LOJA-1_20261120", MANIFEST}
    assert shop.ledger("revision, sequence, differences") == [(1, 1, {})]
    assert len(shop.names()) == 7  # day, number, four files, manifest


def test_a_delivered_batch_is_corrected_with_the_next_number(shop: Shop, partner: Partner) -> None:
    fill(shop)
    shop.generate()
    shop.deliver(partner)
    first = shop.batch()
    shop.execute("update erp.sales_order set status = 'cancelled' where order_id = 10")
    shop.order(12, 2)
    shop.loaded(DAY)
    outcome = shop.generate()
    assert counts(outcome) == (4, 2, 2, 0, 0)
    assert (outcome.details["sequence"], outcome.details["replaces"]) == (2, 1)
    assert (shop.manifest()["sequence"], shop.manifest()["replaces"]) == (2, 1)
    old, new = (len(files["ICOMMKT_ORDERS_LOJA-1_20261120"]) for files in (first, shop.batch()))
    ((_, _, differences),) = shop.ledger("revision, sequence, differences")[1:]
    assert differences[ORDERS] == {"rows": [2, 3], "bytes": [old, new], "added": 2, "removed": 1}
    assert (differences[DETAIL]["added"], differences[DETAIL]["removed"]) == (1, 0)
    assert CUSTOMERS not in differences
    assert shop.deliver(partner) == [2]
    assert counts(shop.generate()) == (4, 0, 4, 0, 0)
    # The first batch is kept as it went out.
    assert {path.name: path.read_bytes() for path in (shop.folder / "20261120" / "1").iterdir()} == first


def test_a_correction_that_never_left_is_made_anew_and_compared_with_what_left(
    shop: Shop, partner: Partner
) -> None:
    fill(shop)
    shop.generate()
    shop.deliver(partner)
    shop.execute("update erp.customer set name = 'Ana Maria' where customer_id = 1")
    assert counts(shop.generate()) == (3, 0, 3, 0, 0)  # a buyer is not one of the records
    shop.execute("update erp.customer set name = 'Rui Reis' where customer_id = 3")
    assert counts(shop.generate()) == (3, 1, 2, 0, 0)
    assert shop.ledger("revision, sequence, differences -> 'customers' ->> 'added'") == [
        (1, 1, None),
        (2, 2, "2"),
    ]
    # Back to what it was: the number is taken, so the batch goes out, equal to the one that it replaces.
    shop.execute(
        "update erp.customer set name = case customer_id when 1 then 'Ana' else 'Rui' end "
        "where customer_id in (1, 3)"
    )
    shop.generate()
    assert shop.ledger("revision, sequence, differences") == [(1, 1, {}), (2, 2, {})]
    assert shop.deliver(partner) == [2]


def test_an_order_that_left_the_day_is_not_counted_but_told(shop: Shop, partner: Partner) -> None:
    fill(shop)
    shop.generate()
    shop.deliver(partner)
    shop.execute("update erp.sales_order set ordered_on = %s where order_id = 11", day(21))
    shop.loaded(DAY)
    assert counts(shop.generate()) == (2, 0, 2, 0, 0)
    ((differences,),) = shop.ledger("differences")[1:]
    assert (differences[ORDERS]["added"], differences[ORDERS]["removed"]) == (0, 1)
    assert differences[CUSTOMERS]["rows"] == [3, 2]


def test_a_batch_that_may_have_left_is_delivered_as_it_stands_and_then_corrected(
    shop: Shop, partner: Partner
) -> None:
    fill(shop)
    shop.generate()
    partner.cuts_after = 2
    with pytest.raises(daily_file_batch.DeliveryError, match="connection was lost"):
        shop.deliver(partner)
    shop.execute("update erp.sales_order set status = 'open' where order_id = 10")
    shop.generate()
    assert shop.ledger("sequence, delivered_at is null, error") == [
        (1, True, "the connection was lost"),
        (2, True, None),
    ]
    partner.cuts_after = None
    assert shop.deliver(partner) == [1, 2]
    assert partner.delivered == [1, 2]
    assert shop.ledger("error") == [(None,), (None,)]


def test_another_instance_gives_the_day_other_names(shop: Shop, partner: Partner) -> None:
    fill(shop)
    shop.generate()
    shop.deliver(partner)
    shop.save_settings(instance_id="NOVA")
    shop.generate()
    assert min(shop.batch()) == "ICOMMKT_CUSTOMERS_NOVA_20261120"
    assert shop.ledger("sequence, manifest_name") == [
        (1, MANIFEST),
        (2, "ICOMMKT_MANIFEST_NOVA_20261120.json"),
    ]


def test_files_that_were_lost_are_put_back(shop: Shop, partner: Partner) -> None:
    fill(shop)
    shop.generate()
    before = shop.batch()
    (shop.folder / "20261120" / "1" / NAMES[0]).write_bytes(b"damaged")
    outcome = shop.generate()
    assert counts(outcome) == (3, 0, 3, 0, 0)
    assert shop.batch() == before
    shop.deliver(partner)
    assert {path.name: path.read_bytes() for path in partner.folder.iterdir()} == before


def test_a_batch_that_left_in_part_and_was_lost_is_made_anew(shop: Shop, partner: Partner) -> None:
    fill(shop)
    shop.generate()
    partner.cuts_after = 1
    with pytest.raises(daily_file_batch.DeliveryError):
        shop.deliver(partner)
    (shop.folder / "20261120" / "1" / NAMES[0]).unlink()
    shop.execute("update erp.sales_order set status = 'open' where order_id = 10")
    shop.generate()
    partner.cuts_after = None
    assert shop.deliver(partner) == [1]
    assert shop.ledger() == [(DAY, 1, 1)]


# -- in order -----------------------------------------------------------------------------------------------


def missing(shop: Shop, on: dt.date = DAY, **params: Any) -> str | None:
    run = open_run(shop.connection, on, routine=daily_file_batch.ROUTINE, program="crm_lote", **params)
    return daily_file_batch.missing_source(shop.connection, run)


def test_a_day_waits_for_its_load(shop: Shop) -> None:
    shop.customer(1)
    shop.order(10, 1)
    problem = missing(shop)
    assert problem is not None
    assert "erp.load_watermark has no row sales_order for 2026-11-20" in problem
    assert "no row customer for 2026-11-20" in problem
    assert (
        "airflow backfill create --dag-id daily_file_batch --from-date 2026-11-20 --to-date 2026-11-20T23:59"
        in problem
    )
    with pytest.raises(SettingError, match="business_date = '2026-11-20': the ERP is not loaded"):
        shop.generate()
    assert shop.names() == []
    assert shop.ledger() == []
    shop.loaded(DAY)
    assert missing(shop) is None


def test_a_day_waits_while_it_is_half_loaded(shop: Shop) -> None:
    shop.customer(1)
    shop.order(10, 1)
    shop.loaded(DAY, orders=2, customers=1)
    assert "customer has 0 of 1 rows of 2026-11-20; sales_order has 1 of 2 rows" in str(missing(shop))
    shop.loaded(DAY, orders=2)
    assert "sales_order has 1 of 2 rows of 2026-11-20" in str(missing(shop))
    shop.order(11, 1)
    shop.order(12, 1)  # came after the load
    assert missing(shop) is None


def test_a_day_waits_for_the_days_before_it(shop: Shop, partner: Partner) -> None:
    shop.loaded(*map(day, range(20, 26)))
    assert "earlier ones are missing: 2026-11-20 to 2026-11-23 (4 days)" in str(missing(shop, day(24)))
    assert "--from-date 2026-11-20 --to-date 2026-11-23T23:59" in str(missing(shop, day(24)))
    assert missing(shop, day(24), out_of_order=True) is None
    with pytest.raises(SettingError, match="earlier ones are missing"):
        shop.generate(day(24))
    shop.generate(day(20))
    assert "missing: 2026-11-20." in str(missing(shop, day(21)))  # made, but not there yet
    shop.deliver(partner)
    assert missing(shop, day(21)) is None


def test_an_older_day_takes_the_next_number(shop: Shop, partner: Partner) -> None:
    shop.loaded(*map(day, range(20, 24)))
    shop.generate(day(22), out_of_order=True)
    shop.deliver(partner)
    for number in (20, 21, 23):
        shop.generate(day(number))
        shop.deliver(partner)
    assert shop.ledger() == [(day(20), 1, 2), (day(21), 1, 3), (day(22), 1, 1), (day(23), 1, 4)]
    assert partner.delivered == [1, 2, 3, 4]


def test_every_day_from_the_first_on_is_expected(shop: Shop) -> None:
    shop.loaded(day(23))
    shop.generate(day(23), out_of_order=True)
    assert shop.ledger("business_date, sequence, due_at") == [
        (day(number), 1 if number == 23 else None, dt.datetime(2026, 11, number + 1, 12, tzinfo=dt.UTC))
        for number in range(20, 24)
    ]
    query = "select count(*), count(distinct name), count(rows) from crm.file_batch_file"
    assert shop.owner.execute(query).fetchone() == (16, 16, 4)


def test_a_day_before_the_first_one_is_refused(shop: Shop) -> None:
    shop.loaded(day(19))
    for attempt in (missing, Shop.generate):
        with pytest.raises(SettingError, match=r"2026-11-19.*before the first one.*2026-11-20"):
            attempt(shop, day(19))
    assert shop.names() == []
    assert shop.ledger() == []
    with pytest.raises(NothingToDoError, match="a partir de 20/11/2026"):
        missing(shop, day(19), run_type="scheduled")


def test_two_runs_of_a_day_at_once(shop: Shop, task_uri: str) -> None:
    fill(shop)
    outcomes = []

    def work() -> None:
        with psycopg.connect(task_uri, autocommit=True, cursor_factory=psycopg.ClientCursor) as connection:
            outcomes.append(counts(Shop(shop.owner, connection, task_uri, shop.folder).generate()))

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == [(3, 0, 3, 0, 0), (3, 3, 0, 0, 0)]
    assert shop.ledger() == [(DAY, 1, 1)]


# -- delivery -----------------------------------------------------------------------------------------------


def test_batches_go_out_in_the_order_of_their_numbers(shop: Shop, partner: Partner) -> None:
    shop.loaded(day(20), day(21))
    shop.generate(day(21), out_of_order=True)
    shop.generate(day(20))
    assert shop.deliver(partner) == [1, 2]
    assert partner.delivered == [1, 2]
    assert shop.ledger("delivered_at is null, verified_at is null") == [(False, False)] * 2
    query = "select count(delivered_at), count(verified_at), count(*) from crm.file_batch_file"
    assert shop.owner.execute(query).fetchone() == (8, 8, 8)
    assert shop.deliver(partner) == []
    assert partner.delivered == [1, 2]


def test_a_batch_that_fails_holds_up_those_behind_it(shop: Shop, partner: Partner) -> None:
    shop.loaded(day(20), day(21))
    shop.generate(day(20))
    shop.generate(day(21), out_of_order=True)
    partner.refuses_login = True
    with pytest.raises(daily_file_batch.DeliveryError):
        shop.deliver(partner)
    assert shop.ledger("delivery_began_at is null, error") == [
        (True, "the server cannot be reached"),
        (True, None),
    ]
    partner.refuses_login, partner.cuts_after = False, 4
    with pytest.raises(daily_file_batch.DeliveryError):
        shop.deliver(partner)
    assert partner.delivered == []
    assert shop.ledger("delivery_began_at is null, error") == [
        (False, "the connection was lost"),
        (True, None),
    ]
    partner.cuts_after = None
    assert shop.deliver(partner) == [1, 2]


def test_what_is_not_there_as_it_was_made_is_delivered_again(shop: Shop, partner: Partner) -> None:
    fill(shop)
    shop.generate()
    partner.damages = NAMES[1]
    with pytest.raises(daily_file_batch.DeliveryError, match="differs"):
        shop.deliver(partner)
    assert shop.ledger("delivered_at is null, verified_at is null") == [(True, True)]
    assert "earlier ones are missing" in str(missing(shop, day(21)))
    partner.damages = None
    assert shop.deliver(partner) == [1]


def test_a_batch_that_was_not_looked_at_after_its_delivery_is(shop: Shop, partner: Partner) -> None:
    fill(shop)
    shop.generate()
    shop.deliver(partner)
    shop.execute("update crm.file_batch set verified_at = null")  # killed between the two
    partner.refuses_login = True
    with pytest.raises(daily_file_batch.DeliveryError):
        shop.deliver(partner)
    assert shop.ledger("delivered_at is null, error") == [(False, "the server cannot be reached")]
    partner.refuses_login = False
    assert shop.deliver(partner) == [1]
    assert partner.delivered == [1]  # not sent again
    assert shop.ledger("verified_at is null, error") == [(False, None)]


# -- what goes wrong ----------------------------------------------------------------------------------------


def test_begin_refuses_what_is_not_set_up(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROTINA_FILES_FOLDER", str(shop.folder))
    check = daily_file_batch.check_settings
    check(shop.connection, {})
    assert shop.names() == []
    for folder, problem in (
        ("", "absolute path"),
        ("spool", "absolute path"),
        ("/dev/null/spool", "Not a directory"),
        ("/proc/spool", "No such file"),
    ):
        monkeypatch.setenv("ROTINA_FILES_FOLDER", folder)
        with pytest.raises(SettingError, match=rf"ROTINA_FILES_FOLDER = .*{problem}"):
            check(shop.connection, {})
    shop.execute("update crm.daily_file_setting set instance_id = ' '")
    with pytest.raises(SettingError, match="instance_id = ' '"):
        check(shop.connection, {})
    shop.execute("update crm.daily_file_setting set instance_id = 'LOJA', active = false")
    with pytest.raises(SettingError, match="switched off"):
        check(shop.connection, {})
    shop.execute("delete from crm.daily_file_setting")
    with pytest.raises(SettingError, match="has no row"):
        check(shop.connection, {})


def test_begin_names_what_is_missing_in_the_erp(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROTINA_FILES_FOLDER", str(shop.folder))
    shop.execute("alter table erp.sales_order drop column channel")
    shop.execute("drop table erp.load_watermark")
    with pytest.raises(SettingError, match=r"erp.load_watermark.loaded_at.*erp.sales_order.channel"):
        daily_file_batch.check_settings(shop.connection, {})


@pytest.mark.parametrize(
    "column", ["sales_order.channel", "payment.method", "customer.phone", "product_category.level"]
)
def test_a_column_that_goes_missing_publishes_nothing(shop: Shop, column: str) -> None:
    fill(shop)
    table, _, name = column.partition(".")
    shop.owner.execute(
        sql.SQL("alter table erp.{} drop column {} cascade").format(
            sql.Identifier(table), sql.Identifier(name)
        )
    )
    with pytest.raises(psycopg.errors.UndefinedColumn, match=name):
        shop.generate()
    assert shop.names() == []
    assert shop.ledger() == []


def test_a_folder_that_went_away(shop: Shop) -> None:
    fill(shop)
    shop.folder.rmdir()
    with pytest.raises(SpoolError, match="No such file"):
        shop.generate()
    assert shop.ledger() == []


def test_a_database_that_cannot_be_reached_is_not_blamed_on_the_folder(shop: Shop) -> None:
    fill(shop)
    uri, shop.uri = shop.uri, "postgresql://nobody@/nothing?host=/nowhere"
    with pytest.raises(FileNotFoundError):
        shop.generate()
    assert shop.names() == []
    shop.uri = uri
    assert counts(shop.generate()) == (3, 3, 0, 0, 0)


def test_a_setting_that_is_wrong_stops_the_work_itself(shop: Shop) -> None:
    fill(shop)
    shop.execute("update crm.daily_file_setting set instance_id = '../x'")
    with pytest.raises(SettingError, match="instance_id"):
        shop.generate()
    assert shop.names() == []


def test_what_changes_while_the_files_are_written_is_in_none_of_them(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(shop)
    connect = Shop.connect

    async def late(shop: Shop) -> Any:
        shop.execute("update erp.sales_order_item set product_name = 'Outra'")
        shop.execute("update erp.customer set email = null")
        return await connect(shop)

    monkeypatch.setattr(Shop, "connect", late)
    assert counts(shop.generate()) == (3, 3, 0, 0, 0)
    assert {row["ProductName"] for row in shop.rows(DETAIL)} == {"Cafeteira", "Caderno"}
    assert all(row["Email"] for row in shop.rows(CUSTOMERS))


# -- an ERP on another server -------------------------------------------------------------------------------


@pytest.fixture
def foreign(shop: Shop) -> Shop:
    """The same ERP, reached through postgres_fdw."""
    fill(shop)
    info = shop.connection.info
    for statement in (
        "alter schema erp rename to erp_remote",
        "create extension postgres_fdw",
        "create schema erp",
        sql.SQL("create server vendor foreign data wrapper postgres_fdw options (host {}, dbname {})").format(
            sql.Literal(info.host), sql.Literal(info.dbname)
        ),
        "create user mapping for public server vendor options (user 'postgres', password_required 'false')",
        "import foreign schema erp_remote from server vendor into erp",
        "grant usage on schema erp to rotina_task",
        "grant select on all tables in schema erp to rotina_task",
    ):
        shop.owner.execute(statement)  # type: ignore[call-overload]
    return shop


def test_a_foreign_erp_gives_the_same_files(shop: Shop, foreign: Shop) -> None:
    foreign.execute("update erp_remote.customer set email = null where customer_id = 2")
    run, outcome = foreign.run()
    assert counts(outcome) == (3, 2, 0, 1, 0)
    assert [item[3] for item in items(foreign.connection, run)] == ["no_email"]
    made = foreign.batch()
    foreign.execute("drop schema erp cascade")
    foreign.execute("alter schema erp_remote rename to erp")
    assert counts(shop.generate()) == (3, 0, 2, 1, 0)
    assert shop.batch() == made


def test_a_foreign_erp_that_changes_while_it_is_read_publishes_nothing(
    foreign: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect = Shop.connect

    async def late(shop: Shop) -> Any:
        shop.execute(
            "insert into erp_remote.sales_order select 99, 'P99', customer_id, ordered_on, store_code, "
            "status, items_value, discount_value, shipping_value, total_value, updated_at "
            "from erp_remote.sales_order where order_id = 10"
        )
        return await connect(shop)

    monkeypatch.setattr(Shop, "connect", late)
    with pytest.raises(SourceChangedError, match="changed in the ERP while they were read"):
        foreign.generate()
    assert foreign.names() == []
    assert foreign.ledger() == []
    monkeypatch.undo()
    assert counts(foreign.generate()) == (4, 4, 0, 0, 0)


# -- whatever the data are ----------------------------------------------------------------------------------

TEXTS = st.text(st.characters(exclude_characters="\x00", exclude_categories=("Cs",)), max_size=60)
EMAILS = st.one_of(st.none(), TEXTS, st.sampled_from(["a@b.co", "Ana.Silva+1@example.com.br"]))
BREAKING = {chr(code) for code in (*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029)} | set('|"\\')


@hypothesis.settings(max_examples=examples(20))
@hypothesis.given(
    st.lists(st.tuples(EMAILS, TEXTS), max_size=4),
    st.lists(st.tuples(st.one_of(st.none(), st.integers(1, 6)), TEXTS, TEXTS, TEXTS), max_size=6),
)
def test_whatever_the_data_are_the_files_hold_together(
    shop: Shop, customers: list[tuple[str | None, str]], orders: list[tuple[int | None, str, str, str]]
) -> None:
    for table in ("sales_order", "sales_order_item", "customer", "product_category"):
        shop.owner.execute(sql.SQL("truncate erp.{}").format(sql.Identifier(table)))
    shop.execute("truncate crm.file_batch cascade")
    for key, (email, name) in enumerate(customers, 1):
        shop.customer(key, email=email, name=name, created_at=NOON + dt.timedelta(days=319 if key % 2 else 0))
    for key, (buyer, code, product, category) in enumerate(orders, 1):
        shop.order(key, buyer, code=code, items=[(f"{key}", product, 1, "1.00")] * 2)
        shop.category(f"{key}", 1, category, category)
    shop.loaded(DAY)
    outcome = shop.generate()
    assert outcome.selected == len(orders) + len(customers[::2])
    written, buyers = shop.rows(ORDERS), {row["UserId"] for row in shop.rows(CUSTOMERS)}
    assert len(buyers) == len(shop.rows(CUSTOMERS))
    assert {row["UserId"] for row in written} <= buyers
    numbers = {row["OrderNumber"] for row in written}
    assert {row["OrderNumber"] for row in shop.rows(DETAIL)} == numbers
    assert {row["OrderNumber"] for row in shop.rows(CATEGORIES)} == numbers
    assert all("@" in row["Email"] for row in shop.rows(CUSTOMERS))
    for code in (ORDERS, DETAIL, CATEGORIES, CUSTOMERS):
        (columns,) = [feed.columns for feed in FEEDS if feed.code == code]
        for row in shop.rows(code):
            for column in columns:
                value = row[column.name]
                assert not BREAKING.intersection(value)
                assert column.type == "date" or len(value) <= column.width + (column.type == "decimal")
    assert counts(shop.generate())[1] == 0
