"""Environments and agents are found and used again: their names, their versions, and slow answers."""

from __future__ import annotations

from typing import Any

import pytest
from anthropic import AsyncAnthropic

from praison_nb import errors as e
from praison_nb.backends.hosted.records import Workspace
from servers.hosted import HostedServer
from servers.hosted_agent import KEY, calls, created, hosted, names, other_computer

PACKAGES = {"pip": ["pandas", "numpy"]}


# Environments


def test_one_configuration_is_one_environment(
    server: HostedServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    for packages in (PACKAGES, {"pip": ["numpy", "pandas"], "npm": []}):
        assert hosted(server, packages=packages).begin("Hi").wait().text == "Hi"
    assert names(server) == ["praison_nb"] and created(server) == [1, 1, 2]
    other_computer(monkeypatch, tmp_path / "other")
    assert hosted(server, packages=PACKAGES).begin("Hi").wait().text == "Hi"
    assert names(server) == ["praison_nb"] and created(server) == [2, 1, 3]


@pytest.mark.parametrize("status", [409, 500, None])
def test_another_configuration_has_a_name_of_its_own(
    server: HostedServer, status: int | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    server.name_conflict = status
    for computer in ("a", "b"):
        other_computer(monkeypatch, tmp_path / computer)
        for fields in ({}, {"packages": PACKAGES}, {"networking": "limited"}):
            agent = hosted(server, env_name="lab", **fields)
            assert agent.begin("Hi").wait().error is None
            config = server.environments[agent.environment_id or ""]["config"]
            assert config["networking"]["type"] == fields.get("networking", "unrestricted")
            assert config["packages"]["pip"] == (PACKAGES["pip"] if "packages" in fields else [])
    first, *others = names(server)
    assert first == "lab" and len(others) == 2 and all(each.startswith("lab-") for each in others)


@pytest.mark.parametrize("status", [409, 500])
def test_a_race_that_is_lost_ends_with_one_environment(server: HostedServer, status: int) -> None:
    """Another kernel, which shares no records, makes it between the look and the creation."""
    server.name_conflict = status
    gate = server.slow_requests["/v1/environments"] = server.gate()
    run = hosted(server, packages=PACKAGES).begin("Hi")
    server.wait_for(lambda: gate.reached)
    packages = {"type": "packages", **{name: [] for name in ("apt", "cargo", "gem", "go", "npm")}, **PACKAGES}
    theirs = {
        **{"type": "environment", "id": "env_theirs", "name": "praison_nb", "description": None},
        **{"created_at": server.now(), "updated_at": server.now(), "archived_at": None, "metadata": {}},
        "config": {"type": "cloud", "networking": {"type": "unrestricted"}, "packages": packages},
    }
    server.call(server.environments.__setitem__, "env_theirs", theirs)
    gate.open()
    assert run.wait().text == "Hi" and list(server.environments) == ["env_theirs"]


def test_a_name_that_an_archived_one_has(server: HostedServer) -> None:
    agent = hosted(server)
    agent.begin("Hi").wait()
    first = agent.environment_id
    agent.archive_environment()
    assert agent.environment_id is None and agent.list_environments() == []
    agent.reset_session()
    assert agent.begin("Hi").wait().text == "Hi" and agent.environment_id != first
    assert [each["id"] for each in agent.list_environments(include_archived=True)][-1] == first
    assert agent.retrieve_environment()["name"].startswith("praison_nb-")
    with pytest.raises(e.RequestRejectedError, match="archive it"):
        agent.delete_environment()
    agent.delete_session()
    agent.delete_environment()
    with pytest.raises(e.ConfigError, match="nothing to delete"):
        agent.delete_environment()


def test_an_environment_that_ended_meanwhile_is_made_anew(server: HostedServer) -> None:
    agent = hosted(server)
    agent.begin("Hi").wait()
    server.environments[agent.environment_id or ""]["archived_at"] = server.now()
    server.agents[agent.agent_id or ""][-1]["archived_at"] = server.now()
    for each in (agent, hosted(server)):
        each.reset_session()
        assert each.begin("Hi").wait().text == "Hi"
    assert created(server)[:2] == [2, 2]


def test_many_pages_of_environments(
    server: HostedServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    hosted(server).begin("Hi").wait()
    hosted(server, env_name="lab").begin("Hi").wait()
    server.page_size = 1
    other_computer(monkeypatch, tmp_path / "other")
    for name in ("praison_nb", "lab"):
        assert hosted(server, env_name=name).begin("Hi").wait().text == "Hi"
    assert names(server) == ["praison_nb", "lab"]


# Agents


def test_a_configuration_is_a_version(server: HostedServer) -> None:
    first, second = hosted(server), hosted(server, system="Be brief.")
    first.begin("Hi").wait()
    second.begin("Hi").wait()
    assert first.agent_id == second.agent_id and (first.agent_version, second.agent_version) == (1, 2)
    again, third = hosted(server), hosted(server, name="analyst", tools=[])
    again.begin("Hi").wait()
    third.begin("Hi").wait()
    assert again.agent_version == 1 and third.agent_id != first.agent_id
    assert server.seen("POST", "/v1/sessions")[2].json["agent"]["version"] == 1
    first.update_agent(description="It counts.")
    assert first.agent_version == 3 and len(first.list_agent_versions()) == 3
    first.begin("Hi").wait()
    # Each conversation of a notebook has its own version: what one changes is no conflict for another.
    second.update_agent(system="Be long.")
    told = second.retrieve_agent()
    assert (told["version"], told["system"], told["description"]) == (4, "Be long.", None)
    fourth = hosted(server, system="Be long.")
    fourth.begin("Hi").wait()
    assert fourth.agent_version == 4 and created(server)[0] == 2


def test_another_notebook_has_another_agent(server: HostedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    from praison_nb.backends.hosted import agent_versions
    from praison_nb.metering.origin import Origin

    ids = []
    for notebook in ("a.ipynb", "b.ipynb", "a.ipynb"):
        monkeypatch.setattr(agent_versions, "current_origin", lambda book=notebook: Origin(notebook=book))
        agent = hosted(server)
        agent.begin("Hi").wait()
        ids.append(agent.agent_id)
    assert ids[0] == ids[2] != ids[1]


def test_the_agent_stays_when_the_key_changes(server: HostedServer) -> None:
    hosted(server).begin("Hi").wait()
    server.api_key = "sk-ant-another-0123456789"
    for _ in range(2):
        assert hosted(server).begin("Hi").wait().text == "Hi"
    assert created(server)[0] == 1


def test_records_hold_no_key(server: HostedServer, tmp_path: Any) -> None:
    assert hosted(server).begin("Hi").wait().text == "Hi"
    (path,) = tmp_path.glob("hosted.sqlite")
    data = path.read_bytes()
    assert path.stat().st_mode & 0o777 == 0o600
    assert KEY.encode() not in data and b"You are a helpful" not in data
    workspace = Workspace.of(AsyncAnthropic(api_key=KEY, base_url="http://user:pass-word-1@host:1/v1/"))
    assert workspace.server == "http://host:1/v1" and KEY not in workspace.key


def test_a_file_that_cannot_be_used_stops_nobody(
    server: HostedServer, tmp_path: Any, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "hosted.sqlite").write_bytes(b"no database at all" * 100)
    assert hosted(server).begin("Hi").wait().text == "Hi"
    assert "record of hosted agents" in caplog.text


@pytest.mark.parametrize("by", ["id", "name"])
def test_an_agent_and_an_environment_that_there_are(server: HostedServer, by: str) -> None:
    theirs = hosted(server, name="analyst of theirs", env_name="their lab", system="Theirs.")
    theirs.begin("Hi").wait()
    named = {
        "id": {"agent_id": theirs.agent_id, "environment_id": theirs.environment_id},
        "name": {"agent_id": "analyst of theirs", "environment_id": "their lab"},
    }[by]
    ours = hosted(server, **named)
    assert ours.begin("Hi").wait().text == "Hi" and created(server) == [1, 1, 2]
    assert (ours.agent_id, ours.environment_id) == (theirs.agent_id, theirs.environment_id)
    session = list(server.sessions.values())[-1].fields["agent"]
    assert session["system"] == "Theirs." and session["version"] == 1
    # What is given beside it counts for the session alone.
    other = hosted(server, **named, system="", model="claude-haiku-4-5", tools=[])
    assert other.begin("Hi").wait().model == "claude-haiku-4-5"
    session = list(server.sessions.values())[-1].fields["agent"]
    assert session["system"] is None and session["tools"] == [] and session["name"] == "analyst of theirs"
    assert len(server.agents[theirs.agent_id or ""]) == 1


def test_a_version_of_an_agent(server: HostedServer) -> None:
    theirs = hosted(server)
    theirs.begin("Hi").wait()
    theirs.update_agent(system="Second.")
    for version, system in ((1, "You are a helpful assistant."), (None, "Second.")):
        ours = hosted(server, agent_id=theirs.agent_id, agent_version=version)
        ours.begin("Hi").wait()
        assert list(server.sessions.values())[-1].fields["agent"]["system"] == system


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"agent_id": "nobody"}, "agent_id='nobody' is not there, by id or by name. list_agents"),
        ({"environment_id": "nowhere"}, "environment_id='nowhere' is not there.*list_environments"),
        ({"agent_id": "twin"}, "Several agents are called 'twin'"),
        ({"agent_id": "old"}, "agent_id='old' is archived"),
    ],
)
def test_what_is_named_and_is_not_there(server: HostedServer, fields: dict[str, str], words: str) -> None:
    other = hosted(server, name="twin")
    other.begin("Hi").wait()
    other.restore_ids({})
    server.agents["agent_x"] = [{**server.agents["agent_000001"][0], "id": "agent_x"}]
    old = hosted(server, name="old")
    old.begin("Hi").wait()
    old.archive_agent()
    before = created(server)
    turn = hosted(server, **fields).begin("Hi").wait()
    assert turn.error is not None
    import re

    assert re.search(words, str(turn.error)) and created(server) == before


