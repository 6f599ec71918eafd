"""Cells in unusual places, and cells that are refused."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import pytest

from praison_nb import usage
from servers.hosted import HostedServer, Tokens, request, text
from servers.hosted_agent import messages
from servers.kernel import Kernel
from servers.openai import DONE, OpenAIServer, chunk, reply


@pytest.fixture
def kernel(shared: Kernel) -> Kernel:
    """The module's kernel, with no conversations left over."""
    assert shared.run("%reload_ext praison_nb\n%agent use local").ok
    return shared


@pytest.fixture
def far() -> Iterator[HostedServer]:
    with HostedServer() as running:
        yield running


@pytest.fixture
def hosted(far: HostedServer) -> Iterator[Kernel]:
    with Kernel(env={"ANTHROPIC_API_KEY": far.api_key, "ANTHROPIC_BASE_URL": far.url}) as running:
        yield running


@pytest.mark.parametrize(
    "options",
    [
        "--new --budget abc",
        "--new --max-turns -1",
        "--new -o not-a-name",
        "-m other --budget abc",
        '--system "x',
    ],
)
def test_a_refused_cell_changes_nothing(kernel: Kernel, server: OpenAIServer, options: str) -> None:
    kernel.run("%%agent -s kept\nRemember me")
    error = kernel.run(f"%%agent -s kept {options}\nHi").error
    assert error.startswith("ConfigError: ") and len(error.splitlines()) == 1
    assert kernel.run("%%agent -s kept\nmore").ok
    said = [message["content"] for message in server.bodies[-1]["messages"] if message["role"] == "user"]
    assert said[-2:] == ["Remember me", "more"] and server.bodies[-1]["model"] == "gpt-4o-mini"


def test_an_empty_cell_begins_nothing_anew(kernel: Kernel, server: OpenAIServer) -> None:
    kernel.run("%%agent -s kept\nRemember me")
    assert (
        "The prompt is empty"
        in kernel.run("nothing = ''\nget_ipython().run_cell_magic('agent', '-s kept --new', ' ')").error
    )
    assert kernel.run("%%agent -s kept\nmore").ok
    assert "Remember me" in str(server.bodies[-1])


@pytest.mark.parametrize(
    "line", ['%agent price "x', '%usage --by "model', "%agent budget 1e400/day", "%%agent --budget 0\nHi"]
)
def test_a_line_that_cannot_be_read_is_one_line(kernel: Kernel, line: str) -> None:
    error = kernel.run(line).error
    assert error.startswith("ConfigError: ") and len(error.splitlines()) == 1


def test_called_in_a_loop_each_turn_is_waited_for(kernel: Kernel, server: OpenAIServer) -> None:
    """No thread waits for those in the background: their functions run all the same."""
    kernel.run("def count() -> int:\n    return 3")
    for _ in range(2):
        server.script(reply(calls=[("count", "{}")]), reply("Three."))
    call = "get_ipython().run_cell_magic('agent', '-t count -s loop{}', prompt)"
    loop = f"for prompt in ('one', 'two'):\n    {call}"
    cell = kernel.run(loop.format(" -o run"))
    assert cell.ok and "never awaited" not in cell.text and cell.text.count("[idle]") == 2
    assert "Three." in cell.text and "[running" not in cell.text
    assert kernel.run("(await run).prompt, run.text").of("text/plain") == ["('two', 'Three.')"]
    cell = kernel.run(loop.format(" --bg -o run"))
    assert cell.ok and "never awaited" not in cell.text
    assert kernel.run("(await run).prompt").of("text/plain") == ["'two'"]
    server.wait_for(lambda: len(server.bodies) >= 6)


@pytest.mark.parametrize("before", ["", "import asyncio\nawait asyncio.sleep(0)\n"])
def test_an_interrupt_ends_a_loop_over_the_magic(kernel: Kernel, server: OpenAIServer, before: str) -> None:
    """ipykernel's own handler would only cancel the cell that awaits, when the loop has ended."""
    server.script([chunk({"content": "so far"}), server.gate(), DONE])
    count = len(server.bodies)
    call = "get_ipython().run_cell_magic('agent', '-s loop -o turn', prompt)"
    cell = kernel.begin(f"{before}for prompt in ('one', 'two'):\n    {call}")
    kernel.read_until(lambda: "so far" in cell.text)
    kernel.interrupt()
    kernel.finish(cell)
    assert cell.error == "KeyboardInterrupt: the turn was stopped; its text and usage so far are kept"
    assert "stopped by you" in cell.text and len(server.bodies) == count + 1
    assert kernel.run("turn.stop_reason, turn.text").of("text/plain") == ["('interrupted', 'so far')"]


INTERRUPT = """
import signal, time
from praison_nb.notebook import _loaded
class Interrupting(list):
    def append(self, run):
        super().append(run)
        signal.raise_signal(signal.SIGINT)
conversation = next(iter(_loaded.values())).conversations.find('cut')
conversation.runs = Interrupting(conversation.runs)
"""
LAST = """
patience = time.monotonic() + 20
while conversation.run.turn.ended is None and time.monotonic() < patience:
    time.sleep(0.01)
conversation.run.turn.prompt, conversation.run.turn.stop_reason
"""


