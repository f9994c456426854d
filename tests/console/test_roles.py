"""Who may do what: every route there is, asked by nobody and by every role of Airflow.

Nothing here names a screen. The routes are walked, so a new one is tested the day it is written, and one that
nobody declared fails.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from httpx import Response
from starlette.routing import BaseRoute, Mount, Route

from rotina.console import ConsoleApp, unsubscribe, webhooks
from rotina.console.grids import Grid
from rotina.console.pages import Declared
from rotina.console.rights import Right
from rotina.runs.agenda import load_agenda
from tests.console.conftest import ORIGIN, ROLES, ConsoleClient, OpenConsole, token
from tests.console.examples import Example, examples, parameters, queries

MOST = {"viewer": Right.READ, "user": Right.ACT, "op": Right.MAINTAIN, "admin": Right.MAINTAIN}

#: What answers without a login, each with a protection of its own.
PUBLIC = {
    ("GET", "/unsubscribe/{token}"),
    ("HEAD", "/unsubscribe/{token}"),
    ("POST", "/unsubscribe/{token}"),
    ("POST", "/webhooks/{gateway_code}"),
}


def walk(routes: list[BaseRoute], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Every method and path that some code answers."""
    for route in routes:
        if isinstance(route, Mount):
            if route.routes:
                yield from walk(route.routes, prefix + route.path)
            else:  # an application without routes: files
                yield "GET", f"{prefix}{route.path}/{{path}}"
        else:
            assert isinstance(route, Route | APIRoute), f"what is {route}?"
            for method in route.methods or ():
                yield method, prefix + route.path


def answered(console: ConsoleApp) -> set[tuple[str, str]]:
    """The same, with the key of every grid in the place of `{key}`."""
    keys = [screen.key for screen in console.state.console.screens if isinstance(screen, Grid)]
    found = set()
    for method, path in walk(console.routes):
        found |= (
            {(method, path.replace("{key}", str(key))) for key in keys}
            if "{key}" in path
            else {(method, path)}
        )
    return found


def url(declared: Declared) -> str:
    """An address of the route, with something in the place of each parameter."""
    known = parameters()
    path = re.sub(r"\{(\w+)(:\w+)?\}", lambda match: known.get(match[1], "1"), declared.path)
    query = queries().get(declared.path, "pk=1")
    return f"/rotina{path}?{query}" + (f"&name={declared.name}" if declared.name else "")


def ask(client: ConsoleClient, declared: Declared) -> Response:
    """A request for the route, as the pages make it."""
    address = url(declared)
    if declared.path == "/static/{path}":
        address = "/rotina/static/rotina.css"
    if declared.method == "GET":
        return client.get(address, follow_redirects=False)
    if "application/json" in declared.media and len(declared.media) == 1:
        return client.post_json(address, {}, follow_redirects=False)
    return client.post_form(address, {}, follow_redirects=False)


def test_every_route_is_declared_or_public(console: ConsoleApp) -> None:
    declared = {(one.method, one.path) for one in console.state.console.declared}
    known = declared | PUBLIC
    undeclared = {
        one
        for one in answered(console)
        if one not in known and (one[0] != "HEAD" or ("GET", one[1]) not in known)
    }
    assert undeclared == set()
    assert declared <= answered(console)  # and nothing is declared that is not there


def test_the_public_routes_are_these(console: ConsoleApp) -> None:
    routers: list[APIRouter] = [webhooks.router, unsubscribe.router]
    assert {one for router in routers for one in walk(router.routes)} == PUBLIC


def test_nobody_gets_anything(console: ConsoleApp, open_console: OpenConsole) -> None:
    client = open_console(None)
    for declared in console.state.console.declared:
        for headers in ({"Accept": "application/json"}, {"Accept": "text/html"}):
            reply = client.request(declared.method, url(declared), headers=headers, follow_redirects=False)
            assert reply.status_code == 401, declared
            assert (
                "detail" in reply.json() if headers["Accept"] == "application/json" else "<h1>" in reply.text
            )
    for address in ("/rotina/", "/rotina/static/rotina.js", "/rotina/nothing", "/rotina/static/../x"):
        assert client.get(address).status_code == 401


@pytest.mark.parametrize("role", ROLES)
def test_a_role_gets_what_is_declared_for_it(
    console: ConsoleApp, open_console: OpenConsole, role: str
) -> None:
    client = open_console(role)
    seen: dict[bool, int] = defaultdict(int)
    for declared in console.state.console.declared:
        may = declared.right is not None and MOST[role] >= declared.right
        status = ask(client, declared).status_code
        assert status != 401, declared
        assert (status != 403) is may, f"{role}: {declared} gave {status}"
        seen[may] += 1
    assert seen[True] > 5


def test_a_route_that_nobody_declared_is_closed_to_everybody(
    console: ConsoleApp, open_console: OpenConsole, caplog: pytest.LogCaptureFixture
) -> None:
    async def forgotten(_: Any) -> Response:
        raise AssertionError("reached")

    site = console.state.console
    site.app.router.routes.insert(0, Route("/forgotten", forgotten, methods=["GET", "POST"]))
    client = open_console("admin")
    assert client.get("/rotina/forgotten").status_code == 403
    assert client.post_json("/rotina/forgotten").status_code == 403
    assert "nobody declared GET /forgotten" in caplog.text


