"""What is shown of a saved notebook whose kernel has gone, in a real JupyterLab and by nbconvert."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from nbconvert import HTMLExporter
from playwright.sync_api import Page, expect

from browser.hostile import HEAVY, NAMED
from browser.lab import PATIENCE_MS, Notebook, Server
from browser.pages import Listener
from browser.test_chat import say
from browser.turns import STILL, WIDGET

pytestmark = pytest.mark.browser
expect.set_options(timeout=PATIENCE_MS)
SIGNS = "<img src=x onerror=window.harmed=1><script>window.harmed=1</script>"


def hostile(listener: Listener) -> str:
    texts = "\n\n".join(text for name, text in NAMED.items() if name not in HEAVY)
    marks = {"@run@": "window.harmed=1", "@url@": f"{listener.url}/", "@path@": "x"}
    for mark, meant in marks.items():
        texts = texts.replace(mark, meant)
    return texts


def test_chats_and_tables_are_still_documents(
    lab: Server, page: Page, listener: Listener, fill: Callable[[list[str]], Notebook]
) -> None:
    """A chat; one of hostile texts, which never run; one whose transcript is saved in parts, behind it, in
    outputs that come after the end of its cell; the table of sessions."""
    backends = ("formatted()", f"saying({hostile(listener)!r})", "saying('words ' * 300)")
    cells = ["import praison_nb", *(f"praison_nb.chat({backend})" for backend in backends)]
    notebook = fill([*cells, "praison_nb.sessions()"])
    for index in (2, 3, 4, 5):
        notebook.run(index)
    lab.open_gate("formatted")
    messages = {3: ["Show <b>me</b>"], 4: [SIGNS], 5: [f"question {number}" for number in range(8)]}
    for index, prompts in messages.items():
        view = notebook.view(index)
        for number, prompt in enumerate(prompts):
            say(view, prompt)
            expect(view.locator(".pnb-prompt")).to_have_count(number + 1)
            expect(view.locator(".pnb-status")).to_have_text("idle")
    expect(notebook.view(3).locator("td", has_text="contract_type")).to_be_visible()
    expect(notebook.view(3).locator("mjx-container")).to_have_count(1)
    behind = {index: notebook.cell(index).locator(".pnb-behind") for index in messages}
    for index, words in [(3, "contract_type"), (4, "onerror"), (5, "question 7")]:
        expect(behind[index].last).to_contain_text(words)
    assert behind[5].count() > 1
    for each in behind.values():
        for index in range(each.count()):
            expect(each.nth(index)).to_be_hidden()
    notebook.run(6)
    expect(notebook.cell(6).locator(".pnb-alive tbody tr").nth(2)).to_be_visible()

    saved = notebook.save()
    assert "widgets" not in saved.metadata
    first, second = saved.cells[3].outputs
    assert set(first["data"]) == {WIDGET, *STILL}
    assert set(second["data"]) == STILL
    assert "You: Show <b>me</b>" in second["data"]["text/plain"]
    texts = "\n\n".join(each["data"]["text/plain"] for each in saved.cells[5].outputs[1:])
    assert [texts.count(f"You: question {number}\n") for number in range(8)] == [1] * 8
    html, _ = HTMLExporter().from_notebook_node(saved)
    assert "Show &lt;b&gt;me&lt;/b&gt;" in html
    assert ">contract_type</td>" in html

    notebook.reopen()
    shown = {index: notebook.cell(index).locator(".jp-OutputArea") for index in (3, 4, 5, 6)}
    expect(shown[3].locator("td", has_text="contract_type")).to_be_visible()
    expect(shown[3]).to_contain_text("Show <b>me</b>")
    expect(behind[4]).to_be_visible()
    for number in (0, 7):
        expect(shown[5].get_by_text(f"question {number}")).to_be_visible()
    expect(shown[6].locator("td").first).to_be_visible()
    for index in (3, 6):
        expect(shown[index].get_by_text("widget", exact=False)).to_be_hidden()
    assert page.evaluate("window.harmed") is None
    assert [request.path for request in listener.requests] == []
