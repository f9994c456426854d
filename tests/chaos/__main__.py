"""Kills dispatchers and PostgreSQL while messages are sent, and counts at the gateway (docs/chaos.md)."""

from __future__ import annotations

import argparse
import secrets
import sys
import time

from tests.chaos.storm import run


def main(arguments: list[str] | None = None) -> int:
    """Run it as asked, and print what happens; the last line is the verdict. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="chaos", description=__doc__)
    parser.add_argument("--kills", type=int, default=50, help="dispatchers killed (%(default)s)")
    parser.add_argument("--restarts", type=int, help="restarts of PostgreSQL (a tenth of the kills)")
    parser.add_argument("--seed", type=int, help="of what is chosen at random (another one each time)")
    asked = parser.parse_args(arguments)
    if asked.kills < 1:
        parser.error("--kills must be at least 1")
    restarts = max(1, asked.kills // 10) if asked.restarts is None else asked.restarts
    if not 0 <= restarts <= asked.kills:
        parser.error("--restarts must be from 0 to the number of kills")
    seed = secrets.randbelow(10_000) if asked.seed is None else asked.seed
    began = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - began:6.1f} s  {text}", flush=True)

    say(f"seed {seed}")
    verdict = run(asked.kills, restarts, seed, say)
    for problem in verdict.problems:
        say(f"PROBLEM: {problem}")
    print(verdict, flush=True)
    return 1 if verdict.problems else 0


if __name__ == "__main__":
    sys.exit(main())
