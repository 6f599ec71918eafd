"""What tokens cost, in USD, by the price table of genai-prices, which is on this machine.

A provider's own cost wins. An unknown price is None, never 0.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

from ..events import RequestFinished
from ..session import Usage


def priced(event: RequestFinished, started: float) -> RequestFinished:
    """`event` with its cost by the table, where the provider gave none and somebody is paid.
    `started` (seconds since 1970) chooses the price of that day."""
    if event.cost is not None or event.usage is None or not event.provider:
        return event
    cost = price(event.usage, event.model, event.provider, started)
    return replace(event, cost=cost, cost_source="table" if cost is not None else "unpriced")


def price(usage: Usage, model: str, provider: str, at: float) -> Decimal | None:
    """USD for `usage`, or None for a model that the table does not know.

    >>> price(Usage(uncached_input_tokens=1_000_000), "gpt-4o-mini", "openai", 1_760_000_000.0)
    Decimal('0.15')
    """
    from genai_prices import Usage as PricedUsage
    from genai_prices import calc_price

    try:
        result = calc_price(
            PricedUsage(
                input_tokens=usage.input_tokens,
                cache_read_tokens=usage.cache_read_input_tokens,
                cache_write_tokens=usage.cache_creation_input_tokens,
                output_tokens=usage.output_tokens,
            ),
            model,
            provider_id=provider,
            genai_request_timestamp=datetime.fromtimestamp(at, UTC),
        )
    except LookupError:
        return None
    return result.total_price
