"""What models there are: which backend a name speaks of, what to suggest, what is ready here."""

from __future__ import annotations

import http.client
import json
import re
import urllib.request
from contextlib import suppress
from datetime import UTC, datetime
from importlib.util import find_spec
from typing import Any, get_args

from ..errors import PraisonError
from ..metering import price_table
from .local.config import LocalAgentConfig
from .local.providers import PROVIDERS, is_embedded, maker, resolve
from .local.wires.base import Effort

EFFORTS = tuple(effort for effort in get_args(Effort) if effort)
"""How long a model may think."""

MOST_SHOWN = 8
"""So many models of a provider are shown and suggested, the newest first."""

_NO_CHAT = re.compile(
    r"audio|computer-use|embed|guard|image|live|moderation|ocr|omni|realtime|robotics|search|speech"
    r"|transcri|tts|vision|voice|whisper"
)
_ENDED = re.compile(r"(retired|discontinued|deprecated)\b", re.I)
_VERSION = re.compile(r"(?<!\d)\d{1,2}(?!\d|b\b)")
"""A number in a model's name that is no date and no count of parameters."""
_SMALL_CONTEXT = 32_000
"""Tokens: what has less is no model of today."""


def backend_for_model(model: str | None) -> str | None:
    """The backend that a model's name speaks of, None where it says nothing.

    >>> [backend_for_model(name) for name in ("ollama/llama3.2", "embedded", "claude-sonnet-5-5", "mine")]
    ['local', 'embedded', 'local', None]
    """
    if not model:
        return None
    if is_embedded(model):
        return "embedded"
    prefix, slash, _ = model.partition("/")
    return "local" if (slash and prefix in PROVIDERS) or maker(model) else None


def runs(backend: str, model: str) -> bool:
    """Whether the backend, by its name, can have a model of this name: Claude runs here and hosted.

    >>> runs("hosted", "claude-sonnet-5-5"), runs("local", "claude-sonnet-5-5"), runs("hosted", "gpt-5.5")
    (True, True, False)
    """
    if backend == "hosted":
        return backend_for_model(model) is None or maker(model) == "anthropic"
    return True


def backend_for_session(session_id: str) -> str | None:
    """The backend on whose server the session is, None where nobody knows it. An id of Anthropic's says so;
    for others the server is asked, if there is a key. Raises PraisonError."""
    if session_id.startswith("sesn_"):
        return "hosted"
    if not PROVIDERS["anthropic"].key:
        return None
    from .hosted.agent import HostedAgent

    return "hosted" if HostedAgent().has_session(session_id) else None


def live_models(provider: str) -> list[str]:
    """The provider's models that one can talk to today, the newest first, as `-m` takes them: those of the
    price table, but for what has ended there.

    >>> "claude-opus-5-5" in live_models("anthropic"), live_models("lmstudio")
    (True, [])
    """
    row = PROVIDERS[provider]
    if not row.prices or not row.base_url:
        return []
    now = datetime.now(UTC)
    providers = price_table.snapshot().providers
    known = next((each.models for each in providers if each.id == row.prices), list[Any]())
    names = [each.id for each in known if _is_live(each, now)]
    if row.models:
        # Some sell models of others too, elsewhere.
        names = [name for name in names if maker(name) == provider]
    names.sort(key=lambda name: [int(number) for number in _VERSION.findall(name)], reverse=True)
    return [name if maker(name) == provider else f"{provider}/{name}" for name in names]


def _is_live(model: Any, now: datetime) -> bool:
    price = model.get_prices(now)
    return not (
        model.deprecated
        or _ENDED.match(model.price_comments or "")
        or price.input_mtok is None
        or price.output_mtok is None
        or (model.context_window or 0) < _SMALL_CONTEXT
        or _NO_CHAT.search(model.id)
        # What the table does not find again by its id is no name for a server.
        or not model.is_match(model.id)
        or not model.id[0].isalnum()
    )


