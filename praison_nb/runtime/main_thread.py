"""The main thread: interrupts of ours, each for one piece of code only, and a queue of work."""

from __future__ import annotations

import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

ARRIVAL_SECONDS = 1.0
"""A signal that was sent is waited for at most so long."""
_is_on_its_way = False
"""Whether a signal of ours was sent and has reached no handler yet; handlers run on the main thread."""


class Interrupts:
    """Lets interrupts reach code on the main thread. While a cell awaits, ipykernel's own handler only
    cancels the cell, which running code would not notice."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._active = False
        self._late = False
        self.has_arrived = False
        """Whether an interrupt has reached the code."""

    @property
    def active(self) -> bool:
        """Whether the code runs."""
        return self._active

    def send(self) -> None:
        """Raise KeyboardInterrupt in the code; nothing happens where it does not run. From any thread."""
        global _is_on_its_way
        with self._lock:
            if not self._active:
                return
            _is_on_its_way = True
            main = threading.main_thread().ident
            if hasattr(signal, "pthread_kill") and main is not None:
                signal.pthread_kill(main, signal.SIGINT)
            else:
                import _thread

                _thread.interrupt_main()

    @contextmanager
    def reach(self) -> Iterator[None]:
        """Around the code, on the main thread. The user's own interrupt is never lost: one that comes too
        late for the code is raised after it."""
        before = signal.signal(signal.SIGINT, self._on_signal)
        try:
            with self._lock:
                self._active = True
            if self._late:
                # It came when the handler was there, and not yet what it is for.
                raise KeyboardInterrupt
            yield
        finally:
            self._active = False
            # One that is on its way must not hit what comes next.
            patience = time.monotonic() + ARRIVAL_SECONDS
            with self._lock:
                pass
            while _is_on_its_way and time.monotonic() < patience:
                time.sleep(0.001)
            signal.signal(signal.SIGINT, before or signal.default_int_handler)
        if self._late:
            raise KeyboardInterrupt

    def _on_signal(self, number: int, frame: Any) -> None:
        global _is_on_its_way
        ours, _is_on_its_way = _is_on_its_way, False
        if self._active:
            self.has_arrived = True
            raise KeyboardInterrupt
        self._late = self._late or not ours


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
