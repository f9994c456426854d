"""ErpHook on a real PostgreSQL: named statements, typed rows, limits, and COPY to and from files."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import socket
import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import asyncpg
import psycopg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

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
    "fail_late": "-- Many rows, then an error. No parameters.\n"
    "select 1000000 / (100000 - n) from generate_series(1, 100000) as n",
    "limits": "-- Settings of the session. No parameters.\n"
    "select current_setting('application_name'), current_setting('statement_timeout'),\n"
    "       current_setting('client_connection_check_interval')",
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
    hook: ErpHook, owner: psycopg.Connection, tmp_path: Path, options: dict[str, Any]
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
    assert owner.execute(difference).fetchall() == []


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


def test_a_copy_has_the_limits_of_the_session(hook: ErpHook, tmp_path: Path) -> None:
    path = tmp_path / "limits.csv"
    hook.copy_to_file("limits", path, format="csv")
    assert path.read_text() == "rotina,1h,10s\n"


def test_a_copy_that_takes_too_long_is_cancelled(
    task_uri: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    hook = connect(monkeypatch, task_uri, extra={"options": "-c statement_timeout=50ms"})
    with pytest.raises(asyncpg.QueryCanceledError):
        hook.copy_to_file("sleep", tmp_path / "slept.csv", {"seconds": 30}, format="csv")


@pytest.mark.parametrize("before", [None, "yesterday's"])
def test_a_failed_copy_leaves_what_was_there(hook: ErpHook, tmp_path: Path, before: str | None) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    if before is not None:
        (folder / "rows.csv").write_text(before)
    with pytest.raises(asyncpg.DivisionByZeroError):
        hook.copy_to_file("fail_late", folder / "rows.csv", format="csv")
    assert {path.name: path.read_text() for path in folder.iterdir()} == (
        {} if before is None else {"rows.csv": before}
    )


def test_a_copy_replaces_a_file(hook: ErpHook, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "names.csv").write_text("a longer text of yesterday\n")
    hook.copy_to_file("list_names", folder / "names.csv", {"most": 1}, format="csv")
    assert {path.name: path.read_text() for path in folder.iterdir()} == {"names.csv": "1,nome 1\n"}


def make_certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """A self-signed certificate for localhost and its key, as files."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    files = folder / f"{name}.crt", folder / f"{name}.key"
    files[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    files[1].chmod(0o600)
    return files


@pytest.fixture
def tls_port(task_uri: str, tmp_path: Path) -> Iterator[int]:
    """Port of a TLS door to the server, which was built without TLS; it wants the client's certificate."""
    server_files, client_files = make_certificate(tmp_path, "server"), make_certificate(tmp_path, "client")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*server_files)
    context.load_verify_locations(client_files[0])
    context.verify_mode = ssl.CERT_REQUIRED
    folder = parse_qs(urlsplit(task_uri).query)["host"][0]

    def pump(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):  # the other side hung up
            while data := source.recv(65536):
                target.sendall(data)
        with suppress(OSError):
            target.shutdown(socket.SHUT_RDWR)

    class Door(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(8, socket.MSG_WAITALL)  # SSLRequest
            self.request.sendall(b"S")
            with (
                suppress(ssl.SSLError, ConnectionError),  # a client that does not trust us, or we it
                context.wrap_socket(self.request, server_side=True) as client,
                socket.socket(socket.AF_UNIX) as database,
            ):
                database.connect(f"{folder}/.s.PGSQL.5432")
                answers = threading.Thread(target=pump, args=(database, client))
                answers.start()
                pump(client, database)
                answers.join()

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Door) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,)).start()
        yield server.server_address[1]
        server.shutdown()


def test_a_copy_uses_the_certificates_of_the_connection(
    task_uri: str, tls_port: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    extra = {
        "sslmode": "verify-full",
        "sslrootcert": str(tmp_path / "server.crt"),
        "sslcert": str(tmp_path / "client.crt"),
        "sslkey": str(tmp_path / "client.key"),
    }
    hook = connect(monkeypatch, task_uri, host="localhost", port=tls_port, extra=extra)
    assert hook.copy_to_file("awkward", tmp_path / "copy.csv", format="csv") == 3000


def test_a_copy_refuses_a_server_with_another_certificate(
    task_uri: str, tls_port: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    extra = {"sslmode": "verify-full", "sslrootcert": str(tmp_path / "client.crt")}
    hook = connect(monkeypatch, task_uri, host="localhost", port=tls_port, extra=extra)
    (tmp_path / "rows.csv").touch()
    with pytest.raises(ssl.SSLCertVerificationError):
        hook.copy_from_file("crm.account", ["name"], tmp_path / "rows.csv", format="csv")
