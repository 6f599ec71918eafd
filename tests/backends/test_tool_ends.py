"""However a function of the user's ends, its turn goes on, and so do all others."""

from __future__ import annotations

import asyncio
import functools
import gc
import os
import subprocess
import sys
import threading
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from praison_nb import Agent, LocalAgent, LocalAgentConfig, Turn
from praison_nb.events import Event
from praison_nb.runtime import loop
from praison_nb.tools.builtin import supervise
from servers.hosted import HostedServer, custom_tool, text
from servers.hosted_agent import hosted, sent
from servers.openai import DONE, OpenAIServer, chunk, reply
from servers.waiting import until


class Own(BaseException):
    """None of Python's."""


ENDS = [
    SystemExit(2),
    KeyboardInterrupt(),
    GeneratorExit(),
    StopIteration(1),
    asyncio.CancelledError(),
    Own(),
]


def local(server: OpenAIServer, *tools: Any, **fields: Any) -> LocalAgent:
    fields = {"model": "gpt-4o-mini", "base_url": server.base_url, "api_key": "test-key-123", **fields}
    return LocalAgent(config=LocalAgentConfig(tools=tools, **fields))


def plain(error: BaseException) -> Callable[[], str]:
    def fail() -> str:
        raise error

    return fail


def coroutine(error: BaseException) -> Callable[[], Any]:
    async def fail() -> str:
        raise error

    return fail


def numbers(n: int) -> Iterator[int]:
    yield from range(n)


async def later_numbers(n: int) -> AsyncIterator[int]:
    for each in range(n):
        yield each


def of_a_coroutine(n: int) -> Any:
    async def later() -> Iterator[int]:
        return numbers(n)

    return later()


def mapped(n: int) -> Any:
    return map(str, range(n))


def endless(n: int) -> Iterator[int]:
    while True:
        yield n


@pytest.mark.parametrize(
    ("function", "result"),
    [
        (numbers, "[0, 1]"),
        (later_numbers, "[0, 1]"),
        (of_a_coroutine, "[0, 1]"),
        (mapped, '["0", "1"]'),
        (functools.partial(later_numbers, n=1), "[0]"),
        (endless, "[2, 2, "),
    ],
)
@pytest.mark.parametrize("caller_waits", [True, False])
def test_what_a_function_yields_is_its_result(
    openai_server: OpenAIServer, function: Any, result: str, caller_waits: bool
) -> None:
    name = getattr(function, "__name__", "later_numbers")
    arguments = "{}" if isinstance(function, functools.partial) else '{"n": 2}'
    openai_server.script(reply(calls=[(name, arguments)]), reply("Then."))
    turn = local(openai_server, function).begin("Hi", caller_waits=caller_waits).wait()
    assert turn.tools[0].result.startswith(result) and not turn.tools[0].is_error


def test_a_call_in_another_form_is_asked_about_and_kept_as_it_is_run(openai_server: OpenAIServer) -> None:
    openai_server.script(
        reply(calls=[("functions.numbers", '"{\\"n\\": 2}"')]), reply("Then."), reply("Next.")
    )
    agent = local(openai_server, numbers, policies={"numbers": "ask"})
    run = agent.begin("Hi", caller_waits=False)
    asked = until(run, lambda turn: turn.waiting).waiting[0]
    assert (asked.name, asked.arguments) == ("numbers", '{"n": 2}')
    run.approve(asked.id)
    assert run.wait().tools[0].result == "[0, 1]"
    sent = openai_server.bodies[-1]["messages"][1]["tool_calls"][0]["function"]
    assert sent == {"name": "numbers", "arguments": '{"n": 2}'}


@pytest.mark.parametrize("make", [plain, coroutine])
@pytest.mark.parametrize("error", ENDS, ids=lambda error: type(error).__name__)
def test_in_the_background(openai_server: OpenAIServer, make: Any, error: BaseException) -> None:
    openai_server.script(reply(calls=[("fail", "{}")]), reply("Then."), reply("Next."))
    agent = local(openai_server, make(error))
    turn = until(agent.begin("Hi", caller_waits=False), lambda turn: turn.ended)
    assert turn.text == "Then." and turn.tools[0].is_error and turn.tools[0].ended
    assert agent.begin("more", caller_waits=False).wait().text == "Next."


@pytest.mark.parametrize("make", [plain, coroutine])
@pytest.mark.parametrize(
    "error", [e for e in ENDS if not isinstance(e, KeyboardInterrupt)], ids=lambda error: type(error).__name__
)
def test_on_the_thread_that_waits(openai_server: OpenAIServer, make: Any, error: BaseException) -> None:
    openai_server.script(reply(calls=[("fail", "{}")]), reply("Then."), reply("Next."))
    agent = local(openai_server, make(error))
    turn = agent.begin("Hi").wait()
    assert turn.text == "Then." and turn.tools[0].is_error
    assert agent.begin("more").wait().text == "Next."


