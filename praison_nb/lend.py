"""A Job is one call of a user's function, done by the thread that waits for the turn."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from . import loop


class ToolInterrupted(Exception):
    """The function was interrupted by the user."""


class Job:
    """`function()`, made on the loop's thread, worked on by another; awaited when `is_async`."""

    def __init__(self, function: Callable[[], Any], is_async: bool) -> None:
        self.is_async = is_async
        self._function = function
        self._future: asyncio.Future[Any] = loop.get().create_future()
        self._thread: int | None = None
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
                # Nobody's loop is free here (a script's thread waits): the background loop takes it.
                asyncio.run_coroutine_threadsafe(self.work_async(), loop.get())
                return
            with self._interruptible():
                result = self._function()
            self._deliver(result, None)
        except KeyboardInterrupt:
            self._deliver(None, ToolInterrupted("interrupted by the user"))
            if not self._told_to_end:
                raise
        except Exception as error:
            self._deliver(None, error)
        except BaseException as error:
            # SystemExit and its like in a tool end the tool, not the kernel.
            self._deliver(None, RuntimeError(f"{type(error).__name__}: {error}"))

    async def work_async(self) -> None:
        """Do an async function here, beside whatever else this loop does."""
        try:
            self._deliver(await self._function(), None)
        except asyncio.CancelledError:
            self._deliver(None, ToolInterrupted("the turn was stopped"))
        except Exception as error:
            self._deliver(None, error)

    def refuse(self) -> None:
        """Nobody will do it: the waiter has left."""
        self._deliver(None, ToolInterrupted("nobody waits for the turn any more"))

    def interrupt(self) -> None:
        """Raise KeyboardInterrupt in the function, where it runs on the main thread."""
        self._told_to_end = True
        if self._thread is not None and hasattr(signal, "pthread_kill"):
            signal.pthread_kill(self._thread, signal.SIGINT)

    def _deliver(self, result: Any, error: Exception | None) -> None:
        loop.get().call_soon_threadsafe(self._set, result, error)

    def _set(self, result: Any, error: Exception | None) -> None:
        if self._future.done():
            return
        if error is None:
            self._future.set_result(result)
        else:
            self._future.set_exception(error)

    @contextmanager
    def _interruptible(self) -> Iterator[None]:
        """On the main thread, let an interrupt reach the function: while a cell awaits, ipykernel's own
        handler only cancels the cell, which a running function would not notice."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        self._thread = threading.get_ident()
        try:
            yield
        finally:
            self._thread = None
            signal.signal(signal.SIGINT, before)
