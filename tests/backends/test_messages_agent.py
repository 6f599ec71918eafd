"""A LocalAgent on Anthropic's Messages: its turns, and what they leave in the ledger."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from praison_nb import LocalAgent, LocalAgentConfig, Turn, usage as ledger
from praison_nb.history import Opaque
from praison_nb.metering import writer
from praison_nb.session import Usage
from servers.messages import MODEL, CutHere, MessagesServer, error, reply

LONG = "Rules of the house. " * 4000
# USD per million tokens: input, read from a cache, written to one for five minutes, output.
PRICES = ("5", "0.5", "6.25", "25")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[MessagesServer]:
    monkeypatch.setenv("PRAISON_NB_PRICES", str(tmp_path / "prices.json"))
    with MessagesServer(counts=True, strict_turns=True) as server:
        yield server
        assert not server.refused
    writer.current().close()


def add(a: int, b: int = 1) -> int:
    """Add two numbers."""
    return a + b


def agent(server: MessagesServer, **fields: Any) -> LocalAgent:
    more = {"model": MODEL, "tools": [add], "api_key": "test-key-123", **fields}
    return LocalAgent(
        LocalAgentConfig(provider="anthropic", wire="messages", base_url=server.base_url, **more)
    )


def ask(agent: LocalAgent, prompt: str = "Hi") -> Turn:
    return agent.begin(prompt).wait()


def usd(usage: Usage) -> Decimal:
    counts = (
        usage.uncached_input_tokens,
        usage.cache_read_input_tokens,
        usage.cache_write_5m_input_tokens,
        usage.output_tokens,
    )
    return sum((n * Decimal(price) for n, price in zip(counts, PRICES, strict=True)), Decimal(0)) / 10**6


def test_ten_requests_over_a_long_prompt(server: MessagesServer) -> None:
    for _ in range(9):
        server.script(reply("", calls=[("add", '{"a": 1}')], thinking="Hm."))
    server.script(reply("Ten."))
    turn = ask(agent(server, system=LONG, effort="high"))
    assert turn.error is None and turn.text == "Ten." and len(turn.requests) == 10
    told = server.usages
    right = Usage(
        uncached_input_tokens=sum(each["input_tokens"] for each in told),
        cache_read_input_tokens=sum(each["cache_read_input_tokens"] for each in told),
        cache_write_5m_input_tokens=sum(each["cache_creation_input_tokens"] for each in told),
        output_tokens=sum(each["output_tokens"] for each in told),
        reasoning_output_tokens=turn.usage.reasoning_output_tokens,
    )
    assert turn.usage == right and turn.usage.reasoning_output_tokens > 0
    assert turn.cost == usd(right)
    uncached = Usage(uncached_input_tokens=right.input_tokens, output_tokens=right.output_tokens)
    assert turn.cost <= Decimal("0.25") * usd(uncached)
    row = ledger().iloc[-1]
    for name in ("uncached_input_tokens", "cache_read_input_tokens", "cache_write_5m_input_tokens"):
        assert row[name] == getattr(right, name)
    assert row["output_tokens"] == right.output_tokens and not row["estimated"]


WHOLE = reply("A few words.", calls=[("add", '{"a": 1}')], thinking="Hm, well.")


@pytest.mark.parametrize("at", range(1, len(WHOLE) + 1))
def test_cut_at_every_event(server: MessagesServer, at: int) -> None:
    """The count is right, or it is marked; and the conversation goes on."""
    server.script([*WHOLE[:at], CutHere()], reply("2"))
    mine = agent(server)
    turn = ask(mine)
    told = sum(each["output_tokens"] for each in server.usages)
    if is_counted := at >= len(WHOLE) - 1:
        assert turn.usage.output_tokens == told
    assert turn.usage.estimated == (not is_counted) and turn.usage.output_tokens > 0
    # What nothing came of is asked again.
    assert turn.usage.input_tokens == sum(each["input_tokens"] for each in server.usages)
    assert turn.error is not None or at <= 2 or is_counted
    assert turn.error is None or "A few words.".startswith(turn.text)
    server.script(reply("Well."))
    assert ask(mine, "Go on").text in ("Well.", "2")


def test_overloaded_before_the_first_word(server: MessagesServer) -> None:
    server.script([reply("x")[0], error()], reply("Yes."))
    turn = ask(agent(server))
    assert turn.error is None and turn.text == "Yes." and len(turn.requests) == 2


def test_overloaded_after_it(server: MessagesServer) -> None:
    server.script([*reply("Some words.")[:6], error()])
    mine = agent(server)
    turn = ask(mine)
    assert "Overloaded" in str(turn.error) and turn.text and turn.usage.estimated
    assert ask(mine, "Go on").text == "Go on"


def test_stopped_in_mid_answer_and_in_a_tool(server: MessagesServer) -> None:
    gate = server.gate()
    words = reply("Some words.", thinking="Hm.")
    server.script([*words[:-4], gate, *words[-4:]])
    mine = agent(server, effort="high", tools=[])
    run = mine.begin("Hi")
    server.wait_for(lambda: run.turn.text)
    run.stop()
    turn = run.wait()
    assert turn.stop_reason == "interrupted" and turn.usage.estimated
    assert turn.usage.input_tokens == server.usages[0]["input_tokens"]
    assert ask(mine, "Go on").text == "Go on"

    started = threading.Event()

    async def forever() -> None:
        started.set()
        await asyncio.Event().wait()

    mine.update_agent(tools=[forever, add])
    server.script(reply("", calls=[("forever", "{}"), ("add", '{"a": 1}')], thinking="Hm."))
    run = mine.begin("Now")
    # The tools run where the turn is waited for.
    threading.Thread(target=lambda: (started.wait(), run.stop())).start()
    assert run.wait().stop_reason == "interrupted"
    assert ask(mine, "And?").text == "And?"


def test_a_turn_that_pauses_and_one_that_refuses(server: MessagesServer) -> None:
    search = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "q"}}
    found = {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []}
    mine = agent(server, effort="high")
    server.script(reply("", blocks=[search, found], stop="pause_turn"), reply("It is so."))
    turn = ask(mine)
    assert turn.error is None and turn.text == "It is so." and len(turn.requests) == 2
    assert sum(isinstance(item, Opaque) for item in mine.session.messages) == 2
    server.script(reply("", stop="pause_turn"))
    turn = ask(mine)
    assert turn.stop_reason == "pause_turn" and len(turn.requests) == 1
    details = {"type": "refusal", "category": "cyber", "explanation": "It could do harm."}
    server.script(reply("I", stop="refusal", stop_details=details))
    turn = ask(mine)
    assert turn.stop_reason == "refusal" and "It could do harm." in turn.detail
    assert ask(mine, "And?").text == "And?"


@pytest.mark.parametrize("model", ["claude-opus-5-5", "claude-haiku-4-5"])
def test_what_a_model_does_not_have_is_one_line(server: MessagesServer, model: str) -> None:
    forced = ask(agent(server, model=model, tool_choice="required"))
    assert (forced.error is None) == (model == "claude-haiku-4-5")
    assert forced.error is None or "leave tool_choice" in str(forced.error)
