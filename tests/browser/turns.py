"""What the tests of a turn as an output of its own share: steps, and what they wait for."""

from __future__ import annotations

from typing import Any

import nbformat
from playwright.sync_api import Page, expect

from browser.lab import Notebook, Server

MIME = "application/vnd.praison-nb.turn+json"
WIDGET = "application/vnd.jupyter.widget-view+json"
STILL = {"text/html", "text/plain"}
WORDS = [str(n) for n in range(100)]


def wait_until_without(notebook: Notebook, index: int, mime: str) -> None:
    """Until the cell's outputs in the page hold nothing of that type."""
    notebook._wait_for(
        "([i, mime]) => { const outputs = jupyterapp.shell.currentWidget.content.widgets[i].model.outputs"
        ".toJSON(); return outputs.length && outputs.every(each => !each.data?.[mime]); }",
        [index, mime],
    )


def begin(notebook: Notebook, *cells: int) -> None:
    """Run the cells, and wait until each shows what it shows before its gate, and the page follows it: on a
    busy machine a widget may have stood in its place."""
    for index in cells:
        notebook.run(index)
    for index in cells:
        expect(notebook.view(index)).to_contain_text("99")
        expect(notebook.view(index).locator(".pnb-status")).to_have_text("running")
        wait_until_without(notebook, index, WIDGET)


def data(document: Any, index: int) -> Any:
    """What the cell's one output of a turn holds."""
    (output,) = [each for each in document.cells[index].outputs if "data" in each]
    return output.data


def wait_until_still(notebook: Notebook, *cells: int) -> None:
    """Until the notebook in the page holds nothing of ours there but HTML and text."""
    for index in cells:
        wait_until_without(notebook, index, MIME)


def go_on_after_a_reload(server: Server, page: Page, app: str = "") -> None:
    """Turns in the foreground, in the background, and while a tool waits: all go on in a page that is loaded
    again, and the file holds what there is."""
    cells = [
        "a, b, c = counting('fore', words=100), counting('back', words=100), asking('make <b>all</b>')",
        "%%agent -b c -s asks --bg\nGo",
        "%%agent -b b -s back --bg\nGo",
        "%%agent -b a -s fore\nGo",
    ]
    notebook = Notebook(page, server, cells, app=app)
    for index in (2, 3):
        notebook.run(index)
    begin(notebook, 4, 5)
    saved = notebook.save()
    nbformat.validate(saved)
    for index in (4, 5):
        assert set(data(saved, index)) == {MIME, *STILL}
        assert all(" ".join(WORDS) in data(saved, index)[kind] for kind in STILL)
    assert "make &lt;b&gt;all&lt;/b&gt;" in data(saved, 3)["text/html"]

    badge = page.locator(".pnb-status-item")
    has_badge = badge.count() == 1
    if has_badge:
        expect(badge).to_be_visible()
    server.configure("praison-nb/status", {"statusBar": False})

    # The kernel is busy, and tells the page nothing about itself.
    page.goto(server.address(notebook.name, app))
    for index in (4, 5):
        expect(notebook.view(index).locator(".pnb-text")).to_have_text(" ".join(WORDS))
        expect(notebook.view(index).get_by_role("button", name="Stop")).to_be_visible()
    if has_badge:
        expect(badge).to_contain_text("Agents: ")
        expect(badge).to_be_hidden()
    server.configure("praison-nb/status", {"statusBar": True})
    notebook.view(3).get_by_role("button", name="Allow once").click()
    server.open_gate("back")
    notebook.view(5).get_by_role("button", name="Stop").click()
    wait_until_still(notebook, 3, 4, 5)
    saved = notebook.save()
    nbformat.validate(saved)
    for index, words in [(3, "It is built."), (4, "99 end"), (5, "stopped by you after")]:
        assert set(data(saved, index)) == STILL
        assert words in data(saved, index)["text/html"]
        expect(notebook.cell(index)).to_contain_text(words)
    assert "widgets" not in saved.metadata
    # No later test has a page that was loaded without the badge.
    page.goto("about:blank")


IN_A_WIDGET = ["a = counting('widget', words=100)", "%%agent -b a -s widget --bg\nGo"]


def show_in_a_widget(notebook: Notebook, first: int = 2) -> None:
    """The turn of the cells IN_A_WIDGET where the page has no extension."""
    turn = first + 1
    notebook.run(first)
    notebook.run(turn)
    expect(notebook.view(turn)).to_contain_text("99")
    expect(notebook.view(turn).locator(".pnb-status")).to_have_text("running")
    assert WIDGET in notebook.outputs(turn)[0]["data"]
    expect(notebook.cell(turn).locator(".jp-OutputArea-child")).to_have_count(1)
    notebook.view(turn).get_by_role("button", name="Stop").click()
    wait_until_still(notebook, turn)
    expect(notebook.cell(turn)).to_contain_text("stopped by you after")
    saved = notebook.save()
    assert set(data(saved, turn)) == STILL and "98 99" in data(saved, turn)["text/plain"]
