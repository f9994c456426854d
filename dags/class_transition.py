"""### Class transition (crm251)

Moves active accounts to another class when they reach the trigger of a class rule. The rules are tried in
their order, and the first that matches decides. An account moves once in a business date; its history says by
which rule and with which values.

**Runs** daily after the data refresh of the same day, by hand for a date or an audience, or as a backfill. It
waits for `account_data_refresh` of its business date, however either was started. *dry run* lists who would
move and why, and moves nobody. A run of an older date than the data moves nobody either, and lists them too.

**When it fails** `begin` or `move` says which rule is wrong and nothing was changed; mend it and clear the
task. `wait_for_refresh` fails when the refresh did not come in time: run that one, then clear the task.
A red `report` alone means that the accounts are moved but the summary did not reach everybody.

**Safe to re-run?** Yes: any day, any number of times, two at once.
"""

from airflow.sdk import Param, task

from rotina.runs.dags import daily_routine
from rotina.runs.defaults import WAIT

PARAMS = {
    "audience": Param(
        None,
        type=["null", "string"],
        title="Audience",
        description="Name of a saved audience; empty means all accounts.",
    ),
    "dry_run": Param(
        False,
        type="boolean",
        title="Dry run",
        description="List who would move and why; move nobody.",
    ),
    "wait_minutes": Param(
        180,
        type="integer",
        minimum=0,
        maximum=720,
        title="Minutes to wait",
        description="How long the run waits for the data refresh of its business date before it fails.",
    ),
}


@daily_routine("class_transition", title="Class transition", doc_md=__doc__, params=PARAMS)
def class_transition():
    @task
    def begin(**context):
        """Open the run; refuse rules that are wrong, an unknown audience, a wrong date."""
        from rotina.accounts.class_transition import check_settings
        from rotina.runs import tasks

        return tasks.begin(context, check_settings)

    @task.sensor(**WAIT)
    def wait_for_refresh(**context):
        """Wait until the supplementary data are refreshed for the business date."""
        from rotina.accounts.class_transition import missing_refresh
        from rotina.runs import tasks

        return tasks.wait(context, missing_refresh)

    @task
    def move(**context):
        """Find the accounts that a rule asks to move, and move them."""
        from rotina.accounts.class_transition import move_accounts
        from rotina.runs import tasks

        return tasks.step(context, move_accounts)

    @task
    def report(**context):
        """Close the run and e-mail its summary."""
        from rotina.runs import tasks

        return tasks.report(context, steps=["move"])

    begin() >> wait_for_refresh() >> move() >> report().as_teardown(on_failure_fail_dagrun=True)


class_transition()
