"""What a turn of a hosted session costs beyond its requests: the time that the session ran, cache writes that
cost more than its requests say, which only the session's own count has, and other charges."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal

from ..events import SessionUsage
from ..session import Usage
from ..turn import Turn
from .prices import price, running_cost

CENT = Decimal("0.01")
"""The provider's figure is rounded to it: less of a difference says nothing."""


@dataclass(frozen=True, slots=True)
class SessionBaseline:
    """A session before a turn: its provider's count of it, and what the turns before cost as they were
    `recorded` here, in USD."""

    usage: SessionUsage
    recorded: Decimal


BeforeTurn = Callable[[str], SessionBaseline | None]
"""By a turn's id; None where nobody knows."""


def with_extra_cost(event: SessionUsage, turn: Turn, before: SessionBaseline, provider: str) -> SessionUsage:
    """`event` with what the turn costs beyond its requests, by what the session had used before."""
    one_hour = _one_hour_writes(event, turn, before.usage)
    extra = running_cost(max(0.0, (event.active_seconds or 0.0) - (before.usage.active_seconds or 0.0)))
    extra += _surcharge(one_hour, turn, provider, event.time)
    event = replace(event, cache_write_1h_tokens=one_hour, extra_cost=extra)
    if event.list_cost is None or not _is_current(event, turn, before.usage):
        return event
    gap = event.list_cost - before.recorded - turn.priced - extra
    if abs(gap) < CENT and not turn.unpriced_requests:
        return event
    # Searches, sub-agents, a price that the table does not know: the provider's word counts.
    return replace(event, extra_cost=extra + gap, is_provider_cost=True)


def _one_hour_writes(event: SessionUsage, turn: Turn, before: SessionUsage) -> int:
    written = event.usage.cache_write_1h_input_tokens - before.usage.cache_write_1h_input_tokens
    more = written - turn.counted.cache_write_1h_input_tokens
    return max(0, min(more, turn.counted.cache_write_5m_input_tokens))


def _surcharge(one_hour: int, turn: Turn, provider: str, at: float) -> Decimal:
    if not one_hour:
        return Decimal(0)
    hour, _ = price(Usage(cache_write_1h_input_tokens=one_hour), turn.model, provider, at)
    short, _ = price(Usage(cache_write_5m_input_tokens=one_hour), turn.model, provider, at)
    return Decimal(0) if hour is None or short is None else hour - short


def _is_current(event: SessionUsage, turn: Turn, before: SessionUsage) -> bool:
    """Whether the provider has counted all that we saw; its books may be a moment behind."""
    counted = turn.counted
    tokens_in = event.usage.input_tokens - before.usage.input_tokens
    tokens_out = event.usage.output_tokens - before.usage.output_tokens
    return tokens_in >= counted.input_tokens and tokens_out >= counted.output_tokens
