"""Delivery of a batch to the partner: a folder, reached by SFTP or mounted here.

Whatever the partner sees under a final name is complete and was read again there, and a manifest stands only
beside the files that it lists. So a delivery

1. looks what of the batch stands already (same size, same SHA-256) and is not sent again;
2. sends the rest, manifest included, under temporary names (`.<name>.<random>.part`), and reads it again;
3. removes the manifest of that day that stands, if any: a partner that sees no manifest waits;
4. gives the files their names, the manifest last.

It may be cut off anywhere and done again: what was sent as a whole is used, what was sent in part is removed.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import logging
import os
import re
import secrets
import shutil
import socket
import stat
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Coroutine, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, Protocol, Self, TypeVar

import asyncssh

from rotina.errors import RotinaError, SettingError

log = logging.getLogger(__name__)

T = TypeVar("T")

DEFAULT_CONNECT_TIMEOUT = 15.0
DEFAULT_TIMEOUT = 60.0

#: Seconds between questions whether the other side is still there; after three without an answer it is not.
_KEEPALIVE_SECONDS = 15.0
#: Bytes that are copied at a time.
_PIECE = 512 * 1024
#: Bytes that are under way to the server, or asked for, at a time: enough for 40 MB/s over a line with 100 ms
#: to the partner and back.
_IN_FLIGHT = 4 * 1024 * 1024
#: Asked of servers that have none of the known host keys, so that they show the one they have.
_HOST_KEY_ALGORITHMS = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-256",
    "rsa-sha2-512",
)
#: Half of the processor time of asyncssh's first choice, chacha20-poly1305.
_ENCRYPTION = "^aes128-gcm@openssh.com,aes256-gcm@openssh.com"
_LOST = (
    asyncssh.ConnectionLost,
    asyncssh.SFTPConnectionLost,
    asyncssh.SFTPNoConnection,
    BrokenPipeError,
    ConnectionResetError,
)
_NOT_ALLOWED = {errno.EACCES, errno.EPERM, errno.EROFS}

# asyncssh tells every step of a connection as information.
asyncssh.set_log_level(logging.WARNING)


class DeliveryError(RotinaError):
    """The batch is not at the partner as a whole; nothing incomplete stands there under a final name.

    Delivering again is always safe.

    Attributes:
        try_again: whether it is useful too, without anybody mending something first.
    """

    def __init__(self, message: str, *, try_again: bool) -> None:
        super().__init__(message)
        self.try_again = try_again


@dataclass(frozen=True)
class Outgoing:
    """A file of a batch, as it was made."""

    name: str
    """At the partner."""
    path: Path
    """In the spool."""
    bytes: int
    sha256: str
    """Hexadecimal."""


class Target(Protocol):
    """Where batches go."""

    def deliver(self, files: Sequence[Outgoing], manifest: Outgoing) -> None:
        """Bring a batch to the partner, the manifest last; it replaces an earlier one of the same names.

        Raises:
            DeliveryError: it is not there as a whole.
        """

    def verify(self, files: Sequence[Outgoing], manifest: Outgoing) -> None:
        """Read a delivered batch again at the partner and compare.

        What is gone once the partner has acknowledged the batch was taken in, and is not missed.

        Raises:
            DeliveryError: something is missing or differs, or it could not be read.
        """

    def acknowledgement(self, manifest_name: str) -> bool:
        """Whether the partner acknowledged a batch: a file `<manifest>.ack`, be it empty, stands beside it.

        Raises:
            DeliveryError: nobody knows.
        """


class _PartnerFolder(ABC):
    """How a delivery goes in any folder; subclasses reach it. Their methods raise DeliveryError."""

    @abstractmethod
    def _names(self) -> set[str]:
        """The names of what is in the folder."""

    @abstractmethod
    def _size(self, name: str) -> int | None:
        """Size in bytes of a file; None when there is none of that name."""

    @abstractmethod
    def _hash(self, name: str) -> str:
        """SHA-256 of a file, read now."""

    @abstractmethod
    def _send(self, source: Path, name: str) -> None:
        """Write a new file, so that it survives a crash of the machine it is on."""

    @abstractmethod
    def _rename(self, name: str, final: str) -> None:
        """Give a file its final name; one that has it is replaced, and is never seen in part."""

    @abstractmethod
    def _remove(self, name: str) -> None:
        """Remove a file, if it is there."""

    def deliver(self, files: Sequence[Outgoing], manifest: Outgoing) -> None:
        batch = (*files, manifest)
        for outgoing in batch:
            _check_spool(outgoing)
        names = self._names()
        announced = self._has(manifest, manifest.name)
        missing = [outgoing for outgoing in files if not self._has(outgoing, outgoing.name)]
        if missing or not announced:
            missing.append(manifest)
        staged = [
            (temporary, outgoing.name)
            for outgoing in batch
            if (temporary := self._stage(outgoing, names, wanted=outgoing in missing))
        ]
        if not staged:
            log.info("All of %s stands at the partner already", manifest.name)
            return
        self._remove(manifest.name)
        if not announced:  # it acknowledges the batch that this one replaces
            self._remove(_acknowledgement(manifest.name))
        for temporary, final in staged:
            self._rename(temporary, final)
        log.info("Delivered %s", ", ".join(final for _, final in staged))

    def verify(self, files: Sequence[Outgoing], manifest: Outgoing) -> None:
        batch = (*files, manifest)
        wrong = [outgoing.name for outgoing in batch if not self._has(outgoing, outgoing.name)]
        # Asked in this order: a partner acknowledges before it takes a file away.
        if wrong and self.acknowledgement(manifest.name):
            wrong = [name for name in wrong if self._size(name) is not None]
        if wrong:
            raise DeliveryError(
                f"missing at the partner, or not as delivered: {', '.join(wrong)}", try_again=True
            )

    def acknowledgement(self, manifest_name: str) -> bool:
        return self._size(_acknowledgement(manifest_name)) is not None

    def _has(self, outgoing: Outgoing, name: str) -> bool:
        """Whether a file at the partner is that one, as a whole."""
        return self._size(name) == outgoing.bytes and self._hash(name) == outgoing.sha256

    def _stage(self, outgoing: Outgoing, names: set[str], *, wanted: bool) -> str | None:
        """The temporary name under which a file stands complete at the partner, if it is wanted there.

        It is sent now, unless a delivery that was cut off later had sent it. Other leftovers of that file are
        removed.
        """
        leftover = re.compile(rf"\.{re.escape(outgoing.name)}\.[0-9a-f]{{16}}\.part")
        complete = None
        for name in filter(leftover.fullmatch, names):
            if wanted and complete is None and self._has(outgoing, name):
                complete = name
            else:
                self._remove(name)
        if complete is not None:
            log.info("%s was sent before", outgoing.name)
        if complete is not None or not wanted:
            return complete
        temporary = f".{outgoing.name}.{secrets.token_hex(8)}.part"
        try:
            self._send(outgoing.path, temporary)
            arrived = self._has(outgoing, temporary)
        except DeliveryError:
            # What went wrong is worth more than that this may fail too: the next delivery removes it.
            with suppress(DeliveryError):
                self._remove(temporary)
            raise
        if not arrived:
            self._remove(temporary)
            raise DeliveryError(f"{outgoing.name} did not arrive as it was sent", try_again=True)
        log.info("Sent %s (%d bytes)", outgoing.name, outgoing.bytes)
        return temporary


class FolderTarget(_PartnerFolder):
    """A folder of this machine, on any file system that is mounted here."""

    def __init__(self, path: Path, setting: str = "path") -> None:
        """Deliver to a folder; `setting` is what errors call the setting that names it.

        Raises:
            SettingError: it is no folder.
        """
        if not os.path.isdir(path):  # noqa: PTH112 - that of Path raises when it may not look
            raise SettingError(setting, str(path), "is no folder, or may not be seen")
        self._path = path

    def _names(self) -> set[str]:
        with self._doing("listing the folder"):
            return {path.name for path in self._path.iterdir()}

    def _size(self, name: str) -> int | None:
        with self._doing(f"looking at {name}"):
            try:
                found = (self._path / name).stat()
            except FileNotFoundError:
                return None
        if stat.S_ISDIR(found.st_mode):
            raise _not_a_file(name)
        return found.st_size

    def _hash(self, name: str) -> str:
        with self._doing(f"reading {name} again"):
            return _hash_of(self._path / name)

    def _send(self, source: Path, name: str) -> None:
        with (
            self._doing(f"writing {name}"),
            source.open("rb") as made,
            (self._path / name).open("xb") as sent,
        ):
            shutil.copyfileobj(made, sent, _PIECE)
            sent.flush()
            os.fsync(sent.fileno())

    def _rename(self, name: str, final: str) -> None:
        with self._doing(f"renaming to {final}"):
            (self._path / name).replace(self._path / final)
            self._sync()

    def _remove(self, name: str) -> None:
        with self._doing(f"removing {name}"):
            (self._path / name).unlink(missing_ok=True)
            self._sync()

    def _sync(self) -> None:
        """Let the names survive a crash of the machine, in the order in which they were given."""
        folder = os.open(self._path, os.O_RDONLY)
        try:
            os.fsync(folder)
        except OSError as error:
            # So say file systems, mostly of a network, that keep folders in another way.
            if error.errno != errno.EINVAL:
                raise
        finally:
            os.close(folder)

    @contextmanager
    def _doing(self, what: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise DeliveryError(
                f"folder {self._path}: {what}: {_reason(error)}", try_again=error.errno not in _NOT_ALLOWED
            ) from error


@dataclass(frozen=True)
class SftpSettings:
    """Where and how to log in by SFTP."""

    connection: str
    """What errors call these settings, as `connection daily_files`."""
    host: str
    port: int
    login: str
    folder: str
    """At the partner; relative to the folder that a login begins in, or absolute."""
    host_keys: tuple[asyncssh.SSHKey, ...]
    """The server must have one of these."""
    password: str | None = field(default=None, repr=False)
    key: asyncssh.SSHKey | None = field(default=None, repr=False)
    connect_timeout: float = DEFAULT_CONNECT_TIMEOUT
    """Seconds until the login must be done."""
    timeout: float = DEFAULT_TIMEOUT
    """Seconds that the server may do nothing while something is asked of it."""

    @property
    def address(self) -> str:
        """Host and port."""
        return f"{self.host}:{self.port}"


class SftpTarget(_PartnerFolder):
    """A folder on an SFTP server, over one connection; made by `open`."""

    def __init__(
        self, runner: asyncio.Runner, connection: asyncssh.SSHClientConnection, settings: SftpSettings
    ) -> None:
        self._runner = runner
        self._connection = connection
        self._settings = settings
        self._timer: asyncio.TimerHandle | None = None
        self._silent = False
        # What others keep in the folder may have names that are no UTF-8.
        opening = connection.start_sftp_client(path_errors="surrogateescape")
        self._sftp = self._run("opening SFTP", opening)

    @classmethod
    @contextmanager
    def open(cls, settings: SftpSettings) -> Iterator[Self]:
        """The folder, with the connection open.

        Raises:
            SettingError: the server has another host key or refuses the login, or there is no such folder.
            DeliveryError: the server cannot be reached, or offers no SFTP.
        """
        with asyncio.Runner() as runner:
            connection = runner.run(_connect(settings))
            try:
                target = cls(runner, connection, settings)
                target._check_folder()
                yield target
            finally:
                runner.run(_close(connection))

    def _check_folder(self) -> None:
        folder = self._settings.folder
        if not self._run("looking for the folder", self._sftp.isdir(folder)):
            problem = f"is no folder at {self._settings.address}, or {self._settings.login} may not see it"
            raise SettingError(f"{self._settings.connection}, extra path", folder, problem)

    def _names(self) -> set[str]:
        return set(self._run("listing the folder", self._sftp.listdir(self._settings.folder)))

    def _size(self, name: str) -> int | None:
        async def stat_or_none() -> asyncssh.SFTPAttrs | None:
            try:
                return await self._sftp.stat(self._path(name))
            except asyncssh.SFTPNoSuchFile:
                return None

        found = self._run(f"looking at {name}", stat_or_none())
        if found is None:
            return None
        if found.type == asyncssh.FILEXFER_TYPE_DIRECTORY:
            raise _not_a_file(name)
        return found.size

    def _hash(self, name: str) -> str:
        async def read() -> str:
            digest = hashlib.sha256()
            length = self._sftp.limits.max_read_len
            async with self._sftp.open(self._path(name), "rb", block_size=0) as file:
                size = (await file.stat()).size or 0
                requests = (_read(file, length, offset) for offset in range(0, size, length))
                async for piece in _answers(requests, length):
                    digest.update(piece)
                    self._alive()
            return digest.hexdigest()

        return self._run(f"reading {name} again", read())

    def _send(self, source: Path, name: str) -> None:
        async def write() -> None:
            length = self._sftp.limits.max_write_len
            with source.open("rb") as made:
                async with self._sftp.open(self._path(name), "xb", block_size=0) as file:
                    pieces = enumerate(iter(partial(made.read, length), b""))
                    requests = (file.write(piece, number * length) for number, piece in pieces)
                    async for _ in _answers(requests, length):
                        self._alive()
                    with suppress(asyncssh.SFTPOpUnsupported):
                        await file.fsync()

        async def write_or_explain() -> None:
            try:
                await write()
            except asyncssh.SFTPFailure as error:  # all that most servers say of a full disk
                free = await self._free()
                if free is not None and free < source.stat().st_size:
                    raise asyncssh.SFTPNoSpaceOnFilesystem(f"{free} bytes are free") from error
                raise

        self._run(f"sending {name}", write_or_explain())

    async def _free(self) -> int | None:
        """Bytes free for us at the partner; None when the server does not tell."""
        try:
            found = await self._sftp.statvfs(self._settings.folder)
        except asyncssh.SFTPOpUnsupported:
            return None
        return found.bavail * found.frsize

    def _rename(self, name: str, final: str) -> None:
        async def rename() -> None:
            try:
                await self._sftp.posix_rename(self._path(name), self._path(final))
            except asyncssh.SFTPOpUnsupported:
                # It cannot replace a file: the old one goes first. No manifest stands, so nobody misses it.
                await self._remove_if_there(final)
                await self._sftp.rename(self._path(name), self._path(final))

        self._run(f"renaming to {final}", rename())

    def _remove(self, name: str) -> None:
        self._run(f"removing {name}", self._remove_if_there(name))

    async def _remove_if_there(self, name: str) -> None:
        with suppress(asyncssh.SFTPNoSuchFile):
            await self._sftp.remove(self._path(name))

    def _path(self, name: str) -> str:
        return str(PurePosixPath(self._settings.folder, name))

    def _run(self, what: str, work: Awaitable[T]) -> T:
        """Do it as long as the server shows signs of life."""

        async def watched() -> T:
            self._alive()
            try:
                return await work
            finally:
                assert self._timer is not None
                self._timer.cancel()

        try:
            return self._runner.run(watched())
        except (asyncssh.Error, OSError) as error:
            raise self._failure(what, error) from error

    def _alive(self) -> None:
        """The server did something: its time begins anew."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._runner.get_loop().call_later(self._settings.timeout, self._give_up)

    def _give_up(self) -> None:
        """End the connection, so that all that waits for the server fails.

        Cancelling it would wait once more, for the server to close files.
        """
        self._silent = True
        self._connection.abort()

    def _failure(self, what: str, error: Exception) -> DeliveryError:
        try_again = True
        if self._silent:
            reason = f"no answer for {self._settings.timeout:g} s"
        elif isinstance(error, asyncssh.SFTPPermissionDenied):
            reason, try_again = f"{self._settings.login} may not do that (permission denied)", False
        elif isinstance(error, asyncssh.SFTPNoSpaceOnFilesystem | asyncssh.SFTPQuotaExceeded):
            reason = f"the partner's disk is full ({error})"
        elif self._connection.is_closed():
            reason = "the connection was lost"
        elif isinstance(error, asyncssh.ChannelOpenError):
            reason, try_again = f"the server offers no SFTP to {self._settings.login} ({error})", False
        else:
            reason = _reason(error)
        return DeliveryError(f"{self._settings.address}: {what}: {reason}", try_again=try_again)


