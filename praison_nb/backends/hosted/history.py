"""What was said in a hosted session, as its server has it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from .client import all_pages, load
from .fields import ANSWERS, TOOL_USES, plain_text, started

if TYPE_CHECKING:
    from .life import Life

ROLES = {"user.message": "user", "agent.message": "assistant"}
RESULTS = {kind: name for kind, name in ANSWERS.items() if kind != "user.tool_confirmation"}


async def read_messages(agent: Life, session_id: str) -> list[dict[str, Any]]:
    """The messages of the session, as `Backend.read_messages` has them. On the background loop. Raises what
    the SDK does, and MissingKeyError."""
    await asyncio.to_thread(load)
    client = agent.client().with_options(max_retries=1)
    kinds: Any = [*ROLES, *TOOL_USES, *RESULTS]
    pages = client.beta.sessions.events.list(session_id, order="asc", types=kinds, timeout=30)
    messages = [_message(event) async for event in all_pages(pages)]
    return [message for message in messages if message is not None]


def _message(event: Any) -> dict[str, Any] | None:
    """The event as a message; None where it is none: a server that does not know the filter tells all."""
    if event.type in TOOL_USES:
        use = started(event)
        function = {"name": use.name, "arguments": use.arguments}
        calls = [{"id": use.call_id, "type": "function", "function": function}]
        return {"id": event.id, "role": "assistant", "content": "", "tool_calls": calls}
    text = plain_text(getattr(event, "content", None))
    if event.type in RESULTS:
        call_id = getattr(event, RESULTS[event.type])
        return {"id": event.id, "role": "tool", "tool_call_id": call_id, "content": text}
    if event.type in ROLES and text:
        return {"id": event.id, "role": ROLES[event.type], "content": text}
    return None
