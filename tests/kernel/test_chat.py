"""`praison_nb.chat()` in a real kernel, and what it is where no widgets are."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from praison_nb import store, usage
from praison_nb.history import Item, Text, User, from_json
from praison_nb.notebook.widgets.chat.session import count_before
from praison_nb.render.items import entries, entry_items
from praison_nb.turn import Message, Turn
from servers.base import Gate
from servers.hosted import HostedServer, Tokens, builtin_tool, custom_tool, hold, request, text
from servers.hosted_agent import hosted as an_agent, play
from servers.kernel import Cell, Kernel

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
    note = output["data"]["text/plain"].partition("\n")[0]
    assert re.match(r"As of 20[\d: -]+\. Not to be used here: this front end is not known to show ", note)
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
    w._on_message(message)
    while len(replies) < n:
        await asyncio.sleep(0.01)
await hear(1, kind='send', id='1', text='First')
await hear(2, kind='send', id='1', text='First')
await hear(3, kind='send', id='2', text='Second')
await hear(4, kind='model', id='3', model='x')
print([r['accepted'] for r in replies], len(w.runs), replies[2]['message'])
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


# What was said in a hosted session before


class LateServer(HostedServer):
    """Tells what was said as it is when it is asked, and only when the gate is open."""

    def __init__(self) -> None:
        super().__init__()
        self.late: Gate | None = None

    def route(
        self, method: str, path: str, handler: Callable[[web.Request], Awaitable[Any]], *betas: str
    ) -> None:
        async def later(request: web.Request) -> Any:
            told = await handler(request)
            if self.late is not None and "types[]" in request.query:
                await self.late.passed()
            return told

        super().route(method, path, later, *betas)

    def asked(self) -> int:
        """How often it was asked what was said."""
        return len([each for each in self.seen("GET", "/events") if "types[]" in each.query])


@pytest.fixture
def server() -> Iterator[LateServer]:
    with LateServer() as running:
        yield running


@pytest.fixture
def hosted(server: LateServer) -> Iterator[Kernel]:
    with Kernel(env={"ANTHROPIC_API_KEY": server.api_key, "ANTHROPIC_BASE_URL": server.url}) as running:
        yield running


TEXT = "(lambda each: each.get('text') or html.unescape(each.get('tail', '')).strip()[3:-4])"
SAID = f"[(each['kind'], {TEXT}(each)) for each in w._state()['items'] if each['kind'] != 'note']"
WAIT = """
import asyncio, html, time
deadline = time.monotonic() + 60
while not ({}) and time.monotonic() < deadline:
    await asyncio.sleep(0.01)
