"""`make down` and `make up` again."""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.running_stack import RunningStack

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("e2e"), pytest.mark.timeout(900)]


def kept(stack: RunningStack) -> list[dict[str, Any]]:
    """The run records, but for the schedule's own: its hour may come while this test runs."""
    return stack.rows("select * from crm.run where run_type <> 'scheduled' order by id")


def test_down_leaves_nothing_running_and_up_finds_everything_again(stack: RunningStack) -> None:
    before = kept(stack)
    assert before
    assert stack.processes() != []
    stack.down()
    assert stack.processes() == []
    said = stack.up()
    assert kept(stack) == before
    # It is quick because what is done is not done again.
    for step in ("Airflow's database", "Demonstration data", f"{before[0]['routine']} for"):
        assert step not in said
