"""What a turn of a hosted session costs beyond its requests: the time that the session ran, searches and
cache writes that only the session's own count has, and whatever else the provider bills. A session's turns
cost in all what its provider says: the gap between that and the ledger's rows of the session is of the turn
in which it shows, and no turn costs less than nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from ..events import SessionUsage
from ..session import Usage
from ..turn import Turn
from .prices import SEARCHES, cost, price, running_cost
from .session_totals import OtherTurns

CENT = Decimal("0.01")
"""The provider's figure is rounded to it."""

BeforeTurn = Callable[[], SessionUsage | None]
"""The provider's count of a session before a turn; None where nobody knows."""


@dataclass(frozen=True, slots=True)
class Settled:
    """The session's count with what the turn costs beyond its requests, and USD that the session had cost in
    no row of the ledger, None where that is not known."""

    event: SessionUsage
    elsewhere: Decimal | None


def true_up(
    event: SessionUsage,
    turn: Turn,
    before: SessionUsage | None,
    others: OtherTurns,
    *,
    provider: str = "anthropic",
    cheapest: Decimal = Decimal(0),
) -> Settled:
    """By what the ledger has of the session's `others`, else by the provider's count `before` the turn.
    `cheapest` is the USD of the turn's cheapest request. Pure."""
    if before is None and not others.turns and others.elsewhere is None:
        return Settled(event, None)
    elsewhere = others.elsewhere
    if elsewhere is None:
        elsewhere = Decimal(0) if others.turns or before is None else _cost_of(before, turn, provider)
    used = before or SessionUsage(usage=Usage())
    active = others.active if others.turns else used.active_seconds
    one_hour = _one_hour_writes(event, turn, max(others.one_hour, used.usage.cache_write_1h_input_tokens))
    extra = running_cost(max(0.0, (event.active_seconds or 0.0) - (active or 0.0)))
    extra += _surcharge(one_hour, turn, provider, event.time)
    searched = [_searches(each, turn, provider, event.time) for each in (event.searches, used.searches)]
    fees = max(Decimal(0), searched[0] - max(searched[1], others.fees) - turn.fees)
    extra += fees
    event = replace(
        event, cache_write_1h_tokens=one_hour, extra_cost=extra, fees=fees, is_provider_cost=False
    )
    if event.list_cost is None or others.is_running:
        # What another turn costs is in the provider's figure, and not yet all in the ledger. What was said of
        # this one stays.
        return Settled(_as_known(event, turn.session_usage), elsewhere)
    own = event.list_cost - elsewhere - others.cost
    gap = own - turn.priced - extra
    is_whole = not turn.unpriced_requests and not turn.is_cut_off
    lacks_request = gap <= -CENT and gap - CENT <= -cheapest
    if not _is_current(event, turn, others) or lacks_request or (not is_whole and own <= 0):
        # Books that are behind lack whole requests. What they have already is of this turn.
        return Settled(replace(event, is_behind=True, **_gap(extra, gap) if gap >= CENT else {}), elsewhere)
    if abs(gap) <= CENT / 2:
        # What has no price is too little to be seen in whole cents.
        return Settled(replace(event, is_behind=not is_whole), elsewhere)
    # Sub-agents, a place or a price that the table does not know: the provider's word counts.
    event = replace(event, is_behind=gap < -CENT, **_gap(extra, max(gap, -turn.priced - extra)))
    return Settled(replace(event, is_provider_cost=is_whole or gap > 0), elsewhere)


def _as_known(event: SessionUsage, known: SessionUsage | None) -> SessionUsage:
    if known is None or not known.is_provider_cost:
        return event
    costs = {name: getattr(known, name) for name in ("extra_cost", "fees", "is_behind")}
    return replace(event, **costs, is_provider_cost=True)


def _gap(extra: Decimal, gap: Decimal) -> dict[str, Any]:
    return {"extra_cost": extra + gap, "is_provider_cost": True}


def _cost_of(before: SessionUsage, turn: Turn, provider: str) -> Decimal:
    """USD of a session so far, by its tokens where its provider does not say."""
    if before.list_cost is not None:
        return before.list_cost
    tokens, _ = price(before.usage, turn.model, provider, before.time)
    return (tokens or Decimal(0)) + running_cost(before.active_seconds or 0.0)


def _one_hour_writes(event: SessionUsage, turn: Turn, before: int) -> int:
    more = event.usage.cache_write_1h_input_tokens - before - turn.counted.cache_write_1h_input_tokens
    return max(0, min(more, turn.counted.cache_write_5m_input_tokens))


def _surcharge(one_hour: int, turn: Turn, provider: str, at: float) -> Decimal:
    if not one_hour:
        return Decimal(0)
    hour, _ = price(Usage(cache_write_1h_input_tokens=one_hour), turn.model, provider, at)
    short, _ = price(Usage(cache_write_5m_input_tokens=one_hour), turn.model, provider, at)
    return Decimal(0) if hour is None or short is None else hour - short


def _searches(count: int, turn: Turn, provider: str, at: float) -> Decimal:
    if count <= 0:
        return Decimal(0)
    return cost(Usage(), turn.model, provider, at, billed_calls={SEARCHES: count}).fees


def _is_current(event: SessionUsage, turn: Turn, others: OtherTurns) -> bool:
    """Whether the provider has counted all tokens that we saw; its books may be a moment behind."""
    counted = turn.counted
    tokens_in, tokens_out = event.usage.input_tokens, event.usage.output_tokens
    return counted.estimated or (
        tokens_in >= others.tokens_in + counted.input_tokens
        and tokens_out >= others.tokens_out + counted.output_tokens
    )
