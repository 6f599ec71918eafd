from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from browser.lab import Notebook, Server, first_page, launch
from browser.pages import Listener
from browser.places import OPTIONS, SETTINGS
from servers.environments import install


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = launch(playwright)
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """It serves Notebook 7 too. Its pages hold all outputs, and take what comes at once."""
    with Server(Path(tmp_path_factory.mktemp("lab")), settings=SETTINGS, options=OPTIONS) as server:
        yield server


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Makes an environment with these packages, once; returns its Python."""
    folder = tmp_path_factory.mktemp
    return functools.cache(lambda *packages: install(folder("env"), sys.executable, *packages))


@pytest.fixture(scope="package")
def context(browser: Browser) -> Iterator[BrowserContext]:
    # What moves is drawn at each frame, by the processor.
    context = browser.new_context(reduced_motion="reduce")
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A page that earlier tests have used: it takes seconds to load. None uses it after one that failed."""
    page = first_page(context)
    failed = request.session.testsfailed
    yield page
    if request.session.testsfailed > failed:
        page.close()


@pytest.fixture(scope="package")
def shared() -> list[Notebook]:
    """The notebook that tests fill one after the other, once there is one."""
    return []


@pytest.fixture
def fill(lab: Server, page: Page, shared: list[Notebook]) -> Callable[[list[str]], Notebook]:
    """A notebook with these cells, for tests that need no kernel and no file of their own, but sessions of
    names of their own."""

    def filled(cells: list[str]) -> Notebook:
        if shared and shared[0].page is page and shared[0].is_open():
            shared[0].refill(cells)
        else:
            shared[:] = [Notebook(page, lab, cells)]
        return shared[0]

    return filled


@pytest.fixture
def listener() -> Iterator[Listener]:
    with Listener() as running:
        yield running
