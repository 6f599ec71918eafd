"""`agent.start(prompt, stream=True)`: for who iterates, and where nobody does."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from praison_nb import (
    Agent,
    LocalAgent,
    LocalAgentConfig,
    ScriptedBackend,
)
from praison_nb.errors import PraisonError
from praison_nb.events import TextDelta
from servers.openai import OpenAIServer, reply


def local(server: OpenAIServer, **options: Any) -> LocalAgentConfig:
    return LocalAgentConfig(model="m", base_url=server.base_url, api_key="test-key", **options)


async def _ends(run: Any) -> None:
    raise PraisonError("The server is gone.")


def test_a_stream_begins_at_once_and_is_printed_where_nobody_iterates(
    openai_server: OpenAIServer, capsys: pytest.CaptureFixture[str]
) -> None:
    gate = openai_server.gate()
    openai_server.script(reply("Hello \x1b[31mthere", size=100, before_end=[gate]))
    stream = Agent(backend=LocalAgent(local(openai_server))).start("Hi", stream=True)
    openai_server.wait_for(lambda: gate.reached)
    gate.open()
    whole = str(stream)
    assert whole == "Hello \x1b[31mthere" and capsys.readouterr().out == "Hello [31mthere\n"
    assert "there" in stream and stream.upper() == whole.upper() and "> " + stream == "> " + whole
    assert "".join(stream) == whole


def test_who_iterates_gets_the_pieces_and_nothing_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    pieces = [TextDelta(text="Hel", message_id="a"), TextDelta(text="lo", message_id="a")]
    stream = Agent(backend=ScriptedBackend(pieces)).start("Hi", stream=True)
    assert next(stream) == "Hel" and list(stream) == ["lo"] and str(stream) == "Hello"
    assert capsys.readouterr().out == ""


def test_a_stream_raises_where_it_is_read() -> None:
    agent = Agent(backend=ScriptedBackend([TextDelta(text="Hel"), _ends]))
    with pytest.raises(PraisonError, match="gone"):
        str(agent.start("Hi", stream=True))
    with pytest.raises(PraisonError, match="gone"):
        list(agent.start("Hi", stream=True))


def test_a_stream_is_read_as_a_text() -> None:
    stream = Agent("a", ScriptedBackend([TextDelta(text="Hello")])).start("Hi", stream=True)
    assert stream == "Hello" and stream != "Bye" and (stream[0], stream[-2:]) == ("H", "lo")
    assert (f"{stream:>7}", stream + "!", stream.upper()) == ("  Hello", "Hello!", "HELLO")


def test_a_script_ends_with_its_answer() -> None:
    """Nobody reads the streams: the end of the script waits for them, and says what went wrong."""
    code = """
from praison_nb import Agent, ScriptedBackend
from praison_nb.errors import PraisonError
from praison_nb.events import TextDelta
agent = Agent(backend=ScriptedBackend([TextDelta(text="Hel"), TextDelta(text="lo")]))
agent.start("Hi", stream=True)
failing = Agent(backend=ScriptedBackend([PraisonError("The server is gone.")]))
result = failing.start("Hi", stream=True)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and done.stdout.split() == ["Hello"]
    assert done.stderr.split("\n") == ["The server is gone.", ""]


def test_praisonais_agent_finds_its_way_to_stream(
    openai_server: OpenAIServer, capsys: pytest.CaptureFixture[str]
) -> None:
    agent = LocalAgent(local(openai_server))
    assert agent._execute_sync("Hello!", stream_live=True) == "Hello!"
    assert capsys.readouterr().out == "Hello!\n"
    assert agent._execute_sync("Hello!") == "Hello!" and capsys.readouterr().out == ""
