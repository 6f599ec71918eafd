"""How often a turn waits for the disk: once for each transaction that writes something."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from praison_nb import ScriptedBackend, storage
from praison_nb.events import RequestFinished, RequestStarted, SessionAttached, TextDelta
from praison_nb.metering import writer
from praison_nb.notebook.conversations.registry import Conversations
from praison_nb.runtime import loop
from praison_nb.session import Usage
from praison_nb.store import current

EVENTS = [
    SessionAttached(session_id="s"),
    RequestStarted(id="r", model="m", provider="openai"),
    TextDelta(text="Hello"),
    RequestFinished(id="f", model="m", usage=Usage(output_tokens=1)),
]


class Trace:
    """Counts the files that are opened and the transactions that write, by the file's name."""

    def __init__(self, connect: Callable[..., Any]) -> None:
        self.connect = connect
        self.opened, self.written = Counter[str](), Counter[str]()

    def __call__(self, path: Path, *more: Any) -> Any:
        connection = self.connect(path, *more)
        self.opened[path.name] += 1
        changes = [connection.total_changes]

        def trace(statement: str) -> None:
            if statement == "COMMIT":
                self.written[path.name] += connection.total_changes > changes[0]
                changes[0] = connection.total_changes

        connection.set_trace_callback(trace)
        return connection


def test_a_turn_writes_twice_to_each_file_and_opens_none(monkeypatch: pytest.MonkeyPatch) -> None:
    trace = Trace(storage.connect)
    monkeypatch.setattr(storage, "connect", trace)
    conversations = Conversations()
    conversation = conversations.get("main", ScriptedBackend(EVENTS))

    def turn() -> None:
        conversations.begin(conversation, "Hi").wait()
        loop.run_sync(conversations.wait_until_stored)

    turn()
    opened = dict(trace.opened)
    trace.written.clear()
    turn()
    assert dict(trace.opened) == opened
    assert trace.written["sessions.sqlite"] <= 2 and trace.written["ledger.sqlite"] <= 3, trace.written
    assert len(current().all()) == 1
    writer.current().close()
    current().close()
