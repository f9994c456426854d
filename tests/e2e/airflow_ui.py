"""Airflow's web interface as a user handles it: log in, the trigger form, the backfill form."""

from __future__ import annotations

import datetime as dt
import re
from urllib.parse import unquote

from playwright.sync_api import FrameLocator, Locator, Page, expect

from tests.e2e.running_stack import DAG_ID, RunningStack

#: What the DAG is called on the screen.
TITLE = "Account data refresh (crm338)"


#: A choice in a list is a click too, and opens no pointer event of its own here.
_COUNT_CLICKS = """
    addEventListener("pointerdown", () => countClick(), true);
    addEventListener("change", event => event.target.matches("select") && countClick(), true);
"""


class AirflowUi:
    """A browser page that shows the Airflow of `stack`."""

    def __init__(self, page: Page, stack: RunningStack) -> None:
        self.page = page
        self._stack = stack

    def log_in(self, login: str) -> None:
        """Log in by the form that Airflow shows to everybody else."""
        self.page.goto(self._stack.settings.airflow_url)
        self.page.get_by_label("Username").fill(login)
        self.page.get_by_label("Password").fill(self._stack.password(login))
        self.page.get_by_role("button", name="Sign in").click()
        expect(self.page.get_by_role("link", name="Dags", exact=True).first).to_be_visible()

    def enter(self, login: str) -> None:
        """Be logged in, without the form and the pages before and after it."""
        token = {"name": "_token", "value": self._stack.token(login), "url": self._stack.settings.airflow_url}
        self.page.context.add_cookies([token])  # type: ignore[list-item]

    def go_home(self) -> list[str]:
        """Open Airflow's home page; returns the list that every click is added to, in frames too."""
        clicks: list[str] = []
        self.page.expose_binding("countClick", lambda source: clicks.append(source["frame"].url))
        self.page.add_init_script(_COUNT_CLICKS)
        self.page.goto(self._stack.settings.airflow_url)
        return clicks

    def open_console(self) -> FrameLocator:
        """From any page of Airflow to the console: one click; returns the frame that it stands in."""
        self.page.get_by_role("link", name="Rotina", exact=True).first.click()
        return self.page.frame_locator('iframe[title="Rotina"]')

    def open_dag(self) -> None:
        """From the menu to the list of DAGs, and there to ours."""
        self.page.get_by_role("link", name="Dags", exact=True).first.click()
        self.page.get_by_role("link", name=TITLE).click()
        expect(self.page.get_by_role("link", name="Overview")).to_be_visible()

    def open_trigger_form(self) -> Locator:
        """Open the form that asks for a run, from the page of the DAG; returns it."""
        self.page.get_by_role("button", name="Trigger Dag").click()
        form = self.page.get_by_role("dialog").filter(has=self.page.get_by_role("heading", name=TITLE))
        expect(form.get_by_role("button", name="What to refresh")).to_be_visible()
        return form

    def fill_business_date(self, form: Locator, business_date: dt.date) -> None:
        """Put a date into the param of the form, opening its section first where that is closed."""
        group = form.get_by_role("group").filter(has_text="Business date")
        if not group.is_visible():
            form.get_by_role("button", name="Run").click()
        group.get_by_role("textbox").fill(business_date.isoformat())

    def trigger(self, form: Locator) -> str:
        """Send the form; returns the id of the run whose page Airflow then shows."""
        form.get_by_role("contentinfo").get_by_role("button", name="Trigger").click()
        self.page.wait_for_url(re.compile(f"/dags/{DAG_ID}/runs/[^/]+"))
        expect(self.page.get_by_role("heading", name="3 Task Instances")).to_be_visible()
        return unquote(self.page.url).partition("/runs/")[2]

    def fill_backfill(self, form: Locator, first: dt.date, last: dt.date) -> None:
        """Choose a backfill and its first and last day in the form."""
        form.get_by_text("Backfill", exact=True).click()
        self._pick(form, "From", first)
        self._pick(form, "To", last)

    def _pick(self, form: Locator, label: str, day: dt.date) -> None:
        """Click a day in the calendar that a date field opens."""
        field = form.get_by_role("group").filter(has=self.page.get_by_text(label, exact=True))
        field.get_by_text("Select date and time").click()
        picker = self.page.get_by_role("dialog").filter(has=self.page.get_by_placeholder("YYYY/MM/DD"))
        month = picker.get_by_text(re.compile(r"^[A-Z][a-z]{2} \d{4}$"))
        shown = dt.datetime.strptime(month.inner_text(), "%b %Y")  # noqa: DTZ007 - only year and month
        for _ in range((shown.year - day.year) * 12 + shown.month - day.month):
            picker.get_by_role("button").first.click()  # the arrow back, which has no name
        expect(month).to_have_text(f"{day:%b %Y}")
        # Days of the months before and after fill up the weeks.
        days = picker.get_by_role("button", name=str(day.day), exact=True)
        (days.first if day.day <= 15 else days.last).click()
        self.page.keyboard.press("Escape")
        expect(picker).to_be_hidden()
        expect(field).to_contain_text(f"{day:%b %d, %Y}")
