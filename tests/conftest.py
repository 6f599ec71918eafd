"""What all tests share: nothing of the user's own environment reaches them, and nothing of theirs it."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from servers.openai import OpenAIServer

# Nothing of what collection makes goes away: to look through it again and again takes a tenth of its time.
gc.disable()
KEYS = ("ANTHROPIC_", "OPENAI_", "OLLAMA_", "GEMINI_", "OPENROUTER_", "GROQ_", "MISTRAL_", "DEEPSEEK_")


FIRST = (
    ("browser/",),
    ("kernel/test_sessions.py",),
    ("kernel/test_notebooks.py",),
    ("kernel/test_runners.py",),
    ("kernel/test_show.py",),
    ("kernel/test_session_commands.py",),
    ("kernel/test_chat.py",),
    ("backends/test_embedded_model.py",),
    ("backends/test_embedded.py", "backends/test_responses.py"),
)
"""What one worker runs, files and folders, in the order in which they begin: the longest first, so that none
but the last ones are waited for by the others. Those of one line share what their package or their process
has, such as a browser or the embedded model. Of other files each is for itself: those of kernel/, then of
backends/, then the rest."""


def pytest_configure(config: pytest.Config) -> None:
    """All workers share the process that forks kernels: whoever starts them starts it."""
    if getattr(config.option, "numprocesses", None) and hasattr(os, "pidfd_open"):
        from servers.forked import fork_server

        fork_server()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What is slow runs only where `-m` says so; what takes long begins first."""
    if "slow" not in config.option.markexpr:
        slow = [item for item in items if item.get_closest_marker("slow")]
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if item not in slow]
    items.sort(key=lambda item: _rank(item.nodeid))


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


def pytest_unconfigure(config: pytest.Config) -> None:
    # Else what ends with the interpreter only, such as the process that forks kernels, is warned of. Workers
    # have none of that, and to look through all that was collected takes each of them a second.
    if not hasattr(config, "workerinput"):
        gc.unfreeze()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """A worker takes a line of FIRST, or a file."""
    from xdist.scheduler import LoadScopeScheduling

    class ByLine(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            rank = _rank(nodeid)
            return str(rank) if rank < len(FIRST) else nodeid.partition("::")[0]

    config.option.loadscopereorder = False
    return ByLine(config, log)


def _rank(nodeid: str) -> int:
    path = nodeid.partition("::")[0].removeprefix("tests/")
    lines = (*FIRST, ("kernel/",), ("backends/",), ("",))
    return next(rank for rank, line in enumerate(lines) if path.startswith(line))


@pytest.fixture(scope="module", autouse=True)
def no_files_of_the_users(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Kernels that outlive a test have a ledger, a store of sessions and prices of their module's own too."""
    os.environ.pop("PRAISON_NB_SESSIONS", None)
    os.environ.pop("JPY_SESSION_NAME", None)
    folder = tmp_path_factory.mktemp("data")
    os.environ["PRAISON_NB_LEDGER"] = str(folder / "ledger.sqlite")
    os.environ["PRAISON_NB_PRICES"] = str(folder / "prices.json")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No keys, no servers of the user's, and a ledger of the test's own."""
    for name in list(os.environ):
        if name.startswith(KEYS):
            monkeypatch.delenv(name)
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:9")  # nothing listens there
    monkeypatch.setenv("PRAISON_NB_LEDGER", str(tmp_path / "ledger.sqlite"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("PRAISON_NB_TIMEZONE", raising=False)
    monkeypatch.setenv("PRAISON_NB_PRICES", str(tmp_path / "prices.json"))


@pytest.fixture
def openai_server() -> Iterator[OpenAIServer]:
    with OpenAIServer() as server:
        yield server
