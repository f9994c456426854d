"""Delivery to the partner: on the worst days too, it sees whole files and a manifest last, or nothing new."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import traceback
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from rotina.errors import RotinaError, SettingError
from rotina.files.delivery import DeliveryError, FolderTarget, SftpSettings, SftpTarget
from tests.chaos import cuts
from tests.files import sender
from tests.files.batches_made import MANIFEST, NAMES, Batch, Observer, make_batch, standing
from tests.files.conftest import OpenPartner
from tests.files.partner_servers import (
    LOGIN,
    PASSWORD,
    closed_port,
    line_to,
    need_openssh,
    openssh,
    scripted,
)

ACK = f"{MANIFEST}.ack"


def identity(folder: Path) -> dict[str, tuple[int, int]]:
    """What changes when a file is written again or replaced."""
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in folder.iterdir()}


# What a delivery does


def test_a_batch_arrives_as_it_was_made(open_partner: OpenPartner, folder: Path, batch: Batch) -> None:
    with open_partner() as target:
        batch.deliver(target)
        assert standing(folder) == batch.hashes
        batch.verify(target)


def test_delivered_again_nothing_is_sent(open_partner: OpenPartner, folder: Path, batch: Batch) -> None:
    with open_partner() as target:
        batch.deliver(target)
        before = identity(folder)
        batch.deliver(target)
    with open_partner() as target:
        batch.deliver(target)
    assert identity(folder) == before


def test_files_without_rows_and_without_a_byte(
    open_partner: OpenPartner, folder: Path, tmp_path: Path
) -> None:
    batch = make_batch(tmp_path / "spool", sizes=(0, 0, 0, 0))
    empty = tmp_path / "empty"
    empty.touch()
    nothing = replace(batch.files[0], path=empty, bytes=0, sha256=hashlib.sha256().hexdigest())
    with open_partner() as target:
        batch.deliver(target)
        assert standing(folder) == batch.hashes
        target.deliver([nothing, *batch.files[1:]], batch.manifest)
        assert (folder / NAMES[0]).stat().st_size == 0
        target.verify([nothing, *batch.files[1:]], batch.manifest)


def test_a_correction_replaces_the_files_of_the_day(
    open_partner: OpenPartner, folder: Path, batch: Batch, corrected: Batch
) -> None:
    (folder / "ICOMMKT_ORDERS_LOJA-1_20261119").write_text("the day before")
    before = standing(folder)
    with open_partner() as target, Observer(folder, batch, corrected) as observer:
        batch.deliver(target)
        corrected.deliver(target)
    assert standing(folder) == {**before, **corrected.hashes}
    assert observer.problems == []


class _Recorder(asyncssh.SFTPServer):
    """Notes what is asked of it, in order."""

    done: list[tuple[str, str]]

    def write(self, file_obj: Any, offset: int, data: bytes) -> Any:
        self.done.append(("write", _plain(file_obj.name)))
        return super().write(file_obj, offset, data)

    def read(self, file_obj: Any, offset: int, size: int) -> Any:
        self.done.append(("read", _plain(file_obj.name)))
        return super().read(file_obj, offset, size)

    def fsync(self, file_obj: Any) -> Any:
        self.done.append(("fsync", _plain(file_obj.name)))
        return super().fsync(file_obj)

    def remove(self, path: bytes) -> Any:
        self.done.append(("remove", _plain(path)))
        return super().remove(path)

    def posix_rename(self, oldpath: bytes, newpath: bytes) -> Any:
        self.done.append(("rename", _plain(newpath)))
        return super().posix_rename(oldpath, newpath)


def _plain(path: bytes) -> str:
    """The final name of a temporary file, and of any other."""
    name = Path(os.fsdecode(path)).name
    return f"part of {name.split('.')[1]}" if name.endswith(".part") else name


def test_the_order_in_which_the_partner_sees_it(folder: Path, batch: Batch, corrected: Batch) -> None:
    class Server(_Recorder):
        done: list[tuple[str, str]] = []  # noqa: RUF012 - of this test

    with scripted(folder, Server) as settings, SftpTarget.open(settings) as target:
        batch.deliver(target)
        Server.done.clear()
        corrected.deliver(target)
    changed = [file.name for file in corrected.files if file.name != NAMES[2]]  # that one has no rows in both
    sent = [*changed, MANIFEST.removesuffix(".json")]
    doing = list(dict.fromkeys(step for step in Server.done if step[1] not in NAMES or step[0] == "rename"))
    doing = [step for step in doing if step != ("read", MANIFEST)]
    assert doing == [
        *((what, f"part of {name}") for name in sent for what in ("write", "fsync", "read")),
        ("remove", MANIFEST),
        ("remove", ACK),
        *(("rename", name) for name in changed),
        ("rename", MANIFEST),
    ]


def test_a_folder_survives_a_crash_of_its_machine(
    folder: Path, batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every file is on disk before it gets its name, and every name before the next."""
    done: list[tuple[str, str]] = []
    fsync, replace_file = os.fsync, Path.replace

    def note_fsync(descriptor: int) -> None:
        done.append(("fsync", _plain(os.fsencode(Path(f"/proc/self/fd/{descriptor}").readlink()))))
        fsync(descriptor)

    def note_replace(path: Path, target: Path) -> Path:
        done.append(("rename", target.name))
        return replace_file(path, target)

    monkeypatch.setattr(os, "fsync", note_fsync)
    monkeypatch.setattr(Path, "replace", note_replace)
    batch.deliver(FolderTarget(folder))
    parts = [f"part of {name}" for name in (*NAMES, MANIFEST.removesuffix(".json"))]
    names = [step for name in (*NAMES, MANIFEST) for step in (("rename", name), ("fsync", "partner"))]
    removals = [("fsync", "partner")] * 2
    assert done == [*(("fsync", part) for part in parts), *removals, *names]


