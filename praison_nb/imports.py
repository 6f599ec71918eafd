"""Imports of big packages, which somebody waits for."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

_RARE = (100_000, 100, 100)


@contextmanager
def rare_collections() -> Iterator[None]:
    """Have garbage looked for more rarely: modules bring ten thousands of objects of which none goes, and to
    look through them, and through all that the kernel has, again and again is a sixth of an import's time.

    What the user sets meanwhile stays, and so does a collection that is off.

    >>> gc.set_threshold(700, 10, 10)
    >>> with rare_collections():
    ...     import this_is_big
    Traceback (most recent call last):
    ModuleNotFoundError: No module named 'this_is_big'
    >>> gc.get_threshold()
    (700, 10, 10)
    """
    before = gc.get_threshold()
    if not 0 < before[0] < _RARE[0]:
        # It is off, or another thread imports.
        yield
        return
    gc.set_threshold(*_RARE)
    try:
        yield
    finally:
        if gc.get_threshold() == _RARE:
            gc.set_threshold(*before)
