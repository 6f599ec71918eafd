"""What work comes to in messages, bytes, syncs, events and calls, which no slow machine changes. A limit is a
little more than what there is today, and says what would pass it."""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import threading
import tracemalloc
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from types import FrameType
from typing import Any

import pytest

from bench.harness import MeasuredKernel, Unavailable
from praison_nb import LocalAgent, LocalAgentConfig, ScriptedBackend, Usage
from praison_nb.backends.base import Backend
from praison_nb.events import Event, RequestFinished, RequestStarted, SessionAttached, TextDelta
from praison_nb.runtime import loop
from praison_nb.runtime.run import Run
from servers.openai import OpenAIServer, reply

CHUNKS = 5_000
LONG = "zqxj" * CHUNKS


@pytest.fixture(scope="module")
def kernel(server: OpenAIServer) -> Iterator[MeasuredKernel]:
    env = {"OPENAI_BASE_URL": server.base_url, "OPENAI_API_KEY": "sk-test-1234567890"}
    with MeasuredKernel(env, start=False) as kernel:
        kernel.do("%%agent\nHi")  # the files are made
        yield kernel


def cell(kernel: MeasuredKernel, server: OpenAIServer, text: str, quiet: float = 0.0) -> tuple[int, int]:
    server.script(reply(text, size=4))
    measured = kernel.measure("%%agent --new\nGo", quiet)
    return int(measured.messages), int(measured.size)


def test_a_plain_cell_sends_its_text_once_and_the_output_once(
    kernel: MeasuredKernel, server: OpenAIServer
) -> None:
    messages, size = cell(kernel, server, "zqxj")
    assert messages <= 8, "busy, input, answer and panel at the begin and the first text, the end, idle: 8"
    assert size <= 7_500, "three times the panel of a short turn, and the frames: 7.2 kB"
    messages, size = cell(kernel, server, LONG)
    assert messages <= 30, "as above, 8; ten times a second at most where it takes longer"
    assert size <= 3 * len(LONG), "the text, and its HTML: 46 kB of 20 kB"


def test_a_cell_has_the_disk_written_a_few_times(kernel: MeasuredKernel) -> None:
    try:
        # A disk that is slow for a moment has what is written split.
        syncs = min(kernel.syncs("%%agent --new\nGo") for _ in range(3))
    except Unavailable as error:
        pytest.skip(str(error))
    assert syncs <= 8, "each is a transaction that is on the disk; with a rollback journal they were 22"


def test_a_table_of_sessions_is_sent_the_row_that_changed(
    kernel: MeasuredKernel, server: OpenAIServer
) -> None:
    fill = (
        "import praison_nb\nfrom praison_nb import store\n"
        "from praison_nb.store import StoredSession, upsert_session\n"
        "store.current().change(lambda connection: [upsert_session(StoredSession(id=f'local-{n}', "
        "name=f'name-{n}', notebook='/a/b.ipynb', last_used=n))(connection) for n in range(500)])"
    )
    without = cell(kernel, server, "zqxj", 0.7)
    kernel.do(fill)
    kernel.do("table = praison_nb.sessions()")
    beside = cell(kernel, server, "zqxj", 0.7)
    kernel.do("table.close()")
    assert beside[0] - without[0] <= 6, "running and idle, and the heading: 4"
    assert beside[1] - without[1] <= 6_000, "the row, not the 500: 4.5 kB"


def test_a_live_cell_sends_new_text_only(kernel: MeasuredKernel, server: OpenAIServer) -> None:
    kernel.announce()
    messages, size = cell(kernel, server, "zqxj")
    assert messages <= 10, "as the plain one, and what opens and ends the view: 9"
    assert size <= 8_500, "7.4 kB"
    messages, size = cell(kernel, server, LONG)
    assert messages <= 40, "9; ten times a second at most where it takes longer"
    assert size <= 5 * len(LONG), "the text as it comes, and what stays of it, text and HTML: 69 kB of 20 kB"


