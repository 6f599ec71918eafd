"""The live view in a real JupyterLab."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from browser.lab import PATIENCE_MS, Notebook, Server

pytestmark = pytest.mark.browser
expect.set_options(timeout=PATIENCE_MS)
Fill = Callable[[list[str]], Notebook]
WIDGET = "application/vnd.jupyter.widget-view+json"


def kinds(notebook: Notebook, index: int) -> list[set[str]]:
    return [set(output["data"]) for output in notebook.outputs(index)]


STILL = [{"text/html", "text/plain"}]


def test_streams_formats_and_leaves_still_output(lab: Server, page: Page, fill: Fill) -> None:
    notebook = fill(["b = formatted()", "%%agent -b b -s formatted\nGo"])
    notebook.run(2)
    notebook.run(3)
    view = notebook.view(3)
    for tag, words in [
        ("h1", "Findings"), ("em", "emphasis"), ("td", "contract_type"), ("li li", "nested"),
        ("pre code", 'print("![no](picture)")'),
    ]:  # fmt: skip
        expect(view.locator(tag, has_text=words).first).to_be_visible()
    expect(view.locator("a")).to_have_attribute("href", "https://example.org/a")
    expect(view.locator(".pnb-status")).to_have_text("running")
    before = view.locator(".pnb-facts > span").nth(1).inner_text()
    page.wait_for_function(
        "b => document.querySelectorAll('.pnb-facts > span')[1].innerText !== b", arg=before
    )
    assert not notebook.ended(3)
    lab.open_gate("formatted")
    view.wait_for(state="detached")
    still = notebook.cell(3).locator(".jp-OutputArea")
    expect(still.locator(".MathJax, mjx-container").first).to_be_visible()
    expect(still).to_contain_text("vector<int>")
    expect(still).to_contain_text("● idle")
    assert kinds(notebook, 3) == STILL
    saved = notebook.save()
    assert "widgets" not in saved.metadata
    assert [set(output["data"]) for output in saved.cells[3].outputs] == STILL
    shown = still.inner_text()

    notebook.reopen()
    reopened = page.locator(".jp-Notebook .jp-Cell").nth(3).locator(".jp-OutputArea")
    expect(reopened.locator(".MathJax, mjx-container").first).to_be_visible()
    assert reopened.inner_text() == shown


@pytest.fixture(scope="module")
def ipykernel_7_1() -> str:
    """An older ipykernel in a folder of its own, fetched once."""
    cache = (
        Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
        / "praison_nb-tests"
        / "ipykernel-7.1.0"
    )
    if not (cache / "ipykernel").exists():
        command = ["-m", "pip", "install", "--no-deps", "--quiet", "--target", str(cache), "ipykernel==7.1.0"]
        subprocess.run([sys.executable, *command], check=True)
    return str(cache)


@pytest.fixture(scope="module", params=["installed", pytest.param("7.1.0", marks=pytest.mark.slow)])
def any_lab(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, lab: Server
) -> Iterator[Server]:
    if request.param == "installed":
        yield lab
        return
    path = (request.getfixturevalue("ipykernel_7_1"),)
    with Server(Path(tmp_path_factory.mktemp("lab71")), path=path) as server:
        yield server


def test_stop_while_the_cell_runs(any_lab: Server, page: Page) -> None:
    notebook = Notebook(
        page, any_lab, ["b = research()\nimport ipykernel; ipykernel.__version__", "%%agent -b b -s stop\nGo"]
    )
    notebook.run(2)
    notebook.run(3)
    view = notebook.view(3)
    expect(view.locator("strong", has_text="contract_type")).to_be_visible()
    expect(view.locator(".pnb-bar")).to_have_attribute("aria-label", "31% of $0.1000 (turn)")
    assert not notebook.ended(3)
    # From the click to the still output, as the page's own clock has it.
    took = page.evaluate(
        """async () => {
            const cell = document.querySelectorAll(".jp-NotebookPanel:not(.lm-mod-hidden) .jp-Cell")[3];
            const before = performance.now();
            [...cell.querySelectorAll('.pnb button')].find(b => b.textContent.includes('Stop')).click();
            while (cell.querySelector('.pnb')) await new Promise(requestAnimationFrame);
            return performance.now() - before;
        }"""
    )
    version = notebook.outputs(2)[0]["data"]["text/plain"]
    print(f"ipykernel {version}: stopped {took:.0f} ms after the click")
    still = notebook.cell(3).locator(".jp-OutputArea")
    expect(still).to_contain_text("stopped by you after")
    expect(still).to_contain_text("Three columns stand out. tenure has")
    expect(still).to_contain_text("12,480 (74% cached)")
    expect(still).to_contain_text("$0.0312")
    notebook.wait_idle(3)


def test_the_kernels_interrupt_does_the_same(fill: Fill) -> None:
    notebook = fill(["b = research()", "%%agent -b b -s interrupt\nGo"])
    notebook.run(2)
    notebook.run(3)
    expect(notebook.view(3).locator("strong", has_text="contract_type")).to_be_visible()
    notebook.do("kernelmenu:interrupt")
    still = notebook.cell(3).locator(".jp-OutputArea")
    expect(still).to_contain_text("stopped by you after")
    expect(still).to_contain_text("KeyboardInterrupt: the turn was stopped")


def test_a_cost_that_becomes_known_lacks_no_price(lab: Server, fill: Fill) -> None:
    cell = """
