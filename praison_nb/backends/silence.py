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
    loop = asyncio.get_running_loop()
    before, since, is_silent = progress(), loop.time(), False
    timer = loop.call_later(LOOK, lambda: look())

    def look() -> None:
        nonlocal before, since, is_silent, timer
        if (now := progress()) != before:
            before, since = now, loop.time()
            if is_silent:
                report(Activity(text=""))
        is_silent = loop.time() - since >= SILENCE
        if is_silent:
            report(Activity(text=f"nothing for {loop.time() - since:.0f} s"))
        timer = loop.call_later(LOOK, look)

    try:
        yield
    finally:
        timer.cancel()
