"""The sessions that there were, and what was said in local ones."""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from ..errors import redact
from ..session import Status
from .file import StoreError, default_path, opened
from .process import is_alive

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A session under the name that it has in a notebook ("" where no notebook is known). `id` is the
    backend's own. `asked_for` names the backend that it was made on, "" for an object of the user's.
    `created` and `last_used` are seconds since 1970.

    `ids` is what the backend's `restore_ids` needs, `options` what its agent was made with. `turn` holds id,
    start and prompt of the turn under way, {} without one; `process` is whose turn it is. A name's current
    session is the one that goes on.
    """

    id: str
    name: str
    notebook: str = ""
    backend: str = ""
    asked_for: str = ""
    model: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    ids: dict[str, Any] = field(default_factory=dict)
    title: str = ""
    created: float = field(default_factory=time.time)
    last_used: float = field(default_factory=time.time)
    status: Status = Status.IDLE
    process: str = ""
    turn: dict[str, Any] = field(default_factory=dict)
    is_current: bool = True
    is_archived: bool = False

    @property
    def is_cut_off(self) -> bool:
        """Whether the process that ran its turn ended before the turn did."""
        return self.status is Status.RUNNING and not is_alive(self.process)


COLUMNS = [f.name for f in fields(Stored)]
_JSON = ("options", "ids", "turn")
_KEYS = ("id", "notebook", "name")
_PUT = (
    f"INSERT INTO sessions ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))}) "
    f"ON CONFLICT ({', '.join(_KEYS)}) DO UPDATE SET "
    + ", ".join(f"{name}=excluded.{name}" for name in COLUMNS if name not in (*_KEYS, "created"))
)
_LEAVE = "UPDATE sessions SET is_current=0 WHERE notebook=? AND name=?"

_MOVED = "id != :id AND json_extract(turn, '$.id') = :turn"

Change = Callable[[sqlite3.Connection], object]


class Store:
    """A store's file. Each use opens it anew, so any thread or process may use it at any time.

    Methods raise StoreError; `later` and `flush` never do, what they cannot write waits in memory.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._waiting: deque[Change] = deque()
        self._lock = threading.Lock()
        self._told = ""
        self._problem = ""

    # Reading

    def all(self) -> list[Stored]:
        """All sessions, the one used last first."""
        with opened(self.path) as connection:
            rows = connection.execute(f"SELECT {', '.join(COLUMNS)} FROM sessions ORDER BY last_used DESC")
            return [_stored(row) for row in rows]

    def current(self, notebook: str, name: str) -> Stored | None:
        """The session that goes on under the name, None without one."""
        with opened(self.path) as connection:
            row = connection.execute(
                f"SELECT {', '.join(COLUMNS)} FROM sessions WHERE notebook=? AND name=? AND is_current "
                "AND NOT is_archived ORDER BY last_used DESC LIMIT 1",
                (_text(notebook), _text(name)),
            ).fetchone()
            return _stored(row) if row else None

    def history(self, session_id: str) -> list[Any]:
        """What was said in a local session, as the messages that its server gets."""
        with opened(self.path) as connection:
            rows = connection.execute("SELECT messages FROM history WHERE id=? ORDER BY n", (session_id,))
            return [message for (messages,) in rows for message in json.loads(messages)]

    # Writing

    def put(self, session: Stored) -> None:
        """Keep the session; one that has its id, notebook and name is replaced."""
        self.change(putting(session))

    def leave(self, notebook: str, name: str) -> None:
        """Have nothing go on under the name; what was there is kept."""
        self.change(lambda connection: connection.execute(_LEAVE, (_text(notebook), _text(name))))

    def rename(self, session: Stored, name: str) -> None:
        """Give the session another name; one that has the name is not the current one any more."""

        def change(connection: sqlite3.Connection) -> None:
            connection.execute(_LEAVE, (_text(session.notebook), _text(name)))
            connection.execute(
                "UPDATE OR REPLACE sessions SET name=? WHERE id=? AND notebook=? AND name=?",
                (_text(name), session.id, _text(session.notebook), _text(session.name)),
            )

        self.change(change)

    def archive(self, session_id: str) -> None:
        """Keep the session, and have it go on under no name."""
        update = "UPDATE sessions SET is_archived=1, is_current=0 WHERE id=?"
        self.change(lambda connection: connection.execute(update, (session_id,)))

    def forget(self, session_id: str) -> None:
        """Delete the session under each of its names, and what was said in it."""

        def change(connection: sqlite3.Connection) -> None:
            for table in ("sessions", "history"):
                connection.execute(f"DELETE FROM {table} WHERE id=?", (session_id,))

        self.change(change)

    def change(self, change: Change) -> None:
        """Make the change here and now, after those that wait."""
        with self._lock:
            self._catch_up()
            self._apply(change)

    def later(self, change: Change) -> None:
        """Make the change soon, on a thread of the pool. Belongs to the event loop's thread."""
        self._waiting.append(change)
        with suppress(RuntimeError):  # no more threads: the process ends, and `flush` at its end writes it
            asyncio.get_running_loop().run_in_executor(None, self.flush)

    def flush(self) -> None:
        """Make the changes that wait, here and now."""
        with self._lock:
            try:
                self._catch_up()
            except StoreError as error:
                self._problem = str(error)
            else:
                self._problem = ""

    def check(self) -> str:
        """Why nothing can be kept at the moment, as a line for the user; "" where it can, and once said."""
        try:
            self.change(lambda connection: None)
            self._problem = ""
        except StoreError as error:
            self._problem = str(error)
        told, self._told = self._told, self._problem
        return self._problem if self._problem != told else ""

    def _catch_up(self) -> None:
        while self._waiting:
            try:
                self._apply(self._waiting[0])
            except StoreError:
                raise
            except Exception:
                # What no store takes must not stop what is behind it.
                log.exception("a change of the store of sessions could not be made")
            self._waiting.popleft()

    def _apply(self, change: Change) -> None:
        with opened(self.path) as connection:
            connection.execute("BEGIN IMMEDIATE")
            change(connection)
            connection.execute("COMMIT")


