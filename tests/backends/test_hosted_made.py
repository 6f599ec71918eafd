"""What HostedAgents made: sessions that get other tools, where they are shown, and how all of it is ended."""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import pytest

from praison_nb import HostedAgentConfig, errors as e
from praison_nb.backends.hosted.client import session_url
from praison_nb.render.html import turn_html
from praison_nb.render.panel import turn_panel
from praison_nb.turn_json import from_json, to_json
from servers import forked
from servers.hosted import HostedServer, Manners, custom_tool, hold, text
from servers.hosted_agent import KEY, created, hosted, left, names, other_computer

PACKAGES = {"pip": ["pandas", "numpy"]}


def test_a_session_that_does_not_say_its_agent_is_used_all_the_same(server: HostedServer) -> None:
    server.manners = Manners(tells_agent=False)
    agent = hosted(server)
    assert [agent.begin(prompt).wait().text for prompt in ("one", "two")] == ["one", "two"]
    assert created(server) == [1, 1, 1] and agent.model == agent.config.model_name
    assert agent.agent_id in server.agents and agent.retrieve_session()["status"] == "idle"
    assert [each["id"] for each in agent.list_sessions()] == [agent.session_id]
    assert {each.kind for each in agent.list_made()} == {"session", "agent", "environment"}
    other = hosted(server)
    other.resume_session(agent.session_id or "")
    assert other.begin("three").wait().text == "three"


# Other tools in a session that goes on


@pytest.mark.parametrize("lag", [0, 3])
def test_a_session_gets_other_tools_and_goes_on(server: HostedServer, lag: int) -> None:
    def double(x: int) -> int:
        """Twice as much."""
        return 2 * x

    server.lag = lag
    agent = hosted(server)
    agent.begin("one").wait()
    docs = {"type": "url", "name": "docs", "url": "https://example.org/mcp"}
    toolset = {"type": "mcp_toolset", "mcp_server_name": "docs"}
    agent.update_agent(tools=[double, toolset], mcp_servers=[docs])
    server.script([custom_tool("double", {"x": 21}), text("Done.")])
    turn = agent.begin("two").wait()
    assert (turn.text, turn.tools[0].result) == ("Done.", "42") and len(server.sessions) == 1
    (session,) = server.sessions.values()
    assert session.fields["agent"]["mcp_servers"] == [docs]
    assert agent.begin("three").wait().text == "three"
    # Asked again while the status lags, and not with each prompt.
    assert len([each for each in server.seen("POST", session.id) if "agent" in each.json]) == lag or 1
    # A model is no tool: that takes a new session.
    agent.update_agent(tools=[double], mcp_servers=[], model="claude-haiku-4-5")
    assert agent.begin("four").wait().model == "claude-haiku-4-5" and len(server.sessions) == 2


def test_a_session_that_takes_no_other_tools(server: HostedServer) -> None:
    agent = hosted(server)
    agent.begin("one").wait()
    agent.update_agent(tools=[])
    server.refuse(1, status=400, method="POST", path=f"/{agent.session_id}", message="unknown field: agent")
    turn = agent.begin("two").wait()
    assert isinstance(turn.error, e.SessionError) and "unknown field" in str(turn.error)
    assert "reset_session()" in str(turn.error)
    agent.reset_session()
    assert agent.begin("two").wait().text == "two"
    assert list(server.sessions.values())[-1].fields["agent"]["tools"] == []


def test_tools_given_during_a_turn_are_the_next_ones(server: HostedServer) -> None:
    def double(x: int) -> int:
        """Twice as much."""
        return 2 * x

    gate = server.gate()
    server.script([hold(gate), text("Done.")])
    agent = hosted(server)
    run = agent.begin("one")
    server.wait_for(lambda: gate.reached)
    agent.update_agent(tools=[double])
    following = agent.begin("two")
    gate.open()
    assert run.wait().text == "Done." and following.wait().text == "two" and len(server.sessions) == 1


def test_an_agent_of_others_keeps_its_tools(server: HostedServer) -> None:
    theirs = hosted(server)
    theirs.begin("Hi").wait()
    ours = hosted(server, agent_id=theirs.agent_id)
    ours.begin("one").wait()
    ours.update_agent(tools=[])
    assert ours.begin("two").wait().text == "two"
    assert [each.fields["agent"]["tools"] != [] for each in server.sessions.values()] == [True, False]
    ours.reset_session()
    ours.begin("three").wait()
    assert list(server.sessions.values())[-1].fields["agent"]["tools"] == []
    (agent,) = server.agents.values()
    assert len(agent) == 1 and agent[0]["tools"]


# Where a session is shown


