"""Grids: pages by key, counts that stop, what is found, exported and saved; with a grid of the test's own."""

from __future__ import annotations

import csv
import io
import re
import threading
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from fastapi import FastAPI
from httpx import Response
from sqlalchemy import event
from starlette.routing import Mount
from starlette_admin import IntegerField, StringField

from rotina.console import create_app, grids, site
from rotina.console.grids import Grid
from rotina.console.rights import Right
from rotina.console.screens.audit import AuditLog
from rotina.errors import SettingError
from rotina.messaging.gateways import check_text, record_audit
from rotina.models import Team
from tests.console.conftest import ORIGIN, ConsoleClient, OpenConsole, token


class Teams(Grid):
    """Everything that a grid may have."""

    model = Team
    key = "team"
    menu_label = "Teams"
    display_name = "Team"
    fields = (IntegerField("id", "Number"), StringField("name", "Name"))
    search_columns = (Team.name,)
    right_to_create = Right.ACT
    right_to_edit = Right.MAINTAIN
    right_to_delete = Right.MAINTAIN
    threads: list[str] = []  # noqa: RUF012

    def save(self, connection: psycopg.Connection, data: dict[str, Any], login: str, pk: str | None) -> int:
        self.threads.append(threading.current_thread().name)
        check_text("name", data["name"])
        if data["name"] == "taken":
            raise SettingError("name", "taken", "is another team's")
        with connection.transaction():
            statement = "insert into crm.team (name) values (%(name)s) returning id"
            if pk is not None:
                statement = "update crm.team set name = %(name)s where id = %(pk)s returning id"
            (key,) = connection.execute(statement, {**data, "pk": pk}).fetchone() or (0,)
            record_audit(connection, login, "save_team", {"team": key}, {})
        return int(key)

    def remove(self, connection: psycopg.Connection, pk: str, login: str) -> None:
        with connection.transaction():
            connection.execute("delete from crm.team where id = %(pk)s", {"pk": pk})
            record_audit(connection, login, "remove_team", {"team": pk}, {})


@pytest.fixture
def client(
    airflow_api: FastAPI, erp_connection: None, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ConsoleClient]:
    """The console with the grid of the test in it, opened by an op."""
    monkeypatch.setattr(site, "_find_screens", lambda: iter([Teams, AuditLog]))
    app = create_app()
    mounted = Mount("/rotina", app)
    airflow_api.router.routes.append(mounted)
    opened = ConsoleClient(airflow_api, base_url=ORIGIN)
    opened.cookies.set("_token", token("op"))
    opened.get("/rotina/team/list")
    yield opened
    airflow_api.router.routes.remove(mounted)
    app.state.console.database.dispose()


def add_teams(owner: psycopg.Connection, number: int) -> None:
    owner.execute(
        "insert into crm.team (name) select 'team ' || n from generate_series(1, %s) as n", [number]
    )


def audit(owner: psycopg.Connection) -> list[tuple[str, str]]:
    return owner.execute("select login, action from crm.audit_entry order by id").fetchall()


def as_role(client: ConsoleClient, role: str) -> ConsoleClient:
    other = ConsoleClient(client.app, base_url=ORIGIN)
    other.cookies.set("_token", token(role))
    other.get("/rotina/team/list")
    return other


# -- reading ------------------------------------------------------------------------------------------------


def test_a_search_takes_the_term_as_it_is(client: ConsoleClient, owner: psycopg.Connection) -> None:
    for name in ("Ana", "100%", "1000", "a_b", "axb"):
        owner.execute("insert into crm.team (name) values (%s)", [name])
    assert "Ana" in client.get("/rotina/team/list?q=ANA").text
    exported = csv.reader(io.StringIO(client.get("/rotina/team/export?q=0%25").content.decode("utf-8-sig")))
    assert [one[1] for one in list(exported)[1:]] == ["100%"]
    exported = csv.reader(io.StringIO(client.get("/rotina/team/export?q=a_b").content.decode("utf-8-sig")))
    assert [one[1] for one in list(exported)[1:]] == ["a_b"]


def test_an_export_has_what_the_list_is_filtered_for(
    client: ConsoleClient, owner: psycopg.Connection
) -> None:
    add_teams(owner, 12)
    reply = client.get("/rotina/team/export?filter=id__gt%3D9&sort=id__desc")
    lines = list(csv.reader(io.StringIO(reply.content.decode("utf-8-sig"))))
    assert lines == [["Number", "Name"], ["12", "team 12"], ["11", "team 11"], ["10", "team 10"]]


