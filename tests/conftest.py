"""Fixtures of all tests: a real PostgreSQL, one migrated template database, a fresh copy of it per test."""

from __future__ import annotations

import gc
import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import fasteners
import hypothesis
import psycopg
import pytest
from psycopg import sql

from rotina.local.postgres import ROTINA_DATABASE, TASK_ROLE, EmbeddedPostgres
from rotina.migrations import upgrade
from tests.examples import examples

# Airflow reads its configuration when it is imported: no examples, no user's own airflow.cfg.
os.environ.setdefault("AIRFLOW__CORE__LOAD_EXAMPLES", "False")
os.environ.setdefault("AIRFLOW__CORE__UNIT_TEST_MODE", "False")

# No example is timed: a busy machine is no failure. A fixture of a function may serve all of its examples.
hypothesis.settings.register_profile(
    "rotina",
    deadline=None,
    max_examples=examples(100),
    suppress_health_check=[
        hypothesis.HealthCheck.too_slow,
        hypothesis.HealthCheck.function_scoped_fixture,
    ],
)
hypothesis.settings.load_profile("rotina")

_TEMPLATE = f"{ROTINA_DATABASE}_template"


#: Folder of the server of this test run, which its workers inherit. Not one of pytest's own folders: they
#: are closed to the system user that PostgreSQL runs as when the tests run as root.
_SERVER_FOLDER = "ROTINA_TEST_SERVER"

#: Bytes that the databases of a test run may take, at the very most.
_ROOM = 8 * 2**30


def pytest_configure(config: pytest.Config) -> None:
    """Choose the folder of the server, once for all workers."""
    if not hasattr(config, "workerinput"):
        os.environ[_SERVER_FOLDER] = tempfile.mkdtemp(prefix="rotina-tests-", dir=_memory())


def _memory() -> Path | None:
    """A folder in memory, where there is room; making a database takes a fraction of the time there."""
    memory = Path("/dev/shm")
    if os.access(memory, os.W_OK) and shutil.disk_usage(memory).free >= _ROOM:
        return memory
    return None


def pytest_collection_finish() -> None:
    """Airflow, its API and the tests are half a million objects, which the collector need not visit again."""
    gc.freeze()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Stop the server when the last worker is done."""
    if not hasattr(session.config, "workerinput"):
        _server().stop()
        shutil.rmtree(os.environ[_SERVER_FOLDER])


def _server() -> EmbeddedPostgres:
    return EmbeddedPostgres(
        Path(os.environ[_SERVER_FOLDER]),
        settings={"fsync": "off", "shared_buffers": "256MB", "max_wal_size": "1GB"},
    )


@pytest.fixture(scope="session")
def postgres() -> EmbeddedPostgres:
    """The PostgreSQL server of this test run, with the migrated template database."""
    server = _server()
    with fasteners.InterProcessLock(Path(os.environ[_SERVER_FOLDER]) / "lock"):
        server.start()
        with psycopg.connect(server.uri("postgres"), autocommit=True) as connection:
            found = connection.execute("select from pg_database where datname = %s", [_TEMPLATE]).fetchone()
            if found is None:
                connection.execute(sql.SQL("create database {}").format(sql.Identifier(_TEMPLATE)))
                upgrade(server.uri(_TEMPLATE))
    return server


@pytest.fixture
def database(postgres: EmbeddedPostgres) -> Iterator[str]:
    """URI of the owner of a fresh, migrated, empty database."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres.uri("postgres"), autocommit=True) as connection:
        connection.execute(
            sql.SQL("create database {} template {} strategy file_copy").format(
                sql.Identifier(name), sql.Identifier(_TEMPLATE)
            )
        )
        yield postgres.uri(name)
        # PostgreSQL itself would wait for a tenth of a second for sessions that are just ending.
        still_there = "select from pg_stat_activity where datname = %s"
        give_up = time.monotonic() + 0.1
        while connection.execute(still_there, [name]).rowcount and time.monotonic() < give_up:
            time.sleep(0.002)
        connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


@pytest.fixture
def task_uri(database: str) -> str:
    """URI of `database` for the role that tasks run as: it reads `erp` and works in `crm`."""
    return database.replace("postgres@", f"{TASK_ROLE}@")


@pytest.fixture
def connection(task_uri: str) -> Iterator[psycopg.Connection]:
    """A connection as ErpHook makes it: the task role, autocommit, values bound by the client."""
    with psycopg.connect(task_uri, autocommit=True, cursor_factory=psycopg.ClientCursor) as connection:
        yield connection


@pytest.fixture
def owner(database: str) -> Iterator[psycopg.Connection]:
    """A connection of the owner, for what a test sets up and looks at."""
    with psycopg.connect(database, autocommit=True) as connection:
        yield connection
