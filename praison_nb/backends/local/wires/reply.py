"""What came of one reply so far, whatever the wire: readers put it together with this."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from ....events import Event, TextDelta, Thinking, new_id
from ....history import Call, Item, Opaque, Text
from ....session import Usage
from ....text import split_surrogate
from ....tools.mending import object_text
from ....turn import byte_length


@dataclass(eq=False)
class CallParts:
    """A tool call as it comes together; its arguments are pieces, so that 20,000 of them cost linear time."""

    id: str = ""
    name: str = ""
    arguments: list[str] = field(default_factory=list)

    @property
    def call(self) -> Call:
        """The call as it is now."""
        return Call(id=self.id, name=self.name, arguments=object_text("".join(self.arguments)))


@dataclass(eq=False)
class TextParts:
    """One message of the answer. `half` is half a character whose other half may follow."""

    id: str = field(default_factory=new_id)
    pieces: list[str] = field(default_factory=list)
    half: str = ""


@dataclass(eq=False)
class Reply:
    """What one reply said so far.

    - `parts`: text, calls and opaque items in the order in which they began.
    - `usage` in tokens and `cost` in USD are the server's own, None until it told them, and `fees` that part
      of the cost which is not for tokens. `billed_calls` is how often it did what it bills by the call (a
      search), by the price table's names. `model` is its name for the model, `id` for the answer,
      `service_tier` the tier that served ("" where it says none).
    - `may_count_more`: whether `usage` is a count so far, of an answer that goes on.
    - `received`: bytes of text, thinking and calls that came, for estimates.
    - `stop_reason` is "" until the answer is complete: "end_turn", "tool_use", "max_tokens", "refusal",
      "pause_turn" (the same request again, with this reply behind it), or the provider's own word; `detail`
      is one line about it for the user.
    - `error` is what the server said inside the stream in place of an answer: the error's own JSON.
    - `is_whole`: whether all that was begun came to its end, where the server did not say that this was all.
    - `thought`: whether there was any thinking.
    - `progress` counts what is new for the reader of the answer: text, thinking, arguments. Pings are not.
    """

    parts: list[TextParts | CallParts | Opaque] = field(default_factory=list)
    usage: Usage | None = None
    may_count_more: bool = False
    cost: Decimal | None = None
    fees: Decimal | None = None
    billed_calls: dict[str, int] = field(default_factory=dict)
    received: int = 0
    id: str = ""
    model: str = ""
    service_tier: str = ""
    stop_reason: str = ""
    detail: str = ""
    error: Any = None
    is_whole: bool = False
    thought: bool = False
    progress: int = 0

    def add_text(self, text: str, message: TextParts | None = None) -> Iterator[Event]:
        """More text, of `message` or of the last one if nothing came between."""
        if message is None:
            last = self.parts[-1] if self.parts else None
            message = last if isinstance(last, TextParts) else TextParts()
        if message not in self.parts:
            self.parts.append(message)
        text, message.half = split_surrogate(message.half + text)
        self.received += byte_length(text)
        if text:
            self.progress += 1
            message.pieces.append(text)
            yield TextDelta(text=text, message_id=message.id)

    def add_thinking(self, text: str) -> Iterator[Event]:
        """The model thinks; `text` is what it lets out of it."""
        # Nothing, again and again, is nothing new.
        self.progress += bool(text) or not self.thought
        self.thought = True
        self.received += byte_length(text)
        yield Thinking(text=text)

    def add_call(self, call_id: str = "", name: str = "") -> CallParts:
        """A tool call begins."""
        call = CallParts(call_id or f"call_{new_id()[:24]}", name)
        self.parts.append(call)
        self.progress += 1
        self.received += byte_length(name)
        return call

    def add_arguments(self, call: CallParts, text: str) -> None:
        """More of a call's arguments."""
        if text:
            self.progress += 1
            self.received += byte_length(text)
            call.arguments.append(text)

    def add_opaque(self, wire: str, model: str, payload: Mapping[str, Any]) -> None:
        """Something that is to go back as it is."""
        self.parts.append(Opaque(wire=wire, model=model, payload=payload))

    @property
    def calls(self) -> list[CallParts]:
        """The tool calls."""
        return [part for part in self.parts if isinstance(part, CallParts)]

    @property
    def text(self) -> str:
        """All text."""
        return "".join(piece for part in self.parts if isinstance(part, TextParts) for piece in part.pieces)

    @property
    def items(self) -> list[Item]:
        """The reply as history. Of one that was cut, `drop_calls` first: half a call is none."""
        return [each for part in self.parts if (each := _item(part)) is not None]

    def drop_call(self, call: CallParts) -> None:
        """Forget one call, and what led to it alone."""
        at = end = self.parts.index(call)
        while at and isinstance(self.parts[at - 1], Opaque):
            at -= 1
        del self.parts[at : end + 1]

    def drop_calls(self) -> None:
        """Forget the calls, and what led to them."""
        self.parts = [part for part in self.parts if isinstance(part, TextParts)]


def _item(part: TextParts | CallParts | Opaque) -> Item | None:
    match part:
        case TextParts():
            return Text(text="".join(part.pieces), id=part.id) if part.pieces else None
        case CallParts():
            return part.call
        case _:
            return part
