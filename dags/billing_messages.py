"""### Billing messages (crm_cobranca)

Writes the reminders of the dunning schedule into the message queue: of receivables that fall due in some
days, fall due today or are overdue, one template per step. Receivables that are paid or cancelled are
left alone, and so are customers with an exception and recipients who opted out. Steps that fall on a day
that is no business day move to the next one where the schedule says so; of two steps that fall on one day
for a receivable, the later one counts. `queue_dispatch` sends what was written.

**Runs** daily, by hand for a date, or as a backfill. A reminder is written once, whatever is run again; a
receivable that gets another due date is reminded of that one too. A missed day writes only what its steps
still allow to go out, and lists the rest as too late. *dry run* counts, lists what is skipped and failed,
and writes no message.

**When it fails** the task `begin` or `write` says why and nothing was written; mend the cause and clear
the task. A receivable that is wrong (no customer, no valid phone, no value) stops no other: it is listed
as failed, and written by the next run of that day once it is mended. A red `report` alone means that the
messages are written but the summary did not reach everybody.

**Safe to re-run?** Yes: any day, any number of times, two at once.
"""

from airflow.sdk import Param, task

from rotina.runs.dags import daily_routine

PARAMS = {
    "dry_run": Param(
        False,
        type="boolean",
        title="Dry run",
        description="Count and list only; write no message.",
        section="What to write",
    ),
}


@daily_routine("billing_messages", title="Billing messages", doc_md=__doc__, params=PARAMS)
def billing_messages():
    @task
    def begin(**context):
        """Open the run; refuse an inactive ERP, an empty dunning schedule, an unusable template."""
        from rotina.messaging.billing_messages import check_settings
        from rotina.runs import tasks

        return tasks.begin(context, check_settings)

    @task
    def write(**context):
        """Write the reminders of the day into the message queue."""
        from rotina.messaging.billing_messages import write_messages
        from rotina.runs import tasks

        return tasks.step(context, write_messages)

    @task
    def report(**context):
        """Close the run and e-mail its summary."""
        from rotina.runs import tasks

        return tasks.report(context, steps=["write"])

    begin() >> write() >> report().as_teardown(on_failure_fail_dagrun=True)


billing_messages()
