"""The turn's output in other versions of front ends and of ipykernel, each in an environment of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import Page, expect

from browser.lab import PATIENCE_MS, Notebook, Server
from browser.turns import (
    IN_A_WIDGET,
    STILL,
    WORDS,
    data,
    go_on_after_a_reload,
    show_in_a_widget,
    wait_until_still,
)
from servers.environments import ROOT

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(600)]
expect.set_options(timeout=PATIENCE_MS)
FRONT_ENDS = {
    "oldest": ("jupyterlab==4.2.*", "notebook==7.2.*", "anywidget"),
    "newest": ("jupyterlab==4.6.*", "notebook==7.6.*", "anywidget"),
}
OPTIONS = ("--JupyterNotebookApp.expose_app_in_browser=True",)
APPS = ["jupyterlab", "notebook"]


@pytest.fixture(scope="module", params=FRONT_ENDS)
def front_end(request: pytest.FixtureRequest, environment: Callable[..., Path]) -> Path:
    """The Python of a server."""
    return environment(*FRONT_ENDS[request.param])


@pytest.fixture(scope="module", params=[True, False], ids=["extension", "widget"])
def server(
    request: pytest.FixtureRequest, front_end: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """One with the extension, and one without."""
    folder = tmp_path_factory.mktemp("server")
    with Server(folder, python=front_end, options=OPTIONS, extension=request.param) as server:
        yield server


@pytest.mark.parametrize("app", APPS)
def test_a_front_end(server: Server, page: Page, app: str) -> None:
    if server.has_extension:
        go_on_after_a_reload(server, page, app)
    else:
        show_in_a_widget(Notebook(page, server, IN_A_WIDGET, app=app))


@pytest.mark.parametrize("version", ["6.29", "6.31"])
def test_a_kernel_that_hears_no_page_while_a_cell_runs(
    environment: Callable[..., Path], tmp_path: Path, page: Page, version: str
) -> None:
    """The output has no Stop then; it attaches after the cell."""
    python = environment(ROOT, f"ipykernel=={version}.*")
    cells = ["import ipykernel\nipykernel.__version__"]
    cells += ["a, b, c = (counting(gate, words=100) for gate in 'abc')"]
    cells += [f"%%agent -b {name} -s {name}\nGo" for name in "ab"]
    cells += ["%%agent -b c -s c --bg\nGo"]
    with Server(tmp_path, kernel_python=python) as server:
        notebook = Notebook(page, server, cells)
        notebook.run(2)
        notebook.run(3)
        notebook.wait_idle(3)
        assert version in notebook.outputs(2)[0]["data"]["text/plain"]
        # No page has been heard of at the first one; it has at the second.
        for index, name in ((4, "a"), (5, "b")):
            notebook.run(index)
            expect(notebook.cell(index)).to_contain_text("98 99")
            expect(notebook.view(index).get_by_role("button", name="Stop")).to_be_hidden()
            assert not notebook.ended(index)
            server.open_gate(name)
            wait_until_still(notebook, index)
            expect(notebook.cell(index)).to_contain_text("99 end")
        notebook.run(6)
        stop = notebook.view(6).get_by_role("button", name="Stop")
        expect(stop).to_be_visible()
        notebook.save()
        notebook.open()
        expect(notebook.view(6).locator(".pnb-text")).to_have_text(" ".join(WORDS))
        stop.click()
        wait_until_still(notebook, 6)
        saved = notebook.save()
        nbformat.validate(saved)
        for index, words in [(4, "99 end"), (5, "99 end"), (6, "stopped by you after")]:
            assert set(data(saved, index)) == STILL and words in data(saved, index)["text/plain"]
