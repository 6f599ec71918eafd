"""Coroutines of the user's stand in nobody's way, and waiting that would never end is refused."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import threading
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from praison_nb import Agent, LocalAgent, LocalAgentConfig, ScriptedBackend, Turn
from praison_nb.backends import as_backend
from praison_nb.backends.base import Backend
from praison_nb.backends.session import Session
from praison_nb.errors import ConfigError
from praison_nb.events import Event, RequestFinished, RequestStarted, TextDelta, TurnFinished
from praison_nb.runtime import loop, user_loop
from praison_nb.runtime.run import Run
from praison_nb.session import Usage
from servers.hosted import HostedServer, ask, builtin_tool, text
from servers.hosted_agent import hosted
from servers.openai import OpenAIServer, reply
from servers.waiting import until


class Mine:
    """A user's backend of coroutines; `answer(prompt)` is what it says."""

    def __init__(self, answer: Callable[[str], Any]) -> None:
        self.answer = answer

    async def execute(self, prompt: str, **kwargs: Any) -> str:
        raise NotImplementedError

    async def stream(self, prompt: str, **kwargs: Any) -> AsyncIterator[str]:
        said = self.answer(prompt)
        yield await said if asyncio.iscoroutine(said) else said

    async def reset_session(self) -> None: ...

    async def reset_all(self) -> None: ...

    async def retrieve_session(self) -> dict[str, Any]:
        return {"id": "mine", "status": "idle"}


def local(server: OpenAIServer, *tools: Any) -> LocalAgent:
    return LocalAgent(config=LocalAgentConfig(model="m", base_url=server.base_url, tools=tools))


def inner() -> Agent:
    return Agent("inner", ScriptedBackend([TextDelta(text="42")]))


class Gate:
    """A coroutine function that blocks its thread, until it is opened."""

    def __init__(self) -> None:
        self.entered, self.opened = threading.Event(), threading.Event()

    async def block(self) -> str:
        self.entered.set()
        self.opened.wait(60)
        return "opened"


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.opened.set()


def test_nothing_of_the_users_runs_where_all_turns_live(openai_server: OpenAIServer) -> None:
    threads: list[bool] = []

    async def look() -> str:
        threads.append(loop.on_loop_thread())
        return "seen"

    async def answer(prompt: str) -> str:
        return await look()

    async def follow(event: Event, turn: Turn) -> None:
        await look()

    openai_server.script(reply(calls=[("look", "{}")]), reply("Then."))
    assert local(openai_server, look).begin("Hi", caller_waits=False).wait().text == "Then."
    openai_server.script(reply(calls=[("look", "{}")]), reply("Then."))
    assert local(openai_server, look).begin("Hi").wait().text == "Then."
    run = as_backend(Mine(answer)).begin("Hi", subscribers=(follow,))
    assert run.wait().text == "seen"
    assert len(threads) >= 3 and not any(threads)


def test_a_tool_that_blocks_delays_nobody_and_no_stop(openai_server: OpenAIServer, gate: Gate) -> None:
    async def quick() -> str:
        await asyncio.sleep(0)
        return "quick"

    openai_server.script(reply(calls=[("block", "{}")]))
    blocked = local(openai_server, gate.block).begin("Hi", caller_waits=False)
    assert gate.entered.wait(60)
    openai_server.script(reply(calls=[("quick", "{}")]), reply("Then."))
    turn = local(openai_server, quick).begin("Hi", caller_waits=False).wait()
    assert turn.text == "Then." and turn.tools[0].result == "quick"
    assert Agent("mine", Mine(str.upper)).start("hi") == "HI"
    assert blocked.turn.ended is None
    blocked.stop()
    assert blocked.wait().stop_reason == "interrupted" and not gate.opened.is_set()


