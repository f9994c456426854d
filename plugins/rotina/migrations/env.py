"""What Alembic runs: applies one history (schema) to the database of the configuration."""

from __future__ import annotations

from typing import Any

from alembic import context
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool
from sqlalchemy.schema import CreateSchema

from rotina import erp_contract, models
from rotina.migrations import HISTORIES

_METADATA = {"crm": models.Base.metadata, "reference_erp": erp_contract.metadata}


def run() -> None:
    """Apply the migrations in one transaction; two that start at once wait for each other."""
    history: str = context.config.attributes["history"]
    schema = HISTORIES[history]

    def of_this_schema(name: str | None, kind: str, _parents: Any) -> bool:
        return kind != "schema" or name == schema

    engine = create_engine(context.config.attributes["url"], poolclass=NullPool)
    with engine.begin() as connection:
        connection.execute(text("select pg_advisory_xact_lock(hashtext('rotina.migrations'))"))
        connection.execute(CreateSchema(schema, if_not_exists=True))
        context.configure(
            connection=connection,
            target_metadata=_METADATA[history],
            version_table="schema_version",
            version_table_schema=schema,
            include_schemas=True,
            include_name=of_this_schema,
            compare_server_default=False,
        )
        with context.begin_transaction():
            context.run_migrations()


run()
