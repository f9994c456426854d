"""The Airflow plugin: the only module here that Airflow loads by itself, in every one of its processes."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from airflow.plugins_manager import AirflowPlugin


class RotinaPlugin(AirflowPlugin):
    """Adds the console and its API to the API server."""

    name = "rotina"

    @cached_property
    def fastapi_apps(self) -> list[dict[str, Any]]:  # type: ignore[override]
        """Asked for by the API server only, so that nobody else imports what is behind it."""
        from rotina.console import create_app

        return [{"app": create_app(), "url_prefix": "/rotina", "name": "Rotina"}]
