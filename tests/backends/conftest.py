from __future__ import annotations

from collections.abc import Iterator

import pytest

from servers.hosted import HostedServer
from servers.hosted_agent import KEY


@pytest.fixture
def server() -> Iterator[HostedServer]:
    with HostedServer() as server:
        server.api_key = KEY
        yield server
