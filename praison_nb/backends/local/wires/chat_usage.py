"""The count of a chat completion. A count that is none is no reason to lose an answer."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any

from ....money import MAX_USD, read_usd
from ....session import Usage
from .base import Rules

_MOST = 10**9
"""Tokens that one request can have; what is more is no count, and would not fit into a ledger."""


def counts_in(event: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The usage, from wherever servers put it."""
    choices = event.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    for holder in (event, event.get("x_groq"), choice):
        if isinstance(holder, dict) and isinstance(usage := holder.get("usage"), dict):
            yield usage


def usage_of(
    reported: Mapping[str, Any], rules: Rules, *, sent: Callable[[], int], received: Callable[[], int]
) -> Usage | None:
    """The server's count in our columns; None where it counted nothing. `sent` and `received` estimate what
    it left out, in tokens."""
    prompt = _first(reported, "prompt_tokens", "input_tokens")
    completion = _first(reported, "completion_tokens", "output_tokens")
    total = _first(reported, "total_tokens")
    if not (prompt or completion or total):
        return None
    reasoning = _first(
        reported,
        "completion_tokens_details.reasoning_tokens",
        "output_tokens_details.reasoning_tokens",
        "reasoning_tokens",
    )
    estimated = False
    if prompt is None and completion is not None and total and not rules.thinking_beside_output:
        prompt = max(0, total - completion)
    if prompt is None:
        prompt, estimated, total = sent(), True, None
    if completion is None and total is not None:
        completion = max(0, total - prompt)
    if completion is None:
        completion, estimated = received(), True
    beside = _beside(prompt, completion, total, reasoning or 0, rules)
    read = _first(
        reported,
        "prompt_tokens_details.cached_tokens",
        "input_tokens_details.cached_tokens",
        "cached_tokens",
        "prompt_cache_hit_tokens",
        "cache_read_input_tokens",
    )
    written = _first(
        reported,
        "prompt_tokens_details.cache_write_tokens",
        "input_tokens_details.cache_write_tokens",
        "prompt_tokens_details.cache_creation_tokens",
        "cache_creation_input_tokens",
    )
    read = min(read or 0, prompt)
    written = min(written or 0, prompt - read)
    return Usage(
        uncached_input_tokens=prompt - read - written,
        cache_read_input_tokens=read,
        cache_write_5m_input_tokens=written,
        output_tokens=completion + beside,
        reasoning_output_tokens=min(reasoning or beside, completion + beside),
        estimated=estimated,
    )


def _beside(prompt: int, completion: int, total: int | None, reasoning: int, rules: Rules) -> int:
    """Thinking that `completion` lacks: by the provider's rule, or since the numbers prove it."""
    if total is None:
        is_lacking = rules.thinking_beside_output or reasoning > completion
        return reasoning if is_lacking else 0
    more = max(0, total - prompt - completion)
    return more if rules.thinking_beside_output or more == reasoning else 0


def cost_of(reported: Mapping[str, Any], rules: Rules) -> Decimal | None:
    """What the provider says that the request cost, in USD; with a key of one's own at OpenRouter the
    provider behind it is paid too."""
    told = _at(reported, rules.cost_field)
    cost = _usd(told.get("total_cost") if isinstance(told, dict) else told, rules.cost_unit)
    if cost is not None and reported.get("is_byok") is True:
        behind = _usd(_at(reported, "cost_details.upstream_inference_cost"))
        return None if behind is None else cost + behind
    return cost


def _usd(value: Any, unit: str = "1") -> Decimal | None:
    if (isinstance(value, str) and len(value) > 40) or (isinstance(value, int) and abs(value) > 10**40):
        return None
    amount = read_usd(value)
    if amount is None or amount > MAX_USD / Decimal(unit):
        return None
    return amount * Decimal(unit)


def _first(reported: Mapping[str, Any], *paths: str) -> int | None:
    """The first number of tokens that stands at one of `paths`."""
    return next((count for path in paths if (count := _count(_at(reported, path))) is not None), None)


def _at(reported: Any, path: str) -> Any:
    for name in path.split("."):
        reported = reported.get(name) if isinstance(reported, dict) else None
    return reported


def _count(value: Any) -> int | None:
    if isinstance(value, float) and math.isfinite(value):
        value = int(value)
    is_count = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST
    return value if is_count else None
