"""Outcomes: work that a grader on the server measures by a rubric, until it is good enough."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import ConfigError
from ...events import TurnFailed, TurnFinished
from ...text import shorten

LONGEST_RUBRIC = 262_144
MOST_ITERATIONS = 20
LONGEST_EXPLANATION = 1000
ENDS = {
    "satisfied": "outcome satisfied",
    "max_iterations_reached": "outcome not reached in as many attempts as it may have",
    "failed": "outcome failed: its rubric does not fit the task",
    "interrupted": "outcome interrupted",
}
"""The results that end an outcome, and the turn's line about each."""
_LINES = {
    **{result: line.removeprefix("outcome ") for result, line in ENDS.items()},
    "needs_revision": "needs revision",
    "max_iterations_reached": "not reached, and this was the last one",
}


@dataclass(frozen=True)
class Outcome:
    """What is to be made and how it is graded, as `HostedAgent.define_outcome` has it. Raises ConfigError."""

    description: str
    rubric: Any
    max_iterations: int = 3

    def __post_init__(self) -> None:
        count = self.max_iterations
        if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= MOST_ITERATIONS:
            raise ConfigError(f"max_iterations must be a whole number from 1 to {MOST_ITERATIONS}.")
        _rubric(self.rubric)

    def to_dict(self) -> dict[str, Any]:
        """The event that defines it.

        >>> Outcome("A table of primes", "All numbers are prime.").to_dict()["rubric"]
        {'type': 'text', 'content': 'All numbers are prime.'}
        """
        return {
            "type": "user.define_outcome",
            "description": self.description,
            "rubric": _rubric(self.rubric),
            "max_iterations": self.max_iterations,
        }


def _rubric(given: Any) -> dict[str, Any]:
    if isinstance(given, Mapping):
        if not given.get({"text": "content", "file": "file_id"}.get(str(given.get("type")), "")):
            raise ConfigError(
                'rubric as a dict is {"type": "text", "content": …} or {"type": "file", "file_id": …}.'
            )
        return dict(given)
    if isinstance(given, Path):
        try:
            given = given.read_text("utf-8")
        except (OSError, ValueError) as error:
            raise ConfigError(f"The rubric cannot be read: {error}") from None
    if not isinstance(given, str) or not given.strip():
        raise ConfigError("rubric must say how the outcome is graded: text, a Path to it, or a file's id.")
    if re.fullmatch(r"file_\w+", given):
        return {"type": "file", "file_id": given}
    if len(given) > LONGEST_RUBRIC:
        raise ConfigError(f"The rubric may have {LONGEST_RUBRIC:,} characters at most, not {len(given):,}.")
    return {"type": "text", "content": given}


def evaluation_line(event: Any) -> str:
    """What a grader found, in one line."""
    result = str(event.result)
    attempt = (getattr(event, "iteration", None) or 0) + 1
    explanation = " ".join(shorten(str(event.explanation or ""), LONGEST_EXPLANATION).split())
    line = f"Attempt {attempt}: {_LINES.get(result, shorten(result, 60))}."
    return f"{line} {explanation}".strip()


def end_of_outcome(end: TurnFinished | TurnFailed, result: str) -> TurnFinished | TurnFailed:
    """The end of a turn whose last evaluation had the result, which is its reason where nothing else is."""
    if isinstance(end, TurnFailed) or end.stop_reason != "end_turn" or result not in ENDS:
        return end
    return TurnFinished(stop_reason=result, detail=ENDS[result])
