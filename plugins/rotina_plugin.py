"""The Airflow plugin: the only module here that Airflow loads by itself, in every one of its processes."""

from __future__ import annotations

from functools import cached_property
from typing import Any, ClassVar

from airflow.plugins_manager import AirflowPlugin


class RotinaPlugin(AirflowPlugin):
    """Adds the console and its API to the API server."""

    name = "rotina"

    # Without a slash in front they are found behind whatever path prefix Airflow has; with one, the login
    # cookie of such an Airflow would not be sent to them.
    external_views: ClassVar[list[dict[str, Any]]] = [
        {
            "name": "Rotina",
            "href": "rotina/",
            "destination": "nav",
            "url_route": "rotina",
            "nav_top_level": True,
            "icon": "rotina/static/icon.svg",
            "icon_dark_mode": "rotina/static/icon-dark.svg",
        },
        {
            "name": "Rotina",
            "href": "rotina/runs/of?dag_id={DAG_ID}&dag_run_id={RUN_ID}",
            "destination": "dag_run",
            "url_route": "rotina-run",
        },
    ]

    @cached_property
    def fastapi_apps(self) -> list[dict[str, Any]]:  # type: ignore[override]
        """Asked for by the API server only, so that nobody else imports what is behind it."""
        from rotina.console import create_app

        return [{"app": create_app(), "url_prefix": "/rotina", "name": "Rotina"}]
