"""The generated docs are fresh, and every SQL block of docs/connecting-an-erp.md does what the page says."""

from __future__ import annotations

import datetime as dt
import re
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import Table
from sqlalchemy.dialects import postgresql

from rotina import docs, erp_contract
from rotina.accounts.account_data_refresh import check_settings, refresh_accounts
from rotina.accounts.account_status_update import update_status
from rotina.errors import SettingError
from rotina.integration.settings import save_integration_settings
from rotina.local.postgres import TASK_ROLE, EmbeddedPostgres
from rotina.migrations import upgrade
from rotina.runs.agenda import WEEK, Entry, load_agenda
from tests.accounts.erp_data import FIELDS
from tests.runs_by_hand import do_work

PAGE = docs.REPOSITORY / "docs" / "connecting-an-erp.md"
TABLES: list[Table] = list(erp_contract.metadata.tables.values())
VIEWS = "Views over the ERP's tables"
POSTGRES_FDW = "PostgreSQL: postgres_fdw"
CONNECT = "Connect"

# What the fictitious vendor's tables of the page hold. The last invoice of 5 November is the one of the
# evening: a vendor's 23:30 is the next day in UTC.
VENDOR_ROWS = """
insert into vendor.cliente values
    (1, 'F', 'Ana Silva', '111.444.777-35', ' ana@example.com ', '11', '99999-0000', '1990-02-28',
     '2026-01-01 10:00', '2026-01-01 10:00'),
    (2, 'J', 'Padaria Central', '11.222.333/0001-81', '', null, null, null,
     '2026-01-02 10:00', '2026-01-02 10:00');
insert into vendor.nota_fiscal values
    (1, 101, 'A', 1, '2026-11-03', 10.50, 'N', null, '2026-11-03 09:00'),
    (2, 102, 'A', 1, '2026-11-04', 99.00, 'C', null, '2026-11-04 09:00'),
    (3, 103, 'A', 1, '2026-11-05', 20.00, 'N', null, '2026-11-05 23:30');
insert into vendor.orcamento values (1, 2, '2026-11-06', 5.00, '2026-11-06 09:00');
insert into vendor.contrato values (1, 2, 'B', '2026-01-01', null, 99.90, '2026-11-06 09:00');
insert into vendor.pedido values (1, 1, '2026-11-05', 'SP01', 'F', 1.00, 7.00, 2.00, '2026-11-05 09:00');
insert into vendor.pedido_item values (1, 1, 'X', 'Xícara', 2, 6.00);
insert into vendor.termo_adesao values
    (1, 1, 'Essencial', '2026-01-01', null, 'C', '2026-01-02 09:00'),
    (2, 2, 'Essencial', '2026-01-01', '2026-12-31', 'V', '2026-01-02 09:00');
"""
# How the ERP's server is set for those who ask.
SESSION_VIEW = """
create view erp.session as
select current_setting('work_mem') as work_mem, current_setting('enable_indexscan') as enable_indexscan
"""
NINE_FIELDS = {
    "Ana Silva": (
        dt.date(2026, 11, 5),
        dt.date(2026, 11, 3),
        Decimal("20.00"),
        Decimal("10.50"),
        Decimal("30.50"),
        None,
        2,
        15,
        "103/A",
    ),
    "Padaria Central": (None, None, None, None, Decimal(0), dt.date(2026, 11, 6), 0, None, None),
}
DAY = "2026-11-20"


