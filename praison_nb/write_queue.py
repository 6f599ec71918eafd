"""A queue before a file: what is to be written is written soon, in order and off the event loop."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

from .errors import PraisonError
from .storage import DatabaseSpec

log = logging.getLogger(__name__)
T = TypeVar("T")
R = TypeVar("R")
Q = TypeVar("Q", bound="WriteQueue[Any]")

FORK_SECONDS = 1.0
"""A fork waits so long at most: the thread that writes may in turn wait for what the forking one holds."""


class WriteQueue(Generic[T]):
    """What is to be written to a file, in order. An item leaves the queue when it is written: to write it
    twice, after an interruption, must do no harm."""

    def __init__(self, path: Path, spec: DatabaseSpec, flush: Callable[[], object]) -> None:
        """`flush` writes what is queued; it is called on a thread of the pool."""
        self.path = path
        self.spec = spec
        self._flush = flush
        self.waiting: deque[T] = deque()
        self.lock = threading.RLock()
        """Held by whoever uses the file, or takes from `waiting`."""
        self.problem = ""
        """Why the last write failed, "" when it did not."""
        self._timer: asyncio.TimerHandle | None = None
        self.task: asyncio.Future[object] | None = None
        """What writes now, on a thread of the pool. Belongs to the event loop's thread."""

    def enqueue(self, *items: T, within: float = 0.0) -> None:
        """Have the items written within so many seconds, on a thread of the pool: what is not for at once
        is written with what follows it. Belongs to the event loop's thread."""
        self.waiting.extend(items)
        if not within:
            self._start_flush()
        elif self._timer is None and self.task is None:
            self._timer = asyncio.get_running_loop().call_later(within, self._start_flush)

    def hurry(self) -> asyncio.Future[object] | None:
        """Begin to write what was to be written later; what writes now, None where nothing does."""
        if self._timer is not None:
            self._start_flush()
        return self.task

    def close(self) -> None:
        """Write what waits, and let go of the file."""
        if self.waiting:
            self._flush()

    def with_lock(self, seconds: float, work: Callable[[], R], busy: PraisonError) -> R:
        """`work()` under `lock`. Raises `busy` where another thread holds it for so many seconds."""
        try:
            if not self.lock.acquire(timeout=seconds):
                raise busy
            result = work()
            return result  # noqa: RET504  (it is still guarded where an interrupt comes now)
        finally:
            # The lock itself knows whether it was acquired: an interrupt may come when it has just been. And
            # nothing is called before the release, or an interrupt could come there.
            try:
                self.lock.release()
            except RuntimeError:
                pass

    def drain(self, write: Callable[[Sequence[T]], object]) -> None:
        """Have `write` put all that waits into the file as one: the disk is waited for once. What no file
        takes is left out; it must not stop the rest. Needs `lock`. Raises `spec.error`."""
        size = len(self.waiting)
        while batch := tuple(self.waiting)[:size]:
            try:
                write(batch)
            except self.spec.error:
                raise
            except Exception:
                # The half of it, until it is the one that is at fault.
                if size := len(batch) // 2:
                    continue
                log.exception("a row could not be written to the %s", self.spec.name)
            for _ in batch:
                self.waiting.popleft()
            size = len(self.waiting)

    def _start_flush(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        # One thread for all that comes meanwhile: others would queue up where the file is locked.
        if self.task is None and self.waiting:
            try:
                self.task = asyncio.get_running_loop().run_in_executor(None, self._flush)
            except RuntimeError:
                # No more threads: the process ends, and what is done at its end writes the rest.
                return
            self.task.add_done_callback(self._on_done)

    def _on_done(self, task: asyncio.Future[object]) -> None:
        self.task = None
        if not task.cancelled() and (error := task.exception()):
            log.error("the %s could not be written", self.spec.name, exc_info=error)
        elif self.waiting and not self.problem:
            self._start_flush()


class CurrentQueue(Generic[Q]):
    """The queue before the file that counts now, `made` at the first call. A child of a fork makes one of its
    own: what its parent has open may not be used there. And a fork waits until nothing is being written:
    SQLite has locks of its own, which nobody would release in the child."""

    def __init__(self, make: Callable[[Path], Q], path: Callable[[], Path]) -> None:
        self._make = make
        self._path = path
        self._inherited: list[Q] = []
        self._lock = threading.Lock()
        self._held: Q | None = None
        """The queue that waits while this process forks."""
        self.made: Q | None = None
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(before=self._hold, after_in_parent=self._go_on, after_in_child=self._forget)

    def __call__(self) -> Q:
        path = self._path()
        with self._lock:
            before = self.made
            if before is not None and before.path == path:
                return before
            made = self._make(path)
            if before is not None:
                before.close()
                # The user was asked to name another file where the one before cannot be written.
                made.waiting.extend(before.waiting)
            self.made = made
            return made

    async def flush(self) -> None:
        """Write what waits, when the process ends."""
        if self.made is not None:
            self.made.close()

    def _hold(self) -> None:
        made = self.made
        if made is not None and made.lock.acquire(timeout=FORK_SECONDS):
            self._held = made

    def _go_on(self) -> None:
        held, self._held = self._held, None
        if held is not None:
            held.lock.release()

    def _forget(self) -> None:
        if self.made is not None:
            # It is kept: what its parent has open may not even be closed here.
            self._inherited.append(self.made)
        self.made, self._held, self._lock = None, None, threading.Lock()
