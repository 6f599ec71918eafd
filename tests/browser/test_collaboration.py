"""Two pages that share a notebook's document, as jupyter-collaboration has them do: both are right at every
moment, and nothing is there twice."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import BrowserContext, expect

from browser.lab import PATIENCE_MS, Notebook, Server
from browser.turns import MIME, STILL, WORDS, begin, data, wait_until_still

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(600)]
expect.set_options(timeout=PATIENCE_MS)
ANSWER = " ".join(WORDS)


class Shared:
    """A notebook in two pages. What a page runs the other one shows."""

    def __init__(self, server: Server, context: BrowserContext, cells: list[str]) -> None:
        first = Notebook(context.new_page(), server, cells)
        self.pages = first, first.in_page(context.new_page())

    def show(self, index: int, words: str) -> None:
        """Wait until both pages show it in the cell's one output."""
        for each in self.pages:
            expect(each.cell(index)).to_contain_text(words)
            expect(each.cell(index).locator(".jp-OutputArea-child")).to_have_count(1)

    def end(self, index: int, words: str) -> None:
        """Wait until both have what stays, once."""
        for each in self.pages:
            wait_until_still(each, index)
            (output,) = each.outputs(index)
            assert words in output["data"]["text/plain"]
        self.show(index, words)

    def wait_until_saved(self, index: int, words: str) -> None:
        """The server saves by itself."""
        page = self.pages[0]
        while True:
            saved = page.save()
            if words in str(saved.cells[index].outputs):
                break
        nbformat.validate(saved)
        assert words in data(saved, index)["text/plain"]


def test_two_pages_show_and_write_a_turn_once(
    environment: Callable[..., Path], tmp_path: Path, context: BrowserContext
) -> None:
    cells = [
        "a, c, d = (counting(gate, words=100) for gate in 'acd')\n"
        "b = asking('make', 'make test')\n"
        "os.getpid()",
        *(f"%%agent -b {name} -s {name}\nGo" for name in "ab"),
        *(f"%%agent -b {name} -s {name} --bg\nGo" for name in "cd"),
    ]
    python = environment("jupyterlab", "jupyter-collaboration")
    with Server(tmp_path, python=python) as server:
        both = Shared(server, context, cells)
        first, second = both.pages
        first.run(2)
        begin(first, 3)
        both.show(3, ANSWER)
        for each in both.pages:
            expect(each.view(3).get_by_role("button", name="Stop")).to_be_visible()
        both.wait_until_saved(3, ANSWER)
        server.open_gate("a")
        both.end(3, "99 end")

        # Either page allows.
        second.run(4)
        for page, command in ((first, "make"), (second, "make test")):
            for each in both.pages:
                question = each.view(4).get_by_role("group", name="bash wants to run")
                expect(question.locator("pre")).to_have_text(f"command: {command}")
                expect(question.get_by_role("button", name="Allow once")).to_be_visible()
            page.page.bring_to_front()
            page.view(4).get_by_role("button", name="Allow once").click()
        both.end(4, "It is built.")

        # The page that ran the cell is loaded again, and no page gets the kernel's update of the output.
        begin(first, 5)
        both.show(5, ANSWER)
        first.open()
        both.show(5, ANSWER)
        for each in both.pages:
            expect(each.view(5).get_by_role("button", name="Stop")).to_be_visible()
        server.open_gate("c")
        both.end(5, "99 end")
        both.wait_until_saved(5, "99 end")

        # Both pages see at once that the kernel has gone.
        begin(first, 6)
        both.show(6, ANSWER)
        os.kill(int(first.outputs(2)[0]["data"]["text/plain"]), signal.SIGKILL)
        both.show(6, "The kernel was restarted")
        both.show(6, ANSWER)
        for each in both.pages:
            expect(each.view(6).get_by_role("button", name="Stop")).to_be_hidden()
        both.wait_until_saved(6, "The kernel was restarted")
        saved = server.read(first.name)
        assert [set(data(saved, index)) for index in (3, 4, 5)] == [STILL] * 3
        assert set(data(saved, 6)) == {MIME, *STILL}
        assert "widgets" not in saved.metadata
        for each in both.pages:
            each.page.close()
