from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from praison_nb.backends.hosted import settling
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


@pytest.fixture(autouse=True)
def books_without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """A provider's books that lack something are looked at again at once: whoever waits for the last look at
    each turn's would wait seconds."""
    monkeypatch.setattr(settling, "PAUSES", (0.0, 0.01, 0.01, 0.01, 0.01))


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that nobody else knows, and its key."""
    if not shutil.which("openssl"):
        pytest.skip("there is no openssl")
    folder = tmp_path_factory.mktemp("tls")
    crt, key = folder / "crt.pem", folder / "key.pem"
    line = (
        "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=here -addext subjectAltName=IP:127.0.0.1"
    )
    subprocess.run([*line.split(), "-keyout", key, "-out", crt], check=True, capture_output=True)
    return crt, key
