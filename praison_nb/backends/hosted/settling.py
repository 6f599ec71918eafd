"""What a session used until the end of a turn, asked for once the turn has ended."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from ...events import Event, SessionUsage
from ...runtime import loop
from .connection import Connection
from .session import HostedSession
from .usage import session_usage

log = logging.getLogger(__name__)
LAST_SECONDS = 1.0
"""When the process ends, the usage of a turn that has just ended is waited for so long."""


PAUSES = (0.5, 1.0, 2.0, 4.0)
"""Seconds before each further look, as long as the provider's books are behind."""


async def settle(
    session: HostedSession,
    connection: Connection,
    turn_id: str,
    known: SessionUsage | None,
    put: Callable[[Event], None],
) -> bool:
    """Ask what the session and its sub-agents used in all; `known` is what the stream said last. Nobody waits
    for it: the next turn gives it up, and the end of the process leaves it a moment. Returns whether there is
    an answer."""

    async def ask() -> Any:
        if session.threads:
            # Before the session's own count, which has theirs in it.
            for event in session.threads.count(await connection.threads(), turn_id, is_over=True):
                put(event)
        return await connection.details()

    details = await _while_nobody_waits(session, connection, ask())
    if details is None:
        return False
    session.title = details.title or ""
    usage = session_usage(details.usage)
    # What `retrieve` knows may be older than what the stream said.
    if known is None or usage.usage.output_tokens >= known.usage.output_tokens:
        put(usage)
    return True


async def settle_late(
    session: HostedSession,
    connection: Connection,
    put: Callable[[Event], None],
    last: Callable[[], SessionUsage | None],
) -> None:
    """Ask again, a few times, as long as the books lack what was counted here, by the `last` count."""
    if not session.lacks_cost(last()):
        return
    for pause in PAUSES:
        if await _while_nobody_waits(session, connection, asyncio.sleep(pause, True)) is None:
            return
        if not session.lacks_cost(last()):
            return
        details = await _while_nobody_waits(session, connection, connection.details())
        if details is None:
            return
        put(session_usage(details.usage))
        if loop.is_ending():
            return  # the process waits no longer


async def _while_nobody_waits(
    session: HostedSession, connection: Connection, work: Coroutine[Any, Any, Any]
) -> Any:
    """What `work` returns; None where the next turn gives it up, or the server cannot say."""
    session.settling = asked = asyncio.create_task(work)
    try:
        try:
            return await asked
        except asyncio.CancelledError:
            if loop.is_ending():
                return await asyncio.wait_for(connection.details(), LAST_SECONDS)
            if _is_cancelled():
                raise
            return None
    except connection.transient as error:
        log.warning("the session's usage could not be had: %s", connection.explain(error))
        return None
    finally:
        session.settling = None


def _is_cancelled() -> bool:
    """Whether what runs is cancelled itself, and not something that it awaits."""
    return bool((task := asyncio.current_task()) and task.cancelling())
