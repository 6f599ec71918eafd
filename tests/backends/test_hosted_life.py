"""HostedAgent between turns: what is created, changed, listed, ended, and what a session's status is."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest

from praison_nb import Agent, HostedAgent, HostedAgentConfig, loop
from praison_nb import errors as e
from servers.hosted import HostedServer, Tokens, hold, idle, request, terminated, text
from servers.waiting import until

FRESH = {"id": "", "status": "unknown", "title": "", "usage": {"input_tokens": 0, "output_tokens": 0}}
KEY = "sk-ant-test-0123456789"


@pytest.fixture
def server() -> Iterator[HostedServer]:
    with HostedServer() as server:
        server.api_key = KEY
        yield server


def hosted(server: HostedServer, **fields: Any) -> HostedAgent:
    agent = HostedAgent(HostedAgentConfig(**{"api_key": KEY, "base_url": server.url, **fields}))
    agent.backoff_seconds = (0.0, 0.01)
    return agent


def created(server: HostedServer) -> list[int]:
    """How many agents, environments and sessions were asked for."""
    return [len(server.seen("POST", f"/v1/{kind}")) for kind in ("agents", "environments", "sessions")]


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
        resources=[{"type": "file", "file_id": "file_1"}],
        vault_ids=["vlt_1"],
        budget=2.5,
    )
    turn = agent.begin("Hi").wait()
    assert turn.text == "Hi" and turn.model == "claude-haiku-4-5"
    environment = server.seen("POST", "/v1/environments")[0].json
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
    assert session["vault_ids"] == ["vlt_1"] and session["environment_id"] == agent.environment_id
    assert agent.retrieve_agent()["metadata"] == {"team": "a"}


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
    assert created(server) == [2, 2, 3]


def test_ids_are_saved_and_restored(server: HostedServer) -> None:
    first = hosted(server)
    first.begin("one").wait()
    ids = first.save_ids()
    assert ids == {
        "agent_id": first.agent_id,
        "agent_version": 1,
        "environment_id": first.environment_id,
        "session_id": first.managed_session_id,
    }
    second = hosted(server)
    second.restore_ids(ids)
    assert second.begin("two").wait().text == "two" and created(server) == [1, 1, 1]
    assert second.retrieve_session()["usage"] == {"input_tokens": 20, "output_tokens": 10}
    second.restore_ids({})
    assert second.retrieve_session() == FRESH


def test_the_agent_of_restored_ids_is_gone(server: HostedServer) -> None:
    agent = hosted(server)
    agent.restore_ids({"agent_id": "agent_gone", "environment_id": "env_gone"})
    turn = agent.begin("Hi").wait()
    assert isinstance(turn.error, e.ModelNotFoundError) and "reset_all()" in str(turn.error)


@pytest.mark.parametrize("bad", ["", "  ", None, 7])
def test_resume_needs_an_id(server: HostedServer, bad: Any) -> None:
    with pytest.raises(e.ConfigError, match="resume_session"):
        hosted(server).resume_session(bad)


# The session's status


def status_of(server: HostedServer, agent: HostedAgent, **changes: Any) -> str:
    def change() -> None:
        for name, value in changes.items():
            setattr(server.sessions[agent.session_id or ""], name, value)

    server.call(change)
    return str(agent.retrieve_session()["status"])


def test_the_statuses_of_the_server_are_ours(server: HostedServer) -> None:
    agent = hosted(server)
    agent.begin("Hi").wait()
    assert status_of(server, agent) == "idle"
    assert status_of(server, agent, status="running") == "running"
    assert status_of(server, agent, status="rescheduling") == "running"
    assert status_of(server, agent, status="terminated") == "error"
    assert status_of(server, agent, status="idle", archived_at=server.now()) == "unknown"
    assert status_of(server, agent, status="terminated") == "unknown"


def test_a_status_that_lags_behind_is_asked_for_again(server: HostedServer) -> None:
    server.lag = 2
    agent = hosted(server)
    agent.begin("Hi").wait()
    assert agent.retrieve_session()["status"] == "idle"


def test_running_while_our_turn_runs_and_error_after_it_failed(server: HostedServer) -> None:
    gate = server.gate()
    server.script([text("half"), hold(gate), idle("retries_exhausted")])
    agent = hosted(server)
    run = agent.begin("Hi")
    until(run, lambda turn: turn.text)
    assert agent.retrieve_session()["status"] == "running"
    gate.open()
    run.wait()
    assert agent.retrieve_session()["status"] == "error"


@pytest.mark.parametrize("status", [500, 404, 401, None])
def test_a_session_that_cannot_be_asked_for_keeps_what_was_known(
    server: HostedServer, status: int | None, caplog: pytest.LogCaptureFixture
) -> None:
    agent = hosted(server, session_title="Churn")
    server.script([request(text("a"), usage=Tokens(3, 4, 5, 6, 7))])
    agent.begin("Hi").wait()
    known = agent.retrieve_session()
    assert known["usage"] == {
        "input_tokens": 21,
        "output_tokens": 4,
        "cache_read_input_tokens": 5,
        "cache_creation_input_tokens": 13,
    }
    server.refuse(10_000, status=status)
    assert agent.retrieve_session() == {**known, "status": "unknown"}
    assert "retrieve_session" in caplog.text and KEY not in caplog.text


def test_without_a_server_it_is_unknown(server: HostedServer) -> None:
    agent = hosted(server, base_url="http://127.0.0.1:9")
    agent.resume_session("sesn_1")
    assert agent.retrieve_session() == {**FRESH, "id": "sesn_1"}


# Lists


def test_lists_have_all_pages_or_as_many_as_asked(server: HostedServer) -> None:
    server.page_size = 2
    agent, other = hosted(server), hosted(server)
    ids = []
    for _ in range(5):
        agent.reset_session()
        agent.begin("Hi").wait()
        ids.append(agent.session_id)
    other.begin("Hi").wait()
    listed = agent.list_sessions()
    assert [each["id"] for each in listed] == ids[::-1]
    assert all(set(each) == set(FRESH) and each["status"] == "idle" for each in listed)
    assert listed[0]["usage"] == {"input_tokens": 10, "output_tokens": 5}
    assert [each["id"] for each in agent.list_sessions(limit=3)] == ids[:1:-1]
    assert agent.list_sessions(limit=0) == []
    assert len(agent.list_sessions(agent_id=other.agent_id)) == 1
    assert len(hosted(server).list_sessions(order="asc")) == 6
    assert {each["id"] for each in agent.list_agents()} == {agent.agent_id, other.agent_id}
    assert len(agent.list_agents(limit=1)) == 1


def test_a_long_history_is_read_page_by_page(server: HostedServer) -> None:
    server.page_size = 3
    first = hosted(server)
    for prompt in "abcd":
        first.begin(prompt).wait()
    second = hosted(server)
    second.resume_session(first.session_id or "")
    server.replay = 1000
    assert second.begin("e").wait().text == "e"
    assert len(server.seen("GET", "/events")) > 8


# The end of a session


def test_archive_and_delete(server: HostedServer) -> None:
    agent = hosted(server)
    for end in (agent.archive_session, agent.delete_session):
        with pytest.raises(e.ConfigError, match="no session yet"):
            end()
    agent.begin("one").wait()
    first = agent.session_id or ""
    agent.archive_session()
    assert agent.session_id is None and server.sessions[first].archived_at
    agent.begin("two").wait()
    second = agent.session_id or ""
    agent.archive_session(first)
    assert agent.session_id == second
    agent.delete_session(first)
    agent.delete_session()
    assert agent.session_id is None and not server.sessions
    with pytest.raises(e.ModelNotFoundError, match=second):
        agent.delete_session(second)


def test_an_archived_session_takes_no_prompt(server: HostedServer) -> None:
    agent = hosted(server)
    agent.begin("one").wait()
    ids = agent.save_ids()
    agent.archive_session()
    agent.restore_ids(ids)
    turn = agent.begin("two").wait()
    assert isinstance(turn.error, e.SessionError) and "reset_session()" in str(turn.error)


def test_a_session_of_ours_that_runs_is_interrupted_before_it_is_deleted(server: HostedServer) -> None:
    gate = server.gate()
    server.script([text("half"), hold(gate)])
    agent = hosted(server)
    run = agent.begin("Hi")
    until(run, lambda turn: turn.text)
    agent.delete_session()
    assert run.wait().stop_reason == "interrupted" and not server.sessions
    assert agent.session_id is None


@pytest.mark.parametrize("lag", [0, 2])
def test_a_session_of_others_that_runs_is_interrupted_before_it_is_deleted(
    server: HostedServer, lag: int
) -> None:
    gate = server.gate()
    server.lag = lag
    server.script([text("half"), hold(gate)])
    first, second = hosted(server), hosted(server)
    run = first.begin("Hi")
    until(run, lambda turn: turn.text)
    second.delete_session(run.turn.session_id)
    turn = run.wait()
    assert not server.sessions and (turn.stop_reason == "interrupted" or turn.error)


def test_interrupt(server: HostedServer) -> None:
    gate = server.gate()
    server.script([text("half"), hold(gate)])
    first, second = hosted(server), hosted(server)
    first.interrupt()  # there is nothing to interrupt
    run = first.begin("Hi")
    until(run, lambda turn: turn.text)
    second.resume_session(run.turn.session_id)
    second.interrupt()
    assert run.wait().stop_reason == "interrupted"
    server.script([text("half"), hold(gate)])
    run = first.begin("Hi")
    until(run, lambda turn: turn.text)
    first.interrupt()
    assert run.wait().stop_reason == "interrupted"
    assert first.begin("next").wait().text == "next"


# Budget


def test_a_budget_ends_the_turn_and_can_be_raised_or_lifted(server: HostedServer) -> None:
    spent = [request(text("a"), cents=60), request(text("b"), cents=60), text("never")]
    server.script(spent)
    agent = hosted(server, budget=1)
    turn = agent.begin("Hi").wait()
    assert turn.stop_reason == "budget_reached" and turn.error is None and turn.text == "a\n\nb"
    assert "set_budget" in turn.detail and turn.session_usage is not None
    assert turn.session_usage.list_cost == Decimal("1.20")
    refused = agent.begin("more").wait()
    assert isinstance(refused.error, e.SessionError) and "set_budget" in str(refused.error)
    with pytest.raises(e.RequestRejectedError, match="budget_not_raised"):
        agent.set_budget(1.1)
    agent.set_budget(5)
    assert "more" in agent.begin("more").wait().text
    agent.set_budget(None)
    assert agent.begin("again").wait().text == "again" and agent.config.budget is None
    with pytest.raises(e.RequestRejectedError, match="budget_create_only"):
        agent.set_budget(7)
    assert agent.config.budget is None


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
    ours, theirs = hosted(server), hosted(server)
    ours.begin("Hi").wait()
    theirs.restore_ids(ours.save_ids())
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
