"""Prices that genai-prices lacks, each with its provider's list. All were compared on 2026-11-27 with the
table of LiteLLM 1.110.2, which names the same lists. What becomes known in genai-prices counts before these.

>>> find("qwen-plus", "qwen", Usage(uncached_input_tokens=1000)).input
Decimal('0.4')
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any, NamedTuple

from ..session import Usage
from .user_prices import Price

DATE = "2026-11"


class _Gap(NamedTuple):
    """A price for models whose whole name fits, for requests of at most so many tokens of input."""

    models: str
    price: Price
    most_input: int = 10**9
    thinks: bool = True
    """Whether thinking costs what other output costs."""


def _price(input: str, output: str, **more: str) -> Price:
    known: dict[str, Any] = {name: Decimal(usd) for name, usd in more.items()}
    return Price(Decimal(input), Decimal(output), **known)


_DATED = r"(-\d{4}-\d\d-\d\d)?"
_GAPS: dict[str, tuple[_Gap, ...]] = {
    "openai": (
        # developers.openai.com/api/docs/pricing: sound, and models that were tuned.
        _Gap(
            f"gpt-4o-audio-preview{_DATED}",
            _price("2.5", "10", audio_input="40", audio_output="80"),
        ),
        _Gap(
            f"gpt-4o-mini-audio-preview{_DATED}",
            _price("0.15", "0.6", audio_input="10", audio_output="20"),
        ),
        _Gap(r"ft:gpt-4\.1-2025-04-14:.*", _price("3", "12", cache_read="0.75")),
        _Gap(r"ft:gpt-4\.1-mini-2025-04-14:.*", _price("0.8", "3.2", cache_read="0.2")),
        _Gap(r"ft:gpt-4\.1-nano-2025-04-14:.*", _price("0.2", "0.8", cache_read="0.05")),
    ),
    "qwen": (
        # alibabacloud.com/help/en/model-studio/models, outside of China. What is read from a cache costs a
        # fifth: alibabacloud.com/help/en/model-studio/context-cache of 2026-10-11, which LiteLLM has not.
        _Gap(f"qwen-plus(-latest)?{_DATED}", _price("0.4", "1.2", cache_read="0.08"), 256_000, False),
        _Gap(f"qwen-flash{_DATED}", _price("0.05", "0.4", cache_read="0.01"), 256_000),
        _Gap(f"qwen-turbo(-latest)?{_DATED}", _price("0.05", "0.2", cache_read="0.01"), thinks=False),
        _Gap("qwen-max", _price("1.6", "6.4", cache_read="0.32")),
    ),
    "fireworks": (
        # fireworks.ai/pricing: models of more than 16B parameters.
        _Gap(r"llama-v3p[13]-70b-instruct", _price("0.9", "0.9")),
    ),
}


def find(model: str, provider: str, usage: Usage) -> Price | None:
    """The price for such a request, None where none is known."""
    for gap in _GAPS.get(provider, ()):
        if re.fullmatch(gap.models, model):
            fits = usage.input_tokens <= gap.most_input
            return gap.price if fits and (gap.thinks or not usage.reasoning_output_tokens) else None
    return None
