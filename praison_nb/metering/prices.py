"""What a request costs, in USD: the provider's own word first, then the user's price, then the price table,
which is on this machine. What runs here by itself is free. An unknown price is None, never 0.

>>> price(Usage(uncached_input_tokens=1_000_000), "gpt-4o-mini", "openai", 1_760_000_000.0)
(Decimal('0.150'), 'table')
>>> price(Usage(output_tokens=7), "a model that nobody knows", "openai", 1_760_000_000.0)
(None, 'unpriced')
>>> price(Usage(output_tokens=7), "llama3.2", "ollama", 1_760_000_000.0)
(Decimal('0'), 'local')
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Literal

from ..events import RequestFinished
from ..money import read_usd, to_pico
from ..session import Usage
from . import price_gaps, price_table, user_prices
from .ledger import MAX_NUMBER
from .model_names import names

log = logging.getLogger(__name__)
Source = Literal["provider", "table", "user", "local", "unpriced"]

LOCAL = frozenset({"embedded", "ollama", "lmstudio", "llamacpp"})
"""Providers of what runs here by itself. Nobody is paid."""

MINUTE = 60.0

SEARCHES = "web_searches"
"""The price table's name for searches of the web."""

RUNNING_HOUR = Decimal("0.08")
"""USD for an hour that a hosted session runs, at Anthropic's public list price; idle time is free."""

BATCH = "batch"
"""The service tier of what is answered within a day."""
HALF_IN_BATCHES = ("anthropic", "openai")
"""Providers whose public prices for batches are half of the plain ones, where the table has no other."""

USUAL_TIERS = ("", "default", "standard", "standard_only", "auto", "on_demand")
"""What providers call the service tier at which the price table's plain prices are."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a request costs in USD, None where that is not known, who says so, and by which prices. `fees` are
    that part which is not for tokens. It `is_lower_bound` where something of it has no price."""

    usd: Decimal | None
    source: Source
    price_source: str = ""
    fees: Decimal = Decimal(0)
    is_lower_bound: bool = False


_UNKNOWN = Cost(None, "unpriced")


def with_cost(event: RequestFinished, at: float) -> RequestFinished:
    """`event` with its cost, where the provider gave none that can be. `at` (seconds since 1970) chooses the
    price of that time."""
    # A backend of the user's may have a float.
    stated = event.cost if isinstance(event.cost, Decimal) else read_usd(event.cost)
    if event.usage is None or (stated is not None and can_be(stated)):
        return event if stated is event.cost else replace(event, cost=stated)
    found = cost(event.usage, event.model, event.provider, at, event.service_tier, event.billed_calls)
    return replace(
        event,
        cost=found.usd,
        cost_source=found.source,
        price_source=found.price_source,
        fees=found.fees,
        is_lower_bound=found.is_lower_bound,
    )


def price(
    usage: Usage, model: str, provider: str, at: float, service_tier: str = ""
) -> tuple[Decimal | None, Source]:
    """USD for `usage`, or None, and who says so: the short form of `cost`."""
    found = cost(usage, model, provider, at, service_tier)
    return found.usd, found.source


def cost(
    usage: Usage,
    model: str,
    provider: str,
    at: float,
    service_tier: str = "",
    billed_calls: Mapping[str, int] | None = None,
) -> Cost:
    """What `usage` costs. `provider` is an id of the price table or of LOCAL, "" for a server of nobody's: a
    model there costs what the user said (`%agent price`), else it is not known. The user's price counts for
    all service tiers, the table's for those that it names. `billed_calls` is how often the provider did what
    it bills by the call, by the table's names. A count that has no price (a server may say -1), and a price
    table that fails, make it unknown too: never an error."""
    return costs([usage], model, provider, at, service_tier, billed_calls)[0]


def costs(
    usages: Sequence[Usage],
    model: str,
    provider: str,
    at: float,
    service_tier: str = "",
    billed_calls: Mapping[str, int] | None = None,
) -> list[Cost]:
    """What each costs, as `cost` has it."""
    try:
        # Prices begin with a minute.
        asked = model, provider, at // MINUTE * MINUTE, service_tier.strip().lower()
        calls, version = tuple((billed_calls or {}).items()), (price_table.version(), user_prices.version())
        return [_known(usage, *asked, calls, version) for usage in usages]
    except KeyboardInterrupt:
        raise
    except BaseException:
        log.debug("no price for %r", model, exc_info=True)
    return [_UNKNOWN] * len(usages)


@functools.lru_cache(maxsize=4096)
def _known(
    usage: Usage,
    model: str,
    provider: str,
    at: float,
    tier: str,
    calls: tuple[tuple[str, int], ...],
    version: object,
) -> Cost:
    """Thousands of requests are alike in what they cost. `version` is that of all prices."""
    return _cost(_Asked(usage, model, provider, at, tier, dict(calls)))


@dataclass(frozen=True, slots=True)
class _Asked:
    usage: Usage
    model: str
    provider: str
    at: float
    tier: str
    calls: Mapping[str, int] = field(default_factory=dict)


