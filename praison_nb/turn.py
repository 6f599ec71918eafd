"""A Turn: one prompt and all that happened until the agent stopped."""

from __future__ import annotations

import time
from collections.abc import Generator
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal

from .answer_type import Answer
from .content import OutputFile
from .errors import ConfigError, PraisonError
from .events import (
    RequestStarted,
    SessionUsage,
    Spent,
    new_id,
)
from .session import NO_USAGE, Status, Usage

if TYPE_CHECKING:
    import pandas

BYTES_PER_TOKEN = 4
"""For estimates only; the server's own count replaces it. Of UTF-8, in which a letter of English is one byte,
one of Russian two and one of Chinese three, as models need about so many more tokens for them."""


def estimate_tokens(text: str | int) -> int:
    """Tokens that a text, or one of so many bytes, may be, rounded up.

    >>> estimate_tokens("What is this?"), estimate_tokens("这是什么？"), estimate_tokens(9)
    (4, 4, 3)
    """
    size = byte_length(text) if isinstance(text, str) else text
    return -(-size // BYTES_PER_TOKEN)


def byte_length(text: str) -> int:
    """Bytes of a text in UTF-8.

    >>> byte_length("né")
    3
    """
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


@dataclass(frozen=True, slots=True)
class Message:
    """One message of the answer."""

    id: str
    parts: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The message so far, Markdown."""
        return "".join(self.parts)

    def add(self, text: str) -> Message:
        """This message with more text. Parts merge as in a binary counter, so that a long answer in
        small pieces costs n log n and not n²."""
        parts = self.parts
        while parts and len(parts[-1]) <= len(text):
            text, parts = parts[-1] + text, parts[:-1]
        return Message(self.id, (*parts, text))


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call of a tool. `id` is the provider's, `arguments` is JSON text. `runs` says where: here
    ("function"), at the provider ("builtin"), or on an MCP server ("mcp"). `started` and `ended` are seconds
    since 1970. `result` is what the model gets, an error's text where it `is_error`. `approval` is what
    became of the question to the user, "" where none was asked."""

    id: str
    name: str
    arguments: str
    runs: Literal["function", "builtin", "mcp"]
    started: float
    ended: float | None = None
    result: str = ""
    is_error: bool = False
    approval: Literal["", "asked", "allowed", "denied"] = ""

    @property
    def seconds(self) -> float | None:
        """How long it took, or None while it runs."""
        return None if self.ended is None else self.ended - self.started


@dataclass(frozen=True, slots=True)
class Thread:
    """A sub-agent's thread in this turn: its id at the provider, the sub-agent's name, the status in words,
    and what it used, which is in the turn's own count too. `priced` is USD for those of its requests that
    have a price, `unpriced_requests` counts the others."""

    id: str
    agent: str = ""
    status: str = ""
    usage: Usage = NO_USAGE
    priced: Decimal = Decimal(0)
    unpriced_requests: int = 0

    @property
    def cost(self) -> Decimal | None:
        """USD, or None when a part has no known price."""
        return None if self.unpriced_requests else self.priced


# Without slots, so that the fold can copy it fast.
@dataclass(frozen=True, kw_only=True)
class Turn:
    """One prompt and all that happened until the agent stopped. Immutable: `praison_nb.fold.fold` makes the
    next one of each event.

    Times are seconds since 1970, None until it is so far; money is in USD.

    - `id`, `prompt`; `session` is the conversation's name here, `session_id` the backend's ("" until there is
      one), `session_url` where its provider shows it; `backend` and `model` are names.
    - `started`, `first_text` and `ended` are times.
    - `items`: the answer's messages and the tool calls, in their order. `notices`: lines that the user should
      read. `activity`: what the agent does now, in a few words. `files`: what a hosted agent wrote.
      `answer`: the text as a value of the type that was asked for; `value` and `frame` are of it.
    - `stop_reason` is "" while the turn runs, then "end_turn", "max_turns", "max_tokens", "interrupted",
      "refusal", "budget_reached", "error", or a provider's own word. `detail` is one line about it, `error`
      the error.
    - `requests`: the ids of the finished requests. `counted`: the tokens that they used. `priced`: what those
      of them cost that have a price, of which `estimated_cost` is for estimated tokens and `fees` for what is
      no token. `unpriced_requests`: how many have none. `is_lower_bound`: it may have cost more.
    - `threads`: the sub-agents of a hosted session that were at work, one entry a thread.
      `cost_sources`: who said what they cost, each once ("provider", "user", "table", "local", "unpriced").
    - `session_usage`: the provider's last count of a hosted session. `spent`: what the
      session and each scope with a budget spent so far, one for each scope.

    >>> from decimal import Decimal
    >>> from praison_nb.turn import Message, Turn
    >>> turn = Turn(items=(Message("", ("Hello",)),), started=1.0, ended=3.5, priced=Decimal("0.03"))
    >>> turn.text, turn.status.value, turn.seconds, turn.cost
    ('Hello', 'idle', 2.5, Decimal('0.03'))
    """

    id: str = field(default_factory=new_id)
    prompt: str = ""
    session: str = "main"
    session_id: str = ""
    session_url: str = ""
    backend: str = ""
    model: str = ""
    started: float = field(default_factory=time.time)
    first_text: float | None = None
    ended: float | None = None
    items: tuple[Message | ToolCall, ...] = ()
    notices: tuple[str, ...] = ()
    files: tuple[OutputFile, ...] = ()
    answer: Answer | None = None
    activity: str = ""
    stop_reason: str = ""
    detail: str = ""
    error: PraisonError | None = None
    counted: Usage = NO_USAGE
    requests: tuple[str, ...] = ()
    priced: Decimal = Decimal(0)
    unpriced_requests: int = 0
    estimated_cost: Decimal = Decimal(0)
    fees: Decimal = Decimal(0)
    is_lower_bound: bool = False
    threads: tuple[Thread, ...] = ()
    cost_sources: tuple[str, ...] = ()
    session_usage: SessionUsage | None = None
    spent: tuple[Spent, ...] = ()
    # The request under way, and the bytes that came of it.
    _open_request: RequestStarted | None = field(default=None, metadata={"json": "open_request"})
    _open_bytes: int = field(default=0, metadata={"json": "open_characters"})

    @property
    def text(self) -> str:
        """The answer so far, Markdown. Several messages are paragraphs."""
        return "\n\n".join(m.text for m in self.items if isinstance(m, Message) and any(m.parts))

    @property
    def value(self) -> Any:
        """The answer as a value of the type that was asked for; None without one."""
        return self.answer and self.answer.value

    @property
    def frame(self) -> pandas.DataFrame:
        """The value as a table: a list's values are rows, their fields columns. Raises ConfigError where no
        type was asked for, or no answer came of it."""
        if self.answer is None:
            raise ConfigError("The turn has no typed answer: ask for one with output=, or --as in a cell.")
        return self.answer.frame

    @property
    def tools(self) -> tuple[ToolCall, ...]:
        """The tool calls, in their order."""
        return tuple(item for item in self.items if isinstance(item, ToolCall))

    @property
    def waiting(self) -> tuple[ToolCall, ...]:
        """The tool calls that wait for the user's yes or no."""
        return tuple(call for call in self.tools if call.approval == "asked" and call.ended is None)

    @property
    def status(self) -> Status:
        """running, idle or error."""
        if self.error:
            return Status.ERROR
        return Status.RUNNING if self.ended is None else Status.IDLE

    @property
    def pending(self) -> Usage:
        """An estimate for the request that is under way or was cut off; nothing once the server counted."""
        if self._open_request is None:
            return NO_USAGE
        return Usage(
            uncached_input_tokens=self._open_request.input_tokens,
            output_tokens=estimate_tokens(self._open_bytes),
            estimated=True,
        )

    @property
    def usage(self) -> Usage:
        """Tokens of this turn; `estimated` where a part was not counted by the server."""
        used = self.counted if self._open_request is None else self.counted + self.pending
        one_hour = self.session_usage.cache_write_1h_tokens if self.session_usage else 0
        if not one_hour:
            return used
        return replace(
            used,
            cache_write_5m_input_tokens=used.cache_write_5m_input_tokens - one_hour,
            cache_write_1h_input_tokens=used.cache_write_1h_input_tokens + one_hour,
        )

    @property
    def cost(self) -> Decimal | None:
        """USD, or None when a request has no known price. While a turn runs: of its finished requests."""
        is_whole = not self.unpriced_requests and not self.is_cut_off
        is_provider_cost = self.session_usage is not None and self.session_usage.is_provider_cost
        return self.known_cost if is_whole or is_provider_cost else None

    @property
    def is_cut_off(self) -> bool:
        """Whether the turn ended while a request was under way, whose tokens are an estimate for good."""
        return self._open_request is not None and self.ended is not None

    @property
    def known_cost(self) -> Decimal:
        """USD for the parts whose price is known, the time included that a hosted session ran."""
        return self.priced + (self.session_usage.extra_cost if self.session_usage else 0)

    @property
    def seconds(self) -> float:
        """How long it took, or takes so far."""
        return max(0.0, (time.time() if self.ended is None else self.ended) - self.started)

    @property
    def duration(self) -> float:
        """`seconds`, by the name that ledgers use."""
        return self.seconds

    def __await__(self) -> Generator[Any, None, Turn]:
        """The turn itself: whoever awaits a Run may have what it ended as."""
        return self
        yield

    def __repr__(self) -> str:
        from .render.text import turn_text

        return turn_text(self)

    def _repr_html_(self) -> str:
        from .render.html import turn_html

        return turn_html(self)

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(repr(self))
