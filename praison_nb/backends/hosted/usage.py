"""The usage that the hosted API reports, in our columns."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any

from ...events import RequestFinished, SessionUsage, new_id
from ...session import Usage


def request_usage(reported: Any) -> Usage:
    """One request's usage. It does not say for how long the cache was written: five minutes is the rule."""
    return Usage(
        uncached_input_tokens=_count(reported, "input_tokens"),
        cache_read_input_tokens=_count(reported, "cache_read_input_tokens"),
        cache_write_5m_input_tokens=_count(reported, "cache_creation_input_tokens"),
        output_tokens=_count(reported, "output_tokens"),
    )


def request_finished(span_id: str, model: str, reported: Any) -> RequestFinished:
    """The end of the request with this span; `model` is "" where nobody says which."""
    return RequestFinished(id=span_id, model=model, provider="anthropic", usage=request_usage(reported))


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
    )


def dollars(amount: Any) -> Decimal | None:
    """An amount of money in cents, as USD; None where there is none."""
    if amount is None or getattr(amount, "currency", "USD") != "USD":
        return None
    try:
        return Decimal(str(amount.amount)) / 100
    except (AttributeError, InvalidOperation):
        return None


def _count(reported: Any, name: str) -> int:
    value = getattr(reported, name, None)
    return value if isinstance(value, int) else 0
