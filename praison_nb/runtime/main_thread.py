"""The main thread: interrupts that are each for one piece of code, and a queue of work."""

from __future__ import annotations

import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

ARRIVAL_SECONDS = 1.0
"""How long a signal that was sent is waited for at most."""
_is_pending = False
"""Whether a signal was sent here that has reached no handler yet; handlers run on the main thread."""


class Interrupts:
    """Lets interrupts reach code on the main thread. While a cell awaits, ipykernel's own handler only
    cancels the cell, which running code would not notice."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.active = False
        """Whether the code runs."""
        self._late = False
        self.has_arrived = False
        """Whether an interrupt has reached the code."""

    def send(self) -> None:
        """Raise KeyboardInterrupt in the code; nothing happens where it does not run. From any thread."""
        global _is_pending
        with self._lock:
            if not self.active:
                return
            _is_pending = True
            main = threading.main_thread().ident
            if hasattr(signal, "pthread_kill") and main is not None:
                signal.pthread_kill(main, signal.SIGINT)
            else:
                import _thread

                _thread.interrupt_main()

    @contextmanager
    def enabled(self) -> Iterator[None]:
        """Let interrupts reach the code inside, on the main thread. The user's own is never lost: one that
        comes too late for the code is raised after it."""
        before = signal.signal(signal.SIGINT, self._on_signal)
        try:
            with self._lock:
                self.active = True
            if self._late:
                # It came between the handler and the code.
                raise KeyboardInterrupt
            yield
        finally:
            self.active = False
            # One that is pending must not hit what comes next.
            patience = time.monotonic() + ARRIVAL_SECONDS
            with self._lock:
                pass
            while _is_pending and time.monotonic() < patience:
                time.sleep(0.001)
            signal.signal(signal.SIGINT, before or signal.default_int_handler)
        if self._late:
            raise KeyboardInterrupt

    def _on_signal(self, number: int, frame: Any) -> None:
        global _is_pending
        is_own, _is_pending = _is_pending, False
        if self.active:
            self.has_arrived = True
            raise KeyboardInterrupt
        self._late = self._late or not is_own


_queue: deque[Callable[[], object]] = deque()
_wakers: list[Callable[[], object]] = []
_is_busy = False


def queue_for_main_thread(work: Callable[[], object]) -> None:
    """Have the main thread call `work`, which raises nothing, as soon as it waits for any turn."""
    _queue.append(work)
    for wake in tuple(_wakers):
        with suppress(RuntimeError):  # its loop is closed
            wake()


def add_waker(wake: Callable[[], object]) -> None:
    """Have `wake` called, from any thread, when work is queued, until `remove_waker(wake)`."""
    _wakers.append(wake)


def remove_waker(wake: Callable[[], object]) -> None:
    """The end of `add_waker`."""
    _wakers.remove(wake)


def run_main_thread_queue() -> None:
    """Do the queued work where this is the main thread."""
    global _is_busy
    if threading.current_thread() is not threading.main_thread():
        return
    while _queue:
        work, before = _queue.popleft(), _is_busy
        _is_busy = True
        try:
            work()
        finally:
            _is_busy = before


def main_thread_is_busy() -> bool:
    """Whether the main thread runs queued work."""
    return _is_busy