def test_a_script_that_waits_for_a_tool_that_blocks_can_be_stopped(
    openai_server: OpenAIServer, gate: Gate
) -> None:
    openai_server.script(reply(calls=[("block", "{}")]))
    run = local(openai_server, gate.block).begin("Hi")
    stopper = threading.Thread(target=lambda: (gate.entered.wait(60), run.stop()))
    stopper.start()
    assert run.wait().stop_reason == "interrupted" and not gate.opened.is_set()
    stopper.join()


def test_a_backend_that_blocks_can_be_stopped(gate: Gate) -> None:
    run = as_backend(Mine(lambda prompt: gate.block())).begin("Hi", caller_waits=False)
    assert gate.entered.wait(60)
    run.stop()
    assert run.wait().stop_reason == "interrupted" and not gate.opened.is_set()


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_confirmation_that_blocks_delays_nobody(server: HostedServer, gate: Gate, wrapped: bool) -> None:
    async def confirm(call: Any) -> bool:
        return bool(await gate.block())

    server.script([ask(builtin_tool("rm", {"path": "x"}, result="gone")), text("Then.")])
    callback = (lambda call: confirm(call)) if wrapped else confirm
    run = hosted(server, on_tool_confirmation=callback).begin("Hi", caller_waits=False)
    assert gate.entered.wait(60)
    assert inner().start("hi") == "42" and run.turn.ended is None
    gate.opened.set()
    turn = run.wait()
    assert turn.text == "Then." and turn.tools[0].approval == "allowed"


def test_a_client_finds_its_loop_again(openai_server: OpenAIServer, gate: Gate) -> None:
    """What blocks for a while does not move the others for good."""
    loops: list[Any] = []

    async def where() -> str:
        loops.append(asyncio.get_running_loop())
        return "here"

    def ask() -> None:
        openai_server.script(reply(calls=[("where", "{}")]), reply("Then."))
        assert local(openai_server, where).begin("Hi").wait().text == "Then."

    ask()
    openai_server.script(reply(calls=[("block", "{}")]))
    run = local(openai_server, gate.block).begin("Hi", caller_waits=False)
    assert gate.entered.wait(60)
    ask()
    openai_server.script(reply("Then."))
    gate.opened.set()
    assert run.wait().text == "Then."
    ask()
    assert loops[0] is loops[2] is not loops[1]


def test_a_generator_is_one_task(openai_server: OpenAIServer) -> None:
    """Timeouts and task groups around a yield need that; and it ends where it is stopped."""
    ended = threading.Event()

    class Timed(Mine):
        async def stream(self, prompt: str, **kwargs: Any) -> AsyncIterator[str]:
            try:
                async with asyncio.timeout(60), asyncio.TaskGroup():
                    yield "so "
                    await asyncio.sleep(0)
                    yield "far"
                    if prompt == "hang":
                        await asyncio.Event().wait()
            finally:
                await asyncio.sleep(0)
                ended.set()

    backend = as_backend(Timed(str))
    assert backend.begin("go").wait().text == "so far" and ended.is_set()
    ended.clear()
    run = backend.begin("hang")
    until(run, lambda turn: turn.text == "so far")
    run.stop()
    assert run.wait().stop_reason == "interrupted" and ended.wait(60)


def test_a_function_that_only_makes_a_coroutine(openai_server: OpenAIServer) -> None:
    async def later() -> str:
        return "the value"

    def tool() -> Any:
        return later()

    openai_server.script(reply(calls=[("tool", "{}")]), reply("Then."))
    turn = local(openai_server, tool).begin("Hi").wait()
    assert turn.tools[0].result == "the value"


# Turns within turns


@pytest.mark.parametrize("is_awaited", [True, False])
@pytest.mark.parametrize("make", [inner, lambda: Agent("inner", Mine(lambda prompt: "42"))])
def test_a_backend_asks_another_agent(make: Callable[[], Agent], is_awaited: bool) -> None:
    agent = make()
    outer = Mine(agent.astart if is_awaited else agent.start)
    assert Agent("outer", outer).start("hi") == "42"


