"""The same in Notebook 7, and what a page shows of an untrusted notebook."""

from __future__ import annotations

import nbformat
import pytest
from playwright.sync_api import Page, expect

from browser.lab import PATIENCE_MS, Notebook, Server

pytestmark = pytest.mark.browser
expect.set_options(timeout=PATIENCE_MS)


APP = "notebook"


def test_runs_asks_stops_chats_and_stays(lab: Server, page: Page) -> None:
    harm = "<img src=x onerror=window.ran=1>"
    cells = [
        f"import praison_nb\na, b, c = asking({harm!r}), research(), counting('chat', words=5)",
        "%%agent -b a -s ask\nGo",
        "%%agent -b b -s stop\nGo",
        "praison_nb.chat(c)",
        "'the last cell'",
    ]
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
    chat_in(notebook)
    asked = notebook.cell(3).locator(".jp-OutputArea")
    words = asked.inner_text()
    still = notebook.cell(5).locator(".pnb-behind")
    expect(still).to_contain_text("0 1 2 3 4 end")
    expect(still).to_be_hidden()
    saved = notebook.save()
    assert "widgets" not in saved.metadata
    kinds = [set(output["data"]) for index in (3, 4) for output in saved.cells[index].outputs]
    assert kinds == [{"text/html", "text/plain"}] * 2
    transcript = saved.cells[5].outputs[-1]["data"]
    assert set(transcript) == {"text/html", "text/plain"}
    assert "You: Count, please.\nSlowly <b>!\n\n0 1 2 3 4" in transcript["text/plain"]
    lab.end_kernels()
    page.goto("about:blank")
    page.goto(lab.address(notebook.name, APP))
    expect(still).to_be_visible()
    for part in ("Slowly <b>!", "stopped by you after", "To the end.", "0 1 2 3 4 end"):
        expect(still).to_contain_text(part)
    expect(notebook.cell(5).locator(".jp-OutputArea").get_by_text("widget", exact=False)).to_be_hidden()
    # Signed by nobody: as a file from somebody else.
    saved.cells[0].source += "\n# from elsewhere"
    nbformat.write(saved, lab.notebooks / "foreign.ipynb")
    page.goto(lab.address("foreign.ipynb", APP))
    foreign = page.locator(".jp-Notebook .jp-Cell").nth(3).locator(".jp-OutputArea")
    expect(foreign).to_contain_text("● idle")
    assert foreign.inner_text().split() == words.split()
    assert "onerror" in words and page.evaluate("window.ran") is None


def chat_in(notebook: Notebook) -> None:
    """Two messages in the chat of the fifth cell; the first answer is stopped."""
    page = notebook.page
    notebook.run(5)
    view = notebook.view(5)
    field = view.get_by_role("textbox", name="Message")
    field.click()
    page.keyboard.type("Count, please.")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("Slowly <b>!")
    # It began a new line, and ran no cell: neither this one, nor one below that would have been selected.
    expect(field).to_have_value("Count, please.\nSlowly <b>!")
    expect(field).to_be_focused()
    expect(view.locator(".pnb-prompt")).to_have_count(0)
    expect(notebook.cell(5).locator(".jp-InputArea-prompt")).to_have_text("[6]:")
    assert not notebook.ended(6) and notebook.cell(7).count() == 0
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
