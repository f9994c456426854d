"""### Account status update (crm1003)

Sets each account's status from the source whose integration is active: the ERP (active with an invoice or
order in the last *months inactive*, else inactive) or the health plans (active while an adhesion is in force,
else inactive). An account without a customer in the source is not integrated. The status informs; it blocks
nothing.

**Runs** daily, by hand for a date, or as a backfill. Only accounts whose status differs are written, each
with a row that says why. Status never moves backwards: a run of a date older than the newest one done changes
nothing and lists who would have changed. *dry run* lists who would change, and changes nothing.
**Before the first run** set *months inactive* and switch on exactly one source (docs/account-status.md).

**When it fails** the task `begin` or `update` says why and nothing was changed; mend the cause and clear the
task. A red `report` alone: the status is set, but the summary did not reach everybody.

**Safe to re-run?** Yes: any day, any number of times, two at once.
"""

from airflow.sdk import Param, task

from rotina.runs.dags import daily_routine

PARAMS = {
    "dry_run": Param(
        False,
        type="boolean",
        title="Dry run",
        description="List the accounts whose status would change, and why; change none.",
    ),
}


@daily_routine("account_status_update", title="Account status update", doc_md=__doc__, params=PARAMS)
def account_status_update():
    @task
    def begin(**context):
        """Open the run; refuse no or two active sources, wrong settings, missing columns, a wrong date."""
        from rotina.accounts.account_status_update import check_settings
        from rotina.runs import tasks

        return tasks.begin(context, check_settings)

    @task
    def update(**context):
        """Write the status of the accounts that differ, and why."""
        from rotina.accounts.account_status_update import update_status
        from rotina.runs import tasks

        return tasks.step(context, update_status)

    @task
    def report(**context):
        """Close the run and e-mail its summary."""
        from rotina.runs import tasks

        return tasks.report(context, steps=["update"])

    begin() >> update() >> report().as_teardown(on_failure_fail_dagrun=True)


account_status_update()
