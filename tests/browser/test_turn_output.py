"""A turn as an output of its own, in a real JupyterLab with the extension: it survives its page and its
kernel, and ends up in the file."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import BrowserContext, Page, expect

from browser.lab import PATIENCE_MS, Notebook, Server
from browser.turns import (
    MIME,
    STILL,
    WORDS,
    begin,
    data,
    go_on_after_a_reload,
    wait_until_still,
)

pytestmark = pytest.mark.browser
expect.set_options(timeout=PATIENCE_MS)


def test_run_all_goes_on_after_an_answer(fill: Callable[[list[str]], Notebook]) -> None:
    cells = ["a, b = asking('make'), saying('A line.')"]
    cells += [f"%%agent -b {'a' if n == 7 else 'b'} -s all{n}\nGo" for n in range(16)]
    notebook = fill(cells)
    # The command itself is over when the last cell is.
    notebook.page.evaluate("() => { jupyterapp.commands.execute('notebook:run-all-cells'); }")
    allow = notebook.view(10).get_by_role("button", name="Allow once")
    expect(allow).to_be_enabled()
    assert notebook.ended(9) and not notebook.ended(11)
    allow.click()
    wait_until_still(notebook, *range(3, 19))
    saved = notebook.save()
    for index in range(3, 19):
        words = "It is built." if index == 10 else "A line."
        assert set(data(saved, index)) == STILL and words in data(saved, index)["text/plain"]


def test_what_stays_is_shown_in_a_widgets_output(fill: Callable[[list[str]], Notebook]) -> None:
    """No update of the kernel's reaches it there. What is no turn of ours is in nobody's way."""
    turn = "with out:\n    get_ipython().run_cell_magic('agent', '-b a -s inside --bg', 'Go')"
    odd = {MIME: {"version": 1, "id": "odd"}, "text/plain": "something else"}
    cells = ["a, b = counting('inside', words=100), counting('inside', words=100)"]
    cells += [f"for odd in {odd!r}, {{**{odd!r}, {MIME!r}: None}}:\n    display(odd, raw=True)"]
    cells += [f"from ipywidgets import *\ndisplay(out := Output())\n{turn}"]
    cells += ["%%agent -b b -s beside --bg\nGo"]
    notebook = fill(cells)
    for index in (2, 3, 4):
        notebook.run(index)
    begin(notebook, 5)
    expect(notebook.cell(3).locator(".jp-OutputArea-output")).to_have_text(["something else"] * 2)
    assert "98 99" in data(notebook.save(), 5)["text/plain"]
    expect(notebook.view(4)).to_contain_text("98 99")
    notebook.server.open_gate("inside")
    expect(notebook.cell(4)).to_contain_text("99 end")
    expect(notebook.cell(4)).to_contain_text("● idle")
    expect(notebook.view(4)).to_have_count(0)
    wait_until_still(notebook, 5)


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
        other = notebook.in_page(second)
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
    badge = page.locator(".pnb-status-item")
    expect(badge).to_be_hidden()
    page.evaluate(
        "new Promise(drawn => { jupyterapp.shell.widgets('bottom').next().value.update(); "
        "requestAnimationFrame(() => requestAnimationFrame(drawn)); })"
    )
    expect(badge).to_be_hidden()
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
    notebook.reopen()
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


@pytest.mark.parametrize("app", ["jupyterlab", pytest.param("notebook", marks=pytest.mark.slow)])
def test_a_page_that_is_loaded_again_goes_on(lab: Server, page: Page, app: str) -> None:
    go_on_after_a_reload(lab, page, app)
