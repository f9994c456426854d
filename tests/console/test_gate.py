"""The gate: who is let in, with which words somebody is refused, and what every page carries."""

from __future__ import annotations

import re
import threading
from contextlib import AsyncExitStack
from typing import Any

import anyio
import pytest
from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
from fastapi import FastAPI
from sqlalchemy import event
from starlette.exceptions import HTTPException

from rotina.console import ConsoleApp, gate
from tests.console.conftest import ORIGIN, ConsoleClient, OpenConsole, token
from tests.console.test_roles import url


def test_a_bearer_token_is_as_good_as_the_cookie(open_console: OpenConsole) -> None:
    client = open_console(None)
    headers = {"Authorization": f"Bearer {token('viewer')}"}
    assert client.get("/rotina/routines", headers=headers).status_code == 200
    assert client.get("/rotina/routines").status_code == 401


@pytest.mark.parametrize("garbage", ["x", "a.b.c", "Bearer"])
def test_a_token_that_is_none_of_ours_is_refused(open_console: OpenConsole, garbage: str) -> None:
    client = open_console(None)
    client.cookies.set("_token", garbage)
    assert client.get("/rotina/routines").status_code == 401
    headers = {"Authorization": f"Bearer {garbage}"}
    assert open_console("admin").get("/rotina/routines", headers=headers).status_code == 401


def test_a_session_that_is_over_asks_to_log_in_again(open_console: OpenConsole) -> None:
    client = open_console(None, "pt-BR,pt;q=0.9,en;q=0.8")
    user = SimpleAuthManagerUser(username="ana", role="admin")
    client.cookies.set("_token", get_auth_manager().generate_jwt(user, expiration_time_in_seconds=-120))
    reply = client.get("/rotina/routines", headers={"Accept": "text/html"})
    assert reply.status_code == 401
    assert "a sua sessão terminou" in reply.text
    assert 'lang="pt-BR"' in reply.text
    assert "/auth/login?next=" in reply.text
    assert reply.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("en", "Your role in Airflow does not allow this."),
        ("pt-BR", "Seu perfil no Airflow não permite isso."),
    ],
)
def test_a_refusal_says_so_in_the_language_of_the_browser(
    open_console: OpenConsole, language: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(get_auth_manager()), "is_authorized_dag", lambda *_, **__: False)
    client = open_console("viewer", language)
    page = client.get("/rotina/routines", headers={"Accept": "text/html"})
    assert (page.status_code, words in page.text) == (403, True)
    assert client.get("/rotina/routines", headers={"Accept": "*/*"}).json() == {"detail": words}


def test_a_page_keeps_to_itself(open_console: OpenConsole) -> None:
    page = open_console("viewer").get("/rotina/routines")
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "http" not in policy
    assert "frame-ancestors 'self'" in policy
    assert page.headers["Cache-Control"] == "no-store"
    assert page.headers["X-Content-Type-Options"] == "nosniff"
    file = open_console("viewer").get("/rotina/static/rotina.css")
    assert file.headers["Cache-Control"] == "no-cache"  # kept, and asked for anew: an upgrade is seen at once
    known = {"If-None-Match": file.headers["ETag"]}
    assert open_console("viewer").get("/rotina/static/rotina.css", headers=known).status_code == 304


def test_nothing_is_loaded_from_elsewhere(open_console: OpenConsole) -> None:
    page = open_console("viewer").get("/rotina/routines").text
    assert "//rsms.me" not in page
    for attribute in ('src="http', 'href="http', "url(http", "@import"):
        assert attribute not in page


@pytest.mark.parametrize("address", ["routines?x=%00", "audit/detail?pk=%00", "%00"])
def test_what_nobody_can_type_is_refused(open_console: OpenConsole, address: str) -> None:
    assert open_console("viewer").get(f"/rotina/{address}").status_code in (400, 404)


