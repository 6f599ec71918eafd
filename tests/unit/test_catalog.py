"""Which models are suggested, and which backend a name speaks of."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from genai_prices import data_snapshot

from praison_nb.backends.catalog import (
    MOST_SHOWN,
    available_models,
    backend_for_model,
    live_models,
    runs,
    suggested,
)
from praison_nb.backends.local.providers import PROVIDERS, maker, resolve
from praison_nb.metering.prices import price
from praison_nb.session import Usage


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for provider in PROVIDERS.values():
        if provider.key_variable:
            monkeypatch.delenv(provider.key_variable, raising=False)
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:9")  # nothing listens there


IDS = {each.id for each in data_snapshot.get_snapshot().providers}
KNOWN = [key for key, row in PROVIDERS.items() if row.prices in IDS and row.base_url]


@pytest.mark.parametrize("provider", KNOWN)
def test_live_models_are_the_price_tables_and_find_their_provider(
    provider: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PROVIDERS[provider].key_variable, "k")
    names = live_models(provider)
    # Of Fireworks the table knows no name as its server has it.
    assert bool(names) == (provider != "fireworks") and len(set(names)) == len(names)
    known = {each.id: each for each in data_snapshot.get_snapshot().providers}[PROVIDERS[provider].prices]
    for name in names:
        server = resolve(name)
        assert server.provider == provider
        model = known.find_model(server.model)
        assert model is not None and not model.deprecated
        cost, source = price(
            Usage(output_tokens=1), server.model, server.prices, datetime.now(UTC).timestamp()
        )
        assert cost is not None and source == "table"


def test_what_has_ended_or_does_not_chat_is_not_suggested() -> None:
    listed = {name for key in PROVIDERS for name in live_models(key)}
    for gone in ("magistral-medium", "mistral-medium-2312", "gpt-3.5-turbo", "davinci"):
        assert gone not in listed
    for other in ("whisper", "embed", "tts", "realtime", "image"):
        assert not [name for name in listed if other in name]


def test_the_newest_come_first() -> None:
    for provider, newer, older in (
        ("openai", "gpt-5.6-terra", "gpt-4o"),
        ("anthropic", "claude-opus-5-5", "claude-opus-4-5"),
        ("gemini", "gemini-3.5-flash", "gemini-2.5-flash"),
    ):
        names = live_models(provider)
        assert names.index(newer) < names.index(older)


def test_only_models_whose_key_is_here_are_suggested(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not [name for name in suggested() if maker(name) not in ("", "openai")]
    monkeypatch.setenv("MISTRAL_API_KEY", "k")
    monkeypatch.setenv("GROQ_API_KEY", "k")
    names = suggested()
    assert set(live_models("mistral")[:MOST_SHOWN]) <= set(names)
    assert set(live_models("groq")[:MOST_SHOWN]) <= set(names)
    assert not [name for name in names if name.startswith(("claude", "gemini-", "grok-"))]
    assert {"embedded", "gguf:", "hf:", "ollama/", "xai/"} <= set(names)


def test_the_table_says_what_is_ready_and_what_is_lacking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "k")
    rows = {name: (where, ready) for name, where, ready in available_models()}
    for name in live_models("anthropic")[:MOST_SHOWN]:
        assert rows[name] == ("Anthropic", "yes")
    assert rows["claude-… -b hosted"] == ("Anthropic's Managed Agents", "yes")
    assert rows["embedded"][1] == "yes" and rows["ollama/…"] == ("Ollama", "not running")
    for key, provider in PROVIDERS.items():
        if provider.key_variable and key != "anthropic":
            assert rows[f"{key}/…"] == (provider.name, f"set {provider.key_variable}")


@pytest.mark.parametrize(
    ("model", "backend"),
    [
        ("claude-sonnet-5-5", "local"),
        ("gpt-5.6-terra", "local"),
        ("grok-4.5", "local"),
        ("mistral/x", "local"),
        ("hf:owner/repo", "embedded"),
        ("my-model", None),
        ("mistral", None),
        (None, None),
    ],
)
def test_a_name_speaks_of_a_backend(model: str | None, backend: str | None) -> None:
    assert backend_for_model(model) == backend
    assert model is None or runs("local", model)


def test_what_hosted_runs() -> None:
    assert runs("hosted", "claude-opus-5") and runs("hosted", "some-new-name")
    assert not [name for name in ("gpt-5.5", "anthropic/claude-opus-5", "embedded") if runs("hosted", name)]


def test_the_page_of_models_names_every_provider_and_models_of_today() -> None:
    page = (Path(__file__).parents[2] / "docs" / "models.md").read_text()
    for key, provider in PROVIDERS.items():
        assert f"`{key}/`" in page and provider.key_variable in page
    named = {name for name in re.findall(r"-m ([\w./:-]+)`", page) if maker(name)}
    assert len(named) >= 4
    table = {each.id: each for each in data_snapshot.get_snapshot().providers}
    for name in named:
        model = table[PROVIDERS[maker(name)].prices].find_model(name)
        assert model is not None and not model.deprecated, name
