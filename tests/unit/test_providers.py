"""Which server a model's name means."""

from __future__ import annotations

import pytest

from praison_nb.backends.local.providers import PROVIDERS, is_embedded, resolve
from praison_nb.errors import ConfigError, MissingKeyError


@pytest.mark.parametrize("prefix", sorted(PROVIDERS))
def test_each_prefix_has_its_server_and_key(prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    provider = PROVIDERS[prefix]
    if provider.key_variable:
        with pytest.raises(MissingKeyError, match=provider.key_variable):
            resolve(f"{prefix}/some/model")
        monkeypatch.setenv(provider.key_variable, "k-123")
    monkeypatch.delenv("OLLAMA_HOST", raising=False)
    server = resolve(f"{prefix}/some/model")
    assert server.model == "some/model" and server.base_url == (
        provider.base_url if prefix != "ollama" else "http://127.0.0.1:11434/v1"
    )
    assert server.api_key == ("k-123" if provider.key_variable else "") and "k-123" not in repr(server)


def test_base_url_wins_and_needs_no_key() -> None:
    server = resolve("gpt-4o-mini", base_url="http://user:pass@127.0.0.1:8/v1")
    assert server.base_url.endswith(":8/v1") and server.name == "127.0.0.1:8" and server.api_key == ""


def test_variables_move_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:5/v1")
    assert resolve("gpt-4o").base_url == "http://127.0.0.1:5/v1"
    monkeypatch.setenv("OLLAMA_HOST", "0.0.0.0:11500")
    assert resolve("ollama/x").base_url == "http://127.0.0.1:11500/v1"


def test_a_name_with_a_slash_that_is_no_prefix_is_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    assert resolve("meta/llama").model == "meta/llama"
    with pytest.raises(ConfigError, match="names no model"):
        resolve("ollama/")


@pytest.mark.parametrize("model", ["embedded", "embedded/smollm2", "smollm2", "gguf:~/x.gguf"])
def test_embedded(model: str) -> None:
    assert is_embedded(model) and not is_embedded("gpt-4o")
