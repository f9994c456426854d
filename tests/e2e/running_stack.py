"""The embedded environment, brought up the way `make up` does it, and what tests want to know of it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil
import psycopg
import requests
from psycopg.rows import dict_row

from rotina.local.airflow_api import AirflowApi
from rotina.local.environment import load_secrets, process_environment
from rotina.local.postgres import EmbeddedPostgres
from rotina.local.settings import PORT_SETTINGS, REPOSITORY, LocalSettings

#: The routine that most of these tests drive.
DAG_ID = "account_data_refresh"

#: The machine may be busy with other work (seconds).
_PATIENCE = 240


def _runs(dag_id: str) -> str:
    return f"/dags/{dag_id}/dagRuns"


class RunningStack:
    """An embedded environment of its own: a fresh home folder, free ports, few accounts."""

    def __init__(self, accounts: int) -> None:
        # Not one of pytest's folders: they are closed to the system user that PostgreSQL runs as under root.
        home = Path(tempfile.mkdtemp(prefix="rotina-e2e-"))
        self._settings = {
            "ROTINA_HOME": str(home),
            "ROTINA_DEMO_ACCOUNTS": str(accounts),
            **{setting: str(port) for setting, port in zip(PORT_SETTINGS, _free_ports(), strict=True)},
        }
        self.settings = LocalSettings.from_environment(self._settings)
        self.home = self.settings.home
        self._postgres = EmbeddedPostgres(self.home)
        self._tokens: dict[str, str] = {}

    # -- the commands -----------------------------------------------------------------------------------

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """What `make up`, `make down` and `make day` run, to its end, whatever that is."""
        environment = os.environ | self._settings | {"PYTHONPATH": f"{REPOSITORY / 'plugins'}:{REPOSITORY}"}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        return subprocess.run(
            [sys.executable, "-m", "rotina.local", *arguments],
            cwd=REPOSITORY,
            env=environment,
            capture_output=True,
            text=True,
            timeout=2 * _PATIENCE,
        )

    def up(self) -> str:
        """Start everything; returns what the command printed."""
        return self._successful("up")

    def down(self) -> str:
        """Stop everything; returns what the command printed."""
        return self._successful("down")

    def airflow(self, *arguments: str) -> str:
        """Run Airflow's own command line in this environment; returns what it printed."""
        done = subprocess.run(
            [sys.executable, "-m", "airflow", *arguments],
            env=process_environment(self.settings, self._postgres),
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def processes(self) -> list[str]:
        """The command lines of all processes that belong to this environment."""
        return [" ".join(process.cmdline()) for process in psutil.process_iter() if self._owns(process)]

    # -- Airflow's API ----------------------------------------------------------------------------------

    def password(self, login: str) -> str:
        return load_secrets(self.home).passwords[login]

    def token(self, login: str) -> str:
        """The token of the user `login`."""
        if login not in self._tokens:
            with requests.Session() as session:
                session.trust_env = False  # no proxy between us and loopback
                credentials = {"username": login, "password": self.password(login)}
                reply = session.post(f"{self.settings.airflow_url}/auth/token", json=credentials, timeout=60)
                self._tokens[login] = reply.json()["access_token"]
        return self._tokens[login]

    def call(self, login: str, method: str, path: str, **arguments: Any) -> requests.Response:
        """A request to Airflow's REST API as the user `login`, whatever the answer is."""
        with requests.Session() as session:
            session.trust_env = False
            session.headers["Authorization"] = f"Bearer {self.token(login)}"
            url = f"{self.settings.airflow_url}/api/v2{path}"
            return session.request(method, url, timeout=60, **arguments)

    def trigger(self, login: str, dag_id: str = DAG_ID, **conf: Any) -> requests.Response:
        """Ask for a run through the API, with `conf` as its params."""
        return self.call(login, "POST", _runs(dag_id), json={"logical_date": None, "conf": conf})

    def wait_for_run(self, dag_run_id: str, dag_id: str = DAG_ID) -> str:
        """Wait until a run has ended; returns its final state."""
        api = AirflowApi(self.settings.airflow_url, "admin", self.password("admin"))
        return api.wait_for_run(dag_id, dag_run_id, _PATIENCE, lambda: None)

    def dag_runs(self, run_type: str, dag_id: str = DAG_ID) -> list[dict[str, Any]]:
        """All runs of one type, as Airflow has them."""
        reply = self.call("viewer", "GET", _runs(dag_id), params={"run_type": run_type, "limit": 100})
        return list(reply.json()["dag_runs"])

    def task_instances(self, dag_run_id: str, dag_id: str = DAG_ID) -> dict[str, dict[str, Any]]:
        """The tasks of a run, by their name."""
        reply = self.call("viewer", "GET", f"{_runs(dag_id)}/{dag_run_id}/taskInstances")
        return {task["task_id"]: task for task in reply.json()["task_instances"]}

    def task_log(self, dag_run_id: str, task_id: str) -> str:
        """What a task logged in its first try."""
        path = f"{_runs(DAG_ID)}/{dag_run_id}/taskInstances/{task_id}/logs/1"
        return self.call("viewer", "GET", path).text

    def end_backfills(self, dag_id: str = DAG_ID) -> None:
        """Let the next backfill begin, when the runs of those before have ended.

        Airflow takes one backfill of a DAG at a time and looks for completed ones only every 30 seconds.
        """
        active = self.call("op", "GET", "/backfills", params={"dag_id": dag_id, "active": True}).json()
        for backfill in active["backfills"]:
            if backfill["completed_at"] is None:
                # 409: Airflow was quicker.
                assert self.call("op", "PUT", f"/backfills/{backfill['id']}/cancel").status_code in (200, 409)

    # -- what came of it --------------------------------------------------------------------------------

    def rows(self, query: str, *values: Any) -> list[dict[str, Any]]:
        """The rows of a query in the database with `erp` and `crm`."""
        with psycopg.connect(self._postgres.uri(), row_factory=dict_row) as connection:
            return connection.execute(query, values).fetchall()

    def execute(self, statement: str) -> None:
        """Run a statement as the owner of that database."""
        with psycopg.connect(self._postgres.uri()) as connection:
            connection.execute(statement)

    def records(self, dag_run_id: str) -> list[dict[str, Any]]:
        """The run records of a run, one for each attempt."""
        return self.rows("select * from crm.run where dag_run_id = %s order by attempt", dag_run_id)

    def record(self, dag_run_id: str) -> dict[str, Any]:
        """The run record of a run that was attempted once."""
        (record,) = self.records(dag_run_id)
        return record

    def account_data(self) -> list[dict[str, Any]]:
        """Everything that the refresh may change."""
        return [
            *self.rows("select * from crm.account_supplementary order by account_id"),
            *self.rows("select * from crm.account_data_problem order by record_kind, record_id"),
            *self.rows("select * from crm.account_data_state"),
        ]

    def summary(self, record: dict[str, Any]) -> dict[str, Any]:
        """The one summary e-mail of a run record, as the mailbox received it."""
        with requests.Session() as session:
            session.trust_env = False
            url = f"{self.settings.mailbox_url}/api/messages"
            messages = [
                session.get(f"{url}/{message['id']}", timeout=60).json()
                for message in session.get(url, timeout=60).json()
            ]
        wanted = ["Message-ID", f"<run-{record['id']}@rotina.local>"]
        (message,) = [message for message in messages if wanted in message["headers"]]
        return dict(message)

    # -- the rest ---------------------------------------------------------------------------------------

    def _successful(self, command: str) -> str:
        done = self.command(command)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def _owns(self, process: psutil.Process) -> bool:
        home = str(self.home)
        looks: list[Callable[[], bool]] = [
            lambda: process.environ().get("ROTINA_HOME") == home,
            lambda: home in " ".join(process.cmdline()),
            lambda: process.cwd().startswith(home),
        ]
        for look in looks:
            try:
                if look():
                    return True
            except (psutil.Error, OSError):  # gone meanwhile, or another user's
                continue
        return False


def _free_ports() -> list[int]:
    """A free port for every setting; all are held until the last is found, so that they differ."""
    with ExitStack() as held:
        probes = [held.enter_context(socket.socket()) for _ in PORT_SETTINGS]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]