class _Client(asyncssh.SSHClient):
    """Checks the host key, and remembers the one it refused."""

    def __init__(self, known: Sequence[asyncssh.SSHKey]) -> None:
        self._known = known
        self.refused: asyncssh.SSHKey | None = None

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        if key in self._known:
            return True
        self.refused = key
        return False


async def _connect(settings: SftpSettings) -> asyncssh.SSHClientConnection:
    """A connection with the login done. Nothing comes from the configuration of this machine's user."""
    client = _Client(settings.host_keys)
    known = [name.decode() for key in settings.host_keys for name in key.sig_algorithms]
    where = settings.address
    try:
        return await asyncssh.connect(
            settings.host,
            settings.port,
            client_factory=lambda: client,
            config=None,
            known_hosts=([], [], []),  # the client knows them
            server_host_key_algs=[*known, *_HOST_KEY_ALGORITHMS],
            x509_trusted_certs=None,
            username=settings.login,
            password=settings.password,
            client_keys=None if settings.key is None else [settings.key],
            agent_path=None,
            gss_auth=False,
            gss_kex=False,
            encryption_algs=_ENCRYPTION,
            compression_algs=None,
            connect_timeout=settings.connect_timeout,
            login_timeout=0,  # the one above is until the login is done
            keepalive_interval=_KEEPALIVE_SECONDS,
        )
    except asyncssh.HostKeyNotVerifiable as error:
        shown = client.refused
        which = f"{shown.get_algorithm()} {shown.get_fingerprint()}" if shown else str(error)
        raise SettingError(
            f"{settings.connection}, extra host_key",
            None,
            f"{where} showed another host key, {which}; nothing was sent. Ask the partner if it is theirs",
        ) from error
    except asyncssh.PermissionDenied as error:
        raise SettingError(
            f"{settings.connection}, login",
            settings.login,
            f"{where} refused the login; check login and password or private key",
        ) from error
    except asyncssh.KeyExchangeFailed as error:
        raise DeliveryError(f"{where}: no common cryptography: {error}", try_again=False) from error
    except TimeoutError as error:
        raise DeliveryError(
            f"{where}: no login within {settings.connect_timeout:g} s", try_again=True
        ) from error
    except (socket.gaierror, UnicodeError) as error:  # the latter of labels that are empty or too long
        if isinstance(error, UnicodeError) or error.errno == socket.EAI_NONAME:
            problem = "is the name of no machine"
            raise SettingError(f"{settings.connection}, host", settings.host, problem) from error
        raise DeliveryError(f"{where}: {_reason(error)}", try_again=True) from error
    except (asyncssh.Error, OSError) as error:
        raise DeliveryError(f"{where}: no login: {_reason(error)}", try_again=True) from error


