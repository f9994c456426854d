"""How a DAG file of a routine is made: schedule from the agenda, shared defaults, shared params."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from airflow.sdk import DAG, CronPartitionTimetable, CronTriggerTimetable, Param, dag

from rotina.runs.agenda import Entry, load_agenda
from rotina.runs.defaults import DEFAULT_ARGS, KEY_FORMAT, MAX_ACTIVE_RUNS, START_DATE


def daily_routine(
    routine: str, *, title: str, doc_md: str | None, params: dict[str, Param]
) -> Callable[[Callable[[], Any]], Callable[[], DAG]]:
    """Decorator of a DAG function: a routine that works for one business date, as the agenda schedules it.

    Raises:
        SettingError: the agenda is wrong or has no entry for the routine.
    """
    entry = load_agenda().entry(routine)
    timetable = CronPartitionTimetable(
        entry.cron, timezone=entry.timezone, key_format=KEY_FORMAT, run_offset=entry.day_offset
    )
    return _routine(entry, timetable, title, doc_md, {"business_date": _business_date_param(entry), **params})


def frequent_routine(
    routine: str, *, title: str, doc_md: str | None, params: dict[str, Param]
) -> Callable[[Callable[[], Any]], Callable[[], DAG]]:
    """Decorator of a DAG function: a routine that works off what there is, every so many minutes.

    Its business date is the day it runs on. There is nothing to backfill: a later run does what a missed one
    left.

    Raises:
        SettingError: the agenda is wrong or has no entry for the routine.
    """
    entry = load_agenda().entry(routine)
    return _routine(entry, CronTriggerTimetable(entry.cron, timezone=entry.timezone), title, doc_md, params)


def _routine(
    entry: Entry,
    timetable: CronPartitionTimetable | CronTriggerTimetable,
    title: str,
    doc_md: str | None,
    params: dict[str, Param],
) -> Callable[[Callable[[], Any]], Callable[[], DAG]]:
    return dag(
        dag_id=entry.routine,
        dag_display_name=f"{title} ({entry.program})",
        description=f"{entry.program}: {title}",
        schedule=timetable if entry.active else None,
        start_date=START_DATE,
        catchup=False,
        max_active_runs=MAX_ACTIVE_RUNS,
        is_paused_upon_creation=False,
        default_args=DEFAULT_ARGS,
        params={**params, **_queue_param()},
        tags=["rotina", entry.program],
        doc_md=doc_md,
    )


def _queue_param() -> dict[str, Param]:
    """The choice of workers; none where the agenda names no queues."""
    queues = load_agenda().queues
    if not queues:
        return {}
    return {
        "queue": Param(
            None,
            type=["null", "string"],
            enum=[None, *queues],
            title="Queue",
            description="The workers that the tasks go to; empty means the usual ones.",
        )
    }


def _business_date_param(entry: Entry) -> Param:
    empty = "yesterday" if entry.day_offset else "today"
    return Param(
        None,
        type=["null", "string"],
        format="date",
        title="Business date",
        description=f"The day to run for; empty means {empty}. Leave empty in a backfill.",
    )
