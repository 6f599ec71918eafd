"""A function on the kernel's main thread, bounded in time and stoppable: there alone lives what the user has,
and only there a signal can end what runs."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from ...runtime import loop
from ...runtime.function_call import ToolInterrupted
from ...runtime.main_thread import (
    Interrupts,
    main_thread_is_busy,
    queue_for_main_thread,
    run_main_thread_queue,
)
from ..tool import ToolError
from .seconds import limited

if TYPE_CHECKING:
    from ..tool import Call

AGAIN_SECONDS = 0.5
"""Code that catches the interrupt gets it again."""
POLL_SECONDS = 0.2
PATIENCE_SECONDS = 5.0
"""So long a main thread may be busy of which nobody knows that it will wait for a turn."""


class Halted(ToolError):
    """It was ended before its time; the message says why."""


def shell() -> Any:
    """IPython's shell where there is one, else None."""
    ipython = sys.modules.get("IPython")
    return ipython.get_ipython() if ipython is not None else None


async def supervise(call: Call, function: Callable[[], Any], seconds: float) -> Any:
    """`function()` on the main thread, at most so many seconds from its start. Raises Halted."""
    seconds = limited(seconds)
    own = asyncio.get_running_loop()
    started = asyncio.Event()
    supervised = _Supervised(function, lambda: own.call_soon_threadsafe(started.set))
    task = asyncio.ensure_future(call(supervised.run, False))
    starting = asyncio.ensure_future(started.wait())
    try:
        # A background turn waits here until the kernel is free.
        await asyncio.wait({task, starting}, return_when=asyncio.FIRST_COMPLETED)
        done, _ = await asyncio.wait({task}, timeout=seconds)
        if not done:
            await supervised.halt(f"Stopped after {seconds:g} s, its limit.")
        return await task
    except asyncio.CancelledError:
        loop.spawn(supervised.halt("The user stopped the turn."))
        task.cancel()
        raise
    finally:
        starting.cancel()


class _Supervised:
    """One call of `function`. `run` is called on whichever thread, `halt` on the loop's."""

    def __init__(self, function: Callable[[], Any], on_start: Callable[[], object]) -> None:
        self._function = function
        self._on_start = on_start
        self._interrupts = Interrupts()
        self._lock = threading.Lock()
        self._handed_over: Future[Any] | None = None
        self._why = ""

    async def halt(self, why: str) -> None:
        """Interrupt it until it has ended."""
        self._interrupt(why)
        while self._interrupts.active:
            await asyncio.sleep(AGAIN_SECONDS)
            self._interrupt(why)

    def _interrupt(self, why: str) -> None:
        with self._lock:
            self._why = self._why or why
            if self._handed_over is not None:
                self._handed_over.cancel()
        self._interrupts.send()

    def run(self) -> Any:
        """Run it on the main thread, and wait for it where this is another."""
        if threading.current_thread() is threading.main_thread():
            return self._run()
        kernel = getattr(shell(), "kernel", None)
        future: Future[Any] = Future()
        with self._lock:
            self._handed_over = future
        queue_for_main_thread(functools.partial(contextvars.copy_context().run, self._work, future))
        if kernel is not None:
            kernel.io_loop.add_callback(run_main_thread_queue)
        # Between two cells a kernel's main thread is free again. Elsewhere it may be waiting for this one.
        will_be_free = kernel is not None and loop.in_pool()
        waited_since = time.monotonic()
        while True:
            try:
                return future.result(timeout=POLL_SECONDS)
            except TimeoutError:
                if future.done():
                    raise
                if kernel is not None and not kernel.io_loop.asyncio_loop.is_running():
                    raise ToolInterrupted("the kernel has ended") from None
            if main_thread_is_busy():
                waited_since = time.monotonic()
            if not will_be_free and time.monotonic() > waited_since + PATIENCE_SECONDS and future.cancel():
                raise ToolError("Python runs on the main thread only, and nothing there waits for this turn.")

    def _work(self, future: Future[Any]) -> None:
        if not future.set_running_or_notify_cancel():
            return
        try:
            future.set_result(self._run())
        except KeyboardInterrupt:
            future.set_exception(ToolInterrupted("interrupted by the user"))
        except BaseException as error:
            future.set_exception(error)

    def _run(self) -> Any:
        try:
            with self._interrupts.enabled():
                if self._why:
                    raise Halted(self._why)
                self._on_start()
                result = self._function()
                if self._why:
                    # What it ran took the interrupt for itself, as a command of IPython's does.
                    raise Halted(self._why)
                return result
        except KeyboardInterrupt:
            if self._why:
                raise Halted(self._why) from None
            raise
