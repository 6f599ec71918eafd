"""Where a text of a model is shown, and what it does there though nobody clicks.

    with Watch(browser.new_context(), server, pages) as watch:
        for harm in watch.harms({0: aimed("<img src=@url@>", 0, listener.url)}):
            print(harm)

The places: JupyterLab while the turn runs ("live"), when it is over ("still"), and saved and opened again;
Notebook 7 likewise; nbconvert's pages of that notebook, and one of what was saved while the turn ran ("so
far").
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from playwright.sync_api import BrowserContext, Error, Page, Request

from browser.deadline import Deadline
from browser.hostile_random import MARK
from browser.hostile_turns import SHOWN
from browser.lab import Notebook, Server, first_page
from browser.pages import TEMPLATES, Pages
from browser.turns import MIME, WIDGET

SETTINGS = {
    # All outputs of a cell are in the page, as for somebody who asks for them.
    "@jupyterlab/notebook-extension/tracker": {"maxNumberOutputs": 1_000_000},
}
OPTIONS = (
    "--JupyterNotebookApp.expose_app_in_browser=True",
    # Many turns that begin and end at the same time.
    "--ZMQChannelsWebsocketConnection.iopub_msg_rate_limit=1000000",
    "--ZMQChannelsWebsocketConnection.iopub_data_rate_limit=1000000000",
)
APPS = ("jupyterlab", "notebook")
ALONE_IN = "jupyterlab"
"""Where each text is shown alone too, when its turn is over, and so in nbconvert's pages."""
IN_APPS = tuple(f"{app} {state}" for app in APPS for state in ("live", "still", "reopened"))
SO_FAR = "so far"
PLACES = (*IN_APPS, SO_FAR, *TEMPLATES)
DRAWN = (Path(__file__).parent / "drawn.js").read_text()


@dataclass(frozen=True)
class Harm:
    """What text `number` did at a place: it "ran", "fetched", has "drawn" what it must not, or the page
    "crashed" or "froze", or "was not converted". The number is None where nothing tells which text it was."""

    place: str
    number: int | None
    kind: str
    detail: str = ""


class Broken(Exception):
    """The page is of no more use."""


