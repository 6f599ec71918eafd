"""What the parts of a HostedAgent share; the methods that ask its server are in modules by subject."""

from __future__ import annotations

import weakref
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from ...runtime import loop
from ..arguments import check_methods
from ..base import Backend
from .client import address_of, ask, client_of
from .config import HostedAgentConfig
from .session import HostedSession

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic

T = TypeVar("T")


class HostedBase(Backend):
    """Config, session and ids, and how one asks the server."""

    def __init__(self, config: HostedAgentConfig | None) -> None:
        super().__init__()
        self.config = HostedAgentConfig.of(config)
        self.session: HostedSession = HostedSession()
        self.agent_id: str | None = None
        self.agent_version: int | None = None
        self.environment_id: str | None = None
        """Its id on the server, as `agent_id` and its version are: None before there is one."""
        _live.add(self)
        self._restored_tools: frozenset[str] = frozenset()
        """The names of the tools that ran in the process that the agent was restored from."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        check_methods(cls)

    def client(self) -> AsyncAnthropic:
        """The SDK's async client, for use on the background loop. Raises MissingKeyError."""
        return client_of(self.config)

    def _ask(self, request: Callable[[AsyncAnthropic], Awaitable[T]], what: str = "") -> T:
        """What `request(client)` returns, which runs on the background loop while this thread waits."""
        return loop.run_sync(lambda: ask(self.config, request, what))


_live: weakref.WeakSet[HostedBase] = weakref.WeakSet()


def sessions_here(config: HostedAgentConfig) -> set[str]:
    """The ids of the sessions of the config's server that HostedAgents of this process are in."""
    address = address_of(config)
    ids = [each.session.id for each in list(_live) if address_of(each.config) == address]
    return {each for each in ids if each}
