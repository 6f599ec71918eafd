"""Waiting for what a turn comes to."""

from __future__ import annotations

import threading
from collections.abc import Callable

from praison_nb import Turn
from praison_nb.runtime.run import Run

PATIENCE = 60.0
"""Seconds after which a condition that never came true fails the test."""


def until(run: Run, predicate: Callable[[Turn], object]) -> Turn:
    """Block until the run's turn is as the predicate wants it."""
    reached = threading.Event()
    unsubscribe = run.subscribe(lambda event, turn: reached.set() if predicate(turn) else None)
    if not predicate(run.turn):
        assert reached.wait(PATIENCE), f"it never came true: {run.turn!r}"
    unsubscribe()
    return run.turn
