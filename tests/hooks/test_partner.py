"""The partner's folder, from its Airflow connection: a folder, or SFTP with password or key."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import asyncssh
import pytest

from rotina.errors import SettingError
from rotina.files.delivery import FolderTarget, SftpSettings, SftpTarget
from rotina.hooks.partner import open_target
from tests.files.batches_made import make_batch, standing
from tests.files.partner_servers import LOGIN, PASSWORD, need_openssh, openssh, scripted

Define = Callable[..., None]

KEY = asyncssh.generate_private_key("ssh-ed25519")
HOST_KEY = KEY.export_public_key().decode().strip()
SFTP: dict[str, Any] = {
    "conn_type": "sftp",
    "host": "sftp.partner.invalid",
    "login": LOGIN,
    "password": PASSWORD,
    "extra": {"path": "/in", "host_key": HOST_KEY},
}


@pytest.fixture
def define(monkeypatch: pytest.MonkeyPatch) -> Define:
    def define(**fields: Any) -> None:
        monkeypatch.setenv("AIRFLOW_CONN_DAILY_FILES", json.dumps(fields))

    return define


@contextmanager
def settings_read(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[SftpSettings]]:
    """What would be connected to."""
    read: list[SftpSettings] = []

    @contextmanager
    def note(settings: SftpSettings) -> Iterator[None]:
        read.append(settings)
        yield

    with monkeypatch.context() as patch:
        patch.setattr(SftpTarget, "open", note)
        yield read


def test_a_folder(define: Define, tmp_path: Path) -> None:
    folder = tmp_path / "partner"
    folder.mkdir()
    define(conn_type="fs", extra={"path": str(folder)})
    batch = make_batch(tmp_path / "spool")
    with open_target("daily_files") as target:
        assert isinstance(target, FolderTarget)
        target.deliver(batch.files, batch.manifest)
        target.verify(batch.files, batch.manifest)
    assert standing(folder) == batch.hashes


@pytest.mark.parametrize("kind", ["sftp", "generic"])
def test_sftp_with_a_password(define: Define, tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "partner"
    folder.mkdir()
    batch = make_batch(tmp_path / "spool")
    with scripted(folder) as server:
        known = server.host_keys[0].export_public_key().decode()
        define(**{
            **SFTP, "conn_type": kind, "host": server.host, "port": server.port,
            "extra": {"path": str(folder), "host_key": known},
        })  # fmt: skip
        with open_target("daily_files") as target:
            target.deliver(batch.files, batch.manifest)
    assert standing(folder) == batch.hashes


@pytest.mark.parametrize("passphrase", [None, "correct horse"])
def test_sftp_with_a_key(define: Define, tmp_path: Path, passphrase: str | None) -> None:
    need_openssh()
    home = tmp_path / "sshd"
    folder = home / "in"
    folder.mkdir(parents=True)
    batch = make_batch(tmp_path / "spool")
    with openssh(home) as server:
        assert server.key is not None
        known = server.host_keys[0].export_public_key().decode()
        define(
            conn_type="sftp",
            host=server.host,
            port=server.port,
            login=server.login,
            extra={
                "path": str(folder),
                "host_key": f"# {server.address} SSH-2.0-OpenSSH\n[{server.host}]:{server.port} {known}",
                "private_key": server.key.export_private_key(passphrase=passphrase, rounds=50)
                .decode()
                .strip(),
                **({"private_key_passphrase": passphrase} if passphrase else {}),
            },
        )
        with open_target("daily_files") as target:
            target.deliver(batch.files, batch.manifest)
    assert standing(folder) == batch.hashes


def test_what_a_connection_may_leave_out(define: Define, monkeypatch: pytest.MonkeyPatch) -> None:
    define(**SFTP)
    with settings_read(monkeypatch) as read, open_target("daily_files"):
        (settings,) = read
    assert (settings.host, settings.port, settings.login) == ("sftp.partner.invalid", 22, LOGIN)
    assert (settings.folder, settings.key, settings.password) == ("/in", None, PASSWORD)
    assert (settings.connect_timeout, settings.timeout) == (15, 60)
    assert settings.host_keys == (KEY.convert_to_public(),)


def test_a_connection_written_as_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    extra = urlencode({"path": "in/orders", "host_key": HOST_KEY, "connect_timeout": "5", "timeout": "7.5"})
    address = f"sftp://{LOGIN}:{quote(PASSWORD)}@sftp.partner.invalid:2222/?{extra}"
    monkeypatch.setenv("AIRFLOW_CONN_DAILY_FILES", address)
    with settings_read(monkeypatch) as read, open_target("daily_files"):
        (settings,) = read
    assert (settings.port, settings.folder) == (2222, "in/orders")
    assert (settings.connect_timeout, settings.timeout) == (5, 7.5)
    assert settings.host_keys == (KEY.convert_to_public(),)


def test_several_host_keys(define: Define, monkeypatch: pytest.MonkeyPatch) -> None:
    other = asyncssh.generate_private_key("ecdsa-sha2-nistp256").convert_to_public()
    line = other.export_public_key().decode()
    for value in (f"{HOST_KEY}\n\n{line}", [HOST_KEY, f"sftp.partner.invalid {line}"]):
        define(**{**SFTP, "extra": {"path": "/in", "host_key": value}})
        with settings_read(monkeypatch) as read, open_target("daily_files"):
            assert read[0].host_keys == (KEY.convert_to_public(), other)


LOCKED = KEY.export_private_key("pkcs8-pem", "right").decode()
UNLOCKED = KEY.export_private_key().decode()


@pytest.mark.parametrize(
    ("changes", "extra", "message"),
    [
        ({"conn_type": "ftp"}, {}, "type = 'ftp': must be fs"),
        ({"host": None}, {}, "host: is blank"),
        ({"host": " "}, {}, "host: is blank"),
        ({"host": "sftp://sftp.partner.invalid"}, {}, "host = 'sftp://sftp.*': is not the name"),
        ({"host": "me:hunter2@sftp.partner.invalid"}, {}, "host: must not hold a login"),
        ({"port": 70000}, {}, "port = 70000: must be from 1 to 65535"),
        ({"login": ""}, {}, "login: is blank"),
        ({"password": None}, {}, "password: is blank, and the extra has no private_key"),
        ({"extra": "not json"}, None, "extra: is not a JSON object"),
        ({"extra": "[1]"}, None, "extra: is not a JSON object"),
        ({}, {"path": None}, "extra path: is missing"),
        ({}, {"path": " "}, "extra path: is missing"),
        ({}, {"path": 7}, "extra path: must be a text"),
        ({}, {"host_key": None}, "extra host_key: is missing; without it anybody"),
        ({}, {"host_key": "# only a remark"}, "extra host_key: is missing"),
        ({}, {"host_key": KEY.get_fingerprint()}, "extra host_key: is not a public"),
        ({}, {"host_key": f"{HOST_KEY}\nssh-ed25519 AAAAhunter2"}, "extra host_key: is not a public"),
        ({}, {"host_key": UNLOCKED}, "extra host_key: is not a public"),
        ({}, {"private_key": "hunter2"}, "extra private_key: is no private key"),
        ({}, {"private_key": HOST_KEY}, "extra private_key: is no private key"),
        ({}, {"private_key": UNLOCKED.replace("\n", " ")}, "extra private_key: is no private key"),
        ({}, {"private_key": LOCKED}, "extra private_key: .*private_key_passphrase"),
        ({}, {"private_key": LOCKED, "private_key_passphrase": "hunter2"},
         "extra private_key: cannot be read with the extra private_key_passphrase"),
        ({}, {"timeout": 0}, "extra timeout = 0: must be a number of seconds"),
        ({}, {"timeout": "soon"}, "extra timeout = 'soon'"),
        ({}, {"connect_timeout": True}, "extra connect_timeout = True"),
        ({}, {"connect_timeout": 1e9}, "extra connect_timeout"),
        ({}, {"no_host_key_check": True}, "extra = 'no_host_key_check': not known"),
    ],
)  # fmt: skip
def test_a_wrong_field_is_named_and_no_secret_shown(
    define: Define, changes: dict[str, Any], extra: dict[str, Any] | None, message: str
) -> None:
    fields = {**SFTP, **changes}
    if extra is not None:
        fields["extra"] = {**SFTP["extra"], **extra}
    define(**fields)
    pattern = rf"^connection daily_files, {message}"
    with pytest.raises(SettingError, match=pattern) as caught, open_target("daily_files"):
        pass
    told = str(caught.value)
    for secret in (PASSWORD, "hunter2", UNLOCKED.splitlines()[1], LOCKED.splitlines()[1]):
        assert secret not in told
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ({}, "extra path: is missing"),
        ({"path": "partner"}, "extra path = 'partner': must be absolute"),
        ({"path": "/nonexistent/partner"}, "extra path = '/nonexistent/partner': is no folder"),
        ({"path": "/tmp", "host_key": HOST_KEY}, "extra = 'host_key': not known; only path"),
    ],
)
def test_a_wrong_folder_is_named(define: Define, extra: dict[str, Any], message: str) -> None:
    define(conn_type="fs", extra=extra)
    pattern = rf"^connection daily_files, {message}"
    with pytest.raises(SettingError, match=pattern), open_target("daily_files"):
        pass


def test_a_missing_connection_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AIRFLOW_CONN_DAILY_FILES", raising=False)
    pattern = "connection = 'daily_files': not defined"
    with pytest.raises(SettingError, match=pattern), open_target("daily_files"):
        pass


def test_settings_show_no_secret(define: Define, monkeypatch: pytest.MonkeyPatch) -> None:
    define(**{**SFTP, "extra": {**SFTP["extra"], "private_key": UNLOCKED}})
    with settings_read(monkeypatch) as read, open_target("daily_files"):
        (settings,) = read
    assert PASSWORD not in repr(settings)
    assert "key=" not in repr(replace(settings, host_keys=()))


# The page that tells how to connect a partner

PAGE = Path(__file__).parents[2] / "docs" / "daily-files-delivery.md"


def test_the_connections_of_the_page_are_taken(
    define: Define, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    examples = [
        json.loads(text)
        for text in re.findall(r"^```json\n(.+?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    ]
    kinds = []
    for fields in examples:
        extra = fields["extra"]
        kinds.append((fields["conn_type"], "password" in fields, "private_key" in extra))
        if "private_key" in extra:
            first, *_, last = UNLOCKED.splitlines()
            assert extra["private_key"].splitlines()[::2] == [first, last]
            extra["private_key"] = UNLOCKED
        if fields["conn_type"] == "fs":
            extra["path"] = str(tmp_path)
        define(**fields)
        with settings_read(monkeypatch), open_target("daily_files"):
            pass
    assert kinds == [("fs", False, False), ("sftp", True, False), ("sftp", False, True)]


def test_the_refusal_of_the_page(define: Define) -> None:
    define(**{**SFTP, "extra": {"path": "/in"}})
    with pytest.raises(SettingError) as caught, open_target("daily_files"):
        pass
    assert f"```\n{caught.value}\n```" in PAGE.read_text()
