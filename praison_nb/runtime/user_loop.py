"""Where the user's coroutines run: a loop on a thread of its own, and never the one that all turns live on.
An async tool of a turn that a cell awaits runs on the cell's loop, where the clients are that the cell made.

A coroutine that blocks (`time.sleep`, a plain HTTP request) keeps its loop from everything else. What begins
meanwhile takes another loop; as soon as the first one is free it is used again, so that what a client of
the user's keeps from call to call finds the loop that it was made on.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import TypeVar

from ..text import describe_exception
from . import loop

T = TypeVar("T")
log = logging.getLogger(__name__)

PATIENCE_SECONDS = 0.3
"""A loop that has not begun with a coroutine after so long is blocked by another."""
CLOSING_SECONDS = 1.0
"""An asynchronous generator that is left early has so long to clean up before its turn goes on."""


class ToolInterrupted(Exception):
    """The function was interrupted by the user."""


class _UserLoop:
    """One loop and its thread."""

    def __init__(self) -> None:
        self.loop, self.thread = loop.start("praison_nb-user")
        self.is_blocked = False

    def block(self) -> None:
        """From its own thread: it waits now, and is free again when it comes to what is queued."""
        self.is_blocked = True
        self.loop.call_soon(self.unblock)

    def unblock(self) -> None:
        self.is_blocked = False


_loops: list[_UserLoop] = []
"""Appended to on the background loop's thread only."""


def on_user_loop() -> bool:
    """Whether the caller runs on a loop of the user's coroutines."""
    return _here() is not None


def mark_blocked() -> None:
    """The caller will wait; where it runs on a user's loop, other coroutines take another from now on."""
    if here := _here():
        here.block()


async def run(function: Callable[[], Awaitable[T]]) -> T:
    """What `await function()` returns, on the user's loop; called on the background loop. A cancellation is
    passed on to it and not waited for. SystemExit and its like end the function only."""
    while True:
        chosen = next((each for each in _loops if not each.is_blocked), None)
        if chosen is None:
            _loops.append(chosen := _UserLoop())
        begun: Future[None] = Future()
        result = asyncio.run_coroutine_threadsafe(_begin(chosen, begun, function), chosen.loop)
        try:
            await asyncio.wait({asyncio.wrap_future(begun)}, timeout=PATIENCE_SECONDS)
            if not begun.cancel():
                return await asyncio.wrap_future(result)
        except asyncio.CancelledError:
            begun.cancel()
            result.cancel()
            raise
        chosen.is_blocked = True


async def _begin(here: _UserLoop, begun: Future[None], function: Callable[[], Awaitable[T]]) -> T:
    here.unblock()
    if not begun.set_running_or_notify_cancel():
        raise asyncio.CancelledError
    begun.set_result(None)
    try:
        return await run_contained(function)
    except Exception as error:
        if (task := asyncio.current_task()) is not None and task.cancelling():
            # Nobody awaits the result any more.
            log.debug("a function that was cancelled failed", exc_info=True)
            raise asyncio.CancelledError from error
        raise


async def run_contained(function: Callable[[], Awaitable[T]]) -> T:
    """`await function()`. SystemExit and its like end the function, not the loop."""
    try:
        return await function()
    except asyncio.CancelledError:
        if (task := asyncio.current_task()) is not None and task.cancelling():
            raise
        raise ToolInterrupted("the function was cancelled") from None
    except Exception:
        raise
    except BaseException as error:
        raise RuntimeError(describe_exception(error)) from error


async def iterate(source: AsyncIterable[T]) -> AsyncGenerator[T, None]:
    """What the user's asynchronous iterator yields. One task on the user's loop goes through all of it, since
    timeouts and task groups in a generator depend on that."""
    own = asyncio.get_running_loop()
    items: asyncio.Queue[tuple[T] | None] = asyncio.Queue()
    ended = asyncio.Event()

    async def put(item: T) -> None:
        items.put_nowait((item,))

    async def pump() -> None:
        try:
            async for item in source:
                # The next one is not asked for before this one has arrived.
                await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(put(item), own))
        finally:
            try:
                if isinstance(source, AsyncGenerator):
                    await source.aclose()
            finally:
                own.call_soon_threadsafe(ended.set)

    def finish(task: asyncio.Task[None]) -> None:
        items.put_nowait(None)
        if not task.cancelled():
            task.exception()  # else asyncio complains where nobody comes to ask for it

    pumping = asyncio.create_task(run(pump))
    pumping.add_done_callback(finish)
    try:
        while (item := await items.get()) is not None:
            yield item[0]
        await pumping
    finally:
        if not pumping.done():
            pumping.cancel()
            with suppress(TimeoutError):
                await asyncio.wait_for(ended.wait(), CLOSING_SECONDS)


def _here() -> _UserLoop | None:
    thread = threading.current_thread()
    return next((each for each in _loops if each.thread is thread), None)


async def _close() -> None:
    """Let what runs clean up, when the process ends."""
    free = [each.loop for each in _loops if not each.is_blocked]
    ending = [asyncio.wrap_future(asyncio.run_coroutine_threadsafe(_cancel_all(), each)) for each in free]
    if ending:
        await asyncio.wait(ending, timeout=CLOSING_SECONDS)


async def _cancel_all() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


loop.at_exit(_close)
loop.after_fork(_loops.clear)
