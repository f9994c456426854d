"""The console's pool: its settings, its limits, and what it lends."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import ExitStack

import psycopg
import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import TimeoutError

from rotina.console.database import SPARE, WORKERS, Database
from rotina.errors import SettingError


@pytest.fixture
def pool(erp_connection: None) -> Iterator[Database]:
    """A pool."""
    made = Database()
    yield made
    made.dispose()


def setting(connection: psycopg.Connection, name: str) -> str:
    row = connection.execute("select current_setting(%s)", [name]).fetchone()
    assert row is not None
    return str(row[0])


def test_a_connection_is_as_erp_hook_makes_them(pool: Database) -> None:
    with pool.connect() as connection:
        assert connection.autocommit
        assert isinstance(connection.cursor(), psycopg.ClientCursor)
        assert setting(connection, "statement_timeout") == "15s"
        assert setting(connection, "idle_in_transaction_session_timeout") == "1min"
        assert setting(connection, "application_name") == "rotina console"
        row = connection.execute("select current_user").fetchone()
        assert row == ("rotina_task",)


def test_a_longer_limit_ends_with_what_it_was_for(pool: Database) -> None:
    with pool.connect(60_000) as connection:
        assert setting(connection, "statement_timeout") == "1min"
    with pool.connect() as connection:
        assert setting(connection, "statement_timeout") == "15s"
    with pytest.raises(ZeroDivisionError), pool.connect(60_000):
        raise ZeroDivisionError
    with pool.connect() as connection:
        assert setting(connection, "statement_timeout") == "15s"


def test_a_statement_that_takes_too_long_is_cut_off(pool: Database) -> None:
    with pytest.raises(psycopg.errors.QueryCanceled), pool.connect(20) as connection:
        connection.execute("select pg_sleep(60)")
    with pool.connect() as connection:
        assert setting(connection, "statement_timeout") == "15s"


@pytest.mark.parametrize(
    ("stored", "read"),
    [
        ("infinity", dt.date.max),
        ("12026-11-20", dt.date.max),
        ("-infinity", dt.date.min),
        ("0044-03-15 BC", dt.date.min),
        ("2026-11-20", dt.date(2026, 11, 20)),
    ],
)
def test_a_day_that_python_has_not_is_read_as_its_last_or_first(
    pool: Database, stored: str, read: dt.date
) -> None:
    with pool.connect() as connection:
        assert connection.execute("select %s::date", [stored]).fetchone() == (read,)
    with pool.sessions() as session:
        assert session.scalar(text("select cast(:stored as date)"), {"stored": stored}) == read


def test_nothing_is_left_of_what_went_wrong(pool: Database, owner: psycopg.Connection) -> None:
    def work() -> None:
        with pool.connect() as connection:
            connection.execute("begin")
            connection.execute("insert into crm.team (name) values ('x')")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        work()
    with pool.connect() as connection:
        assert connection.execute("select from crm.team").rowcount == 0
        assert connection.autocommit


def test_the_pool_lends_so_many_and_no_more(pool: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool.engine.pool, "_timeout", 0)
    with ExitStack() as lent:
        for _ in range(WORKERS + SPARE):
            lent.enter_context(pool.connect())
        with pytest.raises(TimeoutError), pool.connect():
            pass
    with pool.connect():
        pass


def test_no_connection_is_made_before_it_is_needed(pool: Database, owner: psycopg.Connection) -> None:
    def connections() -> int:
        return owner.execute(
            "select from pg_stat_activity"
            " where application_name = 'rotina console' and datname = current_database()"
        ).rowcount

    with pool.sessions() as session:
        assert connections() == 0
        session.execute(select(1))
        assert connections() == 1


def test_a_connection_without_a_database_is_refused_by_name(
    pool: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_ERP_DB", '{"conn_type": "postgres", "host": "x"}')
    with pytest.raises(SettingError, match="erp_db"), pool.connect():
        pass


def test_a_server_that_went_away_is_connected_to_again(pool: Database, owner: psycopg.Connection) -> None:
    with pool.connect() as connection:
        pid = connection.info.backend_pid
    owner.execute("select pg_terminate_backend(%s)", [pid])
    with pool.connect() as connection:
        assert connection.info.backend_pid != pid
