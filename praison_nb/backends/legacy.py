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
from dataclasses import dataclass, field, fields, replace
from typing import Any

from ..errors import ConfigError
from ..turn import ToolCall
from .base import Backend
from .catalog import choice, running_ollama
from .hosted.agent import HostedAgent
from .hosted.config import AGENT_TOOLSET, HostedAgentConfig
from .local.agent import LocalAgent
from .local.config import LocalAgentConfig
from .local.providers import PROVIDERS, is_embedded

_LOCAL_PROVIDERS = ("openai", "gemini", "ollama", "local")
_COMPUTE_PROVIDERS = ("e2b", "modal", "flyio", "daytona", "docker", "tenki")
_DEFAULT_MODELS = {"openai": "gpt-4o-mini", "gemini": "gemini/gemini-2.0-flash", "ollama": "ollama/llama3.2"}


@dataclass(frozen=True, kw_only=True)
class ManagedConfig(HostedAgentConfig):
    """HostedAgentConfig, by its old name and with its old defaults. `callable_agents` is `multiagent` now.

    >>> ManagedConfig(callable_agents=["agent_1"]).multiagent
    {'type': 'coordinator', 'agents': ['agent_1']}
    """

    name: str = "Agent"
    model: str | Mapping[str, Any] = "claude-haiku-4-5"
    system: str = "You are a helpful coding assistant."
    tools: Sequence[Callable[..., Any] | str | Mapping[str, Any]] = ({"type": AGENT_TOOLSET},)
    env_name: str = "praisonai-env"
    session_title: str = "PraisonAI session"
    callable_agents: Sequence[Any] = ()

    def __post_init__(self) -> None:
        _warn("ManagedConfig", "HostedAgentConfig", stacklevel=4)
        if self.callable_agents and self.multiagent is None:
            coordinator = {"type": "coordinator", "agents": list(self.callable_agents)}
            object.__setattr__(self, "multiagent", coordinator)
        super().__post_init__()


@dataclass(frozen=True, kw_only=True)
class LocalManagedConfig(LocalAgentConfig):
    """LocalAgentConfig, by its old name and with its old defaults.

    >>> LocalManagedConfig().model
    'gpt-4o'
    """

    name: str = "Agent"
    model: str = "gpt-4o"
    system: str = "You are a helpful coding assistant."
    metadata: Mapping[str, Any] = field(default_factory=dict)
    session_title: str = "PraisonAI local session"

    def __post_init__(self) -> None:
        _warn("LocalManagedConfig", "LocalAgentConfig", stacklevel=4)
        super().__post_init__()


class AnthropicManagedAgent(HostedAgent):
    """HostedAgent, by its old name and with its old arguments. `options` are fields of the config, and the
    callbacks, which get what they always got. Raises ConfigError.

    >>> AnthropicManagedAgent(instructions="Be brief.").config.system
    'Be brief.'
    """

    def __init__(
        self,
        provider: str = "anthropic",
        api_key: str | None = None,
        config: HostedAgentConfig | Mapping[str, Any] | None = None,
        **options: Any,
    ) -> None:
        _warn("AnthropicManagedAgent", "HostedAgent", stacklevel=3)
        callbacks = _callbacks(options)
        super().__init__(_hosted_config(config, api_key, options), provider=provider, **callbacks)


class LocalManagedAgent(LocalAgent):
    """LocalAgent, by its old name and with its old arguments; `provider` is part of the model's name now.
    `options` are fields of the config. Raises ConfigError.

    >>> LocalManagedAgent(provider="gemini").config.model
    'gemini/gemini-2.0-flash'
    """

    def __init__(
        self,
        provider: str = "local",
        api_key: str | None = None,
        api_base: str | None = None,
        config: LocalAgentConfig | Mapping[str, Any] | None = None,
        **options: Any,
    ) -> None:
        _warn("LocalManagedAgent", "LocalAgent", stacklevel=3)
        super().__init__(_local_config(config, provider, api_key, {"api_base": api_base, **options}))


