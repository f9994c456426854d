"""### Birthday e-mails (crm304rp)

Writes an e-mail for every active account of a person whose birthday it is into the message queue. Who opted
out gets none; of several accounts with one address, one does. `queue_dispatch` sends what was written.

**Runs** daily, by hand for a date or an audience, or as a backfill. An account is greeted once per birthday,
whatever is run again. A greeting belongs to its day: what is late by more than *days late* is listed and not
written, and what is not sent by then expires. *dry run* lists who would get an e-mail, and writes none.
**Before the first run** save the e-mail template `aniversario`, or name another; set up an `smtp` gateway.

**When it fails** `begin` or `write` says why and nothing was written; mend the cause and clear the task. An
account that is wrong stops no other: it is listed, and another run of its day greets it once mended. What
was written and never sent is listed with its message: retry that one (docs/operations.md). A red `report`
alone: not everybody got the summary. **Safe to re-run?** Yes: any day, any number of times, two at once.
"""

from airflow.sdk import Param, task

from rotina.runs.dags import daily_routine

PARAMS = {
    "template": Param(
        "aniversario",
        type="string",
        minLength=1,
        title="E-mail template",
        description="Name of an active e-mail template.",
    ),
    "subject": Param(
        None,
        type=["null", "string"],
        title="Subject",
        description="Instead of the template's, with the same variables; empty means the template's.",
    ),
    "audience": Param(
        None,
        type=["null", "string"],
        title="Audience",
        description="Name of a saved audience (a list or a filter); empty means all accounts.",
    ),
    "days_late": Param(
        0,
        type="integer",
        minimum=0,
        maximum=31,
        title="Days late allowed",
        description="How many days after the birthday its greeting may still go out.",
    ),
    "leap_day_rule": Param(
        "february_28",
        enum=["february_28", "march_1"],
        values_display={"february_28": "on 28 February", "march_1": "on 1 March"},
        title="Born on 29 February",
        description="When they are greeted in a year without that day.",
    ),
    "gateway": Param(
        None,
        type=["null", "string"],
        title="Gateway",
        description="Code of the gateway that sends; empty means the only active one for e-mail.",
    ),
    "dry_run": Param(
        False,
        type="boolean",
        title="Dry run",
        description="List who would get an e-mail; write none.",
    ),
}


@daily_routine("birthday_emails", title="Birthday e-mails", doc_md=__doc__, params=PARAMS)
def birthday_emails():
    @task
    def begin(**context):
        """Open the run; refuse a template, subject, audience or gateway that cannot be used."""
        from rotina.hooks.unsubscribe import with_links
        from rotina.messaging.birthday_emails import check_settings
        from rotina.runs import tasks

        return tasks.begin(context, with_links(check_settings))

    @task
    def write(**context):
        """Write the e-mails of the day's birthdays into the message queue."""
        from rotina.hooks.unsubscribe import with_links
        from rotina.messaging.birthday_emails import write_messages
        from rotina.runs import tasks

        return tasks.step(context, with_links(write_messages))

    @task
    def report(**context):
        """Close the run and e-mail its summary."""
        from rotina.runs import tasks

        return tasks.report(context, steps=["write"])

    begin() >> write() >> report().as_teardown(on_failure_fail_dagrun=True)


birthday_emails()