def test_a_server_that_answers_with_less_than_it_is_asked_for(
    folder: Path, batch: Batch, corrected: Batch
) -> None:
    class Server(asyncssh.SFTPServer):
        def read(self, file_obj: Any, offset: int, size: int) -> Any:
            return super().read(file_obj, offset, min(size, 1_000))

    with scripted(folder, Server) as settings, SftpTarget.open(settings) as target:
        batch.deliver(target)
        batch.verify(target)


def test_what_was_sent_before_a_cut_is_used_and_the_rest_of_it_removed(
    open_partner: OpenPartner, folder: Path, batch: Batch, caplog: pytest.LogCaptureFixture
) -> None:
    orders, detail, *_ = batch.files
    shutil.copy(orders.path, folder / f".{orders.name}.0123456789abcdef.part")
    shutil.copy(orders.path, folder / f".{orders.name}.1123456789abcdef.part")
    (folder / f".{detail.name}.0123456789abcdef.part").write_bytes(detail.path.read_bytes()[:-1])
    others = {".ICOMMKT_ORDERS_LOJA-1_20261119.0123456789abcdef.part", f".{orders.name}.theirs.part"}
    for name in others:
        (folder / name).touch()
    caplog.set_level(logging.INFO, logger="rotina.files.delivery")
    with open_partner() as target:
        batch.deliver(target)
        batch.verify(target)
    assert standing(folder).keys() == {*batch.hashes, *others}
    assert f"{orders.name} was sent before" in caplog.messages
    assert not any(message.startswith(f"Sent {orders.name} ") for message in caplog.messages)
    assert any(message.startswith(f"Sent {detail.name} ") for message in caplog.messages)


