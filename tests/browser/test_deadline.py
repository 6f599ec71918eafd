"""The processor's time of a browser's pages is that of all there are, whatever ends meanwhile."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import psutil
import pytest
from playwright.sync_api import Browser, Page

from browser.deadline import Deadline

pytestmark = pytest.mark.browser


@pytest.fixture
def just_ended(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The first of the browser's processes has ended, and nobody has waited for it yet."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        ended, children = psutil.Process(process.pid), psutil.Process.children
        monkeypatch.setattr(psutil.Process, "children", lambda *a, **k: [ended, *children(*a, **k)])
        yield


def test_a_page_that_was_closed_hides_no_other(browser: Browser, page: Page, just_ended: None) -> None:
    """When time began to be counted it did, and then all that the others had ever taken was new."""
    assert page.evaluate("1") == 1
    assert sum(Deadline(browser).seconds().values()) > 0
