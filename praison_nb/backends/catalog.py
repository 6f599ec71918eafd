"""What models there are: which backend a name speaks of, what to suggest, what is ready here."""

from __future__ import annotations

import http.client
import json
import os
import urllib.request
from typing import Any

from .local.providers import PROVIDERS, is_embedded, resolve

HOSTED = ["claude-sonnet-4-6", "claude-opus-4-6", "claude-haiku-4-5"]
LOCAL = ["embedded", "gpt-4o-mini", *(f"{prefix}/" for prefix in PROVIDERS)]


def backend_for_model(model: str | None) -> str | None:
    """The backend that a model's name speaks of, None where it says nothing.

    >>> [backend_for_model(name) for name in ("ollama/llama3.2", "embedded", "claude-sonnet-4-6")]
    ['local', 'embedded', None]
    """
    if not model:
        return None
    if is_embedded(model):
        return "embedded"
    named = model.split("/")[0] in PROVIDERS or model.startswith(("gpt-", "o1", "o3", "o4"))
    return "local" if named else None


def guess_backend(model: str) -> str | None:
    """`backend_for_model`, and the hosted runtime for a bare name that it has, though others may have it too.

    >>> guess_backend("claude-sonnet-4-6")
    'hosted'
    """
    return "hosted" if model.startswith("claude") else backend_for_model(model)


def backend_for_session(session_id: str) -> str | None:
    """The backend on whose server a session with such an id is, None where the id says nothing."""
    return "hosted" if session_id.startswith("sesn_") else None


def suggested(backend: str = "") -> list[str]:
    """Models to suggest for a backend, for all without one; none where a backend has but its own.

    >>> suggested("hosted")[0], suggested("custom")
    ('claude-sonnet-4-6', [])
    """
    known = {"": [*LOCAL, HOSTED[0]], "hosted": HOSTED, "local": LOCAL, "embedded": LOCAL}
    return known.get(backend, [])


def available_models() -> list[tuple[str, str, str]]:
    """Each model or family as (name, where it runs, whether it is ready here or what it lacks)."""
    ollama = running_ollama()
    rows = [("embedded", "a small model in a process of this kernel", "yes")]
    rows.append((f"{HOSTED[0]} (-b hosted)", "Anthropic's Managed Agents", _key("ANTHROPIC_API_KEY")))
    for prefix, provider in PROVIDERS.items():
        if prefix == "ollama":
            rows.append((f"ollama/{ollama or '…'}", provider.name, "yes" if ollama else "not running"))
        else:
            shown = "gpt-4o-mini" if prefix == "openai" else f"{prefix}/…"
            rows.append((shown, provider.name, _key(provider.key_variable)))
    return [*rows, ("gguf:PATH", "your own GGUF file", "yes")]


def choice() -> tuple[str, str | None]:
    """What this machine offers, as a backend's name and a model: hosted with ANTHROPIC_API_KEY, OpenAI with
    OPENAI_API_KEY, a running Ollama, else the embedded model."""
    if os.environ.get("ANTHROPIC_API_KEY"):
        return "hosted", None
    if os.environ.get("OPENAI_API_KEY"):
        return "local", None
    if model := running_ollama():
        return "local", f"ollama/{model}"
    return "embedded", None


def _key(variable: str) -> str:
    if not variable:
        return "if it runs"
    return "yes" if os.environ.get(variable) else f"set {variable}"


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: Any) -> None:
        return None


def running_ollama() -> str:
    """The first model of an Ollama that runs on this machine, "" where none does."""
    address = resolve("ollama/any").base_url.removesuffix("/v1") + "/api/tags"
    try:
        # A proxy knows nothing of this machine, and what is elsewhere does not run here.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirects)
        with opener.open(address, timeout=0.5) as response:
            models = json.load(response)["models"]
        return str(models[0]["name"])
    except (OSError, http.client.HTTPException, ValueError, LookupError, TypeError):
        return ""