def putting(session: Stored) -> Change:
    """The change that keeps `session`; of the sessions of its name at most one is the current one. A turn
    whose session got its true id in the middle is no longer another session's."""

    def change(connection: sqlite3.Connection) -> None:
        if {"id", "started"} <= session.turn.keys():
            here = {"id": session.id, "turn": session.turn["id"], "started": session.turn["started"]}
            connection.execute(f"DELETE FROM sessions WHERE {_MOVED} AND created >= :started", here)
            connection.execute(f"UPDATE sessions SET status='idle', turn='{{}}' WHERE {_MOVED}", here)
        if session.is_current:
            connection.execute(_LEAVE, (_text(session.notebook), _text(session.name)))
        connection.execute(_PUT, _values(session))

    return change


def adding(session_id: str, turn: str, messages: list[Any]) -> Change:
    """The change that adds what a turn said to the session's history; a turn that is there stays as it is."""
    row = (session_id, turn, json.dumps(without_keys(messages), default=str))
    insert = "INSERT OR IGNORE INTO history (id, turn, messages) VALUES (?, ?, ?)"
    return lambda connection: connection.execute(insert, row)


def without_keys(value: Any) -> Any:
    """A copy of what JSON holds, with everything that looks like a key replaced.

    >>> without_keys([{"arguments": '{"header": "Bearer abc"}'}])
    [{'arguments': '{"header": "Bearer [key]"}'}]
    """
    if isinstance(value, str):
        if value.startswith("{") and (cleaned := redact(value)) != value:
            # A tool call's arguments must stay JSON.
            try:
                return json.dumps(without_keys(json.loads(value)))
            except ValueError:
                return cleaned
        return redact(value)
    if isinstance(value, dict):
        return {key: without_keys(inner) for key, inner in value.items()}
    return [without_keys(inner) for inner in value] if isinstance(value, list | tuple) else value


def _values(session: Stored) -> list[Any]:
    values = {name: getattr(session, name) for name in COLUMNS}
    values |= {name: json.dumps(without_keys(values[name]), default=str) for name in _JSON}
    # What a server calls its things is not ours to trust.
    values |= {name: redact(values[name]) for name in ("title", "model")}
    return [_text(value) if isinstance(value, str) else value for value in values.values()]


def _stored(row: tuple[Any, ...]) -> Stored:
    values = dict(zip(COLUMNS, row, strict=True))
    values |= {name: json.loads(values[name]) for name in _JSON}
    values |= {name: bool(values[name]) for name in ("is_current", "is_archived")}
    return Stored(**{**values, "status": Status(values["status"])})


def _text(text: str) -> str:
    return str(text).encode("utf-8", "replace").decode()


_lock = threading.Lock()
_current: Store | None = None


def current() -> Store:
    """The store that counts now."""
    global _current
    path = default_path()
    with _lock:
        if _current is None or _current.path != path:
            _current = Store(path)
        return _current


async def flush() -> None:
    """Write what waits, when the process ends."""
    if _current is not None:
        _current.flush()
