"""What all tests share: nothing of the user's own environment reaches them, and nothing of theirs it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from servers.openai import OpenAIServer

KEYS = ("ANTHROPIC_", "OPENAI_", "OLLAMA_", "GEMINI_", "OPENROUTER_", "GROQ_", "MISTRAL_", "DEEPSEEK_")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What is slow runs only where `-m` says so."""
    if "slow" in config.option.markexpr:
        return
    slow = [item for item in items if item.get_closest_marker("slow")]
    config.hook.pytest_deselected(items=slow)
    items[:] = [item for item in items if item not in slow]


@pytest.fixture(scope="session", autouse=True)
def no_files_of_the_users(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Kernels that outlive a test have a ledger and a store of sessions of their own too."""
    os.environ.pop("PRAISON_NB_SESSIONS", None)
    os.environ.pop("JPY_SESSION_NAME", None)
    os.environ["PRAISON_NB_LEDGER"] = str(tmp_path_factory.mktemp("data") / "ledger.sqlite")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No keys, no servers of the user's, and a ledger of the test's own."""
    for name in list(os.environ):
        if name.startswith(KEYS):
            monkeypatch.delenv(name)
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:9")  # nothing listens there
    monkeypatch.setenv("PRAISON_NB_LEDGER", str(tmp_path / "ledger.sqlite"))
    monkeypatch.setenv("PRAISON_NB_PRICES", str(tmp_path / "prices.json"))


@pytest.fixture
def openai_server() -> Iterator[OpenAIServer]:
    with OpenAIServer() as server:
        yield server