def test_a_program_with_a_token_of_its_own_names_no_origin(open_console: OpenConsole) -> None:
    """Only a browser sends proofs by itself; it names the origin of what changes something."""
    client = open_console(None)
    headers = {"Authorization": f"Bearer {token('viewer')}"}
    client.get("/rotina/routines", headers=headers)
    headers["X-CSRFToken"] = client.cookies["starlette_admin_csrftoken"]
    path = "/rotina/routines/nothing/requests"
    assert client.post(path, json={"nonsense": 1}, headers=headers).status_code == 403  # a viewer
    headers["Authorization"] = f"Bearer {token('user')}"
    assert client.post(path, json={"nonsense": 1}, headers=headers).status_code == 422
    for site in ("cross-site", "same-site"):
        reply = client.post(path, json={"nonsense": 1}, headers={**headers, "Sec-Fetch-Site": site})
        assert reply.status_code == 403


def test_behind_tls_no_address_leads_to_the_clear(host: FastAPI) -> None:
    """The server that ends TLS asks us without: only the browser knows."""
    client = ConsoleClient(host, base_url=ORIGIN)
    client.cookies.set("_token", token("op"))
    headers = {"Host": "airflow.example.com", "X-Forwarded-Proto": "https"}
    for path in ("routines", "audit/list", "class-rule/create"):
        page = client.get(f"/rotina/{path}", headers=headers)
        assert page.status_code == 200
        assert re.findall(r'"(?:http:)?//[^"]+', page.text) == []
    form = client.post_form(
        "/rotina/user/create", {"login": "ana", "name": "Ana", "email": "ana@example.com"}
    )
    assert form.history[0].headers["location"].startswith("/rotina/user/")


def test_an_address_with_a_number_that_is_none_is_no_page(open_console: OpenConsole) -> None:
    reply = open_console("viewer").get(f"/rotina/runs/{'9' * 5000}", headers={"Accept": "text/html"})
    assert (reply.status_code, "There is no such page" in reply.text) == (404, True)


def test_a_body_is_neither_too_long_nor_too_slow(
    host: FastAPI, open_console: OpenConsole, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = open_console("user")
    path = "/rotina/routines/nothing/requests"
    monkeypatch.setattr(gate, "MOST_BYTES", 1000)
    assert client.post_json(path, {"queue": "x" * 900}).status_code == 404
    long = client.post_json(path, {"queue": "x" * 1001})
    assert (long.status_code, long.json()) == (413, {"detail": "The request is too long."})

    monkeypatch.setattr(gate, "BODY_SECONDS", 0.05)
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "server": ("testserver", 80),
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [
            (b"host", b"testserver"),
            (b"origin", ORIGIN.encode()),
            (b"cookie", f"_token={client.cookies['_token']}".encode()),
            (b"content-type", b"application/json"),
            (b"content-length", b"100"),
        ],
        "state": {},
    }
    answers: list[int] = []

    async def receive() -> Any:
        await anyio.sleep_forever()

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            answers.append(message["status"])

    async def ask() -> None:
        await host({**scope, "state": {}}, receive, send)

    async def ask_often() -> None:
        async with anyio.create_task_group() as tasks:
            for _ in range(2 * gate.WORKERS):
                tasks.start_soon(ask)

    anyio.run(ask_often)
    assert answers == [408] * 2 * gate.WORKERS


def test_one_login_leaves_room_for_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "TURN_SECONDS", 0.01)

    async def ask() -> None:
        turns = gate._Turns()
        async with AsyncExitStack() as held:
            for _ in range(gate.WORKERS_PER_LOGIN):
                await in_a_task(turns, "ana", held)
            with pytest.raises(HTTPException) as refused:
                await in_a_task(turns, "ana", held)
            assert refused.value.status_code == 503
            for _ in range(gate.WORKERS - gate.WORKERS_PER_LOGIN):
                await in_a_task(turns, "bruno", held)
            with pytest.raises(HTTPException):
                await in_a_task(turns, "carla", held)
        async with turns.of("carla"):
            pass

    anyio.run(ask)


async def in_a_task(turns: Any, login: str, held: AsyncExitStack) -> None:
    """Take a turn as a request of its own, until `held` is closed."""
    tasks = await held.enter_async_context(anyio.create_task_group())
    over = anyio.Event()
    refused: list[HTTPException] = []

    async def hold(*, task_status: Any) -> None:
        try:
            async with turns.of(login):
                task_status.started()
                await over.wait()
        except HTTPException as refusal:
            refused.append(refusal)
            task_status.started()

    held.callback(over.set)
    await tasks.start(hold)
    if refused:
        raise refused[0]


