"""The sessions that there were, and what was said in local ones."""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..redaction import redact_value
from .file import GLANCE_SECONDS, PATIENCE_SECONDS, StoreError, default_path, locked, opened
from .stored import COLUMNS, Stored, plain, row_of, stored_of

log = logging.getLogger(__name__)

_SELECT = f"SELECT {', '.join(COLUMNS)} FROM sessions"
# The user changes these later, perhaps in another kernel: a turn that goes on knows nothing of that.
_FIXED = ("id", "notebook", "name", "created", "is_current", "is_archived")
_PUT = (
    f"INSERT INTO sessions ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))}) "
    "ON CONFLICT (id, notebook) DO UPDATE SET is_current=excluded.is_current AND NOT is_archived, "
    + ", ".join(f"{name}=excluded.{name}" for name in COLUMNS if name not in _FIXED)
)
_LEAVE = "UPDATE sessions SET is_current=0 WHERE notebook=? AND name=?"
_LEAVE_OTHERS = (
    "UPDATE sessions SET is_current=0 WHERE notebook=:notebook AND id!=:id AND name="
    "(SELECT name FROM sessions WHERE notebook=:notebook AND id=:id AND is_current)"
)
_MOVED = "id != :id AND CASE WHEN json_valid(turn) THEN json_extract(turn, '$.id') END = :turn"

Change = Callable[[sqlite3.Connection], object]


class Store:
    """A store's file. Each use opens it anew, so any thread or process may use it at any time. `problem` says
    why it could not be written when that was tried last, "" where it could.

    Methods raise StoreError; `leave`, `later` and `flush` never do, what they cannot write waits in memory.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.problem = ""
        self._waiting: deque[Change] = deque()
        self._lock = threading.Lock()
        self._queue = threading.Lock()
        self._is_flushing = False
        self._told = ""

    # Reading. Rows are fetched before they are looked at: one that is damaged must leave no lock behind.

    def all(self) -> list[Stored]:
        """All sessions, the one used last first."""
        with opened(self.path) as connection:
            rows = connection.execute(f"{_SELECT} ORDER BY last_used DESC").fetchall()
            return [stored_of(row) for row in rows]

    def current(self, notebook: str, name: str) -> Stored | None:
        """The session that goes on under the name, None without one."""
        with opened(self.path) as connection:
            rows = connection.execute(
                f"{_SELECT} WHERE notebook=? AND name=? AND is_current AND NOT is_archived "
                "ORDER BY last_used DESC LIMIT 1",
                (plain(notebook), plain(name)),
            ).fetchall()
            return stored_of(rows[0]) if rows else None

    def history(self, session_id: str) -> list[Any]:
        """What was said in a local session, as the messages that its server gets."""
        with opened(self.path) as connection:
            select = "SELECT messages FROM history WHERE id=? ORDER BY n"
            rows = connection.execute(select, (session_id,)).fetchall()
        try:
            turns = [json.loads(messages) for (messages,) in rows]
        except ValueError:
            turns = [None]
        if not all(isinstance(turn, list) for turn in turns):
            raise StoreError(f"What was said in {session_id} is damaged in the store {self.path}.")
        return [message for turn in turns for message in turn]

    # Writing

    def put(self, session: Stored) -> None:
        """Keep the session, or how it stands now; see `putting`."""
        self.change(putting(session))

    def resume(self, session: Stored) -> None:
        """Have the session go on under its name, though it was archived or deleted."""

        def change(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM deleted WHERE id=?", (session.id,))
            connection.execute("UPDATE sessions SET is_archived=0 WHERE id=?", (session.id,))
            putting(session)(connection)

        self.change(change)

    def leave(self, notebook: str, name: str) -> None:
        """Have nothing go on under the name; what was there is kept."""
        self._waiting.append(lambda connection: connection.execute(_LEAVE, (plain(notebook), plain(name))))
        self.flush()

    def rename(self, session: Stored, name: str) -> None:
        """Give the session another name; one that has the name is not the current one any more."""

        def change(connection: sqlite3.Connection) -> None:
            notebook = plain(session.notebook)
            connection.execute(_LEAVE, (notebook, plain(name)))
            update = "UPDATE sessions SET name=? WHERE id=? AND notebook=?"
            connection.execute(update, (plain(name), session.id, notebook))

        self.change(change)

    def archive(self, session_id: str) -> None:
        """Keep the session, and have it go on under no name."""
        update = "UPDATE sessions SET is_archived=1, is_current=0 WHERE id=?"
        self.change(lambda connection: connection.execute(update, (session_id,)))

    def forget(self, session_id: str) -> None:
        """Delete the session under each of its names, its turns, and what was said in it; no kernel writes it
        again."""

        def change(connection: sqlite3.Connection) -> None:
            connection.execute("INSERT OR IGNORE INTO deleted VALUES (?)", (session_id,))
            for where in ("sessions WHERE id", "history WHERE id", "turns WHERE session"):
                connection.execute(f"DELETE FROM {where}=?", (session_id,))

        self.change(change)

    def change(self, change: Change, patience: float = PATIENCE_SECONDS) -> None:
        """Make the change here and now, after those that wait. Others may hold the file for `patience`
        seconds."""
        try:
            if not self._lock.acquire(timeout=patience):
                raise locked(self.path)
            try:
                while self._waiting:
                    self._catch_up(patience)
                self._apply(change, patience)
            finally:
                self._lock.release()
        except StoreError as error:
            self.problem = str(error)
            raise
        self.problem = ""

    def later(self, change: Change) -> None:
        """Make the change soon, on a thread of the pool. Belongs to the event loop's thread."""
        with self._queue:
            self._waiting.append(change)
            if self._is_flushing:
                return
            self._is_flushing = True
        try:
            asyncio.get_running_loop().run_in_executor(None, self._flush_all)
        except RuntimeError:  # no more threads: the process ends, and `flush` at its end writes it
            self._is_flushing = False

    def flush(self, patience: float = GLANCE_SECONDS) -> bool:
        """Make the changes that wait, here and now, and say whether the file can be written."""
        try:
            self.change(lambda connection: None, patience)
        except StoreError:
            return False
        return True

    def check(self, session_id: str = "") -> str:
        """Why nothing can be kept at the moment, of this session at least, as a line for the user; "" where
        it can, and once said."""
        problem: list[str] = []

        def look(connection: sqlite3.Connection) -> None:
            if is_deleted(connection, session_id):
                problem.append("This session was deleted: what is said in it is not kept. --new starts over.")

        with suppress(StoreError):
            self.change(look, GLANCE_SECONDS)
        return self.news(self.problem or "".join(problem))

    def news(self, problem: str) -> str:
        """The problem, "" where it was told just before."""
        told, self._told = self._told, problem
        return problem if problem != told else ""

    def _flush_all(self) -> None:
        """One thread for all that comes meanwhile: others would queue up where the file is locked."""
        while True:
            is_done = self.flush(PATIENCE_SECONDS)
            with self._queue:
                if not is_done or not self._waiting:
                    self._is_flushing = False
                    return

    def _catch_up(self, patience: float) -> None:
        """Make all that wait now as one: the disk is waited for once."""
        waiting = tuple(self._waiting)

        def change(connection: sqlite3.Connection) -> None:
            for each in waiting:
                connection.execute("SAVEPOINT one")
                try:
                    each(connection)
                except (OSError, sqlite3.Error, ValueError):
                    raise
                except Exception:
                    # What no store takes must not stop what is behind it.
                    log.exception("a change of the store of sessions could not be made")
                    connection.execute("ROLLBACK TO one")
                connection.execute("RELEASE one")

        self._apply(change, patience)
        for _ in waiting:
            self._waiting.popleft()

    def _apply(self, change: Change, patience: float) -> None:
        with opened(self.path, patience) as connection:
            connection.execute("BEGIN IMMEDIATE")
            change(connection)
            connection.execute("COMMIT")


