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
    folder = named_folder(environment)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise SettingError(SETTING, str(folder), f"cannot be written to: {error.strerror}") from error
    return folder


def named_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """The folder of the spool as it is set, for who only reads there.

    Raises:
        SettingError: it is not set, or no absolute path.
    """
    text = environment.get(SETTING, "").strip()
    folder = Path(text)
    if not folder.is_absolute():
        raise SettingError(SETTING, text, "must be the absolute path of a folder that all workers share")
    return folder


def batch_folder(spool: Path, business_date: dt.date, sequence: int) -> Path:
    """Where a batch is kept."""
    return spool / f"{business_date:%Y%m%d}" / str(sequence)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Say of an error of the file system in the block what could not be written.

    Raises:
        SpoolError: instead of OSError.
    """
    try:
        yield
    except OSError as error:
        raise SpoolError(f"{path}: {error.strerror or error}") from error


@contextmanager
def workshop(spool: Path) -> Iterator[Path]:
    """An empty folder to make a batch in; what is left in or beside it at the end is deleted.

    Raises:
        SpoolError: it cannot be made or deleted.
    """
    with writing(spool):
        folder = Path(tempfile.mkdtemp(prefix=_HIDDEN, dir=spool))
    try:
        with writing(spool):
            bench = folder / "batch"
            bench.mkdir()
        yield bench
    finally:
        with writing(spool):
            shutil.rmtree(folder)


def publish(made: Path, spool: Path, business_date: dt.date, sequence: int) -> None:
    """Give a batch from a `workshop`, with its files on disk, its place, whole; one that is there goes.

    Raises:
        SpoolError: the file system refused something.
    """
    folder = batch_folder(spool, business_date, sequence)
    with writing(folder):
        sync(made)
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
    with writing(spool):
        for leftover in (*spool.glob(f"{_HIDDEN}*"), *spool.glob(f"[0-9]*/{next_sequence}")):
            shutil.rmtree(leftover)


def sync(folder: Path) -> None:
    """Let the names in a folder survive a crash of the machine."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
