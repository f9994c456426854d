"""The console as Airflow has it: mounted in an application, with Airflow's login, on a real database."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from airflow import settings
from airflow.api_fastapi.app import get_auth_manager, init_auth_manager
from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
from airflow.models.revoked_token import RevokedToken
from fastapi import FastAPI
from fastapi.testclient import TestClient
from httpx import Response

from rotina.console import ConsoleApp, create_app

ORIGIN = "http://testserver"
ROLES = ("viewer", "user", "op", "admin")


class ConsoleClient(TestClient):
    """A browser with the console open: it sends what the pages' script sends."""

    def post_json(self, path: str, body: Any = None, **arguments: Any) -> Response:
        """POST as `rotina.post()` does."""
        return self.post(path, json=body or {}, headers=self._headers(), **arguments)

    def post_form(self, path: str, data: dict[str, Any] | None = None, **arguments: Any) -> Response:
        """POST as starlette-admin's forms and actions do."""
        headers = {**self._headers(), "Content-Type": "application/x-www-form-urlencoded"}
        return self.post(path, data=data or {}, headers=headers, **arguments)

    def _headers(self) -> dict[str, str]:
        if "starlette_admin_csrftoken" not in self.cookies:
            self.get("/rotina/routines")
        return {"Origin": ORIGIN, "X-CSRFToken": self.cookies["starlette_admin_csrftoken"]}


#: Opens the console as a role of Airflow, or as nobody.
OpenConsole = Callable[..., ConsoleClient]


@pytest.fixture(scope="session")
def airflow_login(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Airflow's auth manager, with the one table of Airflow's database that it asks: tokens taken back."""
    home: Path = tmp_path_factory.mktemp("airflow")
    variables = {
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}",
        "AIRFLOW__API_AUTH__JWT_SECRET": "a-secret-of-the-tests-that-is-long-enough",
        "AIRFLOW__API__SECRET_KEY": "another-secret-of-the-tests",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(home / "passwords.json"),
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        settings.configure_vars()
        settings.configure_orm()
        RevokedToken.metadata.create_all(settings.engine, tables=[RevokedToken.__table__])
        init_auth_manager()
        yield


@pytest.fixture
def erp_connection(task_uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The Airflow connection `erp_db`, to the database of the test."""
    parts = urlsplit(task_uri)
    erp = {
        "conn_type": "postgres",
        "host": parse_qs(parts.query)["host"][0],
        "login": parts.username,
        "schema": parts.path.removeprefix("/"),
    }
    monkeypatch.setenv("AIRFLOW_CONN_ERP_DB", json.dumps(erp))


@pytest.fixture
def console(airflow_login: None, erp_connection: None) -> Iterator[ConsoleApp]:
    """The application under /rotina."""
    app = create_app()
    yield app
    app.state.console.database.dispose()


@pytest.fixture
def host(console: ConsoleApp) -> FastAPI:
    """The application that the console is mounted in, where Airflow's API is."""
    app = FastAPI()
    app.mount("/rotina", console)
    return app


@pytest.fixture
def open_console(host: FastAPI) -> OpenConsole:
    """Opens the console: `open_console("op")`, `open_console("viewer", "pt-BR")`, `open_console(None)`."""

    def open_as(role: str | None, language: str = "en") -> ConsoleClient:
        client = ConsoleClient(host, base_url=ORIGIN, headers={"Accept-Language": language})
        if role is not None:
            client.cookies.set("_token", token(role))
        return client

    return open_as


def token(role: str, login: str | None = None) -> str:
    """A token as Airflow gives it to somebody of a role, whose login is its name unless another is given."""
    return str(get_auth_manager().generate_jwt(SimpleAuthManagerUser(username=login or role, role=role)))
