"""The embedded environment: what `make up`, `make down`, `make reset`, `make status` and `make day` do."""

from __future__ import annotations

import datetime as dt
import errno
import fcntl
import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
from psycopg.rows import dict_row

from rotina.local.airflow_api import AirflowApi
from rotina.local.environment import TIME_ZONE, load_secrets, process_environment
from rotina.local.postgres import AIRFLOW_DATABASE, EmbeddedPostgres
from rotina.local.settings import LocalSettings
from rotina.local.supervision import PARTS, Supervision

#: How long Airflow may take to become healthy, and one routine of the demonstration day to end (seconds).
HEALTHY_WITHIN = 180
ROUTINE_WITHIN = 900

#: The routine that sends what the others put into the queue.
DISPATCH = "queue_dispatch"

#: What Airflow's health report calls our parts.
_HEALTH_NAMES = {"scheduler": "scheduler", "dag-processor": "dag_processor", "triggerer": "triggerer"}

#: Everything that an environment keeps in its home folder; `reset` deletes this and nothing else.
_KEPT = ("airflow", "daily-files", "gateway", "logs", "mailbox", "partner", "postgres", "supervisor")
_KEPT_FILES = ("demo-day.json", "secrets.json", "started.json")
_LOCK = ".lock"

_NUMBERS = ("selected", "changed", "unchanged", "skipped", "failed", "seconds")
_COLUMNS = ("routine", "run_type", "business_date", *_NUMBERS, "status")


class StackError(Exception):
    """The environment cannot do what was asked; the message says why and what to do."""


