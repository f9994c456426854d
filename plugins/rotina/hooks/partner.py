"""Where the daily file batch goes: the partner's Airflow connection, as a target of rotina.files.delivery.

A connection of type `fs` is a folder that is mounted here. One of type `sftp` is a folder on an SFTP server,
and so is one of type `generic`: Airflow's web interface offers `sftp` only with its SFTP provider installed.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncssh
from airflow.sdk import BaseHook, Connection
from airflow.sdk.exceptions import AirflowNotFoundException

from rotina.errors import SettingError
from rotina.files.delivery import (
    DEFAULT_CONNECT_TIMEOUT,
    DEFAULT_TIMEOUT,
    FolderTarget,
    SftpSettings,
    SftpTarget,
    Target,
)

_SFTP_PORT = 22
_LONGEST_TIMEOUT = 3600.0
_FOLDER_EXTRA = {"path"}
_SFTP_EXTRA = {"path", "host_key", "private_key", "private_key_passphrase", "connect_timeout", "timeout"}


@contextmanager
def open_target(connection_id: str) -> Iterator[Target]:
    """The partner's folder of an Airflow connection; by SFTP, with the connection open and the login done.

    Raises:
        SettingError: the Airflow connection is missing or a field of it is wrong, the server has another host
            key or refuses the login, or there is no such folder.
        rotina.files.delivery.DeliveryError: the server cannot be reached.
    """
    fields = _Fields(connection_id)
    if fields.connection.conn_type == "fs":
        yield FolderTarget(fields.folder(), fields.name("extra path"))
    else:
        with SftpTarget.open(fields.sftp()) as target:
            yield target


class _Fields:
    """The fields of an Airflow connection, checked as they are read. What may be secret is not shown."""

    def __init__(self, connection_id: str) -> None:
        self._id = connection_id
        try:
            self.connection: Connection = BaseHook.get_connection(connection_id)
        except AirflowNotFoundException:
            raise SettingError("connection", connection_id, "not defined, or not readable") from None
        kind = self.connection.conn_type
        if kind not in ("fs", "sftp", "generic"):
            raise SettingError(self.name("type"), kind, "must be fs (a folder), sftp, or generic (SFTP too)")
        self._extra = self._read_extra(_FOLDER_EXTRA if kind == "fs" else _SFTP_EXTRA)

    def name(self, field: str) -> str:
        return f"connection {self._id}, {field}"

    def folder(self) -> Path:
        path = Path(self._path())
        if not path.is_absolute():
            raise SettingError(self.name("extra path"), str(path), "must be absolute, as /mnt/partner")
        return path

    def sftp(self) -> SftpSettings:
        key = self._private_key()
        password = self.connection.password or None
        if key is None and password is None:
            problem = "is blank, and the extra has no private_key; one of them is needed"
            raise SettingError(self.name("password"), None, problem)
        return SftpSettings(
            connection=f"connection {self._id}",
            host=self._host(),
            port=self._port(),
            login=self._login(),
            folder=self._path(),
            host_keys=self._host_keys(),
            password=password,
            key=key,
            connect_timeout=self._seconds("connect_timeout", DEFAULT_CONNECT_TIMEOUT),
            timeout=self._seconds("timeout", DEFAULT_TIMEOUT),
        )

    def _read_extra(self, known: set[str]) -> dict[str, Any]:
        try:
            extra = json.loads(self.connection.extra or "{}")
        except ValueError:
            extra = None
        if not isinstance(extra, dict):
            raise SettingError(self.name("extra"), None, "is not a JSON object")
        if unknown := sorted(extra.keys() - known):
            problem = f"not known; only {', '.join(sorted(known))} may stand there"
            raise SettingError(self.name("extra"), ", ".join(unknown), problem)
        return extra

    def _text(self, name: str) -> str:
        value = self._extra.get(name)
        if value is not None and not isinstance(value, str):
            raise SettingError(self.name(f"extra {name}"), None, "must be a text")
        return (value or "").strip()

    def _path(self) -> str:
        path = self._text("path")
        if not path:
            raise SettingError(self.name("extra path"), None, "is missing; give the partner's folder")
        return path

    def _host(self) -> str:
        host = (self.connection.host or "").strip()
        if not host:
            raise SettingError(self.name("host"), None, "is blank; give the partner's server")
        if "@" in host:  # what stands before it may be a secret
            raise SettingError(self.name("host"), None, "must not hold a login or password")
        if not host.isprintable() or any(character in " /" for character in host):
            raise SettingError(
                self.name("host"), host, "is not the name of a server; without sftp:// and folder"
            )
        return host

    def _port(self) -> int:
        port = self.connection.port or _SFTP_PORT
        if not 0 < port < 65536:
            raise SettingError(self.name("port"), port, "must be from 1 to 65535")
        return port

    def _login(self) -> str:
        login = (self.connection.login or "").strip()
        if not login:
            raise SettingError(self.name("login"), None, "is blank")
        return login

    def _host_keys(self) -> tuple[asyncssh.SSHKey, ...]:
        field = self.name("extra host_key")
        value = self._extra.get("host_key") or ""
        lines = value if isinstance(value, list) else str(value).splitlines()
        keys = tuple(
            self._host_key(str(line).strip())
            for line in lines
            if str(line).strip() and not str(line).lstrip().startswith("#")
        )
        if not keys:
            raise SettingError(field, None, "is missing; without it anybody could pose as the partner")
        return keys

    def _host_key(self, line: str) -> asyncssh.SSHKey:
        """A host key, with or without the name of the host before it (ssh-keyscan)."""
        for text in (line, line.partition(" ")[2]):
            try:
                return asyncssh.import_public_key(text)
            except asyncssh.KeyImportError:
                continue
        problem = "is not a public host key; give a line of ssh-keyscan, as ssh-ed25519 AAAA…"
        raise SettingError(self.name("extra host_key"), None, problem)

    def _private_key(self) -> asyncssh.SSHKey | None:
        text = self._text("private_key")
        if not text:
            return None
        passphrase = self._text("private_key_passphrase") or None
        try:
            return asyncssh.import_private_key(f"{text}\n", passphrase)
        except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError):
            problem = "is no private key; give the text of the whole file, with its line breaks as \\n"
            if passphrase is None:
                problem += ", and the extra private_key_passphrase if it has one"
            else:
                problem = f"cannot be read with the extra private_key_passphrase, or {problem}"
            raise SettingError(self.name("extra private_key"), None, problem) from None

    def _seconds(self, name: str, default: float) -> float:
        value = self._extra.get(name, default)
        seconds = math.nan
        if isinstance(value, int | float | str) and not isinstance(value, bool):
            try:
                seconds = float(value)  # a connection given as a URI has text in its extra
            except ValueError:
                seconds = math.nan
        if not 0 < seconds <= _LONGEST_TIMEOUT:
            problem = f"must be a number of seconds above 0, at most {_LONGEST_TIMEOUT:.0f}"
            raise SettingError(self.name(f"extra {name}"), value, problem)
        return seconds
