"""Airflow's local settings, which it imports in every process: the queue that a run was asked for.

An Airflow that has an airflow_local_settings of its own (AIRFLOW_HOME/config comes before this folder) calls
`rotina.runs.queues.route` from it.
"""

from __future__ import annotations

from typing import Any

__all__ = ["task_instance_mutation_hook"]


def task_instance_mutation_hook(task_instance: Any, dag_run: Any) -> None:
    """Send a task to the workers that its run was asked for."""
    if dag_run is not None and dag_run.conf and "queue" in dag_run.conf:
        from rotina.runs.queues import route

        route(task_instance, dag_run)
