"""The spool: `<folder>/<YYYYMMDD>/<sequence>` holds the four files and the manifest of every batch ever made.

A batch is made under a hidden name and gets its own by one rename, with everything on disk: it is there whole
or not at all. The folder must be shared between the workers.
"""

from __future__ import annotations

import datetime as dt
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from rotina.errors import RotinaError, SettingError

SETTING = "ROTINA_FILES_FOLDER"

_HIDDEN = ".unfinished-"


class SpoolError(RotinaError):
    """The batch could not be written, as on a full disk. Nothing of it stands; trying again is safe."""


def spool_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """The folder of the spool, made if it is not there, and written to for a try.

    Raises:
        SettingError: it is not set, no absolute path, or cannot be written to.
    """
    text = environment.get(SETTING, "").strip()
    folder = Path(text)
    if not folder.is_absolute():
        raise SettingError(SETTING, text, "must be the absolute path of a folder that all workers share")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise SettingError(SETTING, text, f"cannot be written to: {error.strerror}") from error
    return folder


def batch_folder(spool: Path, business_date: dt.date, sequence: int) -> Path:
    """Where a batch is kept."""
    return spool / f"{business_date:%Y%m%d}" / str(sequence)


@contextmanager
def workshop(spool: Path) -> Iterator[Path]:
    """An empty folder to make a batch in; what is left in or beside it at the end is deleted.

    Raises:
        SpoolError: an error of the file system, here or in the block.
    """
    try:
        with tempfile.TemporaryDirectory(prefix=_HIDDEN, dir=spool) as folder:
            bench = Path(folder) / "batch"
            bench.mkdir()
            yield bench
    except OSError as error:
        raise SpoolError(f"{spool}: {error.strerror or error}") from error


def publish(made: Path, spool: Path, business_date: dt.date, sequence: int) -> None:
    """Give a batch from a `workshop`, with its files on disk, its place, whole; one that is there goes."""
    sync(made)
    folder = batch_folder(spool, business_date, sequence)
    folder.parent.mkdir(exist_ok=True)
    if folder.exists():
        folder.rename(made.with_name("replaced"))
    made.rename(folder)
    sync(folder.parent)
    sync(spool)


def sweep(spool: Path, next_sequence: int) -> None:
    """Delete what runs left that were killed: unfinished batches, and one whose number was never recorded.

    Nobody else may be at work with the spool, and `next_sequence` must be the next one of the ledger.

    Raises:
        SpoolError: it cannot be deleted.
    """
    try:
        for leftover in (*spool.glob(f"{_HIDDEN}*"), *spool.glob(f"[0-9]*/{next_sequence}")):
            shutil.rmtree(leftover)
    except OSError as error:
        raise SpoolError(f"{spool}: {error.strerror or error}") from error


def sync(folder: Path) -> None:
    """Let the names in a folder survive a crash of the machine."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
