"""Runs routines, each for a business date, in this process, through Airflow but without its servers.

`python -m rotina.local.day account_data_refresh=2026-11-20 …`: writes one JSON line `[run id, state]` per
routine to standard output as soon as it ends; everything that Airflow and the tasks print goes to
standard error. Started by `make day`, with the environment of `rotina.local.environment`.
"""

from __future__ import annotations

import json
import os
import sys


def run(dates: dict[str, str]) -> None:
    """Run the DAGs of `dates` (routine -> business date) in turn, whatever becomes of the one before.

    Raises LookupError, before anything runs, when Airflow cannot load one of them.
    """
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag()
    if missing := [routine for routine in dates if routine not in bag.dags]:
        raise LookupError(f"no DAG named {', '.join(missing)}; import errors: {bag.import_errors}")
    for routine, business_date in dates.items():
        dag = bag.dags[routine]
        # What a routine waits for went before it, or will not come.
        no_wait = {"wait_minutes": 0} if "wait_minutes" in dag.params else {}
        dag_run = dag.test(run_conf={"business_date": business_date, **no_wait})
        print(json.dumps([dag_run.run_id, str(dag_run.state)]), file=answers)


if __name__ == "__main__":
    run(dict(argument.split("=", 1) for argument in sys.argv[1:]))
