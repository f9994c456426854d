"""What Rotina adds to the Airflow UI and API, as one FastAPI application under /rotina."""

from __future__ import annotations

from fastapi import FastAPI

from rotina.console import unsubscribe, webhooks


def create_app() -> FastAPI:
    """The application, without API docs of its own: those would be open to everybody."""
    app = FastAPI(title="Rotina", docs_url=None, redoc_url=None, openapi_url=None)
    app.include_router(webhooks.router)
    app.include_router(unsubscribe.router)
    return app
