"""Breaks the line to the partner while batches are delivered; looks at what it sees (docs/chaos.md)."""

from __future__ import annotations

import argparse
import logging
import random
import secrets
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from rotina.files import delivery
from rotina.files.delivery import DeliveryError, SftpSettings, SftpTarget
from tests.files.batches_made import Batch, Observer, make_batch, standing
from tests.files.partner_servers import SSHD, Line, line_to, openssh

#: Bytes of the files: where sending takes longest, and where giving them their names does.
_SIZES = {"large": (900_000, 400_000, 22, 60_000), "small": (2_000, 500, 0, 300)}
#: Bytes that pass, about, while the files get their names.
_NAMING = 2_500


@dataclass(frozen=True)
class Verdict:
    """What is said of a run of cuts."""

    cuts: int
    failed: int
    """Deliveries that the cut ended; the others were done already."""
    sent_again: int
    """Files that were sent although they stood complete at the partner."""
    problems: tuple[str, ...]
    """Everything that must not be, in words."""

    def __str__(self) -> str:
        seen = len(self.problems) - self.sent_again
        return f"cuts={self.cuts} failed={self.failed} wrong={seen} sent_again={self.sent_again}"


def run(cuts: int, seed: int, say: Callable[[str], None]) -> Verdict:
    """Deliver `cuts` batches over a line that breaks at a random byte, and once more over one that holds.

    In turn large and small files, to an empty folder and over the batch that is corrected. Half of the cuts
    are near the end, where the files get their names.
    """
    failed = 0
    sent_again: list[str] = []
    problems: list[str] = []
    with tempfile.TemporaryDirectory(prefix="rotina-cuts-") as home:
        root = Path(home)
        batches = {
            (size, number): make_batch(root / "spool" / size / str(number), _SIZES[size], number)
            for size in _SIZES
            for number in (1, 2)
        }
        (root / "sshd").mkdir()
        with openssh(root / "sshd") as settings, line_to(settings) as (line, over_line):
            whole: dict[tuple[str, bool], int] = {}
            for number in range(cuts):
                rng = random.Random(f"{seed}/{number}")
                size, correction = ("large", "small")[number % 2], number % 4 >= 2
                batch, earlier = batches[size, 2], batches[size, 1] if correction else None
                if (size, correction) not in whole:
                    folder = _folder(root, f"{size} {correction}", settings, earlier)
                    whole[size, correction] = _measure(line, replace(over_line, folder=str(folder)), batch)
                folder = _folder(root, str(number), settings, earlier)
                most = whole[size, correction]
                offset = most - rng.randrange(100, _NAMING if rng.random() < 0.5 else most)
                line.after(offset)
                with Observer(folder, batch, *([earlier] if earlier else [])) as observer:
                    ended = _deliver(replace(over_line, folder=str(folder)), batch)
                    line.count()
                    observer.look()
                    complete = _complete(folder, batch)
                    with _sent() as sent, SftpTarget.open(replace(settings, folder=str(folder))) as target:
                        batch.deliver(target)
                        batch.verify(target)
                failed += ended is not None
                again = sorted(complete & set(sent))
                problem = [*observer.problems[:3]]
                if standing(folder) != batch.hashes:
                    problem.append(f"after all there stand {sorted(standing(folder))}")
                sent_again += again
                problems += [f"cut {number}: {text}" for text in problem]
                problems += [f"cut {number}: {name} stood complete and was sent again" for name in again]
                say(
                    f"cut {number} after {offset} bytes, {size}{', a correction' if correction else ''}: "
                    f"{ended or 'was done before'}; {len(complete)} of 5 complete, {observer.looks} looks"
                )
    return Verdict(cuts, failed, len(sent_again), tuple(problems))


def _folder(root: Path, name: str, settings: SftpSettings, earlier: Batch | None) -> Path:
    """A new folder at the partner, with the earlier batch in it."""
    folder = root / "partner" / name
    folder.mkdir(parents=True)
    if earlier:
        with SftpTarget.open(replace(settings, folder=str(folder))) as target:
            earlier.deliver(target)
    return folder


def _measure(line: Line, settings: SftpSettings, batch: Batch) -> int:
    """How many bytes pass in a delivery that is not cut."""
    line.count()
    with SftpTarget.open(settings) as target:
        batch.deliver(target)
        return line.passed


def _deliver(settings: SftpSettings, batch: Batch) -> DeliveryError | None:
    """Deliver over the line; the error that ended it, which must call for another try."""
    try:
        with SftpTarget.open(settings) as target:
            batch.deliver(target)
    except DeliveryError as error:
        if not error.try_again:
            raise
        return error
    return None


def _complete(folder: Path, batch: Batch) -> set[str]:
    """The files of the batch that stand there as a whole, under a final or a temporary name."""
    there = set(standing(folder).values())
    return {name for name, digest in batch.hashes.items() if digest in there}


@contextmanager
def _sent() -> Iterator[list[str]]:
    """Gathers the names of the files that are sent."""
    names: list[str] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.msg.startswith("Sent "):
                assert isinstance(record.args, tuple)
                names.append(str(record.args[0]))

    handler, before = Handler(), delivery.log.level
    delivery.log.addHandler(handler)
    delivery.log.setLevel(logging.INFO)
    try:
        yield names
    finally:
        delivery.log.removeHandler(handler)
        delivery.log.setLevel(before)


def main(arguments: list[str] | None = None) -> int:
    """Run it as asked, and print what happens; the last line is the verdict. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="cuts", description=__doc__)
    parser.add_argument("--cuts", type=int, default=50, help="deliveries whose line breaks (%(default)s)")
    parser.add_argument("--seed", type=int, help="of what is chosen at random (another one each time)")
    asked = parser.parse_args(arguments)
    if asked.cuts < 1:
        parser.error("--cuts must be at least 1")
    if not SSHD.exists():
        parser.error(f"no OpenSSH server at {SSHD} (Debian: apt-get install openssh-server)")
    seed = secrets.randbelow(10_000) if asked.seed is None else asked.seed
    print(f"seed {seed}", flush=True)
    verdict = run(asked.cuts, seed, lambda text: print(text, flush=True))
    for problem in verdict.problems:
        print(f"PROBLEM: {problem}", flush=True)
    print(verdict, flush=True)
    return 1 if verdict.problems else 0


if __name__ == "__main__":
    sys.exit(main())
