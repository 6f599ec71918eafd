"""Which model a cell runs, and where, by what its line says."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from servers.kernel import Kernel
from servers.messages import MessagesServer
from servers.openai import OpenAIServer

MODEL = "claude-opus-4-8"


@pytest.fixture
def anthropic() -> Iterator[MessagesServer]:
    """Anthropic without managed agents: a server of Messages alone."""
    with MessagesServer(counts=True) as server:
        yield server


@pytest.fixture
def kernel(anthropic: MessagesServer, openai_server: OpenAIServer) -> Iterator[Kernel]:
    env = {
        "ANTHROPIC_API_KEY": "sk-ant-test-1234567890",
        "ANTHROPIC_BASE_URL": anthropic.base_url.removesuffix("/v1"),
        "OPENAI_API_KEY": "sk-test-1234567890",
        "OPENAI_BASE_URL": openai_server.base_url,
    }
    with Kernel(env=env) as running:
        yield running


def test_a_key_without_managed_agents_and_the_other_way(kernel: Kernel, anthropic: MessagesServer) -> None:
    cell = kernel.run("%%agent\nHi")
    assert "no managed agents for this key (404)" in cell.error and "`-m claude-" in cell.error
    assert len(cell.error.splitlines()) == 1 and not anthropic.bodies
    # The same conversation, which came to nothing, goes that way.
    cell = kernel.run(f"%%agent -m {MODEL}\nHi")
    assert cell.ok and cell.answers == ["Hi"]
    assert kernel.run("print(_.backend, _.model, _.cost is not None)").text.split() == [
        "local",
        MODEL,
        "True",
    ]
    assert kernel.run("%%agent\nAnd now?").answers == ["And now?"]
    assert [body["model"] for body in anthropic.bodies] == [MODEL, MODEL]


def test_effort_goes_to_each_wire_in_its_own_words(
    kernel: Kernel, anthropic: MessagesServer, openai_server: OpenAIServer
) -> None:
    assert kernel.run(f"%%agent -s x -m {MODEL} --effort low\none").ok
    assert anthropic.bodies[-1]["output_config"] == {"effort": "low"}
    assert kernel.run("%%agent -s x -m gpt-oss-20b\ntwo").answers == ["two"]
    assert openai_server.bodies[-1]["reasoning_effort"] == "low"
    assert [each["content"] for each in openai_server.bodies[-1]["messages"]] == ["one", "one", "two"]
    assert kernel.run(f"%%agent -s x -m {MODEL} --effort none\nthree").answers == ["three"]
    assert "output_config" not in anthropic.bodies[-1]
    # A provider that has no such effort says which it has.
    kernel.run("import os; os.environ['MISTRAL_API_KEY'] = 'k'")
    error = kernel.run("%%agent -s x -m mistral-large-latest --effort xhigh\nfour").error
    assert len(error.splitlines()) == 1 and "effort" in error and "high" in error
