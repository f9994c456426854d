"""The gate: who is let in, with which words somebody is refused, and what every page carries."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

from rotina.console import ConsoleApp
from tests.console.conftest import ORIGIN, ConsoleClient, OpenConsole, token


def test_a_bearer_token_is_as_good_as_the_cookie(open_console: OpenConsole) -> None:
    client = open_console(None)
    headers = {"Authorization": f"Bearer {token('viewer')}"}
    assert client.get("/rotina/routines", headers=headers).status_code == 200
    assert client.get("/rotina/routines").status_code == 401


@pytest.mark.parametrize("garbage", ["x", "a.b.c", "Bearer"])
def test_a_token_that_is_none_of_ours_is_refused(open_console: OpenConsole, garbage: str) -> None:
    client = open_console(None)
    client.cookies.set("_token", garbage)
    assert client.get("/rotina/routines").status_code == 403
    headers = {"Authorization": f"Bearer {garbage}"}
    assert open_console("admin").get("/rotina/routines", headers=headers).status_code == 403


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
    assert "no-store" not in file.headers.get("Cache-Control", "")


def test_nothing_is_loaded_from_elsewhere(open_console: OpenConsole) -> None:
    page = open_console("viewer").get("/rotina/routines").text
    assert "//rsms.me" not in page
    for attribute in ('src="http', 'href="http', "url(http", "@import"):
        for piece in page.split(attribute)[1:]:
            assert piece.startswith("://testserver/"), piece[:80]


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


def test_a_page_is_made_in_a_thread_of_its_own(
    console: ConsoleApp, open_console: OpenConsole, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rotina.console.screens.routines import Routines

    threads: list[str] = []
    usual = Routines._page

    def noted(self: Any, request: Any) -> Any:
        threads.append(threading.current_thread().name)
        return usual(self, request)

    monkeypatch.setattr(Routines, "_page", noted)
    assert open_console("viewer").get("/rotina/routines").status_code == 200
    assert len(threads) == 1
    assert "AnyIO worker" in threads[0]


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
    assert reply.headers["location"] == f"{ORIGIN}/rotina/routines"