def suggested(backend: str = "") -> list[str]:
    """Models to suggest for a backend, for all without one: those of providers whose key is set, then what
    there is besides; none where a backend has but its own.

    >>> "embedded" in suggested(), all(name.startswith("claude") for name in suggested("hosted"))
    (True, True)
    >>> suggested("custom")
    []
    """
    if backend == "hosted":
        return live_models("anthropic")
    if backend not in ("", "local", "embedded"):
        return []
    with_key = [key for key, provider in PROVIDERS.items() if provider.key]
    names = [name for key in with_key for name in live_models(key)[:MOST_SHOWN]]
    prefixes = [f"{prefix}/" for prefix in PROVIDERS]
    return list(dict.fromkeys(["embedded", LocalAgentConfig.model, *names, *prefixes, "gguf:", "hf:"]))


def available_models() -> list[tuple[str, str, str]]:
    """Each model or family as (name, where it runs, whether it is ready here or what it lacks)."""
    hosted = "yes" if PROVIDERS["anthropic"].key else f"set {PROVIDERS['anthropic'].key_variable}"
    rows = [
        ("embedded", "a small model in a process of this kernel", "yes"),
        ("claude-… -b hosted", "Anthropic's Managed Agents", hosted),
    ]
    without_key = []
    for prefix, provider in PROVIDERS.items():
        if prefix == "ollama":
            names = [f"ollama/{name}" for name in ollama_models()]
            rows += [(name, provider.name, "yes") for name in names or ()]
            without_key += [] if names else [("ollama/…", provider.name, "not running")]
        elif provider.key:
            default = [LocalAgentConfig.model] if maker(LocalAgentConfig.model) == prefix else []
            names = [*live_models(prefix)[:MOST_SHOWN], *default] or [f"{prefix}/…"]
            rows += [(name, provider.name, "yes") for name in dict.fromkeys(names)]
        else:
            lacks = f"set {provider.key_variable}" if provider.key_variable else "if it runs"
            without_key.append((f"{prefix}/…", provider.name, lacks))
    hub = "yes" if find_spec("huggingface_hub") else 'pip install "praison-nb[hf]"'
    files = [
        ("gguf:PATH", "your own GGUF file", "yes"),
        ("hf:OWNER/REPO", "a GGUF file of the Hugging Face Hub", hub),
    ]
    return [*rows, *without_key, *files]


def choice() -> tuple[str, str | None]:
    """What this machine offers, as a backend's name and a model: hosted with ANTHROPIC_API_KEY, OpenAI with
    OPENAI_API_KEY, a running Ollama, else the embedded model."""
    if PROVIDERS["anthropic"].key:
        return "hosted", None
    if PROVIDERS["openai"].key:
        return "local", None
    if model := running_ollama():
        return "local", f"ollama/{model}"
    return "embedded", None


def likely_modules(backend: str, model: str) -> list[str]:
    """What a turn will need on this backend and model, "" for either where this machine chooses: the SDK,
    and those of ours that are loaded when they are asked for.

    >>> likely_modules("hosted", "")[0], likely_modules("", "claude-sonnet-5-5")[0]
    ('anthropic', 'anthropic')
    >>> likely_modules("", "ollama/qwen3")[-1]
    'praison_nb.backends.local.wires.chat'
    """
    is_chosen = bool(backend or model)
    is_hosted = backend == "hosted" or (not is_chosen and bool(PROVIDERS["anthropic"].key))
    sdk = "anthropic" if is_hosted or maker(model) == "anthropic" else "openai"
    own = ["hosted.agent", "hosted.validate"] if is_hosted else ["local.agent", "local.validate"]
    if not is_hosted:
        with suppress(PraisonError):
            own.append(f"local.wires.{resolve(model or LocalAgentConfig.model).wire}")
    return [sdk, *(f"{__package__}.{name}" for name in own)]


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: Any) -> None:
        return None


def running_ollama() -> str:
    """The first model of an Ollama that runs on this machine, "" where none does."""
    return next(iter(ollama_models()), "")


def ollama_models() -> list[str]:
    """The models of an Ollama that runs on this machine, none where none does."""
    address = resolve("ollama/any").base_url.removesuffix("/v1") + "/api/tags"
    try:
        # A proxy knows nothing of this machine, and what is elsewhere does not run here.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirects)
        with opener.open(address, timeout=0.5) as response:
            models = json.load(response)["models"]
        return [str(each["name"]) for each in models]
    except (OSError, http.client.HTTPException, ValueError, LookupError, TypeError):
        return []
