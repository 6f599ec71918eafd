"""The names that older PraisonAI code uses. Each warns once where it is used, and names its successor.

>>> import warnings
>>> with warnings.catch_warnings(record=True) as caught:
...     warnings.simplefilter("always")
...     agent = ManagedAgent(provider="ollama", config=LocalManagedConfig(model="llama3.2"))
>>> agent.config.model, len(caught)
('ollama/llama3.2', 2)
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from ..errors import ConfigError
from ..turn import ToolCall
from .arguments import INSTEAD, checked_arguments
from .base import Backend
from .catalog import choice
from .conversion import DefaultModel, coordinator, hosted_config, local_config
from .hosted.agent import HostedAgent
from .hosted.config import AGENT_TOOLSET, HostedAgentConfig
from .local.agent import LocalAgent
from .local.config import LocalAgentConfig
from .local.providers import PROVIDERS

_COMPUTE_PROVIDERS = ("e2b", "modal", "flyio", "daytona", "docker", "tenki", "novita", "sandlock", "ssh")


@dataclass(frozen=True, kw_only=True)
class ManagedConfig(HostedAgentConfig):
    """HostedAgentConfig, by its old name and with its old defaults. `callable_agents` is `multiagent` now.

    >>> from praison_nb import ManagedConfig
    >>> ManagedConfig(callable_agents=["agent_1"]).multiagent
    {'type': 'coordinator', 'agents': ['agent_1']}
    """

    name: str = "Agent"
    model: str | Mapping[str, Any] = DefaultModel("claude-haiku-4-5")
    system: str = "You are a helpful coding assistant."
    tools: Sequence[Callable[..., Any] | str | Mapping[str, Any]] = ({"type": AGENT_TOOLSET},)
    env_name: str = "praisonai-env"
    session_title: str = "PraisonAI session"
    callable_agents: Sequence[Any] = ()

    def __post_init__(self) -> None:
        _warn("ManagedConfig", "HostedAgentConfig", stacklevel=4)
        if self.callable_agents and self.multiagent is None:
            object.__setattr__(self, "multiagent", coordinator(self.callable_agents))
        super().__post_init__()


ManagedBackendConfig = ManagedConfig


class NetworkingType(StrEnum):
    """What `NetworkingConfig.type` may be.

    >>> from praison_nb import NetworkingConfig
    >>> NetworkingConfig(type=NetworkingType.UNRESTRICTED) == NetworkingConfig(type="unrestricted")
    True
    """

    UNRESTRICTED = "unrestricted"
    LIMITED = "limited"


@dataclass(frozen=True, kw_only=True)
class LocalManagedConfig(LocalAgentConfig):
    """LocalAgentConfig, by its old name and with its old defaults.

    >>> LocalManagedConfig().model
    'gpt-4o'
    """

    name: str = "Agent"
    model: str = DefaultModel("gpt-4o")
    system: str = "You are a helpful coding assistant."
    metadata: Mapping[str, Any] = field(default_factory=dict)
    session_title: str = "PraisonAI local session"

    def __post_init__(self) -> None:
        _warn("LocalManagedConfig", "LocalAgentConfig", stacklevel=4)
        super().__post_init__()


class AnthropicManagedAgent(HostedAgent):
    """HostedAgent, by its old name and with its old arguments; the callbacks get what they always got.
    `config` may be a dict of its fields. Raises ConfigError.

    >>> AnthropicManagedAgent(instructions="Be brief.").config.system
    'Be brief.'
    """

    @checked_arguments(HostedAgentConfig)
    def __init__(
        self,
        provider: str = "anthropic",
        api_key: str | None = None,
        config: HostedAgentConfig | Mapping[str, Any] | None = None,
        timeout: float | None = None,
        instructions: str | None = None,
        on_tool_confirmation: Callable[..., Any] | None = None,
        on_custom_tool: Callable[..., Any] | None = None,
    ) -> None:
        _warn("AnthropicManagedAgent", "HostedAgent", stacklevel=4)
        super().__init__(
            hosted_config(config, instructions, api_key=api_key, timeout=timeout),
            provider=provider,
            on_tool_confirmation=_with_dict(on_tool_confirmation),
            on_custom_tool=on_custom_tool,
        )


class LocalManagedAgent(LocalAgent):
    """LocalAgent, by its old name and with its old arguments; `provider` is part of the model's name now.
    `config` may be a dict of its fields. Raises ConfigError.

    >>> LocalManagedAgent(provider="gemini").config.model
    'gemini/gemini-2.0-flash'
    """

    @checked_arguments(LocalAgentConfig)
    def __init__(
        self,
        provider: str = "local",
        api_key: str | None = None,
        api_base: str | None = None,
        config: LocalAgentConfig | Mapping[str, Any] | None = None,
        timeout: float | None = None,
        instructions: str | None = None,
        on_tool_confirmation: Callable[..., Any] | None = None,
        on_custom_tool: Callable[..., Any] | None = None,
    ) -> None:
        _warn("LocalManagedAgent", "LocalAgent", stacklevel=4)
        given = {"api_key": api_key, "api_base": api_base, "timeout": timeout}
        super().__init__(
            local_config(config, _known(provider) or "local", instructions, **given),
            on_tool_confirmation=_with_dict(on_tool_confirmation),
            on_custom_tool=on_custom_tool,
        )


@checked_arguments(HostedAgentConfig)
def ManagedAgent(
    provider: str | None = None,
    *,
    config: HostedAgentConfig | LocalAgentConfig | Mapping[str, Any] | None = None,
    api_key: str | None = None,
    api_base: str | None = None,
    timeout: float | None = None,
    instructions: str | None = None,
    on_tool_confirmation: Callable[..., Any] | None = None,
    on_custom_tool: Callable[..., Any] | None = None,
) -> Backend:
    """HostedAgent or LocalAgent. The `provider` decides: "anthropic" is hosted, "local" and every other one a
    loop that runs here, whose prompts go to that provider and to no other; the config becomes one for it.
    Without a provider what the config is of decides, then the environment: a key for Anthropic (or
    `api_key`) means hosted, else OpenAI's key, a running Ollama, or the embedded model. `config` may be a
    dict of fields. Raises ConfigError, also for what a config has and its new kind cannot have.

    >>> ManagedAgent(provider="openai").config.model
    'gpt-4o-mini'
    """
    _warn("ManagedAgent", "HostedAgent or LocalAgent", stacklevel=4)
    is_hosted, model = _known(provider) == "anthropic", None
    if provider is None:
        if isinstance(config, HostedAgentConfig | LocalAgentConfig):
            is_hosted = isinstance(config, HostedAgentConfig)
        else:
            name, model = ("hosted", None) if api_key else choice()
            is_hosted, model = name == "hosted", "embedded" if name == "embedded" else model
    callbacks: dict[str, Any] = {
        "on_tool_confirmation": _with_dict(on_tool_confirmation),
        "on_custom_tool": on_custom_tool,
    }
    given: dict[str, Any] = {"api_key": api_key, "timeout": timeout}
    if is_hosted:
        return HostedAgent(hosted_config(config, instructions, base_url=api_base, **given), **callbacks)
    if isinstance(config, Mapping) and config.get("model"):
        model = None
    made = local_config(config, provider or "local", instructions, model=model, api_base=api_base, **given)
    return LocalAgent(made, **callbacks)


def _warn(old: str, new: str, stacklevel: int) -> None:
    warnings.warn(f"{old} is the old name: use {new}.", DeprecationWarning, stacklevel=stacklevel)


def _known(provider: str | None) -> str | None:
    """`provider`, which has to be one. Raises ConfigError."""
    if provider in _COMPUTE_PROVIDERS:
        raise ConfigError(f"provider={provider!r}: {INSTEAD['compute']}.")
    if provider not in (None, "local", *PROVIDERS):
        known = ", ".join(["anthropic", "local", *(each for each in PROVIDERS if each != "anthropic")])
        raise ConfigError(f"provider={provider!r:.60} is none of {known}.")
    return provider


def _with_dict(callback: Callable[..., Any] | None) -> Callable[[ToolCall], Any] | None:
    """The callback, which gets the call as the dict that it always got."""
    if callback is None:
        return None

    def confirm(call: ToolCall) -> Any:
        return callback({"name": call.name, "input": json.loads(call.arguments), "tool_use_id": call.id})

    return confirm
