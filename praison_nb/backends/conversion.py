"""Configs of one kind of agent made of those of the other, for the provider that the user named. What the new
kind cannot have is one line; names and titles that change nothing are left behind."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

from ..errors import ConfigError
from .arguments import INSTEAD
from .catalog import running_ollama
from .hosted.config import HostedAgentConfig, NetworkingConfig
from .local.config import LocalAgentConfig
from .local.declared import HERE
from .local.providers import PROVIDERS, is_embedded, maker

_MODELS = {"openai": "gpt-4o-mini", "gemini": "gemini/gemini-2.0-flash", "ollama": "ollama/llama3.2"}
"""What PraisonAI asks where no model is named."""
_RUNS_ANY = ("ollama", "lmstudio", "openrouter", "groq", "together", "fireworks", "cerebras", "azure")
"""Providers that have models of many makers, by any name."""
_LEFT_BEHIND = frozenset(
    ("callable_agents", "description", "env_name", "model", "reconnect_seconds", "session_title")
)
_OF_A_SERVER = frozenset(("api_key", "base_url", "api_base"))
_USUAL = {"networking": ({"type": "unrestricted"}, NetworkingConfig())}
"""What is as good as the default."""
AnyConfig = HostedAgentConfig | LocalAgentConfig | Mapping[str, Any] | None


class DefaultModel(str):
    """The model of a config that names none."""


def hosted_config(config: AnyConfig, instructions: str | None, **given: Any) -> HostedAgentConfig:
    """The config of a HostedAgent. Raises ConfigError."""
    settings = _settings(config, HostedAgentConfig)
    if isinstance(config, LocalAgentConfig):
        is_default = config.model == type(config).model
        settings["model"] = None if is_default else config.model.removeprefix("anthropic/")
        names = [HERE.get(tool, tool) if isinstance(tool, str) else tool for tool in config.tools]
        settings |= {"tools": names} if names else {}
    model = settings.get("model")
    is_checked = not isinstance(config, HostedAgentConfig) and not given.get("base_url")
    if is_checked and isinstance(model, str) and not _is_claude(model):
        raise ConfigError(f"model={model!r:.80} is no model of Anthropic's: name a Claude.")
    return HostedAgentConfig(**_with_arguments(settings, instructions, given))


def _is_claude(model: str) -> bool:
    return "/" not in model and not is_embedded(model) and maker(model) in ("", "anthropic")


def local_config(
    config: AnyConfig, provider: str, instructions: str | None, **given: Any
) -> LocalAgentConfig:
    """The config of a LocalAgent whose prompts go to `provider`; "local" leaves that to the model's name.
    Raises ConfigError."""
    settings = _settings(config, LocalAgentConfig)
    model = config.model if isinstance(config, HostedAgentConfig) else settings.get("model")
    if isinstance(model, Mapping):
        if others := ", ".join(sorted(set(model) - {"id", "effort"})):
            raise ConfigError(f"model: {others} is for HostedAgent only.")
        settings["effort"], model = model.get("effort") or "", model.get("id")
    if isinstance(model, DefaultModel):
        is_of_provider = isinstance(config, LocalAgentConfig) and provider in ("local", "openai")
        model = model if is_of_provider else None
    if provider != "local" and settings.get("provider") not in (None, "", provider):
        # The one beside the config wins, but what is meant for the other one's server goes to no other.
        other = settings.pop("provider")
        if beside := next((each for each in ("api_key", "base_url") if settings.get(each)), ""):
            raise ConfigError(f"{beside} of the config is for {other!r:.60}, and {provider!r} was named.")
    address = given.get("api_base") or settings.get("base_url") or settings.get("api_base")
    is_elsewhere = bool(address or settings.get("provider"))
    settings["model"] = given.pop("model", None) or _model_at(provider, model, is_elsewhere)
    if address and provider != "local":
        settings["provider"] = provider
    return LocalAgentConfig(**_with_arguments(settings, instructions, given))


def _model_at(provider: str, model: str | None, is_elsewhere: bool) -> str | None:
    """The model's name, by which its prompts go to `provider` alone."""
    if model is None and provider != "local":
        running = running_ollama() if provider == "ollama" and not is_elsewhere else ""
        model = f"ollama/{running}" if running else _MODELS.get(provider)
        if model is None:
            raise ConfigError(f"provider={provider!r}: name its model in the config, config={{'model': …}}.")
    if model is None or provider == "local" or is_embedded(model):
        return model
    prefix, slash, name = model.partition("/")
    if is_elsewhere:
        # There it has the name that its server knows.
        return name if slash and prefix == provider else model
    if slash and prefix == provider:
        return model
    whose = prefix if slash and prefix in PROVIDERS else maker(model)
    if whose not in ("", provider) and provider not in _RUNS_ANY:
        raise ConfigError(
            f"model={model!r:.80} is {PROVIDERS[whose].name}'s, and provider={provider!r} was named: name a "
            f"model of {PROVIDERS[provider].name}'s, or provider={whose!r}."
        )
    return model if provider == "openai" else f"{provider}/{model}"


def _settings(config: AnyConfig, kind: type[Any]) -> dict[str, Any]:
    """The fields of `config` that make a config of `kind`."""
    if config is None or isinstance(config, Mapping):
        settings = {str(name): value for name, value in (config or {}).items()}
        if kind is HostedAgentConfig and (agents := settings.pop("callable_agents", None)):
            settings.setdefault("multiagent", coordinator(agents))
        return settings
    known = {each.name for each in fields(kind)}
    if isinstance(config, kind):
        return {name: getattr(config, name) for name in known}
    if not isinstance(config, HostedAgentConfig | LocalAgentConfig):
        # It says what a config is.
        kind.of(config)
    settings = {}
    for each in fields(config):
        name, value = each.name, getattr(config, each.name)
        if name in _LEFT_BEHIND or not value:
            continue
        if name in _OF_A_SERVER:
            beside = "api_key" if name == "api_key" else "api_base"
            raise ConfigError(
                f"{name} in a {type(config).__name__} is for another API: use ManagedAgent({beside}=…)."
            )
        if name in known:
            settings[name] = value
        elif value not in (each.default, *_USUAL.get(name, ())):
            instead = INSTEAD.get(name) or "only the other kind of agent has it: leave it out of the config"
            raise ConfigError(f"{name}: {instead}.")
    return settings


def coordinator(agents: Any) -> dict[str, Any]:
    """`callable_agents` as `multiagent` has them."""
    agents = [agents] if isinstance(agents, str | Mapping) else agents
    return {"type": "coordinator", "agents": list(agents) if isinstance(agents, Iterable) else agents}


def _with_arguments(
    settings: dict[str, Any], instructions: str | None, given: dict[str, Any]
) -> dict[str, Any]:
    """What a config is made of; `given` are the arguments beside it."""
    if "system" not in settings and instructions is not None:
        settings = {**settings, "system": instructions}
    settings |= {name: value for name, value in given.items() if value is not None}
    return {name: value for name, value in settings.items() if value is not None or name != "model"}