@pytest.mark.parametrize("damage", ["removed", "shorter", "another byte"])
def test_what_was_lost_at_the_partner_is_found_and_mended(
    open_partner: OpenPartner, folder: Path, batch: Batch, damage: str
) -> None:
    with open_partner() as target:
        batch.deliver(target)
        if damage != "removed":  # the partner may remove what it acknowledged
            (folder / ACK).touch()
        customers = folder / batch.files[3].name
        content = customers.read_bytes()
        if damage == "removed":
            customers.unlink()
        else:
            customers.write_bytes(content[:-1] + (b"" if damage == "shorter" else bytes([content[-1] ^ 1])))
        with pytest.raises(DeliveryError, match=rf"not as delivered: {customers.name}$") as caught:
            batch.verify(target)
        assert caught.value.try_again
        batch.deliver(target)
        batch.verify(target)
        assert target.acknowledgement(MANIFEST) == (damage != "removed")  # it is of this batch


def test_what_the_partner_acknowledged_and_took_away_is_not_missed(
    open_partner: OpenPartner, folder: Path, batch: Batch
) -> None:
    """A partner may be quicker than our second look; the batch is not sent again for that."""
    with open_partner() as target:
        batch.deliver(target)
        (folder / ACK).touch()
        for name in (batch.files[0].name, MANIFEST):
            (folder / name).unlink()
            batch.verify(target)
        (folder / batch.files[1].name).write_text("something else")
        with pytest.raises(DeliveryError, match=f"not as delivered: {batch.files[1].name}$"):
            batch.verify(target)


def test_names_of_others_that_are_no_utf_8(open_partner: OpenPartner, folder: Path, batch: Batch) -> None:
    theirs = folder / os.fsdecode("relatório.csv".encode("latin-1"))
    theirs.touch()
    with open_partner() as target:
        batch.deliver(target)
        batch.verify(target)
    assert theirs.exists()


# The partner's acknowledgement


def test_acknowledgement_absent_empty_and_present(
    open_partner: OpenPartner, folder: Path, batch: Batch
) -> None:
    with open_partner() as target:
        assert not target.acknowledgement(MANIFEST)
        batch.deliver(target)
        assert not target.acknowledgement(MANIFEST)
        (folder / ACK).touch()
        assert target.acknowledgement(MANIFEST)
        (folder / ACK).write_text("received")
        assert target.acknowledgement(MANIFEST)
        batch.deliver(target)
        assert target.acknowledgement(MANIFEST)


def test_the_acknowledgement_of_a_batch_is_not_that_of_its_correction(
    open_partner: OpenPartner, folder: Path, batch: Batch, corrected: Batch
) -> None:
    with open_partner() as target:
        batch.deliver(target)
        (folder / ACK).touch()
        corrected.deliver(target)
        assert not target.acknowledgement(MANIFEST)


# What is refused, and leaves what the partner has as it is


@pytest.fixture
def delivered(folder: Path, batch: Batch) -> dict[str, tuple[int, int]]:
    """The partner's folder with a batch in it; its files are told from others that hold the same."""
    batch.deliver(FolderTarget(folder))
    return identity(folder)


@pytest.mark.parametrize("damage", ["removed", "shorter", "another byte"])
def test_a_spool_that_changed_is_not_delivered(
    open_partner: OpenPartner,
    folder: Path,
    delivered: dict[str, tuple[int, int]],
    corrected: Batch,
    damage: str,
) -> None:
    path = corrected.files[1].path
    content = path.read_bytes()
    if damage == "removed":
        path.unlink()
    else:
        path.write_bytes(content[:-1] + (b"" if damage == "shorter" else bytes([content[-1] ^ 1])))
    with open_partner() as target, pytest.raises(DeliveryError, match="make the batch anew") as caught:
        corrected.deliver(target)
    assert str(path) in str(caught.value)
    assert not caught.value.try_again
    assert identity(folder) == delivered


@pytest.mark.parametrize("name", [NAMES[1], MANIFEST])
def test_a_directory_in_the_place_of_a_file(
    open_partner: OpenPartner, folder: Path, batch: Batch, name: str
) -> None:
    (folder / name).mkdir()
    with open_partner() as target, pytest.raises(DeliveryError, match=f"{name} is a directory") as caught:
        batch.deliver(target)
    assert not caught.value.try_again
    assert {path.name for path in folder.iterdir()} == {name}


