"""The same in Notebook 7, and what a page shows of an untrusted notebook."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import Page, expect

from browser.lab import PATIENCE_MS, Notebook, Server

pytestmark = pytest.mark.browser
expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture(scope="module")
def notebook7(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(Path(tmp_path_factory.mktemp("notebook7")), app="notebook") as server:
        yield server


def test_runs_streams_asks_and_stops(notebook7: Server, page: Page) -> None:
    cells = ["a, b = asking(), research()", "%%agent -b a -s ask\nGo", "%%agent -b b -s stop\nGo"]
    notebook = Notebook(page, notebook7, cells)
    notebook.run(2)
    notebook.run(3)
    notebook.view(3).get_by_role("button", name="Allow once").click()
    expect(notebook.cell(3).locator(".jp-OutputArea")).to_contain_text("It is built.")
    notebook.run(4)
    view = notebook.view(4)
    expect(view.locator("strong", has_text="contract_type")).to_be_visible()
    assert not notebook.ended(4)
    view.get_by_role("button", name="Stop").click()
    expect(notebook.cell(4).locator(".jp-OutputArea")).to_contain_text("stopped by you")
    for index in (3, 4):
        # The dot stands in the still output only.
        expect(notebook.cell(index).locator(".jp-OutputArea")).to_contain_text("● idle")
    saved = notebook.save()
    assert "widgets" not in saved.metadata
    for index in (3, 4):
        assert [set(output["data"]) for output in saved.cells[index].outputs] == [
            {"text/markdown", "text/plain"},
            {"text/html", "text/plain"},
        ]


def test_an_untrusted_notebook_shows_the_same_words(notebook7: Server, page: Page) -> None:
    notebook = Notebook(page, notebook7, ["b = asking()", "%%agent -b b -s ask\nGo"])
    notebook.run(2)
    notebook.run(3)
    notebook.view(3).get_by_role("button", name="Deny").click()
    still = notebook.cell(3).locator(".jp-OutputArea")
    expect(still).to_contain_text("● idle")
    words = still.inner_text()
    saved = notebook.save()
    # Signed by nobody: as a file from somebody else.
    saved.cells[0].source += "\n# from elsewhere"
    nbformat.write(saved, notebook7.notebooks / "foreign.ipynb")
    page.goto(notebook7.address("foreign.ipynb"))
    foreign = page.locator(".jp-Notebook .jp-Cell").nth(3).locator(".jp-OutputArea")
    expect(foreign).to_contain_text("● idle")
    assert foreign.inner_text().split() == words.split()
