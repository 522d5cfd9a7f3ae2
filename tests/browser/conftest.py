"""A real Chromium of this machine, driven by Playwright; where there is none the tests fail and say what to install."""
# Playwright is installed for the session `browser` only.
# mypy: disable-error-code="import-not-found"

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import sync_playwright

from matrix.report.page import write_report
from tests import reports

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

_FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
_NAMES = ("/usr/bin/chromium", "chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def chromium() -> str:
    """Return the path of a Chromium; raise LookupError with what to install where there is none."""
    wanted = os.environ.get("CHROMIUM")
    found = next((path for name in ([wanted] if wanted else _NAMES) if (path := shutil.which(name))), None)
    if found:
        return found
    missing = f"CHROMIUM={wanted} is no program" if wanted else "no Chromium on this machine"
    raise LookupError(f"{missing}: apt-get install chromium, or set CHROMIUM to the path of a Chromium or Chrome")


def pytest_sessionstart(session: pytest.Session) -> None:
    try:
        chromium()
    except LookupError as error:
        raise pytest.UsageError(str(error)) from None


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=_FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def report(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of a report on a few cells, in a file."""
    path: Path = tmp_path_factory.mktemp("report") / "matrix.html"
    write_report(reports.few(), reports.REASONS, path)
    return path.as_uri()
