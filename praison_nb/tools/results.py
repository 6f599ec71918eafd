"""What functions return that is not there yet: what they yield, and what is to be awaited."""

from __future__ import annotations

import inspect
import io
import itertools
from collections.abc import AsyncIterator, Iterator
from typing import Any

MOST_ITEMS = 10_000
"""So many items are taken of what a function yields, which may never end."""
MORE = f"[… more than {MOST_ITEMS:,} items: the others are left out]"


def needs_loop(value: Any) -> bool:
    """Whether `value` is to be awaited."""
    return inspect.isawaitable(value) or isinstance(value, AsyncIterator)


def listed(value: Any) -> Any:
    """The list of what an iterator yields; other values, files too, as they are.

    >>> listed(number * 2 for number in range(3)), listed([1])
    ([0, 2, 4], [1])
    """
    if not isinstance(value, Iterator) or isinstance(value, io.IOBase):
        return value
    items = list(itertools.islice(value, MOST_ITEMS + 1))
    return items if len(items) <= MOST_ITEMS else [*items[:MOST_ITEMS], MORE]


async def collected(value: Any) -> Any:
    """`listed`, of what is to be awaited too."""
    if inspect.isawaitable(value):
        value = await value
    if not isinstance(value, AsyncIterator):
        return listed(value)
    items: list[Any] = []
    try:
        async for item in value:
            if len(items) == MOST_ITEMS:
                return [*items, MORE]
            items.append(item)
    finally:
        if inspect.isasyncgen(value):
            await value.aclose()
    return items