def test_an_interrupt_just_when_a_turn_has_started_stops_it(kernel: Kernel, server: OpenAIServer) -> None:
    """And none that runs beside it."""
    assert kernel.run("%%agent -s cut\none").ok
    held = server.gate()
    server.script(reply("so far", before_end=[held]))
    assert kernel.run("%%agent -s cut --bg -o beside\ntwo").ok and kernel.run(INTERRUPT).ok
    cell = kernel.run("get_ipython().run_cell_magic('agent', '-s cut', 'three')")
    assert "KeyboardInterrupt" in cell.error
    assert kernel.run(LAST).of("text/plain") == ["('three', 'interrupted')"]
    assert kernel.run("beside.turn.ended").of("text/plain") == []
    held.open()
    assert kernel.run("(await beside).stop_reason").of("text/plain") == ["'end_turn'"]


def test_where_the_kernel_is_blocked_the_question_comes_by_input(
    kernel: Kernel, server: OpenAIServer
) -> None:
    """No click arrives, so the live view says how to stop."""
    kernel.run("%config AgentMagics.live = 'widget'\n%agent policy inspect ask")
    try:
        server.script(reply(calls=[("inspect", '{"name": "x"}')]), reply("Then."))
        cell = kernel.begin("turn = get_ipython().run_cell_magic('agent', '-t inspect -s asked', 'Go')")
        assert "inspect wants to run" in kernel.question()
        kernel.client.input("n")
        assert kernel.finish(cell).ok and "Then." in cell.text
        (hint,) = (
            message["content"]["data"]["state"]["state"]["panel"]["hint"]
            for message in cell.messages
            if "_esm" in message["content"].get("data", {}).get("state", {})
        )
        assert hint == "interrupt the kernel to stop"
    finally:
        kernel.run("%config AgentMagics.live = 'auto'\n%agent policy inspect allow")


FORMS = {
    "cell": "%%agent -t ask -s outer\nGo",
    "call": "x = get_ipython().run_cell_magic('agent', '-t ask -s outer', 'Go')",
    "bg": "%%agent -t ask -s outer --bg -o run\nGo",
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("session", ["outer", "inner"])
def test_a_function_of_a_turn_asks_another_session_and_never_its_own(
    kernel: Kernel, server: OpenAIServer, form: str, session: str
) -> None:
    """Turns of one session come one after the other: it would wait for itself."""
    call = f"get_ipython().run_cell_magic('agent', '-s {session}', 'in')"
    kernel.run(f"def ask() -> str:\n    return {call}.text")
    inner = [reply("Inner.")] if session == "inner" else []
    server.script(reply(calls=[("ask", "{}")]), *inner, reply("Then."))
    cell = kernel.run(FORMS[form])
    if form == "bg":
        assert "Then." in kernel.run("(await run).text").text
    assert cell.ok
    result = server.bodies[-1]["messages"][-1]["content"]
    refused = "A function that a turn of session 'outer' calls cannot wait for its next one."
    assert (refused in result) == (session == "outer") and ("Inner." in result) == (session == "inner")


@pytest.mark.parametrize("session", ["inner", "outer"])
def test_an_async_function_of_a_turn_may_wait_too(kernel: Kernel, server: OpenAIServer, session: str) -> None:
    """It blocks a loop that is there for that."""
    call = "get_ipython().run_cell_magic('agent', '-s {}', '{}')"
    kernel.run(f"async def ask() -> str:\n    return {call.format(session, 'in')}.text")
    inner = [reply("Inner.")] if session == "inner" else []
    server.script(reply(calls=[("ask", "{}")]), *inner, reply("Then."))
    cell = kernel.run(f"x = {call.format('outer -t ask', 'Go')}")
    assert cell.ok and "Then." in cell.text
    result = server.bodies[-1]["messages"][-1]["content"]
    refused = "A function that a turn of session 'outer' calls cannot wait for its next one."
    assert (refused in result) == (session == "outer") and ("Inner." in result) == (session == "inner")


def test_a_used_up_budget_sends_nothing(hosted: Kernel, far: HostedServer) -> None:
    far.script([request(text("dear"), usage=Tokens(1_000_000, 0))])
    assert hosted.run("%%agent -b hosted -s dear\none").ok
    assert usage()["cost"].sum() > Decimal("0.01")
    hosted.run("%agent budget 0.01/day")
    for line in ("%%agent -s dear", "%%agent -b hosted -s fresh", "%%agent -s dear --budget 5"):
        cell = hosted.run(f"{line}\nmore")
        assert cell.ok and "the day's budget of $0.01 is used up" in cell.text
    assert messages(far) == ["one"] and len(far.sessions) == 1
    hosted.run("%agent budget off/day")
    assert hosted.run("%%agent -s dear\ntwo").answers == ["two"]


def test_a_changed_hosted_agent_says_that_it_begins_anew(hosted: Kernel, far: HostedServer) -> None:
    define = "def add(a: int, b: int) -> int:\n    return a + b"
    note = "begins a new session: the agent was changed"
    for _ in range(2):
        hosted.run(define)
        assert note not in hosted.run("%%agent -b hosted -s r -t add\none").text
    assert len(far.sessions) == 1
    hosted.restart()
    hosted.run("%agent resume r")
    hosted.run(define)
    cell = hosted.run("%%agent -s r -t add\ntwo")
    assert "goes on with the conversation of" in cell.text and note not in cell.text
    assert len(far.sessions) == 1
    for options in ("-m claude-opus-4-6", "--system Briefly."):
        assert note in hosted.run(f"%%agent -s r -t add {options}\nthree").text
    assert note not in hosted.run("%%agent -s r -t add\nfour").text
    assert len(far.sessions) == 3
