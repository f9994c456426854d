"""Partners for the tests: an OpenSSH server, one that misbehaves as it is told, a line that breaks."""

from __future__ import annotations

import asyncio
import os
import pwd
import socket
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import asyncssh
import pytest

from rotina.files.delivery import SftpSettings

SSHD = Path("/usr/sbin/sshd")
LOGIN = "rotina"
PASSWORD = "pass-5f0c9a-secret"

_CONFIG = """
Port {port}
ListenAddress 127.0.0.1
HostKey {home}/host_key
PidFile none
AuthorizedKeysFile {home}/authorized_keys
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
Subsystem sftp internal-sftp {options}
LogLevel ERROR
"""


def need_openssh() -> None:
    """Skip the test where there is no OpenSSH server; in CI that is a failure."""
    if not SSHD.exists() and not os.environ.get("CI"):
        pytest.skip("no OpenSSH server at /usr/sbin/sshd (Debian: apt-get install openssh-server)")


@contextmanager
def openssh(home: Path, options: str = "") -> Iterator[SftpSettings]:
    """OpenSSH's server, as the user of the tests, with keys and configuration of its own.

    Args:
        home: an empty folder for its files. The settings that are yielded name it as the partner's folder.
        options: of its SFTP server, as `-R` for read-only.
    """
    host_key, key = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))
    (home / "host_key").touch(mode=0o600)
    host_key.write_private_key(home / "host_key")
    key.write_public_key(home / "authorized_keys")
    port = closed_port()
    config = home / "sshd_config"
    config.write_text(_CONFIG.format(port=port, home=home, options=options))
    command = [str(SSHD), "-D", "-e", "-f", str(config)]
    # Since 9.8 it turns those away whose connections break before the login, as the ones of these tests do.
    patient = ["-o", "PerSourcePenalties=no"]
    if subprocess.run([*command, "-t", *patient], capture_output=True, check=False).returncode == 0:
        command += patient
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # made at boot, where there is one
    with (home / "log").open("wb") as log, subprocess.Popen(command, stderr=log) as server:
        try:
            _wait_for(port, server)
            yield SftpSettings(
                connection="connection daily_files",
                host="127.0.0.1",
                port=port,
                login=pwd.getpwuid(os.geteuid()).pw_name,
                folder=str(home),
                host_keys=(host_key.convert_to_public(),),
                key=key,
            )
        finally:
            server.terminate()


def _wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    while server.poll() is None:
        with suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
            return
    raise RuntimeError("sshd ended at once; see its log")


def closed_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return int(unused.getsockname()[1])


@contextmanager
def scripted(
    folder: Path, sftp: type[asyncssh.SFTPServer] | None = asyncssh.SFTPServer, **options: object
) -> Iterator[SftpSettings]:
    """asyncssh's server, which takes one login with a password, or a key that `authorized_client_keys` names.

    Args:
        folder: the partner's folder.
        sftp: how it serves files; None: not at all.
        options: of asyncssh.listen.
    """
    host_key = asyncssh.generate_private_key("ssh-ed25519")
    options = {"server_host_keys": [host_key], **options}

    class Server(asyncssh.SSHServer):
        def password_auth_supported(self) -> bool:
            return True

        def validate_password(self, username: str, password: str) -> bool:
            return (username, password) == (LOGIN, PASSWORD)

    async def listen() -> asyncssh.SSHAcceptor:
        return await asyncssh.listen("127.0.0.1", 0, server_factory=Server, sftp_factory=sftp, **options)

    async def end() -> None:
        server.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(listen())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield SftpSettings(
            connection="connection daily_files",
            host="127.0.0.1",
            port=server.get_port(),
            login=LOGIN,
            folder=str(folder),
            host_keys=(host_key.convert_to_public(),),
            password=PASSWORD,
        )
    finally:
        asyncio.run_coroutine_threadsafe(end(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


class Line:
    """A line to a server that counts the bytes that pass, both ways, and does something after so many."""

    def __init__(self, port: int) -> None:
        self._server = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._lock = threading.Lock()
        self._open: list[socket.socket] = []
        self._after: int | None = None
        self._act: Callable[[], None] = self.cut
        self._frozen = False
        self.passed = 0
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def port(self) -> int:
        """Where clients connect."""
        return int(self._listener.getsockname()[1])

    def after(self, passed: int, act: Callable[[], None] | None = None) -> None:
        """Count anew, and cut the line, or do something else, once so many bytes have passed."""
        with self._lock:
            self.passed = 0
            self._after, self._act = passed, act or self.cut

    def count(self) -> None:
        """Count anew, and do nothing."""
        with self._lock:
            self.passed, self._after = 0, None

    def cut(self) -> None:
        """Break the connections, without a farewell."""
        for end in self._open:
            with suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        self._open.clear()

    def freeze(self) -> None:
        """Let nothing pass any more, without breaking the connections."""
        self._frozen = True

    def close(self) -> None:
        """Break the connections and take no more."""
        self._listener.close()
        with self._lock:
            self.cut()

    def _accept(self) -> None:
        with suppress(OSError):  # closed
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._server))
                for end in (client, server):
                    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                with self._lock:
                    self._open += [client, server]
                for source, sink in ((client, server), (server, client)):
                    threading.Thread(target=self._pass, args=(source, sink), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                with self._lock:
                    if self._frozen:
                        continue
                    room = len(data) if self._after is None else max(0, self._after - self.passed)
                    self.passed += len(data)
                    due = self._after is not None and self.passed >= self._after
                sink.sendall(data[:room] if due else data)
                if due:
                    with self._lock:
                        act, self._act, self._after = self._act, _nothing, None
                        act()
            sink.shutdown(socket.SHUT_WR)


def _nothing() -> None: ...


@contextmanager
def line_to(settings: SftpSettings) -> Iterator[tuple[Line, SftpSettings]]:
    """A line to a server, and the settings that lead over it."""
    line = Line(settings.port)
    try:
        yield line, replace(settings, port=line.port)
    finally:
        line.close()
