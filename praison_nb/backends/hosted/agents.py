"""The methods of a HostedAgent about agents on its server."""

from __future__ import annotations

from typing import Any

from . import api
from .base import HostedBase
from .config import changed_config, update_params


class AgentMethods(HostedBase):
    """What one asks about agents."""

    def retrieve_agent(self) -> dict[str, Any]:
        """The agent as the server has it, as a dict; {} before there is one. Its version becomes the one
        that `update_agent` changes."""
        if (agent_id := self.agent_id) is None:
            return {}
        agent = self._ask(lambda client: api.retrieve_agent(client, agent_id), f"the agent {agent_id}")
        self.agent_version = agent.get("version", self.agent_version)
        return agent

    def list_agents(self, limit: int | None = None, **options: Any) -> list[dict[str, Any]]:
        """The agents on the server, as dicts; all of them, or `limit`."""
        return self._ask(lambda client: api.list_agents(client, limit, options))

    def update_agent(self, **changes: Any) -> None:
        """Change fields of the config. Where the agent exists it is changed on the server, unless somebody
        else changed it meanwhile (RequestRejectedError), and the next prompt begins a new session with it;
        the old one keeps what it was made with. A new environment is made for new packages or networking.

        What the server has already is no change: a function that was defined anew, or one of those that the
        agent had in the process that it was restored from."""
        version = changes.pop("version", self.agent_version)
        before = self.config
        after, changed = changed_config(before, changes, self._restored_tools)
        if (agent_id := self.agent_id) is not None and changed:
            params = update_params(before, after, changed)
            self.agent_version = self._ask(
                lambda client: api.update_agent(client, agent_id, version, params), f"the agent {agent_id}"
            )
        if "tools" in changed:
            self._restored_tools = frozenset()
        self.config = after
        if is_moved := before.environment_params() != after.environment_params():
            self.environment_id = None
        if self.session.id and (changed or is_moved):
            self.reset_session()