class Watch:
    """Shows texts at all places, JupyterLab in the context's first page, and notes what they do."""

    def __init__(self, context: BrowserContext, server: Server, pages: Pages) -> None:
        self._context, self._server, self._pages = context, server, pages
        self._place, self._places = "", PLACES
        self._so_far: Any = None
        self._found: dict[tuple[Any, ...], Harm] = {}
        self._open: set[Request] = set()
        self._listeners: dict[Any, Callable[[Request], None]] = {
            "request": self._requested,
            "requestfinished": self._answered,
            "requestfailed": self._answered,
        }

    def __enter__(self) -> Self:
        self._context.expose_function("ran", lambda number=None: self._note(number, "ran"))
        for event, listener in self._listeners.items():
            self._context.on(event, listener)
        assert self._context.browser
        self._deadline = Deadline(self._context.browser)
        return self

    def __exit__(self, *exc: object) -> None:
        self._deadline.cancel()
        for event, listener in self._listeners.items():
            self._context.remove_listener(event, listener)

    def harms(self, texts: dict[int, str], places: Collection[str] = PLACES) -> list[Harm]:
        """What the texts do. Where they end the page, halves of them are shown until it is clear which."""
        self._found, self._places = {}, places
        self._search(texts)
        return list(self._found.values())

    def harms_when_loaded_again(self, texts: dict[int, str]) -> list[Harm]:
        """What the texts do in a page that is loaded while their turns run, to which the kernel says all of
        them, and in what it writes into the notebook when they are over."""
        self._found, self._places, self._open = {}, PLACES, set()
        page = self._context.new_page()
        self._enter("loaded again")
        notebook, gate = self._begin(page, "jupyterlab", texts)
        notebook.save()
        notebook.open()
        attach_all(page)
        wait_until_shown(page, len(texts))
        self._wait_until_idle(page)
        self._look(page, ".pnb")
        self._enter("written")
        page.goto("about:blank")
        self._server.open_gate(gate)
        notebook.open()
        attach_all(page)
        is_still(page)
        wait_until_shown(page, len(texts))
        self._wait_until_idle(page)
        self._look(page, ".jp-OutputArea-output")
        self._show_pages(page, notebook.save())
        page.close()
        self._deadline.cancel()
        return list(self._found.values())

    def harms_of_pages(self, document: Any) -> list[Harm]:
        """What a notebook's outputs do in nbconvert's pages."""
        self._found, self._places = {}, PLACES
        self._open = set()
        page = self._context.new_page()
        self._show_pages(page, document)
        page.close()
        self._deadline.cancel()
        return list(self._found.values())

    def _search(self, texts: dict[int, str]) -> None:
        try:
            self._show(texts)
        except Broken as broken:
            if len(texts) == 1:
                self._note(next(iter(texts)), str(broken))
                return
            numbers, before = list(texts), len(self._found)
            for half in (numbers[: len(numbers) // 2], numbers[len(numbers) // 2 :]):
                self._search({number: texts[number] for number in half})
            if len(self._found) == before:
                self._note(None, str(broken), f"{len(texts)} texts together")

    def _show(self, texts: dict[int, str]) -> None:
        crashes: list[Page] = []
        self._open = set()
        lab, other = first_page(self._context), self._context.new_page()
        for page in (lab, other):
            page.on("crash", lambda page: crashes.append(page))
        try:
            self._show_in(lab, other, texts)
        except Error as error:
            if not crashes and not self._deadline.passed:
                raise
            for page in self._context.pages:
                page.close()
            raise Broken("froze" if self._deadline.passed else "crashed") from error
        finally:
            self._deadline.cancel()
        other.close()

    def _show_in(self, lab: Page, other: Page, texts: dict[int, str]) -> None:
        document = None
        for app in APPS:
            if any(place.startswith(app) for place in self._places):
                made = self._show_in_app(lab if app == "jupyterlab" else other, app, texts)
                document = document or made
        if document is not None:
            self._show_page(other, SO_FAR, "lab", self._so_far)
            self._show_pages(other, document)

    def _show_pages(self, page: Page, document: Any) -> None:
        for template in TEMPLATES:
            self._show_page(page, template, template, document)

    def _show_page(self, page: Page, place: str, template: str, document: Any) -> None:
        if place not in self._places:
            return
        self._enter(place)
        try:
            address = self._pages.publish(template, document)
        except RecursionError as error:
            raise Broken("was not converted") from error
        page.goto(address)
        page.wait_for_function(
            "document.readyState === 'complete' && (!window.MathJax || MathJax.isReady)", polling=50
        )
        page.evaluate("() => window.MathJax && new Promise(r => MathJax.Hub.Queue(r))")
        self._wait_until_idle(page)
        self._look(page, ".jp-OutputArea-output, .output_area, .aria-status")

    def _show_in_app(self, page: Page, app: str, texts: dict[int, str]) -> Any:
        self._enter(f"{app} live")
        notebook, gate = self._begin(page, app, texts)
        self._wait_until_idle(page)
        self._look(page, ".pnb")
        if app == ALONE_IN:
            self._so_far = notebook.save()
        self._enter(f"{app} still")
        self._server.open_gate(gate)
        if app == ALONE_IN:
            notebook.run(4)
            notebook.wait_idle(4)
        is_still(page)
        self._wait_until_idle(page)
        self._look(page, ".jp-OutputArea-output")
        document = notebook.save()
        self._enter(f"{app} reopened")
        if app == "jupyterlab":
            notebook.reopen()
        else:
            page.goto("about:blank")
            notebook.open(app)
        attach_all(page)
        wait_until_shown(page, len(texts))
        self._wait_until_idle(page)
        self._look(page, ".jp-OutputArea-output")
        return document

    def _begin(self, page: Page, app: str, texts: dict[int, str]) -> tuple[Notebook, str]:
        """A notebook that shows the texts in turns that run until the gate is open."""
        name = uuid.uuid4().hex[:8]
        (self._server.notebooks / f"{name}.json").write_text(json.dumps(list(texts.items())))
        setup = "from browser.hostile_turns import show, keep\n%config AgentMagics.keep_history = False"
        cells = [setup, f"show('{name}.json', '{name}')", f"keep('{name}.json')"]
        notebook = Notebook(page, self._server, cells, app=app)
        page.set_default_timeout(0)
        attach_all(page)
        for index in (2, 3):
            notebook.run(index)
            notebook.wait_idle(index)
        wait_until_shown(page, len(texts))
        return notebook, name

    def _wait_until_idle(self, page: Page) -> None:
        """Until the page has nothing to do and nothing to load, and that twice in a row."""
        calm = 0
        while calm < 2:
            wait_until_idle(page)
            calm = 0 if self._open else calm + 1

    def _look(self, page: Page, roots: str) -> None:
        page.evaluate("document.querySelectorAll('.jp-Cell details').forEach(d => { d.open = true; })")
        for number, words in page.evaluate(DRAWN, roots):
            self._note(number, "drawn", words)
        self._wait_until_idle(page)

    def _requested(self, request: Request) -> None:
        if match := MARK.search(request.url):
            self._note(int(match[1] or match[2]), "fetched", request.url)
        if not request.url.startswith(("data:", "blob:")):
            self._open.add(request)

    def _answered(self, request: Request) -> None:
        self._open.discard(request)

    def _enter(self, place: str) -> None:
        self._place = place
        self._deadline.set()

    def _note(self, number: int | None, kind: str, detail: str = "") -> None:
        harm = Harm(self._place, number, kind, detail)
        self._found.setdefault((self._place, number, kind), harm)


def attach_all(page: Page) -> None:
    """Have all cells of the notebook in the page, as for somebody who scrolls through it."""
    page.evaluate(
        "() => { const notebook = jupyterapp.shell.currentWidget.content; "
        "notebook.notebookConfig = {...notebook.notebookConfig, windowingMode: 'none'}; }"
    )


def wait_until_shown(page: Page, texts: int) -> None:
    """Wait until the notebook shows so many texts to their ends."""
    page.wait_for_function(
        "([words, n]) => document.querySelector('.jp-Notebook')?.textContent.split(words).length > n",
        arg=[SHOWN, texts],
        polling=200,
    )


def is_still(page: Page) -> None:
    """Wait until no live view is in the page or its document."""
    page.wait_for_function(
        "types => !document.querySelector('.pnb') && "
        "jupyterapp.shell.currentWidget.content.widgets.every(cell => (cell.model.outputs?.toJSON() ?? [])"
        ".every(output => types.every(type => !output.data?.[type])))",
        arg=[MIME, WIDGET],
        polling=200,
    )


def wait_until_idle(page: Page) -> None:
    """Wait until the page has nothing to do."""
    page.evaluate(
        "() => new Promise(r => requestIdleCallback(() => setTimeout(() => requestIdleCallback(r, "
        "{timeout: 5000}), 20), {timeout: 5000}))"
    )
