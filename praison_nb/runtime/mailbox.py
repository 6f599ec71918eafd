"""What a turn hands to the thread that waits for it: its text as it comes, and functions to run."""

from __future__ import annotations

import asyncio
import functools
import os
import queue
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import suppress
from weakref import WeakKeyDictionary, WeakSet

from ..errors import ConfigError
from ..events import Event, TextDelta, TextFinal
from . import loop, user_loop
from .function_call import FunctionCall
from .loop import SLICE_SECONDS
from .main_thread import add_waker, remove_waker, run_main_thread_queue


class Mailbox:
    """What a turn hands to the thread that waits for it. Filled on the loop's thread, read on another."""

    def __init__(self) -> None:
        self._items: queue.SimpleQueue[FunctionCall | str | None] = queue.SimpleQueue()
        self._closed = False
        self._process = os.getpid()
        self._wakers: list[Callable[[], object]] = []
        """Of those who wait on loops of their own."""
        self._streamed: dict[str, int] = {}
        """Characters of each message's text that were put in."""

    def put_text(self, event: Event) -> bool:
        """Hand over the text that is new in `event`, each character once: a final message brings what its
        preview had not. False as `put` has it."""
        if not isinstance(event, TextDelta | TextFinal) or not event.text:
            return True
        known = self._streamed.get(event.message_id)
        new = event.text[known or 0 :] if isinstance(event, TextFinal) else event.text
        if new and self._streamed and known is None:
            new = "\n\n" + new
        # Only a message with an id can get a final text, so only there the preview's length counts.
        self._streamed[event.message_id] = (known or 0) + len(event.text) if event.message_id else 0
        return not new or self.put(new)

    def put(self, item: FunctionCall | str | None) -> bool:
        """Hand `item` over. False where nobody can get it any more: the waiter's loop is closed."""
        self._items.put(item)
        wakers = tuple(self._wakers)
        for wake in wakers:
            try:
                wake()
            except RuntimeError:
                self._wakers.remove(wake)
        return not wakers or bool(self._wakers)

    def close(self) -> None:
        """The turn is over; who waits goes on."""
        if not self._closed:
            self._closed = True
            self.put(None)

    @property
    def is_read(self) -> bool:
        """Whether no text is left in it."""
        return not self._streamed or self._items.empty()

    def read(self, leave: Callable[[], None]) -> Iterator[str]:
        """The text as it comes; calls are run on this thread meanwhile. An interrupt, or a reader that stops
        early, calls `leave`, and the turn is then awaited to its end."""
        try:
            while (item := self._next()) is not None:
                if isinstance(item, FunctionCall):
                    item.run()
                else:
                    yield item
        except BaseException:
            leave()
            while self.is_own and (item := self._next()) is not None:
                if isinstance(item, FunctionCall):
                    item.refuse()
            raise

    @property
    def is_own(self) -> bool:
        """Whether the turn is of this process: in a forked one nothing comes of the parent's."""
        return os.getpid() == self._process

    def _is_closed(self) -> bool:
        if not self._closed and not self.is_own:
            raise ConfigError("The turn runs in the process that this one was forked from: wait there.")
        return self._closed

    def _next(self) -> FunctionCall | str | None:
        while True:
            closed = self._is_closed() or loop.has_ended()
            run_main_thread_queue()
            try:
                # Of several waiters only one finds the mark of the end.
                return self._items.get(timeout=0 if closed else SLICE_SECONDS)
            except queue.Empty:
                if closed:
                    return None

    async def aread(self, leave: Callable[[], None]) -> AsyncGenerator[str, None]:
        """`read` for a waiter with a loop of its own."""
        own, ready = asyncio.get_running_loop(), asyncio.Event()
        wake = functools.partial(own.call_soon_threadsafe, ready.set)
        self._wakers.append(wake)
        add_waker(wake)
        _begin_ticking(own)
        tasks: set[asyncio.Task[None]] = set()
        try:
            while True:
                closed = self._is_closed()
                run_main_thread_queue()
                try:
                    item = self._items.get_nowait()
                except queue.Empty:
                    # Who waits below holds no exception meanwhile.
                    item = None if closed else ""
                if item is None:
                    return
                if item == "":
                    await ready.wait()
                    ready.clear()
                elif isinstance(item, str):
                    yield item
                elif item.is_async and not loop.on_loop_thread():
                    tasks.add(task := asyncio.create_task(item.run_async()))
                    task.add_done_callback(tasks.discard)
                elif loop.on_loop_thread() or user_loop.on_user_loop():
                    # This thread is a loop's, which must not stand still.
                    loop.submit(item.run)
                else:
                    item.run()
        except BaseException:
            leave()
            while self.is_own and not self._closed:
                with suppress(asyncio.CancelledError):
                    await ready.wait()
                    ready.clear()
            raise
        finally:
            _end_ticking(own)
            remove_waker(wake)
            if wake in self._wakers:
                self._wakers.remove(wake)
            for task in tasks:
                task.cancel()


_waiting: WeakKeyDictionary[asyncio.AbstractEventLoop, int] = WeakKeyDictionary()
_ticked: WeakSet[asyncio.AbstractEventLoop] = WeakSet()


def _begin_ticking(own: asyncio.AbstractEventLoop) -> None:
    """Have the loop look up now and then until `_end_ticking`: a signal's handler does not wake it. One clock
    serves all that wait there, who may be hundreds."""
    _waiting[own] = _waiting.get(own, 0) + 1
    if own not in _ticked:
        _ticked.add(own)
        _tick(own)


def _end_ticking(own: asyncio.AbstractEventLoop) -> None:
    _waiting[own] -= 1


def _tick(own: asyncio.AbstractEventLoop) -> None:
    if _waiting[own]:
        own.call_later(SLICE_SECONDS, _tick, own)
    else:
        _ticked.discard(own)
