"""The connection of one turn to its session: lost ones are made anew, and nothing is ever sent twice."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from ...errors import PraisonError, UnreachableError
from ...events import Activity, Event
from ...text import replace_surrogates
from .client import (
    all_pages,
    at_budget,
    explain,
    is_final,
    never_arrived,
    transient_errors,
    wait_asked,
    with_hint,
)
from .fields import plain_text
from .session import HostedSession

if TYPE_CHECKING:
    from .agent import HostedAgent

log = logging.getLogger(__name__)


class Connection:
    """Streams, history and sending for `session`; `put` tells the user what it waits for. Raises
    MissingKeyError where there is no key."""

    def __init__(self, agent: HostedAgent, session: HostedSession, put: Callable[[Event], None]) -> None:
        self.client = agent.client()
        # Here requests that fail are made again in a way that never does anything twice.
        self._once = self.client.with_options(max_retries=0)
        self.transient = transient_errors()
        self.is_lost = False
        self._agent, self._session, self._put = agent, session, put
        self._lost_since = 0.0
        self._delay = agent.backoff_seconds[0]
        self._asked = 0.0

    async def open(self) -> Any:
        """The first stream. Nothing is lost yet: the SDK's own retries will do."""
        return await self._stream(self.client)

    async def reopen(self) -> Any:
        """A new stream after one was lost."""
        while True:
            await self._pause()
            try:
                return await self._stream(self._once)
            except self.transient as error:
                self.lost(error)

    async def history(self) -> list[Any]:
        """Every event of the session so far, oldest first."""
        pages = self._once.beta.sessions.events.list(self._session.id, order="asc")
        return [event async for event in all_pages(pages)]

    def lost(self, error: Exception | None) -> None:
        """Note that the stream ended before the turn did. Raises where it will not come back."""
        log.debug("the stream of %s is lost: %r", self._session.id, error)
        if not self.is_lost:
            self.is_lost, self._lost_since = True, time.monotonic()
        self._check(error or UnreachableError("The server ends every stream at once."), self._lost_since)

    def found(self) -> None:
        """Note that the session is there again, and all that happened meanwhile known."""
        if self.is_lost:
            self.is_lost = False
            self._put(Activity(text=""))

    def moved(self) -> None:
        """Note that something new came: the next pause is a short one again."""
        self._delay = self._agent.backoff_seconds[0]

    def explained(self, error: BaseException) -> PraisonError:
        """What the SDK raised, as one of ours."""
        return explain(error, self._agent.config, f"the session {self._session.id}")

    async def send(self, events: list[dict[str, Any]], may_go: Callable[[], bool] = lambda: True) -> str:
        """Put `events` into the session and return the id of the first. Where it stays open whether they
        arrived, the history is asked before they are sent again. Cancelled where they `may_go` no more.
        Raises a PraisonError."""
        events = replace_surrogates(events)
        since: float | None = None
        in_doubt = False
        while True:
            try:
                if in_doubt:
                    if (known := self._find(events[0], await self.history())) is not None:
                        return known
                    in_doubt = False
                if not may_go():
                    raise asyncio.CancelledError
                try:
                    sent = await self._send(events)
                except self.transient as error:
                    in_doubt = not never_arrived(error)
                    raise
            except self.transient as error:
                since = time.monotonic() if since is None else since
                self._check(error, since)
                await self._pause()
            else:
                if since is not None:
                    self._put(Activity(text=""))
                return sent.data[0].id if sent.data else ""

    def _find(self, sent: dict[str, Any], history: list[Any]) -> str | None:
        """The id of what was sent, where the history has it."""
        for event in history:
            if event.type != sent["type"]:
                continue
            match event.type:
                case "user.message":
                    text = sent["content"][0]["text"]
                    same = event.id not in self._session.seen and plain_text(event.content) == text
                case "user.tool_confirmation":
                    same = event.tool_use_id == sent["tool_use_id"]
                case "user.custom_tool_result":
                    same = event.custom_tool_use_id == sent["custom_tool_use_id"]
                case _:
                    same = False
            if same:
                return str(event.id)
        return None

    def _check(self, error: Exception, since: float) -> None:
        """Raise where it makes no sense to try again; else say that it is tried."""
        too_long = time.monotonic() - since >= self._agent.config.reconnect_seconds
        if is_final(error) or too_long:
            failure = at_budget(self.explained(error))
            raise with_hint(failure, self._session.id) from error
        self._asked = wait_asked(error)
        self._put(Activity(text="reconnecting"))

    async def _send(self, events: list[dict[str, Any]]) -> Any:
        return await self._once.beta.sessions.events.send(self._session.id, events=cast("Any", events))

    async def _stream(self, client: Any) -> Any:
        previews = ["agent.message", "agent.thinking"]
        return await client.beta.sessions.events.stream(self._session.id, event_deltas=previews)

    async def _pause(self) -> None:
        await asyncio.sleep(max(self._asked, self._delay * random.uniform(0.5, 1.0)))
        first, cap = self._agent.backoff_seconds
        self._delay = min(cap, max(first, self._delay * 2))
