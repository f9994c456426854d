"""Downloads of files that stand in the ledger: checked against it, and sent piece by piece."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from anyio import to_thread
from starlette.exceptions import HTTPException
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from rotina.console.export import turns
from rotina.console.language import gettext

_PIECE = 262_144


def is_kept(folder: Path, name: str | None, size: int | None) -> bool:
    """Whether a file of the ledger lies in its folder, by its size where that is known."""
    if not _is_plain(name):
        return False
    try:
        found = (folder / str(name)).stat()
    except OSError:  # it is gone, or not for us to see
        return False
    return stat.S_ISREG(found.st_mode) and size in (None, found.st_size)


def find_file(folder: Path, name: str, sha256: str | None) -> BinaryIO:
    """Open a file, and see that it is what the ledger says.

    Whatever becomes of its name meanwhile, what was checked is what is sent.

    Raises:
        HTTPException: 422, it is not there any more, cannot be read, or is another.
    """
    if not _is_plain(name):
        raise HTTPException(422, gettext("The ledger has no name of a file here."))
    try:
        file = open(folder / name, "rb", opener=lambda path, how: os.open(path, how | os.O_NOFOLLOW))  # noqa: SIM115
    except FileNotFoundError:
        raise HTTPException(
            422,
            gettext(
                "%(name)s is not in the spool any more, or this server does not see it. The partner keeps "
                "what was delivered; a batch that was not is made anew when its day is run."
            )
            % {"name": name},
        ) from None
    except OSError as error:
        why = gettext("%(name)s cannot be read: %(why)s")
        raise HTTPException(422, why % {"name": name, "why": error.strerror}) from error
    if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
        file.close()
        why = gettext("%(name)s in the spool is not what was made: its SHA-256 is not that of the ledger.")
        raise HTTPException(422, why % {"name": name})
    file.seek(0)
    return file


class Download(StreamingResponse):
    """A file as it is, for the browser to keep."""

    def __init__(self, file: BinaryIO, name: str, note: Callable[[], None]) -> None:
        """
        Args:
            file: open, at its beginning; it is closed when it was sent.
            name: what the browser calls it.
            note: writes down that it is sent, in a worker thread, before it is.
        """
        super().__init__(
            _pieces(file),
            media_type="application/octet-stream",
            headers={
                "Content-Disposition": f'attachment; filename="{name}"',
                "Content-Length": str(os.fstat(file.fileno()).st_size),
            },
        )
        self._file = file
        self._note = note

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it, unless others are being sent.

        Raises:
            HTTPException: 503, as many files are being sent as may be.
        """
        with self._file, turns.take():
            await to_thread.run_sync(self._note)
            await super().__call__(scope, receive, send)


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    while piece := file.read(_PIECE):
        yield piece


def _is_plain(name: str | None) -> bool:
    """Whether it names a file in a folder, and no place elsewhere."""
    return name is not None and re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]*", name) is not None
