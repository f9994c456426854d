"""The embedded environment: ports, PostgreSQL, supervisord, and what Airflow is told."""

from __future__ import annotations

import datetime as dt
import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import psutil
import psycopg
import pytest
from supervisor.options import ServerOptions

from rotina.local import supervision
from rotina.local.environment import airflow_environment, load_secrets
from rotina.local.postgres import AIRFLOW_DATABASE, EmbeddedPostgres
from rotina.local.settings import LocalSettings
from rotina.local.stack import Stack, StackError, business_dates, business_today, check_ports
from rotina.local.supervision import PARTS, Supervision
from rotina.messaging.unsubscribe import unsubscribe_url


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that somebody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


@pytest.fixture
def free() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_taken_port_is_named_with_its_setting(taken: int, free: int) -> None:
    check_ports({"ROTINA_SMTP_PORT": free})
    with pytest.raises(StackError) as caught:
        check_ports(
            {"ROTINA_SMTP_PORT": free, "ROTINA_AIRFLOW_PORT": taken, "ROTINA_SCHEDULER_LOG_PORT": taken}
        )
    assert str(caught.value).splitlines() == [
        f"port {taken} is taken (ROTINA_AIRFLOW_PORT); free it or set another in .env",
        f"port {taken} is taken (ROTINA_SCHEDULER_LOG_PORT); free it or set another in .env",
    ]


def test_up_starts_nothing_when_a_port_is_taken(tmp_path: Path, taken: int) -> None:
    stack = Stack(LocalSettings(home=tmp_path / "home", gateway_port=taken))
    with pytest.raises(StackError, match=f"port {taken} is taken"):
        stack.up()
    assert not stack.postgres.running
    assert stack.supervision.pid is None


@pytest.mark.parametrize(
    "command",
    [Stack.up, Stack.down, Stack.reset, lambda stack: stack.day(dt.date(2026, 1, 2))],
    ids=["up", "down", "reset", "day"],
)
def test_only_one_command_at_a_time(tmp_path: Path, command: Callable[[Stack], object]) -> None:
    settings = LocalSettings(home=tmp_path / "home")
    with Stack(settings)._alone():
        load_secrets(settings.home)
        before = sorted(settings.home.iterdir())
        with pytest.raises(StackError, match="another command is at work"):
            command(Stack(settings))
        assert sorted(settings.home.iterdir()) == before


def test_reset_keeps_the_lock_that_another_command_may_wait_with(tmp_path: Path) -> None:
    stack = Stack(LocalSettings(home=tmp_path))
    with stack._alone():
        lock = (tmp_path / ".lock").stat().st_ino
    stack.reset()
    assert (tmp_path / ".lock").stat().st_ino == lock


def test_a_day_in_the_future_starts_nothing(tmp_path: Path) -> None:
    stack = Stack(LocalSettings(home=tmp_path / "home"))
    tomorrow = business_today() + dt.timedelta(days=1)
    with pytest.raises(StackError, match=f"DATE = {tomorrow}: must not be in the future"):
        stack.day(tomorrow)
    assert not stack.home.exists()


def test_today_is_not_in_the_future(tmp_path: Path, taken: int) -> None:
    stack = Stack(LocalSettings(home=tmp_path / "home", smtp_port=taken))
    with pytest.raises(StackError, match=f"port {taken} is taken"):  # the next thing that is looked at
        stack.day(business_today())


def test_a_day_runs_each_routine_for_its_business_date() -> None:
    dates = business_dates(dt.date(2026, 3, 1))
    assert dates["account_data_refresh"] == dt.date(2026, 3, 1)
    assert dates["daily_file_batch"] == dt.date(2026, 2, 28)


def test_reset_deletes_its_own_files_only(tmp_path: Path) -> None:
    stack = Stack(LocalSettings(home=tmp_path))
    load_secrets(tmp_path)
    (tmp_path / "mailbox").mkdir()
    (tmp_path / "mailbox" / "1.eml").touch()
    (tmp_path / "somebody-elses.txt").touch()
    stack.reset()
    assert {path.name for path in tmp_path.iterdir()} == {".lock", "somebody-elses.txt"}


def test_postgres_keeps_its_data_over_a_restart(tmp_path: Path) -> None:
    server = EmbeddedPostgres(tmp_path, settings={"shared_buffers": "64MB"})
    assert not server.running
    server.start()
    try:
        with psycopg.connect(server.uri()) as connection:
            connection.execute("create table kept as select 42 as answer")
        server.stop()
        assert not server.running
        server.start()
        assert server.running
        with psycopg.connect(server.uri()) as connection:
            assert connection.execute("select answer from kept").fetchone() == (42,)
    finally:
        server.stop()


def test_postgres_starts_when_its_old_pid_belongs_to_another_program(tmp_path: Path) -> None:
    server = EmbeddedPostgres(tmp_path, settings={"shared_buffers": "64MB"})
    server.start()
    try:
        pid_file = server.data_dir / "postmaster.pid"
        lines = pid_file.read_text().splitlines()
        server.stop()
        pid_file.write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n")
        assert not server.running
        server.start()
        assert server.running
    finally:
        server.stop()


