"""What callers give who want just a text for a text, and what they get."""

from __future__ import annotations

import logging
from typing import Any

from ..errors import ConfigError, InvalidAnswerError, TurnStopped
from ..text import replace_surrogates
from ..turn import Turn

log = logging.getLogger(__name__)


def validate_prompt(prompt: Any) -> str:
    """The prompt as it can be sent and stored. Raises ConfigError where there is none."""
    if not isinstance(prompt, str) or not prompt.strip():
        raise ConfigError("The prompt is empty: write what the agent should do.")
    return replace_surrogates(prompt)


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


def value_of(turn: Turn) -> Any:
    """The typed answer of a turn that is over; what went wrong with it is raised."""
    raise_for(turn)
    if turn.answer is None:
        problem = InvalidAnswerError(f"There is no answer: {turn.detail or turn.stop_reason}.")
        problem.turn = turn
        raise problem
    return turn.answer.value
