"""What a server of Anthropic's Messages counts and bills, while the answer comes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ....session import Usage
from ....turn import estimate_tokens
from .base import Rules
from .costs import OTHER, billed_calls, cost_of
from .reply import Reply

_5M, _1H = "ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens"
_READ, _WRITTEN = "cache_read_input_tokens", "cache_creation_input_tokens"
_COUNTS = ("input_tokens", _READ, _WRITTEN, _5M, _1H, "output_tokens", "thinking_tokens")
_MOST_TOKENS = 10**9
"""What is more is no count."""
_RULES = Rules()


class CountedReply(Reply):
    """A Reply whose usage is made when it is asked for, and not anew with each word."""

    def __init__(self) -> None:
        super().__init__()
        self._counts: dict[str, int] = {}
        """The server's last, by its names for them."""
        self._counted = 0
        """Bytes of what came before the server's last count."""
        self._is_counted = False
        """Whether the last count may be the whole answer's."""

    def count(self, usage: Mapping[str, Any], *, is_last: bool = True) -> None:
        """What the server counted so far: its numbers are cumulative. Of those with which an answer begins
        none `is_last`."""
        for counts in (usage, usage.get("cache_creation"), usage.get("output_tokens_details")):
            if isinstance(counts, dict):
                self._counts |= {n: count for n in _COUNTS if (count := _tokens(counts.get(n))) is not None}
        if _tokens(usage.get("output_tokens")) is not None:
            self._counted = self.received
        cost = cost_of(usage, _RULES)
        self.cost = self.cost if cost is None else cost
        self.billed_calls |= billed_calls(usage)
        if usage.get("inference_geo") == "us":
            # A tenth more, of some models.
            self.billed_calls[OTHER] = 1
        # Both have prices of their own.
        tier = "fast" if usage.get("speed") == "fast" else text_in(usage.get("service_tier"))
        self.service_tier = self.service_tier if tier in ("", "standard") else tier
        self._is_counted |= is_last

    @property
    def usage(self) -> Usage | None:
        """The server's count, and an estimate of what came since."""
        counts = self._counts
        if "input_tokens" not in counts or not any(counts.values()):
            return None
        an_hour = counts.get(_1H, 0)
        written = counts.get(_WRITTEN, an_hour + counts.get(_5M, 0))
        an_hour = min(an_hour, written)
        since = estimate_tokens(self.received - self._counted)
        output = counts.get("output_tokens", 0) + since
        return Usage(
            uncached_input_tokens=counts["input_tokens"],
            cache_read_input_tokens=counts.get(_READ, 0),
            cache_write_5m_input_tokens=written - an_hour,
            cache_write_1h_input_tokens=an_hour,
            output_tokens=output,
            reasoning_output_tokens=min(output, counts.get("thinking_tokens", 0)),
            estimated=not (self.stop_reason and self._is_counted) or since > 0,
        )

    @usage.setter
    def usage(self, usage: Usage | None) -> None: ...


def _tokens(value: Any) -> int | None:
    """The count that `value` is, None where it is none."""
    is_count = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _MOST_TOKENS
    return value if is_count else None


def text_in(value: Any) -> str:
    """The text that `value` is or, in parts, has."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        return text_in(value.get("text"))
    return "".join(map(text_in, value)) if isinstance(value, list) else ""
