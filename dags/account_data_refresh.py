"""### Account data refresh (crm338)

Refreshes the nine supplementary fields of the accounts from the ERP: dates and values of the first and last
purchase, accumulated value, number of purchases, last quote, last invoice, and with them the days since the
last purchase.

**Runs** daily after the ERP's nightly load, by hand for a date, an audience or everything, or as a backfill.
It looks only at accounts whose invoices or quotes changed in the ERP since the last refresh; *full* computes
all of them anew and gives the same result. Data never move backwards: a run of an older date leaves accounts
that have newer data alone, and says so.

**When it fails** the task `begin` or `refresh` says why and nothing was changed; mend the cause and clear the
task. A red `report` alone means that the data are refreshed but the summary did not reach everybody.

**Safe to re-run?** Yes: any day, any number of times, two at once.
"""

from airflow.sdk import Param, task

from rotina.runs.dags import daily_routine

PARAMS = {
    "audience": Param(
        None,
        type=["null", "string"],
        title="Audience",
        description="Name of a saved audience (a list or a filter); empty means all accounts.",
        section="What to refresh",
    ),
    "full": Param(
        False,
        type="boolean",
        title="Full rebuild",
        description="Compute every account anew instead of those that changed in the ERP.",
        section="What to refresh",
    ),
}


@daily_routine("account_data_refresh", title="Account data refresh", doc_md=__doc__, params=PARAMS)
def account_data_refresh():
    @task
    def begin(**context):
        """Open the run; refuse an inactive ERP, missing ERP columns, a wrong audience or date."""
        from rotina.accounts.account_data_refresh import check_settings
        from rotina.runs import tasks

        return tasks.begin(context, check_settings)

    @task
    def refresh(**context):
        """Compute the nine fields and write those that differ."""
        from rotina.accounts.account_data_refresh import refresh_accounts
        from rotina.runs import tasks

        return tasks.step(context, refresh_accounts)

    @task
    def report(**context):
        """Close the run and e-mail its summary."""
        from rotina.runs import tasks

        return tasks.report(context, steps=["refresh"])

    begin() >> refresh() >> report().as_teardown(on_failure_fail_dagrun=True)


account_data_refresh()
