"""Coroutines on a thread that must wait for them, where another loop may be running already."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")


@functools.cache
def _loop() -> asyncio.AbstractEventLoop:
    """One for all, so that clients are used again. On it nothing runs between two calls."""
    return asyncio.new_event_loop()


def run_here(coroutine: Coroutine[Any, Any, T]) -> T:
    """What `await coroutine` gives, run to its end on this thread; an interrupt cancels it. Meanwhile the
    thread's own loop stands still, as with any other code."""
    own = asyncio._get_running_loop()
    asyncio._set_running_loop(None)
    try:
        task = _loop().create_task(coroutine)
        try:
            return _loop().run_until_complete(task)
        except BaseException:
            if not task.done():
                task.cancel()
                with suppress(asyncio.CancelledError):
                    _loop().run_until_complete(task)
            raise
    finally:
        asyncio._set_running_loop(own)
