"""What a streamed answer costs, in counts: reads of the connection, events, and what is kept."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
from collections.abc import AsyncIterator
from itertools import chain
from typing import Any

import pytest

from praison_nb.backends import body
from praison_nb.backends.body import Body
from praison_nb.backends.coalesce import coalesce, coalesce_events
from praison_nb.backends.hosted.awaited import AwaitedCalls
from praison_nb.backends.hosted.stream import Fields, _merged, _message_of
from praison_nb.backends.local.wires import NAMES, ModelRequest, wire
from praison_nb.backends.sse import Parser
from praison_nb.events import Event, Notice, TextDelta, Thinking
from praison_nb.fold import fold
from praison_nb.history import User
from praison_nb.turn import Turn
from servers import messages, openai, responses

CHUNKS = 500


class Network:
    """A connection on which a server sends a chunk each millisecond."""

    def __init__(self, chunks: int) -> None:
        self.left, self.reads, self.since = chunks, 0, 0.0

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        now = asyncio.get_running_loop().time()
        if not self.since:
            self.since = now
        if now - self.since < 0.001:
            await asyncio.sleep(0.001)
        now = asyncio.get_running_loop().time()
        come = min(self.left, int((now - self.since) / 0.001))
        self.reads, self.left, self.since = self.reads + 1, self.left - come, self.since + come * 0.001
        return b"chunk\n" * come


class Response:
    """A response over it, as an HTTP client has it: each chunk is a piece."""

    def __init__(self, network: Network) -> None:
        self.headers: dict[str, str] = {}
        self.extensions = {"network_stream": network}
        self.is_closed = False

    async def aiter_raw(self) -> AsyncIterator[bytes]:
        while data := await self.extensions["network_stream"].read(65536, timeout=None):
            for piece in data.splitlines(keepends=True):
                yield piece

    async def aclose(self) -> None:
        self.is_closed = True


async def test_many_chunks_are_few_reads_and_what_came_together_is_one() -> None:
    network = Network(CHUNKS)
    response = Response(network)
    whole = Body(response)
    pieces = []
    while piece := await whole.read():
        pieces.append(piece)
    await whole.aclose()
    assert b"".join(pieces) == b"chunk\n" * CHUNKS
    assert network.reads < CHUNKS / 5 and len(pieces) <= network.reads
    assert response.is_closed and network.read.__func__ is Network.read  # type: ignore[attr-defined]


async def test_the_first_reads_wait_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body, "INTERVAL_SECONDS", 1000.0)
    monkeypatch.setattr(body, "MOST_SECONDS", 1000.0)
    whole = Body(Response(Network(1)))
    assert await whole.read() == b"chunk\n" and await whole.read() == b""
    await whole.aclose()


async def test_the_last_of_many_waits_no_longer_than_one_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body, "INTERVAL_SECONDS", 0.0)
    monkeypatch.setattr(body, "READS_PER_SECOND", 0.001)
    monkeypatch.setattr(body, "MOST_SECONDS", 1000.0)
    whole, other = Body(Response(Network(CHUNKS))), Body(Response(Network(0)))
    size = len(await whole.read())
    await other.aclose()
    monkeypatch.setattr(body, "READS_PER_SECOND", 1000)
    async with asyncio.timeout(20):
        while piece := await whole.read():
            size += len(piece)
    await whole.aclose()
    assert size == len(b"chunk\n" * CHUNKS)


async def test_a_forked_process_has_the_pace_of_its_own_answers() -> None:
    def open_in_child() -> int:
        child = os.fork()
        if not child:
            os._exit(len(body._open))
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    whole = Body(Response(Network(0)))
    assert open_in_child() == 0 and len(body._open) == 1
    await whole.aclose()


async def test_what_the_connection_raises_comes_behind_what_came_before() -> None:
    class Broken(Response):
        async def aiter_raw(self) -> AsyncIterator[bytes]:
            yield b"some"
            raise OSError("cut")

    whole = Body(Broken(Network(0)))
    assert await whole.read() == b"some"
    with pytest.raises(OSError, match="cut"):
        await whole.read()
    await whole.aclose()


def test_pieces_of_one_message_that_came_together_are_one_event() -> None:
    def of(events: list[Any]) -> list[tuple[type[Event], str]]:
        return [(type(event), getattr(event, "text", "")) for event in coalesce_events(events)]

    text, other = TextDelta(text="a", message_id="1"), TextDelta(text="b", message_id="2")
    assert of([]) == []
    assert of([text] * 5 + [other]) == [(TextDelta, "aaaaa"), (TextDelta, "b")]
    assert of([text, text, Notice(text="n")]) == [(TextDelta, "a"), (TextDelta, "a"), (Notice, "n")]
    assert of([Thinking(text="x")] * 9 + [text]) == [(Thinking, "x" * 9), (TextDelta, "a")]
    assert next(coalesce_events([text] * 9)).time == text.time


def test_previews_of_a_hosted_session_that_came_together_are_one() -> None:
    def piece(text: str, index: int = 0, key: str = "a") -> dict[str, Any]:
        delta = {"type": "content_delta", "index": index, "content": {"type": "text", "text": text}}
        return {"type": "event_delta", "event_id": key, "delta": delta}

    other: dict[str, Any] = {"type": "agent.thinking", "id": "t"}
    events = [*map(piece, "Hello"), other, other, *(piece("x", 1) for _ in range(5)), piece("y", key="b")]
    assert list(coalesce(events, _message_of, _merged)) == [
        piece("Hello"),
        *(other, other),
        piece("xxxxx", 1),
        piece("y", key="b"),
    ]


def test_tool_uses_without_results_are_not_looked_at_again() -> None:
    """Some servers never tell of the results of their own tools."""
    calls = AwaitedCalls()
    for number in range(9):
        calls.add(Fields({"type": "agent.tool_use", "id": f"builtin-{number}"}))
    calls.add(Fields({"type": "agent.custom_tool_use", "id": "custom"}))
    assert [*calls.unanswered] == ["custom"] and len(calls.uses) == 10
    calls.answer("custom")
    assert not calls.unanswered


def stream_of(wire_name: str, chunks: int) -> bytes:
    """An answer in so many chunks, as the wire has it."""
    module = {"chat": openai, "responses": responses, "messages": messages}[wire_name]
    steps = module.reply("abcd" * chunks, size=4)
    named = wire_name != "chat"
    return b"".join(
        step
        if isinstance(step, bytes)
        else (f"event: {step['type']}\n" if named else "").encode() + f"data: {json.dumps(step)}\n\n".encode()
        for step in steps
    )


def read(wire_name: str, chunks: int, size: int) -> tuple[int, int, Turn]:
    """Read such an answer, `size` bytes at once: the reads, the events, and the turn."""
    data, parser = stream_of(wire_name, chunks), Parser()
    reader = wire(wire_name).reader(ModelRequest(model="m", origin="x/m", history=[User(text="Hi")]))
    reads, events, turn = 0, 0, Turn(prompt="Hi")
    for at in range(0, len(data), size):
        reads += 1
        for event in coalesce_events(
            chain.from_iterable(map(reader.read, parser.feed(data[at : at + size])))
        ):
            events += 1
            turn = fold(turn, event)
    assert turn.text == "abcd" * chunks and reader.reply.stop_reason == "end_turn"
    return reads, events, turn


@pytest.mark.parametrize("name", NAMES)
def test_an_answer_is_as_many_events_as_reads(name: str) -> None:
    reads, events, _ = read(name, CHUNKS, 16_000)
    assert events <= reads < CHUNKS / 5


@pytest.mark.parametrize("name", NAMES)
def test_a_turn_keeps_nothing_of_a_chunk_but_its_text(name: str) -> None:
    def kept() -> int:
        gc.collect()
        before = sys.getallocatedblocks()
        _, _, turn = read(name, CHUNKS, 16_000)
        gc.collect()
        assert turn.text
        return sys.getallocatedblocks() - before

    read(name, CHUNKS, 16_000)
    # Threads of other tests may keep something meanwhile, but hardly each time.
    assert any(kept() < CHUNKS / 5 for _ in range(3))
