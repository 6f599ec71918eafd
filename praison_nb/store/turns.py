"""Whole turns in the store: as they were shown, without keys, from their begin on, so that a turn whose
kernel is killed leaves what there was."""

from __future__ import annotations

import asyncio
import functools
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import StoreError
from ..events import Activity, Event, TextDelta, Thinking, TurnFailed, TurnFinished
from ..redaction import redact_value
from ..text import DISPLAY_CHARACTERS, replace_surrogates
from ..turn import Turn
from ..turn_json import from_json, to_json
from .file import read
from .process import this_process
from .sessions import ERASED, Change, Interim, is_deleted

TURN_CHARACTERS = 2_000_000
"""So much is kept of one turn's texts together."""
SOON_SECONDS = 0.05
"""What is finished is kept so soon: mostly more ends at once, the turn say, and is kept with it."""
TEXT_SECONDS = 2.0
"""Text that comes is kept so often while its message has not ended."""
_PAUSE = 10
"""A turn that takes long to write is written seldom: after a pause of so many times as long."""
_MARGIN = 10_000
"""What is looked at beyond a cut, so that no half of a key is left before it."""
_NOTE = 80
"""Room for the line that says what a cut left out."""

_COLUMNS = "id, session, notebook, name, started, kept, process, turn"
_PUT = (
    f"INSERT INTO turns ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET "
    "session=CASE excluded.session WHEN '' THEN session ELSE excluded.session END, "
    "kept=excluded.kept, process=excluded.process, turn=excluded.turn"
)
# Those that failed before there was a session.
_BEFORE_THE_SESSION = "session='' AND notebook=? AND name=?"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredTurn:
    """A turn that is kept. `started`, and `seen` (when it was written last), are seconds since 1970,
    `process` is whose turn it is. One that is not `is_whole` is from an older version, which kept its
    messages alone, and no times."""

    id: str
    started: float = 0.0
    seen: float = 0.0
    process: str = ""
    is_whole: bool = True


def list_turns(path: Path, session_id: str, notebook: str = "", name: str = "") -> list[StoredTurn]:
    """The turns of a session, oldest first; for the id "" those that had none under the name. Raises
    StoreError."""
    where, values = ("session=?", [session_id]) if session_id else (_BEFORE_THE_SESSION, [notebook, name])
    select = f"SELECT id, started, kept, process FROM turns WHERE {where} ORDER BY started, n"
    rows = read(path, select, replace_surrogates(values))
    select = "SELECT turn FROM history WHERE id=? AND turn NOT IN (SELECT id FROM turns) ORDER BY n"
    old = read(path, select, replace_surrogates([session_id]))
    turns = [
        StoredTurn(id=key, started=start, seen=seen, process=process) for key, start, seen, process in rows
    ]
    return [*(StoredTurn(id=key, is_whole=False) for (key,) in old), *turns]


def find_turn(path: Path, turn_id: str) -> StoredTurn | None:
    """The turn of this id, None where it is not kept. Raises StoreError."""
    select = "SELECT id, started, kept, process FROM turns WHERE id=?"
    for key, start, seen, process in read(path, select, replace_surrogates([turn_id])):
        return StoredTurn(id=key, started=start, seen=seen, process=process)
    return None


def read_turn(path: Path, turn_id: str) -> Turn:
    """A turn as it was kept. Raises StoreError; also where it is damaged, or a newer version's."""
    try:
        return from_json(_json(path, "SELECT turn FROM turns WHERE id=?", turn_id))
    except (ValueError, RecursionError) as error:
        raise StoreError(f"Turn {turn_id} cannot be read from the store {path}: {error}.") from error


def read_turn_messages(path: Path, turn_id: str) -> list[Any]:
    """The messages of a turn, as its server gets them. Raises StoreError."""
    try:
        messages = _json(path, "SELECT messages FROM history WHERE turn=?", turn_id)
    except (ValueError, RecursionError):
        messages = None
    if not isinstance(messages, list):
        raise StoreError(f"What was said in turn {turn_id} is damaged in the store {path}.")
    return messages


def _json(path: Path, select: str, turn_id: str) -> Any:
    rows = read(path, select, (turn_id,))
    if not rows:
        raise StoreError(f"Turn {turn_id} is not in the store {path} any more.")
    return json.loads(rows[0][0])


