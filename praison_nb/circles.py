"""Turns whose functions wait for turns. Those of one session run one after the other, so a function that
waits for the next turn of its own session would wait for ever."""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from .errors import ConfigError

if TYPE_CHECKING:
    from .run import Run

_callers: ContextVar[tuple[Run, ...]] = ContextVar("callers", default=())


def callers() -> tuple[Run, ...]:
    """The turns that the function which runs here is called by, the innermost last; none in a cell."""
    return _callers.get()


def called_by(runs: tuple[Run, ...], function: Callable[[], Any], is_async: bool) -> Callable[[], Any]:
    """`function` that knows who calls it, on whichever thread."""

    @functools.wraps(function)
    def plain() -> Any:
        token = _callers.set(runs)
        try:
            return function()
        finally:
            _callers.reset(token)

    async def awaited() -> Any:
        _callers.set(runs)
        return await function()

    return awaited if is_async else plain


def refuse_circle(run: Run) -> None:
    """Raise ConfigError where the function that runs here must return before `run` can end."""
    if any(caller.lock is run.lock and caller.turn.ended is None for caller in callers()):
        if run not in callers():
            run.stop()
        raise ConfigError(
            f"A function that a turn of session {run.turn.session!r} calls cannot wait for its next one. "
            "Ask in a session of its own, or another agent."
        )
