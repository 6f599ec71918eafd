"""What all tests share: nothing of the user's own environment reaches them, and nothing of theirs it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from servers.openai import OpenAIServer

KEYS = ("ANTHROPIC_", "OPENAI_", "OLLAMA_", "GEMINI_", "OPENROUTER_", "GROQ_", "MISTRAL_", "DEEPSEEK_")


LONGEST_FIRST = (
    "browser/test_hostile.py",
    "browser/test_chat.py",
    "browser/test_live.py",
    "kernel/test_sessions.py",
    "kernel/test_runners.py",
    "kernel/test_notebooks.py",
    "browser/",
    "kernel/test_show.py",
    "kernel/test_session_commands.py",
    "kernel/test_chat.py",
    "backends/test_embedded_model.py",
    "kernel/",
    "backends/",
)
"""Files and folders in the order in which they begin; what is not named comes last. A worker has a file for
itself, so that none but the last ones are waited for by the other."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What is slow runs only where `-m` says so; what takes long begins first, so that no worker is left
    alone with it."""
    if "slow" not in config.option.markexpr:
        slow = [item for item in items if item.get_closest_marker("slow")]
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if item not in slow]
    items.sort(key=_rank)


def _rank(item: pytest.Item) -> int:
    path = item.path.relative_to(Path(__file__).parent).as_posix()
    ranks = (rank for rank, name in enumerate(LONGEST_FIRST) if path.startswith(name))
    return next(ranks, len(LONGEST_FIRST))


@pytest.fixture(scope="module", autouse=True)
def no_files_of_the_users(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Kernels that outlive a test have a ledger and a store of sessions of their module's own too."""
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
