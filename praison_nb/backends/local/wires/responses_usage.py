"""What a response says that it used."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

from ....money import read_usd
from ....session import Usage
from .base import Rules


def usage_of(usage: Any, rules: Rules) -> Usage | None:
    """The server's count in disjoint columns, None where it is none. `input_tokens` includes what was read
    from a cache and written to one, `output_tokens` the thinking.

    >>> counted = {"input_tokens": 9, "output_tokens": 4, "input_tokens_details": {"cached_tokens": 5}}
    >>> usage_of(counted, Rules()).uncached_input_tokens
    4
    """
    if not isinstance(usage, dict):
        return None
    total, output = _count(usage.get("input_tokens")), _count(usage.get("output_tokens"))
    if not total and not output:
        return None
    thought = _detail(usage, "output_tokens_details", "reasoning_tokens")
    if rules.thinking_beside_output and _count(usage.get("total_tokens")) > total + output:
        output += thought
    read = min(total, _detail(usage, "input_tokens_details", "cached_tokens"))
    written = min(total - read, _detail(usage, "input_tokens_details", "cache_write_tokens"))
    return Usage(
        uncached_input_tokens=total - read - written,
        cache_read_input_tokens=read,
        cache_write_5m_input_tokens=written,
        output_tokens=output,
        reasoning_output_tokens=min(output, thought),
    )


def cost_of(usage: Any, rules: Rules) -> Decimal | None:
    """What the server says that the request cost, in USD."""
    value = usage
    for name in rules.cost_field.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    cost = read_usd(value)
    return None if cost is None else cost * Decimal(rules.cost_unit)


def _detail(usage: dict[str, Any], name: str, key: str) -> int:
    details = usage.get(name)
    return _count(details.get(key)) if isinstance(details, dict) else 0


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return 0
    return max(0, int(value))
