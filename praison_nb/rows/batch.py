"""An agent whose requests go to its provider in batches, at half the price. Here each is admitted, reserved
and booked as if it had been sent alone."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

from ..backends.base import Backend
from ..backends.local.agent import LocalAgent
from ..backends.local.batch_api import PROVIDERS
from ..backends.local.bounds import with_limit
from ..backends.local.providers import Server
from ..backends.session import Session
from ..errors import ConfigError
from ..events import Event, RequestFinished, SessionAttached, TurnFailed, TurnFinished, new_id
from ..metering.prices import BATCH
from ..runtime.run import Run
from ..session import Usage
from .batch_queue import Batches, Ticket
from .identity import digest_of

MOST_IN_A_BATCH = 10_000
"""Questions that are under way at once: each is a turn here."""


def batch_server(backend: Backend) -> Server:
    """Where the agent's batches go. Raises ConfigError for one that has none."""
    if not isinstance(backend, LocalAgent) or backend.config.runs_embedded:
        raise ConfigError("batch=True takes agents with a model of Anthropic's or OpenAI's.")
    if backend.config.tools:
        raise ConfigError("batch=True takes agents without tools: nobody is there to run them. Leave it out.")
    server = backend.server()
    if server.provider not in PROVIDERS:
        raise ConfigError(f"batch=True takes models of Anthropic's or OpenAI's, and not {server.name}'s.")
    return server


class BatchAgent(Backend):
    """`agent` as its provider's `batches` answer it."""

    takes_output = True

    def __init__(self, agent: Any, batches: Batches) -> None:
        super().__init__()
        self.agent, self.batches = agent, batches

    @property
    def name(self) -> str:  # type: ignore[override]
        """The agent's."""
        return str(self.agent.name)

    @property
    def model(self) -> str:
        """The agent's."""
        return str(self.agent.model)

    def fresh(self) -> BatchAgent:
        """Another one with the same batches."""
        return BatchAgent(self.agent, self.batches)

    async def events(self, prompt: str, session: Session, run: Run) -> AsyncIterator[Event]:
        """What happens, once its batch has ended."""
        session.id = session.id or f"local-{new_id()[:12]}"
        yield SessionAttached(session_id=session.id, model=self.model)
        turn = self.agent.turn(prompt, session, run)
        first = turn.first_request()
        server = first.server
        body = {name: value for name, value in first.body.items() if not name.startswith("stream")}
        body |= body.pop("extra_body", None) or {}
        if unknown := next((name for name in body if name.startswith("extra_") or name == "timeout"), ""):
            raise ConfigError(f"A batch has no {unknown}: leave it out of options.")
        request_id = digest_of(server.base_url, first.wire.path, body)
        # The same in the next process, where it takes the place of what this one left unsettled.
        started = replace(first.started, id=_id("started", request_id), service_tier=BATCH)
        yield started
        ticket = Ticket(request_id, dict(with_limit(server, first.wire, body, run.output_limit)))
        try:
            result = await self.batches.ask(ticket)
        except asyncio.CancelledError:
            if not ticket.is_sent:
                yield RequestFinished(usage=Usage(), started_id=started.id)
            yield TurnFinished(stop_reason="interrupted")
            raise
        used: dict[str, Any] = {
            "id": _id(result.batch, request_id),
            "model": server.model,
            "provider": server.payee,
            "service_tier": BATCH,
            "started_id": started.id,
        }
        if result.answer is None:
            yield RequestFinished(usage=Usage(), **used)
            yield TurnFailed(error=result.problem)
            return
        reply, events = turn.answered(first, result.answer)
        used["model"] = reply.model or server.model
        *before_end, end = events
        for event in before_end:
            yield event
        yield RequestFinished(usage=reply.usage, **used)
        yield end


def _id(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]