def blocks(heading: str) -> list[str]:
    """The SQL blocks under a heading of the page, in order."""
    sections = re.split(r"^#{2,3} (.+)$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    text = dict(zip(sections[1::2], sections[2::2], strict=True))[heading]
    return cast("list[str]", re.findall(r"^```sql\n(.+?)^```", text, re.DOTALL | re.MULTILINE))


def run_blocks(connection: psycopg.Connection, statements: list[str]) -> None:
    for statement in statements:
        connection.execute(statement)  # type: ignore[call-overload]


class Databases:
    """Makes empty databases on the server of the tests, and drops them."""

    def __init__(self, postgres: EmbeddedPostgres) -> None:
        self._postgres = postgres
        self.names: list[str] = []
        #: Roles belong to the whole server, which tests share.
        self.reader = f"reader_{uuid.uuid4().hex[:12]}"

    def create(self) -> str:
        name = f"docs_{uuid.uuid4().hex[:12]}"
        self._execute("create database {}", name)
        self.names.append(name)
        return self._postgres.uri(name)

    def drop(self) -> None:
        for name in self.names:
            self._execute("drop database {} with (force)", name)
        self._execute("drop role if exists {}", self.reader)

    def _execute(self, statement: str, name: str) -> None:
        with psycopg.connect(self._postgres.uri("postgres"), autocommit=True) as connection:
            connection.execute(sql.SQL(statement).format(sql.Identifier(name)))  # type: ignore[arg-type]


@pytest.fixture
def databases(postgres: EmbeddedPostgres) -> Iterator[Databases]:
    made = Databases(postgres)
    yield made
    made.drop()


def owner_of(uri: str) -> psycopg.Connection:
    return psycopg.connect(uri, autocommit=True)


def task_role_of(uri: str) -> psycopg.Connection:
    """As ErpHook connects."""
    return psycopg.connect(
        uri.replace("postgres@", f"{TASK_ROLE}@"), autocommit=True, cursor_factory=psycopg.ClientCursor
    )


@pytest.fixture
def with_views(databases: Databases) -> str:
    """URI of Rotina's database with the page's views over the vendor's tables."""
    uri = databases.create()
    upgrade(uri, reference_erp=False)
    with owner_of(uri) as owner:
        run_blocks(owner, blocks(VIEWS))
        owner.execute(VENDOR_ROWS)
    return uri


@pytest.fixture
def with_foreign_tables(databases: Databases) -> str:
    """URI of Rotina's database with foreign tables of another one, made as the page says."""
    remote = databases.create()
    on_the_erps_server, *in_rotinas_database = (
        block.replace("rotina_reader", databases.reader) for block in blocks(POSTGRES_FDW)
    )
    with owner_of(remote) as owner:
        run_blocks(owner, [*blocks(VIEWS), VENDOR_ROWS, SESSION_VIEW, on_the_erps_server])
        there = owner.info
        real = {
            "host 'erp.example.com'": f"host '{there.host}'",
            "port '5432'": f"port '{there.port}'",
            "dbname 'vendor'": f"dbname '{there.dbname}'",
            # The server of the tests trusts local users, and so asks for no password.
            "password 'change-me'": "password_required 'false'",
        }
    uri = databases.create()
    upgrade(uri, reference_erp=False)
    with owner_of(uri) as owner:
        for block in in_rotinas_database:
            for example, value in real.items():
                block = block.replace(example, value)
            run_blocks(owner, [block])
    return uri


@pytest.fixture(params=["with_views", "with_foreign_tables"])
def connected(request: pytest.FixtureRequest) -> str:
    """URI of a database whose ERP was connected in one of the page's ways."""
    uri = str(request.getfixturevalue(request.param))
    with owner_of(uri) as owner:
        run_blocks(owner, blocks(CONNECT))
    return uri


def test_the_page_has_no_sql_that_these_tests_leave_out() -> None:
    total = len(re.findall(r"^```sql$", PAGE.read_text(encoding="utf-8"), re.MULTILINE))
    assert total == sum(len(blocks(heading)) for heading in (VIEWS, POSTGRES_FDW, CONNECT)) > 0


def test_every_table_of_the_contract_is_offered_with_its_types(connected: str) -> None:
    with task_role_of(connected) as connection:
        erp_contract.check_tables(connection, TABLES)
        for table in TABLES:
            offered: dict[str, Any] = dict(
                connection.execute(
                    "select attname, format_type(atttypid, atttypmod) from pg_attribute "
                    "where attrelid = %s::regclass and attnum > 0",
                    [f"erp.{table.name}"],
                ).fetchall()
            )
            wanted = {
                column.name: _type_name(column.type.compile(dialect=postgresql.dialect()))  # type: ignore[no-untyped-call]
                for column in table.columns
            }
            assert offered == wanted, table.name


def _type_name(compiled: str) -> str:
    return compiled.lower().replace(", ", ",")


def test_the_views_say_what_the_vendor_means(connected: str) -> None:
    def rows(query: str) -> list[tuple[Any, ...]]:
        return connection.execute(query).fetchall()  # type: ignore[call-overload, no-any-return]

    with task_role_of(connected) as connection:
        assert rows("select kind, document, email, phone from erp.customer order by customer_id") == [
            ("person", "11144477735", "ana@example.com", "+5511999990000"),
            ("company", "11222333000181", None, None),
        ]
        assert rows(
            "select invoice_id, issued_on::text, cancelled_at from erp.invoice order by invoice_id"
        ) == [
            (1, "2026-11-03", None),
            (2, "2026-11-04", dt.datetime(2026, 11, 4, 12, 0, tzinfo=dt.UTC)),
            (3, "2026-11-05", None),
        ]
        assert rows("select max(updated_at) from erp.invoice") == [
            (dt.datetime(2026, 11, 6, 2, 30, tzinfo=dt.UTC),)
        ]
        assert rows("select status from erp.contract") == [("blocked",)]
        assert rows(
            "select items_value, discount_value, shipping_value, total_value from erp.sales_order"
        ) == [(Decimal("12.00"), Decimal("1.00"), Decimal("7.00"), Decimal("20.00"))]


def test_the_first_run_refreshes_the_accounts_that_the_page_makes(connected: str) -> None:
    with task_role_of(connected) as connection:
        _, outcome = do_work(connection, refresh_accounts, DAY)
        assert (outcome.selected, outcome.changed, outcome.failed) == (2, 2, 0)
        stored = connection.execute(
            f"select a.name, {FIELDS} from crm.account_data(%s) join crm.account a on a.id = account_id",  # type: ignore[arg-type]
            [DAY],
        ).fetchall()
        assert {row[0]: row[1:] for row in stored} == NINE_FIELDS


def test_the_accounts_that_the_page_makes_have_a_status_from_either_source(connected: str) -> None:
    def statuses() -> list[tuple[Any, ...]]:
        do_work(connection, update_status, DAY, routine="account_status_update", program="crm1003")
        return connection.execute("select name, status from crm.account order by name").fetchall()

    with task_role_of(connected) as connection:
        assert statuses() == [("Ana Silva", "active"), ("Padaria Central", "inactive")]
        save_integration_settings(connection, "health_plan", {}, True, "maria", instead_of="erp")
        assert statuses() == [("Ana Silva", "inactive"), ("Padaria Central", "active")]


def test_the_task_role_cannot_write_to_the_erp(connected: str) -> None:
    with task_role_of(connected) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("insert into erp.quote default values")


def test_the_recommended_indexes_serve_the_views(with_views: str) -> None:
    with owner_of(with_views) as owner:
        owner.execute("set enable_seqscan = off")
        for where in (
            "customer_id = any('{1,2}')",
            "issued_on > '2026-11-01' and issued_on <= '2026-11-02'",
            "updated_at > '2026-11-01 00:00+00'",
            "invoice_id = 7",
        ):
            plan = _plan(owner, f"select value from erp.invoice where {where}")
            assert "Index Cond" in plan, plan
        for where in ("customer_id = 7", "quoted_on > '2026-11-01'", "updated_at > '2026-11-01 00:00+00'"):
            plan = _plan(owner, f"select value from erp.quote where {where}")
            assert "Index Cond" in plan, plan
        plan = _plan(owner, "select max(updated_at) from erp.invoice")
        assert "Index" in plan, plan


def _plan(connection: psycopg.Connection, query: str) -> str:
    return "\n".join(line for (line,) in connection.execute(f"explain (verbose) {query}"))  # type: ignore[call-overload]


def test_foreign_tables_let_the_erp_aggregate_with_the_settings_of_the_page(with_foreign_tables: str) -> None:
    with owner_of(with_foreign_tables) as owner:
        plan = _plan(owner, "select customer_id, max(issued_on) from erp.invoice group by customer_id")
        assert plan.startswith("Foreign Scan"), plan
        assert "Seq Scan" not in plan
        assert owner.execute("select * from erp.session").fetchall() == [("512MB", "off")]


def test_a_missing_column_is_reported_as_the_page_shows(with_views: str) -> None:
    with owner_of(with_views) as owner, task_role_of(with_views) as connection:
        run_blocks(owner, blocks(CONNECT))
        check_settings(connection, {})
        owner.execute("drop view erp.invoice")
        owner.execute(
            "create view erp.invoice as select id::bigint as invoice_id, cliente_id::bigint as customer_id, "
            "emissao as issued_on, valor_total as value, alterado_em as updated_at from vendor.nota_fiscal"
        )
        owner.execute("grant select on erp.invoice to rotina_task")
        with pytest.raises(SettingError) as caught:
            check_settings(connection, {})
    assert f"```\n{caught.value}\n```" in PAGE.read_text(encoding="utf-8")


# --- the generator


def test_the_docs_are_fresh(capsys: pytest.CaptureFixture[str]) -> None:
    assert docs.main(["--check"]) == 0, capsys.readouterr().err


def test_every_routine_table_and_column_is_described() -> None:
    dags = (docs.REPOSITORY / "docs" / "dags.md").read_text(encoding="utf-8")
    for entry in load_agenda().programs:
        assert f"| DAG | `{entry.routine}` |" in dags
        assert entry.cron in dags
    page = PAGE.read_text(encoding="utf-8")
    for table in TABLES:
        section = page.partition(f"### `erp.{table.name}`")[2].partition("###")[0]
        for column in table.columns:
            assert f"| `{column.name}` |" in section


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of what the docs are made of."""
    for folder in ("dags", "docs/templates"):
        shutil.copytree(
            docs.REPOSITORY / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__")
        )
    for path in (docs.REPOSITORY / "plugins" / "rotina").glob("*/*.py"):
        target = tmp_path / path.relative_to(docs.REPOSITORY)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch()
    (tmp_path / "README.md").write_text(
        "# R\n<!-- timetable -->\nstale row\n<!-- /timetable -->\nrest\n", encoding="utf-8"
    )
    return tmp_path


def test_check_names_each_stale_file_and_changes_none(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert docs.main(["--check"], copy) == 1
    printed = capsys.readouterr().err
    assert all(name in printed for name in ("docs/dags.md", "docs/connecting-an-erp.md", "README.md"))
    assert not (copy / "docs" / "dags.md").exists()

    assert docs.main([], copy) == 0
    assert docs.main(["--check"], copy) == 0
    readme = (copy / "README.md").read_text(encoding="utf-8")
    assert "crm338" in readme
    assert "stale row" not in readme
    assert readme.endswith("<!-- /timetable -->\nrest\n")

    capsys.readouterr()
    (copy / "docs" / "dags.md").write_text("changed by hand", encoding="utf-8")
    assert docs.main(["--check"], copy) == 1
    printed = capsys.readouterr().err
    assert "docs/dags.md" in printed
    assert "README.md" not in printed


def test_a_dag_without_a_routine_is_refused(copy: Path) -> None:
    (copy / "dags" / "stray.py").write_text("def stray(): ...\n", encoding="utf-8")
    with pytest.raises(SettingError, match="stray"):
        docs.render(copy)


@pytest.mark.parametrize(
    ("days", "hours", "words"),
    [
        (WEEK, ["04:00"], "every day at 04:00"),
        (WEEK[:5], ["08:00", "14:00"], "Monday to Friday at 08:00 and 14:00"),
        (["friday", "monday", "wednesday"], ["03:30", "12:30", "18:30"],
         "Monday, Wednesday and Friday at 03:30, 12:30 and 18:30"),
        (["saturday", "sunday"], ["09:00"], "Saturday and Sunday at 09:00"),
        (["monday"], ["09:00"], "Monday at 09:00"),
    ],
)  # fmt: skip
def test_schedules_in_words(days: list[str], hours: list[str], words: str) -> None:
    entry = Entry.model_validate(
        load_agenda().programs[0].model_dump() | {"days": tuple(days), "hours": hours}
    )
    assert docs.when(entry) == words


@pytest.mark.parametrize(
    ("minutes", "words"), [(5, "every day, every 5 minutes"), (60, "every day, every hour")]
)
def test_frequent_schedules_in_words(minutes: int, words: str) -> None:
    frequent = {"days": WEEK, "hours": None, "every_minutes": minutes}
    assert docs.when(Entry.model_validate(load_agenda().programs[0].model_dump() | frequent)) == words


def test_an_inactive_routine_is_said_to_run_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    inactive = [
        replace(routine, entry=routine.entry.model_copy(update={"active": False}))
        for routine in docs.routines()
    ]
    monkeypatch.setattr(docs, "routines", lambda _repository: inactive)
    texts = docs.render()
    assert "it can be run by hand" in texts[docs.REPOSITORY / "docs" / "dags.md"]
    assert "| by hand |" in texts[docs.REPOSITORY / "README.md"]
