"""The migrations, the models and the rights of the task role belong together."""

from __future__ import annotations

import psycopg
import pytest
from alembic import command

from rotina.migrations import HISTORIES, config, upgrade


@pytest.mark.parametrize("history", HISTORIES)
def test_the_migrations_make_what_the_models_say(database: str, history: str) -> None:
    command.check(config(database, history))  # raises when autogenerate would write anything


@pytest.mark.parametrize("history", HISTORIES)
def test_the_migrations_can_be_taken_back_and_applied_again(database: str, history: str) -> None:
    command.downgrade(config(database, history), "base")
    upgrade(database)
    command.check(config(database, history))


def test_upgrading_twice_changes_nothing(database: str, owner: psycopg.Connection) -> None:
    versions = (
        "select version_num from crm.schema_version union all select version_num from erp.schema_version"
    )
    before = owner.execute(versions).fetchall()
    upgrade(database)
    assert owner.execute(versions).fetchall() == before


@pytest.mark.parametrize(
    "statement",
    [
        "insert into erp.customer (customer_id, kind, name, created_at, updated_at) "
        "values (1, 'person', 'x', now(), now())",
        "update erp.invoice set value = 0",
        "delete from erp.quote",
        "truncate erp.invoice",
        "create table erp.mine ()",
        "create table crm.mine ()",
        "drop table crm.account",
        "update crm.schema_version set version_num = 'x'",
    ],
)
def test_the_task_role_may_not(connection: psycopg.Connection, statement: str) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(statement)


def test_the_task_role_may_read_the_erp_and_work_in_crm(connection: psycopg.Connection) -> None:
    assert connection.execute("select count(*) from erp.invoice").fetchone() == (0,)
    connection.execute("insert into crm.account (kind, name) values ('person', 'Ana')")
    connection.execute("delete from crm.account")
    assert connection.execute("select count(*) from crm.account").fetchone() == (0,)