# Slow answers


@pytest.mark.parametrize("kind", ["agents", "environments", "sessions"])
@pytest.mark.parametrize("waits", ["before", "after"])
def test_a_slow_creation_is_not_made_twice(server: HostedServer, kind: str, waits: str) -> None:
    hosted(server, name="other", env_name="other").begin("warm").wait()  # imports may take longer
    before = [len(server.agents), len(server.environments), len(server.sessions)]
    gates = server.slow_requests if waits == "before" else server.slow_answers
    gate = gates[f"/v1/{kind}"] = server.gate()
    run = hosted(server, timeout=0.5).begin("Hi")
    path = "/v1/sessions" if kind == "sessions" else f"/v1/{kind}"
    # It has given up, and looks for what was made.
    already = calls(server, "GET", path)
    server.wait_for(lambda: gate.reached and calls(server, "GET", path) > already + (kind == "environments"))
    gate.open()
    assert run.wait().text == "Hi"
    after = [len(server.agents), len(server.environments), len(server.sessions)]
    assert after == [count + 1 for count in before] and calls(server, "POST", path) == 2


def test_an_answer_that_is_lost_is_looked_for(server: HostedServer) -> None:
    hosted(server).begin("Hi").wait()
    server.refuse(1, status=None, method="POST", path="/v1/sessions")
    server.refuse(1, status=529, method="POST", path="/v1/agents")
    agent = hosted(server, name="analyst")
    assert agent.begin("Hi").wait().text == "Hi" and len(server.agents) == len(server.sessions) == 2


def test_the_next_prompt_finds_the_session_whose_answer_never_came(
    server: HostedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from praison_nb.backends.hosted import creation

    monkeypatch.setattr(creation, "LOOKS", ())
    agent = hosted(server, timeout=0.5)
    agent.begin("warm").wait()
    agent.reset_session()
    gate = server.slow_requests["/v1/sessions"] = server.gate()
    assert isinstance(agent.begin("one").wait().error, e.UnreachableError | e.TurnTimeoutError)
    gate.open()
    server.wait_for(lambda: len(server.sessions) == 2)
    assert agent.begin("two").wait().text == "two" and len(server.sessions) == 2
