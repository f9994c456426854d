"""ErpHook: the door to the database with the schemas `erp` (read) and `crm` (ours)."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode

import asyncpg
import psycopg
from airflow.providers.postgres.hooks.postgres import PostgresHook
from psycopg.rows import class_row

from rotina.errors import SettingError
from rotina.sql import statement

T = TypeVar("T")

#: Session settings, unless the connection's extra `options` says otherwise: a statement that hangs ends,
#: and so does the work of a client that is gone.
SESSION_OPTIONS = " ".join(
    [
        "-c statement_timeout=3600s",
        "-c idle_in_transaction_session_timeout=3600s",
        "-c client_connection_check_interval=10s",
        # A client whose machine is gone frees its locks within half a minute, not after two hours.
        "-c tcp_keepalives_idle=15",
        "-c tcp_keepalives_interval=5",
        "-c tcp_keepalives_count=3",
        "-c tcp_user_timeout=30s",
    ]
)
CONNECT_TIMEOUT_SECONDS = 10

#: Settings of libpq that asyncpg understands too, most of them in a connection URI only.
_SHARED_SETTINGS = (
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "sslpassword",
    "sslcrl",
    "sslnegotiation",
    "ssl_min_protocol_version",
    "ssl_max_protocol_version",
    "target_session_attrs",
    "passfile",
    "krbsrvname",
)


class ErpHook(PostgresHook):
    """The ERP database, through the Airflow connection `erp_db`.

    Statements are named (`account_data_refresh/write_changed`) and live in include/sql. psycopg binds the
    values on the client, so that they may stand in every statement (the server takes none in CREATE TABLE
    AS) and are plain constants to the planner and to postgres_fdw.
    """

    default_conn_name = "erp_db"
    hook_name = "ERP database"

    def __init__(self, postgres_conn_id: str = default_conn_name) -> None:
        super().__init__(postgres_conn_id=postgres_conn_id)

    @contextmanager
    def connect(self) -> Iterator[psycopg.Connection]:
        """A connection in autocommit, closed at the end; `connection.transaction()` begins a transaction.

        Raises:
            SettingError: the Airflow connection names no host or no database.
            psycopg.OperationalError: the database cannot be reached.
        """
        with psycopg.connect(
            **self.psycopg_arguments(), autocommit=True, cursor_factory=psycopg.ClientCursor
        ) as connection:
            yield connection

    def execute(self, name: str, parameters: Mapping[str, Any] | None = None) -> int:
        """Run a statement in its own transaction; returns the number of rows it touched."""
        with self.connect() as connection:
            return connection.execute(statement(name), parameters).rowcount

    def fetch_all(self, name: str, row_type: type[T], parameters: Mapping[str, Any] | None = None) -> list[T]:
        """All rows of a statement, each as a `row_type` (a dataclass with the columns as fields)."""
        with self.connect() as connection, connection.cursor(row_factory=class_row(row_type)) as cursor:
            return cursor.execute(statement(name), parameters).fetchall()

    def fetch_one(
        self, name: str, row_type: type[T], parameters: Mapping[str, Any] | None = None
    ) -> T | None:
        """The first row of a statement as a `row_type`; None when it has no row."""
        with self.connect() as connection, connection.cursor(row_factory=class_row(row_type)) as cursor:
            return cursor.execute(statement(name), parameters).fetchone()

    def copy_to_file(
        self, name: str, path: Path, parameters: Mapping[str, Any] | None = None, **options: Any
    ) -> int:
        """COPY the rows of a statement to a file; returns their number.

        The file appears when it is complete; a copy that fails leaves what was there before.

        Args:
            name: the statement.
            path: the file; one that is there is replaced.
            parameters: values of the statement.
            options: COPY options as asyncpg names them (`format`, `delimiter`, `header`, `null`, …).
        """
        with self.connect() as connection:
            query = psycopg.ClientCursor(connection).mogrify(statement(name), parameters)

        partial = path.with_name(f"{path.name}.{uuid.uuid4().hex}.part")

        async def copy(database: asyncpg.Connection) -> str:
            with partial.open("xb") as file:
                return str(await database.copy_from_query(query, output=file, **options))

        try:
            rows = self._copy(copy)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
        return rows

    def copy_from_file(self, table: str, columns: list[str], path: Path, **options: Any) -> int:
        """COPY a file into a table (`schema.table`); returns the number of rows. All of them or none.

        Args:
            table: the table, with its schema.
            columns: the columns in the order of the file.
            path: the file.
            options: COPY options as asyncpg names them (`format`, `delimiter`, `header`, `null`, …).
        """
        schema, _, name = table.rpartition(".")

        async def copy(database: asyncpg.Connection) -> str:
            with path.open("rb") as file:
                return str(
                    await database.copy_to_table(
                        name, source=file, columns=columns, schema_name=schema or None, **options
                    )
                )

        return self._copy(copy)

    def _copy(self, copy: Any) -> int:
        async def run() -> str:
            database = await asyncpg.connect(**self.asyncpg_arguments())
            try:
                return str(await copy(database))
            finally:
                await database.close()

        return int(asyncio.run(run()).removeprefix("COPY "))

    def psycopg_arguments(self) -> dict[str, Any]:
        """The arguments of psycopg.connect.

        Raises:
            SettingError: the Airflow connection names no host or no database.
        """
        connection = self.get_connection(self.get_conn_id())
        for field, value in (("host", connection.host), ("schema (database)", connection.schema)):
            if not value:
                raise SettingError(f"connection {self.get_conn_id()}, {field}", value, "must not be empty")
        extra = {
            name: value
            for name, value in connection.extra_dejson.items()
            if name not in self.ignored_extra_options
        }
        return {
            "host": connection.host,
            "port": connection.port,
            "user": connection.login,
            "password": connection.password,
            "dbname": connection.schema,
            "connect_timeout": CONNECT_TIMEOUT_SECONDS,
            "application_name": "rotina",
            "options": SESSION_OPTIONS,
            **extra,
        }

    def asyncpg_arguments(self) -> dict[str, Any]:
        """The arguments of asyncpg.connect for the same database and settings.

        Raises:
            SettingError: the Airflow connection names no host or no database.
        """
        arguments = self.psycopg_arguments()
        shared = {name: arguments[name] for name in _SHARED_SETTINGS if name in arguments}
        # The URI has neither host nor password: it is only the way to hand over the other settings.
        return {
            "dsn": f"postgresql://?{urlencode(shared)}",
            "host": arguments["host"],
            "port": arguments["port"],
            "user": arguments["user"],
            "password": arguments["password"],
            "database": arguments["dbname"],
            "timeout": float(arguments["connect_timeout"]),
            # The server itself reads `options`, as it does for libpq.
            "server_settings": {name: arguments[name] for name in ("application_name", "options")},
        }
