"""What a session of the hosted test server has used, in the shapes that the API gives it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Tokens:
    """What one model request used, in tokens; `input` is the uncached part."""

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0

    def to_span(self) -> dict[str, int]:
        """The `model_usage` of a span, which does not tell the two kinds of cache writes apart."""
        return {
            "input_tokens": self.input,
            "output_tokens": self.output,
            "cache_read_input_tokens": self.cache_read,
            "cache_creation_input_tokens": self.cache_write_5m + self.cache_write_1h,
        }


@dataclass
class Spending:
    """The running total of a session."""

    requests: list[Tokens] = field(default_factory=list)
    cents: int | None = None
    """The list cost; None until it is known."""
    seconds: float = 0.0

    def add(self, tokens: Tokens, cents: int | None, seconds: float) -> None:
        self.requests.append(tokens)
        self.seconds += seconds
        if cents is not None:
            self.cents = (self.cents or 0) + cents

    def to_dict(self) -> dict[str, Any]:
        """The cumulative `usage`; before the first request nothing is known yet."""
        if not self.requests:
            return {}
        usage = {
            "input_tokens": sum(each.input for each in self.requests),
            "output_tokens": sum(each.output for each in self.requests),
            "cache_read_input_tokens": sum(each.cache_read for each in self.requests),
            "cache_creation": {
                "ephemeral_5m_input_tokens": sum(each.cache_write_5m for each in self.requests),
                "ephemeral_1h_input_tokens": sum(each.cache_write_1h for each in self.requests),
            },
            "active_seconds": self.seconds,
        }
        if self.cents is not None:
            usage["list_cost"] = {"amount": str(self.cents), "currency": "USD"}
        return usage
