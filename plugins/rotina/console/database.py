"""The console's door to the database: one small pool on the settings of ErpHook, as the role of the tasks.

Screens read and write through SQLAlchemy sessions; what the domain code does goes through `connect`, which
lends a psycopg connection of the same pool, just as ErpHook makes them. Both wait, so they are for worker
threads only. A page that takes too long is cut off by the database.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg.abc import Buffer
from psycopg.types.datetime import DateLoader
from sqlalchemy import create_engine
from sqlalchemy.orm import Session, sessionmaker

from rotina.hooks.erp import ErpHook

#: Requests that work at a time in each process of the API server; the others wait for their turn.
WORKERS = 5
#: Sessions beyond these: those that stream an export, and a request that needs two.
SPARE = 5

#: How long one statement of a page may take, and one of an export or a preview (milliseconds).
PAGE_MILLISECONDS = 15_000
LONG_MILLISECONDS = 300_000

_LIMITS = " ".join(
    [
        f"-c statement_timeout={PAGE_MILLISECONDS}",
        "-c lock_timeout=5000",
        # A browser that stops reading its export holds a session no longer than this.
        "-c idle_in_transaction_session_timeout=60000",
    ]
)


class Database:
    """The pool. It connects when something is first asked of it."""

    def __init__(self) -> None:
        self.engine = create_engine(
            "postgresql+psycopg://",
            creator=_open,  # which reads the Airflow connection anew
            pool_size=WORKERS,
            max_overflow=SPARE,
            pool_timeout=10,
            pool_pre_ping=True,
            pool_recycle=300,
        )
        self.sessions: sessionmaker[Session] = sessionmaker(self.engine, expire_on_commit=False)

    @contextmanager
    def connect(self, milliseconds: int = PAGE_MILLISECONDS) -> Iterator[psycopg.Connection]:
        """A connection as ErpHook makes it, in autocommit; `connection.transaction()` begins a transaction.

        Args:
            milliseconds: how long one statement may take.
        """
        with self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as pooled:
            connection = pooled.connection.driver_connection
            assert isinstance(connection, psycopg.Connection)
            if milliseconds == PAGE_MILLISECONDS:
                yield connection
                return
            _limit(connection, milliseconds)
            try:
                yield connection
            finally:
                if not connection.closed:
                    _limit(connection, PAGE_MILLISECONDS)

    def dispose(self) -> None:
        """Close the pool."""
        self.engine.dispose()


class _AnyDateLoader(DateLoader):
    """Reads days that Python has not, which an ERP may have sent, as the first or the last that it has.

    PostgreSQL has days before Christ and after the year 9999, and endless ones. A page that shows one is
    better than no page.
    """

    def load(self, data: Buffer) -> dt.date:
        try:
            return super().load(data)
        except psycopg.DataError:
            text = bytes(data)
            return dt.date.min if text.startswith(b"-") or text.endswith(b"BC") else dt.date.max


def _limit(connection: psycopg.Connection, milliseconds: int) -> None:
    connection.execute("select set_config('statement_timeout', %s, false)", [str(milliseconds)])


def _open() -> psycopg.Connection:
    arguments = ErpHook().psycopg_arguments()
    arguments["options"] = f"{arguments['options']} {_LIMITS}"
    arguments["application_name"] = f"{arguments['application_name']} console"
    connection = psycopg.connect(**arguments, cursor_factory=psycopg.ClientCursor)
    connection.adapters.register_loader("date", _AnyDateLoader)
    return connection