class Stack:
    """The embedded environment that `settings` describes."""

    def __init__(self, settings: LocalSettings) -> None:
        self.settings = settings
        self.home = settings.home
        self.postgres = EmbeddedPostgres(settings.home)
        self.supervision = Supervision(settings.home)

    # -- the commands -----------------------------------------------------------------------------------

    def up(self) -> bool:
        """Start everything that does not run yet, run the demonstration day once, print where things are.

        Returns whether the demonstration day (if this call ran it) succeeded. Raises `StackError` when a
        port is taken or a part does not become healthy in time.
        """
        with self._alone():
            if self.supervision.pid is None:
                self._start()
            else:
                self._check_settings_unchanged()
                print("Already up.")
                self.postgres.start()
                self.supervision.revive()
            api = self._airflow_api()
            with _step("Airflow"):
                self._wait_until_healthy(api)
            succeeded = self._run_demo_day(api)
        self._print_summary()
        return succeeded

    def down(self) -> None:
        """Stop everything, running tasks included; all data stays.

        Raises `StackError` when another command is at work.
        """
        with self._alone():
            self._stop()

    def reset(self) -> None:
        """Stop everything and delete the environment's data, for a fresh start with the next `up`.

        The home folder itself and the lock file in it stay: a deleted lock file would let two commands
        each hold a lock of their own. Raises `StackError` when another command is at work.
        """
        with self._alone():
            self._stop()
            print(f"Deleting what is in {self.home}: databases, mailbox, daily files, logs, passwords.")
            for name in _KEPT:
                if (self.home / name).exists():
                    shutil.rmtree(self.home / name)
            for name in _KEPT_FILES:
                (self.home / name).unlink(missing_ok=True)

    def status(self) -> bool:
        """Print what runs; returns whether everything does."""
        states = self.supervision.states()
        health = self._airflow_api().health() if states else {}
        lines = {"postgres": "RUNNING" if self.postgres.running else "STOPPED"}
        lines |= {part: states.get(part, "STOPPED") for part in PARTS}
        for part, state in lines.items():
            status = health.get(_HEALTH_NAMES.get(part, ""), "")
            print(f"{part:<14} {state:<9} {status}".rstrip())
        running = all(state == "RUNNING" for state in lines.values())
        if running:
            self._print_summary()
        return running and _healthy(health)

    def day(self, business_date: dt.date) -> bool:
        """Run what the agenda runs on a day, in order, each routine for its business date; print their run
        records as one table.

        Runs in the servers when they are up, else without them (PostgreSQL and the mailbox are started
        when needed and stopped again). Returns whether all routines succeeded. Raises `StackError` for a
        date in the future, before anything starts: a new environment would get its demonstration data
        for that date.
        """
        today = business_today()
        if business_date > today:
            raise StackError(f"DATE = {business_date}: must not be in the future (in Brazil it is {today})")
        with self._alone():
            if self.supervision.pid is not None:
                self._check_settings_unchanged()
                api = self._airflow_api()
                self._wait_until_healthy(api)
                now = dt.datetime.now(dt.UTC).strftime("%Y%m%dT%H%M%S")
                runs = self._run_day(api, business_dates(business_date), f"day__{business_date}__{now}")
                return self._print_runs(business_dates(business_date), runs)
            was_running = self.postgres.running
            if not was_running:
                check_ports({"ROTINA_SMTP_PORT": self.settings.smtp_port})
            try:
                self._prepare_databases(business_date)
                with self._partners():
                    runs = self._run_day_without_servers(business_date)
                return self._print_runs(business_dates(business_date), runs)
            finally:
                if not was_running:
                    self.postgres.stop()

    def _stop(self) -> None:
        if self.supervision.pid is None and not self.postgres.running:
            print("Not running.")
        with _step("Stopping Airflow, mailbox and gateway simulator"):
            self.supervision.stop()
        with _step("Stopping PostgreSQL"):
            self.postgres.stop()

    # -- up ---------------------------------------------------------------------------------------------

    def _start(self) -> None:
        self.supervision.stop()  # what a killed supervisord left behind holds our ports
        check_ports(self.settings.ports())
        self._prepare_databases(business_today())
        with _step("Starting Airflow, mailbox and gateway simulator"):
            (self.home / "started.json").write_text(json.dumps(self.settings.ports()))
            try:
                self.supervision.start(process_environment(self.settings, self.postgres))
            except subprocess.CalledProcessError as error:
                raise StackError(f"supervisord did not start: {error.stderr or error.stdout}") from error

    def _prepare_databases(self, business_date: dt.date) -> None:
        """PostgreSQL running, all schemas at their newest version, demonstration data loaded."""
        with _step("PostgreSQL"):
            try:
                self.postgres.start()
            except subprocess.SubprocessError as error:
                raise StackError(
                    f"PostgreSQL does not start\n{_end_of(self.postgres.data_dir / 'log')}"
                ) from error
        with _step("Schemas erp and crm"):
            from rotina.migrations import upgrade

            upgrade(self.postgres.uri())
        self._migrate_airflow()
        if not self._has_data():
            with _step(f"Demonstration data: {self.settings.demo_accounts} accounts"):
                from rotina.demo import load

                load(
                    self.postgres.uri(),
                    accounts=self.settings.demo_accounts,
                    seed=self.settings.demo_seed,
                    business_date=business_date,
                )

    def _migrate_airflow(self) -> None:
        """Airflow's own schema; asking Airflow takes seconds, so the migrated version is noted down."""
        stamp = self.home / "airflow" / "migrated.json"
        current = {"airflow": version("apache-airflow"), "revision": self._airflow_revision()}
        if current["revision"] and stamp.exists() and json.loads(stamp.read_text()) == current:
            return
        with _step("Airflow's database"):
            log = self._log_file("airflow-migrate")
            with log.open("w") as output:
                done = subprocess.run(
                    [sys.executable, "-m", "airflow", "db", "migrate"],
                    env=process_environment(self.settings, self.postgres),
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    check=False,
                )
            if done.returncode != 0:
                raise StackError(f"airflow db migrate failed\n{_end_of(log)}")
            stamp.write_text(json.dumps(current | {"revision": self._airflow_revision()}))

    def _airflow_revision(self) -> str | None:
        with psycopg.connect(self.postgres.uri(AIRFLOW_DATABASE)) as connection:
            if connection.execute("select to_regclass('alembic_version')").fetchone() == (None,):
                return None
            row = connection.execute("select version_num from alembic_version").fetchone()
            return str(row[0]) if row else None

    def _has_data(self) -> bool:
        with psycopg.connect(self.postgres.uri()) as connection:
            return connection.execute("select exists (select from erp.customer)").fetchone() == (True,)

    def _check_settings_unchanged(self) -> None:
        started = json.loads((self.home / "started.json").read_text())
        for setting, port in self.settings.ports().items():
            if started.get(setting) != port:
                raise StackError(
                    f"it is running with {setting}={started.get(setting)}, but that is {port} now; "
                    "run make down, then make up"
                )

    def _wait_until_healthy(self, api: AirflowApi) -> None:
        """Wait for all parts, Airflow's health report and the DAGs of the daily routines."""
        deadline = time.monotonic() + HEALTHY_WITHIN
        while (problem := self._problem(api)) is not None:
            part, what = problem
            if time.monotonic() > deadline:
                raise StackError(self._with_log(part, f"{what} after {HEALTHY_WITHIN} s"))
            time.sleep(0.5)

    def _problem(self, api: AirflowApi) -> tuple[str, str] | None:
        """The first thing that is not (yet) as it should be: the part to blame and what is wrong."""
        self._check_parts()
        health = api.health()
        if not health:
            return "api-server", "Airflow's API does not answer"
        for part, name in _HEALTH_NAMES.items():
            if health.get(name) != "healthy":
                return part, f"the {part} is not healthy"
        if health.get("metadatabase") != "healthy":
            return "api-server", "Airflow's database is not healthy"
        for routine in (*business_dates(business_today()), DISPATCH):
            dag = api.dag(routine)
            if dag is None:
                errors = "\n".join(api.import_errors())
                return "dag-processor", f"the DAG {routine} is not there\n{errors}"
            if dag["is_paused"]:
                return "dag-processor", f"the DAG {routine} is paused (unpause it in Airflow)"
        for part, state in self.supervision.states().items():
            if state != "RUNNING":
                return part, f"the {part} is {state}"
        return None

    def _check_parts(self) -> None:
        states = self.supervision.states()
        if not states:
            raise StackError("supervisord has stopped; see " + str(self.supervision.logs / "supervisord.log"))
        for part, state in states.items():
            if state == "FATAL":
                raise StackError(self._with_log(part, f"the {part} does not start"))

    def _with_log(self, part: str, what: str) -> str:
        return f"{what}\n{_end_of(self.supervision.log(part))}"

    # -- a business day ---------------------------------------------------------------------------------

    def _run_demo_day(self, api: AirflowApi) -> bool:
        """The demonstration day, once in the life of an environment; an interrupted one goes on."""
        note = self.home / "demo-day.json"
        noted = {"date": str(business_today()), "ended": False}
        if note.exists():
            noted = json.loads(note.read_text())
        if noted["ended"]:
            return True
        note.write_text(json.dumps(noted))
        business_date = dt.date.fromisoformat(str(noted["date"]))
        # What the daily routines put into the queue goes out at once, not minutes later.
        dates = business_dates(business_date) | {DISPATCH: business_date}
        # What is due today by now the schedule sets off by itself, as soon as Airflow is there.
        runs = self._run_day(api, dates, f"demo__{business_date}", reuse=True)
        succeeded = self._print_runs(dates, runs, others=True)
        note.write_text(json.dumps(noted | {"ended": True}))
        return succeeded

    def _run_day(
        self, api: AirflowApi, dates: dict[str, dt.date], run_id: str, *, reuse: bool = False
    ) -> dict[str, tuple[str, str]]:
        """Set off routines in Airflow, one after the other; routine -> (run id, final state).

        With `reuse` it waits for the run that the schedule made for the day, where there is one.
        """
        runs = {}
        for routine, business_date in dates.items():
            with _step(f"{routine} for {business_date}"):
                made = api.scheduled_run(routine, str(business_date)) if reuse else None
                if made is None:
                    conf: dict[str, Any] = {"business_date": str(business_date)}
                    if "wait_minutes" in api.params(routine):
                        conf["wait_minutes"] = 0  # what it waits for went before it, or will not come
                    api.trigger(routine, run_id, conf)
                own = made or run_id
                runs[routine] = (own, api.wait_for_run(routine, own, ROUTINE_WITHIN, self._check_parts))
        return runs

    def _run_day_without_servers(self, business_date: dt.date) -> dict[str, tuple[str, str]]:
        """Run every daily routine in one Airflow process; routine -> (run id, final state)."""
        runs = {}
        dates = business_dates(business_date)
        arguments = [f"{routine}={date}" for routine, date in dates.items()]
        log = self._log_file(f"day-{business_date}")
        with log.open("w") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "rotina.local.day", *arguments],
                env=process_environment(self.settings, self.postgres),
                stdout=subprocess.PIPE,
                stderr=output,
                text=True,
            )
        with process:
            assert process.stdout is not None
            for routine, date in dates.items():
                with _step(f"{routine} for {date}"):
                    line = process.stdout.readline()
                    if not line:
                        raise StackError(f"Airflow could not run {routine}\n{_end_of(log)}")
                    run_id, state = json.loads(line)
                runs[routine] = (run_id, state)
        return runs

    def _print_runs(
        self, dates: dict[str, dt.date], runs: dict[str, tuple[str, str]], *, others: bool = False
    ) -> bool:
        """Print the run records; returns whether both Airflow and they say that all went well.

        With `others` the table has all runs of those dates: on a new day the schedule's own run may have
        come first and left nothing to change.
        """
        query = """
            select distinct on (routine, dag_run_id) * from crm.run
             where routine = any(%(routines)s)
               and (dag_run_id = any(%(run_ids)s)
                    or (%(others)s and ended_at is not null and (routine, business_date) in
                        (select * from unnest(%(routines)s::text[], %(dates)s::date[]))))
             order by routine, dag_run_id, attempt desc"""
        values = {
            "routines": list(dates),
            "dates": list(dates.values()),
            "run_ids": [run_id for run_id, _ in runs.values()],
            "others": others,
        }
        with psycopg.connect(self.postgres.uri(), row_factory=dict_row) as connection:
            records = connection.execute(query, values).fetchall()
        own = {
            record["routine"]: record
            for record in records
            if record["dag_run_id"] == runs[record["routine"]][0]
        }
        messages = [f"{record['routine']}: {record['message']}" for record in records if record["message"]]
        succeeded = True
        for routine, (_, state) in runs.items():
            succeeded &= state == "success"
            if routine in own:
                succeeded &= own[routine]["status"] in ("succeeded", "skipped")
            else:
                succeeded = False
                records.append({"routine": routine, "business_date": dates[routine], "status": state})
                messages.append(f"{routine} left no run record; Airflow says {state}")
        order = list(runs)
        records.sort(key=lambda record: (order.index(record["routine"]), record.get("id", 0)))
        rows = [[_cell(record.get(column)) for column in _COLUMNS] for record in records]
        print("", _table([list(_COLUMNS), *rows]), *messages, "", sep="\n")
        return succeeded

    # -- the rest ---------------------------------------------------------------------------------------

    def _airflow_api(self) -> AirflowApi:
        password = load_secrets(self.home).passwords["admin"]
        return AirflowApi(self.settings.airflow_url, "admin", password)

    def _log_file(self, name: str) -> Path:
        path = self.supervision.log(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    @contextmanager
    def _partners(self) -> Iterator[None]:
        """The mailbox and the gateway simulator, for as long as the block lasts."""
        log = self._log_file("partners")
        with log.open("a") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "rotina.local.partners"],
                env=process_environment(self.settings, self.postgres),
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            while not _answers(self.settings.smtp_port):
                if process.poll() is not None:
                    raise StackError(f"the mailbox does not start\n{_end_of(log)}")
                time.sleep(0.1)
            yield
        finally:
            process.terminate()
            process.wait(timeout=30)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One command that changes something at a time in a home folder; the lock goes with the process."""
        self.home.mkdir(parents=True, exist_ok=True)
        with (self.home / _LOCK).open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise StackError(
                    f"another command is at work in {self.home}; wait for it or end it"
                ) from error
            yield

    def _print_summary(self) -> None:
        settings = self.settings
        passwords = load_secrets(self.home).passwords
        logins = "\n".join(f"              {login:<7} {password}" for login, password in passwords.items())
        print(f"""
