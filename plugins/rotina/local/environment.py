"""The environment variables that make an Airflow process part of the embedded environment."""

from __future__ import annotations

import base64
import json
import os
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path

from rotina.local.postgres import AIRFLOW_DATABASE, ROTINA_DATABASE, TASK_ROLE, EmbeddedPostgres
from rotina.local.settings import REPOSITORY, LocalSettings

TIME_ZONE = "America/Sao_Paulo"
#: Libraries that most tasks use (docker-compose.yaml has them too). None of ours: a change of those is seen
#: by the next task.
PRELOADED = (
    "airflow.executors.local_executor",
    "airflow.sdk.execution_time.supervisor",
    "airflow.sdk.execution_time.task_runner",
    "airflow.providers.postgres.hooks.postgres",
    "airflow.providers.http.hooks.http",
    "airflow.providers.smtp.hooks.smtp",
    "airflow.dag_processing.dagbag",
    "asyncpg",
    "jinja2",
    "psycopg",
    "pydantic",
    "holidays",
    "yaml",
)
#: Logins of the embedded Airflow, each with the Airflow role of the same name.
LOGINS = ("admin", "op", "user", "viewer")


@dataclass(frozen=True)
class Secrets:
    """Keys and passwords of one embedded environment, made once and kept in its home folder."""

    fernet_key: str
    jwt_secret: str
    api_secret_key: str
    gateway_token: str
    gateway_webhook_secret: str
    unsubscribe_key: str
    passwords: dict[str, str]

    def __repr__(self) -> str:
        return "Secrets(...)"  # never in a log or a traceback


def load_secrets(home: Path) -> Secrets:
    """The secrets of the environment in `home`; those that it has not yet are generated (file mode 600)."""
    path = home / "secrets.json"
    stored = json.loads(path.read_text()) if path.exists() else {}
    if stored.keys() != Secrets.__dataclass_fields__.keys():
        generated = Secrets(
            fernet_key=base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
            jwt_secret=secrets.token_urlsafe(48),
            api_secret_key=secrets.token_urlsafe(48),
            gateway_token=secrets.token_urlsafe(24),
            gateway_webhook_secret=secrets.token_urlsafe(24),
            unsubscribe_key=base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
            passwords={login: secrets.token_urlsafe(9) for login in LOGINS},
        )
        stored = asdict(generated) | stored
        _write_private(path, json.dumps(stored, indent=2))
    return Secrets(**stored)


def airflow_environment(settings: LocalSettings, postgres: EmbeddedPostgres) -> dict[str, str]:
    """Everything Airflow needs to run on the embedded environment, as environment variables.

    Also writes what Airflow expects to find: its home folder and the passwords file of its logins.
    `postgres` must be running: where its socket lies is known only then.
    """
    home = settings.home / "airflow"
    own = load_secrets(settings.home)
    passwords_file = home / "passwords.json"
    _write_private(passwords_file, json.dumps(own.passwords) + "\n")
    partner = settings.home / "partner"
    partner.mkdir(exist_ok=True)
    url = settings.airflow_url
    return {
        "AIRFLOW_HOME": str(home),
        "PYTHONPATH": f"{REPOSITORY / 'plugins'}:{REPOSITORY}",
        "TZ": TIME_ZONE,
        "AIRFLOW__CORE__DAGS_FOLDER": str(REPOSITORY / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(REPOSITORY / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__CORE__DEFAULT_TIMEZONE": TIME_ZONE,
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        # The default pre-forks 32 workers, which a laptop feels.
        "AIRFLOW__CORE__PARALLELISM": "4",
        "AIRFLOW__CORE__FERNET_KEY": own.fernet_key,
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(f"{login}:{login}" for login in LOGINS),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords_file),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": postgres.uri(AIRFLOW_DATABASE, driver="postgresql+psycopg2"),
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(settings.airflow_port),
        "AIRFLOW__API__BASE_URL": url,
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__API__SECRET_KEY": own.api_secret_key,
        "AIRFLOW__API_AUTH__JWT_SECRET": own.jwt_secret,
        # With the default of one second a chain of small tasks takes three times as long.
        "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",
        # Tasks are forked from a process that has read the libraries already, instead of reading them each.
        "AIRFLOW__SCHEDULER__MP_START_METHOD": "forkserver",
        "AIRFLOW__CORE__MP_FORKSERVER_PRELOAD": ",".join(PRELOADED),
        # They begin before the API server of a busy machine is awake; the default of five seconds fails them.
        "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "60",
        # How long a worker may take to notice that its task has ended; the default is five seconds.
        "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
        # A DAG file that changed is read within seconds; to read all of them every half minute, as is the
        # default, keeps a fifth of a processor busy. A changed include/agenda.yaml is noticed this late.
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "5",
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "120",
        # The default lies in the machine's common /tmp.
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH": str(home / "bundles"),
        "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(settings.scheduler_log_port),
        "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(settings.triggerer_log_port),
        "AIRFLOW__LOGGING__COLORED_CONSOLE_LOG": "False",
        "AIRFLOW_CONN_ERP_DB": json.dumps(
            {
                "conn_type": "postgres",
                "host": postgres.socket_dir,
                "login": TASK_ROLE,
                "schema": ROTINA_DATABASE,
                "extra": {"connect_timeout": 5, "application_name": "rotina"},
            }
        ),
        "AIRFLOW_CONN_SMTP_DEFAULT": json.dumps(
            {
                "conn_type": "smtp",
                "host": "127.0.0.1",
                "port": settings.smtp_port,
                "extra": {
                    "disable_ssl": True,
                    "disable_tls": True,
                    "from_email": "rotina@example.com",
                    "timeout": 15,
                },
            }
        ),
        "AIRFLOW_CONN_MESSAGE_GATEWAY": json.dumps(
            {
                "conn_type": "http",
                "schema": "http",
                "host": "127.0.0.1",
                "port": settings.gateway_port,
                "password": own.gateway_token,
                "extra": {"timeout": 30},
            }
        ),
        "AIRFLOW_CONN_MESSAGE_GATEWAY_WEBHOOK": json.dumps(
            {"conn_type": "http", "password": own.gateway_webhook_secret}
        ),
        "AIRFLOW_CONN_UNSUBSCRIBE": json.dumps({"conn_type": "generic", "password": own.unsubscribe_key}),
        "AIRFLOW_CONN_DAILY_FILES": json.dumps({"conn_type": "fs", "extra": {"path": str(partner)}}),
        "ROTINA_FILES_FOLDER": str(settings.files_folder or settings.home / "daily-files"),
    }


def process_environment(settings: LocalSettings, postgres: EmbeddedPostgres) -> dict[str, str]:
    """The whole environment of a child process: ours on top of the caller's.

    Airflow settings of the caller's shell are left out (they may speak of another Airflow), and so is
    `PYTHONDONTWRITEBYTECODE`, which makes every start of Airflow several seconds slower.
    """
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("AIRFLOW") and name != "PYTHONDONTWRITEBYTECODE"
    }
    return inherited | airflow_environment(settings, postgres)


def _write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    temporary.replace(path)