def test_where_a_session_is_shown(server: HostedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for config, url in (
        (HostedAgentConfig(), "https://platform.claude.com/workspaces/default/sessions/a%2Fb"),
        (HostedAgentConfig(base_url="https://api.anthropic.com/"), "https://platform.claude.com/"),
        (HostedAgentConfig(base_url="https://api.anthropic.com.evil.org"), ""),
        (HostedAgentConfig(base_url=server.url), ""),
        (HostedAgentConfig(console_url="http://own/{session_id}?a=1"), "http://own/a%2Fb?a=1"),
    ):
        made = session_url(config, "a/b")
        assert made.startswith(url) and bool(made) == bool(url)
    monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
    assert session_url(HostedAgentConfig(), "a/b") == ""
    for wrong in (
        "javascript:alert(1)//{session_id}",
        "https://own/",
        "own/{session_id}",
        "https://{session_id}",
    ):
        with pytest.raises(e.ConfigError, match="console_url must be an http"):
            HostedAgentConfig(console_url=wrong)


def test_the_panel_leads_to_the_session(server: HostedServer) -> None:
    agent = hosted(server, console_url='https://own/"><b>/{session_id}')
    turn = agent.begin("Hi").wait()
    url = f"https://own/&quot;&gt;&lt;b&gt;/{agent.session_id}"
    link = f'<a href="{url}" target="_blank" rel="noopener noreferrer">{agent.session_id}</a>'
    assert link in turn_html(turn) and turn_html(from_json(to_json(turn))) == turn_html(turn)
    assert turn_panel(turn)["facts"][-1][1] == agent.session_id
    assert "<a " not in turn_html(replace(turn, session_url="javascript:alert(1)"))
    assert "<a " not in turn_html(hosted(server).begin("Hi").wait())


# What was made


def test_what_was_made_is_listed_and_ended(
    server: HostedServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    server.page_size = 2
    agent = hosted(server)
    assert agent.list_made() == []
    for _ in range(2):
        agent.begin("Hi").wait()
        agent.reset_session()
    other = hosted(server, name="other", packages=PACKAGES)
    other.begin("Hi").wait()
    assert sorted(each.id for each in agent.list_made()) == left(server)
    in_use = [other.session_id or ""]
    unused = [each for each in agent.list_made(in_use) if each.is_unused]
    assert {each.kind for each in unused} == {"session", "agent", "environment"} and len(unused) == 4
    assert [each.sessions for each in unused] == [0, 0, 2, 2]
    # A colleague's session runs in the environment that was made here.
    other_computer(monkeypatch, tmp_path / "other")
    theirs = hosted(server, name="theirs")
    theirs.begin("Hi").wait()
    monkeypatch.setenv("PRAISON_NB_LEDGER", str(tmp_path / "ledger.sqlite"))
    unused = [each for each in agent.list_made(in_use) if each.is_unused]
    assert len(unused) == 3 and agent.end_made(unused) == []
    assert left(server) == sorted(
        str(key) for each in (other, theirs) for key in (each.agent_id, each.environment_id, each.session_id)
    )
    theirs.delete_session()
    other.delete_session()
    assert agent.end_made(agent.list_made()) == [] and left(server) == [str(theirs.agent_id)]
    assert agent.list_made() == []
    # The next prompt makes what it needs again.
    assert agent.begin("Hi").wait().text == "Hi"


def test_what_others_made_is_not_ours_to_end(
    server: HostedServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    other_computer(monkeypatch, tmp_path / "other")
    hosted(server).begin("Hi").wait()
    other_computer(monkeypatch, tmp_path / "ours")
    agent = hosted(server, name="ours")
    agent.begin("Hi").wait()
    assert len(server.environments) == 1
    assert [each.kind for each in agent.list_made()] == ["session", "agent"]


def test_what_is_in_use_is_not_unused(server: HostedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """An agent of a script is in it, it is tried again, or no list has it yet."""
    unlisted: set[str] = set()
    page = server.page

    def lagging(request: Any, item: Any, items: Any, *limits: int) -> Any:
        return page(request, item, [each for each in items if each.get("id") not in unlisted], *limits)

    monkeypatch.setattr(server, "page", lagging)
    agent = hosted(server)
    agent.begin("Hi").wait()
    assert [each.is_unused for each in agent.list_made()] == [False] * 3
    (session,) = server.sessions.values()
    unlisted.update(left(server))
    assert [each.is_unused for each in agent.list_made()] == [False] * 3
    agent.reset_session()
    session.status = "rescheduling"
    assert [each.is_unused for each in agent.list_made()] == [False] * 3
    session.status = "idle"
    made = agent.list_made()
    assert [each.is_unused for each in made] == [True] * 3 and agent.end_made(made) == []
    assert left(server) == []


def test_what_cannot_be_ended_is_said(server: HostedServer) -> None:
    agent = hosted(server)
    agent.begin("Hi").wait()
    server.refuse(1, status=403, path="/archive", message="not yours")
    (problem,) = agent.end_made(agent.list_made())
    assert problem.startswith("session sesn_") and "not yours" in problem
    assert [each.kind for each in agent.list_made()] == ["session"]


# Many at once


PROCESS = """
import json, sys
from praison_nb import HostedAgent, HostedAgentConfig
url, key, count = sys.argv[1:]
config = HostedAgentConfig(api_key=key, base_url=url, packages={"pip": ["pandas"]})
runs = [HostedAgent(config).begin(str(n)) for n in range(int(count))]
turns = [run.wait() for run in runs]
print(json.dumps([turn.text or str(turn.error) for turn in turns]))
"""


def at_once(server: HostedServer, processes: int, agents: int) -> list[list[str]]:
    """What agents in several processes that share their records answer."""
    with ExitStack() as stack:
        scripts = [
            stack.enter_context(forked.script(PROCESS, server.url, KEY, str(agents)))
            for _ in range(processes)
        ]
        return [json.loads(each.stdout.read()) for each in scripts]


def test_several_processes_at_once(server: HostedServer) -> None:
    answers = at_once(server, 2, 3)
    assert answers == [[str(n) for n in range(3)]] * 2
    assert (len(server.agents), len(server.environments), len(server.sessions)) == (1, 1, 6)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_many_agents_in_many_processes_leave_nothing(server: HostedServer) -> None:
    assert at_once(server, 8, 7) == [[str(n) for n in range(7)]] * 8
    assert (len(server.agents), len(server.environments), len(server.sessions)) == (1, 1, 56)
    agent = hosted(server)
    assert agent.end_made(agent.list_made()) == [] and left(server) == []


def test_without_records_a_race_still_ends_with_one_environment(
    server: HostedServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    runs = []
    for n in range(5):
        other_computer(monkeypatch, tmp_path / str(n))
        runs.append(hosted(server).begin("Hi"))
    assert [run.wait().text for run in runs] == ["Hi"] * 5 and names(server) == ["praison_nb"]
