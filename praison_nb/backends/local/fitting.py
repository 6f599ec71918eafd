"""How much of a conversation goes into the requests to one server: by its limit, as far as that is known, and
its own last count."""

from __future__ import annotations

import asyncio
import functools
import re
from dataclasses import dataclass, field, replace

from ...errors import ContextTooLongError, PraisonError, RequestRejectedError
from ...history import Opaque
from ...metering import price_table
from ...session import Usage
from ..session import Session
from .context import Cut, characters, left_out, next_cut, sent, still_valid
from .providers import Server
from .wires import ModelRequest

TARGET = 0.6
"""Of the tokens that there is room for, so many are left when it has become too little: often there is no
cut, and then a deep one."""
REFITS = 3
"""A request that is too long is made again at most so often, each time smaller."""
_ANSWER = 4096
"""Tokens that are kept free for the answer, where nobody says how long it may be; a quarter at most."""
_FITS_ALL = 2000
"""Tokens that every model takes: below that nobody has to look for a limit."""
_USUAL_RATE = 0.25
_TELLS_RATE = 2000
"""Characters of a request from which its count tells how many tokens they make: others are mostly what the
server adds."""
_LOWEST_RATE, _HIGHEST_RATE = 0.05, 4.0
_MAX_TOKENS = ("max_tokens", "max_completion_tokens", "max_output_tokens")


@dataclass(eq=False, slots=True)
class Fitting:
    """Makes requests of a session fit one server. `cut` is that of the last request which the server took,
    `rate` tokens per character by its last count, and `limit` the tokens that it said it takes."""

    server: Server
    cut: Cut = field(default_factory=Cut)
    rate: float = _USUAL_RATE
    limit: float | None = None
    all_turns: bool = False
    """Whether every turn is to be there, be it shortened."""
    unreadable: int = 0
    """Opaque items before this place in the history are not sent: the server refused some of them."""
    _next: Cut = field(default_factory=Cut)
    _refits: int = 0

    async def fit(self, whole: ModelRequest) -> ModelRequest:
        """The request as it fits."""
        self._refits = 0
        if self.unreadable > len(whole.history):
            # Another conversation.
            self.unreadable = 0
        self._next = still_valid(whole.history, self.cut)
        asked = self._with_cut(whole)
        if self._tokens(asked) <= _FITS_ALL:
            return asked
        limit = self.limit or self.server.context or await asyncio.to_thread(_context_window, self.server)
        return asked if limit is None else self._shrunk(whole, asked, limit)

    def refit(
        self, whole: ModelRequest, asked: ModelRequest, problem: PraisonError | None
    ) -> ModelRequest | None:
        """A smaller request in place of `asked`, which the server refused as too long; None where that is not
        what the `problem` is, or nothing can be left out."""
        if not isinstance(problem, ContextTooLongError) or self._refits >= REFITS:
            return None
        self._refits += 1
        size = request_characters(asked)
        limit, count = tokens_in(str(problem))
        if count is not None:
            self.rate = _bounded(count / size)
        elif limit is not None and self._tokens(asked) <= limit:
            self.rate = _bounded(1.1 * limit / size)
        self.limit = limit or 0.8 * self._tokens(asked)
        is_certain = limit is not None and count is not None
        made = self._shrunk(whole, asked, self.limit, is_certain=is_certain)
        return made if request_characters(made) < size else None

    def without_opaque(
        self, whole: ModelRequest, asked: ModelRequest, problem: PraisonError | None
    ) -> ModelRequest | None:
        """`asked` without what only the server can read, where it refused to: what it encrypted or signed for
        another organisation, or before its keys or its model changed. None where that is not the `problem`.
        Once refused, a conversation would be so for ever."""
        is_refused = isinstance(problem, RequestRejectedError) and _UNREADABLE.search(str(problem))
        if not is_refused or not any(isinstance(item, Opaque) for item in asked.history):
            return None
        self.unreadable = len(whole.history)
        return self._with_cut(whole)

    def accepted(self, whole: ModelRequest, asked: ModelRequest, usage: Usage | None) -> str:
        """The server took it; a line for the user where the cut is a new one."""
        size = request_characters(asked)
        if usage is not None and not usage.estimated and usage.input_tokens > 0 and size >= _TELLS_RATE:
            self.rate = _bounded(usage.input_tokens / size)
        before, self.cut = self.cut, self._next
        turns, results = left_out(whole.history, self.cut)
        if self.cut == before or not (turns or results):
            return ""
        parts = [
            *(["the first turn is left out"] if turns == 1 else []),
            *([f"the first {turns} turns are left out"] if turns > 1 else []),
            *(["a long tool result is shortened"] if results == 1 else []),
            *([f"{results} long tool results are shortened"] if results > 1 else []),
        ]
        return (
            f"The conversation no longer fits the context of {self.server.model}: {' and '.join(parts)} from "
            "now on. All of it is kept, and `%agent compact` summarises it."
        )

    def _shrunk(
        self, whole: ModelRequest, asked: ModelRequest, limit: float, *, is_certain: bool = True
    ) -> ModelRequest:
        """`asked`, or less of `whole` where it does not fit; `asked` too where for certain nothing helps."""
        given = [value for name in _MAX_TOKENS if isinstance(value := whole.options.get(name), int)]
        room = limit - min(given[0] if given else _ANSWER, limit / 4)
        if self._tokens(asked) <= room:
            return asked
        before, other = self._next, request_characters(replace(whole, history=()))
        target = room if self.all_turns else TARGET * room
        start = still_valid(whole.history, Cut()) if self.all_turns else before
        self._next = next_cut(
            whole.history,
            start,
            target=target / self.rate - other,
            room=room / self.rate - other,
            all_turns=self.all_turns,
        )
        made = self._with_cut(whole)
        if is_certain and self._tokens(made) > limit:
            self._next = before
            return asked
        return made

    def _with_cut(self, whole: ModelRequest) -> ModelRequest:
        items = sent(whole.history, self._next)
        count = max(0, self.unreadable - self._next.start)
        readable = (item for item in items[:count] if not isinstance(item, Opaque))
        return replace(whole, history=[*readable, *items[count:]])

    def _tokens(self, asked: ModelRequest) -> float:
        return request_characters(asked) * self.rate


