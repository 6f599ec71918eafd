"""What a session used until the end of a turn. Nobody waits for it: the next turn gives it up, and the end of
the process leaves it a moment."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

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
    """Ask what the session and its sub-agents used in all; `known` is what the stream said last."""
    session.settling = asyncio.current_task()
    try:
        if session.threads:
            # Before the session's own count, which has theirs in it.
            for event in session.threads.count(await connection.threads(), turn_id, is_over=True):
                put(event)
        try:
            details = await connection.details()
        except asyncio.CancelledError:
            if not loop.is_ending():
                raise
            details = await asyncio.wait_for(connection.details(), LAST_SECONDS)
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
