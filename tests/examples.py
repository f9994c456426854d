"""How many examples a test makes up by itself: few in the suite, many with `make examples`."""

from __future__ import annotations

import os

#: The name of the environment variable that says how many times as many.
TIMES = "ROTINA_EXAMPLES_TIMES"


def examples(number: int) -> int:
    """How many examples to try in this run, for a test that tries `number` of them in the suite."""
    return number * int(os.environ.get(TIMES, "1"))
