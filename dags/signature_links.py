"""### Signature links (crm_assinatura)

Writes a message with the link of every open signature request into the message queue, to the customer who
is to sign. Requests that are signed or cancelled are left alone. `queue_dispatch` sends what was written.

**Runs** daily, by hand for a date, or as a backfill. It looks at the requests of the business date and of
some days before it, so that what could not be written yesterday (no phone, for example) is written once
it is mended. A link is sent once. One that expired before it was written is listed as too late.

**When it fails** the task `begin` or `write` says why and nothing was written; mend the cause and clear
the task. A request that is wrong (no customer, no valid phone) stops no other: it is listed as failed. A
red `report` alone means that the messages are written but the summary did not reach everybody.

**Safe to re-run?** Yes: any day, any number of times, two at once.
"""

from airflow.sdk import Param, task

from rotina.runs.dags import daily_routine

PARAMS = {
    "days_back": Param(
        7,
        type="integer",
        minimum=0,
        maximum=365,
        title="Days back",
        description="How many days before the business date a request may have been made.",
        section="What to write",
    ),
    "template": Param(
        "assinatura_digital",
        type="string",
        minLength=1,
        title="Template",
        description="Code of an approved template.",
        section="What to write",
    ),
}


@daily_routine("signature_links", title="Signature links", doc_md=__doc__, params=PARAMS)
def signature_links():
    @task
    def begin(**context):
        """Open the run; refuse an inactive ERP, missing ERP columns, a template that cannot be used."""
        from rotina.messaging.signature_links import check_settings
        from rotina.runs import tasks

        return tasks.begin(context, check_settings)

    @task
    def write(**context):
        """Write the messages of the open requests into the message queue."""
        from rotina.messaging.signature_links import write_messages
        from rotina.runs import tasks

        return tasks.step(context, write_messages)

    @task
    def report(**context):
        """Close the run and e-mail its summary."""
        from rotina.runs import tasks

        return tasks.report(context, steps=["write"])

    begin() >> write() >> report().as_teardown(on_failure_fail_dagrun=True)


signature_links()
