"""A turn as an output of its own, in a real JupyterLab with the extension: it survives its page and its
kernel, and ends up in the file."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from pathlib import Path
from typing import Any

import nbformat
import pytest
from playwright.sync_api import BrowserContext, Page, expect

from browser.lab import PATIENCE_MS, Notebook, Server

pytestmark = pytest.mark.browser
expect.set_options(timeout=PATIENCE_MS)
MIME = "application/vnd.praison-nb.turn+json"
WIDGET = "application/vnd.jupyter.widget-view+json"
STILL = {"text/html", "text/plain"}
NOTEBOOK_7 = pytest.mark.slow(reason="the same in Notebook 7")
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


@pytest.mark.parametrize("app", ["jupyterlab", pytest.param("notebook", marks=NOTEBOOK_7)])
def test_a_page_that_is_loaded_again_goes_on(lab: Server, page: Page, app: str) -> None:
    """In the foreground, in the background, and while a tool waits. The file holds what there is."""
    cells = [
        "a, b, c = counting('fore', words=100), counting('back', words=100), asking('make <b>all</b>')",
        "%%agent -b c -s asks --bg\nGo",
        "%%agent -b b -s back --bg\nGo",
        "%%agent -b a -s fore\nGo",
    ]
    notebook = Notebook(page, lab, cells, app=app)
    for index in (2, 3):
        notebook.run(index)
    begin(notebook, 4, 5)
    saved = notebook.save()
    nbformat.validate(saved)
    for index in (4, 5):
        assert set(data(saved, index)) == {MIME, *STILL}
        assert all(" ".join(WORDS) in data(saved, index)[kind] for kind in STILL)
    assert "make &lt;b&gt;all&lt;/b&gt;" in data(saved, 3)["text/html"]

    # The kernel is busy, and tells the page nothing about itself.
    page.goto(lab.address(notebook.name, app))
    for index in (4, 5):
        expect(notebook.view(index).locator(".pnb-text")).to_have_text(" ".join(WORDS))
        expect(notebook.view(index).get_by_role("button", name="Stop")).to_be_visible()
    notebook.view(3).get_by_role("button", name="Allow once").click()
    lab.open_gate("back")
    notebook.view(5).get_by_role("button", name="Stop").click()
    wait_until_still(notebook, 3, 4, 5)
    saved = notebook.save()
    nbformat.validate(saved)
    for index, words in [(3, "It is built."), (4, "99 end"), (5, "stopped by you after")]:
        assert set(data(saved, index)) == STILL
        assert words in data(saved, index)["text/html"]
        expect(notebook.cell(index)).to_contain_text(words)
    assert "widgets" not in saved.metadata


@pytest.mark.slow(reason="another page that is loaded again")
def test_a_turn_that_ends_without_a_page_ends_up_in_the_file(lab: Server, page: Page) -> None:
    cells = ["a = counting('away', words=100)", "%%agent -b a -s away --bg\nGo"]
    notebook = Notebook(page, lab, cells)
    notebook.run(2)
    begin(notebook, 3)
    notebook.save()
    page.goto("about:blank")
    lab.open_gate("away")
    notebook.open()
    expect(notebook.cell(3)).to_contain_text("99 end")
    wait_until_still(notebook, 3)
    saved = notebook.save()
    assert set(data(saved, 3)) == STILL and "99 end" in data(saved, 3)["text/plain"]


@pytest.mark.slow(reason="another page")
def test_two_tabs_are_right_at_every_moment(lab: Server, page: Page, context: BrowserContext) -> None:
    cells = ["a = counting('tabs', words=100)", "%%agent -b a -s tabs --bg\nGo"]
    notebook = Notebook(page, lab, cells)
    notebook.run(2)
    begin(notebook, 3)
    notebook.save()
    second = context.new_page()
    try:
        other = Notebook.__new__(Notebook)
        other.page, other.server, other.name = second, lab, notebook.name
        other.open()
        expect(other.view(3).locator(".pnb-text")).to_have_text(" ".join(WORDS))
        lab.open_gate("tabs")
        for each in (notebook, other):
            expect(each.cell(3)).to_contain_text("99 end")
            expect(each.cell(3)).to_contain_text("● idle")
            wait_until_still(each, 3)
            assert "99 end" in each.outputs(3)[0]["data"]["text/plain"]
    finally:
        second.close()


@pytest.mark.slow(reason="cells that come back, and notebooks of other kernels")
def test_an_output_that_comes_back_is_followed(lab: Server, page: Page) -> None:
    """By an undo when its turn is over, and in another notebook."""
    cells = ["a, b = (counting(gate, words=100) for gate in ('undone', 'copied'))"]
    cells += [f"%%agent -b {name} -s {name} --bg\nGo" for name in "ab"]
    notebook = Notebook(page, lab, cells)
    notebook.run(2)
    begin(notebook, 3, 4)
    page.evaluate("jupyterapp.shell.currentWidget.content.activeCellIndex = 3")
    notebook.do("notebook:delete-cell")
    lab.open_gate("undone")
    expect(page.locator("#pnb-announcer")).to_have_text("a: idle")
    page.evaluate("jupyterapp.shell.currentWidget.content.activeCellIndex = 3")
    notebook.do("notebook:copy-cell")
    first, other = notebook.name, f"other-{notebook.name}"
    notebook.do("notebook:undo-cell-action")
    wait_until_still(notebook, 3)
    expect(notebook.cell(3)).to_contain_text("99 end")
    lab.write(other, ["1"])
    page.evaluate("path => jupyterapp.commands.execute('docmanager:open', {path})", other)
    notebook._wait_for("path => jupyterapp.shell.currentWidget.context?.path === path", other)
    notebook._wait_until_ready()
    notebook.do("notebook:paste-cell-below")
    expect(notebook.view(1)).to_contain_text("98 99")
    lab.open_gate("copied")
    wait_until_still(notebook, 1)
    for path in (first, other):
        find = "[...jupyterapp.shell.widgets('main')].find(each => each.context?.path === path)"
        page.evaluate(f"path => {find}.context.save()", path)
    for path, index in [(first, 3), (first, 4), (other, 1)]:
        saved = lab.read(path)
        assert set(data(saved, index)) == STILL and "99 end" in data(saved, index)["text/plain"]


@pytest.mark.slow(reason="a kernel more")
def test_the_next_kernel_gives_what_it_has_of_a_turn(lab: Server, page: Page) -> None:
    """All of one that ended, though the kernel had no praison_nb when it was asked first; of one that it was
    killed in no less than the page saw."""
    cells = ["a, b, c = (counting(gate, words=100) for gate in ('over', 'cut', 'next'))\nos.getpid()"]
    cells += [f"%%agent -b {name} -s {name} --bg\nGo" for name in "abc"]
    notebook = Notebook(page, lab, cells)
    notebook.run(2)
    begin(notebook, 3, 4)
    pid = int(notebook.outputs(2)[0]["data"]["text/plain"])
    notebook.save()
    page.goto("about:blank")
    lab.open_gate("over")
    path = lab.folder / "ledgers" / notebook.name / "sessions.sqlite"
    while not any("99 end" in turn for (turn,) in sqlite3.connect(path).execute("SELECT turn FROM turns")):
        time.sleep(0.05)
    os.kill(pid, signal.SIGKILL)
    lab.end_kernels()
    # Less of the second one was kept than the file has.
    with sqlite3.connect(path) as connection:
        connection.execute(
            "UPDATE turns SET turn = replace(turn, '98 99', '98') WHERE turn NOT LIKE '%99 end%'"
        )
    notebook.open()
    for index in (3, 4):
        expect(notebook.view(index).locator(".pnb-status")).to_have_text("unknown")
    for index in (0, 1, 2, 5):
        notebook.run(index)
    wait_until_still(notebook, 3)
    expect(notebook.view(5)).to_contain_text("98 99")
    saved = notebook.save()
    assert "99 end" in data(saved, 3)["text/plain"] and set(data(saved, 3)) == STILL
    assert "98 99" in data(saved, 4)["text/plain"] and MIME in data(saved, 4)


def test_the_kernels_end_is_seen_and_costs_no_text(lab: Server, page: Page) -> None:
    """It is killed, then restarted."""
    cells = [
        "import os; os.getpid()",
        "%load_ext praison_nb\nfrom browser.scenarios import *\na = counting('never', words=100)",
        "%%agent -b a -s dies --bg\nGo",
        "%%agent -b a -s restarts\nGo",
    ]
    notebook = Notebook(page, lab, cells)
    notebook.run(2)
    notebook.wait_idle(2)
    notebook.run(3)
    begin(notebook, 4)
    os.kill(int(notebook.outputs(2)[0]["data"]["text/plain"]), signal.SIGKILL)
    lost(notebook, 4, "The kernel was restarted")
    # The next kernel knows nothing of that turn, and shows its own.
    notebook._wait_for("jupyterapp.shell.currentWidget.sessionContext.session.kernel.status === 'idle'")
    page.locator(".jp-Dialog-button").click()
    notebook.run(3)
    begin(notebook, 5)
    notebook.restart()
    lost(notebook, 5, "The kernel was restarted")
    saved = notebook.save()
    for index in (4, 5):
        assert all(" ".join(WORDS) in data(saved, index)[kind] for kind in STILL)
    notebook.reopen()
    for index in (4, 5):
        expect(notebook.cell(index)).to_contain_text("98 99")
        expect(notebook.view(index).get_by_role("button")).to_have_count(0)
    # From somebody else: signed by nobody.
    saved.cells[0].source += "\n# from elsewhere"
    nbformat.write(saved, lab.notebooks / "foreign.ipynb")
    notebook.name = "foreign.ipynb"
    notebook.open()
    expect(notebook.cell(4)).to_contain_text("98 99")
    expect(notebook.view(4)).to_have_count(0)


def lost(notebook: Notebook, index: int, words: str) -> None:
    """The turn's kernel has gone: the output says so and keeps the text."""
    view = notebook.view(index)
    expect(view).to_contain_text(words)
    expect(view.locator(".pnb-status")).to_have_text("unknown")
    expect(view.locator(".pnb-text")).to_have_text(" ".join(WORDS))
    expect(view.get_by_role("button", name="Stop")).to_be_hidden()


