"""Batches as the routine leaves them in the spool, and a partner who looks at what it gets."""

from __future__ import annotations

import hashlib
import json
import random
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from rotina.files.delivery import Outgoing, Target

NAMES = tuple(
    f"ICOMMKT_{feed}_LOJA-1_20261120"
    for feed in ("ORDERS", "ORDERSDETAIL", "ORDERSDETAILCATEGORIES", "CUSTOMERS")
)
MANIFEST = "ICOMMKT_MANIFEST_LOJA-1_20261120.json"


@dataclass(frozen=True)
class Batch:
    """Four files and their manifest, in a folder of the spool."""

    files: tuple[Outgoing, ...]
    manifest: Outgoing

    @property
    def all(self) -> tuple[Outgoing, ...]:
        return (*self.files, self.manifest)

    @property
    def hashes(self) -> dict[str, str]:
        return {outgoing.name: outgoing.sha256 for outgoing in self.all}

    def deliver(self, target: Target) -> None:
        target.deliver(self.files, self.manifest)

    def verify(self, target: Target) -> None:
        target.verify(self.files, self.manifest)


def make_batch(spool: Path, sizes: Sequence[int] = (40_000, 3_000, 0, 9_000), sequence: int = 1) -> Batch:
    """A batch whose files have a header and so many bytes more, other ones for another sequence."""
    spool.mkdir(parents=True)
    rng = random.Random(sequence)
    for name, size in zip(NAMES, sizes, strict=True):
        (spool / name).write_bytes(b"OrderNumber|StoreCode\n" + rng.randbytes(size))
    files = tuple(_outgoing(spool / name) for name in NAMES)
    listed = [{"name": file.name, "bytes": file.bytes, "sha256": file.sha256} for file in files]
    (spool / MANIFEST).write_text(json.dumps({"sequence": sequence, "files": listed}))
    return Batch(files, _outgoing(spool / MANIFEST))


def load_batch(spool: Path) -> Batch:
    """A batch that was made."""
    return Batch(tuple(_outgoing(spool / name) for name in NAMES), _outgoing(spool / MANIFEST))


def _outgoing(path: Path) -> Outgoing:
    with path.open("rb") as file:
        return Outgoing(path.name, path, path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest())


def read(path: Path) -> bytes | None:
    """What a file holds; None when it is not there."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def standing(folder: Path) -> dict[str, str]:
    """SHA-256 of everything in the folder, by name."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


class Observer(threading.Thread):
    """A partner who looks at its folder all the time, and notes what it must never see.

    That is a file under a final name which is none of the batches', as a whole, or a manifest beside files
    that are not those it lists.
    """

    def __init__(self, folder: Path, *batches: Batch) -> None:
        super().__init__(daemon=True)
        self._folder = folder
        self._known = {name: {batch.hashes[name] for batch in batches} for name in (*NAMES, MANIFEST)}
        self._over = threading.Event()
        self.looks = 0
        self.problems: list[str] = []

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self.join()
        self.look()

    def run(self) -> None:
        while not self._over.wait(0.001):
            self.look()

    def look(self) -> None:
        """Look once."""
        announced = read(self._folder / MANIFEST)
        seen = {name: read(self._folder / name) for name in NAMES}
        if announced is not None:
            self._judge(MANIFEST, announced)
        for name, content in seen.items():
            if content is not None:
                self._judge(name, content)
        # Only what stood beside the same manifest before and after belongs to it.
        if announced is not None and read(self._folder / MANIFEST) == announced:
            for listed in json.loads(announced)["files"]:
                content = seen[listed["name"]]
                if content is None or hashlib.sha256(content).hexdigest() != listed["sha256"]:
                    self.problems.append(f"a manifest beside {listed['name']}, which is missing or another")
        self.looks += 1

    def _judge(self, name: str, content: bytes) -> None:
        if hashlib.sha256(content).hexdigest() not in self._known[name]:
            self.problems.append(f"{name} with {len(content)} bytes is not complete")
