"""What tokens cost, in USD: the provider's own word first, then the user's price, then the price table of
genai-prices, which is on this machine. An unknown price is None, never 0.

>>> price(Usage(uncached_input_tokens=1_000_000), "gpt-4o-mini", "openai", 1_760_000_000.0)
(Decimal('0.150'), 'table')
>>> price(Usage(output_tokens=7), "a model that nobody knows", "openai", 1_760_000_000.0)
(None, 'unpriced')
"""

from __future__ import annotations

import contextlib
import logging
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Literal

from ..events import RequestFinished
from ..session import Usage
from . import user_prices

log = logging.getLogger(__name__)
Source = Literal["provider", "table", "user", "unpriced"]

RUNNING_HOUR = Decimal("0.08")
"""USD for an hour that a hosted session runs, at Anthropic's public list price; idle time is free."""

USUAL_TIERS = ("", "default", "standard", "standard_only", "auto", "on_demand")
"""What providers call the service tier at which the price table's plain prices are."""


def with_cost(event: RequestFinished, at: float) -> RequestFinished:
    """`event` with its cost, where the provider gave none. `at` (seconds since 1970) chooses the price of
    that time."""
    if event.cost is not None or event.usage is None:
        return event
    cost, source = price(event.usage, event.model, event.provider, at, event.service_tier)
    return replace(event, cost=cost, cost_source=source)


def price(
    usage: Usage, model: str, provider: str, at: float, service_tier: str = ""
) -> tuple[Decimal | None, Source]:
    """USD for `usage`, or None, and who says so. `provider` is "" where nobody is paid by a table: a model
    of one's own costs what the user said (`%agent price`), else it is not known. The user's price counts for
    all service tiers, the table's for those that it names. A count that has no price (a server may say -1),
    and a price table that fails, make it unknown too: never an error."""
    try:
        if not usage.input_tokens and not usage.output_tokens:
            return Decimal(0), "table"
        own = user_prices.find(model, provider)
        cost = _by_table(usage, model, provider, at, service_tier) if own is None else own.cost(usage)
        if cost is not None and cost.is_finite() and cost >= 0:
            return cost, "table" if own is None else "user"
    except KeyboardInterrupt:
        raise
    except BaseException:
        log.debug("no price for %r", model, exc_info=True)
    return None, "unpriced"


def _by_table(usage: Usage, model: str, provider: str, at: float, service_tier: str) -> Decimal | None:
    if not provider:
        return None
    from genai_prices import Usage as Counted, calc_price

    # Its input is the total, its cache writes are the total of both kinds, and its parts must be given.
    counted = Counted(
        input_tokens=usage.input_tokens,
        cache_read_tokens=usage.cache_read_input_tokens,
        cache_write_tokens=usage.cache_creation_input_tokens,
        cache_write_5m_tokens=usage.cache_write_5m_input_tokens,
        cache_write_1h_tokens=usage.cache_write_1h_input_tokens,
        output_tokens=usage.output_tokens,
    )
    when, tier = datetime.fromtimestamp(at, UTC), service_tier.strip().lower()
    if tier in USUAL_TIERS:
        return calc_price(counted, model, provider_id=provider, genai_request_timestamp=when).total_price
    # Anthropic's fast mode is a tier here, and something of its own there.
    names = {"service_tier": tier}, {"speed": tier}
    found = calc_price(
        counted,
        model,
        provider_id=provider,
        genai_request_timestamp=when,
        price_context=names[0] | names[1],
    )
    # For a tier that it does not know the table gives the usual price, and so it does for another provider's
    # models.
    is_own = any(each is found.model for each in found.provider.models)
    variants = (each for each in found.model.price_variants or () if is_own and each.when in names)
    is_known = any(each.constraint is None or each.constraint.active(when) for each in variants)
    return found.total_price if is_known else None


def preload() -> None:
    """Load the price table, which takes a fifth of a second: on a thread of the pool while the turn's first
    request is on its way."""
    with contextlib.suppress(Exception):
        import genai_prices  # noqa: F401


def running_cost(seconds: float) -> Decimal:
    """USD for so many seconds in which a hosted session ran.

    >>> running_cost(90)
    Decimal('0.002')
    """
    return Decimal(str(seconds)) * RUNNING_HOUR / 3600
