"""The connection of one turn to its session: lost ones are made anew, and nothing is ever sent twice."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Collection, Iterable
from typing import Any, cast

from ...errors import PraisonError, UnreachableError
from ...events import Activity, Event
from ...text import replace_surrogates
from .client import (
    all_pages,
    client_of,
    explain,
    explain_budget,
    is_final,
    never_arrived,
    seconds_to_wait,
    transient_errors,
    with_hint,
)
from .context import HostedContext
from .fields import ANSWERS
from .mounts import without_mounts
from .own_message import OWN, in_order, prompt_of
from .session import HostedSession
from .stream import EventStream

log = logging.getLogger(__name__)


class Connection:
    """Streams, history and sending for `session`; `put` shows the user what it waits for. The SDK is loaded.
    Raises MissingKeyError where there is no key."""

    def __init__(self, context: HostedContext, session: HostedSession, put: Callable[[Event], None]) -> None:
        self.transient = transient_errors()
        self.is_lost = False
        self._context, self._session, self._put = context, session, put
        self._client = client_of(context.config)
        # Here requests that fail are made again in a way that never does anything twice.
        self._client_without_retries = self._client.with_options(max_retries=0)
        self._lost_since = 0.0
        self._delay = context.backoff_seconds[0]
        self._seconds_to_wait = 0.0

    async def open(self) -> EventStream:
        """The first stream. Nothing is lost yet: the SDK's own retries will do."""
        return await self._stream(self._client)

    async def reopen(self) -> EventStream:
        """A new stream after one was lost."""
        while True:
            await self._pause()
            try:
                return await self._stream(self._client_without_retries)
            except self.transient as error:
                self.mark_lost(error)

    async def history(self) -> list[Any]:
        """Every event of the session so far, oldest first."""
        pages = self._client_without_retries.beta.sessions.events.list(self._session.id, order="asc")
        return in_order([event async for event in all_pages(pages)])

    async def find(self, ids: Collection[str]) -> list[Any]:
        """The events with these ids and the answers to them, in the session's history and, where it lacks
        any, in those of its sub-agents' threads."""

        def matching(events: Iterable[Any]) -> list[Any]:
            named = [(event, getattr(event, ANSWERS.get(event.type, "id"), None)) for event in events]
            return [event for event, call_id in named if call_id in ids]

        found = matching(await self.history())
        if {event.id for event in found}.issuperset(ids):
            return found
        threads = self._client_without_retries.beta.sessions.threads
        try:
            async for thread in all_pages(threads.list(self._session.id)):
                events = threads.events.list(thread.id, session_id=self._session.id)
                for event in matching([each async for each in all_pages(events)]):
                    event.session_thread_id = thread.id
                    found.append(event)
        except self.transient as error:
            log.debug("the threads of %s could not be read: %r", self._session.id, error)
        return found

    async def threads(self) -> list[Any]:
        """The session's threads as the server has them; none where it has no such list."""
        pages = self._client_without_retries.beta.sessions.threads.list(self._session.id)
        try:
            return [each async for each in all_pages(pages)]
        except self.transient as error:
            log.debug("the threads of %s could not be listed: %r", self._session.id, error)
            return []

    async def details(self) -> Any:
        """The session as the server has it."""
        return await self._client.beta.sessions.retrieve(self._session.id, timeout=30)

    def mark_lost(self, error: Exception | None) -> None:
        """Note that the stream ended before the turn did. Raises where it will not come back."""
        log.debug("the stream of %s is lost: %r", self._session.id, error)
        if not self.is_lost:
            self.is_lost, self._lost_since = True, time.monotonic()
        self._check(error or UnreachableError("The server ends every stream at once."), self._lost_since)

    def mark_recovered(self) -> None:
        """Note that the session is there again, and all that happened meanwhile known."""
        if self.is_lost:
            self.is_lost = False
            self._put(Activity(text=""))

    def reset_delay(self) -> None:
        """Let the next pause be a short one again, since something new came."""
        self._delay = self._context.backoff_seconds[0]

    def explain(self, error: BaseException) -> PraisonError:
        """What the SDK raised, as a PraisonError."""
        return explain(error, self._context.config, self._session.label)

    async def send(
        self,
        events: list[dict[str, Any]],
        should_send: Callable[[], bool] = lambda: True,
        *,
        is_insistent: bool = True,
    ) -> str:
        """Put `events` into the session and return the id of the first. Where it stays open whether they
        arrived, the history is asked before they are sent again; without `is_insistent` they never are.
        Cancelled where `should_send()` says no. Raises a PraisonError."""
        client, content = self._client_without_retries, cast("Any", replace_surrogates(events))
        since: float | None = None
        may_have_arrived = False
        while True:
            try:
                if may_have_arrived:
                    if (known := self._find(content[0], await self.history())) is not None:
                        return known
                    may_have_arrived = False
                if not should_send():
                    raise asyncio.CancelledError
                try:
                    sent = await client.beta.sessions.events.send(self._session.id, events=content)
                except self.transient as error:
                    if (plain := _without_threads(content)) != content and is_final(error):
                        # Old notes want the thread of a sub-agent's call named; the SDK's types have no room.
                        content = plain
                        continue
                    may_have_arrived = not never_arrived(error)
                    raise
            except self.transient as error:
                since = time.monotonic() if since is None else since
                if not is_insistent:
                    raise self.explain(error) from None
                self._check(error, since)
                await self._pause()
            else:
                if since is not None:
                    self._put(Activity(text=""))
                return sent.data[0].id if sent.data else ""

    def _find(self, sent: dict[str, Any], history: list[Any]) -> str | None:
        """The id of what was sent, where the history has it."""
        answered = ANSWERS.get(sent["type"])
        for event in history:
            if event.type != sent["type"]:
                continue
            if answered is not None:
                is_same = getattr(event, answered) == sent[answered]
            else:
                is_same = event.type in OWN and event.id not in self._session.seen
                is_same = is_same and prompt_of(event) == text_of(sent)
            if is_same:
                return str(event.id)
        return None

    def _check(self, error: Exception, since: float) -> None:
        """Raise where it makes no sense to try again; else say that it is tried."""
        too_long = time.monotonic() - since >= self._context.config.reconnect_seconds
        if is_final(error) or too_long:
            failure = explain_budget(self.explain(error))
            raise with_hint(failure, self._session.id) from error
        self._seconds_to_wait = seconds_to_wait(error)
        self._put(Activity(text="reconnecting"))

    async def _stream(self, client: Any) -> EventStream:
        previews = ["agent.message", "agent.thinking"]
        events = client.beta.sessions.events
        return EventStream(await events.stream(self._session.id, event_deltas=previews))

    async def _pause(self) -> None:
        await asyncio.sleep(max(self._seconds_to_wait, self._delay * random.uniform(0.5, 1.0)))
        first, cap = self._context.backoff_seconds
        self._delay = min(cap, max(first, self._delay * 2))


def text_of(sent: dict[str, Any]) -> str:
    """The text of what was sent to begin a turn."""
    return without_mounts(str(sent["description"] if "description" in sent else sent["content"][-1]["text"]))


def _without_threads(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in event.items() if key != "session_thread_id"} for event in events]
