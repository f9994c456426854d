"""### Delivery monitor (crm_monitor)

Looks whether everything that must go out goes out: days of the file batch that are missing, late,
incomplete, not verified or not acknowledged; days that a daily routine missed; a message queue that stands
still or does not add up. The team is told in one e-mail what is new and what is over, with what to do and the
command to copy; once a day of what lasts.

**Runs** every hour, or by hand at any time. It looks at the present: missed runs need no backfill. The alert
goes straight through the mail server, not through the message queue, to the recipients of this routine.

**When it fails** the mail server did not take the alert (the next run sends it, nothing is lost), nobody
knows whether it did (it is not sent again: see `crm.alert`), or nobody is set to receive it. A partner that
cannot be asked for acknowledgements does not fail the run.

**Safe to re-run?** Yes: at any time, two at once.
"""

from airflow.sdk import Param, task

from rotina.runs.dags import frequent_routine
from rotina.runs.defaults import SOON

PARAMS = {
    "routine_days": Param(
        7,
        type="integer",
        minimum=1,
        maximum=60,
        title="Days of the routines",
        description="How many days back it looks for those that a daily routine missed.",
    ),
    "margin_minutes": Param(
        240,
        type="integer",
        minimum=0,
        maximum=1440,
        title="Margin of the routines (minutes)",
        description="How long after its hour a daily routine must have done its day.",
    ),
    "still_minutes": Param(
        30,
        type="integer",
        minimum=1,
        maximum=1440,
        title="Standstill of the queue (minutes)",
        description="How long messages that may go, and queue_dispatch itself, may stand still.",
    ),
}


@frequent_routine("delivery_monitor", title="Delivery monitor", doc_md=__doc__, params=PARAMS)
def delivery_monitor():
    @task
    def begin(**context):
        """Open the run; refuse a wrong param."""
        from rotina.files.delivery_monitor import check_settings
        from rotina.runs import tasks

        return tasks.begin(context, check_settings)

    @task(**SOON)
    def acknowledge(**context):
        """Ask the partner which delivered batches it acknowledges."""
        from rotina.runs import alerting

        return alerting.ask_partner(context)

    @task(trigger_rule="all_done")
    def look(partner_problem, **context):
        """Find the problems there are, also when the partner does not answer."""
        from rotina.runs import alerting

        return alerting.look(context, partner_problem)

    @task
    def tell(**context):
        """Tell the team in one e-mail what is new and what is over."""
        from rotina.runs import alerting

        return alerting.tell(context)

    @task
    def report(**context):
        """Close the run; e-mail its summary if somebody asked for it or something went wrong."""
        from rotina.runs import tasks

        return tasks.report(context, steps=["look", "tell"])

    asked = acknowledge()
    begin() >> asked
    look(asked) >> tell() >> report().as_teardown(on_failure_fail_dagrun=True)


delivery_monitor()
