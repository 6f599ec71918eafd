"""The providers: one table. Whoever adds a provider adds a row.

>>> PROVIDERS["mistral"].wire, maker("claude-sonnet-5-5"), maker("gpt-5.6-terra"), maker("qwen3")
('chat', 'anthropic', 'openai', '')
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import cast

from ...errors import ConfigError, MissingKeyError
from . import rules
from .address import host_of, is_own, ollama_address
from .rules import STRICTEST, ByWire, WireName
from .server import Server


@dataclass(frozen=True, slots=True)
class Provider:
    """Whose server it is.

    - `base_url` ends where a wire's path begins; "" where each customer has an address of their own.
    - `prices` is its id in the price table, "" where that has none. What `runs_here` is paid to nobody.
    - `wires` are those that it speaks, its own first, each with the rules that it keeps there.
    - `models` are the beginnings of names by which its models are known without a prefix.
    - `url_variable` names the environment variable that moves it; `url_path` is what that leaves out.
    """

    name: str
    base_url: str
    key_variable: str
    prices: str
    wires: ByWire
    models: tuple[str, ...] = ()
    url_variable: str = ""
    url_path: str = ""
    runs_here: bool = False

    @property
    def wire(self) -> WireName:
        """The wire on which it is asked."""
        return next(iter(self.wires))

    @property
    def key(self) -> str:
        """The key for it in the environment, "" where there is none."""
        return clean_key(os.environ.get(self.key_variable)) if self.key_variable else ""

    @property
    def moved_to(self) -> str:
        """The address that its variable says, "" where it says none."""
        address = os.environ.get(self.url_variable, "").strip() if self.url_variable else ""
        if not address:
            return ""
        if self.url_variable == "OLLAMA_HOST":
            address = ollama_address(address)
        return address.rstrip("/").removesuffix(self.url_path) + self.url_path


_MISTRALS = ("mistral-", "magistral-", "ministral-", "codestral", "devstral-", "pixtral-", "voxtral-")
_OPENAIS = ("gpt-", "chatgpt-", "codex-", "ft:gpt-", "o1", "o3", "o4")

SHARED_URL = "OPENAI_BASE_URL"
"""The variable that names a server of anybody's; OPENAI_API_KEY is the key for it then."""

# Each provider's own documentation is the source of its address.
# fmt: off
PROVIDERS: dict[str, Provider] = {
    "openai": Provider(
        "OpenAI", "https://api.openai.com/v1", "OPENAI_API_KEY", "openai", rules.OPENAI, _OPENAIS
    ),
    "anthropic": Provider(
        "Anthropic", "https://api.anthropic.com/v1", "ANTHROPIC_API_KEY", "anthropic", rules.ANTHROPIC,
        ("claude",), url_variable="ANTHROPIC_BASE_URL", url_path="/v1",
    ),
    "gemini": Provider(
        "Gemini", "https://generativelanguage.googleapis.com/v1beta/openai", "GEMINI_API_KEY", "google",
        rules.GEMINI, ("gemini-",),
    ),
    "mistral": Provider(
        "Mistral", "https://api.mistral.ai/v1", "MISTRAL_API_KEY", "mistral", rules.MISTRAL, _MISTRALS
    ),
    "deepseek": Provider(
        "DeepSeek", "https://api.deepseek.com/v1", "DEEPSEEK_API_KEY", "deepseek", rules.DEEPSEEK,
        ("deepseek-",),
    ),
    "xai": Provider("xAI", "https://api.x.ai/v1", "XAI_API_KEY", "x-ai", rules.XAI, ("grok-",)),
    "moonshot": Provider(
        "Moonshot", "https://api.moonshot.ai/v1", "MOONSHOT_API_KEY", "moonshotai", rules.MOONSHOT,
        ("kimi-", "moonshot-"),
    ),
    "perplexity": Provider(
        "Perplexity", "https://api.perplexity.ai", "PERPLEXITY_API_KEY", "perplexity", rules.PERPLEXITY,
        ("sonar",),
    ),
    "qwen": Provider(
        "Qwen", "https://dashscope-intl.aliyuncs.com/compatible-mode/v1", "DASHSCOPE_API_KEY", "qwen",
        rules.QWEN, ("qwen-", "qwq-"),
    ),
    "openrouter": Provider(
        "OpenRouter", "https://openrouter.ai/api/v1", "OPENROUTER_API_KEY", "openrouter", rules.OPENROUTER
    ),
    "groq": Provider("Groq", "https://api.groq.com/openai/v1", "GROQ_API_KEY", "groq", rules.CHAT),
    "together": Provider(
        "Together", "https://api.together.xyz/v1", "TOGETHER_API_KEY", "together", rules.CHAT
    ),
    "fireworks": Provider(
        "Fireworks", "https://api.fireworks.ai/inference/v1", "FIREWORKS_API_KEY", "fireworks", rules.CHAT
    ),
    "cerebras": Provider(
        "Cerebras", "https://api.cerebras.ai/v1", "CEREBRAS_API_KEY", "cerebras", rules.CHAT
    ),
    "azure": Provider(
        "Azure", "", "AZURE_OPENAI_API_KEY", "azure", rules.OPENAI,
        url_variable="AZURE_OPENAI_ENDPOINT", url_path="/openai/v1",
    ),
    "ollama": Provider(
        "Ollama", "http://127.0.0.1:11434/v1", "", "", rules.CHAT, url_variable="OLLAMA_HOST", url_path="/v1",
        runs_here=True,
    ),
    "lmstudio": Provider(
        "LM Studio", "http://127.0.0.1:1234/v1", "", "", rules.TEMPLATES, runs_here=True
    ),
    "llamacpp": Provider(
        "llama.cpp", "http://127.0.0.1:8080/v1", "", "", rules.TEMPLATES, runs_here=True
    ),
}
# fmt: on