def test_an_async_tool_asks_another_agent(openai_server: OpenAIServer) -> None:
    async def ask() -> str:
        return f"{inner().start('now')} {await inner().astart('now')}"

    openai_server.script(reply(calls=[("ask", "{}")]), reply("Then."))
    assert Agent("outer", local(openai_server, ask)).start("Hi") == "Then."
    assert openai_server.bodies[-1]["messages"][-1]["content"] == "42 42"


@pytest.mark.parametrize("is_awaited", [True, False])
def test_a_backend_that_asks_itself_is_told_so(is_awaited: bool) -> None:
    user = Mine(str)
    agent = Agent("outer", user)
    user.answer = agent.astart if is_awaited else agent.start
    with pytest.raises(ConfigError, match="cannot wait for its next one"):
        Agent("again", user).start("hi")


@pytest.mark.parametrize("how", ["start", "astart", "stream"])
def test_the_last_turn_is_none_that_was_refused(openai_server: OpenAIServer, how: str) -> None:
    seen: list[Turn | None] = []

    async def ask_again() -> str:
        """Ask again."""
        try:
            await agent.astart("inner")
        finally:
            seen.append(agent.turn)
        return "never"

    def ask() -> str:
        """Ask."""
        try:
            return agent.start("inner") if how == "start" else "".join(agent.start("inner", stream=True))
        finally:
            seen.append(agent.turn)

    tool = ask_again if how == "astart" else ask
    openai_server.script(reply(calls=[(tool.__name__, "{}")]), reply("Done."))
    agent = Agent("outer", local(openai_server, tool))
    assert agent.start("hi") == "Done."
    assert [turn and turn.prompt for turn in (*seen, agent.turn)] == ["hi", "hi"]
    assert agent.turn and "cannot wait for its next one" in agent.turn.tools[0].result


class OnTheLoop(Backend):
    """Its events wait for another turn, on the loop that both live on."""

    name = "mistaken"

    async def events(self, prompt: str, session: Session, run: Run) -> AsyncIterator[Event]:
        agent = inner()
        yield TextDelta(text=await agent.astart(prompt) if prompt == "await" else agent.start(prompt))


def test_no_turn_blocks_the_loop_of_all_turns() -> None:
    turn = OnTheLoop().begin("block").wait()
    assert "cannot be called on the background loop" in str(turn.error)
    assert OnTheLoop().begin("await").wait().text == "42"


def test_functions_of_an_inner_turn_run_on_no_loop(openai_server: OpenAIServer) -> None:
    """A turn that is awaited on a loop of the package runs its functions elsewhere."""
    seen: list[bool] = []

    def look() -> str:
        seen.append(loop.on_loop_thread() or user_loop.on_user_loop())
        return "seen"

    openai_server.script(reply(calls=[("look", "{}")]), reply("42"))
    agent = Agent("inner", local(openai_server, look))

    async def step(run: Run) -> Event:
        return TextDelta(text=await agent.astart("Hi"))

    assert ScriptedBackend([step]).begin("go").wait().text == "42"
    openai_server.script(reply(calls=[("look", "{}")]), reply("42"))
    assert Agent("outer", Mine(agent.astart)).start("hi") == "42"
    assert seen == [False, False]


def test_a_subscriber_that_waits_costs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    run = inner().backend.begin("hi", subscribers=(lambda event, turn: inner().start("now"),))
    assert run.wait().text == "42"
    assert "cannot be called on the background loop" in caplog.text


@pytest.mark.parametrize("is_awaited", [True, False])
def test_a_subscriber_that_waits_for_its_own_turn_is_told_so(is_awaited: bool) -> None:
    errors: list[str] = []
    begun, failed = threading.Event(), asyncio.Event()

    async def follow(event: Event, turn: Turn) -> None:
        begun.wait(60)
        try:
            await run if is_awaited else run.wait()
        except ConfigError as error:
            errors.append(str(error))
            loop.get().call_soon_threadsafe(failed.set)

    async def hold(step: Run) -> None:
        await failed.wait()

    run = ScriptedBackend([TextDelta(text="x"), hold]).begin("hi", subscribers=(follow,))
    begun.set()
    assert run.wait().text == "x"
    assert "calls cannot wait for that turn. Its `turn` says how far it is." in errors[0]