def test_a_home_too_long_for_a_socket(tmp_path: Path) -> None:
    home = tmp_path / ("a" * 60) / ("b" * 60)
    server = EmbeddedPostgres(home, settings={"shared_buffers": "64MB"})
    server.start()
    try:
        with psycopg.connect(server.uri(AIRFLOW_DATABASE)) as connection:
            assert connection.execute("select 1").fetchone() == (1,)
    finally:
        server.stop()


@pytest.mark.parametrize("folder", ["home", "with space", "a" * 60 + "/" + "b" * 60])
def test_the_supervisor_configuration_is_valid(tmp_path: Path, folder: str) -> None:
    config = Supervision(tmp_path / folder).write_config()
    options = ServerOptions()
    options.realize(["-c", str(config)])
    options.process_config(do_usage=False)
    programs = {group.name: group.process_configs[0] for group in options.process_group_configs}
    assert list(programs) == list(PARTS)
    for name, program in programs.items():
        assert program.killasgroup
        assert program.autorestart
        assert program.stdout_logfile == str(tmp_path / folder / "logs" / f"{name}.log")
    (server,) = options.server_configs
    assert len(server["file"]) < 100


def serving(supervised: Supervision) -> bool:
    """Whether the part `web` is there as a process of its own that listens."""
    with suppress(psutil.NoSuchProcess):  # `broken` comes and goes
        members = supervised._members(supervised.pid or 0)
        return any(process.net_connections(kind="tcp") for process in members)
    return False


@pytest.fixture
def supervised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Supervision]:
    """A running supervisord with two parts: one that serves and one that cannot start."""
    parts = {"web": ("http.server", "--bind", "127.0.0.1", "0"), "broken": ("no_such_module",)}
    monkeypatch.setattr(supervision, "PARTS", parts)
    monkeypatch.setattr(supervision, "_STOP_SECONDS", dict.fromkeys(parts, 5))
    supervised = Supervision(tmp_path)
    supervised.start(dict(os.environ))
    deadline = time.monotonic() + 30
    try:
        while not serving(supervised):
            assert time.monotonic() < deadline
        yield supervised
    finally:
        supervised.stop()


def test_stop_leaves_no_process_behind(supervised: Supervision) -> None:
    assert supervised.pid is not None
    members = supervised._members(supervised.pid)
    assert len(members) >= 2
    assert set(supervised.states()) == {"web", "broken"}
    supervised.stop()
    assert supervised.pid is None
    assert supervised.states() == {}
    assert not any(process.is_running() for process in members)


def test_stop_finds_what_a_killed_supervisord_left_behind(supervised: Supervision) -> None:
    assert supervised.pid is not None
    supervisord = psutil.Process(supervised.pid)
    members = supervised._members(supervised.pid)
    supervisord.kill()
    psutil.wait_procs([supervisord], timeout=10)
    assert supervised.pid is None
    assert any(process.is_running() for process in members)
    supervised.stop()
    psutil.wait_procs(members, timeout=10)
    assert not any(process.is_running() for process in members)


def test_what_airflow_is_told(tmp_path: Path, postgres: EmbeddedPostgres) -> None:
    settings = LocalSettings(home=tmp_path, airflow_port=9090, smtp_port=9025, gateway_port=9026)
    environment = airflow_environment(settings, postgres)
    assert environment["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"] == "http://127.0.0.1:9090/execution/"
    assert json.loads(environment["AIRFLOW_CONN_ERP_DB"])["login"] == "rotina_task"
    assert json.loads(environment["AIRFLOW_CONN_SMTP_DEFAULT"])["port"] == 9025
    partner = json.loads(environment["AIRFLOW_CONN_DAILY_FILES"])
    assert (partner["conn_type"], Path(partner["extra"]["path"]).is_dir()) == ("fs", True)
    assert environment["ROTINA_FILES_FOLDER"] == str(tmp_path / "daily-files")
    elsewhere = airflow_environment(replace(settings, files_folder=tmp_path / "elsewhere"), postgres)
    assert elsewhere["ROTINA_FILES_FOLDER"] == str(tmp_path / "elsewhere")
    gateway = json.loads(environment["AIRFLOW_CONN_MESSAGE_GATEWAY"])
    assert gateway["password"] == load_secrets(tmp_path).gateway_token
    (key,) = json.loads(environment["AIRFLOW_CONN_UNSUBSCRIBE"])["password"].split(",")
    assert unsubscribe_url(environment["AIRFLOW__API__BASE_URL"], [key], "ana@example.com")
    # The same secrets each time, readable by nobody else.
    assert airflow_environment(settings, postgres) == environment
    passwords = Path(environment["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"])
    assert set(json.loads(passwords.read_text())) == {"admin", "op", "user", "viewer"}
    for path in (passwords, tmp_path / "secrets.json"):
        assert path.stat().st_mode & 0o777 == 0o600
    assert load_secrets(tmp_path).jwt_secret not in repr(load_secrets(tmp_path))
