"""What a turn of the hosted test server is made of.

    server.script([text("Hello", deltas=3)])                                   # one request, one message
    server.script([ask(builtin_tool("bash", {"command": "ls"}, result="a"))])  # waits for the user's yes
    server.script([custom_tool("add", {"a": 1}), text("2", usage=Tokens(9, 1))])
    server.script([error("model_overloaded_error", "retrying"), rescheduled(), running(), text("at last")])
    server.script([request(thinking(), text("Let me see."), builtin_tool("ls"), usage=Tokens(9, 5), cents=3)])

Contents (`text`, `thinking`, the tools) belong to a model request; one that stands alone in a script gets a
request of its own. A turn goes running before its script and idle with `end_turn` after it, unless the script
did so itself. Any other event: `event("agent.thread_context_compacted")`, checked against the SDK's types.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, Literal

from .base import Gate
from .hosted_contents import (
    DEFAULT_USAGE,
    Call,
    Content,
    ask,
    builtin_tool,
    custom_tool,
    delta,
    mcp_tool,
    text,
    thinking,
)
from .hosted_session import Event, Session, Step
from .hosted_usage import Tokens

__all__ = [
    "Answer", "Call", "Content", "Step", "Tokens", "answer", "ask", "builtin_tool", "custom_tool", "delta",
    "error", "event", "hang_up", "hold", "idle", "mcp_tool", "preview", "raw", "request", "rescheduled",
    "running", "sse", "terminated", "text", "thinking", "usage_snapshot",
]  # fmt: skip

Answer = Callable[[list[dict[str, str]]], AsyncIterator[str | Tokens]]
"""Real text: the conversation (role, content) in; pieces of the answer, and Tokens for its usage, out."""


def request(
    *contents: Content | Step,
    usage: Tokens = DEFAULT_USAGE,
    cents: int | None = None,
    seconds: float = 1.0,
    is_error: bool = False,
) -> Step:
    """One model request with its spans, then the results of its tools.

    It adds `usage`, `cents` of list price (None: not known yet) and `seconds` of running time to the session.
    Calls that wait are asked for together; those that the client answers late leave it idle with the rest.
    """

    async def play(session: Session) -> None:
        await session.within_budget()
        start = session.emit({"type": "span.model_request_start"})
        calls: list[tuple[Call, Event]] = []
        try:
            for content in contents:
                if not isinstance(content, Content):
                    await content(session)
                elif isinstance(content, Call):
                    calls.append((content, await content.produce(session)))
                else:
                    await content.produce(session)
        finally:  # an interrupted request ends too
            session.end_request(start, usage, cents, seconds, is_error)
        for call, use in calls:
            if not call.waits:
                call.emit_result(session, use, None)
        if waiting := [use for call, use in calls if call.waits]:
            answers = await session.require(waiting)
            for call, use in calls:
                if call.waits:
                    call.emit_result(session, use, answers[use["id"]])

    return play


def answer(produce: Answer) -> Step:
    """One model request whose text an async callable makes."""

    async def play(session: Session) -> None:
        await session.within_budget()
        start = session.emit({"type": "span.model_request_start"})
        event_id, pieces, usage = session.server.new_id("sevt"), [], Tokens()
        session.preview({"type": "event_start", "event": {"type": "agent.message", "id": event_id}})
        began = asyncio.get_running_loop().time()
        try:
            async for piece in produce(session.messages()):
                if isinstance(piece, Tokens):
                    usage = piece
                else:
                    pieces.append(piece)
                    session.preview(delta(event_id, piece, 0))
            content = [{"type": "text", "text": "".join(pieces)}]
            session.emit({"type": "agent.message", "id": event_id, "content": content})
        finally:
            seconds = asyncio.get_running_loop().time() - began
            session.end_request(start, usage, None, seconds, is_error=False)

    return play


def event(type: str, **fields: Any) -> Step:
    """Any event of the SDK's types."""
    return _emit({"type": type, **fields})


def raw(fields: Event) -> Step:
    """An event that the SDK's types do not know, as a newer server would send it."""
    return _emit(fields, checked=False)


def preview(fields: Event) -> Step:
    """A preview as given, to every stream that asked for messages; even a delta without its start."""

    async def play(session: Session) -> None:
        session.preview(fields, checked=False)

    return play


def idle(reason: str = "end_turn", *, category: str | None = None, explanation: str | None = None) -> Step:
    """Go idle for a reason; category and explanation are those of a refusal."""

    async def play(session: Session) -> None:
        details = {"type": "refusal", "category": category, "explanation": explanation}
        session.idle({"type": reason}, **({"stop_details": details} if reason == "refusal" else {}))

    return play


def error(kind: str, retry_status: str, message: str = "It went wrong.", **fields: Any) -> Step:
    """A `session.error`: `retrying`, `exhausted` or `terminal`. Only the event, not what follows from it."""
    problem = {"type": kind, "message": message, "retry_status": {"type": retry_status}, **fields}

    async def play(session: Session) -> None:
        session.emit({"type": "session.error", "error": problem})
        if retry_status == "exhausted":
            session.drop_queued()

    return play


def rescheduled() -> Step:
    return event("session.status_rescheduled")


def running() -> Step:
    return event("session.status_running")


def terminated() -> Step:
    """The end of the session, and of the script."""
    return event("session.status_terminated")


def usage_snapshot() -> Step:
    """A `session.usage` in mid-turn."""

    async def play(session: Session) -> None:
        session.emit(
            {"type": "session.usage", "usage": session.spent.to_dict(), "budget": session.fields["budget"]}
        )

    return play


def hold(gate: Gate) -> Step:
    """Stop here until the test opens the gate."""

    async def play(session: Session) -> None:
        await gate.passed()

    return play


def sse(data: bytes) -> Step:
    """Bytes on every open stream: a ping, a comment, `event: error`, a frame without a name."""
    return _send(data)


def hang_up(how: Literal["end", "close", "reset"] = "end") -> Step:
    """End every open stream after what was sent: in good order, cut off, or with a reset connection."""
    return _send(how)


def _emit(fields: Event, *, checked: bool = True) -> Step:
    async def play(session: Session) -> None:
        session.emit(fields, checked=checked)

    return play


def _send(data: bytes | Literal["end", "close", "reset"]) -> Step:
    async def play(session: Session) -> None:
        session.send(data)

    return play
