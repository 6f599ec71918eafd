"""An agent whose turns run on workers. Here they are booked: what is to happen is admitted and reserved
before it goes out, and what comes back is priced, settled and seen as if it had happened here."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

from ..backends.base import Backend
from ..backends.local.agent import LocalAgent
from ..backends.session import Session
from ..errors import BackendError, ConfigError
from ..events import (
    Event,
    Notice,
    RequestFinished,
    RequestStarted,
    SessionAttached,
    TurnFailed,
    TurnFinished,
    new_id,
)
from ..runtime.run import Run
from ..session import Usage
from .executor import RemoteWorkers, Ticket
from .worker import Answered, Question, Unparsed

REQUESTS_OF_A_TURN = 8
"""So many are reserved for, where an agent has tools."""


class RemoteAgent(Backend):
    """`agent` as it runs on `workers`."""

    takes_output = True

    def __init__(self, agent: LocalAgent, workers: RemoteWorkers) -> None:
        super().__init__()
        self.agent, self.workers = agent, workers

    @property
    def name(self) -> str:  # type: ignore[override]
        """The agent's."""
        return self.agent.name

    @property
    def model(self) -> str:
        """The agent's."""
        return self.agent.model

    def fresh(self) -> RemoteAgent:
        """Another one on the same workers."""
        return RemoteAgent(self.agent, self.workers)

    async def events(self, prompt: str, session: Session, run: Run) -> AsyncIterator[Event]:
        """What happens on a worker, once it is over."""
        session.id = session.id or f"local-{new_id()[:12]}"
        yield SessionAttached(session_id=session.id, model=self.model)
        first = (
            None if self.agent.config.runs_embedded else self.agent.turn(prompt, session, run).first_request()
        )
        started = RequestStarted(model=self.model, provider=self.agent.provider)
        if first is not None:
            started = self._bounded(first.started)
        if run.pacer is not None:
            await run.pacer.wait(started.input_tokens)
        yield started
        ticket = Ticket(self._question(prompt, session, run))
        is_stopped = False
        try:
            answered = await self.workers.ask(ticket)
        except asyncio.CancelledError:
            is_stopped = True
            # What a worker has begun it ends, and it is paid.
            answered = Answered(events=[RequestFinished(usage=Usage())])
            if ticket.is_sent:
                answered = await asyncio.shield(ticket.answered)
        session.messages.extend(answered.messages)
        finished = [each for each in answered.events if isinstance(each, RequestFinished)]
        if first is not None and finished:
            first.bounds.counted(first.size, finished[0].usage)
        for _ in range(ticket.losses):
            # What the lost worker may have sent stays open, since nobody knows what it cost.
            yield Notice(text="The worker that was asked was lost: what that cost is not known.")
            started = replace(started, id=new_id())
            try:
                yield started
            except asyncio.CancelledError:
                # No budget has room for it, and it was paid.
                is_stopped = True
        for event in _settling(answered.events, started):
            if not is_stopped or isinstance(event, RequestFinished):
                yield event
        if is_stopped:
            yield TurnFinished(stop_reason="interrupted")
            raise asyncio.CancelledError

    def _bounded(self, first: RequestStarted) -> RequestStarted:
        """The first request with those that may follow it."""
        config = self.agent.config
        if not config.tools:
            return first
        times, most = min(config.max_turns, REQUESTS_OF_A_TURN), first.max_output_tokens
        return replace(
            first,
            max_input_tokens=first.max_input_tokens * times,
            max_output_tokens=None if most is None else most * times,
        )

    def _question(self, prompt: str, session: Session, run: Run) -> Question:
        has_tools = bool(self.agent.config.tools)
        return Question(
            prompt=prompt,
            messages=tuple(session.messages),
            output=None if run.output is None else Unparsed(run.output),
            output_limit=None if has_tools else run.output_limit,
            allowance=run.allowance if has_tools else None,
        )


def _settling(events: list[Event], started: RequestStarted) -> Iterator[Event]:
    """The events, of which the last request settles what was `started`: until then all of it is reserved."""
    finished = [each for each in events if isinstance(each, RequestFinished)]
    if not finished:
        yield RequestFinished(usage=Usage(), started_id=started.id, time=started.time)
    for event in events:
        if finished and event is finished[-1]:
            yield replace(finished[-1], started_id=started.id)
        elif isinstance(event, RequestFinished):
            yield replace(event, started_id=event.started_id or new_id())
        elif isinstance(event, TurnFinished) and event.stop_reason == "budget_reached":
            # Asked again it would cost as much again.
            yield TurnFailed(
                error=BackendError("The budget left too little for its requests: give it more, or ask less.")
            )
        else:
            yield event


def remote(backend: Backend, workers: RemoteWorkers) -> RemoteAgent:
    """The agent on workers. Raises ConfigError for one that cannot be there."""
    if not isinstance(backend, LocalAgent):
        raise ConfigError(f"{backend.name} agents do not run on workers.")
    return RemoteAgent(backend, workers)