def test_chunks_that_come_together_are_few_events_and_few_calls(openai_server: OpenAIServer) -> None:
    agent = LocalAgent(LocalAgentConfig(model="m", base_url=openai_server.base_url, api_key="k"))
    agent.begin("Hi").wait()
    found = {chunks: counted(agent, openai_server, chunks) for chunks in (1_000, CHUNKS)}
    for chunks, counts in found.items():
        assert counts["events"] <= chunks / 20, "a read each, and a beginning and an end: 9, and 20"
        assert counts["blocks"] <= 3_000, "what a turn keeps is its text, in one piece: 1,250"
    calls = found[CHUNKS]["calls"] - found[1_000]["calls"]
    assert calls <= 135 * (CHUNKS - 1_000), "128; one replace() of a chunk's event is 11 more"


def counted(agent: LocalAgent, server: OpenAIServer, chunks: int) -> Counter[str]:
    """Events, calls and memory blocks that stay, of a turn."""
    counts, loops_thread = Counter[str](), loop.get()

    def on_call(frame: FrameType, event: str, argument: Any) -> None:
        counts["calls"] += event in ("call", "c_call")

    def profile(function: Any) -> None:
        done = threading.Event()
        loops_thread.call_soon_threadsafe(lambda: (sys.setprofile(function), done.set()))
        assert done.wait(60)

    steps = reply("zqxj" * chunks, size=4)
    # At once, so that no slow machine makes more reads of it.
    whole = b"".join(
        each if isinstance(each, bytes) else b"data: %s\n\n" % json.dumps(each).encode() for each in steps
    )
    server.script([whole])
    agent.reset_session()
    gc.collect()
    blocks = sys.getallocatedblocks()
    profile(on_call)
    run = agent.begin("Go")
    run.subscribe(lambda event, turn: counts.update(["events"]))
    turn = run.wait()
    profile(None)
    gc.collect()
    counts["blocks"] = sys.getallocatedblocks() - blocks
    assert len(turn.text) == 4 * chunks
    return counts


def test_a_turn_that_is_kept_is_little_beside_its_texts() -> None:
    used = Usage(uncached_input_tokens=400, output_tokens=300)
    finished = RequestFinished(model="gpt-4o-mini", provider="openai", usage=used)
    steps = [SessionAttached(session_id="s"), RequestStarted(), TextDelta(text="Hello"), finished]
    backend = ScriptedBackend(steps)

    def ask(count: int) -> list[Run]:
        runs = [backend.begin(f"{n} " + "word " * 200) for n in range(count)]
        for run in runs:
            assert run.wait().cost
            run.settled.result(60)
        # What the loop still does of the last one is done.
        loop.run_sync(lambda: asyncio.sleep(0))
        gc.collect()
        return runs

    kept = ask(20)
    tracemalloc.start()
    try:
        kept += ask(50)
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size <= 50 * 4_300, "3.8 kB, of which the prompt is 1; a second dict for each Turn is 0.8 more"


class Waiting(Backend):
    """Its turns go on until `go_on` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.waits, self.go_on = asyncio.Event(), asyncio.Event()

    async def events(self, prompt: str, session: Any, run: Run) -> AsyncIterator[Event]:
        yield TextDelta(text="Hello")
        self.waits.set()
        await self.go_on.wait()


def test_a_turn_under_way_is_few_objects() -> None:
    first, *others = [Waiting() for _ in range(51)]

    def begin(backends: list[Waiting]) -> list[Run]:
        runs = [backend.begin("Hi") for backend in backends]
        loop.run_sync(lambda: asyncio.wait_for(wait_for_all(backends), 60))
        gc.collect()
        return runs

    async def wait_for_all(backends: list[Waiting]) -> None:
        for backend in backends:
            await backend.waits.wait()

    async def end() -> None:
        for backend in (first, *others):
            backend.go_on.set()

    runs = begin([first])
    objects = len(gc.get_objects())
    runs += begin(others)
    count = len(gc.get_objects()) - objects
    loop.run_sync(end)
    assert all(run.wait().text == "Hello" for run in runs)
    assert count <= 50 * 76, "68; all of them are looked at again while hundreds of turns wait"
