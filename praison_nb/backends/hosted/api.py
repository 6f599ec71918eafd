"""What one asks the server of hosted agents besides turns. Everything here runs on the background loop and
raises what the SDK raises."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from ...errors import RequestRejectedError, SessionError
from ...history import Call, Item, Result, Text, User
from ...session import SessionInfo
from ..arguments import check_options
from .client import all_pages, is_stale
from .fields import ANSWERS, TOOL_USES, plain_text, prompt_text, tool_started
from .own_message import OWN, prompt_of
from .session import HostedSession

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic

PAUSE_SECONDS = 0.2
"""Between two looks at a session that is about to stop."""
LOOKS = 3
"""So many more for a session that should be idle."""
STOP_SECONDS = 30.0
"""A session gets so long to stop before it is archived or deleted."""

# Agents


async def retrieve_agent(client: AsyncAnthropic, agent_id: str) -> dict[str, Any]:
    """The agent as the server has it."""
    return (await client.beta.agents.retrieve(agent_id)).to_dict(mode="json")


async def list_agents(
    client: AsyncAnthropic, limit: int | None, options: dict[str, Any]
) -> list[dict[str, Any]]:
    """The agents on the server, `limit` at most."""
    check_options("list_agents", options, client.beta.agents.list)
    pages = client.beta.agents.list(**options)
    return [agent.to_dict(mode="json") async for agent in all_pages(pages, limit)]


async def list_versions(client: AsyncAnthropic, agent_id: str, limit: int | None) -> list[dict[str, Any]]:
    """The agent's versions, the newest first."""
    pages = client.beta.agents.versions.list(agent_id)
    return [agent.to_dict(mode="json") async for agent in all_pages(pages, limit)]


async def update_agent(
    client: AsyncAnthropic, agent_id: str, version: int | None, params: dict[str, Any]
) -> int:
    """Change the agent and return its new version. Raises RequestRejectedError where `version` is not its
    latest."""
    if version is not None:
        params = {**params, "version": version}
    try:
        # A conflict would be tried again by the SDK, and stay one.
        agent = await client.with_options(max_retries=0).beta.agents.update(agent_id, **params)
    except Exception as error:
        if not is_stale(error):
            raise
        raise RequestRejectedError(
            f"The agent was changed elsewhere: version {version} is not its latest. Look at "
            "retrieve_agent(), then call update_agent again to change that version.",
            status_code=getattr(error, "status_code", None),
        ) from error
    return agent.version


# Sessions


async def retrieve_session(client: AsyncAnthropic, session: HostedSession) -> SessionInfo:
    """The session as the server has it."""
    sessions = client.with_options(max_retries=1, timeout=30).beta.sessions
    details = await sessions.retrieve(session.id)
    for _ in range(LOOKS):
        if not session.is_idle_after_turn or details.status != "running":
            break
        # The status lags a little behind the stream, by which the session is idle.
        await asyncio.sleep(PAUSE_SECONDS)
        details = await sessions.retrieve(session.id)
    return session.update_from(details)


async def list_sessions(
    client: AsyncAnthropic, own: HostedSession, limit: int | None, options: dict[str, Any]
) -> list[SessionInfo]:
    """The sessions on the server, newest first, `limit` at most, of which one may be our `own`; `options`
    are the API's filters."""
    check_options("list_sessions", options, client.beta.sessions.list)
    listed = [details async for details in all_pages(client.beta.sessions.list(**options), limit)]
    sessions = [own if details.id == own.id else HostedSession(details.id) for details in listed]
    return [session.update_from(details) for session, details in zip(sessions, listed, strict=True)]


async def interrupt(client: AsyncAnthropic, session: HostedSession) -> None:
    """Tell the session to stop, unless it is known to do nothing."""
    if not session.is_idle_after_turn:
        await _interrupt(client, session.id)


async def _interrupt(client: AsyncAnthropic, session_id: str) -> None:
    await client.beta.sessions.events.send(session_id, events=[{"type": "user.interrupt"}])


async def archive_session(client: AsyncAnthropic, session: HostedSession) -> None:
    """Stop the session, and let it take no more prompts. Raises SessionError where it does not stop."""
    async with _stopped(client, session):
        await client.beta.sessions.archive(session.id)


async def delete_session(client: AsyncAnthropic, session: HostedSession) -> None:
    """Stop the session and delete it. Raises SessionError where it does not stop."""
    async with _stopped(client, session):
        await client.beta.sessions.delete(session.id)


@asynccontextmanager
async def _stopped(client: AsyncAnthropic, session: HostedSession) -> AsyncIterator[None]:
    """Interrupt the session while it runs, and wait until it does not; no turn begins meanwhile."""
    session.stop()
    clock = asyncio.get_running_loop().time
    async with session.lock:  # until the turn has stopped the session and read its usage
        deadline = clock() + STOP_SECONDS
        is_interrupted = False
        while (await client.beta.sessions.retrieve(session.id)).status in ("running", "rescheduling"):
            if clock() > deadline:
                raise SessionError(f"The session {session.id} does not stop. Try again later.")
            if not is_interrupted:
                await _interrupt(client, session.id)
                is_interrupted = True
            await asyncio.sleep(PAUSE_SECONDS)
        yield


async def set_budget(client: AsyncAnthropic, session_id: str, budget: Any) -> None:
    """Set the session's budget, an object of the API's or None. One without any cannot get one."""
    await client.beta.sessions.update(session_id, budget=budget)


# The messages of a session

_RESULTS = {kind: name for kind, name in ANSWERS.items() if kind != "user.tool_confirmation"}


async def read_messages(client: AsyncAnthropic, session_id: str) -> list[Item]:
    """What was said in the session, oldest first, as `Backend.read_messages` has it."""
    events = client.with_options(max_retries=1, timeout=30).beta.sessions.events
    kinds: Any = [*OWN, "agent.message", *TOOL_USES, *_RESULTS]
    pages = events.list(session_id, order="asc", types=kinds)
    return [item async for event in all_pages(pages) if (item := _item(event)) is not None]


def _item(event: Any) -> Item | None:
    """The event as an item; None where it is none: a server that does not know the filter lists all."""
    if event.type in TOOL_USES:
        use = tool_started(event)
        return Call(id=use.call_id, name=use.name, arguments=use.arguments)
    content = getattr(event, "content", None)
    text = prompt_text(content) if event.type == "user.message" else plain_text(content)
    if event.type in _RESULTS:
        is_error = getattr(event, "is_error", None) is True
        return Result(call_id=getattr(event, _RESULTS[event.type]), text=text, is_error=is_error)
    if event.type == "user.message" and text:
        return User(text=text, id=event.id)
    if event.type == "user.define_outcome":
        return User(text=prompt_of(event), id=event.id)
    if event.type == "agent.message" and text:
        return Text(text=text, id=event.id)
    return None
