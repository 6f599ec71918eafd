from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from servers.hosted import HostedServer
from servers.hosted_agent import KEY


@pytest.fixture
def server() -> Iterator[HostedServer]:
    with HostedServer() as server:
        server.api_key = KEY
        yield server


@pytest.fixture(autouse=True)
def folder_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What tools write without a `working_dir` is no part of the repository."""
    monkeypatch.chdir(tmp_path)