def test_a_folder_that_is_missing(tmp_path: Path, openssh_server: SftpSettings) -> None:
    missing = tmp_path / "missing"
    with pytest.raises(SettingError, match=rf"^path = '{missing}': is no folder"):
        FolderTarget(missing)
    settings = replace(openssh_server, folder=str(missing))
    message = rf"^connection daily_files, extra path = '{missing}': is no folder at 127.0.0.1:\d+"
    with pytest.raises(SettingError, match=message), SftpTarget.open(settings):
        pass
    missing.touch()
    with pytest.raises(SettingError, match=r"^path"):
        FolderTarget(missing)
    with pytest.raises(SettingError, match=message), SftpTarget.open(settings):
        pass


def test_a_folder_that_may_not_be_seen() -> None:
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home, "partner")
        folder.mkdir()
        Path(home).chmod(0o600)
        with (
            without_rights(),
            pytest.raises(SettingError, match=rf"^path = '{folder}': is no folder, or may"),
        ):
            FolderTarget(folder)


@contextmanager
def without_rights() -> Iterator[None]:
    """As a user for whom the rights of files count."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


def test_no_permission_to_write_in_a_folder(batch: Batch, corrected: Batch) -> None:
    with tempfile.TemporaryDirectory() as home:  # that of pytest may only be seen by its user
        root, folder, spool = (Path(home, name) for name in ("", "partner", "spool"))
        root.chmod(0o755)
        folder.mkdir()
        shutil.copytree(corrected.manifest.path.parent, spool)
        corrected = Batch(
            tuple(replace(file, path=spool / file.name) for file in corrected.files),
            replace(corrected.manifest, path=spool / MANIFEST),
        )
        batch.deliver(FolderTarget(folder))
        before = identity(folder)
        folder.chmod(0o555)
        with without_rights(), pytest.raises(DeliveryError, match="Permission denied") as caught:
            corrected.deliver(FolderTarget(folder))
        assert not caught.value.try_again
        assert identity(folder) == before
        folder.chmod(0o755)


def test_no_permission_to_write_by_sftp(
    tmp_path: Path, folder: Path, delivered: dict[str, tuple[int, int]], corrected: Batch
) -> None:
    need_openssh()
    (tmp_path / "sshd").mkdir()
    with openssh(tmp_path / "sshd", options="-R") as settings:
        with (
            SftpTarget.open(replace(settings, folder=str(folder))) as target,
            pytest.raises(DeliveryError, match="may not do that") as caught,
        ):
            corrected.deliver(target)
        assert not caught.value.try_again
    assert identity(folder) == delivered


def test_a_full_disk_under_a_folder(tmp_path: Path, batch: Batch) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(small)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("a small file system can be mounted by root only, where that is allowed")
    try:
        batch.deliver(FolderTarget(small))
        before = identity(small)
        large = make_batch(tmp_path / "large", sizes=(1_000, 500_000, 0, 0), sequence=2)
        with pytest.raises(DeliveryError, match="No space left on device") as caught:
            large.deliver(FolderTarget(small))
        assert caught.value.try_again  # there may be room again
        left = identity(small)
        assert {name: left[name] for name in before} == before
        assert not any(NAMES[1] in name for name in left.keys() - before.keys())  # room for others
    finally:
        subprocess.run(["umount", str(small)], check=True)


class _FullDisk(asyncssh.SFTPServer):
    """Takes 10,000 bytes of a file."""

    def write(self, file_obj: Any, offset: int, data: bytes) -> Any:
        if offset + len(data) > 10_000:
            raise asyncssh.SFTPFailure("Failure")  # all that OpenSSH says
        return super().write(file_obj, offset, data)

    def statvfs(self, path: bytes) -> Any:
        found = list(os.statvfs(path))
        found[4] = 0  # f_bavail
        return os.statvfs_result(found)


def test_a_full_disk_at_the_partner(
    folder: Path, delivered: dict[str, tuple[int, int]], corrected: Batch
) -> None:
    with (
        scripted(folder, _FullDisk) as settings,
        SftpTarget.open(settings) as target,
        pytest.raises(DeliveryError, match=r"disk is full \(0 bytes are free\)") as caught,
    ):
        corrected.deliver(target)
    assert caught.value.try_again
    assert identity(folder) == delivered


class _Corrupter(asyncssh.SFTPServer):
    """Writes something else than it was given."""

    def write(self, file_obj: Any, offset: int, data: bytes) -> Any:
        return super().write(file_obj, offset, data[:-1] + bytes([data[-1] ^ 1]))


def test_a_file_that_arrives_otherwise_is_not_published(
    folder: Path, delivered: dict[str, tuple[int, int]], corrected: Batch
) -> None:
    with (
        scripted(folder, _Corrupter) as settings,
        SftpTarget.open(settings) as target,
        pytest.raises(DeliveryError, match=f"{NAMES[0]} did not arrive as it was sent") as caught,
    ):
        corrected.deliver(target)
    assert caught.value.try_again
    assert identity(folder) == delivered


def test_a_server_that_cannot_replace_a_file(
    folder: Path, batch: Batch, corrected: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Server(asyncssh.SFTPServer):
        def posix_rename(self, oldpath: bytes, newpath: bytes) -> Any:
            raise AssertionError("it was not offered")

    offered = [(name, version) for name, version in _extensions() if name != b"posix-rename@openssh.com"]
    monkeypatch.setattr("asyncssh.sftp.SFTPServerHandler._extensions", offered)
    with (
        scripted(folder, Server) as settings,
        SftpTarget.open(settings) as target,
        Observer(folder, batch, corrected) as observer,
    ):
        batch.deliver(target)
        assert standing(folder) == batch.hashes
        corrected.deliver(target)
    assert standing(folder) == corrected.hashes
    assert observer.problems == []


def _extensions() -> list[tuple[bytes, bytes]]:
    return list(asyncssh.sftp.SFTPServerHandler._extensions)


def test_a_server_that_tells_nothing_of_its_disk_and_syncs_nothing(
    folder: Path, batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("asyncssh.sftp.SFTPServerHandler._extensions", [])
    with scripted(folder) as settings, SftpTarget.open(settings) as target:
        batch.deliver(target)
        batch.verify(target)
    with (
        scripted(folder, _FullDisk) as settings,
        SftpTarget.open(settings) as target,
        pytest.raises(DeliveryError, match="Failure"),
    ):
        target.deliver([replace(batch.files[0], name="other")], batch.manifest)


# The login


def test_a_wrong_password(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with scripted(folder) as settings:
        wrong = replace(settings, password="wr0ng-secret")
        with pytest.raises(SettingError, match="refused the login") as caught, SftpTarget.open(wrong):
            pass
    assert caught.value.field == "connection daily_files, login"
    told = "".join(traceback.format_exception(caught.value)) + repr(wrong) + caplog.text
    for secret in ("wr0ng-secret", PASSWORD):
        assert secret not in told


def test_a_password_is_taken_and_told_nobody(
    folder: Path, batch: Batch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with scripted(folder) as settings, SftpTarget.open(settings) as target:
        batch.deliver(target)
    assert standing(folder) == batch.hashes
    assert PASSWORD not in caplog.text
    assert not any(record.name.startswith("asyncssh") for record in caplog.records)  # which tells every step


def test_a_key_that_the_server_does_not_know(sftp: SftpSettings) -> None:
    stranger = replace(sftp, key=asyncssh.generate_private_key("ssh-ed25519"))
    with pytest.raises(SettingError, match="refused the login"), SftpTarget.open(stranger):
        pass


def test_password_and_key_are_offered_both(folder: Path) -> None:
    key = asyncssh.generate_private_key("ssh-ed25519")
    trusted = asyncssh.import_authorized_keys(key.export_public_key().decode())
    with scripted(folder, authorized_client_keys=trusted) as settings:
        for changes in ({"key": key, "password": None}, {"key": key}, {}):
            with SftpTarget.open(replace(settings, **changes)) as target:
                assert not target.acknowledgement(MANIFEST)


@pytest.mark.parametrize("known", ["ssh-ed25519", "ssh-rsa", "ecdsa-sha2-nistp256"])
def test_another_host_key_than_the_known_one(
    sftp: SftpSettings, folder: Path, batch: Batch, known: str
) -> None:
    """Also where the server has none of that kind."""
    real = sftp.host_keys[0].get_fingerprint()
    strange = replace(sftp, host_keys=(asyncssh.generate_private_key(known).convert_to_public(),))
    with pytest.raises(SettingError) as caught, SftpTarget.open(strange):
        pass
    assert caught.value.field == "connection daily_files, extra host_key"
    assert f"showed another host key, ssh-ed25519 {real}" in str(caught.value)


def test_one_of_several_host_keys_is_enough(sftp: SftpSettings, folder: Path, batch: Batch) -> None:
    other = asyncssh.generate_private_key("ssh-rsa").convert_to_public()
    for keys in ((other, *sftp.host_keys), (*sftp.host_keys, other)):
        with SftpTarget.open(replace(sftp, host_keys=keys)) as target:
            batch.deliver(target)
    assert standing(folder) == batch.hashes


def test_the_known_key_of_a_server_with_several(folder: Path) -> None:
    keys = [asyncssh.generate_private_key(kind) for kind in ("ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa")]
    with scripted(folder, server_host_keys=keys) as settings:
        for key in keys:
            with SftpTarget.open(replace(settings, host_keys=(key.convert_to_public(),))) as target:
                assert not target.acknowledgement(MANIFEST)


def test_nothing_of_the_users_own_configuration_counts(
    sftp: SftpSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither does it trust a host, nor offer a key."""
    home = tmp_path / "home" / ".ssh"
    home.mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home.parent))
    assert sftp.key is not None
    (home / "id_ed25519").touch(mode=0o600)
    sftp.key.write_private_key(home / "id_ed25519")
    server = sftp.host_keys[0].export_public_key().decode()
    (home / "known_hosts").write_text(f"[127.0.0.1]:{sftp.port} {server}")
    (home / "config").write_text("Host *\n  ProxyCommand false\n")
    with SftpTarget.open(sftp):
        pass
    other = asyncssh.generate_private_key("ssh-ed25519").convert_to_public()
    with pytest.raises(SettingError, match="host key"), SftpTarget.open(replace(sftp, host_keys=(other,))):
        pass
    without = replace(sftp, key=None, password="guess")
    with pytest.raises(SettingError, match="refused the login"), SftpTarget.open(without):
        pass
    agent = tmp_path / "agent"
    with subprocess.Popen(["ssh-agent", "-D", "-a", str(agent)], stdout=subprocess.DEVNULL) as process:
        try:
            while not agent.exists():
                assert process.poll() is None
            monkeypatch.setenv("SSH_AUTH_SOCK", str(agent))
            subprocess.run(["ssh-add", "-q", str(home / "id_ed25519")], check=True)
            stranger = replace(sftp, key=asyncssh.generate_private_key("ssh-ed25519"))
            with pytest.raises(SettingError, match="refused the login"), SftpTarget.open(stranger):
                pass
        finally:
            process.terminate()


