"""What a session is made of: agent, environment and session are found, or created once, when the first prompt
is about to be sent."""

from __future__ import annotations

import asyncio
import functools
import logging
import uuid
from typing import TYPE_CHECKING, Any, Protocol

from ...answer_type import AnswerType
from ...errors import ModelNotFoundError, PraisonError, RequestRejectedError, SessionError
from ...metering.origin import current_origin
from . import agent_versions, environments, names, uploads
from .client import all_pages, ask
from .config import HostedAgentConfig
from .creation import find_marked, marked, once
from .files import list_files
from .records import Made, Workspace
from .session import HostedSession

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic

log = logging.getLogger(__name__)
RECENT = 100
"""A session that was just made is among so many of its agent's last ones."""
LOOKS = 20
"""So often a session is asked to take other tools that is idle and does not say so yet."""
PAUSE_SECONDS = 0.2


class ServerIds(Protocol):
    """Whoever keeps the ids of what was created; each is None before it was."""

    agent_id: str | None
    agent_version: int | None
    environment_id: str | None


async def ensure(
    config: HostedAgentConfig, ids: ServerIds, session: HostedSession, output: AnswerType | None = None
) -> None:
    """Find or create what the session needs and `ids` lack; or learn what a resumed one is. It gets the tool
    for answers of the type `output`. Raises PraisonError."""
    output = output or config.output
    if output is not None and output != session.output and session.can_declare(config):
        session.output, session.has_other_tools = output, bool(session.id)
    if not session.model:
        if session.id:
            retrieve = functools.partial(_retrieved, session_id=session.id)
            details = await ask(config, retrieve, session.label)
            session.known_files |= await _earlier_files(config, session)
        else:
            details = await _begun(config, ids, session)
        session.id = details.id
        session.update_from(details)
        if details.agent is None:
            # The server does not say which it has: the one that was asked for.
            session.model = config.model_name
        else:
            ids.agent_id = ids.agent_id or details.agent.id
            ids.agent_version = ids.agent_version or details.agent.version
        ids.environment_id = ids.environment_id or details.environment_id
    if session.has_other_tools and not session.over:
        try:
            await ask(config, lambda client: _give_tools(client, config, session), session.label)
        except RequestRejectedError as error:
            hint = "reset_session() begins a new one with them, in a notebook --new."
            raise SessionError(f"The session does not take the other tools. {error} {hint}") from None
        session.has_other_tools = False


async def _retrieved(client: AsyncAnthropic, session_id: str) -> Any:
    return await client.beta.sessions.retrieve(session_id)


async def _begun(config: HostedAgentConfig, ids: ServerIds, session: HostedSession) -> Any:
    """A new session. What was made earlier may be archived or deleted by now, and is made anew."""
    resources = await asyncio.to_thread(uploads.prepare_all, config.resources)
    named = "a list of skills, memory stores or vaults"
    config = await ask(config, functools.partial(names.with_ids, config=config), named)

    async def obtain(client: AsyncAnthropic) -> None:
        workspace = Workspace.of(client)
        # The one that can be used again by others first: no agent is left behind where there is none.
        if ids.environment_id is None:
            if config.environment_id:
                ids.environment_id = await environments.resolve(client, config.environment_id)
            else:
                params = config.environment_params()
                ids.environment_id = await environments.obtain(client, workspace, params)
        if ids.agent_id is None:
            if config.agent_id:
                chosen = await agent_versions.resolve(client, config.agent_id, config.agent_version)
            else:
                chosen = await agent_versions.obtain(client, workspace, config)
            ids.agent_id, ids.agent_version = chosen

    async def create(client: AsyncAnthropic) -> Any:
        try:
            return await create_session(client, config, ids, session, resources)
        except Exception as error:
            is_refused = getattr(error, "status_code", None) in (400, 404, 409)
            if not (is_refused and await _forget_ended(client, config, ids)):
                raise
        return None

    gone = "this agent or environment any more; reset_all() lets both be created anew"
    await ask(config, obtain)
    if (details := await ask(config, create, gone)) is None:
        await ask(config, obtain)
        details = await ask(
            config, lambda client: create_session(client, config, ids, session, resources), gone
        )
    return details


