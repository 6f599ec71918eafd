"""What a turn and its parts need of the agent that they work for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

from .config import HostedAgentConfig
from .session import HostedSession


@dataclass(frozen=True, kw_only=True)
class HostedContext:
    """One turn's view of its HostedAgent: the settings that the turn began with, and what it may call."""

    config: HostedAgentConfig
    ensure: Callable[[HostedSession], Awaitable[None]]
    """Create on the server what the session needs and has not yet. Raises PraisonError."""
    backoff_seconds: tuple[float, float]
    """The first pause before a lost connection is made anew, and the longest."""
    takes_answers: bool
    """Whether a call of the tool for typed answers is for us."""
    on_tool_confirmation: Callable[..., Any] | None
    on_custom_tool: Callable[..., Any] | None
    policy_notices: Callable[[], Iterable[str]]
    """A line for each policy that code has changed since this was last called."""
