"""The same in Notebook 7, and what a page shows of an untrusted notebook."""

from __future__ import annotations

import nbformat
import pytest
from playwright.sync_api import Page, expect

from browser.lab import PATIENCE_MS, Notebook, Server

pytestmark = pytest.mark.browser
expect.set_options(timeout=PATIENCE_MS)


APP = "notebook"


def test_runs_streams_asks_and_stops(lab: Server, page: Page) -> None:
    cells = ["a, b = asking(), research()", "%%agent -b a -s ask\nGo", "%%agent -b b -s stop\nGo"]
    notebook = Notebook(page, lab, cells, app=APP)
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
            {"text/html", "text/plain"},
            {"text/html", "text/plain"},
        ]


def test_a_chat_streams_stops_and_stays_as_a_transcript(lab: Server, page: Page) -> None:
    cells = ["import praison_nb\nb = counting('chat', words=5)", "praison_nb.chat(b)", "'the last cell'"]
    notebook = Notebook(page, lab, cells, app=APP)
    notebook.run(2)
    notebook.run(3)
    view = notebook.view(3)
    field = view.get_by_role("textbox", name="Message")
    field.click()
    page.keyboard.type("Count, please.")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("Slowly <b>!")
    # It began a new line, and ran no cell: neither this one, nor one below that would have been selected.
    expect(field).to_have_value("Count, please.\nSlowly <b>!")
    expect(field).to_be_focused()
    expect(view.locator(".pnb-prompt")).to_have_count(0)
    expect(notebook.cell(3).locator(".jp-InputArea-prompt")).to_have_text("[4]:")
    assert not notebook.ended(4) and notebook.cell(5).count() == 0
    page.keyboard.press("Enter")
    expect(view.locator(".pnb-prompt")).to_have_text("YouCount, please.\nSlowly <b>!", use_inner_text=True)
    # It streams: the answer is there and the turn is not over.
    expect(view.locator(".pnb-text")).to_have_text("0 1 2 3 4")
    expect(view.locator(".pnb-status")).to_have_text("running")
    expect(field).to_have_value("")
    view.get_by_role("button", name="Stop").click()
    expect(view).to_contain_text("stopped by you after")
    expect(view.locator(".pnb-status")).to_have_text("idle")
    lab.open_gate("chat")
    field.fill("To the end.")
    field.press("Enter")
    expect(view.locator(".pnb-text").nth(1)).to_have_text("0 1 2 3 4 end")
    expect(view.locator(".pnb-status")).to_have_text("idle")

    still = notebook.cell(3).locator(".pnb-behind")
    expect(still).to_contain_text("0 1 2 3 4 end")
    expect(still).to_be_hidden()
    saved = notebook.save()
    assert "widgets" not in saved.metadata
    transcript = saved.cells[3].outputs[-1]["data"]
    assert set(transcript) == {"text/html", "text/plain"}
    assert "You: Count, please.\nSlowly <b>!\n\n0 1 2 3 4" in transcript["text/plain"]
    lab.end_kernels()
    page.goto("about:blank")
    page.goto(lab.address(notebook.name, APP))
    expect(still).to_be_visible()
    for words in ("Slowly <b>!", "stopped by you after", "To the end.", "0 1 2 3 4 end"):
        expect(still).to_contain_text(words)
    expect(notebook.cell(3).locator(".jp-OutputArea").get_by_text("widget", exact=False)).to_be_hidden()


def test_an_untrusted_notebook_shows_the_same_words(lab: Server, page: Page) -> None:
    setup = "b = asking('ls <img src=x onerror=window.ran=1>')"
    notebook = Notebook(page, lab, [setup, "%%agent -b b -s ask\nGo"], app=APP)
    notebook.run(2)
    notebook.run(3)
    notebook.view(3).get_by_role("button", name="Deny").click()
    still = notebook.cell(3).locator(".jp-OutputArea")
    # The live view is gone, and both parts of the still output are there.
    expect(notebook.view(3)).to_have_count(0)
    expect(still).to_contain_text("It is built.")
    expect(still).to_contain_text("● idle")
    words = still.inner_text()
    saved = notebook.save()
    # Signed by nobody: as a file from somebody else.
    saved.cells[0].source += "\n# from elsewhere"
    nbformat.write(saved, lab.notebooks / "foreign.ipynb")
    page.goto(lab.address("foreign.ipynb", APP))
    foreign = page.locator(".jp-Notebook .jp-Cell").nth(3).locator(".jp-OutputArea")
    expect(foreign).to_contain_text("● idle")
    assert foreign.inner_text().split() == words.split()
    assert "onerror" in words and page.evaluate("window.ran") is None
