"""What was said in a hosted session, as its server has it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from .hosted_client import all_pages, load
from .hosted_words import plain_text

if TYPE_CHECKING:
    from .hosted_life import Life

ROLES = {"user.message": "user", "agent.message": "assistant"}


async def read_messages(agent: Life, session_id: str) -> list[dict[str, Any]]:
    """The messages of the session, oldest first: `{"id", "role": "user" | "assistant", "content"}` each. On
    the background loop. Raises what the SDK does, and MissingKeyError."""
    await asyncio.to_thread(load)
    client = agent.client().with_options(max_retries=1)
    kinds: Any = list(ROLES)
    pages = client.beta.sessions.events.list(session_id, order="asc", types=kinds, timeout=30)
    return [
        {"id": event.id, "role": ROLES[event.type], "content": plain_text(event.content)}
        async for event in all_pages(pages)
        # A server that does not know the filter tells everything.
        if event.type in ROLES and plain_text(event.content)
    ]
