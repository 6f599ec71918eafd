"""The methods of a HostedAgent about sessions on its server."""

from __future__ import annotations

import functools
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from ...errors import ConfigError, PraisonError
from ...history import Item
from ...runtime import loop
from ..session import Session
from . import api
from .base import HostedBase
from .budget import BudgetLimit, budget_dict
from .client import ask
from .config import HostedAgentConfig
from .session import HostedSession

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic

log = logging.getLogger(__name__)


class SessionMethods(HostedBase):
    """What one asks about sessions, and how they end."""

    def __init__(self, config: HostedAgentConfig | None) -> None:
        super().__init__(config)
        self._limit = BudgetLimit()

    def retrieve_session(self) -> dict[str, Any]:
        """The session as the server knows it: `{"id", "status", "title", "usage"}`. Never raises: what
        cannot be had is "unknown", with what was known last. Without a session it asks nobody."""
        session = self.session
        if not session.id or loop.on_loop_thread():
            return session.cached_info().to_dict()
        try:
            return self._ask(lambda client: api.retrieve_session(client, session), session.label).to_dict()
        except PraisonError as error:
            log.warning("retrieve_session: %s", error)
            return session.cached_info(is_reachable=False).to_dict()

    async def read_messages(self, session: Session) -> list[Item]:
        """The messages of `session` on the server. Asks nobody while it has no id."""
        messages = functools.partial(api.read_messages, session_id=session.id)
        return await ask(self.config, messages, f"the session {session.id}") if session.id else []

    def has_session(self, session_id: str) -> bool:
        """Whether the server has a session of this id, whatever its ids look like."""

        async def retrieve(client: AsyncAnthropic) -> bool:
            try:
                await client.beta.sessions.retrieve(session_id)
            except Exception as error:
                if getattr(error, "status_code", None) not in (400, 403, 404, 422):
                    raise
                return False
            return True

        return self._ask(retrieve)

    def list_sessions(self, limit: int | None = None, **options: Any) -> list[dict[str, Any]]:
        """The agent's sessions on the server, newest first, each as `retrieve_session()` has it; all of
        them, or `limit`. `options` are the API's filters (agent_id, statuses, include_archived, …). Without
        an agent and without options there are none."""
        if self.agent_id is not None:
            options.setdefault("agent_id", self.agent_id)
        if not options:
            return []
        sessions = self._ask(lambda client: api.list_sessions(client, self.session, limit, options))
        return [session.to_dict() for session in sessions]

    def rename(self, title: str, session_id: str | None = None) -> None:
        """Give the session, or another one by its id, this title on the server. Before there is a session,
        the next one gets it."""
        if not isinstance(title, str) or not title.strip():
            raise ConfigError("title must be text that is not empty.")
        if key := session_id or self.session.id:
            self._ask(lambda client: client.beta.sessions.update(key, title=title), f"the session {key}")
        if key == self.session.id:
            super().rename(title)
        if not key:
            self.config = replace(self.config, title=title)

    def interrupt(self) -> None:
        """Stop the turn under way, or what a resumed session does on its server; else nothing happens."""
        session = self.session
        if not session.stop() and session.id and not session.over:
            self._ask(lambda client: api.interrupt(client, session), session.label)

    def archive_session(self, session_id: str | None = None) -> None:
        """Archive the session, or another one by its id: it takes no more prompts, and stays on the server
        to be read. One that runs is interrupted first."""
        self._end(session_id, api.archive_session)

    def delete_session(self, session_id: str | None = None) -> None:
        """Delete the session, or another one by its id. One that runs is interrupted first."""
        self._end(session_id, api.delete_session)

    def _end(self, session_id: str | None, end: Callable[..., Awaitable[None]]) -> None:
        session = self.session if session_id in (None, "", self.session.id) else HostedSession(session_id)
        if not session.id:
            raise ConfigError("There is no session yet: nothing to archive or delete.")
        self._ask(lambda client: end(client, session), session.label)
        if self.session is session:
            self.reset_session()

    def set_budget(self, budget: float | Decimal | None) -> None:
        """Raise the session's budget, in USD at list price, or lift it with None. A session that was made
        without a budget cannot get one. Later sessions have it from the start."""
        config, session, limit = replace(self.config, budget=budget), self.session, budget_dict(budget)
        if session.id:
            self._ask(lambda client: api.set_budget(client, session.id, limit), session.label)
            usd = None if limit is None else Decimal(limit["max_list_cost"]["amount"]) / 100
            session.budget = session.own_budget = usd
        self.config = config

    def limit_budget(self, limit: Decimal | None) -> None:
        """Have the server end the session at `limit` (USD) where that is less than the config's own budget;
        None lifts the limit. A session that was made without a budget stays without."""
        current = self.config.budget
        if self.session.id and current is None:
            return
        if (budget := self._limit.apply(current, limit)) != current:
            self.set_budget(budget)
