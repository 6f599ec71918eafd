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
    speed: str = ""
    geo: str = ""
    """Where it ran: costs money, and no span tells it."""
    searches: int = 0

    def to_span(self) -> dict[str, Any]:
        """The `model_usage` of a span, which does not tell the two kinds of cache writes apart."""
        return {
            "input_tokens": self.input,
            "output_tokens": self.output,
            "cache_read_input_tokens": self.cache_read,
            "cache_creation_input_tokens": self.cache_write_5m + self.cache_write_1h,
            **({"speed": self.speed} if self.speed else {}),
        }


@dataclass
class Spending:
    """The running total of a session."""

    requests: list[Tokens] = field(default_factory=list)
    cents: int | None = None
    """The list cost; None until it is known."""
    seconds: float = 0.0
    lag: int = 0
    """So many looks at the usage, after each request, still find the list cost from before it."""
    _looks: int = 0
    _told: int | None = None

    def add(self, tokens: Tokens, cents: int | None, seconds: float) -> None:
        self.requests.append(tokens)
        self.seconds += seconds
        if cents is not None:
            if not self._looks:
                self._told = self.cents
            self.cents, self._looks = (self.cents or 0) + cents, self.lag

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
        if searches := sum(each.searches for each in self.requests):
            usage["server_tool_use"] = {"web_search_requests": searches, "web_fetch_requests": 0}
        told = self._told if self._looks else self.cents
        self._looks = max(0, self._looks - 1)
        if told is not None:
            usage["list_cost"] = {"amount": str(told), "currency": "USD"}
        return usage
