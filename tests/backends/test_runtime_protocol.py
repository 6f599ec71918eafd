"""PraisonAI's runtime protocol on a HostedAgent."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest

from praison_nb import (
    HostedAgent,
    HostedAgentConfig,
)
from praison_nb.backends.hosted import protocol
from praison_nb.errors import ConfigError, PraisonError
from servers.hosted import HostedServer


def hosted(server: HostedServer) -> HostedAgent:
    return HostedAgent(HostedAgentConfig(base_url=server.url, api_key=server.api_key))


async def say(agent: HostedAgent, session: str, prompt: str) -> None:
    content = [{"type": "text", "text": prompt}]
    await agent.send_event(session, {"type": "user.message", "content": content})


async def test_a_session_by_hand(server: HostedServer) -> None:
    agent = hosted(server)
    agent_id = await agent.create_agent()
    environment_id = await agent.create_environment({"packages": {"pip": ["pandas"]}})
    assert (agent.agent_id, agent.agent_version, agent.environment_id) == (agent_id, 1, environment_id)
    assert server.environments[environment_id]["config"]["packages"]["pip"] == ["pandas"]
    session = await agent.create_session(agent_id, environment_id, title="By hand")
    for prompt in ("one", "two"):
        await say(agent, session, prompt)
        events = [event async for event in agent.stream_events(session)]
        assert json.loads(json.dumps(events)) == events
        texts = [each["content"][0]["text"] for each in events if each["type"] == "agent.message"]
        # Only of its own turn, of which nothing was missed, though it began before the stream.
        assert texts == [prompt] and events[0]["type"] == "user.message"
        assert events[-1]["type"] == "session.status_idle"
    agent.resume_session(session)
    assert await agent.execute("three") == "three" and agent.retrieve_session()["title"] == "By hand"


async def test_an_old_idle_ends_no_stream() -> None:
    """It came before the session took the message, which was in the history already."""

    def event(key: str, kind: str, reason: str = "end_turn") -> Any:
        return SimpleNamespace(id=key, type=kind, stop_reason=SimpleNamespace(type=reason))

    async def later() -> AsyncIterator[Any]:
        yield event("e2", "session.status_idle")
        yield event("e3", "session.status_running")
        yield event("e4", "session.status_idle", "requires_action")
        yield event("e5", "agent.message")
        yield event("e6", "session.status_idle")
        yield event("e7", "agent.message")

    known = [event("e1", "user.message"), event("e2", "session.status_idle")]
    turn = [each.id async for each in protocol._turn(known, {"e1", "e2"}, later())]
    assert turn == ["e1", "e2", "e3", "e4", "e5", "e6"]


async def test_what_the_protocol_asks_in_vain(server: HostedServer) -> None:
    agent = hosted(server)
    environment = await agent.create_environment()
    with pytest.raises(PraisonError, match="404"):
        await agent.create_session("agent_none", environment)
    with pytest.raises(PraisonError, match="does not know the session sesn_none"):
        _ = [event async for event in agent.stream_events("sesn_none")]
    session = await agent.create_session(await agent.create_agent(), environment)
    with pytest.raises(ConfigError, match=r"send_event\(\) first"):
        _ = [event async for event in agent.stream_events(session)]
    with pytest.raises(ConfigError, match="did you mean 'model'"):
        await agent.create_agent({"modle": "x"})
