"""Tokens that a request has, before its server has counted them, and where it never does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...session import Usage
from ...turn import estimate_tokens

THINKING_SPEED = 50
"""Tokens in a second that models think, where they do not show it: between the slow and the fast."""
USUAL_DELAY = 1.0
"""Seconds before a first word that are no thinking."""


@dataclass(eq=False)
class InputEstimate:
    """Estimates requests of one conversation to one server: from the last one that it counted, if there is
    one.

    >>> estimate = InputEstimate()
    >>> estimate.tokens(4000)
    1000
    >>> estimate.count(4000, Usage(uncached_input_tokens=1200))
    >>> estimate.tokens(4400), estimate.tokens(2000)
    (1300, 600)
    """

    size: int = 0
    counted: int = 0

    def tokens(self, size: int) -> int:
        """Tokens of a request of so many bytes."""
        if not self.counted:
            return estimate_tokens(size)
        if size < self.size:
            return round(self.counted * size / self.size)
        return self.counted + estimate_tokens(size - self.size)

    def count(self, size: int, usage: Usage | None) -> None:
        """The server counted a request of so many bytes."""
        if usage is not None and not usage.estimated and usage.input_tokens > 0 and size > 0:
            self.size, self.counted = size, usage.input_tokens


def silent_thinking(seconds: float) -> int:
    """Tokens of a model that thought for so long without a word, of which nobody will give a count."""
    return max(0, round((seconds - USUAL_DELAY) * THINKING_SPEED))


def thinks(body: Mapping[str, Any]) -> bool:
    """Whether the request asks the model to think."""
    reasoning, thinking = body.get("reasoning"), body.get("thinking")
    effort = body.get("reasoning_effort") or (
        reasoning.get("effort") if isinstance(reasoning, Mapping) else None
    )
    kind = thinking.get("type") if isinstance(thinking, Mapping) else None
    return effort not in (None, "none") or kind in ("enabled", "adaptive")
