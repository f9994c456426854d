"""Benchmarks of daily_file_batch: a large day to files against psql, its memory, and a day without data."""

from __future__ import annotations

import datetime as dt
import json
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.harness import Result, Sizes, benchmark, database, timed
from rotina.files import batches, daily_file_batch
from rotina.files.batches import DailyFileSettings
from rotina.files.feeds import DELIMITER, FEEDS, MISFIT
from rotina.local.postgres import POSTGRES_BIN_PATH
from rotina.sql import statement

DAY = dt.date(2026, 11, 20)
ROUNDS = 3

_SQL = Path(__file__).parent / "sql"

#: A run in a process of its own, as the task has it, which tells how much memory it took.
_CHILD = """
import json, os, re, sys, time
from datetime import date
from pathlib import Path
import asyncpg, psycopg
from rotina.files.daily_file_batch import ROUTINE, generate
from rotina.runs import record

uri, folder, day = sys.argv[1], Path(sys.argv[2]), date.fromisoformat(sys.argv[3])

async def connect():
    return await asyncpg.connect(uri)

with psycopg.connect(uri, autocommit=True, cursor_factory=psycopg.ClientCursor) as connection:
    request = record.RunRequest(ROUTINE, "crm_lote", f"bench_{os.getpid()}", "manual", day, None, {})
    run = record.open_run(connection, request)
    began = time.perf_counter()
    with record.routine_lock(connection, run.routine):
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        with connection.transaction():
            outcome = generate(connection, run, connect, folder)
            record.record_step(connection, run.id, "generate", outcome)
    seconds = time.perf_counter() - began
# Not ru_maxrss, which begins with what the process had before it became this program.
peak = int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024
print(json.dumps([seconds, peak, outcome.changed]))
"""


@benchmark
def daily_files(sizes: Sizes) -> list[Result]:
    """The files of a day of many orders, with cleaning, hash, validation and manifest, against psql alone.

    psql copies the same four queries to files, one after the other, in one session; it is told which orders
    are left out, neither cleans nor hashes nor validates, and does not make sure that files survive a crash.
    """
    seconds: dict[str, list[float]] = {"psql": [], "batch": [], "empty": []}
    memory: list[float] = []
    folder = Path(tempfile.mkdtemp(prefix="rotina-bench-files-"))
    try:
        with (
            database() as uri,
            psycopg.connect(uri, autocommit=True, cursor_factory=psycopg.ClientCursor) as connection,
        ):
            with timed(f"{sizes.orders:,} orders"):
                values = {"orders": sizes.orders, "business_date": DAY}
                connection.execute((_SQL / "add_orders.sql").read_text(encoding="utf-8"), values)  # type: ignore[call-overload]
            connection.execute("vacuum analyze")
            connection.execute("checkpoint")
            batches.save_settings(connection, DailyFileSettings("BENCH", DAY), "bench")
            commands = _psql_commands(connection, folder)
            for _round in range(ROUNDS):
                with timed("psql \\copy, four queries") as measured:
                    _psql(uri, commands)
                seconds["psql"] += measured
                spool = folder / "spool"
                shutil.rmtree(spool, ignore_errors=True)
                spool.mkdir()
                connection.execute("truncate crm.file_batch cascade")
                took, peak, written = _run(uri, spool, DAY)
                print(f"    the batch, {written:,} orders: {took:.2f} s, {peak:.0f} MB", flush=True)
                seconds["batch"].append(took)
                memory.append(peak)
            _compare(folder, spool)
            for number in range(1, 6):
                connection.execute("update crm.file_batch set delivered_at = now()")
                took, _, _ = _run(uri, spool, DAY + dt.timedelta(days=number))
                print(f"    a day without data: {took:.2f} s", flush=True)
                seconds["empty"].append(took)
    finally:
        shutil.rmtree(folder)
    median = {name: statistics.median(found) for name, found in seconds.items()}
    return [
        Result("daily_file_batch.files", median["batch"], "s", "psql \\copy", median["psql"], "<= 1.0"),
        Result("daily_file_batch.memory", max(memory), "MB", "limit in MB", 150, "<= 1"),
        Result("daily_file_batch.empty_day", median["empty"], "s", "limit in s", 1, "<= 1"),
    ]


def _run(uri: str, folder: Path, day: dt.date) -> tuple[float, float, int]:
    """Seconds of a run (without the start of its process), its memory in MB, and what it wrote."""
    done = subprocess.run(
        [sys.executable, "-c", _CHILD, uri, str(folder), str(day)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    seconds, peak, written = json.loads(done.stdout)
    return float(seconds), float(peak), int(written)


def _psql_commands(connection: psycopg.Connection, folder: Path) -> str:
    """What psql is told: the settings of the routine's sessions, and a copy of each feed."""
    with connection.transaction(force_rollback=True):
        cursor = psycopg.ClientCursor(connection)
        values: dict[str, Any] = daily_file_batch._values(DAY)
        widths = {"email_width": 254, "order_number_width": 50, "most_value": 10**8}
        pattern = {"email_pattern": daily_file_batch.EMAIL_PATTERN}
        connection.execute(statement("daily_file_batch/find_left_out"), {**values, **widths, **pattern})
        left_out = connection.execute(statement("daily_file_batch/list_left_out")).fetchone() or ([], [])
        values |= {"left_out_orders": left_out[0], "left_out_customers": left_out[1]}
        queries = {feed.label: cursor.mogrify(feed.query(), values) for feed in FEEDS}
    options = f"delimiter '{DELIMITER}', null '{MISFIT}'"
    copies = [
        f"\\copy ({_on_one_line(query)}) to '{folder / label}' ({options})"
        for label, query in queries.items()
    ]
    settings = ["set work_mem = '128MB';", "set jit = off;", "set datestyle = 'SQL, DMY';"]
    return "\n".join([*settings, *copies]) + "\n"


def _psql(uri: str, commands: str) -> None:
    command = [str(POSTGRES_BIN_PATH / "psql"), "--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=1", uri]
    subprocess.run(command, input=commands, text=True, check=True)


def _on_one_line(query: str) -> str:
    return " ".join(re.sub("--.*", "", query).split())


def _compare(folder: Path, spool: Path) -> None:
    """Both wrote the same rows."""
    for feed in FEEDS:
        (made,) = spool.rglob(feed.file_name("BENCH", DAY))
        size = made.stat().st_size - len(feed.header)
        print(f"    {feed.label}: {made.stat().st_size / 2**20:.0f} MB", flush=True)
        assert size == (folder / feed.label).stat().st_size, feed.label
