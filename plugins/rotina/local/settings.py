"""Settings of the embedded environment, read from `ROTINA_*` environment variables (see .env.example)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from rotina.errors import SettingError

#: The checkout this package lies in: where `dags/`, `include/` and `plugins/` are.
REPOSITORY = Path(__file__).resolve().parents[3]

#: Setting -> field of `LocalSettings`, for everything that listens on a port.
PORT_SETTINGS = {
    "ROTINA_AIRFLOW_PORT": "airflow_port",
    "ROTINA_SMTP_PORT": "smtp_port",
    "ROTINA_MAILBOX_PORT": "mailbox_port",
    "ROTINA_GATEWAY_PORT": "gateway_port",
    "ROTINA_SCHEDULER_LOG_PORT": "scheduler_log_port",
    "ROTINA_TRIGGERER_LOG_PORT": "triggerer_log_port",
}


@dataclass(frozen=True)
class LocalSettings:
    """Where the embedded environment lives, what it listens on and how much demonstration data it gets."""

    home: Path = REPOSITORY / ".rotina"
    airflow_port: int = 8080
    smtp_port: int = 2525
    mailbox_port: int = 8025
    gateway_port: int = 8026
    scheduler_log_port: int = 8793
    triggerer_log_port: int = 8794
    demo_accounts: int = 2000
    demo_seed: int = 2026
    #: Where the daily files are kept; None: in the home folder.
    files_folder: Path | None = None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> LocalSettings:
        """The settings as `environment` has them; what is absent or empty gets its default.

        Raises `rotina.errors.SettingError` for a number that is none or out of range, for two equal ports
        and for a folder that is a file, a relative path or the root.
        """
        defaults = {field.name: field.default for field in fields(cls)}

        def number(setting: str, field: str, lowest: int, highest: int) -> int:
            text = environment.get(setting, "").strip() or str(defaults[field])
            if not text.isascii() or not text.isdigit() or not lowest <= int(text) <= highest:
                raise SettingError(setting, text, f"must be a whole number from {lowest} to {highest}")
            return int(text)

        ports = {field: number(setting, field, 1, 65535) for setting, field in PORT_SETTINGS.items()}
        settings = cls(
            home=_home(environment.get("ROTINA_HOME", "")),
            files_folder=_files_folder(environment.get("ROTINA_FILES_FOLDER", "")),
            demo_accounts=number("ROTINA_DEMO_ACCOUNTS", "demo_accounts", 1, 10_000_000),
            demo_seed=number("ROTINA_DEMO_SEED", "demo_seed", 0, 2**31 - 1),
            **ports,
        )
        settings._check_ports_differ()
        return settings

    @property
    def airflow_url(self) -> str:
        """Address of Airflow's interface and API, without a slash at the end."""
        return f"http://127.0.0.1:{self.airflow_port}"

    @property
    def mailbox_url(self) -> str:
        """Address of the mailbox's web view, without a slash at the end."""
        return f"http://127.0.0.1:{self.mailbox_port}"

    def ports(self) -> dict[str, int]:
        """Every port in use, by the name of its setting."""
        return {setting: getattr(self, field) for setting, field in PORT_SETTINGS.items()}

    def _check_ports_differ(self) -> None:
        seen: dict[int, str] = {}
        for setting, port in self.ports().items():
            if port in seen:
                raise SettingError(setting, port, f"the same as {seen[port]}; each needs a port of its own")
            seen[port] = setting


def _home(text: str) -> Path:
    """The home folder: absolute (`~` allowed), not the root, not something else than a folder."""
    home = _folder("ROTINA_HOME", text.strip() or str(LocalSettings.home))
    if any(character in str(home) for character in "%;\n"):
        # supervisord's configuration cannot hold these in the name of a file.
        raise SettingError("ROTINA_HOME", str(home), "must not contain % or ;")
    return home


def _files_folder(text: str) -> Path | None:
    return _folder("ROTINA_FILES_FOLDER", text) if text.strip() else None


def _folder(setting: str, text: str) -> Path:
    folder = Path(text.strip()).expanduser()
    if not folder.is_absolute() or folder == Path(folder.anchor):
        raise SettingError(setting, text, "must be the absolute path of a folder of its own")
    if folder.exists() and not folder.is_dir():
        raise SettingError(setting, text, "must be a folder, but is a file")
    return folder.resolve()
