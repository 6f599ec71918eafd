"""Since when nothing came of a turn, in its panel."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ..events import Activity, Event

SILENCE = 20.0
"""After so many seconds without anything new the user reads of it, long before it is too long."""
LOOK = 5.0
"""Seconds between two looks at that."""


class ReportedSilence:
    """Within it `report` is called with how long `progress()` has been equal, if that is long."""

    def __init__(self, progress: Callable[[], object], report: Callable[[Event], None]) -> None:
        self._progress, self._report = progress, report
        self._loop = asyncio.get_running_loop()
        self._before, self._since, self._is_silent = progress(), self._loop.time(), False

    def __enter__(self) -> None:
        self._timer = self._loop.call_later(LOOK, self._look)

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()

    def _look(self) -> None:
        now = self._loop.time()
        if (progress := self._progress()) != self._before:
            self._before, self._since = progress, now
            if self._is_silent:
                self._report(Activity(text=""))
        self._is_silent = now - self._since >= SILENCE
        if self._is_silent:
            self._report(Activity(text=f"nothing for {now - self._since:.0f} s"))
        self._timer = self._loop.call_later(LOOK, self._look)
