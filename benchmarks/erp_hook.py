"""Benchmarks of ErpHook: COPY to and from files, against psql's \\copy of the same rows."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import tempfile
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psycopg

from benchmarks.harness import Result, Sizes, benchmark, database, timed
from rotina.hooks.erp import ErpHook
from rotina.local.postgres import POSTGRES_BIN_PATH

ROUNDS = 3


@benchmark
def erp_hook_copy(sizes: Sizes) -> list[Result]:
    """COPY of a table of a fifth of the invoices' size to a file and back."""
    rows = sizes.invoices // 5
    figures: dict[str, list[float]] = {"to": [], "psql to": [], "from": [], "psql from": []}
    with database() as uri, tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.csv"
        parts = urlsplit(uri)
        os.environ["AIRFLOW_CONN_ERP_DB"] = json.dumps(
            {
                "conn_type": "postgres",
                "host": parse_qs(parts.query)["host"][0],
                "login": parts.username,
                "schema": parts.path.removeprefix("/"),
            }
        )
        query = f"select n, md5(n::text), n / 100.0 from generate_series(1, {rows}) as n"
        hook = ErpHook()
        with psycopg.connect(uri, autocommit=True) as connection:
            connection.execute(f"create table crm.copied as {query}")  # type: ignore[arg-type]
            connection.execute("create table crm.target (like crm.copied)")
            connection.execute("vacuum analyze crm.copied")
            for _ in range(ROUNDS):
                with timed("psql \\copy to a file") as seconds:
                    _psql(uri, f"\\copy crm.copied to '{path}' csv")
                figures["psql to"] += seconds
                with timed("ErpHook.copy_to_file") as seconds:
                    hook.copy_to_file("../../benchmarks/sql/list_copied", path, format="csv")
                figures["to"] += seconds
                connection.execute("truncate crm.target")
                with timed("psql \\copy from a file") as seconds:
                    _psql(uri, f"\\copy crm.target from '{path}' csv")
                figures["psql from"] += seconds
                connection.execute("truncate crm.target")
                with timed("ErpHook.copy_from_file") as seconds:
                    hook.copy_from_file("crm.target", ["n", "md5", "?column?"], path, format="csv")
                figures["from"] += seconds
    median = {name: statistics.median(seconds) for name, seconds in figures.items()}
    return [
        Result("erp_hook.copy_to_file", median["to"], "s", "psql \\copy", median["psql to"], "<= 1.1"),
        Result("erp_hook.copy_from_file", median["from"], "s", "psql \\copy", median["psql from"], "<= 1.1"),
    ]


def _psql(uri: str, command: str) -> None:
    subprocess.run([str(POSTGRES_BIN_PATH / "psql"), "--quiet", "--command", command, uri], check=True)
