"""Fixtures of the end-to-end tests: one running environment, and browsers in a time zone of choice."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from rotina.local.settings import REPOSITORY
from tests.e2e.running_stack import RunningStack

_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_BROWSER_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
#: How long one thing on the screen may take; the machine may be busy (milliseconds).
_PATIENCE = 60_000

#: Where the logs of the environment and a picture of the page go when a test fails.
_RESULTS = REPOSITORY / "test-results"
_IMAGES = REPOSITORY / "docs" / "images"

_FAILED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note down for the fixtures that a test failed."""
    report = yield
    item.stash[_FAILED] = item.stash.get(_FAILED, False) or report.failed
    return report


# Of the package, not of the session: neither runs on beside the tests that come after these.
@pytest.fixture(scope="package")
def stack(request: pytest.FixtureRequest) -> Iterator[RunningStack]:
    """The embedded environment, up; brought down at the end, and then none of its processes may be left."""
    stack = RunningStack(accounts=300)
    try:
        stack.up()
        yield stack
    finally:
        stack.down()
        if request.session.testsfailed:
            shutil.copytree(stack.home / "logs", _RESULTS / "logs", dirs_exist_ok=True)
        left = stack.processes()
        shutil.rmtree(stack.home)
    assert left == []


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """A running Chromium. Without one the test is skipped, in continuous integration it fails."""
    executable = next(
        filter(None, map(shutil.which, (os.environ.get("ROTINA_CHROMIUM", ""), *_BROWSERS))), None
    )
    if executable is None:
        reason = "no Chromium: apt-get install chromium, or set ROTINA_CHROMIUM to the path of one"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=_BROWSER_ARGUMENTS)
        expect.set_options(timeout=_PATIENCE)
        yield browser
        browser.close()


@pytest.fixture
def new_page(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Callable[..., Page]]:
    """Opens a page of a browser in a time zone, as somebody new who reads English unless told otherwise."""
    pages: list[Page] = []
    with ExitStack() as contexts:

        def open_page(timezone: str = "America/Sao_Paulo", locale: str = "en-US") -> Page:
            context = browser.new_context(
                locale=locale,
                timezone_id=timezone,
                viewport={"width": 1280, "height": 800},
                color_scheme="light",
            )
            contexts.callback(context.close)
            context.set_default_timeout(_PATIENCE)
            pages.append(context.new_page())
            return pages[-1]

        yield open_page
        if request.node.stash[_FAILED]:
            for number, page in enumerate(pages):
                page.screenshot(path=_RESULTS / f"{request.node.name}-{number}.png")


@pytest.fixture
def screenshot() -> Callable[[Page, str], None]:
    """Takes a picture for the documentation.

    Write them anew with `ROTINA_SCREENSHOTS=1 make test ARGS="tests/e2e -k 'ui or queue'"`.
    """

    def take(page: Page, name: str) -> None:
        if os.environ.get("ROTINA_SCREENSHOTS"):
            page.evaluate("document.activeElement.blur()")
            page.mouse.move(0, 0)
            page.screenshot(path=Path(_IMAGES, f"{name}.png"), animations="disabled")

    return take