async def create_session(
    client: AsyncAnthropic,
    config: HostedAgentConfig,
    ids: ServerIds,
    session: HostedSession,
    resources: list[Any] | None = None,
) -> Any:
    """A new session of the agent and in the environment that `ids` has; one whose answer did not come is
    found again."""
    agent_id, environment_id = ids.agent_id or "", ids.environment_id or ""
    reference = {"type": "agent", "id": agent_id}
    if ids.agent_version is not None:
        reference["version"] = ids.agent_version  # type: ignore[assignment]
    overrides = config.overrides()
    if session.output != config.output:
        # The agent stays as it is configured.
        overrides["tools"] = config.tools_for(session.output)
    if overrides:
        reference |= {**overrides, "type": "agent_with_overrides"}

    async def find() -> Any:
        recent = all_pages(client.beta.sessions.list(agent_id=agent_id), RECENT)
        return await find_marked(recent, session.mark)

    # The answer to an earlier prompt's request may not have come.
    details: Any = await find() if session.mark else None
    if details is None:
        session.mark = session.mark or uuid.uuid4().hex
        if resources is None:
            resources = await asyncio.to_thread(uploads.prepare_all, config.resources)
        resources = [*resources, *config.memory_resources]
        params: Any = {
            **config.session_params(),
            "agent": reference,
            "environment_id": environment_id,
            "metadata": marked(dict(config.metadata), session.mark),
        }
        sessions = client.with_options(max_retries=0).beta.sessions
        async with uploads.uploaded(client, resources) as files:
            params |= {"resources": files.params} if resources else {}
            details = await once(lambda: sessions.create(**params), find)
            files.keep(details.resources)
        session.note_mounts(files.lines)
    made = Made(kind="session", id=details.id, name=details.title or "", notebook=current_origin().notebook)
    await Workspace.of(client).add(made)
    return details


async def _earlier_files(config: HostedAgentConfig, session: HostedSession) -> set[str]:
    """The ids of the files that turns wrote before. A server without files has none."""
    try:
        return {each.id for each in await ask(config, lambda client: list_files(client, session))}
    except PraisonError as error:
        log.debug("the files of %s could not be listed: %s", session.id, error)
        return set()


async def _forget_ended(client: AsyncAnthropic, config: HostedAgentConfig, ids: ServerIds) -> bool:
    """Forget the agent and the environment where they are deleted or archived, and return whether either
    was. Raises ModelNotFoundError where the user had named it."""
    workspace, has_ended = Workspace.of(client), False
    for kind, named in (("agent", config.agent_id), ("environment", config.environment_id)):
        made_id = getattr(ids, f"{kind}_id")
        try:
            resource = await getattr(client.beta, f"{kind}s").retrieve(made_id)
            if resource.archived_at is None:
                continue
        except Exception as error:
            if getattr(error, "status_code", None) not in agent_versions.GONE:
                raise
        if named:
            raise ModelNotFoundError(f"The {kind} {named!r:.80} of the config has been archived or deleted.")
        log.warning("the %s %s has ended on its server; another is used from now on", kind, made_id)
        await workspace.forget(kind, made_id)
        setattr(ids, f"{kind}_id", None)
        if kind == "agent":
            ids.agent_version = None
        has_ended = True
    return has_ended


async def _give_tools(client: AsyncAnthropic, config: HostedAgentConfig, session: HostedSession) -> None:
    """Give the session the tools and MCP servers of the config."""
    tools = config.tools_for(session.output or config.output)
    agent: Any = {"tools": tools, "mcp_servers": [dict(each) for each in config.mcp_servers]}
    for looks in range(LOOKS, -1, -1):
        try:
            session.update_from(await client.beta.sessions.update(session.id, agent=agent))
            return
        except Exception as error:
            # A session's status lags behind its idle.
            if not (looks and getattr(error, "status_code", None) == 400 and "running" in str(error)):
                raise
        await asyncio.sleep(PAUSE_SECONDS)
