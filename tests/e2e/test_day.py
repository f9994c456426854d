"""`make day`: every daily routine for one date, through Airflow but without its servers."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from tests.e2e.running_stack import DAG_ID, RunningStack

# Beside the tests that share an environment: it has one of its own.
pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("day"), pytest.mark.timeout(900)]

NUMBERS = ("selected", "changed", "unchanged", "skipped", "failed")


@pytest.fixture
def stack() -> Iterator[RunningStack]:
    """An environment in which nothing runs yet."""
    stack = RunningStack(accounts=40)
    yield stack
    assert stack.processes() == []
    shutil.rmtree(stack.home)


def day(stack: RunningStack, date: str) -> dict[str, dict[str, str]]:
    """Run a day; returns the table that it prints: by routine the row, by the names of its head."""
    done = stack.command("day", date)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    (head,) = [line for line in lines if line[:1] == ["routine"]]
    rows = [dict(zip(head, line, strict=True)) for line in lines if line[1:2] == ["manual"]]
    return {row["routine"]: row for row in rows}


def test_a_day_and_the_same_day_again(stack: RunningStack) -> None:
    first, second = day(stack, "2026-11-20"), day(stack, "2026-11-20")
    for routine, business_date in ((DAG_ID, "2026-11-20"), ("daily_file_batch", "2026-11-19")):
        for row in (first[routine], second[routine]):
            assert (row["business_date"], row["status"]) == (business_date, "succeeded")
            selected, *rest = (int(row[name]) for name in NUMBERS)
            assert selected == sum(rest)
        assert int(first[routine]["changed"]) > 0
        assert int(second[routine]["changed"]) == 0


def test_a_malformed_date_is_refused_before_anything_starts(stack: RunningStack) -> None:
    done = stack.command("day", "20/11/2026")
    assert done.returncode == 2
    assert done.stderr.startswith("error: DATE = '20/11/2026'")
    assert list(stack.home.iterdir()) == []
