"""A call of a user's function, created on the loop's thread and run on another."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import nullcontext
from typing import Any

from ..text import describe_exception
from . import loop, user_loop
from .main_thread import Interrupts
from .user_loop import ToolInterrupted

RETRY_SECONDS = 0.1
"""An interrupt that has not reached the code by then is sent again."""


class FunctionCall:
    """`function()`, created on the loop's thread and run on another; awaited when `is_async`."""

    def __init__(self, function: Callable[[], Any], is_async: bool) -> None:
        self.is_async = is_async
        self._function = function
        self._future: asyncio.Future[Any] = loop.get().create_future()
        self._interrupts = Interrupts()
        self._async_run: Future[None] | None = None
        self._is_stopped = False

    async def result(self) -> Any:
        """What the function returned; what it raised is raised."""
        return await self._future

    def run(self) -> None:
        """Run it now, on this thread. The user's interrupt is raised again; one by `interrupt` is not."""
        if self._is_stopped:
            return
        try:
            if self.is_async:
                # There is no loop here: a script's thread waits.
                there = user_loop.run(self.run_async)
                self._async_run = asyncio.run_coroutine_threadsafe(there, loop.get())
                if self._is_stopped:
                    self._async_run.cancel()
                return
            is_main = threading.current_thread() is threading.main_thread()
            with self._interrupts.enabled() if is_main else nullcontext():
                if self._is_stopped:
                    raise KeyboardInterrupt
                result = _call_contained(self._function)
            self._deliver(result, None)
        except KeyboardInterrupt:
            self._deliver(None, ToolInterrupted("interrupted by the user"))
            if not self._is_stopped:
                raise
        except Exception as error:
            self._deliver(None, error)

    async def run_async(self) -> None:
        """Run an async function on this loop."""
        try:
            self._deliver(await user_loop.run_contained(self._function), None)
        except asyncio.CancelledError:
            self._deliver(None, ToolInterrupted("the turn was stopped"))
        except Exception as error:
            self._deliver(None, error)

    def refuse(self) -> None:
        """Fail it: nobody waits any more who could run it."""
        self._deliver(None, ToolInterrupted("nobody waits for the turn any more"))

    def interrupt(self) -> None:
        """Raise KeyboardInterrupt in the function where it runs on the main thread, and cancel one that runs
        on the user's loop."""
        self._is_stopped = True
        self._interrupt_until_it_arrives()
        if self._async_run is not None:
            self._async_run.cancel()

    def _interrupt_until_it_arrives(self) -> None:
        # A signal that comes when the thread is just about to wait for something does not wake it up.
        self._interrupts.send()
        if self._interrupts.active and not self._interrupts.has_arrived:
            loop.get().call_later(RETRY_SECONDS, self._interrupt_until_it_arrives)

    def _deliver(self, result: Any, error: Exception | None) -> None:
        loop.get().call_soon_threadsafe(self._set_outcome, result, error)

    def _set_outcome(self, result: Any, error: Exception | None) -> None:
        if self._future.done():
            return
        if error is None:
            self._future.set_result(result)
        else:
            self._future.set_exception(error)


async def run_in_pool(function: Callable[[], Any], is_async: bool) -> Any:
    """What `function` returns, run on a thread of a pool, since no thread waits for the turn."""
    if is_async:
        return await user_loop.run(function)

    def run() -> Any:
        try:
            return _call_contained(function)
        except KeyboardInterrupt:
            raise ToolInterrupted("interrupted by the user") from None

    return await asyncio.wrap_future(loop.submit(run))


def _call_contained(function: Callable[[], Any]) -> Any:
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
