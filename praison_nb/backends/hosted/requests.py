"""The requests of one turn: which of those that its session tells of are its own, and one that no server
told of.

The first begins with the turn's message, before that is sent, so that it is known whatever happens then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

from ...events import Event, RequestFinished, RequestStarted, SessionUsage
from ...session import Usage
from .own_message import Early, OwnMessage
from .session import HostedSession
from .usage import request_finished, used_since

END_SECONDS = 5.0
"""A request whose tool call is answered ends at once; where nothing tells of that, the wait is so long."""


class Requests:
    """The requests of the turn whose message is `own`, in `session`."""

    def __init__(self, own: OwnMessage, session: HostedSession, prompt_tokens: int) -> None:
        self._own, self._session, self._prompt_tokens = own, session, prompt_tokens
        self._before = session.provider_usage
        self._early = Early(own)
        self._sent = ""
        """The id of the request that began with what we sent, until it has ended."""
        self._count, self._turn_id = 0, ""
        self._spans: dict[str, str] = {}
        """The ids under which requests began, by those of their spans."""
        self._is_ended = asyncio.Event()
        """Whether none is under way, as far as the server tells."""
        self._is_ended.set()
        self.last_usage: SessionUsage | None = None
        self.has_output = False

    def begin(self, turn_id: str) -> RequestStarted:
        """The event of a request that our message or an answer to a tool call begins. It is about to be sent,
        or a process that has ended sent it."""
        self._count, self._turn_id = self._count + 1, turn_id
        self._sent = f"{turn_id}-sent-{self._count}"
        return replace(
            self._started(self._sent), max_cost=self._session.budget_left if self._count == 1 else None
        )

    async def wait_for_end(self) -> None:
        """Wait until the request under way has ended: a tool call may be answered before. What the turn may
        still cost is reserved for it, and the next one begins with the answer."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._is_ended.wait(), END_SECONDS)

    def note_waiting(self) -> None:
        """Note that the session waits for answers: nothing is under way."""
        self._is_ended.set()

    def goes_on_after_answers(self) -> bool:
        """Whether the answers to tool calls begin a request of their own, as far as the server tells."""
        return self._session.tells_requests and not self._sent and self._is_ended.is_set()

    def read_answer(self) -> Iterator[Event]:
        """Read an answer in the history of a turn that is reattached: the process that ended began a request
        with it."""
        if self.goes_on_after_answers():
            yield self.begin(self._turn_id)

    def never_sent(self) -> Iterator[Event]:
        """End the request that was to begin: it was never sent, and has used nothing."""
        yield from self._end_sent(Usage())

    def read(self, event: Any) -> Iterator[Event]:
        """Read the beginning or end of a span, or what a sub-agent's thread does; another turn's yields
        nothing."""
        self._session.tells_requests |= not self._session.threads.owns(event)
        if self._own.owns_request(event):
            yield from self._read(event)
        elif self._own.is_sent and not self._own.owns(event):
            self._early.add(event)
        else:
            self._session.threads.note_others(event)

    def note_idle(self, idle: Any) -> None:
        """Note an idle that may or may not be the turn's end."""
        self._early.note_idle(idle)

    def forget_idle(self, idle_id: str) -> None:
        """Forget a noted idle: it is known by now whose end it is."""
        self._early.forget_idle(idle_id)

    def read_early(self, *, by_time: bool) -> Iterator[Event]:
        """Read what came before our message was known to be taken: all of it as the turn's, or with `by_time`
        what the events' times show to be."""
        others, early = self._early.take()
        for event in others:
            self._session.threads.note_others(event)
        for event in early:
            if not by_time or self._own.owns_request(event):
                yield from self._read(event)
            else:
                self._session.threads.note_others(event)

    def end(self, idle_id: str = "") -> Iterator[Event]:
        """End the turn's requests. One that the server did not report has used what the session used
        meanwhile, or else an estimate."""
        self.forget_idle(idle_id)
        # Nothing of the agent came since our message was taken: what came before that is of it.
        yield from self.read_early(by_time=False)
        if not self._sent:
            return
        used = used_since(self.last_usage, self._before) if self.last_usage else Usage()
        if self._session.tells_requests or not (self.has_output or used.output_tokens):
            yield from self._end_sent(Usage())
        else:
            yield from self._end_sent(used if used.output_tokens else None)
        if self.last_usage is not None:
            # The request is in it: what the turn costs beyond it is less.
            yield self.last_usage

    def _end_sent(self, usage: Usage | None) -> Iterator[Event]:
        sent, self._sent = self._sent, ""
        if sent:
            yield RequestFinished(
                id=f"{sent}-end",
                started_id=sent,
                model=self._session.model,
                provider="anthropic",
                usage=usage,
            )

    def _read(self, span: Any) -> Iterator[Event]:
        if self._session.threads.owns(span):
            self._session.threads.note_own(span)
            return
        if span.type == "span.model_request_start":
            if self._sent:
                self._spans[span.id], self._sent = self._sent, ""
            else:
                self._spans[span.id] = span.id
                yield self._started(span.id)
            self._is_ended.clear()
            return
        begun = getattr(span, "model_request_start_id", None) or ""
        if self._sent and begun not in self._spans:
            # Its beginning was never on our streams.
            begun, self._sent = self._sent, ""
        self._is_ended.set()
        used = getattr(span, "model_usage", None)
        yield request_finished(span.id, self._session.model, used, self._spans.get(begun, begun))

    def _started(self, request_id: str) -> RequestStarted:
        return RequestStarted(
            id=request_id,
            input_tokens=self._prompt_tokens,
            model=self._session.model,
            provider="anthropic",
        )
