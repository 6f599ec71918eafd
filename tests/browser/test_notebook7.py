"""The same in Notebook 7, in a second tab, without the extension, and in an untrusted notebook."""

from __future__ import annotations

from typing import Any

import nbformat
import pytest
from playwright.sync_api import Page, expect

from browser.lab import PATIENCE_MS, Notebook, Server
from browser.turns import IN_A_WIDGET, STILL, show_in_a_widget

pytestmark = pytest.mark.browser
expect.set_options(timeout=PATIENCE_MS)


APP = "notebook"
HARM = "<img src=x onerror=window.harmed=1>"
CELLS = [
    "import praison_nb\nfirst, second = (counting(gate, words=20) for gate in ('first', 'second'))\n"
    f"a, b, c = asking({HARM!r}), research(), counting('chat', words=5)",
    *(f"%%agent -b {name} -s {name}\nGo" for name in ("first", "second")),
    *["1 + 1"] * 2,
    "%%agent -b a -s ask\nGo",
    "%%agent -b b -s stop\nGo",
    "praison_nb.chat(c)",
    "'the last cell'",
]


def test_runs_asks_stops_chats_and_stays(lab: Server, page: Page) -> None:
    """In the second tab of a notebook that is open in JupyterLab; then in a page without the extension, in a
    file from somebody else."""
    notebook = Notebook(page, lab, CELLS)
    notebook.run(2)
    notebook.wait_idle(2)
    notebook.save()
    tab = page.context.new_page()
    try:
        in_tab = a_second_tab_leaves_the_first_ones_output(notebook, tab)
        saved, words = runs_and_stays(in_tab)
        # Signed by nobody.
        saved.cells[0].source += "\n# from elsewhere"
        saved.cells += [nbformat.v4.new_code_cell(cell) for cell in IN_A_WIDGET]
        nbformat.write(saved, lab.notebooks / "foreign.ipynb")
        in_tab.name = "foreign.ipynb"
        with lab.without_extension():
            in_tab.open(APP)
        foreign = in_tab.cell(7).locator(".jp-OutputArea")
        expect(foreign).to_contain_text("● idle")
        assert foreign.inner_text().split() == words.split()
        chat = in_tab.cell(9).locator(".jp-OutputArea")
        for part in ("Slowly <b>!", "stopped by you after", "To the end.", "0 1 2 3 4 end"):
            expect(chat.get_by_text(part).first).to_be_visible()
        expect(chat.get_by_text("widget", exact=False)).to_be_hidden()
        assert "onerror" in words and tab.evaluate("window.harmed") is None
        in_tab.run(0)
        in_tab.run(1)
        show_in_a_widget(in_tab, len(CELLS) + 2)
    finally:
        tab.close()


def a_second_tab_leaves_the_first_ones_output(notebook: Notebook, tab: Page) -> Notebook:
    """One that is opened while a turn runs, and is there before the next one. Returns its notebook."""
    in_tab = None
    for index, gate in ((3, "first"), (4, "second")):
        notebook.run(index)
        expect(notebook.view(index)).to_contain_text("19")
        in_tab = in_tab or notebook.in_page(tab, APP)
        # The second tab has heard from the kernel, and so of the turn's widget where there is one.
        in_tab._wait_for(
            "() => window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel"
            "?.connectionStatus === 'connected'"
        )
        notebook.server.open_gate(gate)
        still = notebook.cell(index).locator(".jp-OutputArea")
        expect(still).to_contain_text("19 end")
        expect(still).to_contain_text("● idle")
        # What the second tab has to say has come to the kernel before this is over.
        notebook.run(index + 2)
        notebook.wait_idle(index + 2)
        expect(still).to_contain_text("19 end")
        assert [set(output["data"]) for output in notebook.outputs(index)] == [STILL]
    for cell in notebook.save().cells[3:5]:
        assert "19 end" in cell.outputs[0]["data"]["text/plain"]
    assert in_tab
    # What the first one has saved.
    tab.evaluate("jupyterapp.shell.currentWidget.context.revert()")
    return in_tab


def runs_and_stays(notebook: Notebook) -> tuple[Any, str]:
    """Questions, Stop, and a chat. Returns what was saved, and what the turn that asked shows."""
    notebook.run(7)
    allow = notebook.view(7).get_by_role("button", name="Allow once")
    allow.scroll_into_view_if_needed()
    allow.click()
    expect(notebook.cell(7).locator(".jp-OutputArea")).to_contain_text("It is built.")
    notebook.run(8)
    view = notebook.view(8)
    expect(view.locator("strong", has_text="contract_type")).to_be_visible()
    assert not notebook.ended(8)
    view.get_by_role("button", name="Stop").click()
    expect(notebook.cell(8).locator(".jp-OutputArea")).to_contain_text("stopped by you")
    for index in (7, 8):
        # The dot stands in the still output only.
        expect(notebook.cell(index).locator(".jp-OutputArea")).to_contain_text("● idle")
    chat_in(notebook, 9)
    still = notebook.cell(9).locator(".pnb-behind")
    expect(still).to_contain_text("0 1 2 3 4 end")
    expect(still).to_be_hidden()
    saved = notebook.save()
    assert "widgets" not in saved.metadata
    assert [set(output["data"]) for index in (7, 8) for output in saved.cells[index].outputs] == [STILL] * 2
    transcript = saved.cells[9].outputs[-1]["data"]
    assert set(transcript) == STILL
    assert "You: Count, please.\nSlowly <b>!\n\n0 1 2 3 4" in transcript["text/plain"]
    return saved, notebook.cell(7).locator(".jp-OutputArea").inner_text()


def chat_in(notebook: Notebook, index: int) -> None:
    """Two messages in the chat of the cell, the last but one; the first answer is stopped."""
    page = notebook.page
    notebook.run(index)
    view = notebook.view(index)
    field = view.get_by_role("textbox", name="Message")
    field.click()
    page.keyboard.type("Count, please.")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("Slowly <b>!")
    # It began a new line, and ran no cell: neither this one, nor one below that would have been selected.
    expect(field).to_have_value("Count, please.\nSlowly <b>!")
    expect(field).to_be_focused()
    expect(view.locator(".pnb-prompt")).to_have_count(0)
    expect(notebook.cell(index).locator(".jp-InputArea-prompt")).to_have_text("[10]:")
    assert not notebook.ended(index + 1) and notebook.cell(index + 2).count() == 0
    page.keyboard.press("Enter")
    expect(view.locator(".pnb-prompt")).to_have_text("YouCount, please.\nSlowly <b>!", use_inner_text=True)
    # It streams: the answer is there and the turn is not over.
    expect(view.locator(".pnb-text")).to_have_text("0 1 2 3 4")
    expect(view.locator(".pnb-status")).to_have_text("running")
    expect(field).to_have_value("")
    view.get_by_role("button", name="Stop").click()
    expect(view).to_contain_text("stopped by you after")
    expect(view.locator(".pnb-status")).to_have_text("idle")
    notebook.server.open_gate("chat")
    field.fill("To the end.")
    field.press("Enter")
    expect(view.locator(".pnb-text").nth(1)).to_have_text("0 1 2 3 4 end")
    expect(view.locator(".pnb-status")).to_have_text("idle")