def ManagedAgent(
    provider: str | None = None,
    *,
    config: HostedAgentConfig | LocalAgentConfig | Mapping[str, Any] | None = None,
    api_key: str | None = None,
    **options: Any,
) -> Backend:
    """HostedAgent or LocalAgent: what the config is of decides, then `provider`, then the environment: a key
    for Anthropic (or `api_key`) means hosted, else OpenAI's key, a running Ollama, or the embedded model.
    `options` are fields of the config, and the callbacks. Raises ConfigError.

    >>> ManagedAgent(provider="openai").config.model
    'gpt-4o-mini'
    """
    _warn("ManagedAgent", "HostedAgent or LocalAgent", stacklevel=3)
    if provider in _COMPUTE_PROVIDERS:
        raise ConfigError(f"provider={provider!r}: tools run in this kernel, or hosted with HostedAgent.")
    if provider not in (None, "anthropic", *_LOCAL_PROVIDERS):
        known = ", ".join(["anthropic", *_LOCAL_PROVIDERS])
        raise ConfigError(f"provider={provider!r} is none of {known}.")
    model: str | None = None
    if isinstance(config, HostedAgentConfig):
        hosted = True
    elif isinstance(config, LocalAgentConfig):
        hosted = False
    elif provider is not None:
        hosted = provider == "anthropic"
    else:
        name, model = ("hosted", None) if api_key else choice()
        hosted = name == "hosted"
        model = "embedded" if name == "embedded" else model
    if hosted:
        assert not isinstance(config, LocalAgentConfig)
        callbacks = _callbacks(options)
        return HostedAgent(_hosted_config(config, api_key, options), **callbacks)
    assert not isinstance(config, HostedAgentConfig)
    if model is not None and not (isinstance(config, Mapping) and config.get("model")):
        options["model"] = model
    return LocalAgent(_local_config(config, provider or "local", api_key, options))


def _warn(old: str, new: str, stacklevel: int) -> None:
    warnings.warn(f"{old} is the old name: use {new}.", DeprecationWarning, stacklevel=stacklevel)


def _callbacks(options: dict[str, Any]) -> dict[str, Any]:
    """The callbacks among the options, with the arguments that they always had."""
    callbacks = {"on_custom_tool": options.pop("on_custom_tool", None)}
    if (asked := options.pop("on_tool_confirmation", None)) is not None:

        def confirm(call: ToolCall) -> Any:
            as_dict = {"name": call.name, "input": json.loads(call.arguments), "tool_use_id": call.id}
            return asked(as_dict)

        callbacks["on_tool_confirmation"] = confirm
    return callbacks


def _hosted_config(
    config: HostedAgentConfig | Mapping[str, Any] | None, api_key: str | None, options: dict[str, Any]
) -> HostedAgentConfig:
    return HostedAgentConfig(**_settings(config, options, api_key, HostedAgentConfig))


def _local_config(
    config: LocalAgentConfig | Mapping[str, Any] | None,
    provider: str,
    api_key: str | None,
    options: dict[str, Any],
) -> LocalAgentConfig:
    settings = _settings(config, options, api_key, LocalAgentConfig)
    if "model" not in settings and provider in _DEFAULT_MODELS:
        running = running_ollama() if provider == "ollama" else ""
        settings["model"] = f"ollama/{running}" if running else _DEFAULT_MODELS[provider]
    local = LocalAgentConfig(**settings)
    if provider in ("gemini", "ollama") and not local.provider and not is_embedded(local.model):
        prefix, slash, name = local.model.partition("/")
        if local.address:
            # There it has the name that its server knows.
            own = name if slash and prefix == provider else local.model
            return replace(local, provider=provider, model=own)
        if not slash or prefix not in PROVIDERS or prefix == "openai":
            return replace(local, model=f"{provider}/{local.model}")
    return local


def _settings(config: Any, options: dict[str, Any], api_key: str | None, kind: type[Any]) -> dict[str, Any]:
    """The fields of the config, changed by the arguments."""
    given = {"api_key": api_key, **options}
    instructions = given.pop("instructions", None)
    if config is None or (isinstance(config, Mapping) and "system" not in config):
        given["system"] = instructions
    given = {key: value for key, value in given.items() if value is not None}
    if isinstance(config, kind):
        config = {each.name: getattr(config, each.name) for each in fields(kind)}
    return {**(config or {}), **given}