def test_nobody_else_has_to_hold_what_a_subscriber_awaits() -> None:
    awaited: list[weakref.ref[asyncio.Event]] = []
    waits, ended = threading.Event(), threading.Event()

    async def follow(event: Event, turn: Turn) -> None:
        if not awaited:
            gate = asyncio.Event()
            awaited.append(weakref.ref(gate))
            waits.set()
            await gate.wait()
        if isinstance(event, TurnFinished):
            ended.set()

    async def open_gate() -> None:
        gate = awaited[0]()
        assert gate is not None
        gate.set()

    ScriptedBackend([TextDelta(text="x")]).begin("hi", subscribers=(follow,)).wait()
    assert waits.wait(60)
    loop.run_sync(lambda: user_loop.run(lambda: asyncio.sleep(0)))  # now it waits
    gc.collect()
    loop.run_sync(lambda: user_loop.run(open_gate))
    assert ended.wait(60)


def test_run_sync_refuses_where_it_would_wait_for_itself() -> None:
    async def nested() -> str:
        with pytest.raises(ConfigError, match="background loop"):
            loop.run_sync(nested)
        return "refused"

    assert loop.run_sync(nested) == "refused"


# Observers


USED: list[Any] = [
    RequestStarted(input_tokens=3),
    TextDelta(text="x"),
    RequestFinished(usage=Usage(uncached_input_tokens=3, output_tokens=2)),
]


@pytest.mark.parametrize(
    "error", [ValueError(), SystemExit(1), KeyboardInterrupt(), asyncio.CancelledError()]
)
@pytest.mark.parametrize("leaves", [True, False])
@pytest.mark.parametrize("is_async", [True, False])
@pytest.mark.parametrize("where", ["run", "session", "backend"])
def test_an_observer_that_fails_costs_nothing(
    error: BaseException, leaves: bool, is_async: bool, where: str, caplog: pytest.LogCaptureFixture
) -> None:
    backend = ScriptedBackend([*USED])
    calls, unsubscribe = [0], [lambda: None]
    seen: list[Event] = []
    failed = threading.Event()

    def fail(*args: Any) -> None:
        calls[0] += 1
        failed.set()
        if leaves:
            unsubscribe[0]()
        raise error

    async def fail_later(*args: Any) -> None:
        fail()

    observer = fail_later if is_async else fail

    async def begin(run: Run) -> None:
        if where == "run":
            unsubscribe[0] = run.subscribe(observer)
        run.subscribe(lambda event, turn: seen.append(event))

    backend.steps.insert(0, begin)
    if where != "run":
        unsubscribe[0] = (backend if where == "backend" else backend.session).on_change(observer)
    turn = backend.begin("hi").wait()
    assert turn.text == "x" and turn.error is None and len(seen) >= 4
    usage = backend.retrieve_session()["usage"]
    assert (usage["input_tokens"], usage["output_tokens"]) == (3, 2)
    assert failed.wait(60)
    if not is_async:
        assert calls == [1]


async def _noted(seen: list[int], number: int) -> None:
    await asyncio.sleep(0.01 if number == 0 else 0)
    seen.append(number)


def test_coroutines_of_an_observer_come_one_after_the_other() -> None:
    seen: list[int] = []
    done = threading.Event()
    count = iter(range(100))

    async def follow(event: Event, turn: Turn) -> None:
        await _noted(seen, next(count))
        if turn.ended:
            done.set()

    steps = [TextDelta(text=str(number)) for number in range(5)]
    ScriptedBackend(steps).begin("hi", subscribers=(follow,)).wait()
    assert done.wait(60) and seen == list(range(len(seen))) and len(seen) >= 6


