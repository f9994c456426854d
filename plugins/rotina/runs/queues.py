"""The queue of a run: which workers its tasks go to, when the person who asked for it chose some.

`queues` of the agenda names those to choose from. Executors without queues (LocalExecutor) take no notice.
"""

from __future__ import annotations

import logging
from typing import Any

from rotina.errors import SettingError
from rotina.runs.agenda import load_agenda

log = logging.getLogger(__name__)


def route(task_instance: Any, dag_run: Any) -> None:
    """Give a task instance the queue that the `conf` of its run names.

    A queue that the agenda does not name is left alone, and so are DAGs that are none of our routines: the
    scheduler calls this, and an error would stop it.
    """
    try:
        agenda = load_agenda()
    except SettingError:
        log.exception("No task is routed: the agenda is wrong")
        return
    queue = dag_run.conf.get("queue")
    if queue in agenda.queues and any(entry.routine == dag_run.dag_id for entry in agenda.programs):
        task_instance.queue = queue
