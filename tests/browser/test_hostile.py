"""Texts that a model or a tool might write to do harm: shown, never run, live and still."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator

import nbformat
import pytest
from playwright.sync_api import BrowserContext, expect

from browser.hostile import HEAVY, IMG, NAMED
from browser.hostile_random import MARK, aimed, random_texts
from browser.lab import PATIENCE_MS, Notebook, Server
from browser.pages import TEMPLATES, Listener, Pages
from browser.places import PLACES, Harm, Watch

pytestmark = pytest.mark.browser
expect.set_options(timeout=PATIENCE_MS)
SEED = 2026
RANDOM = 10
"""Texts at random in every run."""
HEAVIEST = (
    "deep fractions behind comments",
    "brackets",
    "a wide head and many short rows",
    "deep",
    "marks on letters",
)


@pytest.fixture(scope="module")
def pages() -> Iterator[Pages]:
    with Pages() as running:
        yield running


@pytest.fixture(scope="module")
def watch(context: BrowserContext, lab: Server, pages: Pages) -> Iterator[Watch]:
    with Watch(context, lab, pages) as watch:
        yield watch


def report(watch: Watch, listener: Listener, texts: dict[str, str], places: Collection[str] = PLACES) -> str:
    """A line for each harm of the named texts, and for each visit of the listener that nobody saw leave."""
    return _lines(listener, list(texts), watch.harms(_aimed(listener, texts), places))


def _aimed(listener: Listener, texts: dict[str, str]) -> dict[int, str]:
    return {n: aimed(text, n, listener.url) for n, text in enumerate(texts.values())}


def _lines(listener: Listener, names: list[str], harms: list[Harm]) -> str:
    lines = []
    for harm in harms:
        whose = "one of them" if harm.number is None else names[harm.number]
        lines.append(f"{harm.place}: {harm.kind}: {whose}: {harm.detail}")
    noted = {harm.number for harm in harms if harm.kind == "fetched"}
    for request in listener.requests:
        mark = MARK.search(request.path)
        if mark is None or int(mark[1]) not in noted:
            lines.append(f"visited: {request.path}")
    return "\n".join(lines)


def of_seed(seed: int, count: int) -> dict[str, str]:
    return {f"{seed}/{n}: {text!r}": text for n, text in enumerate(random_texts(seed, count))}


LIGHT = {name: text for name, text in NAMED.items() if name not in HEAVY}
IN_NOTEBOOK = [place for place in PLACES if place.startswith("notebook")]
"""They show texts by the same packages of Jupyter as JupyterLab does."""
ELSEWHERE = [place for place in PLACES if place not in IN_NOTEBOOK]


def test_no_text_runs_loads_draws_or_freezes_what_it_must_not(watch: Watch, listener: Listener) -> None:
    """All the named ones that are not heavy, some at random, and one heavy one of each kind: formulas, marks
    of Markdown, tables, what is deep, marks on letters."""
    heaviest = {name: HEAVY[name] for name in HEAVIEST}
    assert not report(watch, listener, {**LIGHT, **of_seed(SEED, RANDOM), **heaviest}, ELSEWHERE)


@pytest.mark.slow
def test_no_text_runs_loads_or_draws_in_a_page_that_is_loaded_again(watch: Watch, listener: Listener) -> None:
    texts = {**LIGHT, **of_seed(SEED, RANDOM)}
    assert not _lines(listener, list(texts), watch.harms_when_loaded_again(_aimed(listener, texts)))


@pytest.mark.slow
def test_no_text_runs_loads_or_draws_in_notebook_7(watch: Watch, listener: Listener) -> None:
    assert not report(watch, listener, {**LIGHT, **of_seed(SEED, RANDOM)}, IN_NOTEBOOK)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_no_heavy_text_ends_or_freezes_any_page(watch: Watch, listener: Listener) -> None:
    assert not report(watch, listener, HEAVY)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", range(40))
def test_no_random_text_of_many_runs_or_loads(watch: Watch, listener: Listener, seed: int) -> None:
    assert not report(watch, listener, of_seed(seed, 500))


def test_a_watch_sees_what_a_text_does(watch: Watch, listener: Listener) -> None:
    """A watch that saw nothing would find nothing."""
    cells = [
        nbformat.v4.new_code_cell(
            outputs=[nbformat.v4.new_output("display_data", {"text/html": aimed(text, n, listener.url)})]
        )
        for n, text in enumerate([IMG, "<img src=@url@>", "<a href='javascript:@run@'>x</a>", "<b>x</b>"])
    ]
    found = watch.harms_of_pages(nbformat.v4.new_notebook(cells=cells))
    for place in TEMPLATES:
        kinds = {(harm.number, harm.kind) for harm in found if harm.place == place}
        assert kinds == {(0, "ran"), (0, "fetched"), (0, "drawn"), (1, "fetched"), (1, "drawn"), (2, "drawn")}


@pytest.mark.parametrize("megabytes", [2, pytest.param(10, marks=pytest.mark.slow)])
def test_megabytes_do_not_break_the_page(fill: Callable[[list[str]], Notebook], megabytes: int) -> None:
    setup = (
        "b = scripted(*[after(0.002, TextDelta(text='word ' * 10_000, message_id='m')) "
        f"for _ in range({megabytes * 20})], hold('big'))"
    )
    notebook = fill([setup, "%%agent -b b -s big -o big\nGo", "len(big.text)"])
    notebook.run(2)
    notebook.run(3)
    view = notebook.view(3)
    omitted = f"{megabytes * 1_000_000 - 200_000:,} more characters are in the Turn's text."
    expect(view).to_contain_text(omitted)
    view.get_by_role("button", name="Stop").click()
    still = notebook.cell(3).locator(".jp-OutputArea")
    expect(still).to_contain_text(omitted)
    notebook.run(4)
    expect(notebook.cell(4)).to_contain_text(str(megabytes * 1_000_000))