def test_one_that_was_added_twice_is_removed_once() -> None:
    calls: list[int] = []
    session = Session()

    class Same:
        def __call__(self) -> None:
            calls.append(1)

        def __eq__(self, other: object) -> bool:
            raise ValueError("these cannot be compared")

        __hash__ = object.__hash__

    same = Same()
    first = session.on_change(same)
    session.on_change(same)
    first()
    first()
    session.notify()
    assert calls == [1]


# Sessions, processes


def test_a_turn_stays_in_the_session_it_was_begun_in() -> None:
    async def hold(run: Run) -> None:
        await asyncio.Event().wait()

    backend = ScriptedBackend([TextDelta(text="x"), hold])
    for _ in range(30):
        run = backend.begin("one")
        backend.reset_session()
        assert run.wait().stop_reason == "interrupted"
        assert backend.session.id == "" and backend.retrieve_session()["status"] == "none"


def test_a_turn_that_waited_for_another_stays_in_its_session() -> None:
    go = threading.Event()

    async def hold(run: Run) -> None:
        await asyncio.to_thread(go.wait, 60)

    backend = ScriptedBackend([hold, TextDelta(text="x")])
    runs = [backend.begin("one"), backend.begin("two")]
    old, backend.session = backend.session, Session()
    go.set()
    for run in runs:
        run.wait()
    assert backend.session.id == "" and old.id == runs[0].turn.session_id == runs[1].turn.session_id


def script(code: str, *arguments: str) -> str:
    """What a script writes that ends in time."""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=60
    )
    return done.stdout + done.stderr


NESTED = """
from praison_nb import Agent, ScriptedBackend
from praison_nb.events import TextDelta
from praison_nb.runtime.loop import MAX_FUNCTION_THREADS
class Asks:
    def __init__(self, agent): self.agent = agent
    def execute(self, prompt, **kwargs): return self.agent.start(prompt)
    def stream(self, prompt, **kwargs): yield self.agent.start(prompt)
    def reset_session(self): ...
    def reset_all(self): ...
    def retrieve_session(self): return {"id": "asks", "status": "idle"}
agent = Agent("inner", ScriptedBackend([TextDelta(text="42")]))
for each in range(MAX_FUNCTION_THREADS + 2):
    agent = Agent("outer", Asks(agent))
print(agent.start("hi"))
"""


def test_functions_that_wait_for_others_leave_threads_for_them() -> None:
    assert script(NESTED) == "42\n"


HELLO = (
    "import asyncio, atexit, os, sys, time\n"
    "from praison_nb import Agent, ScriptedBackend\nfrom praison_nb.events import TextDelta\n"
    "agent = Agent('a', ScriptedBackend([TextDelta(text='hello')]))\n"
)


def test_no_turn_begins_when_all_have_ended() -> None:
    told = script(HELLO + "atexit.register(lambda: agent.start('more'))\nagent.start('hi')")
    assert "TurnStopped: The process is ending: no turn can begin any more" in told


def test_a_turn_that_the_end_has_ended_is_not_waited_for() -> None:
    code = (
        "async def hold(run):\n    await asyncio.Event().wait()\n"
        "agent.backend.steps.append(hold)\n"
        "atexit.register(lambda: print(run.wait().error))\n"
        "run = agent.backend.begin('hi', caller_waits=False)\n"
    )
    assert "Unfinished: its process ended before the turn did." in script(HELLO + code)


STOPPED = """
import threading
from praison_nb.runtime import loop, user_loop
begun = threading.Event()
async def fail():
    begun.set()
    try:
        await asyncio.Event().wait()
    finally:
        raise ValueError("on the way out")
async def stop():
    running = asyncio.create_task(user_loop.run(fail))
    await asyncio.to_thread(begun.wait)
    running.cancel()
    await asyncio.wait([running])
    print(running.cancelled(), await user_loop.run(lambda: agent.astart("hi")))
loop.run_sync(stop)
"""