def test_another_kind_of_authorization_proves_nothing(open_console: OpenConsole) -> None:
    client = open_console("admin")
    headers = {**client.own_headers(), "Authorization": "Basic YW5hOnNlbmhh"}
    del headers["Origin"]
    path = "/rotina/routines/class_transition/requests"
    assert client.post(path, json={}, headers=headers).status_code == 403  # it came by the cookie
    assert open_console(None).get("/rotina/routines", headers=headers).status_code == 401


def test_behind_a_proxy_the_origin_is_that_of_the_base_url(
    open_console: OpenConsole, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = open_console("user")
    headers = {**client.own_headers(), "Origin": "https://airflow.example.com"}
    path = "/rotina/routines/nothing/requests"
    assert client.post(path, json={"nonsense": 1}, headers=headers).status_code == 403
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://airflow.example.com/prefix")
    assert client.post(path, json={"nonsense": 1}, headers=headers).status_code == 422


def test_another_login_of_the_same_role_is_another_caller(
    console: ConsoleApp, open_console: OpenConsole, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    def noted(self: Any, request: Any) -> Any:
        seen.append(request.state.caller.login)
        return usual(self, request)

    from rotina.console.screens.routines import Routines

    usual = Routines._page
    monkeypatch.setattr(Routines, "_page", noted)
    for login in ("ana", "bruno"):
        client = open_console(None)
        client.cookies.set("_token", token("viewer", login))
        client.get("/rotina/routines")
    assert seen == ["ana", "bruno"]


def test_nothing_waits_for_the_database_in_the_event_loop(
    console: ConsoleApp, open_console: OpenConsole, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of every route that reads: each statement, and each wait for a connection, is in a worker thread."""
    threads: list[str] = []

    def note(*_: Any) -> None:
        threads.append(threading.current_thread().name)

    engine = console.state.console.database.engine
    for name in ("before_cursor_execute", "begin", "commit", "rollback"):
        event.listen(engine, name, note)
    event.listen(engine, "checkout", note)
    client = open_console("admin")
    for declared in console.state.console.declared:
        if declared.method == "GET" and declared.right is not None:
            before = len(threads)
            assert client.get(url(declared)).status_code in (200, 404, 422), declared
            assert {name for name in threads[before:] if "AnyIO worker" not in name} == set(), declared
    assert len(threads) > 20


def test_without_a_database_a_page_says_so(
    open_console: OpenConsole, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    import json

    away = {"conn_type": "postgres", "host": str(tmp_path), "login": "rotina_task", "schema": "rotina"}
    monkeypatch.setenv("AIRFLOW_CONN_ERP_DB", json.dumps(away))
    client = open_console("viewer", "pt")
    for path in ("routines", "audit/list"):
        reply = client.get(f"/rotina/{path}", headers={"Accept": "text/html"})
        assert reply.status_code == 503
        assert "O banco de dados não responde" in reply.text


def test_the_first_screen_is_where_the_menu_leads(open_console: OpenConsole) -> None:
    client: ConsoleClient = open_console("viewer")
    reply = client.get("/rotina/", follow_redirects=False)
    assert reply.headers["location"] == "/rotina/routines"


def test_behind_a_path_prefix_every_address_has_it(host: FastAPI, console: ConsoleApp) -> None:
    outside = FastAPI(root_path="/airflow")
    outside.mount("/rotina", console)
    outside.mount("", host)
    client = ConsoleClient(outside, base_url=ORIGIN)
    client.cookies.set("_token", token("user"))
    first = client.get("/airflow/rotina/", follow_redirects=False)
    assert first.headers["location"] == "/airflow/rotina/routines"
    page = client.get("/airflow/rotina/routines")
    assert page.status_code == 200
    assert "next: " in page.text  # Airflow was asked
    addresses = re.findall(r'(?:href|src|data-url)="([^"#]+)"', page.text)
    assert len(addresses) > 30
    for address in addresses:
        assert re.match("/airflow/(?:rotina|dags)/", address), address
    assert client.get("/airflow/rotina/static/rotina.css").status_code == 200
    headers = {"Origin": ORIGIN, "X-CSRFToken": client.cookies["starlette_admin_csrftoken"]}
    asked = client.post("/airflow/rotina/routines/class_transition/requests", json={}, headers=headers)
    assert asked.status_code == 200
