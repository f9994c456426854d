"""The daily files in the console: what proves that they went out, and missed days made up."""

from __future__ import annotations

import datetime as dt
import hashlib
import re
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from rotina.files.feeds import FEEDS
from rotina.local.stack import business_today
from tests.e2e.airflow_ui import AirflowUi
from tests.e2e.running_stack import RunningStack
from tests.e2e.test_account_data_refresh_ui import NewPage, Screenshot

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("e2e"), pytest.mark.timeout(900)]

DAG_ID = "daily_file_batch"
ONE_DAY = dt.timedelta(days=1)
YESTERDAY = business_today() - ONE_DAY
#: Days that no other test makes, before those that the demonstration's ERP has loaded.
MISSED = [business_today() - number * ONE_DAY for number in (10, 9)]

LOADED = """
    insert into erp.load_watermark (source, loaded_on, row_count, loaded_at)
    select 'sales_order', day, (select count(*) from erp.sales_order where ordered_on = day), now()
    from unnest('{{{days}}}'::date[]) as day
    union all
    select 'customer', day, (select count(*) from erp.customer
        where (created_at at time zone 'America/Sao_Paulo')::date = day), now()
    from unnest('{{{days}}}'::date[]) as day
"""


@pytest.fixture
def missed(stack: RunningStack) -> Iterator[list[dt.date]]:
    """The partner expects two days that nobody made; the ERP has them. Takes back what became of them."""
    (before,) = stack.rows("select first_business_date from crm.daily_file_setting")
    stack.execute(f"update crm.daily_file_setting set first_business_date = '{MISSED[0]}'")
    stack.execute(LOADED.format(days=",".join(map(str, MISSED))))
    yield MISSED
    stack.end_backfills(DAG_ID)
    stack.execute(
        f"update crm.daily_file_setting set first_business_date = '{before['first_business_date']}';"
        f"delete from crm.file_batch where business_date <= '{MISSED[-1]}';"
        f"delete from erp.load_watermark where loaded_on <= '{MISSED[-1]}'"
    )
    for day in MISSED:
        shutil.rmtree(stack.home / "daily-files" / f"{day:%Y%m%d}", ignore_errors=True)
        for path in (stack.home / "partner").glob(f"*_{day:%Y%m%d}*"):
            path.unlink()


def test_yesterdays_files_are_proven_to_have_gone_out(
    stack: RunningStack, new_page: NewPage, screenshot: Screenshot
) -> None:
    page = new_page()
    ui = AirflowUi(page, stack)
    ui.enter("user")
    clicks = ui.go_home()
    console = ui.open_console()
    console.get_by_role("link", name="Daily files", exact=True).click()
    row = console.locator(f'tr[data-day="{YESTERDAY}"]')
    expect(row).to_have_attribute("data-state", "complete")
    row.get_by_role("link").first.click()

    batch = console.locator("[data-batch]").first
    expect(batch).to_contain_text("All files and the manifest at the partner")
    expect(batch).to_contain_text("Read again there, and equal")
    for feed in FEEDS:
        (path,) = (stack.home / "partner").glob(f"ICOMMKT_{feed.label}_*_{YESTERDAY:%Y%m%d}")
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        expect(batch.locator(f'tr[data-feed="{feed.code}"]')).to_contain_text(digest)
    assert len(clicks) <= 4
    screenshot(page, "console-files-day")

    with page.expect_download() as download:
        batch.locator('tr[data-feed="orders"]').get_by_role("link", name="Download").click()
    (orders,) = (stack.home / "partner").glob(f"ICOMMKT_ORDERS_*_{YESTERDAY:%Y%m%d}")
    assert download.value.suggested_filename == orders.name
    assert download.value.path().read_bytes() == orders.read_bytes()
    (entry,) = stack.rows("select login, action from crm.audit_entry order by id desc limit 1")
    assert entry == {"login": "user", "action": "download_file"}


def test_missed_days_are_made_up_in_their_order(
    stack: RunningStack, new_page: NewPage, screenshot: Screenshot, missed: list[dt.date]
) -> None:
    before = {run["dag_run_id"] for run in stack.dag_runs("backfill", DAG_ID)}
    page = new_page()
    ui = AirflowUi(page, stack)
    ui.enter("user")
    clicks = ui.go_home()
    console = ui.open_console()
    console.get_by_role("link", name="Daily files", exact=True).click()
    if missed[0].month != YESTERDAY.month:
        console.get_by_role("link", name="Month before").click()
        clicks.pop()
    first = console.locator(f'tr[data-day="{missed[0]}"]')
    expect(first).to_have_attribute("data-state", "missing")
    screenshot(page, "console-files")
    console.get_by_role("button", name=re.compile("missing or late")).click()
    console.get_by_label("First day").fill(missed[0].isoformat())
    console.get_by_label("Last day").fill(missed[-1].isoformat())
    expect(console.get_by_role("dialog")).to_contain_text("2 days are run, one after the other")
    console.get_by_role("button", name="Run these days").click()
    expect(console.get_by_role("status").first).to_contain_text("one after the other")
    assert len(clicks) <= 4

    expect(console.locator("#backfill-progress")).to_contain_text("of 2 went well")
    runs = [run for run in stack.dag_runs("backfill", DAG_ID) if run["dag_run_id"] not in before]
    assert sorted(run["partition_key"] for run in runs) == [str(day) for day in missed]
    for run in runs:
        assert run["triggering_user_name"] == "user"
        assert stack.wait_for_run(run["dag_run_id"], DAG_ID) == "success"
    expect(console.locator("#backfill-progress")).to_contain_text("2 of 2 went well", timeout=60_000)
    stack.end_backfills(DAG_ID)
    expect(console.locator("#backfill-progress")).to_be_empty(timeout=60_000)  # the page is loaded anew
    for day in missed:
        expect(console.locator(f'tr[data-day="{day}"]')).to_have_attribute(
            "data-state", re.compile("complete|empty")
        )
    made = stack.rows(
        "select business_date from crm.file_batch where business_date = any(%s) and verified_at is not null "
        "order by sequence",
        missed,
    )
    assert [batch["business_date"] for batch in made] == missed
