"""Defaults that every DAG shares."""

from __future__ import annotations

import datetime as dt
from typing import Any

#: Far in the past, so that a run of any day does its tasks.
START_DATE = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)

#: Partition keys are business dates.
KEY_FORMAT = "%Y-%m-%d"

#: Work may be tried again: it is idempotent, and a step that is committed is not done twice.
DEFAULT_ARGS: dict[str, Any] = {
    "owner": "rotina",
    "retries": 2,
    "retry_delay": dt.timedelta(minutes=1),
    "execution_timeout": dt.timedelta(hours=2),
}

#: Runs of one DAG at a time: room for one that waits for its hour or for a lock beside those at work.
MAX_ACTIVE_RUNS = 4

#: Of a task that waits: between two looks it holds no worker slot. It looks often at first, then every five
#: minutes; when to give up is said by the run (rotina.runs.tasks.wait), long before Airflow's own time-out.
WAIT: dict[str, Any] = {
    "mode": "reschedule",
    "poke_interval": 5,
    "exponential_backoff": True,
    "max_wait": dt.timedelta(minutes=5),
    "timeout": dt.timedelta(days=1),
}

#: Of a task that asks somebody who may never answer, while others wait for it.
SOON: dict[str, Any] = {"execution_timeout": dt.timedelta(minutes=5), "retries": 1}
