"""What a turn sends into its session: its message, once, and the answers to tool calls."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from ...errors import PraisonError
from ...events import Event, Notice, RequestStarted
from ...runtime.run import Run
from ..content_blocks import content_block
from .config import HostedAgentConfig
from .connection import Connection
from .mounts import with_mounts
from .outcomes import Outcome
from .session_budget import limit_cost
from .translate import Reader


class Sender:
    """Sends over `connection` for the turn that `reader` reads; `put` shows an event. An
    `outcome` is sent in the message's place. `accepted` is set once the server has it."""

    def __init__(
        self,
        config: HostedAgentConfig,
        reader: Reader,
        run: Run,
        outcome: Outcome | None,
        connection: Connection,
        put: Callable[[Event], None],
    ) -> None:
        self._config, self._reader, self._run, self._outcome = config, reader, run, outcome
        self._connection, self._put = connection, put
        self.accepted = asyncio.Event()
        self._admitted: dict[str, asyncio.Event] = {}
        """By the ids of requests that begin with what is sent: they may be made, and are in the ledger."""

    def note_shown(self, event: Event) -> None:
        """Whoever takes the turn's events is done with this one."""
        if isinstance(event, RequestStarted) and event.id in self._admitted:
            self._admitted[event.id].set()

    async def send_message(self) -> None:
        """Send the message where it was not sent yet, and nothing else is worked on. Raises PraisonError."""
        reader, session = self._reader, self._reader.session
        if reader.own.is_sent or reader.busy or reader.end is not None or reader.stopping:
            return
        mounts = [*session.mounts]
        prompt = with_mounts(reader.prompt, mounts)
        content = [*map(content_block, self._run.attachments), {"type": "text", "text": prompt}]
        message: dict[str, Any] = {"type": "user.message", "content": content}
        if self._outcome:
            message = {**self._outcome.to_dict(), "description": prompt}
        try:
            await self._begin_request()
            if line := await limit_cost(self._config, session, self._run.cost_limit):
                self._put(Notice(text=line))
            reader.own.is_sent, session.synced = True, False
            reader.own.id = await self._connection.send([message], lambda: not reader.stopping)
        except (PraisonError, asyncio.CancelledError):
            for event in reader.requests.never_sent():
                self._put(event)
            raise
        del session.mounts[: len(mounts)]
        session.synced = True
        self.accepted.set()

    async def send_answers(self, answers: list[dict[str, Any]]) -> None:
        """Send answers to tool calls. Raises PraisonError."""
        # A sub-agent waits for its answer while the session's own request goes on.
        if not any("session_thread_id" in answer for answer in answers):
            await self._reader.requests.wait_for_end()
        if self._reader.requests.goes_on_after_answers():
            await self._begin_request()
        await self._connection.send(answers)

    async def _begin_request(self) -> None:
        """Have the request be in the ledger before what begins it is sent."""
        started = self._reader.requests.begin(self._run.turn.id)
        self._admitted[started.id] = admitted = asyncio.Event()
        self._put(started)
        await admitted.wait()
