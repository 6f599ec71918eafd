"""What a provider tells of money: its own cost of a request, and what it did beside tokens and bills for."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from ....money import MAX_USD, read_usd
from .base import Rules

LITELLM_HEADER = "x-litellm-response-cost"

_ANYWHERE = (
    ("cost", "1"),
    ("cost.total_cost", "1"),
    ("cost_in_usd_ticks", "1E-10"),
    ("estimated_cost", "1"),
)
"""Where servers of all kinds have their cost, and USD that 1 stands for there: OpenRouter and LiteLLM;
Perplexity; xAI; DeepInfra."""

SEARCHES, FILE_SEARCHES, CODE = "web_searches", "storage_searches", "code_executions"
"""Names of the price table for what is billed by the call."""
OTHER = "other"
"""What is billed in a way that nothing here can price."""

_COUNTED: Mapping[str, tuple[str, ...]] = {
    SEARCHES: (
        "server_tool_use.web_search_requests",
        "server_tool_use_details.web_search_requests",
        "num_search_queries",
        "server_side_tool_usage_details.web_search_calls",
    ),
    "social_searches": ("server_side_tool_usage_details.x_search_calls",),
    FILE_SEARCHES: ("server_side_tool_usage_details.file_search_calls",),
    CODE: (
        "server_tool_use.code_execution_requests",
        "server_side_tool_usage_details.code_interpreter_calls",
    ),
    OTHER: ("num_sources_used",),
}
"""Where usages count it."""


def cost_of(reported: Mapping[str, Any], rules: Rules) -> Decimal | None:
    """What the provider says that the request cost, in USD; with a key of one's own at OpenRouter the
    provider behind it is paid too. Other currencies are none."""
    if not _is_usd(reported) or not _is_usd(reported.get("cost")):
        return None
    fields = ((rules.cost_field, rules.cost_unit), *_ANYWHERE)
    costs = (usd(at(reported, path), unit) for path, unit in fields if path)
    cost = next((cost for cost in costs if cost is not None), None)
    if cost is not None and reported.get("is_byok") is True:
        behind = usd(at(reported, "cost_details.upstream_inference_cost"))
        return None if behind is None else cost + behind
    return cost


def cost_in_headers(headers: Mapping[str, str]) -> Decimal | None:
    """LiteLLM's cost. It writes headers before a stream has cost anything: 0 says nothing."""
    return usd(headers.get(LITELLM_HEADER, "")) or None


def fees_in(reported: Mapping[str, Any]) -> Decimal | None:
    """The part of the provider's cost that is not for tokens, None where it does not tell it apart."""
    return usd(at(reported, "cost.request_cost"))


def billed_calls(reported: Mapping[str, Any]) -> dict[str, int]:
    """How often the provider did what it bills by the call, by the price table's names."""
    found = {}
    for name, paths in _COUNTED.items():
        counts = (at(reported, path) for path in paths)
        count = next((each for each in counts if type(each) is int and 0 < each < 10**6), 0)
        if count:
            found[name] = count
    return found


def usd(value: Any, unit: str = "1") -> Decimal | None:
    """`value` times `unit`, None where it is no cost that anything can have."""
    if (isinstance(value, str) and len(value) > 40) or (isinstance(value, int) and abs(value) > 10**40):
        return None
    amount = read_usd(value)
    if amount is None or amount > MAX_USD / Decimal(unit):
        return None
    return amount * Decimal(unit)


def at(reported: Any, path: str) -> Any:
    """What stands at a path of names with dots."""
    for name in path.split("."):
        reported = reported.get(name) if isinstance(reported, Mapping) else None
    return reported


def _is_usd(value: Any) -> bool:
    currency = value.get("currency") if isinstance(value, Mapping) else None
    return currency is None or (isinstance(currency, str) and currency.upper() in ("USD", "US$", "$", ""))
