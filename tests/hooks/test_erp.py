"""ErpHook on a real PostgreSQL: named statements, typed rows, limits, and COPY to and from files."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest

from rotina import sql
from rotina.errors import SettingError
from rotina.hooks.erp import ErpHook


@dataclass(frozen=True)
class NumberedName:
    number: int
    name: str | None


STATEMENTS = {
    "list_names": "-- Names up to a number. Parameter: most.\n"
    "select n::int as number, 'nome ' || n as name from generate_series(1, %(most)s) as n",
    "echo": "-- What is given. Parameter: value.\nselect 1 as number, %(value)s as name",
    "add_account": "-- Add an account. Parameter: name.\n"
    "insert into crm.account (kind, name) values ('person', %(name)s)",
    "make_table": "-- A table from a value. Parameter: value.\n"
    "create temp table made as select %(value)s as value",
    "sleep": "-- Wait. Parameter: seconds.\nselect 1 as number, pg_sleep(%(seconds)s)::text as name",
    "awkward": "-- Text that breaks careless files. No parameters.\n"
    "select n, case n % 3 when 0 then null when 1 then E'a|b\"c\\nd\\\\e' else 'ação' end\n"
    "from generate_series(1, 3000) as n",
}


@pytest.fixture(autouse=True)
def _statements(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in STATEMENTS.items():
        (tmp_path / f"{name}.sql").write_text(text, encoding="utf-8")
    monkeypatch.setattr(sql, "SQL_FOLDER", tmp_path)
    sql.statement.cache_clear()


def connect(monkeypatch: pytest.MonkeyPatch, uri: str, **changes: object) -> ErpHook:
    parts = urlsplit(uri)
    connection = {
        "conn_type": "postgres",
        "host": parse_qs(parts.query)["host"][0],
        "login": parts.username,
        "schema": parts.path.removeprefix("/"),
        **changes,
    }
    monkeypatch.setenv("AIRFLOW_CONN_ERP_DB", json.dumps(connection))
    return ErpHook()


@pytest.fixture
def hook(task_uri: str, monkeypatch: pytest.MonkeyPatch) -> ErpHook:
    return connect(monkeypatch, task_uri)


def test_rows_are_typed(hook: ErpHook) -> None:
    assert hook.fetch_all("list_names", NumberedName, {"most": 2}) == [
        NumberedName(1, "nome 1"),
        NumberedName(2, "nome 2"),
    ]
    assert hook.fetch_one("list_names", NumberedName, {"most": 1}) == NumberedName(1, "nome 1")
    assert hook.fetch_one("list_names", NumberedName, {"most": 0}) is None


@pytest.mark.parametrize("value", ["'; drop table crm.account; --", "100 %s", "\\", "ação 🎉", None])
def test_values_are_bound_whatever_they_are(hook: ErpHook, value: str | None) -> None:
    assert hook.fetch_one("echo", NumberedName, {"value": value}) == NumberedName(1, value)


def test_values_may_stand_where_the_server_takes_none(hook: ErpHook) -> None:
    assert hook.execute("make_table", {"value": "x'y"}) == 1


def test_execute_commits_and_counts(hook: ErpHook, owner: psycopg.Connection) -> None:
    assert hook.execute("add_account", {"name": "Ana"}) == 1
    assert owner.execute("select name from crm.account").fetchall() == [("Ana",)]


def test_an_unknown_statement_is_named(hook: ErpHook) -> None:
    with pytest.raises(FileNotFoundError, match=r"no_such\.sql"):
        hook.execute("no_such")


def test_a_session_says_who_it_is_and_has_limits(hook: ErpHook) -> None:
    with hook.connect() as connection:
        shown = [
            connection.execute("select current_setting(%s)", [name]).fetchone()
            for name in ("application_name", "statement_timeout", "idle_in_transaction_session_timeout")
        ]
    assert shown == [("rotina",), ("1h",), ("1h",)]


def test_the_extra_of_the_connection_sets_other_limits(
    task_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook = connect(monkeypatch, task_uri, extra={"options": "-c statement_timeout=50ms"})
    with pytest.raises(psycopg.errors.QueryCanceled):
        hook.fetch_one("sleep", NumberedName, {"seconds": 30})


@pytest.mark.parametrize("field", ["host", "schema"])
def test_a_connection_without_a_host_or_a_database_is_refused(
    task_uri: str, monkeypatch: pytest.MonkeyPatch, field: str
) -> None:
    with pytest.raises(SettingError, match=f"connection erp_db, {field}"):
        connect(monkeypatch, task_uri, **{field: ""}).execute("awkward")


def test_an_unreachable_database_is_an_error_without_the_password(
    task_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook = connect(monkeypatch, task_uri, host="127.0.0.1", port=1, password="s3cret")
    with pytest.raises(psycopg.OperationalError) as error:
        hook.execute("awkward")
    assert "s3cret" not in str(error.value)


def test_the_erp_is_read_only(hook: ErpHook) -> None:
    with hook.connect() as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("delete from erp.invoice")


@pytest.mark.parametrize(
    "options", [{"format": "csv", "delimiter": "|", "header": True}, {}, {"format": "binary"}]
)
def test_a_copy_to_a_file_and_back_is_the_same(
    hook: ErpHook, owner: psycopg.Connection, tmp_path: Path, options: dict[str, object]
) -> None:
    owner.execute("create table crm.copied (n int, t text)")
    owner.execute("grant select, insert on crm.copied to rotina_task")
    path = tmp_path / "copy.data"
    assert hook.copy_to_file("awkward", path, **options) == 3000
    assert hook.copy_from_file("crm.copied", ["n", "t"], path, **options) == 3000
    again = tmp_path / "again.data"
    assert hook.copy_to_file("awkward", again, **options) == 3000
    assert hashlib.sha256(again.read_bytes()).digest() == hashlib.sha256(path.read_bytes()).digest()
    query = STATEMENTS["awkward"].removeprefix("-- Text that breaks careless files. No parameters.\n")
    difference = f"({query}) except table crm.copied"
    assert owner.execute(difference).fetchall() == []  # type: ignore[arg-type]


def test_a_copy_with_parameters(hook: ErpHook, tmp_path: Path) -> None:
    path = tmp_path / "names.csv"
    assert hook.copy_to_file("list_names", path, {"most": 2}, format="csv", header=True) == 2
    assert path.read_text() == "number,name\n1,nome 1\n2,nome 2\n"


def test_a_broken_file_copies_nothing(hook: ErpHook, owner: psycopg.Connection, tmp_path: Path) -> None:
    owner.execute("create table crm.copied (n int)")
    owner.execute("grant insert on crm.copied to rotina_task")
    path = tmp_path / "broken.csv"
    path.write_text("1\n2\nthree\n")
    with pytest.raises(Exception, match="three"):
        hook.copy_from_file("crm.copied", ["n"], path, format="csv")
    assert owner.execute("select count(*) from crm.copied").fetchone() == (0,)