def _cost(asked: _Asked) -> Cost:
    usage = asked.usage
    if not usage.input_tokens and not usage.output_tokens and not asked.calls:
        return Cost(Decimal(0), "local" if asked.provider in LOCAL else "table")
    if own := user_prices.find(asked.model, asked.provider):
        key, chosen = own
        # What is free on a machine of one's own is not so where somebody is paid.
        is_bare = key in (asked.model, user_prices.dateless(asked.model))
        if not (chosen.is_free and is_bare and asked.provider not in ("", *LOCAL)):
            since = f"since {chosen.since}" if chosen.since else ""
            return _checked(Cost(chosen.cost(usage), "user", since, is_lower_bound=bool(asked.calls)))
    return _listed(asked)


def _listed(asked: _Asked) -> Cost:
    if asked.provider in LOCAL:
        return Cost(Decimal(0), "local")
    if not asked.provider:
        return _UNKNOWN
    for name, surcharge in names(asked.model, asked.provider):
        if surcharge == "free":
            return Cost(Decimal(0), "table", price_table.source())
        named = replace(asked, model=name)
        if asked.tier == BATCH and asked.provider in HALF_IN_BATCHES and _by_table(named) is None:
            whole = _listed(replace(named, tier=""))
            if whole.usd is not None:
                usd, source = (whole.usd + whole.fees) / 2, f"{whole.price_source}, half in a batch"
                return replace(whole, usd=usd, price_source=source)
        found = _by_gap(named) if _has_sound(asked.usage) else None
        found = found or _by_table(named) or _by_gap(named)
        if found is not None:
            bound = found.is_lower_bound or surcharge == "more"
            return _checked(replace(found, is_lower_bound=bound))
    return _UNKNOWN


def _checked(found: Cost) -> Cost:
    return found if found.usd is not None and can_be(found.usd) else _UNKNOWN


def can_be(usd: Decimal) -> bool:
    """Whether so many USD are a cost: the ledger keeps no greater one.

    >>> can_be(Decimal("0.5")), can_be(Decimal(-1)), can_be(Decimal("1e5")), can_be(Decimal("NaN"))
    (True, False, False, False)
    """
    return usd.is_finite() and 0 <= to_pico(usd) <= MAX_NUMBER


def _has_sound(usage: Usage) -> bool:
    return bool(usage.audio_input_tokens or usage.audio_output_tokens)


def _by_gap(asked: _Asked) -> Cost | None:
    found = price_gaps.find(asked.model, asked.provider, asked.usage)
    if found is None or asked.tier not in USUAL_TIERS:
        return None
    usd = found.cost(asked.usage)
    return Cost(usd, "table", f"praison_nb {price_gaps.DATE}", is_lower_bound=bool(asked.calls))


def _by_table(asked: _Asked) -> Cost | None:
    """By the price table, None where that does not know it."""
    from genai_prices import Usage as Counted

    usage = asked.usage
    if not price_table.is_listed(asked.model, asked.provider):
        return None
    when = datetime.fromtimestamp(asked.at, UTC)
    # Anthropic's fast mode and batches are tiers here, and something of their own there.
    keys = () if asked.tier in USUAL_TIERS else ("service_tier", "speed", "processing")
    tiers = [{key: asked.tier} for key in keys]
    context = dict.fromkeys(keys, asked.tier) or None
    # Its input is the total, its cache writes are the total of both kinds, and its parts must be given.
    counts: dict[str, Any] = {
        "input_tokens": usage.input_tokens,
        "cache_read_tokens": usage.cache_read_input_tokens,
        "cache_write_tokens": usage.cache_creation_input_tokens,
        "cache_write_5m_tokens": usage.cache_write_5m_input_tokens,
        "cache_write_1h_tokens": usage.cache_write_1h_input_tokens,
        "output_tokens": usage.output_tokens,
    }
    if _has_sound(usage):
        counts |= {
            "input_audio_tokens": usage.audio_input_tokens,
            "output_audio_tokens": usage.audio_output_tokens,
            "cache_audio_read_tokens": 0,
        }
    try:
        found = price_table.snapshot().calc(
            Counted(**counts), asked.model, asked.provider, None, when, context
        )
    except LookupError:
        return None
    if tiers:
        # For a tier that it does not know the table gives the usual price, and so it does for another
        # provider's models.
        is_own = any(each is found.model for each in found.provider.models)
        variants = (each for each in found.model.price_variants or () if is_own and each.when in tiers)
        if not any(each.constraint is None or each.constraint.active(when) for each in variants):
            return None
    prices = vars(found.model_price)
    by_call = {name: prices.get(f"{name}_kcount") for name in asked.calls}
    fees = sum((_per_thousand(each) * asked.calls[name] for name, each in by_call.items()), Decimal(0))
    is_lower_bound = (
        any(each is None for each in by_call.values())
        or (bool(usage.audio_input_tokens) and prices.get("input_audio_mtok") is None)
        or (bool(usage.audio_output_tokens) and prices.get("output_audio_mtok") is None)
    )
    usd = found.total_price + fees
    # The table adds a fee for the request itself.
    fees += _per_thousand(prices.get("requests_kcount"))
    return Cost(usd, "table", price_table.source(), fees, is_lower_bound)


def _per_thousand(value: Any) -> Decimal:
    return value / 1000 if isinstance(value, Decimal) else Decimal(0)


def running_cost(seconds: float) -> Decimal:
    """USD for so many seconds in which a hosted session ran.

    >>> running_cost(90)
    Decimal('0.002')
    """
    return Decimal(str(seconds)) * RUNNING_HOUR / 3600
