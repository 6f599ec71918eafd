"""PraisonAI's runtime protocol on a HostedAgent: agents, environments, sessions and their events, each by its
id and awaited. What the agent itself does with a prompt is not touched by it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from ...errors import ConfigError
from ...runtime import loop
from ..config_base import Secret
from . import agent_versions, environments
from .base import HostedBase
from .client import KEY_VARIABLE, all_pages, ask, client_of, explain, load
from .config import HostedAgentConfig
from .ensure import create_session
from .fields import stop_reason
from .names import with_ids
from .records import Workspace
from .session import HostedSession

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic

T = TypeVar("T")
_WORKING = ("agent.", "span.", "session.status_running", "session.status_rescheduled")
"""How the types of events begin that show that the session works on a message."""


@dataclass
class _Ids:
    agent_id: str | None
    agent_version: int | None
    environment_id: str | None


class RuntimeProtocol(HostedBase):
    """The methods that PraisonAI's `ManagedRuntimeProtocol` has and a HostedAgent has not by another name.
    They are awaited, in a cell or on any loop, and raise PraisonError."""

    provider = "anthropic"

    @property
    def api_key(self) -> str | None:
        """The key that is used, which no repr shows; None where there is none."""
        return Secret.of(self.config.api_key or os.environ.get(KEY_VARIABLE))

    async def create_agent(self, config: HostedAgentConfig | Mapping[str, Any] | None = None) -> str:
        """Find the agent of this configuration or create it, and return its id. `config` is a
        HostedAgentConfig or a dict of its fields, by default the agent's own. It is this object's agent from
        now on."""
        made = self._config(config)
        agent_id, version = await self._await(lambda client: _obtained(client, made))
        self.agent_id, self.agent_version = agent_id, version
        return agent_id

    async def create_environment(self, config: HostedAgentConfig | Mapping[str, Any] | None = None) -> str:
        """Find an environment of this configuration or create it, and return its id; `config` as for
        `create_agent`. It is this object's from now on."""
        params = self._config(config).environment_params()
        made = await self._await(lambda client: environments.obtain(client, Workspace.of(client), params))
        self.environment_id = made
        return made

    async def create_session(self, agent_id: str, environment_id: str, **options: Any) -> str:
        """Create a session of the agent in the environment and return its id, for `resume_session` too.
        `options` are fields of the config for this session: `title`, `resources`, `vault_ids`, `budget`. Of
        this object's agent it has `agent_version`."""
        config = replace(self.config, **options)
        version = self.agent_version if agent_id == self.agent_id else None
        ids = _Ids(agent_id, version, environment_id)

        async def create(client: AsyncAnthropic) -> Any:
            return await create_session(client, await with_ids(client, config), ids, HostedSession())

        details = await self._await(create, "this agent or environment")
        return str(details.id)

    async def send_event(self, session_id: str, event: Mapping[str, Any]) -> None:
        """Send the session an event, such as `{"type": "user.message", "content": [{"type": "text", "text":
        "Hello!"}]}`."""
        if not isinstance(event, Mapping):
            raise ConfigError(f"event must be a dict with a type, as the API has it, not {event!r:.40}.")
        events: Any = [dict(event)]
        await self._await(
            lambda client: client.beta.sessions.events.send(session_id, events=events),
            f"the session {session_id}",
        )

    async def stream_events(self, session_id: str) -> AsyncGenerator[dict[str, Any], None]:
        """The session's events as dicts, from its last message of the user's on, until it is idle again and
        waits for nothing. What was sent before this was called is not missed."""
        events = _events(self.config, session_id)
        try:
            while True:
                try:
                    yield await _on_loop(events.__anext__)
                except StopAsyncIteration:
                    return
        finally:
            await _on_loop(events.aclose)

    def _config(self, config: HostedAgentConfig | Mapping[str, Any] | None) -> HostedAgentConfig:
        if isinstance(config, Mapping):
            return HostedAgentConfig(**config)
        return self.config if config is None else HostedAgentConfig.of(config)

    async def _await(self, request: Callable[[AsyncAnthropic], Awaitable[T]], what: str = "") -> T:
        return await _on_loop(lambda: ask(self.config, request, what))


async def _obtained(client: AsyncAnthropic, config: HostedAgentConfig) -> tuple[str, int]:
    return await agent_versions.obtain(client, Workspace.of(client), await with_ids(client, config))


async def _on_loop(function: Callable[[], Awaitable[T]]) -> T:
    """What `await function()` returns on the background loop, where the client lives."""

    async def run() -> tuple[T, bool] | tuple[None, bool]:
        try:
            return await function(), True
        except StopAsyncIteration:
            # A future cannot hold it.
            return None, False

    value, is_there = await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(run(), loop.get()))
    if not is_there:
        raise StopAsyncIteration
    return value  # type: ignore[return-value]


async def _events(config: HostedAgentConfig, session_id: str) -> AsyncGenerator[dict[str, Any], None]:
    await asyncio.to_thread(load)
    try:
        events = client_of(config).beta.sessions.events
        # First the stream, then the history: nothing falls between the two.
        async with await events.stream(session_id) as stream:
            history = [event async for event in all_pages(events.list(session_id, order="asc"))]
            messages = [place for place, event in enumerate(history) if event.type == "user.message"]
            if not messages:
                raise ConfigError(f"The session {session_id} has no message yet: send_event() first.")
            async for event in _turn(history[messages[-1] :], {event.id for event in history}, stream):
                yield event.to_dict(mode="json")
    except Exception as error:
        raise explain(error, config, f"the session {session_id}") from None


async def _turn(known: list[Any], seen: set[str], stream: AsyncIterator[Any]) -> AsyncGenerator[Any, None]:
    """The events of the turn, each once. An idle from before the session took the message ends nothing."""
    is_working = False

    def ends(event: Any) -> bool:
        nonlocal is_working
        is_working = is_working or event.type.startswith(_WORKING)
        is_idle = event.type == "session.status_idle" and stop_reason(event) != "requires_action"
        return event.type == "session.status_terminated" or (is_idle and is_working)

    for event in known:
        yield event
        if ends(event):
            return
    async for event in stream:
        if event.id not in seen:
            seen.add(event.id)
            yield event
            if ends(event):
                return
