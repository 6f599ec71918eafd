"""The count of a chat completion. A count that is none is no reason to lose an answer."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ....session import Usage
from .base import Rules
from .costs import at

_MOST = 10**9
"""Tokens that one request can have; what is more is no count, and would not fit into a ledger."""
_SERVERS_OWN = 10_000
"""Tokens that a server may put before what it is sent, a system prompt of its own, say."""


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
    estimated = False
    if prompt is None and completion is not None and total and not rules.thinking_beside_output:
        # No request has no input: a total that leaves none counts the output alone.
        prompt = max(0, total - completion) or None
    if prompt is None:
        prompt, estimated = sent(), True
        if total is not None and total > (completion or 0):
            prompt = min(prompt, max(0, total - (received() if completion is None else completion)))
        else:
            total = None
    if completion is None and total is None:
        completion, estimated = received(), True
    read, written = _cached(reported)
    if prompt < read < 10 * sent() + _SERVERS_OWN:
        # As Anthropic counts: what was cached is not in the prompt.
        prompt, estimated, total = prompt + read + written, True, None
    read = min(read, prompt)
    written = min(written, prompt - read)
    reasoning = _first(
        reported,
        "completion_tokens_details.reasoning_tokens",
        "output_tokens_details.reasoning_tokens",
        "reasoning_tokens",
    )
    output, thinking = _output(prompt, completion, total, reasoning or 0, read + written, rules)
    return Usage(
        uncached_input_tokens=prompt - read - written,
        cache_read_input_tokens=read,
        cache_write_5m_input_tokens=written,
        output_tokens=output,
        reasoning_output_tokens=thinking,
        audio_input_tokens=min(_audio(reported, "prompt", "input"), prompt - read - written),
        audio_output_tokens=min(_audio(reported, "completion", "output"), output - thinking),
        estimated=estimated,
    )


def _output(
    prompt: int, completion: int | None, total: int | None, reasoning: int, cached: int, rules: Rules
) -> tuple[int, int]:
    """All output, and how much of it was thinking, which `completion` lacks where the total proves it, or
    the provider's rule says so."""
    is_told, completion = completion is not None, completion or 0
    if total is None:
        output = completion + (reasoning if rules.thinking_beside_output or reasoning > completion else 0)
        return output, min(reasoning, output)
    beside = max(0, total - prompt - completion)
    if cached and beside == cached:
        # A total that counts what was cached twice.
        beside = 0
    output = completion + beside
    return output, min(reasoning or (beside if is_told else 0), output)


def _cached(reported: Mapping[str, Any]) -> tuple[int, int]:
    """Tokens that were read from a cache, and written to one."""
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
    return read or 0, written or 0


def _audio(reported: Mapping[str, Any], *names: str) -> int:
    return _first(reported, *(f"{name}_tokens_details.audio_tokens" for name in names)) or 0


def _first(reported: Mapping[str, Any], *paths: str) -> int | None:
    """The first number of tokens that stands at one of `paths`."""
    return next((count for path in paths if (count := _count(at(reported, path))) is not None), None)


def _count(value: Any) -> int | None:
    if isinstance(value, str) and value.isdecimal() and len(value) < 12:
        value = int(value)
    if isinstance(value, float) and math.isfinite(value):
        value = int(value)
    is_count = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST
    return value if is_count else None