def upsert_turn(turn: Turn, notebook: str) -> Change:
    """The change that stores the turn as it is now, unless its session was deleted. Turns that had no session
    become its session's where the same process begins one under their name."""

    def change(connection: Any) -> object:
        session = replace_surrogates(turn.session_id)
        if session and is_deleted(connection, session):
            # Stored before the turn had its session.
            is_stored = connection.execute("DELETE FROM turns WHERE id=?", (turn.id,)).rowcount
            return ERASED if is_stored else None
        where, process = replace_surrogates([notebook, turn.session]), this_process()
        row = [turn.id, session, *where, turn.started, time.time(), process, to_text(turn)]
        connection.execute(_PUT, row)
        if session and process:
            update = f"UPDATE turns SET session=? WHERE {_BEFORE_THE_SESSION} AND process=?"
            connection.execute(update, [session, *where, process])
        return None

    return change


def delete_orphan_turns(notebook: str, name: str) -> Change:
    """The change that deletes the turns under the name that had no session."""
    where = replace_surrogates([notebook, name])

    def change(connection: Any) -> object:
        connection.execute(f"DELETE FROM turns WHERE {_BEFORE_THE_SESSION}", where)
        return ERASED

    return change


def to_text(turn: Turn) -> str:
    """The turn as it is written: JSON, without keys, and of bounded length."""
    data = to_json(turn)
    room = _equal_share(sorted(len(text) for text in _texts(data)), TURN_CHARACTERS)
    return replace_surrogates(json.dumps(_redacted(data, room), ensure_ascii=False, default=str))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _texts(inner)


def _equal_share(lengths: list[int], room: int) -> int:
    """How long each text may be so that all together fit; `lengths` is sorted."""
    for index, length in enumerate(lengths):
        share = room // (len(lengths) - index)
        if length > share:
            return max(share, 2 * _NOTE)
        room -= length
    return max(lengths, default=0)


def _redacted(value: Any, room: int) -> Any:
    if isinstance(value, dict):
        if str(value.get("media_type", "")).startswith("image/"):
            # Half a picture is none, and base64 has no keys.
            content = value.get("content", "")
            return {**value, "content": content if len(content) <= room else ""}
        # A tool's texts are cut where what is shown of them ends; an answer is whole if there is room.
        inner = min(room, DISPLAY_CHARACTERS) if value.get("type") == "tool" else room
        return {key: _redacted(each, inner) for key, each in value.items()}
    if isinstance(value, list):
        return [_redacted(each, room) for each in value]
    return _cut(value, room) if isinstance(value, str) else value


def _cut(text: str, room: int) -> str:
    is_long = len(text) > room
    cleaned: str = redact_value(text[: room + _MARGIN] if is_long else text)
    if not is_long:
        return cleaned
    cleaned = cleaned[: max(0, len(cleaned) - _MARGIN)][: room - _NOTE]
    return f"{cleaned}\n\n… {len(text) - len(cleaned):,} more characters were not kept."


class Snapshots:
    """Keeps one turn up to date in the store: at once when it has its session and when it ends, soon when
    something of it is finished, seldom while text comes. `enqueue` takes the changes. On the loop."""

    def __init__(self, notebook: str, enqueue: Callable[[Change], None]) -> None:
        self._notebook = notebook
        self._enqueue = enqueue
        self._turn: Turn | None = None
        self._is_queued = False
        self._pause_ends = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def observe(self, event: Event, turn: Turn, extra: Change | None = None) -> None:
        """Note how the turn is after the event; the change `extra` is made with it, at once."""
        is_first, self._turn = self._turn is None, turn
        if extra or isinstance(event, TurnFinished | TurnFailed):
            self._write(extra)
        else:
            is_text = isinstance(event, TextDelta | Thinking | Activity) and not is_first
            self._schedule(TEXT_SECONDS if is_text else SOON_SECONDS)

    def _schedule(self, wait: float) -> None:
        if self._is_queued:
            # What waits takes the turn as it is when its time has come.
            return
        due = max(time.monotonic() + wait, self._pause_ends)
        if self._timer is not None:
            if self._timer.when() <= due:
                return
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_at(due, self._write)

    def _write(self, extra: Change | None = None) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._is_queued = True
        change = functools.partial(self._write_now, extra)
        is_over = self._turn is not None and self._turn.ended is not None
        self._enqueue(change if is_over else Interim(change))

    def _write_now(self, extra: Change | None, connection: Any) -> object:
        self._is_queued = False
        if extra is not None:
            extra(connection)
        begun = time.monotonic()
        result = None if self._turn is None else upsert_turn(self._turn, self._notebook)(connection)
        self._pause_ends = time.monotonic() + _PAUSE * (time.monotonic() - begun)
        return result
