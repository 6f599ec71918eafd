"""Tokens of thinking that nobody will count."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

THINKING_SPEED = 50
"""Tokens in a second that models think, where they do not show it: between the slow and the fast."""
USUAL_DELAY = 1.0
"""Seconds before a first word that are no thinking."""


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
