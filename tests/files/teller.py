"""`python -m tests.files.teller`: tells what is pending, in a process of its own that a test may kill.

Arguments: the URI of the task role, the id of the run. It prints `telling` first and `told` at the end.
"""

from __future__ import annotations

import sys

import psycopg

from rotina.runs import record
from tests.files.monitor_data import tell


def main(task_uri: str, dag_run_id: str) -> None:
    """Do the step `tell` of a run."""
    with psycopg.connect(task_uri, autocommit=True, cursor_factory=psycopg.ClientCursor) as connection:
        run = record.latest_attempt(connection, "delivery_monitor", dag_run_id)
        assert run is not None
        print("telling", flush=True)
        tell(connection, task_uri, run)
        print("told", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