async def _close(connection: asyncssh.SSHClientConnection) -> None:
    connection.close()
    await connection.wait_closed()


async def _answers(requests: Iterable[Coroutine[Any, Any, T]], length: int) -> AsyncIterator[T]:
    """The answers to requests of so many bytes each, in order; several are under way at a time.

    asyncssh has the same inside, but leaves requests behind whose errors nobody takes when a line breaks.
    """
    most = min(max(_IN_FLIGHT // length, 16), 128)
    asked: deque[asyncio.Task[T]] = deque()
    try:
        for request in requests:
            asked.append(asyncio.create_task(request))
            if len(asked) == most:
                yield await asked.popleft()
        while asked:
            yield await asked.popleft()
    finally:
        for task in asked:
            task.cancel()
        await asyncio.gather(*asked, return_exceptions=True)


async def _read(file: asyncssh.SFTPClientFile, length: int, offset: int) -> bytes:
    """So many bytes of a file, fewer at its end only; a server may answer with fewer than it is asked for."""
    content = b""
    while len(content) < length:
        more: bytes = await file.read(length - len(content), offset + len(content))
        if not more:
            break
        content += more
    return content


def _check_spool(outgoing: Outgoing) -> None:
    """Refuse to deliver something else than was made.

    Raises:
        DeliveryError: the file is missing in the spool, or not as it was made.
    """
    problem = "differs from what was made"
    try:
        if outgoing.path.stat().st_size == outgoing.bytes and _hash_of(outgoing.path) == outgoing.sha256:
            return
    except OSError as error:
        problem = f"cannot be read ({error.strerror})"
    raise DeliveryError(
        f"{outgoing.path} {problem}; make the batch anew before it is delivered", try_again=False
    )


def _hash_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _reason(error: Exception) -> str:
    """What went wrong, without the addresses and paths that Python adds."""
    if isinstance(error, _LOST):
        return "the connection was lost"
    if isinstance(error, OSError) and error.errno and not isinstance(error, socket.gaierror):
        return os.strerror(error.errno)
    return str(error) or type(error).__name__


def _acknowledgement(manifest_name: str) -> str:
    return f"{manifest_name}.ack"


def _not_a_file(name: str) -> DeliveryError:
    return DeliveryError(f"{name} is a directory at the partner; it must be removed there", try_again=False)
