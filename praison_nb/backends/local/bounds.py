"""How many tokens a request has and may get, as far as budgets have to know: an estimate and a bound of its
input, by the server's last count where there is one, and the limit of its output."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...errors import PraisonError, ProviderError
from ...events import RequestStarted
from ...session import Usage
from ...turn import estimate_tokens
from ..session import Session
from .providers import Server
from .wires import Wire

BYTES_PER_TOKEN = 2
"""At least so many, of any language and of code: what tokens cost at most is bounded by it."""
_REFUSED = re.compile(r"max_?(completion_|output_)?tokens|(output|completion) tokens", re.I)
_LEAST_THINKING = 1024
"""Tokens; Anthropic takes no less."""


@dataclass(eq=False, slots=True)
class RequestBounds:
    """Of the requests of one session to one server. `count` is its last count of input tokens, of a request
    of `size` bytes; `longest` the limit of output that it takes, where it has refused more."""

    server: Server
    wire: Wire
    count: int = 0
    size: int = 0
    longest: int | None = None

    def started(self, body: Mapping[str, Any], size: int) -> RequestStarted:
        """The event of a request of so many bytes that begins."""
        server = self.server
        more, asked = max(0, size - self.size), body.get(_field(server, self.wire))
        if not self.size:
            known = _added.get((server.base_url, server.model), 0)
        else:
            # A conversation may have become shorter.
            known = self.count if more else -(-self.count * size // self.size)
        return RequestStarted(
            input_tokens=known + estimate_tokens(more),
            max_input_tokens=known + more // BYTES_PER_TOKEN,
            max_output_tokens=asked if isinstance(asked, int) else self.longest,
            takes_limit=True,
            model=server.model,
            provider=server.payee,
            service_tier=str(body.get("service_tier") or ""),
        )

    def counted(self, size: int, usage: Usage | None) -> None:
        """The server has counted the request of so many bytes."""
        if usage is not None and not usage.estimated and usage.input_tokens > 0:
            self.count, self.size = usage.input_tokens, size
            added = max(0, self.count - self.size // BYTES_PER_TOKEN)
            _added[self.server.base_url, self.server.model] = added

    def is_too_long(self, problem: PraisonError | None, limit: int | None) -> bool:
        """Whether the server refused the request since it takes no `limit` of output that is so high; it gets
        a lower one next time."""
        if limit is None or not isinstance(problem, ProviderError) or problem.status_code not in (400, 422):
            return False
        said = str(problem).partition("said: ")[2]
        if not _REFUSED.search(said) or limit < 2:
            return False
        numbers = (int(number) for number in re.findall(r"\d+", said.replace(",", "")))
        self.longest = max((number for number in numbers if 0 < number < limit), default=limit // 2)
        return True


_added: dict[tuple[str, str], int] = {}
"""Tokens that a server put before what it was sent, by its address and model, when it was last asked."""


def bounds(session: Session, server: Server, wire: Wire) -> RequestBounds:
    """Those of the session's requests to the server; kept with the session."""
    kept: RequestBounds = session.requests.setdefault(
        ("bounds", server.base_url, server.model), RequestBounds(server, wire)
    )
    return kept


def with_limit(server: Server, wire: Wire, body: Mapping[str, Any], limit: int | None) -> Mapping[str, Any]:
    """`body` with a lower limit of output in tokens; as it is with None."""
    if limit is None:
        return body
    made = {**body, _field(server, wire): limit}
    thinking = body.get("thinking")
    if isinstance(thinking, Mapping) and int(thinking.get("budget_tokens") or 0) >= limit:
        # Thinking is a part of the output.
        half = limit // 2
        made["thinking"] = (
            {**thinking, "budget_tokens": half} if half >= _LEAST_THINKING else {"type": "disabled"}
        )
    return made


def _field(server: Server, wire: Wire) -> str:
    names = {"responses": "max_output_tokens", "messages": "max_tokens"}
    return names.get(wire.name, server.rules.max_tokens)