_UNREADABLE = re.compile(r"encrypt|decrypt|signature|thinking.{0,20}block|'reasoning'", re.I)


def fitting(session: Session, server: Server) -> Fitting:
    """How the session's requests to the server fit; kept with the session, for each server and model."""
    kept: dict[tuple[str, str], Fitting] = session.requests
    made = kept.setdefault((server.base_url, server.model), Fitting(server))
    made.server = server
    return made


def request_characters(asked: ModelRequest) -> int:
    """About how much the model reads."""
    count = len(asked.system) + characters(asked.history, asked.origin)
    for tool in asked.tools:
        count += len(tool.name) + len(tool.description) + len(str(tool.schema))
    return count


def _bounded(rate: float) -> float:
    # Not every server counts right.
    return min(max(rate, _LOWEST_RATE), _HIGHEST_RATE)


@functools.lru_cache(maxsize=200)
def _window(model: str, provider: str) -> int | None:
    try:
        window = price_table.snapshot().find_provider_model(model, None, provider, None)[1].context_window
    except Exception:
        # A table that does not know it, or that cannot be read.
        return None
    return window if isinstance(window, int) and window > 0 else None


def _context_window(server: Server) -> int | None:
    """The tokens that the price table has for the server's model, None where it knows none."""
    return _window(server.model, server.prices) if server.prices else None


_NUMBER = r"(\d[\d,_]*\d)"
_LIMITS = (
    rf"(?:<=?|>|≤)\s*{_NUMBER}",
    rf"\b(?:maximum|max|limit|allowed|available|window|up to|at most|less than|fewer than|exceed|n_ctx)\b"
    rf"[^\d.;]{{0,60}}{_NUMBER}",
    rf"{_NUMBER}[- ](?:tokens? )?(?:maximum|max|limit|context)",
    rf"\[\d+, ?{_NUMBER}\]",
)
_COUNTS = (rf"{_NUMBER} (?:tokens )?in (?:the|your) (?:messages|prompt|input)",)


def tokens_in(text: str) -> tuple[int | None, int | None]:
    """The tokens that a server takes and those that it got, by its own words; None where they do not say.

    >>> tokens_in("said: prompt is too long: 210000 tokens > 200000 maximum")
    (200000, 210000)
    >>> tokens_in("said: Your input exceeds the context window of this model.")
    (None, None)
    """
    text = text.partition("said: ")[2] or text
    limit = next((_number(match[1]) for each in _LIMITS if (match := re.search(each, text, re.I))), None)
    if limit is None:
        return None, None
    said = next((_number(match[1]) for each in _COUNTS if (match := re.search(each, text, re.I))), None)
    if said is not None and said > limit / 2:
        return limit, said
    numbers = (_number(match[1]) for match in re.finditer(rf"(?<![\w.-]){_NUMBER}", text))
    return limit, max((number for number in numbers if number > limit), default=None)


def _number(text: str) -> int:
    return int(re.sub(r"\D", "", text))
