"""A Turn: one prompt and all that happened until the agent stopped, folded from its events.

>>> from praison_nb.events import TextDelta, TurnFinished
>>> turn = Turn(prompt="Hi")
>>> for event in [TextDelta(text="Hel"), TextDelta(text="lo"), TurnFinished()]:
...     turn = fold(turn, event)
>>> turn.text, turn.status.value, turn.stop_reason
('Hello', 'idle', 'end_turn')
"""

from __future__ import annotations

import time
from collections.abc import Generator
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, Literal, assert_never

from .errors import PraisonError
from .events import (
    Activity,
    ApprovalAnswered,
    ApprovalAsked,
    Event,
    Notice,
    RequestFinished,
    RequestStarted,
    SessionAttached,
    SessionUsage,
    Spent,
    TextDelta,
    TextFinal,
    Thinking,
    ToolFinished,
    ToolStarted,
    TurnFailed,
    TurnFinished,
    new_id,
)
from .session import Status, Usage

CHARACTERS_PER_TOKEN = 4
"""For estimates only: about right for English; the server's own count replaces it."""


def estimate_tokens(characters: int) -> int:
    """Tokens that so many characters may be, rounded up.

    >>> estimate_tokens(9)
    3
    """
    return -(-characters // CHARACTERS_PER_TOKEN)


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
    """One call of a tool. `arguments` is JSON text; times are seconds since 1970."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One prompt and all that happened. Immutable: `fold` makes the next one.

    `session` is the conversation's name here, `session_id` the backend's. `started`, `first_text` and
    `ended` are seconds since 1970. `stop_reason` is "" while the turn runs.
    """

    id: str = field(default_factory=new_id)
    prompt: str = ""
    session: str = "main"
    session_id: str = ""
    backend: str = ""
    model: str = ""
    started: float = field(default_factory=time.time)
    first_text: float | None = None
    ended: float | None = None
    items: tuple[Message | ToolCall, ...] = ()
    notices: tuple[str, ...] = ()
    activity: str = ""
    stop_reason: str = ""
    detail: str = ""
    error: PraisonError | None = None
    counted: Usage = field(default_factory=Usage)
    """What finished requests used."""
    requests: tuple[str, ...] = ()
    """Ids of the finished requests: one that is told twice counts once."""
    open_request: RequestStarted | None = None
    open_characters: int = 0
    priced: Decimal = Decimal(0)
    unpriced_requests: int = 0
    session_usage: SessionUsage | None = None
    spent: tuple[Spent, ...] = ()
    """What the session and each scope with a budget spent so far; one for each scope."""

    @property
    def text(self) -> str:
        """The answer so far, Markdown. Several messages are paragraphs."""
        return "\n\n".join(m.text for m in self.items if isinstance(m, Message) and any(m.parts))

    @property
    def tools(self) -> tuple[ToolCall, ...]:
        """The tool calls, in their order."""
        return tuple(item for item in self.items if isinstance(item, ToolCall))

    @property
    def waiting(self) -> tuple[ToolCall, ...]:
        """The tool calls that wait for the user's yes or no."""
        asked = (call for call in self.tools if call.approval == "asked" and call.ended is None)
        return () if self.ended else tuple(asked)

    @property
    def status(self) -> Status:
        """running, idle or error."""
        if self.error:
            return Status.ERROR
        return Status.RUNNING if self.ended is None else Status.IDLE

    @property
    def pending(self) -> Usage:
        """An estimate for the request that is under way or was cut off; nothing once the server counted."""
        if self.open_request is None:
            return Usage()
        return Usage(
            uncached_input_tokens=self.open_request.input_tokens,
            output_tokens=estimate_tokens(self.open_characters),
            estimated=True,
        )

    @property
    def usage(self) -> Usage:
        """Tokens of this turn; `estimated` where a part was not counted by the server."""
        used = self.counted + self.pending
        longer = self.session_usage.longer_writes if self.session_usage else 0
        if not longer:
            return used
        return replace(
            used,
            cache_write_5m_input_tokens=used.cache_write_5m_input_tokens - longer,
            cache_write_1h_input_tokens=used.cache_write_1h_input_tokens + longer,
        )

    @property
    def cost(self) -> Decimal | None:
        """USD, or None when a request has no known price. While a turn runs: of its finished requests."""
        cut_off = self.open_request is not None and self.ended is not None
        told = self.session_usage is not None and self.session_usage.is_provider_cost
        return None if cut_off or (self.unpriced_requests and not told) else self.known_cost

    @property
    def known_cost(self) -> Decimal:
        """USD for the parts whose price is known, the time included that a hosted session ran."""
        return self.priced + (self.session_usage.beyond if self.session_usage else 0)

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


def fold(turn: Turn, event: Event) -> Turn:
    """`turn` after `event`. Pure. Events after the end still settle usage, and change nothing else."""
    match event:
        case TextDelta():
            return _add_text(turn, event)
        case TextFinal():
            return _final_text(turn, event)
        case RequestStarted():
            return replace(turn, open_request=event, open_characters=0, activity="")
        case RequestFinished():
            return _count(turn, event)
        case ToolStarted():
            call = ToolCall(event.call_id, event.name, event.arguments, event.runs, event.time)
            items = tuple(i for i in turn.items if not (isinstance(i, ToolCall) and i.id == call.id))
            more = len(event.name) + len(event.arguments)
            return replace(turn, items=(*items, call), open_characters=turn.open_characters + more)
        case ToolFinished():
            ended = {"ended": event.time, "result": event.result, "is_error": event.is_error}
            return _update_call(turn, event.call_id, **ended)
        case ApprovalAsked():
            return _update_call(turn, event.call_id, approval="asked")
        case ApprovalAnswered():
            return _update_call(turn, event.call_id, approval="allowed" if event.allowed else "denied")
        case Thinking():
            return replace(turn, activity="thinking", open_characters=turn.open_characters + len(event.text))
        case Activity():
            return replace(turn, activity=event.text)
        case SessionAttached():
            return replace(turn, session_id=event.session_id, model=event.model or turn.model)
        case SessionUsage():
            return replace(turn, session_usage=event)
        case Spent():
            others = tuple(told for told in turn.spent if told.per != event.per)
            return replace(turn, spent=(*others, event))
        case Notice():
            return replace(turn, notices=(*turn.notices, event.text))
        case TurnFinished():
            if turn.ended is not None:
                return turn
            reason, detail = event.stop_reason, event.detail
            return replace(turn, ended=event.time, stop_reason=reason, detail=detail, activity="")
        case TurnFailed():
            if turn.ended is not None:
                return turn
            return replace(turn, ended=event.time, stop_reason="error", error=event.error, activity="")
        case _:
            assert_never(event)


def _add_text(turn: Turn, event: TextDelta) -> Turn:
    last = turn.items[-1] if turn.items else None
    if isinstance(last, Message) and last.id == event.message_id:
        items = (*turn.items[:-1], last.add(event.text))
    else:
        items = _put_message(turn.items, event.message_id, event.text, keep=True)
    return replace(
        turn,
        items=items,
        first_text=turn.first_text or event.time,
        open_characters=turn.open_characters + len(event.text),
        activity="",
    )


def _final_text(turn: Turn, event: TextFinal) -> Turn:
    before = sum(len(m.text) for m in turn.items if isinstance(m, Message) and m.id == event.message_id)
    return replace(
        turn,
        items=_put_message(turn.items, event.message_id, event.text, keep=False),
        first_text=turn.first_text or event.time,
        open_characters=turn.open_characters + len(event.text) - before,
        activity="",
    )


def _put_message(
    items: tuple[Message | ToolCall, ...], message_id: str, text: str, *, keep: bool
) -> tuple[Message | ToolCall, ...]:
    """`items` with the text added to (keep) or put in place of the message's; a new message goes last."""
    for index, item in enumerate(items):
        if isinstance(item, Message) and item.id == message_id and message_id:
            message = item.add(text) if keep else Message(message_id, (text,))
            return (*items[:index], message, *items[index + 1 :])
    return (*items, Message(message_id, (text,)))


def _update_call(turn: Turn, call_id: str, **changes: Any) -> Turn:
    return replace(
        turn,
        items=tuple(
            replace(i, **changes) if isinstance(i, ToolCall) and i.id == call_id else i for i in turn.items
        ),
    )


def _count(turn: Turn, event: RequestFinished) -> Turn:
    if event.id in turn.requests:
        return turn
    return replace(
        turn,
        counted=turn.counted + (turn.pending if event.usage is None else event.usage),
        requests=(*turn.requests, event.id),
        open_request=None,
        open_characters=0,
        priced=turn.priced + (event.cost or 0),
        unpriced_requests=turn.unpriced_requests + (event.cost is None),
        model=event.model or turn.model,
    )
