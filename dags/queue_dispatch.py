"""### Queue dispatch (crm_fila)

Sends the waiting messages of every active gateway, in order of priority, within its send windows, rate, daily
quota and in-flight limit; each message at most once.

**Runs** every few minutes, or by hand for one gateway. Missed runs need no backfill: the next one sends what
waits. Messages past their expiry are not sent, receivables paid meanwhile are not asked for.

**When it fails** a gateway was paused (its credentials or a template are wrong: mend that, then resume it),
or some calls ended without an answer: those messages are *unknown*, are never sent again by themselves, and
wait until the gateway tells about them or somebody releases or confirms them. The task log and the summary
name them.

**Safe to re-run?** Yes: at any time, beside others. A message is claimed by one dispatcher only.
"""

from airflow.sdk import Param, task

from rotina.runs.dags import frequent_routine

PARAMS = {
    "gateway": Param(
        None,
        type=["null", "string"],
        title="Gateway",
        description="Code of one gateway; empty means all active ones.",
    ),
    "minutes": Param(
        4,
        type="number",
        exclusiveMinimum=0,
        maximum=110,
        title="Minutes",
        description="How long to send at most; the rest waits for the next run.",
    ),
}


@frequent_routine("queue_dispatch", title="Queue dispatch", doc_md=__doc__, params=PARAMS)
def queue_dispatch():
    @task
    def begin(**context):
        """Open the run; refuse an unknown gateway."""
        from rotina.messaging.queue_dispatch import check_settings
        from rotina.runs import tasks

        return tasks.begin(context, check_settings)

    @task
    def places(**context):
        """The gateways that may send now, one entry for each of their dispatchers."""
        from rotina.runs import dispatch

        return dispatch.open_places(context)

    @task
    def dispatch(place, **context):
        """Send the messages of one gateway."""
        from rotina.runs import dispatch

        return dispatch.send_messages(context, place)

    @task(trigger_rule="all_done")
    def count(**context):
        """Count what was sent, put back, skipped and failed, and name the messages that failed."""
        from rotina.messaging.queue_dispatch import count_messages
        from rotina.runs import tasks

        return tasks.step(context, count_messages)

    @task
    def report(**context):
        """Close the run; e-mail its summary if somebody asked for it or something went wrong."""
        from rotina.runs import tasks

        return tasks.report(context, steps=["count"])

    opened = begin()
    listed = places()
    opened >> listed
    dispatch.expand(place=listed) >> count() >> report().as_teardown(on_failure_fail_dagrun=True)


queue_dispatch()