from praison_nb.events import SessionUsage
usage = Usage(uncached_input_tokens=38, output_tokens=59)
total = SessionUsage(usage=usage, list_cost=Decimal("0.0211"))
b = scripted(RequestFinished(model="nobody-knows", usage=usage), hold("unpriced"), total, hold("priced"))
"""
    notebook = fill([cell, "%%agent -b b -s cost\nGo"])
    notebook.run(2)
    notebook.run(3)
    cost = notebook.view(3).locator(".pnb-facts > span").nth(4)
    expect(cost).to_have_text("cost —")
    expect(cost).to_have_attribute("title", "no list price for this model")
    lab.open_gate("unpriced")
    expect(cost).to_have_text("$0.0211")
    expect(cost).to_have_attribute("title", "")
    lab.open_gate("priced")
    notebook.wait_idle(3)


def test_tools_are_a_line_with_more_behind_a_click(page: Page, fill: Fill) -> None:
    notebook = fill(["b = research()", "%%agent -b b -s tools\nGo"])
    notebook.run(2)
    notebook.run(3)
    tool = notebook.view(3).locator("details").nth(1)
    expect(tool.locator("summary")).to_contain_text("LogisticRegression().fit(X, y).coef_")
    expect(tool.locator("summary")).to_contain_text("✓")
    expect(tool.locator("pre").nth(1)).to_be_hidden()
    tool.locator("summary").focus()
    page.keyboard.press("Enter")
    expect(tool.locator("pre").nth(1)).to_have_text("[[-0.82, 0.41]]")
    notebook.view(3).get_by_role("button", name="Stop").click()


@pytest.mark.parametrize("answer", ["Allow once", "Allow bash for this session", "Deny"])
def test_approvals(page: Page, fill: Fill, answer: str) -> None:
    name = answer.split()[-1].lower()
    notebook = fill(["b = asking('rm -rf build/ && make all', 'make test')", f"%%agent -b b -s {name}\nGo"])
    notebook.run(2)
    notebook.run(3)
    view = notebook.view(3)
    question = view.get_by_role("group", name="bash wants to run")
    expect(question.locator("pre")).to_have_text("command: rm -rf build/ && make all")
    expect(view.locator(".pnb-status")).to_have_text("running · waiting for you")
    # By the keyboard: the question's text, then its buttons, in their order.
    expect(question.get_by_role("button", name="Allow once")).to_be_enabled()
    question.locator("pre").focus()
    for _ in range(["Allow once", "Allow bash for this session", "Deny"].index(answer) + 1):
        page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == answer
    page.keyboard.press("Enter")
    if "session" not in answer:
        expect(question.locator("pre")).to_have_text("command: make test")
        question.get_by_role("button", name=answer).click()
    still = notebook.cell(3).locator(".jp-OutputArea")
    expect(still).to_contain_text("It is built.")
    expect(still).to_contain_text(f"bash make test {'✗' if answer == 'Deny' else '✓'}")


def test_background_cells_run_in_parallel_and_stop_one_by_one(lab: Server, fill: Fill) -> None:
    cells = [
        "a, b = counting('a'), counting('b')",
        "%%agent -b a -s one --bg -o one\nGo",
        "%%agent -b b -s two --bg\nGo",
        "import time; time.sleep(0.5); print('the kernel is free')",
        "print('joined:', (await one).text[-3:])",
    ]
    notebook = fill(cells)
    for index in (2, 3, 4, 5):
        notebook.run(index)
    notebook.wait_idle(5)
    expect(notebook.cell(5)).to_contain_text("the kernel is free")
    for index in (3, 4):
        expect(notebook.view(index)).to_contain_text("398 399")
        expect(notebook.view(index).locator(".pnb-status")).to_have_text("running")
    notebook.view(4).get_by_role("button", name="Stop").click()
    expect(notebook.cell(4).locator(".jp-OutputArea")).to_contain_text("stopped by you")
    assert notebook.view(3).is_visible()
    notebook.run(6)
    lab.open_gate("a")
    expect(notebook.cell(3).locator(".jp-OutputArea")).to_contain_text("● idle")
    expect(notebook.cell(6)).to_contain_text("joined: end")
    for index in (3, 4):
        assert kinds(notebook, index) == STILL


def test_a_click_that_cannot_arrive_says_so(fill: Fill) -> None:
    notebook = fill(["a = counting('deaf')", "%%agent -b a -s deaf --bg\nGo", "import time; time.sleep(600)"])
    for index in (2, 3, 4):
        notebook.run(index)
    view = notebook.view(3)
    expect(view).to_contain_text("399")
    view.get_by_role("button", name="Stop").click()
    expect(view).to_contain_text("The click has not arrived: the kernel is busy. Interrupt the kernel")
    notebook.do("kernelmenu:interrupt")
    expect(notebook.cell(3).locator(".jp-OutputArea")).to_contain_text("stopped by you")


def test_says_its_state_in_words_and_obeys_the_reader(lab: Server, page: Page, fill: Fill) -> None:
    page.emulate_media(forced_colors="active")
    try:
        notebook = fill(["b = retrying()", "%%agent -b b -s words\nGo"])
        notebook.run(2)
        notebook.run(3)
        view = notebook.view(3)
        status = view.locator(".pnb-status")
        expect(status).to_have_text("running · retrying")
        assert (status.get_attribute("role"), status.get_attribute("aria-live")) == ("status", "polite")
        expect(view.get_by_role("button", name="Stop this turn")).to_be_visible()
        moving = page.evaluate(
            "() => document.getAnimations().filter(a => a.animationName?.startsWith('pnb')).length"
        )
        assert moving == 0
        lab.open_gate("retrying")
        expect(notebook.cell(3).locator(".jp-OutputArea")).to_contain_text("● idle")
    finally:
        page.emulate_media(forced_colors="null")
