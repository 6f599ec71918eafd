"""The table of sessions in a real JupyterLab."""

from __future__ import annotations

import pytest
from playwright.sync_api import Locator, Page, expect

from browser.lab import PATIENCE_MS, Notebook, Server
from servers.openai import OpenAIServer, reply

pytestmark = pytest.mark.browser
expect.set_options(timeout=PATIENCE_MS)
WIDGET = "application/vnd.jupyter.widget-view+json"


def choose(cell: Locator, name: str) -> None:
    options = cell.get_by_label("Session", exact=True)
    options.select_option(label=options.locator("option", has_text=name).inner_text())


def press(cell: Locator, button: str) -> None:
    cell.get_by_role("button", name=button, exact=True).click()


def test_live_badges_filter_sort_open_delete(lab: Server, page: Page) -> None:
    cells = [
        "import praison_nb\na, b = unpriced(), research()",
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
    rows = cell.locator(".pnb-alive tbody tr")
    expect(rows).to_have_count(1)
    expect(rows.first).to_contain_text("<b>small</b>")
    expect(rows.first.locator("td").nth(6)).to_have_text("—")
    notebook.run(5)
    notebook.wait_idle(5)
    press(cell, "Refresh")
    expect(rows).to_have_count(2)
    research = rows.filter(has_text="research")
    expect(research).to_contain_text("● running")
    lab.open_gate("research")
    # By itself: it follows the kernel's sessions.
    expect(research).to_contain_text("● idle")
    expect(research.locator("td").nth(6)).to_have_text("$0.0357")
    expect(research.locator("td").nth(3)).to_have_text("1")

    cell.get_by_label("Sort by").select_option("session")
    expect(rows.first).to_contain_text("<b>small</b>")
    cell.get_by_label("Sort by").select_option("cost")
    expect(rows.first).to_contain_text("research")
    cell.get_by_label("Filter").fill("smoll")
    expect(rows).to_have_count(1)
    expect(rows.first).to_contain_text("<b>small</b>")
    cell.get_by_label("Filter").fill("")
    expect(rows).to_have_count(2)

    press(cell, "Open")
    expect(cell).to_contain_text("Choose a session first.")
    choose(cell, "research")
    press(cell, "Open")
    view = cell.locator(".pnb")
    expect(view.locator(".pnb-prompt")).to_contain_text("Go")
    expect(view.locator("strong", has_text="monthly_charges")).to_be_visible()

    choose(cell, "<b>small</b>")
    press(cell, "Delete …")
    press(cell, "Keep")
    expect(rows).to_have_count(2)
    press(cell, "Delete …")
    expect(cell).to_contain_text("Delete session '<b>small</b>'")
    press(cell, "Delete")
    expect(cell).to_contain_text("is deleted.")
    expect(rows).to_have_count(1)


def test_an_earlier_kernels_session_goes_on_and_is_archived(
    lab: Server, page: Page, openai_server: OpenAIServer
) -> None:
    server = f"import os, praison_nb\nos.environ['OPENAI_BASE_URL'] = {openai_server.base_url!r}\n"
    cells = [
        f"{server}os.environ['OPENAI_API_KEY'] = 'test-key-123'",
        "%%agent -b local -s churn\nWhich columns?",
        "praison_nb.sessions()",
    ]
    openai_server.script(reply("Two of them."), reply("Really."))
    notebook = Notebook(page, lab, cells)
    for index in (2, 3):
        notebook.run(index)
        notebook.wait_idle(index)
    notebook.restart()
    for index in (0, 1, 2, 4):
        notebook.run(index)
        notebook.wait_idle(index)
    cell = notebook.cell(4)
    rows = cell.locator(".pnb-alive tbody tr").filter(has_text="churn")
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("● idle")
    expect(rows.locator("td").nth(3)).to_have_text("1")
    choose(cell, "churn")
    press(cell, "Open")
    view = cell.locator(".pnb")
    expect(view.locator(".pnb-prompt")).to_contain_text("Which columns?")
    expect(view.locator(".pnb-text")).to_contain_text("Two of them.")
    field = view.get_by_role("textbox", name="Message")
    field.fill("Really?")
    field.press("Enter")
    expect(view.locator(".pnb-text").last).to_contain_text("Really.")
    said = [message["content"] for message in openai_server.bodies[-1]["messages"]]
    assert said == ["Which columns?", "Two of them.", "Really?"]
    expect(rows.locator("td").nth(3)).to_have_text("2")

    # What is saved is the table as it is then, and it shows where nothing lives.
    behind = cell.locator(".pnb-behind tr").filter(has_text="churn")
    expect(behind.locator("td").nth(3)).to_have_text("2")
    expect(behind).to_be_hidden()
    first, second = notebook.save().cells[4].outputs
    assert WIDGET in first["data"] and first["data"]["text/plain"] == ""
    assert "churn  " in second["data"]["text/plain"] and WIDGET not in second["data"]

    press(cell, "Archive")
    expect(cell).to_contain_text("is archived; it takes no more prompts.")
    expect(rows).to_have_count(0)
    cell.get_by_label("Archived too").check()
    expect(rows).to_contain_text("churn (archived)")
    # It can be read, and one that ran here goes on when it is resumed.
    choose(cell, "churn")
    press(cell, "Open")
    expect(view.locator(".pnb-prompt").first).to_contain_text("Which columns?")
    press(cell, "Refresh")
    expect(rows).not_to_contain_text("archived")
