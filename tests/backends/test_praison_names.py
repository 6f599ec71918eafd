"""Names and arguments that PraisonAI's users know: what they do, and the line that says what there is."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from praison_nb import (
    Agent,
    HostedAgent,
    HostedAgentConfig,
    LocalAgent,
    LocalAgentConfig,
    ScriptedBackend,
    SessionInfo,
    Usage,
    store,
    usage,
)
from praison_nb.errors import ConfigError
from praison_nb.events import TextDelta
from praison_nb.history import Text, User, to_json
from servers.hosted import HostedServer
from servers.openai import OpenAIServer, reply

KEY = "sk-abcdefgh12345678"
WEATHER = {
    "type": "custom",
    "name": "get_weather",
    "description": "The weather.",
    "input_schema": {"type": "object", "properties": {"place": {"type": "string"}}},
}
TOOLSET = "agent_toolset_20260401"


def local(server: OpenAIServer, **options: Any) -> LocalAgentConfig:
    return LocalAgentConfig(model="m", base_url=server.base_url, api_key="test-key", **options)


@pytest.mark.parametrize(
    ("make", "line"),
    [
        (lambda: LocalAgent(compute="docker"), "compute: tools run in this kernel"),
        (lambda: LocalAgent("e2b", config=LocalAgentConfig()), "compute: tools run in this kernel"),
        (lambda: LocalAgent(tools_run_on="modal"), "no other sandbox is offered"),
        (lambda: LocalAgent(model="x"), r"config=LocalAgentConfig\(model=…\)"),
        (lambda: LocalAgent(instruction="x"), "did you mean 'instructions'"),
        (lambda: LocalAgent(session_store=3), "`%agent sessions`"),
        (lambda: HostedAgent(tools=[]), r"config=HostedAgentConfig\(tools=…\)"),
        (lambda: HostedAgent("e2b"), "only 'anthropic' hosts agents"),
        (lambda: HostedAgent(on_tool_confirm=print), "did you mean 'on_tool_confirmation'"),
        (lambda: HostedAgent(backend_registry=3), r"praison_nb.register\(name, factory\)"),
        (lambda: Agent(llm="gpt-4o"), "named by the backend's config"),
        (lambda: Agent("a", LocalAgent(), "x", 4), "too many positional arguments"),
        (lambda: LocalAgentConfig(packages={"pip": ["x"]}), "packages: with HostedAgent"),
        (lambda: LocalAgent().begin("x", subscribers=print), r"subscribers=\["),
        (lambda: LocalAgent().begin("x", subscribers=3), "list of functions, not 3"),
        (lambda: LocalAgent().begin("x", subscribers=[3]), r"list of functions, not \[3\]"),
        (lambda: LocalAgent().begin("x", notices=3), "list of texts, not 3"),
        (lambda: LocalAgent().begin("x", notices="line"), r"notices=\['line'\]"),
        (lambda: LocalAgent().begin("x", view=3), "view must be a function, not 3"),
        (lambda: LocalAgent().begin("x", asker="yes"), "asker must be a function"),
        (lambda: LocalAgent().begin("x", subscriber=[print]), "did you mean 'subscribers'"),
        (lambda: usage(ledger=3), "ledger must be a file's path, not 3"),
        (
            lambda: LocalAgentConfig(tools=[{"type": "mcp_toolset"}]),
            "'mcp_toolset' runs with HostedAgent",
        ),
        (lambda: LocalAgentConfig(tools=[{**WEATHER, "input_schema": None}]), "needs an input_schema"),
        (lambda: LocalAgentConfig(tools=[{**WEATHER, "name": "a b"}]), "rename it"),
        (
            lambda: LocalAgentConfig(tools=[{"type": TOOLSET, "configs": [{"name": "web_search"}]}]),
            "'web_search' of a toolset runs with HostedAgent only",
        ),
    ],
)
def test_what_there_is_not_is_a_line_that_names_what_there_is(make: Callable[[], Any], line: str) -> None:
    with pytest.raises(ConfigError, match=line) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_what_is_asked_for_and_so_is_no_argument() -> None:
    assert LocalAgent(compute=None, tools_run_on="local").config == LocalAgentConfig()
    assert HostedAgent("anthropic", config=HostedAgentConfig(system="x")).config.system == "x"


@pytest.mark.parametrize("kind", [HostedAgent, LocalAgent])
def test_the_connection_may_stand_beside_the_config(kind: Any) -> None:
    agent = kind(api_key=KEY, timeout=60, instructions="Be brief.")
    assert (agent.config.api_key, agent.config.timeout, agent.config.system) == (KEY, 60, "Be brief.")
    assert agent.api_key == KEY and repr(agent.api_key) == "'[key]'" and KEY not in repr(vars(agent))
    assert kind().api_key is None
    config = type(agent.config)(system="Mine.")
    assert kind(config, instructions="Theirs.").config.system == "Mine."


def test_whose_server_it_is() -> None:
    assert HostedAgent().provider == "anthropic"
    models = {
        "gpt-4o": "openai",
        "ollama/x": "ollama",
        "claude-opus-4-5": "anthropic",
        "embedded": "embedded",
    }
    for model, provider in models.items():
        assert LocalAgent(LocalAgentConfig(model=model)).provider == provider
    assert LocalAgent(api_base="http://127.0.0.1:9/v1").provider == "local"


@pytest.mark.parametrize(
    "given", [None, 3, {"input_tokens": 5}, {"output_tokens": None, "input_tokens": 5.0}]
)
@pytest.mark.parametrize(("word", "status"), [("idle", "idle"), (None, "unknown"), ("wild", "unknown")])
def test_a_session_info_is_complete_whatever_it_is_made_of(given: Any, word: Any, status: str) -> None:
    tokens = 5 if isinstance(given, dict) else 0
    assert SessionInfo(id=None, status=word, title=None, usage=given).to_dict() == {  # type: ignore[arg-type]
        "id": "",
        "status": status,
        "title": "",
        "usage": {"input_tokens": tokens, "output_tokens": 0},
    }
    assert SessionInfo(usage=Usage(output_tokens=2)).usage["output_tokens"] == 2  # type: ignore[arg-type]


def test_tokens_of_all_sessions(openai_server: OpenAIServer) -> None:
    agent = LocalAgent(local(openai_server))
    turns = [agent.begin("Hello").wait(), agent.begin("again").wait()]
    agent.reset_session()
    turns.append(agent.begin("anew").wait())
    assert agent.total_input_tokens == sum(turn.usage.input_tokens for turn in turns) > 0
    assert agent.total_output_tokens == sum(turn.usage.output_tokens for turn in turns) > 0
    agent.reset_all()
    assert agent.total_input_tokens == 0


# Tools


@pytest.mark.parametrize("is_async", [False, True])
def test_a_dict_tool_is_answered_by_the_callback(openai_server: OpenAIServer, is_async: bool) -> None:
    asked = []

    def answer(name: str, arguments: dict[str, Any]) -> str:
        asked.append((name, arguments))
        return "15 °C"

    async def later(name: str, arguments: dict[str, Any]) -> str:
        return answer(name, arguments)

    openai_server.script(reply(calls=[("get_weather", '{"place": "Oslo"}')]), reply("cold"))
    config = local(openai_server, tools=[WEATHER])
    turn = LocalAgent(config, on_custom_tool=later if is_async else answer).begin("Hi").wait()
    assert asked == [("get_weather", {"place": "Oslo"})] and turn.text == "cold"
    assert [each.result for each in turn.tools] == ["15 °C"]
    declared = openai_server.bodies[0]["tools"][0]["function"]
    assert declared["parameters"] == WEATHER["input_schema"] and declared["description"] == "The weather."


def test_a_dict_tool_that_nothing_answers(openai_server: OpenAIServer) -> None:
    openai_server.script(reply(calls=[("get_weather", "{}")]), reply("sorry"))
    turn = LocalAgent(local(openai_server, tools=[WEATHER])).begin("Hi").wait()
    assert turn.tools[0].is_error and "on_custom_tool" in (turn.tools[0].result or "")
    assert turn.text == "sorry"


def test_a_toolset_is_the_tools_that_there_are_here() -> None:
    def names(*configs: dict[str, Any], **default: Any) -> tuple[list[str], dict[str, str]]:
        toolset = {"type": TOOLSET, "configs": list(configs), "default_config": default}
        config = LocalAgentConfig(tools=[toolset])
        return config.local_tools, dict(config.policies)

    assert names()[0] == ["execute_command", "read_file", "write_file", "list_files"]
    assert names({"name": "bash", "enabled": False})[0] == ["read_file", "write_file", "list_files"]
    assert names({"name": "glob", "enabled": True}, enabled=False)[0] == ["list_files"]
    # What a container may do unasked this machine's tools may not.
    assert names(permission_policy={"type": "always_allow"})[1] == {}
    ask = {"permission_policy": {"type": "always_ask"}}
    assert names({"name": "read", **ask})[1] == {"read_file": "ask"}
    assert LocalAgentConfig(tools=["bash", "read"]).local_tools == ["execute_command", "read_file"]


@pytest.mark.parametrize("answer", [True, False])
def test_a_callback_decides_about_local_tools(
    openai_server: OpenAIServer, tmp_path: Any, answer: bool
) -> None:
    arguments = {"path": "new.txt", "content": "x"}
    openai_server.script(reply(calls=[("write_file", json.dumps(arguments))]), reply("done"))
    config = local(openai_server, tools=["write_file"], working_dir=str(tmp_path))
    LocalAgent(config, on_tool_confirmation=lambda call: answer).begin("Hi").wait()
    assert (tmp_path / "new.txt").exists() is answer


# Conversations


def test_the_agents_instructions(openai_server: OpenAIServer) -> None:
    agent = Agent(instructions="Be brief.", backend=LocalAgent(local(openai_server)))
    agent.start("Hi")
    assert openai_server.bodies[0]["messages"][0] == {"role": "system", "content": "Be brief."}


@pytest.mark.parametrize("kind", ["local", "hosted", "scripted"])
def test_the_chat_history(kind: str, openai_server: OpenAIServer, server: HostedServer) -> None:
    backend = {
        "local": LocalAgent(local(openai_server)),
        "hosted": HostedAgent(HostedAgentConfig(base_url=server.url, api_key=server.api_key)),
        "scripted": ScriptedBackend([TextDelta(text="Hi")]),
    }[kind]
    agent = Agent(backend=backend)
    assert agent.chat_history == []
    agent.start("Hi")
    said = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hi"}]
    assert agent.chat_history == said
    agent.start("Hi")
    assert agent.chat_history == said * 2
    backend.reset_session()
    assert agent.chat_history == []


def test_a_local_session_goes_on(openai_server: OpenAIServer) -> None:
    said = [to_json(User(text="My number is 42.")), to_json(Text(text="Good."))]
    store.current().change(store.append_messages("local-kept", "t-1", said))
    agent = LocalAgent(local(openai_server))
    assert agent.session_id is None is agent.managed_session_id
    agent.begin("one").wait()
    first = agent.session_id
    agent.resume_session("local-kept")
    assert agent.session_id == "local-kept"
    agent.begin("What is it?").wait()
    contents = [each["content"] for each in openai_server.bodies[-1]["messages"]]
    assert contents[-3:] == ["My number is 42.", "Good.", "What is it?"]
    assert first is not None
    agent.resume_session(first)
    agent.begin("two").wait()
    assert [each["content"] for each in openai_server.bodies[-1]["messages"]] == ["one", "one", "two"]
    for unknown in ("local-nowhere", "", 3):
        with pytest.raises(ConfigError, match="`%agent sessions` lists"):
            agent.resume_session(unknown)  # type: ignore[arg-type]
    assert agent.session_id == first
