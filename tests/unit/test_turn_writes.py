"""How often a turn waits for the disk: once for each transaction that writes something."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from praison_nb import ScriptedBackend, storage
from praison_nb.events import RequestFinished, RequestStarted, SessionAttached, TextDelta
from praison_nb.metering import writer
from praison_nb.notebook.conversations.registry import Conversations
from praison_nb.runtime import loop
from praison_nb.runtime.run import Run
from praison_nb.session import Usage
from praison_nb.store import current

EVENTS = [
    SessionAttached(session_id="s"),
    RequestStarted(id="r", model="m", provider="openai"),
    TextDelta(text="Hello"),
    RequestFinished(id="f", model="m", usage=Usage(output_tokens=1)),
]


class Trace:
    """Counts the files that are opened, the transactions that write, and those of them that are synced, by
    the file's name."""

    def __init__(self, connect: Callable[..., Any]) -> None:
        self.connect = connect
        self.opened, self.written, self.synced = Counter[str](), Counter[str](), Counter[str]()

    def __call__(self, path: Path, *more: Any) -> Any:
        connection = self.connect(path, *more)
        self.opened[path.name] += 1
        changes, is_full = [connection.total_changes], [True]

        def trace(statement: str) -> None:
            if statement.startswith("PRAGMA synchronous="):
                is_full[0] = statement.endswith("FULL")
            if statement.startswith("PRAGMA wal_checkpoint"):
                self.synced[path.name] += 1
            if statement == "COMMIT":
                is_written = connection.total_changes > changes[0]
                self.written[path.name] += is_written
                self.synced[path.name] += is_written and is_full[0]
                changes[0] = connection.total_changes

        connection.set_trace_callback(trace)
        return connection


@pytest.fixture
def trace(monkeypatch: pytest.MonkeyPatch) -> Iterator[Trace]:
    trace = Trace(storage.connect)
    monkeypatch.setattr(storage, "connect", trace)
    yield trace
    writer.current().close()
    current().close()


def test_a_turn_writes_twice_to_each_file_waits_once_for_it_and_opens_none(trace: Trace) -> None:
    conversations = Conversations()
    conversation = conversations.get("main", ScriptedBackend(EVENTS))

    def turn() -> None:
        conversations.begin(conversation, "Hi").wait()
        loop.run_sync(conversations.wait_until_stored)
        writer.current().flush()

    turn()
    opened = dict(trace.opened)
    trace.written.clear()
    trace.synced.clear()
    turn()
    assert dict(trace.opened) == opened
    assert trace.written["sessions.sqlite"] <= 2 and trace.written["ledger.sqlite"] <= 3, trace.written
    assert trace.synced == {"sessions.sqlite": 1, "ledger.sqlite": 1}
    assert len(current().all()) == 1


def test_what_a_request_used_is_synced_soon_and_before_the_next_one(
    trace: Trace, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced = list[int]()

    async def note(run: Run) -> None:
        synced.append(trace.synced["ledger.sqlite"])

    async def wait(run: Run) -> None:
        async with asyncio.timeout(30):
            while trace.synced["ledger.sqlite"] == synced[-1]:  # noqa: ASYNC110  (SQLite has no event)
                await asyncio.sleep(0.001)

    second = [RequestStarted(id="r2", model="m", provider="openai"), note, replace(EVENTS[3], id="f2")]
    ScriptedBackend(EVENTS).begin("Hi").wait()
    writer.current().flush()  # or its end is synced meanwhile
    trace.synced.clear()
    ScriptedBackend([*EVENTS, note, *second, note]).begin("Hi").wait()
    assert synced == [0, 1, 1], "the first request's row is on the disk before the second one is sent"
    monkeypatch.setattr(writer, "SYNC_SECONDS", 0.01)
    writer.current().flush()
    trace.synced.clear()
    ScriptedBackend([*EVENTS, note, wait]).begin("Hi").wait()
