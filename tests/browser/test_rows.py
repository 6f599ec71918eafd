"""A map over rows in a real JupyterLab: it goes on when its notebook is opened again, and a click ends it."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from browser.lab import PATIENCE_MS, Notebook
from servers.rows import Manners, RowServer

pytestmark = pytest.mark.browser
expect.set_options(timeout=PATIENCE_MS)
MIME = "application/vnd.praison-nb.turn+json"
SETUP = """
import pandas as pd, praison_nb
from typing import Literal
from praison_nb import LocalAgent, LocalAgentConfig
df = pd.DataFrame({{"text": [f"text {{i}} <b>" for i in range(400)]}})
b = LocalAgent(LocalAgentConfig(model="gpt-4o-mini", base_url="{url}/v1", provider="openai", wire="chat",
                                api_key="test-key"))
"""


def test_a_notebook_that_is_opened_in_mid_map_goes_on_and_stops_it(
    fill: Callable[[list[str]], Notebook],
) -> None:
    with RowServer(Manners(most=60)) as server:
        cells = [
            SETUP.format(url=server.url),
            "%%agent --rows df --as Literal['good','bad'] -b b -o out\nLabel {text}",
            "print(len(out), set(out._status))",
        ]
        notebook = fill(cells)
        notebook.run(2)
        notebook.run(3)
        expect(notebook.view(3)).to_contain_text("rows/s")
        expect(notebook.view(3).locator("td", has_text=re.compile("^(good|bad)$")).first).to_be_visible()
        saved = notebook.save()
        assert set(saved.cells[3].outputs[0].data) == {MIME, "text/html", "text/plain"}

        notebook.reopen(keep_kernel=True)
        expect(notebook.view(3)).to_contain_text("running 16")
        notebook.view(3).get_by_role("button", name="Stop").click()
        # It waits for none of the sixteen, which are never answered.
        expect(notebook.cell(3)).to_contain_text("stopped by you after")
        assert server.books.requests == 60
        notebook.run(4)
        expect(notebook.cell(4)).to_contain_text("400 {")
        expect(notebook.cell(4)).to_contain_text("stopped")
        saved = notebook.save()
        (output,) = saved.cells[3].outputs
        assert set(output.data) == {"text/html", "text/plain"}
        assert "… 390 more rows are in the frame" in output.data["text/html"]
        assert "widgets" not in saved.metadata
