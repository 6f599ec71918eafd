"""HostedAgent between turns: what is created, kept and changed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest

from praison_nb import Agent, HostedAgent, errors as e
from praison_nb.runtime import loop
from servers.hosted import HostedServer, terminated, text
from servers.hosted_agent import KEY, created, hosted
from servers.hosted_files import add_file

FRESH = {"id": "", "status": "unknown", "title": "", "usage": {"input_tokens": 0, "output_tokens": 0}}
# Keys and prompts


def test_without_a_key_nothing_is_asked(server: HostedServer) -> None:
    agent = hosted(server, api_key=None)
    assert agent.retrieve_session() == FRESH and agent.list_sessions() == [] and agent.retrieve_agent() == {}
    turn = agent.begin("Hi").wait()
    assert isinstance(turn.error, e.MissingKeyError) and "ANTHROPIC_API_KEY" in str(turn.error)
    with pytest.raises(e.MissingKeyError):
        agent.list_agents()
    assert not server.requests and agent.save_ids() == dict.fromkeys(agent.save_ids())


@pytest.mark.parametrize("prompt", ["", " \n", None])
def test_an_empty_prompt_creates_nothing(server: HostedServer, prompt: Any) -> None:
    with pytest.raises(e.ConfigError):
        hosted(server).begin(prompt)
    assert not server.requests


def test_key_and_address_come_from_the_environment(
    server: HostedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
    assert Agent(backend=HostedAgent()).start("Hi") == "Hi"
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", KEY)
    assert Agent(backend=HostedAgent(provider="anthropic")).start("Hi") == "Hi"


def test_a_key_is_never_shown(server: HostedServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="praison_nb")
    token = "ghp_0123456789abcdef"
    resource = {"type": "github_repository", "url": "https://example.org/r", "authorization_token": token}
    agent = hosted(server, api_key=KEY, resources=[resource])
    server.refuse(100, status=401, message=f"bad key {KEY} or {token}")
    turn = agent.begin("Hi").wait()
    assert isinstance(turn.error, e.AuthenticationError)
    agent.resume_session("sesn_1")
    assert agent.retrieve_session()["status"] == "unknown"
    for said in (str(turn.error), repr(turn.error), repr(agent), repr(agent.config), caplog.text, repr(turn)):
        assert KEY not in said and token not in said
    assert "retrieve_session" in caplog.text


# Create once


def test_a_failed_creation_is_taken_up_where_it_stood(server: HostedServer) -> None:
    agent = hosted(server)
    server.refuse(1, status=400, method="POST", path="/v1/environments", message="no more environments")
    turn = agent.begin("Hi").wait()
    assert isinstance(turn.error, e.RequestRejectedError) and "no more environments" in str(turn.error)
    assert agent.retrieve_session() == {**FRESH, "status": "error"}
    assert agent.begin("Hi").wait().text == "Hi" and created(server) == [1, 2, 1]


def test_everything_of_the_config_arrives(server: HostedServer) -> None:
    policy = {"permission_policy": {"type": "always_ask"}}
    file = server.call(lambda: add_file(server, "data.csv", b"a,b", downloadable=False))
    agent = hosted(
        server,
        name="analyst",
        model={"id": "claude-haiku-4-5", "effort": "low"},
        description="It counts.",
        tools=[
            {"type": "agent_toolset_20260401", "default_config": policy},
            {"type": "mcp_toolset", "mcp_server_name": "docs"},
        ],
        mcp_servers=[{"type": "url", "name": "docs", "url": "https://example.org/mcp"}],
        skills=[{"type": "anthropic", "skill_id": "xlsx"}],
        metadata={"team": "a"},
        env_name="lab",
        packages={"pip": ["pandas==2.2.3"]},
        resources=[{"type": "file", "file_id": file["id"]}],
        vault_ids=[vault := hosted(server).create_vault("crm")],
        budget=2.5,
    )
    turn = agent.begin("Hi").wait()
    assert turn.text == "Hi" and turn.model == "claude-haiku-4-5"
    environment = server.seen("POST", "/v1/environments")[0].json
    assert environment.pop("metadata").keys() == {"praison_nb"}
    assert environment == {
        "name": "lab",
        "config": {
            "type": "cloud",
            "networking": {"type": "unrestricted"},
            "packages": {"pip": ["pandas==2.2.3"]},
        },
    }
    session = server.seen("POST", "/v1/sessions")[0].json
    assert session["budget"]["max_list_cost"] == {"amount": "250", "currency": "USD"}
    assert session["vault_ids"] == [vault] and session["environment_id"] == agent.environment_id
    assert {**agent.retrieve_agent()["metadata"], "praison_nb": ""} == {"team": "a", "praison_nb": ""}


def test_resets(server: HostedServer) -> None:
    agent = hosted(server)
    agent.begin("one").wait()
    first = agent.save_ids()
    agent.reset_session()
    assert agent.session_id is None and agent.retrieve_session() == FRESH
    agent.begin("two").wait()
    assert created(server) == [1, 1, 2] and agent.session_id != first["session_id"]
    agent.reset_all()
    assert agent.save_ids() == dict.fromkeys(first) and agent.list_sessions() == []
    agent.begin("three").wait()
    assert created(server) == [1, 1, 3]  # what has the same configuration is found again


def test_ids_are_saved_and_restored(server: HostedServer) -> None:
    first = hosted(server)
    first.begin("one").wait()
    ids = first.save_ids()
    assert ids == {
        "agent_id": first.agent_id,
        "agent_version": 1,
        "environment_id": first.environment_id,
        "session_id": first.managed_session_id,
        "tools": None,
    }
    second = hosted(server)
    second.restore_ids(ids)
    assert second.begin("two").wait().text == "two" and created(server) == [1, 1, 1]
    assert second.retrieve_session()["usage"] == {"input_tokens": 20, "output_tokens": 10}
    second.restore_ids({})
    assert second.retrieve_session() == FRESH


def test_the_agent_of_restored_ids_is_gone(server: HostedServer, caplog: pytest.LogCaptureFixture) -> None:
    agent = hosted(server)
    agent.restore_ids({"agent_id": "agent_gone", "environment_id": "env_gone"})
    assert agent.begin("Hi").wait().text == "Hi" and created(server) == [1, 1, 2]
    assert "agent_gone has ended" in caplog.text and "env_gone has ended" in caplog.text


@pytest.mark.parametrize("bad", ["", "  ", None, 7])
def test_resume_needs_an_id(server: HostedServer, bad: Any) -> None:
    with pytest.raises(e.ConfigError, match="resume_session"):
        hosted(server).resume_session(bad)


# The agent's versions


def test_update_agent(server: HostedServer) -> None:
    agent = hosted(server, metadata={"a": "1", "b": "2"})
    agent.update_agent(system="Be brief.")
    assert not server.requests
    agent.begin("one").wait()
    session = agent.session_id
    assert agent.retrieve_agent()["system"] == "Be brief."
    agent.update_agent(system="", model="claude-haiku-4-5", metadata={"b": "3"}, description="d")
    told = agent.retrieve_agent()
    told["metadata"].pop("praison_nb")
    assert (agent.agent_version, told["system"], told["metadata"]) == (2, None, {"b": "3"})
    turn = agent.begin("two").wait()
    assert turn.model == "claude-haiku-4-5" and agent.session_id != session
    assert server.seen("POST", "/v1/sessions")[-1].json["agent"]["version"] == 2
    agent.update_agent(session_title="Later", timeout=60.0)
    assert agent.session_id == turn.session_id and agent.config.session_title == "Later"
    agent.update_agent(packages={"pip": ["numpy"]})
    assert agent.session_id is None and agent.environment_id is None
    assert agent.begin("three").wait().text == "three" and created(server) == [1, 2, 3]
    with pytest.raises(e.ConfigError, match="No such field: colour"):
        agent.update_agent(colour="blue")
    with pytest.raises(e.ConfigError, match="model"):
        agent.update_agent(model="")


def test_an_update_of_a_stale_version_is_explained(server: HostedServer) -> None:
    theirs = hosted(server)
    theirs.begin("Hi").wait()
    ours = hosted(server, agent_id=theirs.agent_id)
    ours.begin("Hi").wait()
    theirs.update_agent(system="Theirs.")
    with pytest.raises(e.RequestRejectedError, match=r"version 1 is not its latest.*retrieve_agent\(\)"):
        ours.update_agent(system="Ours.")
    assert len(server.seen("POST", f"/v1/agents/{ours.agent_id}")) == 2  # it was not tried again
    assert ours.agent_version == 1 and ours.config.system != "Ours."
    assert ours.retrieve_agent()["system"] == "Theirs."
    ours.update_agent(system="Ours.")
    assert ours.agent_version == 3 and ours.retrieve_agent()["system"] == "Ours."


# Threads


@pytest.mark.parametrize(
    "call",
    [
        lambda agent: agent.list_sessions(),
        lambda agent: agent.list_agents(),
        lambda agent: agent.retrieve_agent(),
        lambda agent: agent.delete_session(),
        lambda agent: agent.update_agent(system="x"),
        lambda agent: agent.interrupt(),
    ],
)
def test_on_the_background_loop_it_refuses_to_wait(
    server: HostedServer, call: Callable[[HostedAgent], Any]
) -> None:
    agent = hosted(server)
    agent.begin("Hi").wait()

    async def there() -> dict[str, Any]:
        with pytest.raises(e.ConfigError, match="background loop"):
            call(agent)
        return agent.retrieve_session()

    known = asyncio.run_coroutine_threadsafe(there(), loop.get()).result(60)
    assert known["status"] == "idle" and known["usage"] == {"input_tokens": 10, "output_tokens": 5}


def test_a_tool_may_ask_for_the_session(server: HostedServer) -> None:
    from servers.hosted import custom_tool

    def status() -> str:
        """The status."""
        return str(agent.retrieve_session()["status"])

    server.script([custom_tool("status"), text("done")])
    agent = hosted(server, tools=[status])
    assert agent.begin("Hi").wait().tools[0].result == "running"


def test_the_wrong_config_or_provider(server: HostedServer) -> None:
    with pytest.raises(e.ConfigError, match="LocalAgent"):
        HostedAgent(provider="openai")
    with pytest.raises(e.ConfigError, match="HostedAgentConfig"):
        HostedAgent({"model": "x"})  # type: ignore[arg-type]


def test_a_terminated_session_says_so_at_once(server: HostedServer) -> None:
    server.script([text("x"), terminated()])
    first = hosted(server)
    first.begin("Hi").wait()
    second = hosted(server)
    second.resume_session(first.session_id or "")
    turn = second.begin("more").wait()
    assert isinstance(turn.error, e.SessionError) and len(server.seen("POST", "/events")) == 1
