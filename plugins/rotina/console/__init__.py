"""What Rotina adds to the Airflow UI and API, as one FastAPI application under /rotina.

The console for people who are logged in to Airflow (see `site` and `gate`), and two doors that need no login:
the webhooks of gateways and the unsubscribe links of e-mails, each with a protection of its own.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.types import Receive, Scope, Send

from rotina.console import unsubscribe, webhooks
from rotina.console.database import Database
from rotina.console.gate import Gate
from rotina.console.site import Console


class ConsoleApp(FastAPI):
    """The application. It remembers which application it is mounted in, to ask Airflow's API."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        scope["rotina.airflow"] = scope.get("app")
        await super().__call__(scope, receive, send)


def create_app() -> ConsoleApp:
    """The application, without API docs of its own: those would be open to everybody."""
    database = Database()
    console = Console(database)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        database.dispose()

    app = ConsoleApp(title="Rotina", docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan)
    app.state.console = console
    public = [*webhooks.router.routes, *unsubscribe.router.routes]
    app.include_router(webhooks.router)
    app.include_router(unsubscribe.router)
    console.mount_to(app)
    app.add_middleware(Gate, public=public, rules=console, templates=console.templates.env)
    return app
