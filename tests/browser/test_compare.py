"""Models side by side in a real JupyterLab."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from browser.lab import PATIENCE_MS, Notebook

pytestmark = pytest.mark.browser
expect.set_options(timeout=PATIENCE_MS)
CELLS = [
    "one, two = research(), asking('make test')\nthree = scripted(RateLimitError('Too many.'))",
    "%%agent -m one,two,three --budget 1\nWhat explains churn?",
]


def places(columns: Locator) -> list[Any]:
    return [(box["x"], box["y"]) for each in columns.all() if (box := each.bounding_box())]


def are_beside(columns: Locator) -> bool:
    (x, y), *others = places(columns)
    return all(other_x > x and other_y == y for other_x, other_y in others)


def are_below(columns: Locator) -> bool:
    (x, y), *others = places(columns)
    return all(other_x == x and other_y > y for other_x, other_y in others)


def test_columns_with_one_stop(page: Page, fill: Callable[[list[str]], Notebook]) -> None:
    size = page.viewport_size
    assert size is not None
    try:
        page.set_viewport_size({"width": 1200, "height": 900})
        notebook = fill(CELLS)
        notebook.do("application:toggle-left-area")
        notebook.run(2)
        notebook.run(3)
        columns = notebook.view(3).locator(".pnb-column")
        expect(columns).to_have_count(3)
        expect(columns.nth(0).locator("strong", has_text="contract_type")).to_be_visible()
        expect(columns.nth(2)).to_contain_text("RateLimitError: Too many.")
        expect(columns.nth(2).locator(".pnb-status")).to_have_text("error")
        expect(notebook.view(3).locator(".pnb-btn:visible", has_text="Stop")).to_have_count(1)
        expect(notebook.view(3).locator(":scope > div > .pnb-panel .pnb-status")).to_have_text(
            "running · waiting for you"
        )
        assert are_beside(columns)
        page.set_viewport_size({"width": 600, "height": 900})
        page.wait_for_function(
            "() => { const [a, b] = document.querySelectorAll('.pnb-column'); "
            "return b.getBoundingClientRect().top > a.getBoundingClientRect().top }"
        )
        assert are_below(columns)
        # What is asked in a column is answered there.
        columns.nth(1).get_by_role("button", name="Allow once").click()
        expect(columns.nth(1)).to_contain_text("It is built.")
        expect(columns.nth(1).locator(".pnb-status")).to_have_text("idle")
        shown = notebook.save().cells[3].outputs[0].data["text/html"]
        assert "It is built." in shown and "contract_type" in shown
        notebook.view(3).get_by_role("button", name="Stop").click()
        notebook.view(3).wait_for(state="detached")
        notebook.wait_idle(3)
        still = notebook.cell(3).locator(".jp-OutputArea td")
        expect(still).to_have_count(3)
        expect(still.nth(0)).to_contain_text("stopped by you after")
        expect(still.nth(1)).to_contain_text("It is built.")
        expect(still.nth(2)).to_contain_text("Too many.")
        assert are_below(still)
        page.set_viewport_size({"width": 1200, "height": 900})
        page.wait_for_function(
            "() => { const [a, b] = document.querySelectorAll('.jp-OutputArea td'); "
            "return b.getBoundingClientRect().top === a.getBoundingClientRect().top }"
        )
        assert are_beside(still)
        assert [set(output["data"]) for output in notebook.outputs(3)] == [{"text/html", "text/plain"}]
        assert "widgets" not in notebook.save().metadata
    finally:
        page.set_viewport_size(size)