def putting(session: Stored) -> Change:
    """The change that keeps `session`; of the sessions of its name at most one is the current one. A turn
    whose session got its true id in the middle is no longer another session's.

    One that is there keeps its name, and an archived one stays so; one that was deleted stays away."""

    def change(connection: sqlite3.Connection) -> None:
        if is_deleted(connection, session.id):
            return
        if {"id", "started"} <= session.turn.keys():
            here = {"id": session.id, "turn": session.turn["id"], "started": session.turn["started"]}
            connection.execute(f"DELETE FROM sessions WHERE {_MOVED} AND created >= :started", here)
            connection.execute(f"UPDATE sessions SET status='idle', turn='{{}}' WHERE {_MOVED}", here)
        connection.execute(_PUT, row_of(session))
        connection.execute(_LEAVE_OTHERS, {"id": session.id, "notebook": plain(session.notebook)})

    return change


def adding(session_id: str, turn: str, messages: list[Any]) -> Change:
    """The change that adds what a turn said to the session's history; a turn that is there stays as it is."""

    def change(connection: sqlite3.Connection) -> None:
        if not is_deleted(connection, session_id):
            # Here, where no turn waits for it: a history may be long.
            row = (session_id, turn, json.dumps(redact_value(messages), default=str))
            connection.execute("INSERT OR IGNORE INTO history (id, turn, messages) VALUES (?, ?, ?)", row)

    return change


def is_deleted(connection: sqlite3.Connection, session_id: str) -> bool:
    """Whether the user deleted the session: then nobody writes about it."""
    found = connection.execute("SELECT 1 FROM deleted WHERE id=?", (session_id,))
    return found.fetchone() is not None


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
    if _current is not None and _current._waiting:
        _current.flush(PATIENCE_SECONDS)
