"""The usage that the hosted API reports, in our columns."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from ...events import RequestFinished, SessionUsage, new_id
from ...metering.prices import SEARCHES, can_be
from ...metering.session_threads import difference
from ...session import Usage

_MOST = 10**12
"""No session has so many tokens, or seconds."""


def request_usage(reported: Any) -> Usage:
    """One request's usage. It does not say for how long the cache was written: five minutes is the rule."""
    return Usage(
        uncached_input_tokens=_count(reported, "input_tokens"),
        cache_read_input_tokens=_count(reported, "cache_read_input_tokens"),
        cache_write_5m_input_tokens=_count(reported, "cache_creation_input_tokens"),
        output_tokens=_count(reported, "output_tokens"),
    )


def request_finished(span_id: str, model: str, reported: Any, started_id: str = "") -> RequestFinished:
    """The end of the request with this span; `model` is "" where nobody says which."""
    return RequestFinished(
        id=span_id,
        started_id=started_id,
        model=model,
        provider="anthropic",
        usage=request_usage(reported),
        service_tier=service_tier(reported),
        billed_calls=billed_calls(reported),
    )


def service_tier(reported: Any) -> str:
    """The tier of a request, which has prices of its own: "fast", or "" for the usual one."""
    speed = getattr(reported, "speed", None)
    return speed if isinstance(speed, str) and speed != "standard" else ""


def billed_calls(reported: Any) -> dict[str, int]:
    """What is billed besides tokens, by the price table's names; "other" is what has no price there."""
    searches = _count(getattr(reported, "server_tool_use", None), "web_search_requests")
    # A tenth more, of some models.
    surcharges = int(getattr(reported, "inference_geo", None) == "us")
    return {name: count for name, count in ((SEARCHES, searches), ("other", surcharges)) if count}


def session_usage(reported: Any, event_id: str | None = None) -> SessionUsage:
    """A session's usage so far; what is not known yet is 0, and the cost None."""
    created = getattr(reported, "cache_creation", None)
    list_cost = dollars(getattr(reported, "list_cost", None))
    return SessionUsage(
        id=event_id or new_id(),
        usage=Usage(
            uncached_input_tokens=_count(reported, "input_tokens"),
            cache_read_input_tokens=_count(reported, "cache_read_input_tokens"),
            cache_write_5m_input_tokens=_count(created, "ephemeral_5m_input_tokens"),
            cache_write_1h_input_tokens=_count(created, "ephemeral_1h_input_tokens"),
            output_tokens=_count(reported, "output_tokens"),
        ),
        list_cost=list_cost if list_cost is not None and can_be(list_cost) else None,
        active_seconds=_number(getattr(reported, "active_seconds", None)),
        searches=_count(getattr(reported, "server_tool_use", None), "web_search_requests"),
    )


def used_since(after: SessionUsage, before: SessionUsage | None) -> Usage:
    """What a session used between two counts of it."""
    return difference(after.usage, before.usage if before else Usage())


def dollars(amount: Any) -> Decimal | None:
    """An amount of money in cents, as USD; None where there is none."""
    if amount is None or (getattr(amount, "currency", None) or "USD") != "USD":
        return None
    try:
        usd = Decimal(str(amount.amount)) / 100
    except (AttributeError, InvalidOperation):
        return None
    return usd if usd.is_finite() and usd >= 0 else None


def _count(reported: Any, name: str) -> int:
    value = reported.get(name) if isinstance(reported, Mapping) else getattr(reported, name, None)
    return int(_number(value) or 0)


def _number(value: Any) -> float | None:
    """A number of tokens or seconds, which may be written as text; None for what is none."""
    if isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if 0 <= number <= _MOST else None
