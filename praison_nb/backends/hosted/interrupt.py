"""How a turn is stopped in its session."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from ...errors import PraisonError
from .connection import Connection

log = logging.getLogger(__name__)


async def interrupt(
    connection: Connection,
    refusals: list[dict[str, Any]],
    accepted: asyncio.Event | None,
    taken: asyncio.Event,
) -> None:
    """Refuse what waits for an answer, and stop the session. `accepted` and `taken` are those of the turn's
    message, None where that is not sent."""
    events = [*refusals, {"type": "user.interrupt"}]
    if accepted is not None:
        await accepted.wait()
    try:
        # What the server does not take together it may refuse with any status.
        await connection.send(events, is_insistent=not refusals)
    except PraisonError as error:
        log.debug("refusals and the interrupt are sent one by one: %s", error)
        for event in events if refusals else ():
            await _try_to_send(connection, event)
    if accepted is not None and not taken.is_set():
        # It overtook the message, which would run to its end.
        await taken.wait()
        await _try_to_send(connection, events[-1])


async def _try_to_send(connection: Connection, event: dict[str, Any]) -> None:
    try:
        await connection.send([event])
    except PraisonError as error:
        log.warning("a %s was not accepted: %s", event["type"], error)


def report_failure(task: asyncio.Task[None]) -> None:
    """Log what a task of a turn raised, unless it is for the user."""
    if not task.cancelled() and (error := task.exception()) and not isinstance(error, PraisonError):
        log.error("a task of a hosted turn failed", exc_info=error)
