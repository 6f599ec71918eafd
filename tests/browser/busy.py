"""How busy a text keeps the page of a JupyterLab: while it streams, when it stays, and at every opening.

Seconds are the processor's time of the page's main thread, as the browser counts it, so that a busy machine
changes them little; what the same page needs for a text of one word is taken off.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import nbformat
from nbformat.sign import NotebookNotary
from playwright.sync_api import Page

from browser.deadline import Deadline
from browser.hostile_turns import SHOWN
from browser.lab import KERNELSPEC, Notebook, Server
from browser.places import is_still, wait_until_idle


def filled(piece: str) -> Callable[[int], str]:
    """Texts of so many characters out of one piece; `#` in it is a number that counts."""

    def text(size: int) -> str:
        pieces, length = [], 0
        while length < size:
            pieces.append(piece.replace("#", str(len(pieces))))
            length += len(pieces[-1])
        return "".join(pieces)[:size]

    return text


def wide_head(size: int) -> str:
    """A third for the head and its rule, the rest for rows of one cell."""
    columns = size // 6
    return "|a" * columns + "\n" + "|-" * columns + "\n" + "|x\n" * ((size - 4 * columns) // 3)


def ladder(size: int) -> str:
    """Runs of backticks of all lengths."""
    return "".join("`" * length + " " for length in range(1, int((2 * size) ** 0.5)))


KINDS: dict[str, Callable[[int], str]] = {
    "prose": filled("The *tenure* of a customer has the **largest** effect, as `coef_` says.\n\n"),
    "one paragraph": filled("so many words and no end "),
    "one word": filled("x"),
    "list": filled("- item # of a list\n"),
    "nested list": lambda size: "".join("  " * (n % 20) + f"- {n}\n" for n in range(size // 25)),
    "table": lambda size: "| a | b | c |\n|---|---|---|\n" + filled("| # | x | yes |\n")(size - 28),
    "wide head, short rows": wide_head,
    "code": lambda size: "```python\n" + filled("x = f(#)  # and so on\n")(size - 14) + "\n```",
    "many fences": filled("```\nx\n```\n"),
    "formulas": filled("The sum $\\sum_{i=0}^{#} x_i^2$ is finite.\n\n"),
    "dollars": filled("$a "),
    "links": filled("[link #](https://example.org/#) and "),
    "references": filled("[a#]: /x\n[a#] "),
    "pictures": filled("![p](https://example.org/#.png) "),
    "stars": filled("*a "),
    "star runs": filled("*a **b "),
    "backticks": ladder,
    "brackets": filled("!["),
    "brackets with addresses": filled("[a](b"),
    "nested quotes": lambda size: "".join("> " * (n % 60) + "x\n" for n in range(size // 62)),
    "tags": filled("<a <b "),
    "entities": filled("&amp;&"),
    "backslashes": filled("\\"),
    "marks on letters": filled("a\u0301\u0327"),
}
STATES = ("live", "still", "opened")
OBSERVER = """
window.longest = 0;
new PerformanceObserver(list => {
  for (const task of list.getEntries()) window.longest = Math.max(window.longest, task.duration);
}).observe({type: 'longtask'});
"""


@dataclass(frozen=True)
class Busy:
    """Seconds of the page's main thread: of all its tasks, and of the longest one."""

    total: float
    longest: float


class Frozen(Exception):
    """The page did not come to rest, or its tab crashed."""


class Stopwatch:
    """Shows texts in one page of a JupyterLab and takes the time of each."""

    def __init__(self, page: Page, server: Server, deadline: Deadline, pieces: int = 8) -> None:
        self.page, self._server, self._deadline, self._pieces = page, server, deadline, pieces
        page.add_init_script(OBSERVER)
        setup = "from browser.hostile_turns import stream\n%config AgentMagics.keep_history = False"
        self._notebook = Notebook(page, server, [setup, ""])
        page.set_default_timeout(0)
        self._session = page.context.new_cdp_session(page)
        self._session.send("Performance.enable", {"timeDomain": "threadTicks"})
        self._notebook.run(2)
        self._notebook.wait_idle(2)
        # The first time loads what the others find loaded.
        bare = [self._measure("word and $x$") for _ in range(2)]
        self._bare = {state: min(each[state].total for each in bare) for state in STATES}

    def measure(self, text: str) -> dict[str, Busy]:
        """For each of STATES. Raises playwright's Error when the tab crashed or was ended as frozen."""
        measured = self._measure(text)
        return {
            state: Busy(max(0.0, busy.total - self._bare[state]), busy.longest)
            for state, busy in measured.items()
        }

    def _measure(self, text: str) -> dict[str, Busy]:
        page, name = self.page, uuid.uuid4().hex[:8]
        (self._server.notebooks / f"{name}.json").write_text(json.dumps(text))
        code = f"stream('{name}.json', '{name}', {self._pieces})"
        self._deadline.set()
        page.evaluate(
            "code => { const c = jupyterapp.shell.currentWidget.content; c.activeCellIndex = 3; "
            "c.widgets[3].model.sharedModel.setSource(code); }",
            code,
        )
        wait_until_idle(page)

        def live() -> None:
            self._notebook.run(3)
            page.wait_for_function(
                "words => document.querySelectorAll('.jp-Cell')[3].querySelector('.pnb')"
                "?.textContent.includes(words)",
                arg=SHOWN,
                polling=100,
            )

        def still() -> None:
            self._server.open_gate(name)
            is_still(page)

        def opened() -> None:
            page.evaluate(
                "name => jupyterapp.commands.execute('docmanager:open', {path: name})"
                ".then(widget => { window.opened = widget; return widget.revealed; })",
                f"{name}.ipynb",
            )

        made = {"live": self._timed(live), "still": self._timed(still)}
        self._keep(name)
        made["opened"] = self._timed(opened)
        page.evaluate(
            "async () => { await opened.sessionContext.shutdown(); opened.dispose(); "
            "await jupyterapp.commands.execute('notebook:clear-all-cell-outputs'); }"
        )
        wait_until_idle(page)
        self._deadline.cancel()
        return made

    def _keep(self, name: str) -> None:
        """The outputs as a notebook of the user's own, which is trusted."""
        outputs = [nbformat.from_dict(output) for output in self._notebook.outputs(3)]
        notebook: Any = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("x", outputs=outputs)])
        notebook.metadata["kernelspec"] = KERNELSPEC
        nbformat.write(notebook, self._server.notebooks / f"{name}.ipynb")
        NotebookNotary(data_dir=str(self._server.folder / "data")).sign(notebook)

    def _timed(self, do: Callable[[], None]) -> Busy:
        self.page.evaluate("window.longest = 0")
        before = self._thread_seconds()
        do()
        wait_until_idle(self.page)
        total = self._thread_seconds() - before
        return Busy(total, self.page.evaluate("window.longest") / 1000)

    def _thread_seconds(self) -> float:
        metrics = self._session.send("Performance.getMetrics")["metrics"]
        return float(next(each["value"] for each in metrics if each["name"] == "TaskDuration"))
