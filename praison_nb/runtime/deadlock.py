"""Waiting for a turn where that would never end: on the loop that the turn runs on, or in a function that the
turn before it waits for (turns of one session run one after the other)."""

from __future__ import annotations

import asyncio
import functools
import weakref
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Protocol

from ..errors import ConfigError, PraisonError
from ..turn import Turn
from . import loop


class Caller(Protocol):
    """What a Run is to those whom it calls. The runs of one session have one `lock`."""

    turn: Turn
    lock: asyncio.Lock

    def stop(self) -> None:
        """End the turn."""


_callers: ContextVar[tuple[weakref.ref[Caller], ...]] = ContextVar("callers", default=())
"""Weak, since a context lives on in timers that were cancelled; a turn under way is kept by its task."""


def callers() -> tuple[Caller, ...]:
    """The turns that the function which runs here is called by, the innermost last; none in a cell."""
    return tuple(run for each in _callers.get() if (run := each()) is not None)


def set_callers(runs: tuple[Caller, ...]) -> None:
    """What runs in this context from now on is called by these turns."""
    _callers.set(tuple(map(weakref.ref, runs)))


def called_by(runs: tuple[Caller, ...], function: Callable[[], Any], is_async: bool) -> Callable[[], Any]:
    """`function` that knows who calls it, on whichever thread."""

    @functools.wraps(function)
    def plain() -> Any:
        before = callers()
        set_callers(runs)
        try:
            return function()
        finally:
            set_callers(before)

    async def awaited() -> Any:
        set_callers(runs)
        return await function()

    return awaited if is_async else plain


def refuse_deadlock(run: Caller, *, blocks: bool) -> None:
    """Raise ConfigError where whoever waits here, with a thread that `blocks` or in a coroutine, must go on
    before `run` can end; a turn that was begun for this is stopped."""
    if run.turn.ended is not None:
        return
    try:
        if blocks:
            loop.refuse_to_wait()
        if run in callers():
            raise ConfigError(
                f"A function that a turn of session {run.turn.session!r} calls cannot wait for that turn. "
                "Its `turn` says how far it is."
            )
        if any(caller.lock is run.lock and caller.turn.ended is None for caller in callers()):
            raise ConfigError(
                f"A function that a turn of session {run.turn.session!r} calls cannot wait for its next one. "
                "Ask in a session of its own, or another agent."
            )
    except PraisonError:
        if run not in callers():
            run.stop()
        raise
