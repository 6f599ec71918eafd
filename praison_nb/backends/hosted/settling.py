"""What a session used until the end of a turn, asked for once the turn has ended."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from ...events import Event, SessionUsage
from ...runtime import loop
from .connection import Connection
from .session import HostedSession
from .usage import session_usage

log = logging.getLogger(__name__)
LAST_SECONDS = 1.0
"""When the process ends, the usage of a turn that has just ended is waited for so long."""


async def settle(
    session: HostedSession,
    connection: Connection,
    turn_id: str,
    known: SessionUsage | None,
    put: Callable[[Event], None],
) -> None:
    """Ask what the session and its sub-agents used in all; `known` is what the stream said last. Nobody waits
    for it: the next turn gives it up, and the end of the process leaves it a moment."""

    async def ask() -> Any:
        if session.threads:
            # Before the session's own count, which has theirs in it.
            for event in session.threads.count(await connection.threads(), turn_id, is_over=True):
                put(event)
        return await connection.details()

    session.settling = asked = asyncio.create_task(ask())
    try:
        try:
            details = await asked
        except asyncio.CancelledError:
            if loop.is_ending():
                details = await asyncio.wait_for(connection.details(), LAST_SECONDS)
            elif _is_cancelled():
                raise
            else:
                return
    except connection.transient as error:
        log.warning("the session's usage could not be had: %s", connection.explain(error))
        return
    finally:
        session.settling = None
    session.title = details.title or ""
    usage = session_usage(details.usage)
    # What `retrieve` knows may be older than what the stream said.
    if known is None or usage.usage.output_tokens >= known.usage.output_tokens:
        put(usage)


def _is_cancelled() -> bool:
    """Whether what runs is cancelled itself, and not something that it awaits."""
    return bool((task := asyncio.current_task()) and task.cancelling())
