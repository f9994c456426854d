"""Migrations (Alembic): the schema `crm`, and the tables of the reference ERP of the embedded environment.

The two have separate histories, because an installation with an ERP of its own has only the first.
"""

from __future__ import annotations

from pathlib import Path

import psycopg
from alembic import command
from alembic.config import Config
from sqlalchemy.engine import make_url

from rotina.sql import statement

#: Histories, each a folder here and a schema in the database, in the order they are applied.
HISTORIES = {"crm": "crm", "reference_erp": "erp"}


def upgrade(uri: str, *, reference_erp: bool = True) -> None:
    """Bring the database to the newest migrations and give the task role its rights.

    Args:
        uri: connection URI (`postgresql://…`) of the owner of the database.
        reference_erp: create the reference ERP too; False where `erp` holds views of a real one.

    Raises:
        sqlalchemy.exc.OperationalError: the database cannot be reached.
    """
    for history in HISTORIES:
        if history == "crm" or reference_erp:
            command.upgrade(config(uri, history), "head")
    with psycopg.connect(uri, autocommit=True) as connection:
        connection.execute(statement("migrations/grant_task_role"))


def config(uri: str, history: str) -> Config:
    """The Alembic configuration of one history (a key of `HISTORIES`)."""
    configuration = Config()
    folder = Path(__file__).parent
    configuration.set_main_option("script_location", str(folder))
    configuration.set_main_option("version_locations", str(folder / history))
    configuration.set_main_option("path_separator", "os")
    configuration.attributes["url"] = make_url(uri).set(drivername="postgresql+psycopg")
    configuration.attributes["history"] = history
    return configuration
