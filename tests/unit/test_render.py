"""A turn as text and as still HTML."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from decimal import Decimal
from html.parser import HTMLParser

import nbformat
import pytest
from nbconvert import HTMLExporter

from praison_nb.errors import RateLimitError
from praison_nb.events import (
    ApprovalAsked,
    Event,
    Notice,
    RequestFinished,
    Spent,
    TextDelta,
    ToolFinished,
    ToolStarted,
    TurnFailed,
    TurnFinished,
)
from praison_nb.fold import fold
from praison_nb.notebook.views.shown import NOTHING, answer
from praison_nb.notebook.views.state_widget import STATIC
from praison_nb.render.html import COLOURS, below_html, panel_html, turn_html
from praison_nb.render.items import TurnItems, tool_item
from praison_nb.render.panel import thread_lines, turn_panel
from praison_nb.render.review import as_text
from praison_nb.render.text import below_text, panel_text, tool_line, turn_text
from praison_nb.session import Status, Usage
from praison_nb.text import DISPLAY_CHARACTERS
from praison_nb.turn import Thread, ToolCall, Turn


def test_sub_agents_have_a_line_each_of_limited_length_and_number() -> None:
    hostile = "<img src=x onerror=alert(1)>\n\x1b[31m\u202e" + "x" * 5000
    threads = [Thread(f"sthr_{n}", hostile, "id\nle", Usage(output_tokens=n)) for n in range(30)]
    turn = Turn(ended=1.0, threads=tuple(threads))
    lines = turn_panel(turn)["threads"]
    assert len(lines) == 26 and lines[-1] == "5 more sub-agents"
    assert all(len(line) < 200 and "\n" not in line and "\x1b" not in line for line in lines)
    assert below_text(turn).splitlines()[:26] == lines
    html = below_html(turn)
    assert "<img" not in html and html.count("sub-agent &lt;img") == 25
    notes = [item["text"] for item in TurnItems().exchange(turn) if item["kind"] == "note"]
    assert notes == lines
    # One that has used nothing yet, or whose model has no price.
    assert thread_lines(Turn(threads=(Thread("t", "scout", "running"),))) == ["sub-agent scout · running"]
    unpriced = Thread("t", "", "", Usage(output_tokens=1), unpriced_requests=1)
    assert thread_lines(Turn(threads=(unpriced,))) == ["sub-agent · in 0 · out 1 · —"]


USAGE = Usage(uncached_input_tokens=3660, cache_read_input_tokens=10342, output_tokens=1460)


def turn(*events: Event) -> Turn:
    folded = Turn(session="research", model="m", backend="hosted", started=100.0)
    for event in events:
        folded = fold(folded, event)
    return folded


def done(*events: Event) -> Turn:
    return turn(*events, TurnFinished(time=134.1))


class Tags(HTMLParser):
    """The tags and attributes of a piece of HTML."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes.update(name for name, _ in attrs)


def test_the_panel_says_what_the_turn_used_and_cost() -> None:
    finished = done(
        ToolStarted(call_id="1", name="bash", arguments='{"command": "ls"}', time=101),
        ToolFinished(call_id="1", result="a\nb", time=102.5),
        RequestFinished(usage=USAGE, cost=Decimal("0.0357"), cost_source="provider"),
        Spent(per="session", usd=Decimal("0.2110"), turns=5),
    )
    line = (
        "[idle] research · m · hosted  34.1 s · 1 tool  in 14,002 (74% cached)  out 1,460  $0.0357  "
        "session $0.2110"
    )
    assert below_text(finished) == f"▸ bash ls ✓ 1.5 s\n{line}"
    html = below_html(finished)
    assert Tags(html).tags == {"details", "summary", "pre", "div", "b", "span"}
    assert Tags(html).attributes <= {"style", "title", "class", "aria-hidden", "aria-label", "role"}


def test_an_unknown_price_is_never_zero() -> None:
    finished = done(
        RequestFinished(usage=USAGE), Spent(per="session", usd=Decimal("0.1"), turns=2, unpriced=1)
    )
    assert panel_text(finished).endswith("cost —  session ≥ $0.1000")
    assert 'title="no list price for this model"' in panel_html(finished)


@pytest.mark.parametrize(
    ("events", "words"),
    [
        ([], "[running]"),
        ([ToolStarted(call_id="1", name="bash"), ApprovalAsked(call_id="1")], "[running · waiting for you]"),
        ([TurnFinished(stop_reason="interrupted", time=103.2)], "stopped by you after 3.2 s"),
        ([TurnFinished(stop_reason="max_turns", time=103.2)], "max_turns after 3.2 s"),
        ([TurnFinished(stop_reason="x", detail="the budget is spent", time=103.2)], "the budget is spent"),
        ([TurnFailed(error=RateLimitError("Too many."))], "[error]"),
    ],
)
def test_every_state_in_words(events: list[Event], words: str) -> None:
    assert words in turn_text(turn(*events))


