"""Which server a model's name means. One table; a `base_url` given by the user wins.

>>> resolve("lmstudio/qwen3").base_url, resolve("lmstudio/qwen3").model
('http://127.0.0.1:1234/v1', 'qwen3')
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from ... import redaction
from ...errors import ConfigError, MissingKeyError
from ..config_base import check_address
from ..sdk_errors import Where


@dataclass(frozen=True, slots=True)
class Provider:
    """A server that speaks OpenAI's chat completions. `prices` is its id in the price table, "" where nobody
    is paid; `url_variable` names the environment variable that moves it."""

    name: str
    base_url: str
    key_variable: str = ""
    prices: str = ""
    url_variable: str = ""


# Each provider's own documentation of its OpenAI-compatible endpoint is the source of its address.
PROVIDERS: dict[str, Provider] = {
    "openai": Provider(
        "OpenAI", "https://api.openai.com/v1", "OPENAI_API_KEY", "openai", url_variable="OPENAI_BASE_URL"
    ),
    "ollama": Provider("Ollama", "http://127.0.0.1:11434/v1", url_variable="OLLAMA_HOST"),
    "lmstudio": Provider("LM Studio", "http://127.0.0.1:1234/v1"),
    "gemini": Provider(
        "Gemini", "https://generativelanguage.googleapis.com/v1beta/openai/", "GEMINI_API_KEY", "google"
    ),
    "anthropic": Provider("Anthropic", "https://api.anthropic.com/v1/", "ANTHROPIC_API_KEY", "anthropic"),
    "openrouter": Provider("OpenRouter", "https://openrouter.ai/api/v1", "OPENROUTER_API_KEY", "openrouter"),
    "groq": Provider("Groq", "https://api.groq.com/openai/v1", "GROQ_API_KEY", "groq"),
    "mistral": Provider("Mistral", "https://api.mistral.ai/v1", "MISTRAL_API_KEY", "mistral"),
    "deepseek": Provider("DeepSeek", "https://api.deepseek.com/v1", "DEEPSEEK_API_KEY", "deepseek"),
}


@dataclass(frozen=True, slots=True)
class Server:
    """Where the requests of an agent go. `model` is the name that the server knows."""

    name: str
    base_url: str = field(repr=False)
    model: str
    key_variable: str = ""
    prices: str = ""
    api_key: str = field(default="", repr=False)
    provider: str = ""
    wire: str = "chat"

    def __post_init__(self) -> None:
        redaction.register(self.api_key, self.key_variable or f"the key for {self.name}")
        check_address(self.base_url, "base_url")
        redaction.register_address(self.base_url)

    @property
    def where(self) -> Where:
        """For error messages."""
        variable = self.key_variable or "api_key="
        return Where(self.name, self.base_url, self.model, variable)


def is_embedded(model: str) -> bool:
    """Whether this is a model that runs embedded, in a process that the package starts."""
    return model in ("embedded", "smollm2") or model.startswith(("embedded/", "gguf:"))


def embedded(model: str) -> str:
    """`model`, which has to be an embedded one. Raises ConfigError."""
    if not is_embedded(model):
        raise ConfigError(f"The embedded backend runs 'embedded' and 'gguf:PATH', not {model!r:.100}.")
    return model


def split(model: str) -> tuple[str, str]:
    """The provider's prefix and the model's own name.

    >>> split("openrouter/meta-llama/llama-3.3-70b"), split("gpt-4o-mini")
    (('openrouter', 'meta-llama/llama-3.3-70b'), ('openai', 'gpt-4o-mini'))
    """
    prefix, slash, rest = model.partition("/")
    return (prefix, rest) if slash and prefix in PROVIDERS else ("openai", model)


def resolve(model: str, *, base_url: str | None = None, api_key: str | None = None) -> Server:
    """The server for `model`. Raises MissingKeyError where it wants a key and there is none."""
    prefix, name = split(model)
    if not name:
        raise ConfigError(f"model={model!r} names no model: write {prefix}/NAME.")
    provider = PROVIDERS[prefix]
    address = base_url or _moved(provider)
    key = api_key or (os.environ.get(provider.key_variable, "") if provider.key_variable else "")
    if provider.key_variable and not key and not base_url:
        raise MissingKeyError(
            f"No key for {provider.name}: set {provider.key_variable} or give api_key=…. "
            "Without any key, model='embedded' runs a small model on this machine."
        )
    host = provider.name if not base_url else base_url.split("//")[-1].split("/")[0].split("@")[-1]
    return Server(host, address, name, provider.key_variable, provider.prices, key)


def _moved(provider: Provider) -> str:
    address = os.environ.get(provider.url_variable, "") if provider.url_variable else ""
    if not address:
        return provider.base_url
    if provider.url_variable == "OLLAMA_HOST":
        # Ollama's own variable may lack the scheme and always lacks the path; 0.0.0.0 is for listening.
        address = address if "//" in address else f"http://{address}"
        return address.replace("0.0.0.0", "127.0.0.1").rstrip("/") + "/v1"
    return address
