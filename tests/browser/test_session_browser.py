"""The table of sessions in a real JupyterLab."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from browser.lab import PATIENCE_MS, Notebook, Server

pytestmark = pytest.mark.browser
expect.set_options(timeout=PATIENCE_MS)


OWN = """
import praison_nb
class Own(type(scripted())):
    async def events(self, prompt, run):
        steps = super().events(prompt, run)
        await anext(steps)  # it names a session that all scripted backends share
        async for step in steps:
            yield step
a, b = unpriced(), research()
a.__class__ = b.__class__ = Own
"""


def test_live_badges_filter_sort_open_archive_delete(lab: Server, page: Page) -> None:
    cells = [
        OWN,
        "%%agent -b a -s <b>small</b>\nHello",
        "praison_nb.sessions()",
        "%%agent -b b -s research --bg\nGo",
    ]
    notebook = Notebook(page, lab, cells)
    for index in (2, 3):
        notebook.run(index)
        notebook.wait_idle(index)
    notebook.run(4)
    cell = notebook.cell(4)
    rows = cell.locator("tbody tr")
    expect(rows).to_have_count(1)
    expect(rows.first).to_contain_text("<b>small</b>")
    expect(rows.first.locator("td").nth(7)).to_have_text("—")
    notebook.run(5)
    notebook.wait_idle(5)
    cell.get_by_role("button", name="Refresh").click()
    expect(rows).to_have_count(2)
    research = rows.filter(has_text="research")
    expect(research).to_contain_text("● running")
    lab.open_gate("research")
    # By itself: it follows the kernel's sessions.
    expect(research).to_contain_text("● idle")
    expect(research.locator("td").nth(7)).to_have_text("$0.0357")
    expect(research.locator("td").nth(4)).to_have_text("1")

    cell.get_by_label("Sort by").select_option("session")
    expect(rows.first).to_contain_text("<b>small</b>")
    cell.get_by_label("Sort by").select_option("cost")
    expect(rows.first).to_contain_text("research")
    cell.get_by_label("Filter").fill("smoll")
    expect(rows).to_have_count(1)
    expect(rows.first).to_contain_text("<b>small</b>")
    cell.get_by_label("Filter").fill("")
    expect(rows).to_have_count(2)

    choose = cell.get_by_label("Session", exact=True)
    choose.select_option(index=0)
    cell.get_by_role("button", name="Open").click()
    view = cell.locator(".pnb")
    expect(view.locator(".pnb-prompt")).to_contain_text("Go")
    expect(view.locator("strong", has_text="monthly_charges")).to_be_visible()

    choose.select_option(index=1)
    cell.get_by_role("button", name="Delete …").click()
    cell.get_by_role("button", name="Keep").click()
    expect(rows).to_have_count(2)
    cell.get_by_role("button", name="Delete …").click()
    expect(cell).to_contain_text("Delete session '<b>small</b>'")
    cell.get_by_role("button", name="Delete", exact=True).click()
    expect(cell).to_contain_text("is deleted.")
    expect(rows).to_have_count(1)

    # What the table was when the cell ran.
    saved = notebook.save().cells[4].outputs[0]["data"]
    assert saved["text/plain"].startswith("<b>small</b>  idle")
    assert "&lt;b&gt;small&lt;/b&gt;" in saved["text/html"]
