"""What a model request of the hosted test server can produce: text, thinking, and the use of tools."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from .base import Gate
from .hosted_session import Event, Session
from .hosted_usage import Tokens

DEFAULT_USAGE = Tokens(input=10, output=5)


@dataclass(frozen=True, kw_only=True)
class Content:
    """Something that a model request produces."""

    usage: Tokens = DEFAULT_USAGE
    """Of the request, where the content stands alone."""

    async def produce(self, session: Session) -> Event | None:
        """Emit it; gives back a tool use."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class Text(Content):
    """An `agent.message` and its previews."""

    blocks: list[list[str]]
    """Each block of text in the pieces that its deltas have."""
    shed: int
    pause: Gate | None
    final: bool

    async def produce(self, session: Session) -> None:
        event_id = session.server.new_id("sevt")
        session.preview({"type": "event_start", "event": {"type": "agent.message", "id": event_id}})
        pieces = [(index, piece) for index, block in enumerate(self.blocks) for piece in block]
        for sent, (index, piece) in enumerate(pieces[: len(pieces) - self.shed]):
            if sent == 1 and self.pause is not None:
                await self.pause.passed()
            session.preview(delta(event_id, piece, index))
        if self.final:
            content = [{"type": "text", "text": "".join(block)} for block in self.blocks]
            session.emit({"type": "agent.message", "id": event_id, "content": content})


@dataclass(frozen=True, kw_only=True)
class Thinking(Content):
    async def produce(self, session: Session) -> None:
        event_id = session.server.new_id("sevt")
        start = {"type": "event_start", "event": {"type": "agent.thinking", "id": event_id}}
        session.preview(start, kind="agent.thinking")
        session.emit({"type": "agent.thinking", "id": event_id})


@dataclass(frozen=True, kw_only=True)
class Call(Content):
    """A tool use and, of a tool that the server runs, its result."""

    type: str
    fields: dict[str, Any]
    result: str | None = None
    is_error: bool = False

    async def produce(self, session: Session) -> Event:
        return session.emit({"type": self.type, **self.fields})

    @property
    def waits(self) -> bool:
        return self.type == "agent.custom_tool_use" or self.fields.get("evaluated_permission") == "ask"

    def emit_result(self, session: Session, use: Event, answer: Event | None) -> None:
        """Emit the result, or that there is none because the call was denied."""
        denied = answer is not None and answer.get("result") == "deny"
        if self.type == "agent.custom_tool_use" or (self.result is None and not denied):
            return
        result = f"Denied. {answer.get('deny_message') or ''}" if answer and denied else self.result
        use_id = "mcp_tool_use_id" if self.type == "agent.mcp_tool_use" else "tool_use_id"
        session.emit(
            {
                "type": self.type.replace("_use", "_result"),
                use_id: use["id"],
                "content": [{"type": "text", "text": result}],
                "is_error": self.is_error or denied,
            }
        )


def text(
    *blocks: str | Sequence[str],
    deltas: int = 1,
    shed: int = 0,
    pause: Gate | None = None,
    final: bool = True,
    usage: Tokens = DEFAULT_USAGE,
) -> Content:
    """A message of these blocks of text.

    To a stream that asked for previews each block goes in so many deltas first, or in the pieces given as a
    list. `shed` of the last deltas are not sent; at `pause` the server stands after the first delta; without
    `final` only the previews are seen.
    """
    pieces = [split(block, deltas) if isinstance(block, str) else list(block) for block in blocks]
    return Text(blocks=pieces, shed=shed, pause=pause, final=final, usage=usage)


def thinking(*, usage: Tokens = DEFAULT_USAGE) -> Content:
    """The sign that the model thinks; a preview is its start only."""
    return Thinking(usage=usage)


def builtin_tool(
    name: str,
    input: dict[str, Any] | None = None,
    *,
    result: str | None = None,
    is_error: bool = False,
    permission: Literal["allow", "ask", "deny"] = "allow",
    usage: Tokens = DEFAULT_USAGE,
    **fields: Any,
) -> Call:
    """A tool of the agent's toolset, and its result."""
    fields |= {"name": name, "input": input or {}, "evaluated_permission": permission}
    return Call(type="agent.tool_use", fields=fields, result=result, is_error=is_error, usage=usage)


def mcp_tool(server_name: str, name: str, input: dict[str, Any] | None = None, **options: Any) -> Call:
    """A tool of an MCP server; the options are those of `builtin_tool`."""
    call = builtin_tool(name, input, mcp_server_name=server_name, **options)
    return replace(call, type="agent.mcp_tool_use")


def custom_tool(
    name: str,
    input: dict[str, Any] | None = None,
    *,
    usage: Tokens = DEFAULT_USAGE,
    **fields: Any,
) -> Call:
    """A tool that the client runs; the turn waits for its result."""
    return Call(
        type="agent.custom_tool_use", fields={"name": name, "input": input or {}, **fields}, usage=usage
    )


def ask(call: Call) -> Call:
    """The same call, but the user must allow it first."""
    return replace(call, fields=call.fields | {"evaluated_permission": "ask"})


def delta(event_id: str, piece: str, index: int | None) -> Event:
    """An `event_delta` of text; an index of None is left out."""
    fields: Event = {"type": "content_delta", "content": {"type": "text", "text": piece}}
    if index is not None:
        fields["index"] = index
    return {"type": "event_delta", "event_id": event_id, "delta": fields}


def split(whole: str, count: int) -> list[str]:
    """The text in `count` pieces of about one length.

    >>> split("Hello", 2)
    ['Hel', 'lo']
    """
    size = max(1, -(-len(whole) // max(1, count)))
    return [whole[start : start + size] for start in range(0, len(whole), size)]
