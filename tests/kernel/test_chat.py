"""`praison_nb.chat()` in a real kernel, and what it is where no widgets are."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from servers.kernel import Kernel

TESTS = Path(__file__).parents[1]
SETUP = "from browser.scenarios import *\nimport praison_nb\nb = unpriced()"


@pytest.fixture
def kernel(tmp_path: Path) -> Iterator[Kernel]:
    env = {
        "PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parent)]),
        "PRAISON_NB_GATES": str(tmp_path),
        "PRAISON_NB_LEDGER": str(tmp_path / "ledger.sqlite"),
    }
    with Kernel(env=env) as kernel:
        assert kernel.run(SETUP).ok
        yield kernel


def test_without_widgets_it_is_the_transcript_and_grows(kernel: Kernel) -> None:
    kernel.run("%%agent -b b -s talk\nHello <i>you</i>")
    cell = kernel.run("%agent chat -s talk")
    (output,) = cell.outputs
    assert set(output["data"]) == {"text/html", "text/plain"}
    assert "You: Hello <i>you</i>\n\nHello." in output["data"]["text/plain"]
    assert "&lt;i&gt;you&lt;/i&gt;" in output["data"]["text/html"]
    kernel.run("%%agent -b b -s talk\nMore")
    kernel.read_until(lambda: "You: More\n\nHello." in output["data"]["text/plain"])


def test_a_message_is_taken_once_and_no_turn_overlaps(kernel: Kernel, tmp_path: Path) -> None:
    code = """
b = scripted(*text('Yes.'), hold('go'))
w = praison_nb.chat(b)
replies = []
w.send = lambda message, *rest: replies.append(message['reply']) if 'reply' in message else None
import asyncio
async def hear(n, **message):
    w._hear(message)
    while len(replies) < n:
        await asyncio.sleep(0.01)
await hear(1, kind='send', id='1', text='First')
await hear(2, kind='send', id='1', text='First')
await hear(3, kind='send', id='2', text='Second')
await hear(4, kind='model', id='3', model='x')
print([r['taken'] for r in replies], len(w.runs), replies[2]['words'])
"""
    cell = kernel.run(code)
    assert cell.text.startswith("[True, True, False, False] 1 A turn is under way: wait"), cell.text
    (tmp_path / "go").touch()
    assert kernel.run("w.runs[0].wait().text").of("text/plain") == ["'Yes.'"]
    cell = kernel.run("await hear(5, kind='send', id='4', text='Third')\nw.runs[1].wait().prompt")
    assert cell.of("text/plain") == ["'Third'"]


def test_a_new_session_begins_an_empty_transcript(kernel: Kernel) -> None:
    kernel.run("w = praison_nb.chat(b)\nb.begin('not of a conversation').wait()")
    kernel.run("w._conversations.begin(w._conversation, 'One').wait()")
    assert kernel.run("[r.turn.prompt for r in w.runs]").of("text/plain") == ["['One']"]
    kernel.run("b.reset_session()\nw._conversations.begin(w._conversation, 'Two').wait()")
    assert kernel.run("[r.turn.prompt for r in w.runs]").of("text/plain") == ["['Two']"]
    assert "praison_nb.chat" not in kernel.run("praison_nb.chat(b)").error


@pytest.mark.parametrize("wrong", ["3", "b.session", "object()"])
def test_anything_else_is_refused_in_one_line(kernel: Kernel, wrong: str) -> None:
    error = kernel.run(f"praison_nb.chat({wrong})").error
    assert error.startswith("ConfigError: ")
    assert "\n" not in error