def maker(model: str) -> str:
    """Whose model a bare name means, "" where it says nothing."""
    found = (key for key, provider in PROVIDERS.items() if model.startswith(provider.models))
    return next(found, "") if "/" not in model else ""


def clean_key(key: str | None) -> str:
    """A key without what is copied along with it: blanks, line ends, the header's "Bearer".

    >>> clean_key("Bearer sk-1\\n")
    'sk-1'
    """
    return (key or "").strip().removeprefix("Bearer ").strip()


def embedded_server(
    base_url: str, model: str, api_key: str, wire: str = "", context: int | None = None
) -> Server:
    """The server of the embedded model, which speaks all three wires and takes `context` tokens."""
    return Server(
        "The embedded model",
        base_url,
        model,
        api_key=api_key,
        wire=cast(WireName, wire or "chat"),
        rules=rules.EMBEDDED,
        context=context,
        runs_here="embedded",
    )


def is_embedded(model: str) -> bool:
    """Whether this is a model that runs embedded, in a process that the package starts."""
    return model in ("embedded", "smollm2") or model.startswith(("embedded/", "gguf:", "hf:"))


def embedded(model: str) -> str:
    """`model`, which has to be an embedded one. Raises ConfigError."""
    if not is_embedded(model):
        raise ConfigError(
            f"The embedded backend runs 'embedded', 'gguf:PATH' and 'hf:OWNER/REPO', not {model!r:.100}."
        )
    return model


def resolve(
    model: str,
    *,
    base_url: str | None = None,
    api_key: str | None = None,
    provider: str | None = None,
    wire: str | None = None,
    needs_key: bool = True,
) -> Server:
    """The server for `model`. Whose it is say, in this order: `provider`; an address, if it is a provider's
    own; the prefix of the name; the name itself, where its maker's key is set. A provider's key goes to its
    own address, and to another one only if `provider` says that it is theirs too; any other address gets the
    key that was given for it. `provider` and `wire` are names that there are. Raises ConfigError, and
    MissingKeyError where a server wants a key and there is none, unless not `needs_key`.

    >>> resolve("lmstudio/qwen3").base_url, resolve("lmstudio/qwen3").model
    ('http://127.0.0.1:1234/v1', 'qwen3')
    >>> server = resolve("openai/gpt-oss-20b", base_url="http://127.0.0.1:8000/v1")
    >>> server.provider, server.model, server.wire
    ('', 'openai/gpt-oss-20b', 'chat')
    """
    asked, shared = cast("WireName | None", wire or None), os.environ.get(SHARED_URL, "").strip()
    base_url = (base_url or "").strip()
    if provider:
        address = base_url or (shared if provider == "openai" else "")
        return _of(provider, model, address, api_key, asked, needs_key)
    if base_url:
        return _at(base_url, model, clean_key(api_key), "", asked, needs_key)
    prefix, slash, rest = model.partition("/")
    has_prefix = bool(slash) and prefix in PROVIDERS
    key = prefix if has_prefix else maker(model) or "openai"
    row = PROVIDERS[key]
    if shared and (key == "openai" or (row.key_variable and not row.key)):
        # A gateway may have the models of many, by names like these.
        given = clean_key(api_key) or PROVIDERS["openai"].key
        return _at(shared, model, given, PROVIDERS["openai"].key_variable, asked, needs_key)
    if has_prefix and not rest:
        raise ConfigError(f"model={model!r} names no model: write {prefix}/NAME.")
    return _of(key, rest if has_prefix else model, "", api_key, asked, needs_key)


def _of(
    key: str, model: str, address: str, api_key: str | None, wire: WireName | None, needs_key: bool
) -> Server:
    """The server of the provider `key`, at `address` or at its own."""
    provider = PROVIDERS[key]
    base_url = address or provider.moved_to or provider.base_url
    is_elsewhere = bool(address) and not is_own(address, provider.base_url)
    secret = clean_key(api_key) or provider.key
    if needs_key and provider.key_variable and not secret and not is_elsewhere:
        raise MissingKeyError(
            f"No key for {provider.name}: set {provider.key_variable} or give api_key=…. "
            "Without any key, model='embedded' runs a small model on this machine."
        )
    if not base_url:
        raise ConfigError(
            f"{provider.name} has no address of its own: set {provider.url_variable} or base_url=…."
        )
    wire = wire or ("chat" if is_elsewhere else provider.wire)
    return Server(
        host_of(base_url) if is_elsewhere else provider.name,
        base_url,
        model,
        provider.key_variable,
        provider.prices,
        secret,
        key,
        wire,
        provider.wires.get(wire, STRICTEST[wire]),
        runs_here=key if provider.runs_here else "",
    )


def _at(
    address: str, model: str, api_key: str, variable: str, wire: WireName | None, needs_key: bool
) -> Server:
    """The server at `address`: a provider's, where that is its own, else nobody's."""
    for key, provider in PROVIDERS.items():
        if is_own(address, provider.base_url):
            return _of(key, model.removeprefix(f"{key}/"), address, api_key, wire, needs_key)
    wire = wire or "chat"
    return Server(
        host_of(address), address, model, variable, api_key=api_key, wire=wire, rules=STRICTEST[wire]
    )
