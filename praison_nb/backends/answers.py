"""A turn that is over, for callers who want just its text."""

from __future__ import annotations

import logging

from ..errors import TurnStopped
from ..turn import Turn

log = logging.getLogger(__name__)


def raise_for(turn: Turn) -> None:
    """Raise what went wrong with a turn that is over, for callers who want just the text."""
    if turn.error is not None:
        raise turn.error
    if turn.stop_reason == "interrupted":
        stopped = TurnStopped("The turn was stopped; its text so far is in the exception's `turn`.")
        stopped.turn = turn
        raise stopped


def answer_of(turn: Turn) -> str:
    """The text of a turn that is over; what went wrong with it is raised. Why there is none is logged: a
    caller who wants just the text sees nothing else of the turn."""
    raise_for(turn)
    if not turn.text:
        for line in filter(None, (turn.detail, *turn.notices)):
            log.warning("no answer: %s", line)
    return turn.text
