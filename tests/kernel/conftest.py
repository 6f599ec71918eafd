from __future__ import annotations

from collections.abc import Iterator

import pytest

from servers.kernel import Kernel
from servers.openai import OpenAIServer


@pytest.fixture(scope="module")
def server() -> Iterator[OpenAIServer]:
    with OpenAIServer() as running:
        yield running


@pytest.fixture(scope="module")
def shared(server: OpenAIServer) -> Iterator[Kernel]:
    """One kernel for a module's tests, whose default backend is the scripted server."""
    with Kernel(env={"OPENAI_BASE_URL": server.base_url, "OPENAI_API_KEY": "sk-test-1234567890"}) as kernel:
        yield kernel
