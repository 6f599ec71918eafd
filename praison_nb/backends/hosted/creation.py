"""What is created on the server is created once: a request that may have arrived is not sent again before
somebody has looked for what it made."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

from .client import is_final, never_arrived, seconds_to_wait, transient_errors

T = TypeVar("T")
MARK = "praison_nb"
"""The key of the metadata by which a creation is found again."""
MOST_METADATA = 16
RESENT = 2
"""A request that made nothing is sent again so often."""
PAUSE_SECONDS = 0.5
LOOKS = (0.2, 0.4, 0.8, 1.6, 3.0, 5.0, 5.0, 5.0, 5.0)
"""Seconds between looks for what a request makes whose answer did not come in time."""


async def once(make: Callable[[], Awaitable[T]], find: Callable[[], Awaitable[T | None]]) -> T:
    """What `make()` creates, its retries being off, or `find()` finds of it where nobody knows whether it
    did. Raises what `make` raises."""
    for sent in range(RESENT + 1):
        try:
            return await make()
        except transient_errors() as error:
            problem = error
        status = getattr(problem, "status_code", None)
        if is_final(problem):
            raise problem
        if not never_arrived(problem):
            if (found := await _look(find)) is not None:
                return found
            if _is_late(problem):
                # It may yet be made.
                for pause in LOOKS:
                    await asyncio.sleep(pause)
                    if (found := await _look(find)) is not None:
                        return found
            if _is_late(problem) or status == 409:
                raise problem
        if sent < RESENT:
            await asyncio.sleep(seconds_to_wait(problem) or PAUSE_SECONDS * 2**sent)
    raise problem


def marked(metadata: dict[str, str], mark: str) -> dict[str, str]:
    """The metadata with a mark, where there is room."""
    return metadata if len(metadata) >= MOST_METADATA else {**metadata, MARK: mark}


async def find_marked(items: AsyncIterator[Any], mark: str) -> Any:
    """The first that has the mark, None without one."""
    async for item in items:
        if (getattr(item, "metadata", None) or {}).get(MARK) == mark:
            return item
    return None


async def _look(find: Callable[[], Awaitable[T | None]]) -> T | None:
    try:
        return await find()
    except transient_errors():
        return None


def _is_late(problem: BaseException) -> bool:
    """Whether the server may still be at it."""
    from anthropic import APITimeoutError

    return isinstance(problem, APITimeoutError) or getattr(problem, "status_code", None) in (408, 504, 524)
