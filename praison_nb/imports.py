"""Imports of big packages, which somebody waits for."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

_RARE = (1_000_000, 100, 100)
_FROZEN_BY_PYTHON = 1_000
"""Objects at most: those of 3.12 are a few hundred."""


@contextmanager
def rare_collections() -> Iterator[None]:
    """Have no garbage looked for: modules bring a hundred thousand objects of which none goes, and to look
    through them, and through all that the kernel has, again and again is a sixth of an import's time.
    Afterwards they count as old, as what has been looked through often does.

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
        if gc.get_count()[0] > before[0] and gc.get_freeze_count() < _FROZEN_BY_PYTHON:
            # Else they would be looked through now. What is thawed is of the oldest generation.
            gc.freeze()
            gc.unfreeze()
        if gc.get_threshold() == _RARE:
            gc.set_threshold(*before)
