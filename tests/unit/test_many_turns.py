"""Many turns at once, on one loop of the user's: what waits for them costs nothing meanwhile."""

from __future__ import annotations

import asyncio
import functools
import gc
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest

from praison_nb import ScriptedBackend
from praison_nb.backends.scripted import Step
from praison_nb.events import TextDelta
from praison_nb.runtime import loop
from praison_nb.runtime.execution import Execution
from praison_nb.runtime.main_thread import queue_for_main_thread
from praison_nb.runtime.run import Run


class Counting(asyncio.SelectorEventLoop):
    """Counts the timers that are set."""

    timers = 0

    def call_at(self, *args: Any, **options: Any) -> asyncio.TimerHandle:
        self.timers += 1
        return super().call_at(*args, **options)


def held(go: Future[None]) -> list[Step]:
    async def wait(run: Run) -> None:
        await asyncio.wrap_future(go)

    return [wait, TextDelta(text="Hello")]


def test_all_who_await_share_one_clock() -> None:
    go: Future[None] = Future()

    async def many() -> list[str]:
        runs = [ScriptedBackend(held(go)).begin("Hi") for _ in range(20)]
        waiting = asyncio.gather(*runs, runs[0])
        await asyncio.sleep(0)
        go.set_result(None)
        return [turn.text for turn in await waiting]

    with asyncio.Runner(loop_factory=Counting) as runner:
        own = runner.get_loop()
        assert runner.run(many()) == ["Hello"] * 21
        assert isinstance(own, Counting) and own.timers < 20


def test_queued_work_reaches_a_main_thread_that_awaits() -> None:
    go: Future[None] = Future()

    async def main() -> str:
        run = ScriptedBackend(held(go)).begin("Hi")
        waiting = asyncio.ensure_future(run._join())
        await asyncio.sleep(0)
        await asyncio.to_thread(queue_for_main_thread, lambda: go.set_result(None))
        return (await waiting).text

    assert asyncio.run(main()) == "Hello"


def test_many_calls_wake_the_loop_once(monkeypatch: pytest.MonkeyPatch) -> None:
    own, go = loop.get(), threading.Event()
    own.call_soon_threadsafe(go.wait)
    woken, called = list[Callable[[], object]](), list[int]()
    wake: Callable[[Callable[[], object]], object] = own.call_soon_threadsafe

    def count(function: Callable[[], object]) -> None:
        woken.append(function)
        wake(function)

    monkeypatch.setattr(own, "call_soon_threadsafe", count)
    loop.call_soon(functools.partial(int, "no number"))
    loop.call_soon(sys.exit)
    for n in range(100):
        loop.call_soon(functools.partial(called.append, n))
    assert len(woken) == 1
    go.set()
    loop.run_sync(lambda: asyncio.sleep(0))
    assert called == list(range(100))


def test_an_interrupt_while_the_loop_is_woken_leaves_nothing_asleep(monkeypatch: pytest.MonkeyPatch) -> None:
    own = loop.get()
    wake: Callable[[Callable[[], object]], object] = own.call_soon_threadsafe
    interrupts = [KeyboardInterrupt()]

    def interrupted(function: Callable[[], object]) -> None:
        if interrupts:
            raise interrupts.pop()
        wake(function)

    monkeypatch.setattr(own, "call_soon_threadsafe", interrupted)
    called = [threading.Event() for _ in range(2)]
    with pytest.raises(KeyboardInterrupt):
        loop.call_soon(called[0].set)
    loop.call_soon(called[1].set)
    assert all(each.wait(10) for each in called)


def test_a_run_that_is_kept_keeps_its_turn_and_nothing_that_ran_it(request: pytest.FixtureRequest) -> None:
    backend = ScriptedBackend([TextDelta(text="Hello")])
    gc.disable()
    request.addfinalizer(gc.enable)
    runs = [backend.begin("Hi", subscribers=[lambda event, turn: None]) for _ in range(5)]
    for run in runs:
        assert run.wait().text == "Hello"
        run.settled.result()
    # What the loop still does of the last one is done.
    loop.run_sync(lambda: asyncio.sleep(0))
    ids = {run.turn.id for run in runs}
    # Without the garbage collector, whose work stops all threads.
    executions = [each for each in gc.get_objects() if type(each) is Execution]
    assert not ids & {each.turn.id for each in executions}
    assert len({id(part) for run in runs for part in (run.approvals, run._mailbox, run.settled)}) == 3
    runs[0].deny("call")
    runs[0].stop()
    runs[0].approve("call")
    assert runs[0].wait().text == "Hello"


async def test_who_gives_up_waiting_for_all_that_is_known_of_a_turn_takes_it_from_nobody() -> None:
    go = threading.Event()

    async def wait(run: Run) -> None:
        await asyncio.to_thread(go.wait, 10)

    run = ScriptedBackend([wait]).begin("Hi")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.wrap_future(run.settled), 0)
    kept = run.settled
    go.set()
    await run
    assert await asyncio.wait_for(asyncio.wrap_future(kept), 10) is None


def test_text_that_nobody_has_read_yet_stays_in_a_run_that_is_over() -> None:
    run = ScriptedBackend([TextDelta(text="Hello")]).begin("Hi", stream=True)
    run.settled.result()
    loop.run_sync(lambda: asyncio.sleep(0))
    assert list(run.text()) == ["Hello"]
    assert list(run.text()) == []
