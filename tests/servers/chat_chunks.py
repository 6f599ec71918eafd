"""Chunks of chat completions in the forms that servers send, and what the wire reads in them."""

from __future__ import annotations

from typing import Any

from praison_nb.backends.local import rules as known
from praison_nb.backends.local.wires.base import ModelRequest, Rules
from praison_nb.backends.local.wires.chat import WIRE
from praison_nb.backends.local.wires.reply import Reply
from praison_nb.events import TextDelta, Thinking
from praison_nb.history import User
from praison_nb.tools.tool import Tool

GEMINI, XAI = known.GEMINI["chat"], known.XAI["chat"]
JSON = dict[str, Any]


def add(a: int, b: int = 1) -> int:
    """Add."""
    return a + b


def other(x: str = "") -> str:
    """Other."""
    return x


def get_weather() -> str:
    """Weather."""
    return "rain"


TOOLS = [Tool.of(add), Tool.of(other), Tool.of(get_weather)]


def request(**fields: Any) -> ModelRequest:
    return ModelRequest(
        **{"model": "m", "origin": "x/m", "history": [User(text="Hi")], "tools": TOOLS, **fields}
    )


def chunk(delta: Any = None, finish: Any = None, **more: Any) -> JSON:
    return {"choices": [{"index": 0, "delta": delta or {}, "finish_reason": finish}], **more}


def piece(name: str | None = None, arguments: Any = None, **more: Any) -> JSON:
    """A chunk with a piece of a tool call."""
    function = {"name": name, "arguments": arguments}
    return chunk({"tool_calls": [{**more, "function": {k: v for k, v in function.items() if v is not None}}]})


class Read:
    """Some events, as they were read."""

    def __init__(self, *events: Any, rules: Rules | None = None, **fields: Any) -> None:
        reader = WIRE.reader(request(**fields, rules=rules or Rules()))
        events_ = [made for event in events for made in reader.read(event)]
        self.made = [*events_, *reader.end()]
        self.reply: Reply = reader.reply

    @property
    def text(self) -> str:
        text = "".join(event.text for event in self.made if isinstance(event, TextDelta))
        assert text == self.reply.text
        return text

    @property
    def thinking(self) -> str:
        return "".join(event.text for event in self.made if isinstance(event, Thinking))

    @property
    def calls(self) -> list[tuple[str, str]]:
        """Names and arguments; ids are never empty or the same."""
        ids = [part.id for part in self.reply.calls]
        assert all(ids)
        return [(part.call.name, part.call.arguments) for part in self.reply.calls]


WHOLE = {"choices": [{"message": {"role": "assistant", "content": "Yes."}, "finish_reason": "stop"}]}
