"""A hosted agent whose tools are named again: what its server has already is no change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from praison_nb import HostedAgent
from servers.hosted import HostedServer, custom_tool, text
from servers.hosted_agent import hosted, play


def made(factor: int = 1) -> Callable[..., int]:
    def add(a: int, b: int) -> int:
        """Add two numbers."""
        return factor * (a + b)

    return add


def other(x: str) -> str:
    return x


def again(server: HostedServer, agent: HostedAgent) -> HostedAgent:
    """The agent in another process, which knows what the store knows: the ids, and our own tools by name."""
    ids = {**agent.save_ids(), "session_id": agent.session_id}
    ours = [tool for tool in agent.config.tools if isinstance(tool, str)]
    restored = hosted(server, tools=ours) if ours else hosted(server)
    restored.restore_ids(ids)
    return restored


def sum_of(server: HostedServer, agent: HostedAgent) -> str:
    server.script([custom_tool("add", {"a": 1, "b": 2}), text("Done.")])
    turn, _ = play(agent)
    assert turn.text == "Done."
    return turn.tools[-1].result


def test_a_function_that_was_defined_anew(server: HostedServer) -> None:
    agent = hosted(server, tools=[made()])
    assert sum_of(server, agent) == "3"
    session = agent.session_id
    agent.update_agent(tools=[made(10)])
    assert sum_of(server, agent) == "30"
    assert agent.session_id == session and agent.agent_version == 1


def test_a_function_with_other_parameters_is_a_change(server: HostedServer) -> None:
    def add(a: int, b: int, c: int = 0) -> int:
        return a + b + c

    agent = hosted(server, tools=[made()])
    sum_of(server, agent)
    session = agent.session_id
    agent.update_agent(tools=[add])
    assert agent.agent_version == 2
    assert sum_of(server, agent) == "3" and agent.session_id == session
    (update,) = server.seen("POST", f"/v1/sessions/{session}")
    assert list(update.json["agent"]["tools"][0]["input_schema"]["properties"]) == ["a", "b", "c"]


@pytest.mark.parametrize("before", [[made()], ["read_file", made()]], ids=["alone", "beside ours"])
def test_in_another_process(server: HostedServer, before: list[Any]) -> None:
    first = hosted(server, tools=before)
    sum_of(server, first)
    agent = again(server, first)
    for _ in range(2):  # the cell is run once more
        agent.update_agent(tools=[made(10)])
        assert sum_of(server, agent) == "30"
    assert agent.session_id == first.session_id and agent.agent_version == 1
    # What is not named again stays as it was.
    assert [tool for tool in agent.config.tools if isinstance(tool, str)] == before[:-1]
    third = again(server, agent)
    third.update_agent(tools=[made()])
    assert sum_of(server, third) == "3" and third.session_id == first.session_id


def test_another_tool_is_a_change(server: HostedServer) -> None:
    first = hosted(server, tools=[made()])
    sum_of(server, first)
    agent = again(server, first)
    agent.update_agent(tools=[made(), other])
    assert agent.session_id == first.session_id and agent.agent_version == 2
    assert sum_of(server, agent) == "3"
    assert {tool["name"] for tool in agent.retrieve_agent()["tools"]} == {"add", "other"}
    (session,) = server.sessions.values()
    assert {tool["name"] for tool in session.fields["agent"]["tools"]} == {"add", "other"}


def test_the_same_packages_are_no_change(server: HostedServer) -> None:
    agent = hosted(server, packages={"pip": ["pandas"]})
    play(agent)
    session = agent.session_id
    agent.update_agent(packages={"pip": ["pandas"]})
    assert agent.session_id == session
    agent.update_agent(packages={"pip": ["polars"]})
    assert agent.session_id is None