def test_hosted(server: HostedServer) -> None:
    server.script([custom_tool("fail"), text("Then.")])
    turn = hosted(server, tools=[plain(SystemExit(2))]).begin("Hi", caller_waits=False).wait()
    assert turn.text == "Then." and sent(server, "user.custom_tool_result")[0]["is_error"]


def test_a_backend_that_wants_to_end_the_process_ends_its_turn() -> None:
    class Leaving:
        def execute(self, prompt: str, **kwargs: Any) -> str:
            raise SystemExit(1)

        async def stream(self, prompt: str, **kwargs: Any) -> AsyncIterator[str]:
            yield "so far"
            sys.exit(1)

        def reset_session(self) -> None: ...

        def reset_all(self) -> None: ...

        def retrieve_session(self) -> dict[str, Any]:
            return {}

    run = Agent(backend=Leaving()).backend.begin("Hi")
    turn = run.wait()
    assert turn.text == "so far" and "SystemExit" in str(turn.error) and loop.get().is_running()


def test_the_loop_outlives_a_task_that_ends_it(caplog: pytest.LogCaptureFixture) -> None:
    async def leave() -> None:
        sys.exit(3)

    async def work() -> int:
        return 7

    asyncio.run_coroutine_threadsafe(leave(), loop.get())
    assert asyncio.run_coroutine_threadsafe(work(), loop.get()).result(10) == 7
    assert "the other turns go on" in caplog.text


# Functions that only the main thread may run


@pytest.fixture
def value() -> Iterator[None]:
    import __main__

    vars(__main__)["value_for_a_test"] = [1, 2]
    yield
    del vars(__main__)["value_for_a_test"]


LOOK = reply(calls=[("inspect", '{"name": "value_for_a_test"}')])


def test_a_background_turn_gets_a_thread_that_waits_for_it(openai_server: OpenAIServer, value: None) -> None:
    openai_server.script(LOOK, reply("Two."))
    turn = local(openai_server, "inspect").begin("Hi", caller_waits=False).wait()
    assert "length 2" in turn.tools[0].result and turn.text == "Two."