def test_what_fails_as_it_is_stopped_is_not_complained_of() -> None:
    assert script(HELLO + STOPPED) == "True hello\n"


FORK = """
from praison_nb import LocalAgent, LocalAgentConfig
async def tool() -> str:
    return "x"
async def hold(run):
    while not over:
        await asyncio.sleep(0.01)
over = False
agent = Agent("a", LocalAgent(config=LocalAgentConfig(model="m", base_url=sys.argv[1], tools=[tool])))
other = ScriptedBackend([TextDelta(text="x"), hold])
agent.start("hi")
run = other.begin("go", caller_waits=False)
child = os.fork()
if not child:
    other.steps = [TextDelta(text="y")]
    os.write(1, f"{agent.start('hi')} {other.begin('go').wait().text}\\n".encode())
    os._exit(0)
patience = time.monotonic() + 30
while os.waitpid(child, os.WNOHANG) == (0, 0):
    if time.monotonic() > patience:
        os.kill(child, 9)
    time.sleep(0.01)
over = True
print(agent.start("hi"), run.wait().text)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_after_a_fork_both_go_on(openai_server: OpenAIServer) -> None:
    """The parent's connections and its turn under way are of no matter to the child."""
    for _ in range(3):
        openai_server.script(reply(calls=[("tool", "{}")]), reply("hello"))
    assert script(HELLO + FORK, openai_server.base_url) == "hello y\nhello x\n"


FORK_STOP = """
async def hold(run):
    while not over:
        await asyncio.sleep(0.01)
over = False
backend = ScriptedBackend([TextDelta(text="x"), hold])
run = backend.begin("go", caller_waits=False)
while not run.turn.text:
    time.sleep(0.01)
child = os.fork()
if not child:
    backend.interrupt()
    backend.steps = [TextDelta(text="y")]
    backend.begin("mine").wait()
    os.write(1, f"{backend.retrieve_session()['status']}\\n".encode())
    os._exit(0)
patience = time.monotonic() + 30
while os.waitpid(child, os.WNOHANG) == (0, 0):
    if time.monotonic() > patience:
        os.kill(child, 9)
    time.sleep(0.01)
over = True
print(run.wait().stop_reason)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_child_stops_no_turn_of_its_parents() -> None:
    assert script(HELLO + FORK_STOP) == "idle\nend_turn\n"


FORK_WAIT = """
async def hold(run):
    while not over:
        await asyncio.sleep(0.01)
over = False
backend = ScriptedBackend([TextDelta(text="x"), hold])
run = backend.begin("go", stream=True)
pieces = run.text()
first = next(pieces)
async def join():
    await run
ways = [run.wait, lambda: list(run.text()), lambda: next(pieces), lambda: asyncio.run(join())]
for way in ways:
    child = os.fork()
    if not child:
        try:
            way()
        except Exception as error:
            run.stop()
            told = f"{type(error).__name__}: {error}, {type(error.__context__).__name__}, {agent.start('hi')}"
            os.write(1, f"{told}, {run.turn.status}\\n".encode())
        os._exit(0)
    patience = time.monotonic() + 15
    while os.waitpid(child, os.WNOHANG) == (0, 0):
        if time.monotonic() > patience:
            os.kill(child, 9)
        time.sleep(0.01)
over = True
print(first, *pieces, run.turn.stop_reason)
child = os.fork()
if not child:
    os.write(1, f"{run.wait().text} again\\n".encode())
    os._exit(0)
os.waitpid(child, 0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_child_does_not_wait_for_a_turn_of_its_parents() -> None:
    refusal = "ConfigError: The turn runs in the process that this one was forked from: wait there."
    assert script(HELLO + FORK_WAIT) == (
        f"{refusal}, NoneType, hello, running\n" * 4 + "x end_turn\n" + "x again\n"
    )
