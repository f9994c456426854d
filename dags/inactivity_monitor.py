"""### Inactivity monitor (crm00356)

Finds the accounts without movement in a period, as the monitoring profiles say: writes them down, gives them
to another owner or to a team in turn, and tells each person of theirs in one digest e-mail, which
`queue_dispatch` sends.

**Runs** daily, by hand for a date or one profile, or as a backfill. A profile finds an account once for as
long as it does not move. A run of an older date than the profile has done changes nothing: the accounts that
it would have found are listed. *dry run* lists who would be found and who would get it, and changes nothing.
**Before the first run** save monitoring profiles (docs/inactivity-monitor.md); set up an `smtp` gateway.

**When it fails** `begin` or `monitor` says why and nothing was changed: a profile whose new owner left, say;
mend it and clear the task. A person whose e-mail address is wrong stops nobody: they are listed, and
the accounts stand in `crm.inactive_account`. An account whose owner left and that nobody gets is listed once.
A red `report` alone: not everybody got the summary.

**Safe to re-run?** Yes: any day, any number of times, two at once. Nobody is told twice and nothing is
transferred twice.
"""

from airflow.sdk import Param, task

from rotina.runs.dags import daily_routine

PARAMS = {
    "profile": Param(
        None,
        type=["null", "string"],
        title="Profile",
        description="Name of an active monitoring profile; empty means all of them.",
    ),
    "gateway": Param(
        None,
        type=["null", "string"],
        title="Gateway",
        description="Code of the gateway that sends the digests; empty means the only active one for e-mail.",
    ),
    "dry_run": Param(
        False,
        type="boolean",
        title="Dry run",
        description="List who would be found and who would get it; change nothing.",
    ),
}


@daily_routine("inactivity_monitor", title="Inactivity monitor", doc_md=__doc__, params=PARAMS)
def inactivity_monitor():
    @task
    def begin(**context):
        """Open the run; refuse a profile that cannot be worked with, or digests that nobody can send."""
        from rotina.accounts.inactivity_monitor import check_settings
        from rotina.runs import tasks

        return tasks.begin(context, check_settings)

    @task
    def monitor(**context):
        """Find the accounts, transfer them and write the digests."""
        from rotina.accounts.inactivity_monitor import monitor_accounts
        from rotina.runs import tasks

        return tasks.step(context, monitor_accounts)

    @task
    def report(**context):
        """Close the run and e-mail its summary."""
        from rotina.runs import tasks

        return tasks.report(context, steps=["monitor"])

    begin() >> monitor() >> report().as_teardown(on_failure_fail_dagrun=True)


inactivity_monitor()