def test_another_thread_does_not_wait_for_ever(
    openai_server: OpenAIServer, value: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The main thread waits for the pool, and the pool for the main thread."""
    monkeypatch.setattr(supervise, "PATIENCE_SECONDS", 0.1)
    openai_server.script(LOOK, reply("Pity."))
    agent = Agent(backend=local(openai_server, "inspect"))
    with ThreadPoolExecutor() as pool:
        assert list(pool.map(agent.start, ["Hi"])) == ["Pity."]
    assert "nothing there waits" in openai_server.bodies[-1]["messages"][-1]["content"]


def test_waiting_functions_keep_nothing_else_from_working(openai_server: OpenAIServer) -> None:
    """More of them than the loop's own pool has threads."""
    gate, count = threading.Event(), (os.cpu_count() or 1) + 6

    def wait() -> str:
        gate.wait()
        return "waited"

    openai_server.script(*[reply(calls=[("wait", "{}")]) for _ in range(count)])
    runs = [local(openai_server, wait).begin("Hi", caller_waits=False) for _ in range(count)]
    for run in runs:
        until(run, lambda turn: turn.tools)
    openai_server.script(reply("Free."))
    try:
        assert Agent(backend=local(openai_server)).start("Hi") == "Free."
    finally:
        gate.set()
    assert {run.wait().tools[0].result for run in runs} == {"waited"}


# Halves of characters

HALF = "caf\udce9.csv"


def test_half_a_character_breaks_no_conversation(openai_server: OpenAIServer) -> None:
    def names() -> list[str]:
        return [HALF]

    openai_server.script(
        reply(calls=[("names", '{"more": "\ud83d"}'), ("names", "{}")]),
        [chunk({"content": "Look: \ud83d"}), chunk({"content": "\ude00 and \ud83d"}), *reply("!")[1:], DONE],
        reply("Yes."),
    )
    agent = local(openai_server, names, system=f"Be {HALF}.")
    shown: list[Event] = []
    turn = agent.begin(f"What is {HALF}?", subscribers=(lambda event, turn: shown.append(event),)).wait()
    assert turn.error is None and turn.text.startswith("Look: 😀 and"), turn
    assert agent.begin("Really?").wait().text == "Yes."
    repr(turn).encode(), repr(shown).encode()
    said = openai_server.bodies[-1]["messages"]
    assert said[0]["content"] == "Be caf�.csv." and said[1]["content"] == "What is caf�.csv?"
    assert [m["content"] for m in said if m["role"] == "tool"][1] == '["caf�.csv"]'


def test_half_a_character_reaches_no_hosted_session(server: HostedServer) -> None:
    def name() -> str:
        return HALF

    server.script([custom_tool("name"), text("ok")])
    turn: Turn = hosted(server, tools=[name]).begin(HALF).wait()
    assert turn.text == "ok" and turn.prompt == "caf�.csv"
    assert sent(server, "user.custom_tool_result")[0]["content"][0]["text"] == "caf�.csv"


def test_a_script_that_ends_its_own_function(openai_server: OpenAIServer) -> None:
    """In a process of its own: nothing hangs, and it ends by itself."""
    openai_server.script(reply(calls=[("leave", "{}")]), reply("Then."))
    code = (
        "import sys\nfrom praison_nb import Agent, LocalAgent, LocalAgentConfig\n"
        "async def leave() -> str:\n    sys.exit(2)\n"
        f"config = LocalAgentConfig(model='m', base_url={openai_server.base_url!r}, api_key='k', "
        "tools=[leave])\n"
        "sys.stdout.write(Agent(backend=LocalAgent(config=config)).start('Hi'))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.returncode) == ("Then.", 0), done.stderr


class Speechless(Exception):
    """Its message fails."""

    def __str__(self) -> str:
        return self.nothing  # type: ignore[attr-defined,no-any-return]


class Unspeakable:
    """A value that no text can be made of, in whichever way."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __str__(self) -> str:
        raise self.error


def test_an_error_without_words_is_a_result(openai_server: OpenAIServer) -> None:
    openai_server.script(reply(calls=[("fail", "{}")]), reply("Then."))
    turn = until(
        local(openai_server, plain(Speechless())).begin("Hi", caller_waits=False), lambda turn: turn.ended
    )
    assert turn.text == "Then." and turn.tools[0].result == (
        "Speechless: (its message cannot be had: AttributeError)"
    )


@pytest.mark.parametrize("caller_waits", [True, False])
@pytest.mark.parametrize(
    "error", [e for e in ENDS if not isinstance(e, KeyboardInterrupt)], ids=lambda error: type(error).__name__
)
def test_a_value_without_words_is_a_result(
    openai_server: OpenAIServer, error: BaseException, caller_waits: bool
) -> None:
    def value() -> Any:
        return Unspeakable(error)

    openai_server.script(reply(calls=[("value", "{}")]), reply("Then."))
    run = local(openai_server, value).begin("Hi", caller_waits=caller_waits)
    turn = run.wait() if caller_waits else until(run, lambda turn: turn.ended)
    assert turn.text == "Then." and turn.tools[0].is_error


@pytest.mark.parametrize("is_async", [True, False])
def test_text_is_made_of_a_value_where_the_function_runs(openai_server: OpenAIServer, is_async: bool) -> None:
    threads: list[threading.Thread] = []

    class Value:
        def __str__(self) -> str:
            threads.append(threading.current_thread())
            return "text"

    def value() -> Any:
        return Value()

    openai_server.script(reply(calls=[("value", "{}")]), reply("Then."))
    agent = local(openai_server, value)

    async def ask() -> Turn:
        return await agent.begin("Hi")

    turn = asyncio.run(ask()) if is_async else agent.begin("Hi").wait()
    assert turn.tools[0].result == "text" and threads == [threading.main_thread()]


def test_secrets_of_the_environment_stay_here(
    openai_server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_TOKEN", "hunter2hunter2")

    def leak() -> str:
        return f"it is {os.environ['MY_TOKEN']}"

    error = plain(ValueError("it is hunter2hunter2"))
    for tool in (leak, error):
        openai_server.script(reply(calls=[(tool.__name__, "{}")]), reply("Then."))
        turn = local(openai_server, tool).begin("Hi").wait()
        assert turn.text == "Then." and "it is [key]" in turn.tools[0].result
        assert "hunter2" not in repr(turn) + str(openai_server.bodies)


def test_what_a_function_returned_is_not_kept(openai_server: OpenAIServer) -> None:
    class Big:
        pass

    made: list[weakref.ref[Big]] = []

    def value() -> Any:
        made.append(weakref.ref(big := Big()))
        return big

    openai_server.script(reply(calls=[("value", "{}")]), reply("Then."))
    run = local(openai_server, value).begin("Hi")
    run.wait()
    gc.collect()
    assert made[0]() is None and run.turn.tools[0].result


def test_a_stop_ends_a_coroutine_that_a_script_waits_for(openai_server: OpenAIServer) -> None:
    ended = threading.Event()
    begun = threading.Event()

    async def forever() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    openai_server.script(reply(calls=[("forever", "{}")]))
    run = local(openai_server, forever).begin("Hi")
    stopper = threading.Thread(target=lambda: (begun.wait(60), run.stop()))
    stopper.start()
    assert run.wait().stop_reason == "interrupted"
    stopper.join()
    assert ended.wait(60)


def test_a_question_that_cannot_be_asked_is_a_no(openai_server: OpenAIServer) -> None:
    def asker(call: Any) -> bool:
        return bool(b"\xff".decode())

    openai_server.script(reply(calls=[("value", "{}")]), reply("Then."))

    def value() -> str:
        return "run"

    agent = local(openai_server, value, policies={"value": "ask"})
    turn = agent.begin("Hi", asker=asker).wait()
    assert turn.text == "Then." and turn.tools[0].approval == "denied"
    assert turn.notices == ("value was not run: asking failed (UnicodeDecodeError).",)
