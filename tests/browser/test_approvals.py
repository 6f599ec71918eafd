"""The question whether a tool may run, in a real page."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, expect

from browser.lab import Notebook, Server

pytestmark = pytest.mark.browser
Fill = Callable[[list[str]], Notebook]
REMOVE = "import os; os.system('rm -rf ~')"
LONG = "\n".join(f"line({number})" for number in range(300)) + f"\n{REMOVE}"


def asked(fill: Fill, backend: str) -> tuple[Notebook, Locator]:
    """A notebook whose third cell asks, which leaves the kernel free for later tests, and the question."""
    notebook = fill([f"b = {backend}", f"%%agent -b b -s {uuid.uuid4().hex} --bg\nGo"])
    notebook.run(2)
    notebook.run(3)
    question = notebook.view(3).get_by_role("group", name="wants to run")
    expect(question).to_be_visible()
    return notebook, question


def allow(question: Locator) -> Locator:
    return question.get_by_role("button", name="Allow once")


def is_in_view(box: Locator, text: str) -> bool:
    """Whether the text is inside what the box and the page show."""
    return bool(
        box.evaluate(
            """(box, text) => {
              const walker = document.createTreeWalker(box, NodeFilter.SHOW_TEXT);
              for (let node; (node = walker.nextNode()); ) {
                const at = node.data.indexOf(text);
                if (at < 0) continue;
                const range = document.createRange();
                range.setStart(node, at);
                range.setEnd(node, at + text.length);
                const [inner, outer] = [range.getBoundingClientRect(), box.getBoundingClientRect()];
                return inner.top >= outer.top - 1 && inner.bottom <= outer.bottom + 1 &&
                  inner.left >= outer.left - 1 && inner.right <= outer.right + 1;
              }
              return false;
            }""",
            text,
        )
    )


def test_nothing_is_allowed_before_its_end_was_in_view(fill: Fill) -> None:
    notebook, question = asked(fill, f"asking({LONG!r})")
    box = question.locator("pre")
    expect(question).to_contain_text("bash wants to run · 301 lines, 2,922 characters")
    for name in ("Allow once", "Allow bash for this session"):
        expect(question.get_by_role("button", name=name)).to_be_disabled()
    expect(question.get_by_role("button", name="Deny")).to_be_enabled()
    expect(question.get_by_role("status")).to_have_text("Read to the end to allow.")
    assert not is_in_view(box, REMOVE)
    box.evaluate("box => box.scrollTo(0, box.scrollHeight / 2)")
    expect(box.get_by_text("line(0)")).to_be_visible()
    expect(allow(question)).to_be_disabled()
    box.evaluate("box => box.scrollTo(0, box.scrollHeight)")
    expect(allow(question)).to_be_enabled()
    expect(question.get_by_role("status")).to_have_text("")
    assert is_in_view(box, REMOVE)
    # Once it was seen, it is seen.
    box.evaluate("box => box.scrollTo(0, 0)")
    title = question.get_by_role("button", name="Allow bash for this session").get_attribute("title")
    assert title and "Every later call of bash" in title
    allow(question).click()
    expect(notebook.cell(3).locator(".jp-OutputArea")).to_contain_text("It is built.")


@pytest.mark.parametrize(
    ("code", "fold"),
    [
        (f"print('hello')\n{chr(10) * 400}{REMOVE}", "⋯ 400 empty lines"),
        (f"print('hello'){' ' * 4500}; {REMOVE}", "⋯ 4,500 spaces"),
        (f"print('hello')\n{(chr(0x3164) + chr(10)) * 400}{REMOVE}", "⋯ 400 empty lines with 400 × \\u3164"),
    ],
)
def test_what_blanks_would_hide_is_in_view(fill: Fill, code: str, fold: str) -> None:
    _, question = asked(fill, f"asking({code!r})")
    assert is_in_view(question.locator("pre"), REMOVE)
    expect(question.locator(".pnb-fold")).to_have_text(fold)
    expect(allow(question)).to_be_enabled()


def test_the_end_of_a_long_line_is_below_it_and_not_beside_it(fill: Fill) -> None:
    _, question = asked(fill, f"asking('x' * 9000 + {REMOVE!r})")
    box = question.locator("pre")
    assert box.evaluate("box => box.scrollWidth <= box.clientWidth")
    expect(allow(question)).to_be_disabled()
    box.evaluate("box => box.scrollTo(0, box.scrollHeight)")
    assert is_in_view(box, "rf ~")
    expect(allow(question)).to_be_enabled()


def test_what_does_not_print_is_seen(fill: Fill) -> None:
    code = "x = '\u200b\u2060\ufeff\u00ad\u3164'\nif user == '\u0430dmin':\n    pass  # \u202e \x1b\u0338"
    _, question = asked(fill, f"asking({code!r})")
    escapes = question.locator(".pnb-escape")
    expect(escapes).to_have_text(
        ["\\u200b", "\\u2060", "\\ufeff", "\\xad", "\\u3164", "\\u202e", "\\x1b", "\\u0338"]
    )
    assert all(box and box["width"] > 20 for box in (each.bounding_box() for each in escapes.all()))
    expect(question.locator(".pnb-foreign")).to_have_text("\u0430")
    expect(question.locator(".pnb-foreign")).to_have_attribute("title", "CYRILLIC U+0430")
    expect(escapes.first).to_have_attribute("title", "ZERO WIDTH SPACE")


def test_by_keyboard_alone(page: Page, fill: Fill) -> None:
    notebook, question = asked(fill, f"asking({LONG!r}, {LONG!r})")
    for press in (["End"], ["PageDown"] * 40):
        box = question.locator("pre")
        expect(allow(question)).to_be_disabled()
        box.focus()
        page.keyboard.press("Tab")
        expect(question.get_by_role("button", name="Deny")).to_be_focused()
        page.keyboard.press("Shift+Tab")
        for key in press:
            page.keyboard.press(key)
        expect(allow(question)).to_be_enabled()
        assert is_in_view(box, REMOVE)
        page.keyboard.press("Tab")
        expect(allow(question)).to_be_focused()
        page.keyboard.press("Enter")
        if press == ["End"]:
            expect(notebook.view(3).locator("details")).to_have_count(1)
    expect(notebook.cell(3).locator(".jp-OutputArea")).to_contain_text("It is built.")


def test_what_a_scrolled_output_hides_is_not_in_view(lab: Server, page: Page, fill: Fill) -> None:
    """The question fits its own box."""
    steps = "*text(' \\n\\n'.join(map(str, range(99)))), hold('far'), *asking('make').steps"
    notebook = fill([f"b = scripted({steps})", "%%agent -b b -s far --bg\nGo"])
    notebook.run(2)
    notebook.run(3)
    expect(notebook.view(3)).to_contain_text("98")
    area = notebook.cell(3).locator(".jp-Cell-outputArea")
    area.evaluate(
        "area => { area.style.maxHeight = '150px'; area.style.overflow = 'auto'; area.scrollTo(0, 0); }"
    )
    lab.open_gate("far")
    question = notebook.view(3).get_by_role("group", name="wants to run")
    expect(question).to_have_count(1)
    # Time itself is measured here: a question in view can be answered sooner.
    began = page.evaluate("performance.now()")
    page.wait_for_function("began => performance.now() > began + 1500", arg=began)
    expect(allow(question)).to_be_disabled()
    area.evaluate("area => area.scrollTo(0, area.scrollHeight)")
    expect(allow(question)).to_be_enabled()


def test_a_changed_call_is_asked_about_again(lab: Server, fill: Fill) -> None:
    notebook, question = asked(fill, f"changing('make', {LONG!r})")
    expect(allow(question)).to_be_enabled()
    lab.open_gate("change")
    expect(question).to_contain_text("bash was changed, and wants to run · 301 lines")
    expect(allow(question)).to_be_disabled()
    question.locator("pre").evaluate("box => box.scrollTo(0, box.scrollHeight)")
    allow(question).click()
    still = notebook.cell(3).locator(".jp-OutputArea")
    expect(still).to_contain_text("It is built.")
    expect(still).to_contain_text("✓")


def test_names_and_marks_stay_in_their_box(fill: Fill) -> None:
    name = "bash\n● idle  main 3 tools \u202e" + "x" * 100
    zalgo = json.dumps({"command": "Z" + "\u0310" * 200 + "\n" + "e" + "\u0489\u0335" * 300})
    backend = f"scripted(*tool('t', {name!r}, {zalgo!r}, 'done'), *ask('a', {name!r}, {zalgo!r}))"
    notebook, question = asked(fill, backend)
    expect(question.locator(".pnb-ask-head b")).to_have_text(
        "bash⟦\\n⟧● idle  main 3 tools ⟦\\u202e⟧" + "x" * 100
    )
    expect(notebook.view(3).locator(".pnb-badge")).to_have_count(1)
    expect(notebook.view(3).locator("summary")).to_have_count(1)
    height = notebook.view(3).locator("summary").bounding_box()
    assert height and height["height"] < 30
    for part in (
        question.locator("pre"),
        question.locator(".pnb-ask-head"),
        notebook.view(3).locator("summary"),
    ):
        assert part.evaluate("part => getComputedStyle(part).contain") == "paint"
    expect(question.locator(".pnb-fold")).to_have_count(2)
