"""The nine fields of purchase files, real and generated, against a computation that knows only the file."""

from __future__ import annotations

import datetime as dt
import os
import random
from collections import defaultdict
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest

from rotina.accounts.account_data_refresh import refresh_accounts
from rotina.demo import import_purchases
from tests.accounts.erp_data import FIELDS, Erp
from tests.runs_by_hand import do_work

REAL_FILE = Path(
    os.environ.get("ROTINA_CDNOW_FILE")
    or Path(__file__).parents[2].parent / "shared" / "data" / "cdnow_sample.txt"
)


def generated_file(folder: Path) -> Path:
    """Purchases of 300 customers, some on the same day, some of nothing, some on 29 February."""
    chance = random.Random(1)
    days = [dt.date(2024, 1, 1) + dt.timedelta(days=n) for n in range(120)] + [dt.date(2024, 2, 29)] * 20
    lines = [
        f" {chance.randrange(300):05d} {1:04d} {chance.choice(days):%Y%m%d} {chance.randrange(9):2d} "
        f"{chance.choice([0, chance.randrange(20_000) / 100]):7.2f}\n"
        for _ in range(2_000)
    ]
    path = folder / "generated.txt"
    path.write_text("".join(lines), encoding="ascii")
    return path


def computed(path: Path, date: dt.date) -> dict[str, tuple[Any, ...]]:
    """Name of the customer → the nine fields as of a date, from the lines of the file alone."""
    purchases: dict[str, list[tuple[dt.date, int, Decimal]]] = defaultdict(list)
    for number, line in enumerate(path.read_text().splitlines(), 1):
        customer, _, day, _, value = line.split()
        purchases[customer].append((dt.datetime.strptime(day, "%Y%m%d").date(), number, Decimal(value)))  # noqa: DTZ007
    result = {}
    for customer, all_bought in purchases.items():
        bought = sorted(purchase for purchase in all_bought if purchase[0] <= date)
        if not bought:
            result[f"Cliente {customer}"] = (None, None, None, None, Decimal(0), None, 0, None, None)
            continue
        first, last = bought[0], bought[-1]
        result[f"Cliente {customer}"] = (
            last[0],
            first[0],
            last[2],
            first[2],
            sum(value for _, _, value in bought),
            None,
            len(bought),
            (date - last[0]).days,
            f"{path.name}:{last[1]}",
        )
    return result


def stored(owner: psycopg.Connection, date: dt.date) -> dict[str, tuple[Any, ...]]:
    rows = owner.execute(
        f"select a.name, {FIELDS} from crm.account_data(%s) d join crm.account a on a.id = d.account_id",  # type: ignore[arg-type]
        [date],
    )
    return {row[0]: row[1:] for row in rows}


def check_file(path: Path, owner: psycopg.Connection, connection: psycopg.Connection) -> None:
    import_purchases(owner, path)
    days = sorted({dt.datetime.strptime(line.split()[2], "%Y%m%d").date() for line in path.open()})  # noqa: DTZ007
    dates = [days[0], days[len(days) // 3], days[-1]]
    for date in dates:  # the first is a full refresh, the others take in what came of age
        do_work(connection, refresh_accounts, date)
        assert stored(owner, date) == computed(path, date)
    _, outcome = do_work(connection, refresh_accounts, dates[-1], full=True)
    assert (outcome.selected, outcome.changed) == (len(computed(path, dates[-1])), 0)
    later = dates[-1] + dt.timedelta(days=30)
    assert stored(owner, later) == computed(path, later)


def test_a_generated_file(erp: Erp, connection: psycopg.Connection, tmp_path: Path) -> None:
    check_file(generated_file(tmp_path), erp.owner, connection)


@pytest.mark.skipif(not REAL_FILE.is_file(), reason="no purchase file; ROTINA_CDNOW_FILE names it")
def test_the_purchases_of_a_real_shop(erp: Erp, connection: psycopg.Connection) -> None:
    check_file(REAL_FILE, erp.owner, connection)
    assert len(computed(REAL_FILE, dt.date(1998, 6, 30))) == 2357
    (count,) = erp.owner.execute(
        "select sum(purchase_count) from crm.account_data('1998-06-30')"
    ).fetchone() or (0,)
    assert count == 6919
