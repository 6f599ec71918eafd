"""The usage that the hosted API reports, in our columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from decimal import Decimal, InvalidOperation
from typing import Any

from ...events import RequestFinished, SessionUsage, new_id
from ...metering.prices import SEARCHES
from ...session import Usage


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
    seconds = getattr(reported, "active_seconds", None)
    return SessionUsage(
        id=event_id or new_id(),
        usage=Usage(
            uncached_input_tokens=_count(reported, "input_tokens"),
            cache_read_input_tokens=_count(reported, "cache_read_input_tokens"),
            cache_write_5m_input_tokens=_count(created, "ephemeral_5m_input_tokens"),
            cache_write_1h_input_tokens=_count(created, "ephemeral_1h_input_tokens"),
            output_tokens=_count(reported, "output_tokens"),
        ),
        list_cost=dollars(getattr(reported, "list_cost", None)),
        active_seconds=None if seconds is None else float(seconds),
        searches=_count(getattr(reported, "server_tool_use", None), "web_search_requests"),
    )


def used_since(after: SessionUsage, before: SessionUsage | None) -> Usage:
    """What a session used between two counts of it."""
    old = before.usage if before else Usage()
    counts = {
        f.name: getattr(after.usage, f.name) - getattr(old, f.name) for f in fields(Usage) if f.type == "int"
    }
    return Usage(**{name: max(0, count) for name, count in counts.items()})


def dollars(amount: Any) -> Decimal | None:
    """An amount of money in cents, as USD; None where there is none."""
    if amount is None or getattr(amount, "currency", "USD") != "USD":
        return None
    try:
        usd = Decimal(str(amount.amount)) / 100
    except (AttributeError, InvalidOperation):
        return None
    return usd if usd.is_finite() and usd >= 0 else None


def _count(reported: Any, name: str) -> int:
    value = reported.get(name) if isinstance(reported, Mapping) else getattr(reported, name, None)
    return max(0, value) if isinstance(value, int) else 0
