"""What a HostedAgent can ask of the server between turns about its sessions."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeVar

from ...errors import ConfigError, SessionError
from ...runtime import loop
from ...session import SessionInfo, Status
from ..base import Backend
from ..sdk_errors import unchained
from ..session import Session
from .client import all_pages, client_of, explain, load
from .config import HostedAgentConfig, budget_dict
from .history import read_messages
from .session import HostedSession

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic

T = TypeVar("T")
log = logging.getLogger(__name__)

PAUSE_SECONDS = 0.2
"""Between two looks at a session that is about to stop."""
LOOKS = 3
"""So many more for a session that should be idle."""
STOP_SECONDS = 30.0
"""A session gets so long to stop before it is deleted."""


class Life(Backend):
    """Sessions on the server. The methods wait for its answer; on the background loop, where
    waiting would stop every turn, they raise ConfigError instead."""

    name = "hosted"
    without_session = Status.UNKNOWN
    keeps_sessions_on_server = True

    def __init__(self, config: HostedAgentConfig) -> None:
        super().__init__()
        self.config = config
        self.session: HostedSession = HostedSession()
        self.agent_id: str | None = None
        """The agent's id, None before there is one."""
        self.agent_version: int | None = None
        """The agent's version as it was last seen."""
        self.environment_id: str | None = None
        """The environment's id, None before there is one."""
        self._tools_there: frozenset[str] = frozenset()
        """The tools that the agent had in the process that it was restored from, and that run here."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.model!r}, session={self.session.id!r})"

    @property
    def model(self) -> str:
        """The model's name: the session's own where that is known."""
        return self.session.model or self.config.model_name

    @property
    def session_id(self) -> str | None:
        """The session's id, None before there is one."""
        return self.session.id or None

    @property
    def managed_session_id(self) -> str | None:
        """`session_id`, by another name."""
        return self.session_id

    def client(self) -> AsyncAnthropic:
        """The SDK's async client, for use on the background loop. Raises MissingKeyError."""
        return client_of(self.config)

    # The session

    def retrieve_session(self) -> dict[str, Any]:
        """The session as the server knows it: `{"id", "status", "title", "usage"}`. Never raises: what
        cannot be had is "unknown", with what was known last. Without a session it asks nobody."""
        session = self.session
        if session.id and not loop.on_loop_thread():
            return self._wait(lambda: self._retrieve(session)).to_dict()
        return session.known().to_dict()

    async def _retrieve(self, session: HostedSession) -> SessionInfo:
        try:
            client = self.client().with_options(max_retries=1)
            told = await client.beta.sessions.retrieve(session.id, timeout=30)
            for _ in range(LOOKS):
                if not session.has_settled or told.status != "running":
                    break
                # The status lags a little behind the stream, which said that the session is idle.
                await asyncio.sleep(PAUSE_SECONDS)
                told = await client.beta.sessions.retrieve(session.id, timeout=30)
            return session.learn(told)
        except Exception as error:
            log.warning("retrieve_session: %s", explain(error, self.config, f"the session {session.id}"))
            known = session.known()
            status = known.status if known.status is Status.RUNNING else Status.UNKNOWN
            return SessionInfo(known.id, status, known.title, known.usage)

    async def read_messages(self, session: Session) -> list[dict[str, Any]]:
        """The messages of `session` on the server. Asks nobody while it has no id."""
        what = f"the session {session.id}"
        return await self._asked(read_messages(self, session.id), what) if session.id else []

    def list_sessions(self, limit: int | None = None, **options: Any) -> list[dict[str, Any]]:
        """The agent's sessions on the server, newest first, each as `retrieve_session()` has it; all of
        them, or `limit`. `options` are the API's filters (agent_id, statuses, include_archived, …). Without
        an agent and without options there are none."""
        if self.agent_id is not None:
            options.setdefault("agent_id", self.agent_id)
        if not options:
            return []

        async def ask() -> list[dict[str, Any]]:
            pages = self.client().beta.sessions.list(**options)
            told = [each async for each in all_pages(pages, limit)]
            ours = self.session
            sessions = [(ours if each.id == ours.id else HostedSession(each.id), each) for each in told]
            return [session.learn(each).to_dict() for session, each in sessions]

        return self._wait(lambda: self._asked(ask()))

    def interrupt(self) -> None:
        """Stop the turn under way; nothing happens when there is none. A session that works without a turn
        of ours, resumed perhaps, is told to stop."""
        session = self.session
        if not session.stop() and session.id and not session.over:
            self._wait(lambda: self._asked(self._interrupt(session.id), f"the session {session.id}"))

    async def _interrupt(self, session_id: str) -> None:
        await self.client().beta.sessions.events.send(session_id, events=[{"type": "user.interrupt"}])

    def archive_session(self, session_id: str | None = None) -> None:
        """Archive the session, or another one by its id: it takes no more prompts, and stays on the server
        to be read. One that runs is interrupted first."""
        self._end(session_id, lambda key: self.client().beta.sessions.archive(key))

    def delete_session(self, session_id: str | None = None) -> None:
        """Delete the session, or another one by its id. One that runs is interrupted first."""
        self._end(session_id, lambda key: self.client().beta.sessions.delete(key))

    def _end(self, session_id: str | None, end: Callable[[str], Awaitable[Any]]) -> None:
        ours = self.session
        key = session_id or ours.id
        if not key:
            raise ConfigError("There is no session yet: nothing to archive or delete.")

        async def settle() -> None:
            if key == ours.id:
                ours.stop()
                async with ours.lock:  # until the turn has told the server and read its usage
                    await self._stopped(key)
                    await end(key)
            else:
                await self._stopped(key)
                await end(key)

        self._wait(lambda: self._asked(settle(), f"the session {key}"))
        if key == ours.id and self.session is ours:
            self._put_session(HostedSession())

    async def _stopped(self, session_id: str) -> None:
        """Interrupt the session while it runs, and wait until it does not."""
        give_up = asyncio.get_running_loop().time() + STOP_SECONDS
        told = False
        while True:
            session = await self.client().beta.sessions.retrieve(session_id)
            if session.status not in ("running", "rescheduling"):
                return
            if asyncio.get_running_loop().time() > give_up:
                raise SessionError(f"The session {session_id} does not stop. Try again later.")
            if not told:
                await self._interrupt(session_id)
                told = True
            await asyncio.sleep(PAUSE_SECONDS)

    def set_budget(self, budget: float | Decimal | None) -> None:
        """Raise the session's budget, in USD at list price, or lift it with None. A session that was made
        without a budget cannot get one. Later sessions have it from the start."""
        config = replace(self.config, budget=budget)
        if key := self.session.id:

            async def change() -> None:
                limit: Any = budget_dict(budget)
                await self.client().beta.sessions.update(key, budget=limit)

            self._wait(lambda: self._asked(change(), f"the session {key}"))
        self.config = config

    # Waiting

    def _put_session(self, session: HostedSession) -> None:
        """Go on with `session`; a turn under way in the old one is stopped."""
        self.session.stop()
        if self.session.id:
            self._sessions.append(self.session)
        self.session = session

    async def _asked(self, request: Awaitable[T], what: str = "") -> T:
        try:
            return await request
        except Exception as error:
            problem = explain(error, self.config, what)
        raise unchained(problem)

    def _wait(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run the coroutine on the background loop, and wait for it on this thread."""
        loop.refuse_to_wait()
        load()
        return loop.run_sync(work)
