"""### Daily file batch (crm_lote)

Makes the partner's four files of the day before (orders, their items, the categories of these, customers) and
delivers them, with a manifest, every day: a day without data has files with a header only.

**Runs** daily, by hand for a date, or as a backfill of missed days. It waits until the ERP says that the day
is loaded (`erp.load_watermark`) and until the batches of all days before it are delivered. The same source
gives the same bytes, and nothing is sent again; after a change of the source the day gets a correction, which
takes the next number.

**When it fails** `begin` names the setting that is wrong. `wait_for_source` did not get the load or an
earlier day in time; it names what is missing and the command to run. `generate` leaves nothing behind: mend
the cause (a full disk, a missing column) and clear it. `deliver` says what the partner's server refused:
clear it when that is mended; complete files are not sent twice. Orders and customers without a valid e-mail
address are left out, and named in the summary.

**Safe to re-run?** Yes: any day, any number of times, two at once.
"""

from airflow.sdk import Param, task

from rotina.runs.dags import daily_routine
from rotina.runs.defaults import WAIT

PARAMS = {
    "wait_minutes": Param(
        210,
        type="integer",
        minimum=0,
        maximum=1200,
        title="Minutes to wait",
        description="How long the run waits for the ERP's load and for earlier days before it fails.",
    ),
    "out_of_order": Param(
        False,
        type="boolean",
        title="Out of order",
        description="Publish although the batch of an earlier day is missing.",
    ),
}


@daily_routine("daily_file_batch", title="Daily file batch", doc_md=__doc__, params=PARAMS)
def daily_file_batch():
    @task
    def begin(**context):
        """Open the run; refuse wrong settings, missing ERP columns, a folder that cannot be written to."""
        from rotina.files.daily_file_batch import check_settings
        from rotina.runs import tasks

        return tasks.begin(context, check_settings)

    @task.sensor(**WAIT)
    def wait_for_source(**context):
        """Wait until the ERP's load of the day is complete, and the days before it are delivered."""
        from rotina.files.daily_file_batch import missing_source
        from rotina.runs import tasks

        return tasks.wait(context, missing_source)

    @task
    def generate(**context):
        """Make the four files and their manifest: all of them or none."""
        from rotina.runs import daily_files

        return daily_files.generate(context)

    @task
    def deliver(**context):
        """Bring every batch that is not there yet to the partner, in order, and read it again there."""
        from rotina.runs import daily_files

        return daily_files.deliver(context)

    @task
    def report(**context):
        """Close the run and e-mail its summary."""
        from rotina.runs import tasks

        return tasks.report(context, steps=["generate", "deliver"])

    (
        begin()
        >> wait_for_source()
        >> generate()
        >> deliver()
        >> report().as_teardown(on_failure_fail_dagrun=True)
    )


daily_file_batch()