def test_a_route_beside_the_console_is_closed_too(
    console: ConsoleApp, open_console: OpenConsole, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def beside(_: Any) -> Response:
        raise AssertionError("reached")

    console.router.routes.insert(0, Route("/beside", beside, methods=["GET"]))
    assert open_console("admin").get("/rotina/beside").status_code == 403


def test_a_role_without_rights_sees_nothing(
    console: ConsoleApp, open_console: OpenConsole, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.api_fastapi.app import get_auth_manager

    monkeypatch.setattr(type(get_auth_manager()), "is_authorized_dag", lambda *_, **__: False)
    client = open_console("admin")
    for declared in console.state.console.declared:
        if not declared.is_file:  # those say nothing
            assert ask_without_token(client, declared).status_code == 403, declared


def test_a_right_on_the_dags_of_others_opens_nothing(
    open_console: OpenConsole, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An auth manager with rights for each DAG: without one named, it answers for any."""
    from airflow.api_fastapi.app import get_auth_manager

    seen = {"marketing_report"}
    started = {"marketing_report"}

    def is_authorized(
        _: Any, *, method: str, user: Any, access_entity: Any = None, details: Any = None
    ) -> bool:
        known = seen if method == "GET" else started
        return bool(known) if details is None or details.id is None else details.id in known

    monkeypatch.setattr(type(get_auth_manager()), "is_authorized_dag", is_authorized)
    client = open_console("op")
    assert client.get("/rotina/routines").status_code == 403
    ours = {entry.routine for entry in load_agenda().programs}
    seen |= ours - {"queue_dispatch"}
    assert client.get("/rotina/routines").status_code == 403
    seen |= ours
    assert client.get("/rotina/routines").status_code == 200
    path = "/rotina/routines/class_transition/requests"
    assert client.post_json(path, {}).status_code == 403
    started |= ours
    assert client.post_json(path, {}).status_code == 200


def ask_without_token(client: ConsoleClient, declared: Declared) -> Response:
    return client.request(declared.method, url(declared), headers={"Origin": ORIGIN}, follow_redirects=False)


# -- what changes something ---------------------------------------------------------------------------------


def mutations(console: ConsoleApp) -> set[tuple[str, str, str | None]]:
    return {
        (one.method, one.path, one.name)
        for one in console.state.console.declared
        if one.method != "GET" and one.right is not None
    }


def test_every_mutation_has_an_example(console: ConsoleApp) -> None:
    given = {(one.method, one.path, one.query.get("name")) for one in examples()}
    assert mutations(console) - given == set(), "add an Example to tests/console/examples"
    assert given - mutations(console) == set(), "an example of what is not there"


def send(client: ConsoleClient, example: Example, **arguments: Any) -> Response:
    if example.form is not None:
        return client.post_form(
            example.url, example.form, params=example.query, follow_redirects=False, **arguments
        )
    return client.post_json(example.url, example.json, params=example.query, **arguments)


def audit(owner: psycopg.Connection) -> list[tuple[str, str]]:
    return owner.execute("select login, action from crm.audit_entry order by id").fetchall()


def lowest(console: ConsoleApp, example: Example) -> str:
    """The role with the least rights that may do it."""
    (right,) = [
        one.right
        for one in console.state.console.declared
        if (one.method, one.path, one.name) == (example.method, example.path, example.query.get("name"))
    ]
    return {Right.READ: "viewer", Right.ACT: "user", Right.MAINTAIN: "op"}[right]


@pytest.mark.parametrize("example", list(examples()), ids=lambda one: one.path + one.query.get("name", ""))
def test_a_mutation_works_is_audited_and_comes_from_our_pages_only(
    console: ConsoleApp, host: FastAPI, open_console: OpenConsole, owner: psycopg.Connection, example: Example
) -> None:
    airflow = ConsoleClient(host, base_url=ORIGIN, headers={"Authorization": f"Bearer {token('admin')}"})
    example.prepare(owner, airflow)
    role = lowest(console, example)
    client = open_console(role)
    headers = client.own_headers()
    body: dict[str, Any] = {"json": example.json or {}} if example.form is None else {"data": example.form}
    refused = [
        {**body, "headers": {}},
        {**body, "headers": {**headers, "Origin": "https://elsewhere.example"}},
        {**body, "headers": {**headers, "Origin": "null"}},
        {**body, "headers": {"Origin": ORIGIN}},  # without the token of our pages
        {**body, "headers": {**headers, "X-CSRFToken": "forged"}},
        {"content": b"{}", "headers": {**headers, "Content-Type": "text/plain"}},
        {"content": b"{}", "headers": {**headers, "Content-Type": "application/xml"}},
    ]
    for arguments in refused:
        reply = client.post(example.url, params=example.query, follow_redirects=False, **arguments)
        assert reply.status_code in (403, 415), (arguments, reply.text)
    for other in ROLES:
        if MOST[other] < MOST[role]:
            assert send(open_console(other), example).status_code == 403
    assert audit(owner) == []

    reply = send(client, example)
    assert reply.status_code in (200, 303), reply.text
    assert audit(owner) == ([] if example.action is None else [(role, example.action)])