@pytest.mark.slow(reason="a server of its own")
def test_the_file_has_the_text_when_all_pages_and_the_server_are_gone(
    tmp_path: Path, context: BrowserContext
) -> None:
    folder = tmp_path / "server"
    with Server(folder) as server:
        page = context.new_page()
        notebook = Notebook(
            page, server, ["a = counting('gone', words=100)", "%%agent -b a -s gone --bg\nGo"]
        )
        notebook.run(2)
        begin(notebook, 3)
        notebook.save()
        page.close()
    document = server.read(notebook.name)
    nbformat.validate(document)
    assert all(" ".join(WORDS) in data(document, 3)[kind] for kind in STILL)


def test_focus_goes_back_to_the_cell_and_the_end_is_said(lab: Server, page: Page) -> None:
    cells = [
        "a, b = asking('make', 'make test'), research()",
        "%%agent -b a -s keys\nGo",
        "%%agent -b b -s bar\nGo",
    ]
    notebook = Notebook(page, lab, cells)
    notebook.run(2)
    notebook.run(3)
    focused = "i => document.activeElement === document.querySelectorAll('.jp-NotebookPanel .jp-Cell')[i]"
    for answer in ("Allow once", "Deny"):
        question = notebook.view(3).get_by_role("group", name="bash wants to run")
        expect(question.get_by_role("button", name="Allow once")).to_be_enabled()
        # Tab reaches every control, and none is left out.
        names = ["Allow once", "Allow bash for this session", "Deny", "■ Stop"]
        question.locator("pre").focus()
        for name in names:
            page.keyboard.press("Tab")
            assert page.evaluate("document.activeElement.textContent") == name
        question.get_by_role("button", name=answer).focus()
        page.keyboard.press("Enter")
        assert page.evaluate(focused, 3)
        if answer == "Allow once":
            expect(question).to_contain_text("make test")
    wait_until_still(notebook, 3)
    expect(page.locator("#pnb-announcer")).to_have_text("keys: idle")
    assert page.evaluate(focused, 3)
    notebook.run(4)
    bar = notebook.view(4).get_by_role("progressbar")
    expect(bar).to_have_attribute("aria-valuenow", "31")
    expect(bar).to_have_attribute("aria-valuemax", "100")
    badge = page.locator(".pnb-status-item")
    expect(badge).to_have_text("Agents: 1 running · $0.0656 today")
    badge.click()
    expect(page.locator(".jp-Dialog td").nth(0)).to_have_text("keys")
    page.locator(".jp-Dialog-button").click()
    notebook.view(4).get_by_role("button", name="Stop").click()
    assert page.evaluate(focused, 4)
    expect(badge).to_have_text("Agents: idle · $0.0656 today")


def test_without_the_extension_a_widget_shows_the_same(
    tmp_path_factory: pytest.TempPathFactory, context: BrowserContext
) -> None:
    cells = ["a = counting('widget', words=100)", "%%agent -b a -s widget --bg\nGo"]
    with Server(Path(tmp_path_factory.mktemp("bare")), extension=False) as server:
        page = context.new_page()
        try:
            notebook = Notebook(page, server, cells)
            notebook.run(2)
            begin(notebook, 3)
            expect(notebook.cell(3).locator(".jp-OutputArea-child")).to_have_count(1)
            notebook.view(3).get_by_role("button", name="Stop").click()
            wait_until_still(notebook, 3)
            expect(notebook.cell(3)).to_contain_text("stopped by you after")
            saved = notebook.save()
            assert set(data(saved, 3)) == STILL and "98 99" in data(saved, 3)["text/plain"]
        finally:
            page.close()
