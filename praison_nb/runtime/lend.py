"""Whoever waits for a turn lends it the thread: an Inbox hands over the text, and Jobs, each a call of a
user's function, to be done there."""

from __future__ import annotations

import asyncio
import contextvars
import queue
import threading
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import Future
from contextlib import nullcontext
from typing import Any

from ..text import describe_exception
from . import loop, user_loop
from .interrupts import Interrupts
from .loop import SLICE_SECONDS
from .user_loop import ToolInterrupted as ToolInterrupted


class FunctionCall:
    """`function()`, made on the loop's thread, worked on by another; awaited when `is_async`."""

    def __init__(self, function: Callable[[], Any], is_async: bool) -> None:
        self.is_async = is_async
        self._function = function
        self._future: asyncio.Future[Any] = loop.get().create_future()
        self._interrupts = Interrupts()
        self._elsewhere: Future[None] | None = None
        self._told_to_end = False

    async def result(self) -> Any:
        """What the function returned; what it raised is raised."""
        return await self._future

    def work(self) -> None:
        """Do it here and now. An interrupt of the user is raised again; one of ours (a stop) is not."""
        if self._told_to_end:
            return
        try:
            if self.is_async:
                # There is no loop here: a script's thread waits.
                there = user_loop.run(self.work_async)
                self._elsewhere = asyncio.run_coroutine_threadsafe(there, loop.get())
                if self._told_to_end:
                    self._elsewhere.cancel()
                return
            is_main = threading.current_thread() is threading.main_thread()
            with self._interrupts.reach() if is_main else nullcontext():
                if self._told_to_end:
                    raise KeyboardInterrupt
                result = _contained(self._function)
            self._deliver(result, None)
        except KeyboardInterrupt:
            self._deliver(None, ToolInterrupted("interrupted by the user"))
            if not self._told_to_end:
                raise
        except Exception as error:
            self._deliver(None, error)

    async def work_async(self) -> None:
        """Do an async function here, beside whatever else this loop does."""
        try:
            self._deliver(await user_loop.contained(self._function), None)
        except asyncio.CancelledError:
            self._deliver(None, ToolInterrupted("the turn was stopped"))
        except Exception as error:
            self._deliver(None, error)

    def refuse(self) -> None:
        """Nobody will do it: the waiter has left."""
        self._deliver(None, ToolInterrupted("nobody waits for the turn any more"))

    def interrupt(self) -> None:
        """Raise KeyboardInterrupt in the function where it runs on the main thread, and cancel one that runs
        on the user's loop."""
        self._told_to_end = True
        self._interrupts.send()
        if self._elsewhere is not None:
            self._elsewhere.cancel()

    def _deliver(self, result: Any, error: Exception | None) -> None:
        loop.get().call_soon_threadsafe(self._set, result, error)

    def _set(self, result: Any, error: Exception | None) -> None:
        if self._future.done():
            return
        if error is None:
            self._future.set_result(result)
        else:
            self._future.set_exception(error)


async def run_in_pool(function: Callable[[], Any], is_async: bool) -> Any:
    """What `function` returns, where nobody lends a thread: it runs on one of a pool."""
    if is_async:
        return await user_loop.run(function)
    context = contextvars.copy_context()

    def work() -> Any:
        try:
            return context.run(_contained, function)
        except KeyboardInterrupt:
            raise ToolInterrupted("interrupted by the user") from None

    return await asyncio.get_running_loop().run_in_executor(loop.pool(), work)


def _contained(function: Callable[[], Any]) -> Any:
    """`function()`. SystemExit and its like end the function, not the kernel or the loop; and a future takes
    no StopIteration."""
    try:
        return function()
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        if isinstance(error, Exception) and not isinstance(error, StopIteration):
            raise
        raise RuntimeError(describe_exception(error)) from error


_for_main: deque[Callable[[], object]] = deque()
_main_is_at_work = False


