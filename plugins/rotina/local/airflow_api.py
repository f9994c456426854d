"""A small client of Airflow's REST API: health, DAGs, and runs set off and waited for."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import requests

_TIMEOUT = (5, 30)
_FINAL_STATES = ("success", "failed")


class AirflowApi:
    """Airflow at `url` as the user `username`; a token is fetched with the first call that needs one."""

    def __init__(self, url: str, username: str, password: str) -> None:
        self.url = url
        self._credentials = {"username": username, "password": password}
        self._session = requests.Session()
        self._session.trust_env = False  # no proxy between us and loopback

    def health(self) -> dict[str, str]:
        """Status of each component ("healthy", "unhealthy"); empty while the API does not answer."""
        try:
            reply = self._session.get(f"{self.url}/api/v2/monitor/health", timeout=_TIMEOUT)
            reply.raise_for_status()
        except requests.RequestException:
            return {}
        return {name: str((component or {}).get("status")) for name, component in reply.json().items()}

    def dag(self, dag_id: str) -> dict[str, Any] | None:
        """A DAG as the API describes it; None when Airflow does not (yet) have it."""
        reply = self._call("GET", f"/dags/{dag_id}", accept=(404,))
        return None if reply.status_code == 404 else reply.json()

    def params(self, dag_id: str) -> set[str]:
        """The names of the params that a DAG takes."""
        return set(self._call("GET", f"/dags/{dag_id}/details").json()["params"] or {})

    def import_errors(self) -> list[str]:
        """The stack traces of DAG files that could not be loaded."""
        return [error["stack_trace"] for error in self._call("GET", "/importErrors").json()["import_errors"]]

    def trigger(self, dag_id: str, run_id: str, conf: dict[str, Any]) -> bool:
        """Set off a run now. Returns False when there is one of that id already.

        Raises requests.HTTPError when Airflow refuses it (unknown DAG, wrong params).
        """
        body = {"logical_date": None, "dag_run_id": run_id, "conf": conf}
        return self._call("POST", f"/dags/{dag_id}/dagRuns", json=body, accept=(409,)).status_code != 409

    def scheduled_run(self, dag_id: str, partition_key: str) -> str | None:
        """The id of the newest run that the schedule made for a business date; None when there is none."""
        query = {"run_type": "scheduled", "order_by": "-run_after", "limit": 10}
        runs = self._call("GET", f"/dags/{dag_id}/dagRuns", params=query).json()["dag_runs"]
        return next((str(run["dag_run_id"]) for run in runs if run["partition_key"] == partition_key), None)

    def wait_for_run(self, dag_id: str, run_id: str, seconds: float, check: Callable[[], None]) -> str:
        """Wait until a run has ended; returns "success" or "failed".

        Calls `check` now and then, which may raise. Raises TimeoutError after `seconds`.
        """
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            state = str(self._call("GET", f"/dags/{dag_id}/dagRuns/{run_id}").json()["state"])
            if state in _FINAL_STATES:
                return state
            check()
            time.sleep(0.5)
        raise TimeoutError(f"{dag_id} {run_id} has not ended after {seconds:.0f} s (it is {state})")

    def _call(
        self, method: str, path: str, *, json: Any = None, params: Any = None, accept: tuple[int, ...] = ()
    ) -> requests.Response:
        if "Authorization" not in self._session.headers:
            token = self._session.post(f"{self.url}/auth/token", json=self._credentials, timeout=_TIMEOUT)
            token.raise_for_status()
            self._session.headers["Authorization"] = f"Bearer {token.json()['access_token']}"
        url = f"{self.url}/api/v2{path}"
        reply = self._session.request(method, url, json=json, params=params, timeout=_TIMEOUT)
        if not reply.ok and reply.status_code not in accept:
            said = f"{method} {path}: {reply.status_code} {reply.text[:500]}"
            raise requests.HTTPError(said, response=reply)
        return reply
