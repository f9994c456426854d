"""A full disk, and a process that is killed: four files or none, and running again mends it."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from rotina.files import batches
from rotina.files.spool import SpoolError
from tests.files.shop import DAY, Partner, Shop
from tests.runs_by_hand import counts

#: More than a piece of the writer, so that a part is on disk before it fails.
ORDERS = 30_000


@pytest.fixture
def large(shop: Shop) -> Shop:
    """A day with some megabytes of files."""
    shop.customer(1)
    shop.execute(
        """
        insert into erp.sales_order (order_id, code, customer_id, ordered_on, store_code, status, items_value,
            discount_value, shipping_value, total_value, updated_at)
        select n, 'P' || n, 1, %s, 'SP01', 'open', 1, 0, 0, 1, now() from generate_series(1, %s) as n
        """,
        DAY,
        ORDERS,
    )
    shop.execute(
        "insert into erp.sales_order_item select order_id, 1, '1', 'Caderno', 1, 1 from erp.sales_order"
    )
    shop.loaded(DAY)
    return shop


@contextmanager
def small_disk(size: str) -> Iterator[Path]:
    """A file system of its own that is soon full."""
    folder = Path(tempfile.mkdtemp(prefix="rotina-disk-"))
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "rotina", str(folder)]
    mounted = subprocess.run(command, capture_output=True, check=False)
    if mounted.returncode != 0:
        folder.rmdir()
        pytest.skip("only root may mount a file system")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)
        folder.rmdir()


def assert_nothing_stands(shop: Shop) -> None:
    assert shop.names() == []
    assert shop.ledger() == []


def test_a_disk_that_fills_up(large: Shop) -> None:
    with small_disk("1m") as large.folder:
        with pytest.raises(SpoolError, match="No space left on device"):
            large.generate()
        assert_nothing_stands(large)
    with small_disk("16m") as large.folder:
        assert counts(large.generate()) == (ORDERS, ORDERS, 0, 0, 0)
        assert len(large.batch()) == 5


def test_a_file_that_may_not_grow(large: Shop) -> None:
    """As a full disk, for who is not root: the second megabyte cannot be written."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_500_000, before[1]))
    try:
        with pytest.raises(SpoolError, match="File too large"):
            large.generate()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert_nothing_stands(large)
    assert counts(large.generate()) == (ORDERS, ORDERS, 0, 0, 0)


# -- killed -------------------------------------------------------------------------------------------------

#: A run in a process of its own that kills itself at a place that the test names.
_SCRIPT = """
import os, signal, sys
from pathlib import Path
import psycopg
from rotina.files import spool, writer
from tests.files.shop import DAY, Shop

uri, folder, place = sys.argv[1:]

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

if place == "in the middle of a file":
    put, calls = writer.FeedFile._put, []
    def put_then_die(file, rows):
        put(file, rows)
        calls.append(len(rows))
        if sum(calls) > 1_000_000:
            die()
    writer.FeedFile._put = put_then_die
elif place == "before the rename":
    spool.publish = die
elif place == "before the commit":
    publish = spool.publish
    def publish_then_die(*arguments):
        publish(*arguments)
        die()
    spool.publish = publish_then_die
with psycopg.connect(uri, autocommit=True, cursor_factory=psycopg.ClientCursor) as connection:
    shop = Shop(connection, connection, uri, Path(folder))
    shop.generate()
    if place == "after the commit":
        die()
"""

PLACES = ["in the middle of a file", "before the rename", "before the commit", "after the commit"]


def kill(shop: Shop, place: str) -> None:
    process = subprocess.run(
        [sys.executable, "-c", _SCRIPT, shop.uri, str(shop.folder), place],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        timeout=120,
        check=False,
    )
    assert process.returncode == -signal.SIGKILL


def published(shop: Shop) -> list[str]:
    return [name for name in shop.names() if not name.startswith(".")]


@pytest.mark.parametrize("place", PLACES)
def test_running_again_mends_what_a_killed_run_left(large: Shop, partner: Partner, place: str) -> None:
    kill(large, place)
    committed = place == "after the commit"
    assert large.ledger("sequence") == ([(1,)] if committed else [])
    expected = 7 if place in ("before the commit", "after the commit") else 0
    assert len(published(large)) == expected  # all of it or nothing
    if not committed:
        assert large.deliver(partner) == []  # nothing goes out that the ledger does not know
    outcome = large.generate()
    assert counts(outcome) == (ORDERS, 0 if committed else ORDERS, ORDERS if committed else 0, 0, 0)
    assert large.ledger("sequence") == [(1,)]
    assert len(large.names()) == 7  # and no leftovers
    assert large.deliver(partner) == [1]
    (batch,) = batches.revisions(large.connection, DAY)
    assert batch.verified_at is not None


def test_another_day_takes_the_number_that_a_killed_run_did_not_record(large: Shop) -> None:
    kill(large, "before the commit")
    large.save_settings(first_business_date=DAY.replace(day=19))
    large.loaded(DAY.replace(day=19))
    large.generate(DAY.replace(day=19))
    assert not (large.folder / "20261120" / "1").exists()
    large.generate(DAY, out_of_order=True)
    assert large.ledger("business_date, sequence") == [(DAY.replace(day=19), 1), (DAY, 2)]


def test_a_correction_that_is_killed_leaves_the_batch_as_it_was(large: Shop, partner: Partner) -> None:
    large.generate()
    large.deliver(partner)
    before = large.batch()
    large.execute("update erp.sales_order set status = 'invoiced'")
    kill(large, "before the commit")
    assert large.ledger("sequence") == [(1,)]
    assert {path.name: path.read_bytes() for path in (large.folder / "20261120" / "1").iterdir()} == before
    assert counts(large.generate()) == (ORDERS, ORDERS, 0, 0, 0)
    assert large.ledger("sequence, revision") == [(1, 1), (2, 2)]


def test_sessions_of_a_failed_run_end(large: Shop, owner: psycopg.Connection) -> None:
    large.folder.rmdir()
    with pytest.raises(SpoolError):
        large.generate()
    query = "select count(*) from pg_stat_activity where datname = current_database() and query like 'COPY%'"
    assert owner.execute(query).fetchone() == (0,)
