"""The agent of a configuration: made once, a version for each configuration that it had, and found again by
its id in the records."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from ...errors import ConfigError, ModelNotFoundError
from ...metering.origin import current_origin
from .client import all_pages, is_stale
from .config import AGENT_FIELDS, HostedAgentConfig
from .creation import MARK, find_marked, marked, once
from .records import Made, Workspace, digest_of

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic

GONE = (403, 404)
"""The statuses for what is not there, or another workspace's."""
MOST_CHANGES = 5
"""Others may change an agent so often while it is changed here."""


async def obtain(client: AsyncAnthropic, workspace: Workspace, config: HostedAgentConfig) -> tuple[str, int]:
    """Id and version of the agent with this name in this notebook, as the configuration has it."""
    params, notebook = config.agent_params(), current_origin().notebook
    digest = digest_of(params)

    async def known() -> list[Made]:
        return await workspace.find("agent", name=config.name, notebook=notebook)

    def as_configured(versions: list[Made]) -> tuple[str, int] | None:
        return next(((each.id, each.version or 1) for each in versions if each.digest == digest), None)

    if (found := as_configured(await known())) is not None:
        return found
    async with workspace.alone():
        versions = await known()
        if (found := as_configured(versions)) is not None:
            return found
        agent = None
        # A key that was changed is another key of the same workspace, where its agents are.
        ids = [each.id for each in versions or await workspace.find_with_other_keys(config.name, notebook)]
        for agent_id in dict.fromkeys(ids):
            if (agent := await with_version(client, agent_id, params)) is not None:
                break
            await workspace.forget("agent", agent_id)
        agent = agent or await _made(client, params)
        await record(workspace, config, agent.id, agent.version)
        return agent.id, agent.version


async def record(workspace: Workspace, config: HostedAgentConfig, agent_id: str, version: int) -> None:
    """Note which version of the agent has the configuration."""
    notebook, digest = current_origin().notebook, digest_of(config.agent_params())
    made = Made(
        kind="agent", id=agent_id, name=config.name, notebook=notebook, digest=digest, version=version
    )
    await workspace.add(made)


async def _made(client: AsyncAnthropic, params: dict[str, Any]) -> Any:
    mark = uuid.uuid4().hex
    agents = client.with_options(max_retries=0).beta.agents
    params = {**params, "metadata": marked(params.get("metadata", {}), mark)}

    async def find() -> Any:
        return await find_marked(all_pages(client.beta.agents.list(limit=100)), mark)

    return await once(lambda: agents.create(**params), find)


async def with_version(client: AsyncAnthropic, agent_id: str, params: dict[str, Any]) -> Any:
    """The agent, changed to this configuration; None where it is gone or archived."""
    for others in range(MOST_CHANGES, -1, -1):
        try:
            agent = await client.beta.agents.retrieve(agent_id)
            if agent.archived_at is not None:
                return None
            change: dict[str, Any] = {name: params.get(name) for name in AGENT_FIELDS}
            cleared = dict.fromkeys(key for key in agent.metadata or () if key != MARK)
            change |= {"metadata": {**cleared, **params.get("metadata", {})}, "version": agent.version}
            return await client.with_options(max_retries=0).beta.agents.update(agent_id, **change)
        except Exception as error:
            if getattr(error, "status_code", None) in GONE:
                return None
            if not (is_stale(error) and others):
                raise
    return None


async def resolve(client: AsyncAnthropic, key: str, version: int | None) -> tuple[str, int]:
    """Id and version of the agent that the user names, by its id or its name; its latest version where they
    name none. Raises ModelNotFoundError and ConfigError."""
    listed = [each async for each in all_pages(client.beta.agents.list(include_archived=True, limit=100))]
    matches = [each for each in listed if each.id == key] or [each for each in listed if each.name == key]
    usable = [each for each in matches if each.archived_at is None]
    if not usable:
        state = "is archived" if matches else "is not there, by id or by name"
        raise ModelNotFoundError(f"agent_id={key!r:.80} {state}. list_agents() has those that there are.")
    if len(usable) > 1:
        ids = ", ".join(each.id for each in usable[:5])
        raise ConfigError(f"Several agents are called {key!r:.80}: give the id of one as agent_id, of {ids}.")
    return usable[0].id, version or usable[0].version
