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


def day(stack: RunningStack, business_date: str) -> dict[str, str]:
    """Run a day; returns the row of the routine in the table that it prints, by the names of its head."""
    done = stack.command("day", business_date)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    (head,) = [line for line in lines if line[:1] == ["routine"]]
    (row,) = [line for line in lines if line[:2] == [DAG_ID, "manual"]]
    return dict(zip(head, row, strict=True))


def test_a_day_and_the_same_day_again(stack: RunningStack) -> None:
    first, second = day(stack, "2026-11-20"), day(stack, "2026-11-20")
    for row in (first, second):
        assert (row["business_date"], row["status"]) == ("2026-11-20", "succeeded")
        selected, *rest = (int(row[name]) for name in NUMBERS)
        assert selected == sum(rest)
    assert int(first["changed"]) > 0
    assert int(second["changed"]) == 0


def test_a_malformed_date_is_refused_before_anything_starts(stack: RunningStack) -> None:
    done = stack.command("day", "20/11/2026")
    assert done.returncode == 2
    assert done.stderr.startswith("error: DATE = '20/11/2026'")
    assert list(stack.home.iterdir()) == []
