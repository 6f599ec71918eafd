"""What a session used until the end of a turn, asked for once the turn has ended."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from ...events import SessionUsage
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
    known: SessionUsage | None,
    put: Callable[[SessionUsage], None],
) -> None:
    """Ask what the session used in all, of which the stream said what is `known`. Nobody waits for it: the
    next turn gives it up, and the end of the process leaves it a moment."""
    session.settling = asked = asyncio.create_task(connection.details())
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
