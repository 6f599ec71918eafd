"""Since when nothing came of a turn, in its panel."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ..events import Activity, Event

SILENCE = 20.0
"""After so many seconds without anything new the user reads of it, long before it is too long."""
LOOK = 5.0
"""Seconds between two looks at that."""


@contextmanager
def reported_silence(progress: Callable[[], object], report: Callable[[Event], None]) -> Iterator[None]:
    """Meanwhile `report` is called with how long `progress()` has been equal, if that is long."""
    watch = _Watch(progress, report)
    try:
        yield
    finally:
        watch.timer.cancel()


class _Watch:
    """Looks at the progress by a timer. A function that sets it for itself would be a cycle, which keeps what
    it knows of the turn until the garbage collector comes."""

    def __init__(self, progress: Callable[[], object], report: Callable[[Event], None]) -> None:
        self._progress, self._report = progress, report
        self._loop = asyncio.get_running_loop()
        self._before, self._since, self._is_silent = progress(), self._loop.time(), False
        self.timer = self._loop.call_later(LOOK, self._look)

    def _look(self) -> None:
        if (now := self._progress()) != self._before:
            self._before, self._since = now, self._loop.time()
            if self._is_silent:
                self._report(Activity(text=""))
        seconds = self._loop.time() - self._since
        self._is_silent = seconds >= SILENCE
        if self._is_silent:
            self._report(Activity(text=f"nothing for {seconds:.0f} s"))
        self.timer = self._loop.call_later(LOOK, self._look)
