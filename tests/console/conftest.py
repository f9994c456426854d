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
from airflow.api_fastapi.common.dagbag import create_dag_bag
from airflow.api_fastapi.core_api.routes.public.backfills import backfills_router
from airflow.api_fastapi.core_api.routes.public.dag_run import dag_run_router
from airflow.api_fastapi.core_api.routes.public.dags import dags_router
from airflow.dag_processing.bundles.manager import DagBundlesManager
from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
from airflow.models import DagRun
from airflow.models.backfill import Backfill, BackfillDagRun
from airflow.models.base import Base
from airflow.utils.db import synchronize_log_template
from airflow.utils.session import create_session
from fastapi import FastAPI
from fastapi.testclient import TestClient
from httpx import Response
from jinja2 import FileSystemBytecodeCache
from starlette.routing import Mount

from rotina.console import ConsoleApp, create_app, language
from rotina.local.settings import REPOSITORY

ORIGIN = "http://testserver"
ROLES = ("viewer", "user", "op", "admin")


class ConsoleClient(TestClient):
    """A browser with the console open: it sends what the pages' script sends."""

    def post_json(self, path: str, body: Any = None, **arguments: Any) -> Response:
        """POST as `rotina.post()` does."""
        return self.post(path, json=body or {}, headers=self.own_headers(), **arguments)

    def post_form(self, path: str, data: dict[str, Any] | None = None, **arguments: Any) -> Response:
        """POST as starlette-admin's forms and actions do."""
        headers = {**self.own_headers(), "Content-Type": "application/x-www-form-urlencoded"}
        return self.post(path, data=data or {}, headers=headers, **arguments)

    def own_headers(self) -> dict[str, str]:
        """The origin and the token that our pages send."""
        if "starlette_admin_csrftoken" not in self.cookies:
            self.get("/rotina/static/rotina.css")  # the least that gives one
        return {"Origin": ORIGIN, "X-CSRFToken": self.cookies["starlette_admin_csrftoken"]}


@pytest.fixture(scope="session", autouse=True)
def translations() -> None:
    """The Portuguese of the console, which it puts in place when it starts."""
    language.install()


#: Opens the console as a role of Airflow, or as nobody.
OpenConsole = Callable[..., ConsoleClient]


@pytest.fixture(scope="session")
def airflow_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FastAPI]:
    """Airflow's auth manager and its own API of DAGs, runs and backfills, on a database with our DAGs."""
    home: Path = tmp_path_factory.mktemp("airflow")
    variables = {
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}",
        "AIRFLOW__API_AUTH__JWT_SECRET": "a-secret-of-the-tests-" * 4,
        "AIRFLOW__API__SECRET_KEY": "another-secret-of-the-tests",
        "AIRFLOW__CORE__DAGS_FOLDER": str(REPOSITORY / "dags"),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(home / "passwords.json"),
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        settings.configure_vars()
        settings.configure_orm()
        Base.metadata.create_all(settings.engine)
        synchronize_log_template()
        DagBundlesManager().sync_bundles_to_db()
        sync_bag_to_db(DagBag(str(REPOSITORY / "dags")), "dags-folder", None)
        app = FastAPI()
        app.state.auth_manager = init_auth_manager()
        app.state.dag_bag = create_dag_bag()
        for router in (backfills_router, dag_run_router, dags_router):
            app.include_router(router, prefix="/api/v2")
        yield app


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


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> FileSystemBytecodeCache:
    """Compiled templates, so that not every test compiles them anew."""
    return FileSystemBytecodeCache(str(tmp_path_factory.mktemp("templates")))


@pytest.fixture
def console(
    airflow_api: FastAPI, erp_connection: None, compiled: FileSystemBytecodeCache
) -> Iterator[ConsoleApp]:
    """The application under /rotina."""
    app = create_app()
    app.state.console.templates.env.bytecode_cache = compiled
    yield app
    app.state.console.database.dispose()


@pytest.fixture
def host(airflow_api: FastAPI, console: ConsoleApp) -> Iterator[FastAPI]:
    """The application that the console is mounted in, with Airflow's API. Forgets the runs of a test."""
    mounted = Mount("/rotina", console)
    airflow_api.router.routes.append(mounted)
    yield airflow_api
    airflow_api.router.routes.remove(mounted)
    with create_session() as session:
        for model in (BackfillDagRun, DagRun, Backfill):
            session.query(model).delete()


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
