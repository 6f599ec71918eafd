"""The environments that sessions run in: found or made, and the methods of a HostedAgent about them."""

from __future__ import annotations

from typing import Any

from ...errors import ConfigError
from .base import HostedBase
from .client import all_pages


class EnvironmentMethods(HostedBase):
    """What one asks about environments, and how they end."""

    def list_environments(self, limit: int | None = None, **options: Any) -> list[dict[str, Any]]:
        """The environments on the server, as dicts; all of them, or `limit`. `options` are the API's
        filters (include_archived)."""

        async def listed(client: Any) -> list[dict[str, Any]]:
            pages = client.beta.environments.list(**options)
            return [each.to_dict(mode="json") async for each in all_pages(pages, limit)]

        return self._ask(listed)

    def retrieve_environment(self, environment_id: str | None = None) -> dict[str, Any]:
        """The agent's environment, or another one by its id, as a dict; {} before there is one."""
        if (key := environment_id or self.environment_id) is None:
            return {}
        environment = self._ask(lambda client: client.beta.environments.retrieve(key), _label(key))
        return environment.to_dict(mode="json")

    def archive_environment(self, environment_id: str | None = None) -> None:
        """Archive the agent's environment, or another one by its id: for good. Sessions that run in it go
        on; the next one gets another."""
        self._end_environment(environment_id, "archive")

    def delete_environment(self, environment_id: str | None = None) -> None:
        """Delete the agent's environment, or another one by its id."""
        self._end_environment(environment_id, "delete")

    def _end_environment(self, environment_id: str | None, how: str) -> None:
        if (key := environment_id or self.environment_id) is None:
            raise ConfigError(f"There is no environment yet: nothing to {how}.")
        self._ask(lambda client: getattr(client.beta.environments, how)(key), _label(key))
        if key == self.environment_id:
            self.environment_id = None


def _label(environment_id: str) -> str:
    return f"the environment {environment_id}"
