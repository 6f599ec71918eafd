"""What a HostedAgent can ask of the server about its agent, which its sessions are made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from ...errors import ConfigError, RequestRejectedError
from .client import all_pages, is_stale
from .config import AGENT_FIELDS, HostedAgentConfig, names_of
from .life import Life
from .session import HostedSession


class AgentLife(Life):
    """The agent on the server: looked at, and changed."""

    def retrieve_agent(self) -> dict[str, Any]:
        """The agent as the server has it, as a dict; {} before there is one. Its version becomes the one
        that `update_agent` changes."""
        key = self.agent_id
        if key is None:
            return {}

        async def ask() -> dict[str, Any]:
            agent = await self.client().beta.agents.retrieve(key)
            self.agent_version = agent.version
            return agent.to_dict(mode="json")

        return self._wait(lambda: self._asked(ask(), f"the agent {key}"))

    def list_agents(self, limit: int | None = None, **options: Any) -> list[dict[str, Any]]:
        """The agents on the server, as dicts; all of them, or `limit`."""

        async def ask() -> list[dict[str, Any]]:
            pages = self.client().beta.agents.list(**options)
            return [agent.to_dict(mode="json") async for agent in all_pages(pages, limit)]

        return self._wait(lambda: self._asked(ask()))

    def update_agent(self, **changes: Any) -> None:
        """Change fields of the config. Where the agent exists it is changed on the server, unless somebody
        else changed it meanwhile (RequestRejectedError), and the next prompt begins a new session with it;
        the old one keeps what it was made with. A new environment is made for new packages or networking.

        What the server has already is no change: a function that was defined anew, or one of those that the
        agent had in the process that it was restored from."""
        version = changes.pop("version", self.agent_version)
        known = [field.name for field in fields(HostedAgentConfig)]
        if unknown := set(changes) - set(known):
            raise ConfigError(f"No such field: {', '.join(sorted(unknown))}. There are {', '.join(known)}.")
        if "tools" in changes and self._tools_there:
            changes["tools"] = self._with_those_there(changes["tools"])
        config = replace(self.config, **changes)
        key, ours = self.agent_id, self._changed(config, AGENT_FIELDS & changes.keys())
        if key is not None and ours:
            params = _update_params(config, ours, self.config.metadata)
            self._wait(lambda: self._asked(self._update(key, version, params), f"the agent {key}"))
        if "tools" in ours:
            self._tools_there = frozenset()
        is_moved = self.config.environment_params() != config.environment_params()
        self.config = config
        if is_moved:
            self.environment_id = None
        if self.session.id and (ours or is_moved):
            self._put_session(HostedSession())

    def _with_those_there(self, tools: Any) -> Any:
        """`tools` as they were named, and beside them what the agent has there and had here."""
        if not isinstance(tools, list | tuple) or not names_of(tools) <= self._tools_there:
            return tools
        named = names_of(tools)
        kept = [tool for tool in self.config.tools if tool not in tools and not names_of([tool]) & named]
        return [*tools, *kept]

    def _changed(self, config: HostedAgentConfig, names: frozenset[str]) -> frozenset[str]:
        """Which of the fields `names` of the agent on the server are other ones in `config`."""
        before, after = self.config.agent_params(), config.agent_params()
        for params in (before, after):
            # Those that are there are there, whether they run here by now or not yet.
            tools = params.get("tools", ())
            params["tools"] = [tool for tool in tools if tool.get("name") not in self._tools_there]
        return frozenset(name for name in names if before.get(name) != after.get(name))

    async def _update(self, agent_id: str, version: int | None, params: dict[str, Any]) -> None:
        if version is not None:
            params["version"] = version
        # A conflict would be tried again by the SDK, and stay one.
        client = self.client().with_options(max_retries=0)
        try:
            agent = await client.beta.agents.update(agent_id, **params)
        except Exception as error:
            if not is_stale(error):
                raise
            raise RequestRejectedError(
                f"The agent was changed elsewhere: version {version} is not its latest. Look at "
                "retrieve_agent(), then call update_agent again to change that version.",
                status_code=getattr(error, "status_code", None),
            ) from error
        self.agent_version = agent.version


def _update_params(
    config: HostedAgentConfig, changed: frozenset[str], metadata: Mapping[str, str]
) -> dict[str, Any]:
    """The changed fields as an update has them: what is empty clears, and metadata is a patch."""
    full = config.agent_params()
    params = {field: full.get(field) for field in changed}
    if "metadata" in changed:
        params["metadata"] = {**dict.fromkeys(metadata), **config.metadata}
    return params