# A server that is away, or hangs


def test_a_server_that_is_away(sftp: SftpSettings) -> None:
    away = replace(sftp, port=closed_port())
    message = rf"^127\.0\.0\.1:{away.port}: no login: Connection refused$"
    with pytest.raises(DeliveryError, match=message) as caught, SftpTarget.open(away):
        pass
    assert caught.value.try_again


def test_a_name_that_no_machine_has(sftp: SftpSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(number: int) -> Callable[..., Any]:
        def getaddrinfo(*_: object, **__: object) -> Any:
            raise socket.gaierror(number, "as the resolver says")

        return getaddrinfo

    unknown = replace(sftp, host="sftp.partner.invalid")
    monkeypatch.setattr(socket, "getaddrinfo", answer(socket.EAI_NONAME))
    with pytest.raises(SettingError, match=r"host = 'sftp\.partner\.invalid'"), SftpTarget.open(unknown):
        pass
    monkeypatch.setattr(socket, "getaddrinfo", answer(socket.EAI_AGAIN))
    with pytest.raises(DeliveryError, match="as the resolver says") as caught, SftpTarget.open(unknown):
        pass
    assert caught.value.try_again


@pytest.mark.parametrize("host", ["sftp..partner.example", f"{'x' * 64}.example"])
def test_a_name_that_no_machine_can_have(sftp: SftpSettings, host: str) -> None:
    misspelt = replace(sftp, host=host)
    with pytest.raises(SettingError, match=r"^connection daily_files, host"), SftpTarget.open(misspelt):
        pass


def test_a_server_without_sftp(folder: Path) -> None:
    with (
        scripted(folder, sftp=None) as settings,
        pytest.raises(DeliveryError, match=f"offers no SFTP to {LOGIN}") as caught,
        SftpTarget.open(settings),
    ):
        pass
    assert not caught.value.try_again


@pytest.mark.parametrize("greeting", [b"", b"SSH-2.0-slow\r\n"])
def test_a_login_that_hangs(sftp: SftpSettings, greeting: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        clients: list[socket.socket] = []

        def accept() -> None:
            client, _ = server.accept()
            client.sendall(greeting)
            clients.append(client)

        thread = threading.Thread(target=accept)
        thread.start()
        silent = replace(sftp, port=port, connect_timeout=0.5)
        with pytest.raises(DeliveryError, match=r"no login within 0\.5 s") as caught, SftpTarget.open(silent):
            pass
        assert caught.value.try_again
        thread.join()
        clients[0].close()


@pytest.mark.parametrize(
    "what", ["stat", "scandir", "open", "write", "fsync", "read", "posix_rename", "remove"]
)
def test_whatever_hangs_at_the_partner_ends(
    folder: Path, delivered: dict[str, tuple[int, int]], corrected: Batch, what: str
) -> None:
    async def hang(*_: object) -> None:
        await asyncio.Event().wait()

    async def hang_listing(*_: object) -> AsyncIterator[asyncssh.SFTPName]:
        await asyncio.Event().wait()
        yield asyncssh.SFTPName()

    server = type("Hanging", (asyncssh.SFTPServer,), {what: hang_listing if what == "scandir" else hang})
    with scripted(folder, server) as settings:
        with (
            pytest.raises(DeliveryError, match=r"no answer for 0\.3 s") as caught,
            SftpTarget.open(replace(settings, timeout=0.3)) as target,
        ):
            corrected.deliver(target)
        assert caught.value.try_again
    left = identity(folder)
    assert {name: left.get(name) for name in delivered} == delivered or what == "posix_rename"


def test_a_line_that_goes_dead(sftp: SftpSettings, folder: Path, corrected: Batch) -> None:
    with line_to(sftp) as (line, settings), SftpTarget.open(replace(settings, timeout=0.3)) as target:
        line.after(20_000, line.freeze)
        with pytest.raises(DeliveryError, match=r"no answer for 0\.3 s") as caught:
            corrected.deliver(target)
        assert caught.value.try_again
        with pytest.raises(DeliveryError, match=r"connection was lost|no answer"):
            corrected.deliver(target)
    with SftpTarget.open(sftp) as target:
        corrected.deliver(target)
    assert standing(folder) == corrected.hashes


def test_a_slow_server_is_not_a_dead_one(folder: Path, tmp_path: Path) -> None:
    """It needs longer than the time limit, but is never silent for so long."""
    turn = asyncio.Lock()
    waited = 0.0

    class Slow(asyncssh.SFTPServer):
        async def write(self, file_obj: Any, offset: int, data: bytes) -> int:
            nonlocal waited
            async with turn:
                await asyncio.sleep(0.2)
                waited += 0.2
            return super().write(file_obj, offset, data)  # type: ignore[return-value]

    batch = make_batch(tmp_path / "slow", sizes=(24_000_000, 0, 0, 0))
    with scripted(folder, Slow) as settings, SftpTarget.open(replace(settings, timeout=1.0)) as target:
        batch.deliver(target)
    assert waited > 1.0
    assert standing(folder) == batch.hashes


# A line that breaks, a sender that is killed


@pytest.mark.xdist_group("cuts")
def test_cuts_at_random_bytes(capsys: pytest.CaptureFixture[str]) -> None:
    need_openssh()
    assert cuts.main(["--cuts", "12"]) == 0, capsys.readouterr().out
    said = capsys.readouterr().out
    assert said.splitlines()[-1].startswith("cuts=12 failed="), said
    assert "failed=0" not in said, said


def test_cuts_during_the_login(sftp: SftpSettings) -> None:
    """They are no reason to say that the login is wrong, or that there is no SFTP."""
    errors = []
    with line_to(sftp) as (line, settings):
        for offset in range(1, 6_000, 250):
            line.after(offset)
            try:
                with SftpTarget.open(settings) as target:
                    target.acknowledgement(MANIFEST)
            except DeliveryError as error:
                errors.append(error)
    assert len(errors) > 10
    assert all(error.try_again for error in errors)
    assert {str(error).rpartition(": ")[2] for error in errors} == {"the connection was lost"}


@pytest.mark.parametrize("share", [0.4, 0.9, 0.999])
def test_a_sender_that_is_killed(
    sftp: SftpSettings, folder: Path, tmp_path: Path, batch: Batch, corrected: Batch, share: float
) -> None:
    with SftpTarget.open(sftp) as target:
        batch.deliver(target)
    with line_to(sftp) as (line, settings), Observer(folder, batch, corrected) as observer:
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        batch.deliver(FolderTarget(elsewhere))
        with SftpTarget.open(replace(settings, folder=str(elsewhere))) as target:
            corrected.deliver(target)
            whole = line.passed
        killed = threading.Event()
        process: list[subprocess.Popen[str]] = []

        def kill() -> None:
            process[0].send_signal(signal.SIGKILL)
            killed.set()

        line.after(round(whole * share), kill)
        process.append(sender.start(settings, corrected.manifest.path.parent))
        assert killed.wait(60)
        assert process[0].wait(60) == -signal.SIGKILL
        observer.look()
        with SftpTarget.open(sftp) as target:
            corrected.deliver(target)
            corrected.verify(target)
    assert standing(folder) == corrected.hashes
    assert observer.problems == []


def test_two_deliveries_at_once(
    open_partner: OpenPartner, folder: Path, batch: Batch, corrected: Batch
) -> None:
    """The lock of the routine forbids it; the partner sees nothing half-done even so."""

    def deliver(_: int) -> RotinaError | None:
        try:
            with open_partner() as target:
                corrected.deliver(target)
        except DeliveryError as error:
            return error
        return None

    with Observer(folder, batch, corrected) as observer:
        for _ in range(3):
            with open_partner() as target:
                batch.deliver(target)
            with ThreadPoolExecutor(3) as pool:
                errors = [error for error in pool.map(deliver, range(3)) if error]
            assert all(error.try_again for error in errors if isinstance(error, DeliveryError))
            assert deliver(0) is None
            assert standing(folder) == corrected.hashes
    assert observer.problems == []


def test_fifty_megabytes_take_no_more_memory_than_none(
    sftp: SftpSettings, folder: Path, tmp_path: Path
) -> None:
    used = {}
    for number, size in enumerate((0, 50_000_000)):
        batch = make_batch(tmp_path / str(size), sizes=(size, 0, 0, 0), sequence=number)
        process = sender.start(sftp, batch.manifest.path.parent)
        assert process.stdout is not None
        used[size] = int(process.stdout.read())
        assert process.wait() == 0
        assert standing(folder) == batch.hashes
    assert used[50_000_000] - used[0] < 30_000, used