def test_a_notice_and_a_name_are_one_line_each() -> None:
    odd = fold(done(), Notice(text="x\u200b was not run.\n[idle] p\u0430id"))
    odd = replace(odd, session="a\u202eb")
    note = "x⟦\\u200b⟧ was not run.⟦\\n⟧[idle] p⟦CYRILLIC а⟧id"
    assert below_text(odd).startswith(f"note: {note}\n[idle] a⟦\\u202e⟧b · m")
    assert f">{note}</div>" in below_html(odd)
    assert turn_panel(odd)["notices"] == [note]
    assert TurnItems().exchange(odd)[-1]["text"] == note


def test_notices_and_the_error_are_shown() -> None:
    failed = turn(Notice(text="x is not defined"), TurnFailed(error=RateLimitError("Too many <requests>.")))
    assert "note: x is not defined" in turn_text(failed)
    assert "RateLimitError: Too many &lt;requests&gt;." in turn_html(failed)
    assert "RateLimitError" not in below_html(failed)


def test_what_was_written_is_escaped_and_cleaned() -> None:
    evil = "<script>x</script>\x1b[31m\u202e\x07"
    hostile = done(
        TextDelta(text=evil),
        ToolStarted(call_id="1", name=evil, arguments=evil),
        ToolFinished(call_id="1", result=evil),
        Notice(text=evil),
    )
    for shown in (turn_html(hostile), turn_text(hostile)):
        assert not set(shown) & set("\x1b\x07\u202e")
    assert "script" not in Tags(turn_html(hostile)).tags
    assert hostile.text == evil, "the Turn keeps what was written"


def test_a_huge_text_is_cut_with_a_word_about_the_rest() -> None:
    huge = done(TextDelta(text="x" * (DISPLAY_CHARACTERS + 5)))
    assert "… 5 more characters are in the Turn's text." in turn_text(huge)
    assert len(huge.text) == DISPLAY_CHARACTERS + 5


def test_nbconvert_shows_answer_tools_and_panel() -> None:
    finished = done(
        TextDelta(text="Hello **there**"),
        ToolStarted(call_id="1", name="bash", arguments='{"command": "ls"}'),
        ToolFinished(call_id="1", result="a-file"),
    )
    cell = nbformat.v4.new_code_cell("%%agent\nHi")
    bundles = [
        answer(finished),
        {"text/html": below_html(finished), "text/plain": below_text(finished)},
    ]
    cell.outputs = [nbformat.v4.new_output("display_data", data=bundle) for bundle in [*bundles, NOTHING]]
    notebook = nbformat.v4.new_notebook(cells=[cell])
    nbformat.validate(notebook)
    page, _ = HTMLExporter(template_name="basic").from_notebook_node(notebook)
    assert "<strong>there</strong>" in page
    assert "a-file" in page and "● idle" in page


def test_a_session_without_any_price_shows_no_sum() -> None:
    told = Spent(per="session", usd=Decimal(0), turns=3, unpriced=3)
    assert "session" not in panel_text(Turn(session="main", spent=(told,)))


def test_who_decides_about_a_call_sees_what_will_run() -> None:
    code = "# only look\rimport os\x0c; a = '\u202egniht'; b = '\ud83d'\n\tpass"
    call = ToolCall("c", "run_python", json.dumps({"code": code}), "function", 0.0, approval="asked")
    item = tool_item(call)
    text = "code: |\n  # only look⟦\\r⟧import os⟦\\x0c⟧; a = '⟦\\u202e⟧gniht'; b = '⟦\\ud83d⟧'\n  \tpass"
    assert item["arguments"] == text == as_text(item["question"]["parts"])
    assert item["line"].startswith("# only look import os")
    # "Read a.csv" and "delete a.csv" are not one question.
    for name in ("read", "delete"):
        call = ToolCall("c", "files", json.dumps({name: "a.csv"}), "function", 0.0, approval="asked")
        assert tool_item(call)["arguments"] == f"{name}: a.csv"


def test_a_call_with_arguments_that_nobody_can_read_is_shown() -> None:
    call = ToolCall("c", "add", "[" * 100_000, "function", 0.0, ended=1.0)
    assert "[[[" in tool_line(call) and turn_text(Turn(items=(call,)))


def test_a_server_writes_no_line_of_the_panel() -> None:
    turn = Turn(session="main", model="gpt-x\n[idle] main \u00b7 m  cost $0.0000")
    assert turn_text(turn).count("\n") == turn_text(Turn(session="main", model="gpt-x")).count("\n")


@pytest.mark.parametrize("status", Status)
def test_every_status_has_its_colour_in_both_places(status: Status) -> None:
    assert status in COLOURS
    assert re.search(rf"\.pnb-{status}[ ,]", (STATIC / "live.css").read_text())
