"""The old names: each warns, names its successor, and does what it did."""

from __future__ import annotations

import json
import socket
import warnings
from collections.abc import Callable
from typing import Any

import pytest

import praison_nb
from praison_nb import HostedAgent, HostedAgentConfig, LocalAgent, LocalAgentConfig, NetworkingConfig
from praison_nb.backends.legacy import (
    AnthropicManagedAgent,
    LocalManagedAgent,
    LocalManagedConfig,
    ManagedAgent,
    ManagedConfig,
)
from praison_nb.errors import ConfigError
from servers.hosted import HostedServer, ask, builtin_tool, custom_tool, text
from servers.openai import OpenAIServer

FRESH = {"id": "", "status": "unknown", "title": "", "usage": {"input_tokens": 0, "output_tokens": 0}}


@pytest.fixture(autouse=True)
def quiet() -> Any:
    """The warnings are for one test alone."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield


@pytest.mark.parametrize(
    ("make", "old", "new"),
    [
        (lambda: ManagedConfig(), "ManagedConfig", "HostedAgentConfig"),
        (lambda: LocalManagedConfig(), "LocalManagedConfig", "LocalAgentConfig"),
        (lambda: AnthropicManagedAgent(), "AnthropicManagedAgent", "HostedAgent"),
        (lambda: LocalManagedAgent(), "LocalManagedAgent", "LocalAgent"),
        (lambda: ManagedAgent(provider="anthropic"), "ManagedAgent", "HostedAgent or LocalAgent"),
        (lambda: ManagedAgent(provider="local"), "ManagedAgent", "HostedAgent or LocalAgent"),
    ],
)
def test_each_name_warns_where_it_is_used(make: Callable[[], Any], old: str, new: str) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        make()
    (warning,) = caught
    assert warning.category is DeprecationWarning and warning.filename == __file__
    assert str(warning.message) == f"{old} is the old name: use {new}."


@pytest.mark.parametrize("key", [None, "sk-ant-0123456789"])
def test_a_managed_config_means_hosted_with_or_without_a_key(
    key: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if key:
        monkeypatch.setenv("ANTHROPIC_API_KEY", key)
    else:
        monkeypatch.setenv("OPENAI_API_KEY", "sk-0123456789")
    agent = ManagedAgent(config=ManagedConfig())
    assert type(agent) is HostedAgent and agent.retrieve_session() == FRESH
    assert agent.model == "claude-haiku-4-5"


def test_the_config_decides_where_no_provider_is_named() -> None:
    assert type(ManagedAgent(config=ManagedConfig())) is HostedAgent
    assert type(ManagedAgent(config=LocalManagedConfig())) is LocalAgent


@pytest.mark.parametrize(
    ("provider", "config", "model"),
    [
        ("openai", None, "gpt-4o-mini"),
        ("local", None, "gpt-4o-mini"),
        ("gemini", None, "gemini/gemini-2.0-flash"),
        ("ollama", None, "ollama/llama3.2"),
        ("ollama", {"model": "qwen3"}, "ollama/qwen3"),
        ("ollama", {"model": "ollama/qwen3"}, "ollama/qwen3"),
        ("gemini", {"model": "gemini-2.5-pro"}, "gemini/gemini-2.5-pro"),
        ("ollama", {"model": "embedded"}, "embedded"),
        ("groq", {"model": "openai/gpt-oss-20b"}, "groq/openai/gpt-oss-20b"),
        ("local", lambda: ManagedConfig(model="gpt-4o-mini"), "gpt-4o-mini"),
        ("openai", lambda: ManagedConfig(model="gpt-4o"), "gpt-4o"),
        ("ollama", lambda: ManagedConfig(model="llama3"), "ollama/llama3"),
        (
            "gemini",
            lambda: ManagedConfig(model={"id": "gemini-2.5-pro", "effort": "high"}),
            "gemini/gemini-2.5-pro",
        ),
        # Who named a provider and no model meant none of another provider.
        ("local", lambda: ManagedConfig(), "gpt-4o-mini"),
        ("openai", lambda: ManagedConfig(), "gpt-4o-mini"),
        ("ollama", lambda: LocalManagedConfig(), "ollama/llama3.2"),
    ],
)
def test_a_provider_chooses_the_model(provider: str, config: Any, model: str) -> None:
    agent = ManagedAgent(provider=provider, config=config() if callable(config) else config)
    assert type(agent) is LocalAgent and agent.model == model


@pytest.mark.parametrize(
    ("provider", "config", "line"),
    [
        (
            "openai",
            lambda: ManagedConfig(model="claude-haiku-4-5"),
            "Anthropic's, and provider='openai'",
        ),
        ("openai", HostedAgentConfig(), "is Anthropic's"),
        ("openai", {"model": "groq/llama"}, "is Groq's"),
        ("gemini", lambda: LocalManagedConfig(model="gpt-4o"), "is OpenAI's"),
        ("anthropic", {"model": "gpt-4o"}, "is no model of Anthropic's"),
        ("anthropic", lambda: LocalManagedConfig(model="ollama/llama3"), "is no model of Anthropic's"),
        ("groq", lambda: LocalManagedConfig(), "name its model"),
        ("ollama", lambda: ManagedConfig(packages={"pip": ["x"]}), "packages: with HostedAgent"),
        ("ollama", lambda: ManagedConfig(networking="limited"), "networking: with HostedAgent"),
        ("ollama", lambda: ManagedConfig(budget=2), "budget: only the other kind"),
        (
            "ollama",
            lambda: ManagedConfig(model={"id": "x", "speed": "fast"}),
            "speed is for HostedAgent",
        ),
        ("anthropic", lambda: LocalManagedConfig(max_turns=3), "max_turns: only the other kind"),
        # Neither a key nor an address goes to a server that it was not meant for.
        ("openai", lambda: ManagedConfig(api_key="sk-ant-0123456789"), r"ManagedAgent\(api_key=…\)"),
        (
            "anthropic",
            lambda: LocalManagedConfig(base_url="http://127.0.0.1:9/v1"),
            r"ManagedAgent\(api_base=…\)",
        ),
        ("openai", lambda: LocalAgentConfig(model="claude-opus-4-5", provider="anthropic"), "is Anthropic's"),
        ("openai", {"model": "x", "provider": "gemini", "api_key": "sk-0123456789"}, "is for 'gemini'"),
        ("openai", {"model": "x", "provider": "groq", "base_url": "http://127.0.0.1:9/v1"}, "is for 'groq'"),
        ("openai", 3, "config must be a LocalAgentConfig, not int"),
        ("openai", {3: "x"}, "No such field: 3"),
        ("anthropic", {"callable_agents": 3}, "multiagent.agents must be a list"),
    ],
)
def test_what_does_not_convert_is_a_line(provider: str, config: Any, line: str) -> None:
    config = config() if callable(config) else config
    with pytest.raises(ConfigError, match=line) as caught:
        ManagedAgent(provider=provider, config=config)
    assert "\n" not in str(caught.value) and "0123456789" not in str(caught.value)


def test_the_named_provider_wins_over_the_configs() -> None:
    for config in ({"model": "m", "provider": "gemini"}, LocalAgentConfig(model="m", provider="gemini")):
        agent = ManagedAgent("openai", config=config)
        assert isinstance(agent, LocalAgent) and agent.provider == "openai"
    assert ManagedAgent("gemini", config=config).provider == "gemini"  # type: ignore[attr-defined]


def test_one_agent_may_be_named_alone() -> None:
    expected = {"type": "coordinator", "agents": ["agent_1"]}
    assert ManagedConfig(callable_agents="agent_1").multiagent == expected  # type: ignore[arg-type]
    made = ManagedAgent("anthropic", config={"callable_agents": "agent_1"})
    assert isinstance(made, HostedAgent) and made.config.multiagent == expected


def test_what_is_not_offered_is_named() -> None:
    with pytest.raises(ConfigError, match=r"praison_nb.register\(name, factory\)"):
        praison_nb.backend_registry  # noqa: B018
    for ids in (3, {"agent_version": "x"}):
        with pytest.raises(ConfigError, match="save_ids"):
            HostedAgent().restore_ids(ids)  # type: ignore[arg-type]


def test_a_config_becomes_one_of_the_other_kind() -> None:
    config = ManagedConfig(
        model="gpt-4o", system="Mine.", networking=NetworkingConfig(), metadata={"a": "b"}, timeout=5.0
    )
    local = ManagedAgent(provider="openai", config=config, api_key="sk-0123456789")
    assert isinstance(local, LocalAgent)
    assert (local.config.system, local.config.metadata, local.config.timeout) == ("Mine.", {"a": "b"}, 5.0)
    assert local.config.api_key == "sk-0123456789"
    assert local.config.local_tools == ["execute_command", "read_file", "write_file", "list_files"]
    given = LocalManagedConfig(model="anthropic/claude-opus-4-5", tools=["bash"], working_dir="/tmp")
    hosted = ManagedAgent("anthropic", config=given)
    assert isinstance(hosted, HostedAgent)
    assert hosted.config.tools == ["execute_command"] and hosted.config.working_dir == "/tmp"
    assert hosted.model == "claude-opus-4-5"
    assert ManagedAgent("anthropic", config=LocalManagedConfig()).model.startswith("claude")


@pytest.mark.parametrize("provider", ["openai", "local", "ollama"])
def test_the_prompt_goes_to_the_named_provider(
    provider: str, openai_server: OpenAIServer, server: HostedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
    monkeypatch.setenv("ANTHROPIC_API_KEY", server.api_key)
    monkeypatch.setenv("OPENAI_BASE_URL", openai_server.base_url)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-0123456789")
    monkeypatch.setenv("OLLAMA_HOST", openai_server.base_url.removesuffix("/v1"))
    agent = ManagedAgent(provider=provider, config=ManagedConfig(model="m"))
    assert agent.begin("Hi").wait().text == "Hi"
    assert len(openai_server.bodies) == 1 and not server.sessions


def test_the_environment_decides_last(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ManagedAgent().model == "embedded"
    assert ManagedAgent(config={"system": "x"}).model == "embedded"
    monkeypatch.setenv("OPENAI_API_KEY", "sk-0123456789")
    assert ManagedAgent().model == "gpt-4o-mini"
    given = ManagedAgent(api_key="sk-ant-0123456789")
    assert isinstance(given, HostedAgent) and given.config.api_key == "sk-ant-0123456789"
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-0123456789")
    assert isinstance(ManagedAgent(), HostedAgent)


@pytest.mark.parametrize("provider", ["e2b", "docker", "nobody", 3])
def test_a_provider_that_is_gone(provider: Any) -> None:
    with pytest.raises(ConfigError, match=f"provider={provider!r}"):
        ManagedAgent(provider=provider)


def test_old_arguments_are_fields_now() -> None:
    hosted = AnthropicManagedAgent(api_key="legacy-123456", timeout=60, instructions="Be brief.")
    assert (hosted.config.api_key, hosted.config.timeout, hosted.config.system) == (
        "legacy-123456",
        60,
        "Be brief.",
    )
    configured = AnthropicManagedAgent(config=ManagedConfig(system="Mine."), instructions="Theirs.")
    assert configured.config.system == "Mine."
    assert AnthropicManagedAgent(config={"model": "m"}).model == "m"
    local = LocalManagedAgent(provider="ollama", config=LocalManagedConfig(model="qwen3"), timeout=5)
    assert (local.model, local.config.timeout) == ("ollama/qwen3", 5)
    assert LocalManagedAgent(api_base="http://127.0.0.1:9/v1").config.address == "http://127.0.0.1:9/v1"
    with pytest.raises(ConfigError, match="compute"):
        LocalManagedAgent(compute="docker")
    with pytest.raises(ConfigError, match="did you mean 'provider'"):
        ManagedAgent(proveder="local")
    with pytest.raises(ConfigError, match="did you mean 'instructions'"):
        AnthropicManagedAgent("anthropic", "legacy-123456", instruction="x")


def test_callable_agents_are_a_coordinator_now() -> None:
    roster = [{"type": "agent", "id": "agent_1", "version": 1}]
    assert ManagedConfig(callable_agents=roster).multiagent == {"type": "coordinator", "agents": roster}


def test_old_callbacks_get_what_they_always_got() -> None:
    asked: list[Any] = []

    def confirm(info: dict[str, Any]) -> bool:
        asked.append(info)
        return True

    with HostedServer() as server:
        server.script(
            [
                ask(builtin_tool("rm", {"path": "x"}, result="gone")),
                custom_tool("look", {"q": 1}),
                text("done"),
            ]
        )
        tool = {"type": "custom", "name": "look", "description": "Look.", "input_schema": {"type": "object"}}
        config = ManagedConfig(tools=[tool], base_url=server.url)
        agent = AnthropicManagedAgent(
            api_key=server.api_key,
            config=config,
            on_tool_confirmation=confirm,
            on_custom_tool=lambda name, arguments: json.dumps([name, arguments]),
        )
        turn = agent.begin("Hi").wait()
    assert turn.text == "done" and [call.result for call in turn.tools] == ["gone", '["look", {"q": 1}]']
    assert asked == [{"name": "rm", "input": {"path": "x"}, "tool_use_id": turn.tools[0].id}]


def test_no_name_asks_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any) -> None:
        raise AssertionError("a connection was made")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    for make in (ManagedConfig, LocalManagedConfig, AnthropicManagedAgent, LocalManagedAgent):
        made: Any = make()
        if hasattr(made, "retrieve_session"):
            assert made.retrieve_session()["id"] == ""
