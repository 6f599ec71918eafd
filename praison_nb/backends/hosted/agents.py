"""The methods of a HostedAgent about agents on its server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...errors import ConfigError, RequestRejectedError
from . import api
from .agent_versions import record, with_version
from .base import HostedBase
from .config_changes import changed_config, update_params
from .names import with_ids
from .records import Workspace

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic

SESSION_FIELDS = frozenset(("tools", "mcp_servers"))
"""What a session can be given while it goes on."""


class AgentMethods(HostedBase):
    """What one asks about agents."""

    def retrieve_agent(self) -> dict[str, Any]:
        """The agent as the server has it, as a dict; {} before there is one. Its version becomes the one
        that `update_agent` changes."""
        if (agent_id := self.agent_id) is None:
            return {}
        agent = self._ask(lambda client: api.retrieve_agent(client, agent_id), _label(agent_id))
        self.agent_version = agent.get("version", self.agent_version)
        return agent

    def list_agents(self, limit: int | None = None, **options: Any) -> list[dict[str, Any]]:
        """The agents on the server, as dicts; all of them, or `limit`. `options` are the API's filters
        (include_archived, …)."""
        return self._ask(lambda client: api.list_agents(client, limit, options))

    def list_agent_versions(self, limit: int | None = None) -> list[dict[str, Any]]:
        """The agent's versions, the newest first, as dicts; none before there is an agent."""
        if (agent_id := self.agent_id) is None:
            return []
        return self._ask(lambda client: api.list_versions(client, agent_id, limit), _label(agent_id))

    def archive_agent(self, agent_id: str | None = None) -> None:
        """Archive the agent, or another one by its id: for good. Its sessions go on; the next one gets a new
        agent."""
        if (key := agent_id or self.agent_id) is None:
            raise ConfigError("There is no agent yet: nothing to archive.")

        async def archive(client: AsyncAnthropic) -> None:
            await client.beta.agents.archive(key)
            await Workspace.of(client).forget("agent", key)

        self._ask(archive, _label(key))
        if key == self.agent_id:
            self.agent_id = self.agent_version = None

    def update_agent(self, **changes: Any) -> None:
        """Change fields of the config. Where the agent exists it gets a new version on the server. Other
        tools and MCP servers the session gets too, and goes on; for all else the next prompt begins a new
        session, and the old one keeps what it was made with. Other packages or networking mean another
        environment.

        An agent that the config names by `agent_id` is somebody's: only this session, and those to come, get
        the other tools, and what somebody else changed meanwhile is not overwritten (RequestRejectedError),
        as with `version=`, the version that is to be changed.

        What the server has already is no change: a function that was defined anew, or one of those that the
        agent had in the process that it was restored from."""
        version = changes.pop("version", None)
        before = self.config
        after, changed = changed_config(before, changes, self._restored_tools)
        is_strict = version is not None or bool(before.agent_id)
        on_server = changed - SESSION_FIELDS if before.agent_id else changed
        if (agent_id := self.agent_id) is not None and on_server:
            latest = version or self.agent_version

            async def update(client: AsyncAnthropic) -> int:
                full = await with_ids(client, after)
                params = update_params(before, full, on_server)
                try:
                    new = await api.update_agent(client, agent_id, latest, params)
                except RequestRejectedError:
                    # Another conversation of this notebook may have changed it: each has its version.
                    agent = None if is_strict else await with_version(client, agent_id, full.agent_params())
                    if agent is None:
                        raise
                    new = agent.version
                if not before.agent_id:
                    await record(Workspace.of(client), full, agent_id, new)
                return new

            self.agent_version = self._ask(update, _label(agent_id))
        if "tools" in changed:
            self._restored_tools = frozenset()
        self.config = after
        if after.environment_params() != before.environment_params():
            self.environment_id = None
            self._begin_anew()
        elif after.agent_id != before.agent_id or after.agent_version != before.agent_version:
            self.agent_id = self.agent_version = None
            self._begin_anew()
        elif changed - SESSION_FIELDS:
            self._begin_anew()
        elif changed and self.session.id:
            self.session.has_other_tools = True

    def _begin_anew(self) -> None:
        if self.session.id:
            self.reset_session()


def _label(agent_id: str) -> str:
    return f"the agent {agent_id}"