def queue_for_main_thread(work: Callable[[], object]) -> None:
    """Have `work` done by the main thread as soon as that waits for a turn, whichever that is. `work` raises
    nothing."""
    _for_main.append(work)


def run_main_thread_queue() -> None:
    """Do what is there for the main thread, where this is the main thread."""
    global _main_is_at_work
    if threading.current_thread() is not threading.main_thread():
        return
    while _for_main:
        work, before = _for_main.popleft(), _main_is_at_work
        _main_is_at_work = True
        try:
            work()
        finally:
            _main_is_at_work = before


def main_thread_is_busy() -> bool:
    """Whether the main thread does something of what it was given."""
    return _main_is_at_work


class Mailbox:
    """What a turn has for whoever waits for it. Filled on the loop's thread, read on another."""

    def __init__(self) -> None:
        self._items: queue.SimpleQueue[FunctionCall | str | None] = queue.SimpleQueue()
        self._closed = False
        self._wake: Callable[[], object] = lambda: None

    def put(self, item: FunctionCall | str | None) -> bool:
        """Hand `item` over. False where nobody can get it any more: the waiter's loop is closed."""
        self._items.put(item)
        try:
            self._wake()
        except RuntimeError:
            return False
        return True

    def jobs(self) -> list[FunctionCall]:
        """Take out the jobs that nobody has begun."""
        items = [self._items.get_nowait() for _ in range(self._items.qsize())]
        for item in items:
            if not isinstance(item, FunctionCall):
                self._items.put(item)
        return [item for item in items if isinstance(item, FunctionCall)]

    def close(self) -> None:
        """The turn is over; who waits goes on."""
        if not self._closed:
            self._closed = True
            self.put(None)

    def read(self, leave: Callable[[], None]) -> Iterator[str]:
        """The text as it comes, doing the jobs meanwhile. An interrupt, or a reader that stops reading,
        calls `leave`, and the turn is waited for to its end."""
        try:
            while (item := self._next()) is not None:
                if isinstance(item, FunctionCall):
                    item.work()
                else:
                    yield item
        except BaseException:
            leave()
            while (item := self._next()) is not None:
                if isinstance(item, FunctionCall):
                    item.refuse()
            raise

    def _next(self) -> FunctionCall | str | None:
        while True:
            closed = self._closed or loop.has_ended()
            run_main_thread_queue()
            try:
                # Of several waiters only one finds the mark of the end.
                return self._items.get(timeout=0 if closed else SLICE_SECONDS)
            except queue.Empty:
                if closed:
                    return None

    async def aread(self, leave: Callable[[], None]) -> AsyncGenerator[str, None]:
        """`read` for a waiter with a loop of its own."""
        waiter = asyncio.get_running_loop()
        ready = asyncio.Event()
        self._wake = lambda: waiter.call_soon_threadsafe(ready.set)
        tasks: set[asyncio.Task[None]] = set()
        try:
            while True:
                closed = self._closed
                run_main_thread_queue()
                try:
                    item = self._items.get_nowait()
                except queue.Empty:
                    if closed:
                        return
                    await _wait_a_slice(ready)
                    continue
                if item is None:
                    return
                if isinstance(item, str):
                    yield item
                elif item.is_async and not loop.on_loop_thread():
                    tasks.add(task := asyncio.create_task(item.work_async()))
                    task.add_done_callback(tasks.discard)
                elif loop.on_loop_thread() or user_loop.is_here():
                    # This thread is not the waiter's to lend.
                    loop.pool().submit(contextvars.copy_context().run, item.work)
                else:
                    item.work()
        except BaseException:
            leave()
            while not self._closed:
                try:
                    await _wait_a_slice(ready)
                except asyncio.CancelledError:
                    continue
            raise
        finally:
            for task in tasks:
                task.cancel()


async def _wait_a_slice(ready: asyncio.Event) -> None:
    try:
        await asyncio.wait_for(ready.wait(), SLICE_SECONDS)
    except TimeoutError:
        pass
    ready.clear()