def test_a_count_stops(
    client: ConsoleClient, owner: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_teams(owner, 60)
    assert "1 to 25 of 60" in client.get("/rotina/team/list").text
    monkeypatch.setattr(grids, "MOST_COUNTED", 50)
    assert "1 to 25 of 51" in client.get("/rotina/team/list").text


@pytest.mark.parametrize(
    "address", ["detail?pk=x", "detail", "detail?pk=1", "detail?pk=99999999999999999999"]
)
def test_a_row_that_is_not_there_is_not_found(client: ConsoleClient, address: str) -> None:
    assert client.get(f"/rotina/team/{address}").status_code == 404


@pytest.mark.parametrize(
    "query", ["filter=x", "filter=nothing__eq%3D1", "filter=id__eq%3D99999999999999999999", "page_size=7"]
)
def test_a_filter_that_means_nothing_is_refused(client: ConsoleClient, query: str) -> None:
    assert client.get(f"/rotina/team/list?{query}").status_code == 400


def entries(page: Response) -> list[int]:
    assert page.status_code == 200
    return [int(one) for one in re.findall(r'data-sa-pk="(\d+)"', page.text)]


def link(page: Response, words: str) -> str | None:
    """Where a link of the paging leads; None when it leads nowhere."""
    for classes, address, text in re.findall(
        r'<li class="page-item([^"]*)">\s*<a class="page-link" href="([^"]*)">(.*?)</a>', page.text, re.DOTALL
    ):
        if re.sub(r"<[^>]+>", "", text).strip() == words:
            return None if "disabled" in classes else address.replace("&amp;", "&")
    raise AssertionError(f"no link {words}")


@pytest.mark.parametrize("number", [0, 1, 25, 26, 60])
def test_a_large_grid_is_paged_by_its_key_both_ways(
    open_console: OpenConsole, owner: psycopg.Connection, number: int
) -> None:
    owner.execute(
        "insert into crm.audit_entry (login, action, target, records) "
        "select 'ana', 'x', '{}', 1 from generate_series(1, %s)",
        [number],
    )
    client = open_console("viewer")
    page = client.get("/rotina/audit/list")
    down = [entries(page)]
    assert link(page, "Newer") is None
    while older := link(page, "Older"):
        page = client.get(older)
        down.append(entries(page))
    assert [one for part in down for one in part] == list(range(number, 0, -1))
    up = [entries(page)]
    while newer := link(page, "Newer"):
        page = client.get(newer)
        up.append(entries(page))
    assert up[::-1] == down
    assert f"{number} row" in page.text


def test_a_page_of_a_large_grid_reads_no_more_than_it_shows(
    open_console: OpenConsole, console: Any, owner: psycopg.Connection
) -> None:
    owner.execute(
        "insert into crm.audit_entry (login, action, target, records) "
        "select 'ana', 'x', '{}', 1 from generate_series(1, 30000)"
    )
    owner.execute("analyze crm.audit_entry")
    seen: list[tuple[str, Any]] = []
    database = console.state.console.database
    client = open_console("viewer")
    event.listen(
        database.engine, "before_cursor_execute", lambda _c, _k, text, values, *_: seen.append((text, values))
    )
    assert client.get("/rotina/audit/list?after=15000").status_code == 200
    with database.connect() as connection:
        for text, values in seen:
            plan = connection.execute(f"explain (analyze, format json) {text}", values).fetchone()
            assert plan is not None
            assert greatest(plan[0][0]["Plan"]) <= grids.MOST_COUNTED + 1


def greatest(plan: dict[str, Any]) -> float:
    """The most rows that a node of a plan went through."""
    own = plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0)
    return max([own, *(greatest(one) for one in plan.get("Plans", []))])


# -- writing ------------------------------------------------------------------------------------------------


def test_a_form_is_saved_by_the_domain_code_in_a_thread(
    client: ConsoleClient, owner: psycopg.Connection
) -> None:
    Teams.threads.clear()
    made = client.post_form("/rotina/team/create", {"name": "Vendas"}, follow_redirects=False)
    assert made.status_code == 303
    (key,) = owner.execute("select id from crm.team where name = 'Vendas'").fetchone() or (0,)
    form = client.get(f"/rotina/team/edit?pk={key}").text
    assert 'value="Vendas"' in form
    changed = client.post_form(f"/rotina/team/edit?pk={key}", {"name": "Vendas SP"}, follow_redirects=False)
    assert changed.status_code == 303
    assert owner.execute("select name from crm.team").fetchall() == [("Vendas SP",)]
    assert audit(owner) == [("op", "save_team")] * 2
    assert all("AnyIO worker" in name for name in Teams.threads)


@pytest.mark.parametrize(("name", "words"), [("", "must not be blank"), ("taken", "is another team")])
def test_what_the_domain_code_refuses_is_shown_at_the_field(
    client: ConsoleClient, owner: psycopg.Connection, name: str, words: str
) -> None:
    reply = client.post_form("/rotina/team/create", {"name": name})
    assert reply.status_code == 422
    assert words in reply.text
    assert owner.execute("select from crm.team").rowcount == 0
    assert audit(owner) == []


def test_rows_are_deleted_by_the_domain_code(client: ConsoleClient, owner: psycopg.Connection) -> None:
    add_teams(owner, 3)
    assert client.post_form("/rotina/_api/team/row-action?name=delete&pk=2").status_code == 200
    assert client.post_form("/rotina/_api/team/action?name=delete&pks=1&pks=3").status_code == 200
    assert owner.execute("select from crm.team").rowcount == 0
    assert audit(owner) == [("op", "remove_team")] * 3


def test_rights_are_those_that_the_grid_declares(client: ConsoleClient, owner: psycopg.Connection) -> None:
    add_teams(owner, 1)
    user, viewer = as_role(client, "user"), as_role(client, "viewer")
    assert user.get("/rotina/team/create").status_code == 200
    assert user.get("/rotina/team/edit?pk=1").status_code == 403
    assert viewer.get("/rotina/team/create").status_code == 403
    for path in (
        "_api/team/row-action?name=delete&pk=1",
        "_api/team/action?name=delete&pks=1",
        "team/edit?pk=1",
    ):
        assert user.post_form(f"/rotina/{path}", {"name": "x"}).status_code == 403
    for path in ("_api/team/import", "_api/team/inline-edit?pk=1&field=name", "_api/team/action?name=export"):
        assert client.post_form(f"/rotina/{path}").status_code == 403
    for name in ("nothing", ""):
        assert client.post_form(f"/rotina/_api/team/action?name={name}").status_code == 403
    assert "/team/edit" in client.get("/rotina/team/list").text
    assert "/team/edit" not in user.get("/rotina/team/list").text
    assert owner.execute("select from crm.team").rowcount == 1