Airflow       {settings.airflow_url}
{logins}
Mailbox       {settings.mailbox_url}
Gateway       http://127.0.0.1:{settings.gateway_port} (simulator)
Database      {self.postgres.uri()}
Logs          {self.supervision.logs}

Look at       {settings.airflow_url}/dags: each routine is a DAG; open one and see its runs, or trigger it
              for a business date. The summary of every run is in the mailbox.
Stop          make down (the data stays), make reset (starts over)
""")


def check_ports(ports: dict[str, int]) -> None:
    """Raise `StackError`, naming every taken port and the setting to change, unless all `ports` are free."""
    problems = []
    for setting, port in ports.items():
        # Airflow's log servers listen on all addresses, everything else on loopback only.
        host = "" if setting.endswith("_LOG_PORT") else "127.0.0.1"
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except PermissionError:
                problems.append(f"port {port} needs root ({setting}); set one above 1023 in .env")
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
                problems.append(f"port {port} is taken ({setting}); free it or set another in .env")
    if problems:
        raise StackError("\n".join(problems))


def business_today() -> dt.date:
    """Today's date in Brazil."""
    return dt.datetime.now(ZoneInfo(TIME_ZONE)).date()


def business_dates(day: dt.date) -> dict[str, dt.date]:
    """The routines that the agenda runs on a day (their DAG ids), in order, with their business dates."""
    from rotina.runs.agenda import load_agenda

    return {entry.routine: entry.business_date(day) for entry in load_agenda().daily()}


@contextmanager
def _step(label: str) -> Iterator[None]:
    """One line on the console for a step that takes a while: what it is, and the seconds it took."""
    started = time.monotonic()
    print(f"{label} …", end="", flush=True)
    try:
        yield
    except BaseException:
        print(" failed", flush=True)
        raise
    print(f" {time.monotonic() - started:.1f} s", flush=True)


def _healthy(health: dict[str, str]) -> bool:
    return all(health.get(name) == "healthy" for name in (*_HEALTH_NAMES.values(), "metadatabase"))


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _end_of(log: Path, lines: int = 30) -> str:
    if not log.exists():
        return f"({log} is empty)"
    end = "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
    return f"--- the end of {log}\n{end}"


def _cell(value: object) -> str:
    if value is None:
        return "–"
    return f"{value:.1f}" if isinstance(value, float | Decimal) else str(value)


def _table(rows: list[list[str]]) -> str:
    """Rows (the first one is the head) in columns, the numbers to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    right = {index for index, name in enumerate(_COLUMNS) if name in _NUMBERS}
    return "\n".join(
        "  ".join(
            cell.rjust(width) if index in right else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )
