"""### Message archive (crm_arquivo)

Moves messages that came to rest (sent, failed, cancelled or expired) months ago, with their attempts, from
the queue into the archive, so that the queue stays small and fast. Archived messages can still be seen, but
no more be sent again; their keys stay, so that no message is ever written twice.

**Runs** daily. It keeps in the queue the month of the business date and as many full months before it as
*keep_months* says. One run moves at most *most* messages; if there are more, the next run goes on, and the
summary says so.

**When it fails** the task `begin` or `archive` says why, and nothing was moved; mend the cause and clear the
task.

**Safe to re-run?** Yes: any day, any number of times. An older day finds nothing to move.
"""

from airflow.sdk import Param, task

from rotina.runs.dags import daily_routine

PARAMS = {
    "keep_months": Param(
        3,
        type="integer",
        minimum=1,
        maximum=120,
        title="Months to keep",
        description="Full months that stay in the queue, besides the month of the business date.",
        section="What to archive",
    ),
    "most": Param(
        500_000,
        type="integer",
        minimum=1,
        maximum=5_000_000,
        title="Messages at most",
        description="How many messages one run moves.",
        section="What to archive",
    ),
}


@daily_routine("message_archive", title="Message archive", doc_md=__doc__, params=PARAMS)
def message_archive():
    @task
    def begin(**context):
        """Open the run; refuse wrong params and a wrong date."""
        from rotina.messaging.message_archive import check_settings
        from rotina.runs import tasks

        return tasks.begin(context, check_settings)

    @task
    def archive(**context):
        """Move the messages and their attempts."""
        from rotina.messaging.message_archive import archive_messages
        from rotina.runs import tasks

        return tasks.step(context, archive_messages)

    @task
    def report(**context):
        """Close the run and e-mail its summary."""
        from rotina.runs import tasks

        return tasks.report(context, steps=["archive"])

    begin() >> archive() >> report().as_teardown(on_failure_fail_dagrun=True)


message_archive()