"""


def until_said(kernel: Kernel, expected: list[tuple[str, str]]) -> None:
    """Wait until this is what user and agent said, as the chat `w` tells its page."""
    (items,) = kernel.run(f"{WAIT.format(f'{SAID} == {expected!r}')}\n{SAID}").of("text/plain")
    assert ast.literal_eval(items) == expected


def exchange(prompt: str, answer: str = "") -> list[tuple[str, str]]:
    return [("prompt", prompt), ("text", answer or prompt)]


def transcript(cell: Cell) -> str:
    """What was said, without the line above it."""
    return str(cell.outputs[-1]["data"]["text/plain"]).partition("\n\n")[2]


def restarted(kernel: Kernel) -> None:
    """Two turns in a session, and a kernel that knows nothing of them."""
    for prompt in ("one", "two <b>"):
        assert kernel.run(f"%%agent -b hosted -s research\n{prompt}").ok
    kernel.restart()
    kernel.run("import praison_nb")


def elsewhere(kernel: Kernel, server: LateServer) -> str:
    """The id of a session in which somebody else had these two turns; the kernel has the backend `b`."""
    agent = an_agent(server)
    for prompt in ("one", "two <b>"):
        play(agent, prompt)
    kernel.run("import praison_nb\nb = praison_nb.HostedAgent()")
    return str(agent.session_id)


def say(kernel: Kernel, prompt: str) -> None:
    kernel.run(f"w._conversations.begin(w._conversation, {prompt!r}).wait()")


def test_what_was_said_before_the_restart_is_there(hosted: Kernel, server: LateServer) -> None:
    server.page_size = 1
    restarted(hosted)
    before = len(server.requests)
    assert hosted.run("w = praison_nb.chat('research')\nw.label").of("text/plain") == ["'idle'"]
    assert len(server.requests) == before, "nobody looks yet"
    cell = hosted.run("w")
    hosted.read_until(lambda: "two" in transcript(cell))
    assert transcript(cell) == "You: one\n\nAgent: one\n\nYou: two <b>\n\nAgent: two <b>"
    html = cell.outputs[-1]["data"]["text/html"]
    assert html.count("two &lt;b&gt;") == 2 and "<b>\n" not in html
    until_said(hosted, [*exchange("one"), *exchange("two <b>")])
    say(hosted, "three")
    until_said(hosted, [*exchange("one"), *exchange("two <b>"), *exchange("three")])
    hosted.read_until(lambda: "three" in transcript(cell))
    # Another page asks nobody again, and nothing of the past was counted or stored.
    hosted.run("w._on_message({'kind': 'shown'})")
    again = hosted.run("%agent chat -s research")
    hosted.read_until(lambda: "You: one" in transcript(again))
    assert [transcript(again).count(word) for word in ("You: one", "You: two", "You: three")] == [1, 1, 1]
    assert server.asked() == 4 + 6, "a page for each message"
    assert len(usage()) == len(usage(by="request")) == 3
    assert store.current().history(usage()["session_id"].iloc[0]) == []


def test_a_session_by_its_id(hosted: Kernel, server: LateServer) -> None:
    session_id = elsewhere(hosted, server)
    hosted.run("w = praison_nb.chat(b)\nw")
    assert server.asked() == 0
    # The chat that is shown already changes over to it.
    hosted.run(f"b.resume_session({session_id!r})")
    server.wait_for(lambda: server.asked() == 1)
    until_said(hosted, [*exchange("one"), *exchange("two <b>")])
    say(hosted, "three")
    until_said(hosted, [*exchange("one"), *exchange("two <b>"), *exchange("three")])
    hosted.run("b.reset_session()")
    until_said(hosted, [])


@pytest.mark.parametrize("prompt", [pytest.param("three", marks=pytest.mark.slow), "two <b>"])
@pytest.mark.parametrize("told", ["before the turn", "after the turn"])
def test_a_turn_meanwhile_is_there_once(hosted: Kernel, server: LateServer, prompt: str, told: str) -> None:
    """`told` is when the server looks at what was said. The chat hears of it when the turn has answered, or
    while it is silent still."""
    hosted.run(f"b.resume_session({elsewhere(hosted, server)!r})\nw = praison_nb.chat(b)")
    late, answered = server.gate(), server.gate()
    server.late = late
    gate = server.gate()
    server.script([hold(gate), request(text("the answer")), hold(answered)])
    expected = [*exchange("one"), *exchange("two <b>"), ("prompt", prompt)]
    if told == "before the turn":
        hosted.run("w")
        server.wait_for(lambda: late.reached)
    hosted.run(f"run = w._conversations.begin(w._conversation, {prompt!r}, caller_waits=False)")
    server.wait_for(lambda: gate.reached)
    if told == "after the turn":
        hosted.run("w")
        server.wait_for(lambda: late.reached)
        late.open()
        until_said(hosted, expected)
    gate.open()
    server.wait_for(lambda: answered.reached)
    hosted.run(WAIT.format("run.turn.text == 'the answer'"))
    late.open()
    until_said(hosted, [*expected, ("text", "the answer")])
    answered.open()
    hosted.run("run.wait()")
    until_said(hosted, [*expected, ("text", "the answer")])


@pytest.mark.parametrize("opened", ["by the chat", "by resume"])
def test_a_turn_that_is_taken_up_again_is_there_once(hosted: Kernel, server: LateServer, opened: str) -> None:
    server.script([text("first")])
    assert hosted.run("%%agent -b hosted -s research\none").ok
    gate = server.gate()
    server.script([request(text("part one")), hold(gate), request(text("part two"), usage=Tokens(9, 9))])
    cell = hosted.begin("%%agent -s research\nthe long one")
    server.wait_for(lambda: gate.reached)
    hosted.read_until(lambda: "part one" in cell.text)
    hosted.restart()
    hosted.run("import praison_nb")
    if opened == "by resume":
        cell = hosted.run("%agent resume research")
        hosted.read_until(lambda: "part one" in cell.text)
    hosted.run("w = praison_nb.chat('research')")
    hosted.run(
        "import html\nshown = []\n"
        f"w.send = lambda message, *rest: shown.append([{TEXT}(each) for each in w._state()['items']])\nw"
    )
    expected = [*exchange("one", "first"), *exchange("the long one", "part one")]
    until_said(hosted, expected)
    gate.open()
    hosted.run("w.runs[-1].wait()")
    until_said(hosted, [*expected, ("text", "part two")])
    server.script([text("last")])
    say(hosted, "next")
    until_said(hosted, [*expected, ("text", "part two"), *exchange("next", "last")])
    most = hosted.run("max(each.count(text) for each in shown for text in each)")
    assert most.of("text/plain") == ["1"], "nothing is there twice, even for a moment"
    assert server.asked() == 1 and len(usage()) == 3


def test_the_tools_that_were_called_are_there(hosted: Kernel, server: LateServer) -> None:
    server.script([builtin_tool("bash", {"command": "make <all>"}, result="made"), text("Done.")])
    hosted.run("%%agent -b hosted -s research\nBuild")
    hosted.run("def add(a: int, b: int) -> int:\n    return a + b")
    server.script([custom_tool("add", {"a": 1, "b": 2}), text("Three.")])
    hosted.run("%%agent -b hosted -s sums -t add\nAdd")
    hosted.restart()
    for name, line, result, answer in (
        ("research", "bash make <all>", "made", "Done."),
        ("sums", 'add {"a": 1, "b": 2}', "3", "Three."),
    ):
        cell = hosted.run(f"%agent chat -s {name}")
        hosted.read_until(lambda cell=cell, line=line: line in transcript(cell))
        assert transcript(cell).endswith(f"▸ {line}\n\nAgent: {answer}")
        html = cell.outputs[-1]["data"]["text/html"]
        assert "<summary" in html and f">{result}</pre>" in html and "<all>" not in html


def test_a_server_that_is_away_costs_one_line(hosted: Kernel, server: LateServer) -> None:
    hosted.run(f"b.resume_session({elsewhere(hosted, server)!r})")
    server.refuse(2, status=503, method="GET", path="/events", message="away\n\u202enow")
    cell = hosted.run("w = praison_nb.chat(b)\nw")
    hosted.read_until(lambda: "could not be read" in transcript(cell))
    line = transcript(cell)
    assert line.startswith("What was said before could not be read. ") and "away now" in line
    assert hosted.run("[each['text'] for each in w._state()['items']]").of("text/plain") == [f"[{line!r}]"]
    say(hosted, "three")
    until_said(hosted, exchange("three"))
    # A page that is loaded again asks again.
    hosted.run("w._on_message({'kind': 'shown'})")
    until_said(hosted, [*exchange("one"), *exchange("two <b>"), *exchange("three")])
    assert "could not be read" not in hosted.run("w._chat.entries").text


def test_without_a_key_it_says_so(hosted: Kernel, server: LateServer) -> None:
    restarted(hosted)
    hosted.run("import os\ndel os.environ['ANTHROPIC_API_KEY']")
    cell = hosted.run("praison_nb.chat('research')")
    hosted.read_until(lambda: "No key for hosted agents" in transcript(cell))
    assert server.asked() == 0


def message(prompt: str = "", answer: str = "", **ids: str) -> Item:
    return User(text=prompt, **ids) if prompt else Text(text=answer, **ids)


def turn(prompt: str, *messages: str, over: bool = True) -> Turn:
    items = tuple(Message(each, ("words",)) for each in messages)
    return Turn(prompt=prompt, items=items, ended=1.0 if over else None)


HERE = [message("a"), message(answer="A"), message("b"), message(answer="B")]
THERE = [replace(each, id=str(index)) for index, each in enumerate(HERE)]


@pytest.mark.parametrize(
    ("said", "turns", "count"),
    [
        (HERE, [], 4),
        (HERE, [turn("b", "-")], 2),
        (HERE, [turn("a", "-"), turn("b", "-")], 0),
        (HERE, [turn("failed"), turn("b", "-"), turn("failed")], 2),
        (THERE, [], 4),
        (THERE, [turn("b", "3")], 2),
        (THERE, [turn("a", "1"), turn("failed"), turn("b", "3")], 0),
        # Another client spoke between the two, or wrote what a turn was begun with.
        (THERE, [turn("a", "1"), turn("c", "5")], 0),
        (THERE, [turn("else", "3")], 3),
        # The same words as before: never arrived, not answered yet, not heard of yet, heard of since.
        (THERE, [turn("b")], 4),
        (THERE[:3], [turn("b", over=False)], 2),
        (THERE, [turn("b", over=False)], 2),
        (THERE, [turn("b", "5", over=False)], 4),
        # Queued while the session worked for somebody else, whose answer is told to whoever waits.
        ([*THERE[:3], message(answer="rest", id="9")], [turn("b", "9", over=False)], 2),
    ],
)
def test_how_much_came_before(said: list[Item], turns: list[Turn], count: int) -> None:
    assert count_before(said, turns) == count


def test_messages_of_the_users_own_are_shown_as_far_as_they_are_messages() -> None:
    call = {"id": "a", "type": "function", "function": {"name": "f\x1b", "arguments": '{"x": "1"}'}}
    said = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "parts"}]},
        {"role": "assistant", "content": None, "tool_calls": [call, {"id": 3}, "nonsense"]},
        {"role": "assistant", "tool_calls": "nonsense"},
        {"role": "tool", "tool_call_id": "a", "content": "one"},
        {"role": "tool"},
        {"role": "assistant", "content": "Done."},
    ]
    history = [item for each in said for item in from_json(each)]
    prompt_item, call_item, text_item = entry_items(entries(history))
    assert prompt_item["text"] == "parts"
    assert (call_item["name"], call_item["line"], call_item["result"]) == ("f⟦\\x1b⟧", "1", "one")
    assert (call_item["state"], call_item["seconds"]) == ("past", "")
    assert text_item["tail"] == "<p>Done.</p>\n"
