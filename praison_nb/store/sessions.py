"""The sessions that there were, and the messages of local ones."""

from __future__ import annotations

import functools
import json
import sqlite3
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import StoreError
from ..redaction import has_secret, redact_value
from ..storage import KeptConnection, transact
from ..text import replace_surrogates
from ..write_queue import CurrentQueue, WriteQueue
from .file import GLANCE_SECONDS, PATIENCE_SECONDS, STORE, connect, default_path, read
from .stored import COLUMNS, SessionSummary, StoredSession, from_row, to_row

_SELECT = f"SELECT {', '.join(COLUMNS)} FROM sessions"
# Of a session's rows, one for each notebook, the one used last. A GROUP BY would read all for a few.
_SUMMARIES = (
    "SELECT id, name, notebook, model, backend, status, process, last_used, is_archived FROM sessions AS s "
    "WHERE is_archived <= :archived AND NOT EXISTS (SELECT 1 FROM sessions WHERE id = s.id "
    "AND is_archived <= :archived AND (last_used, notebook) > (s.last_used, s.notebook)) "
    "ORDER BY last_used DESC LIMIT :most"
)
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
ERASED = object()
"""What a change returns that deleted what shall be gone from the file's journal too."""


@dataclass(frozen=True, slots=True)
class Interim:
    """A change that another one follows when the turn ends: it outlives this process, but a power cut only
    once that has come."""

    change: Change

    def __call__(self, connection: sqlite3.Connection) -> object:
        return self.change(connection)


class Store(WriteQueue[Change]):
    """A store's file. Any thread or process may use it at any time. `problem` says why it could not be
    written when that was tried last, "" where it could.

    Methods raise StoreError; `leave`, `enqueue` and `flush` never do, what they cannot write waits in memory.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, STORE, functools.partial(self.flush, PATIENCE_SECONDS))
        self._file = KeptConnection(path, functools.partial(connect, path))
        self._journal_has_erased = False
        self._shown = ""

    def close(self) -> None:
        """Write what waits, and close the file."""
        super().close()
        with suppress(StoreError):
            busy = STORE.failure(self.path, STORE.when_busy)
            self.with_lock(PATIENCE_SECONDS, self._file.close, busy)

    # Reading

    def all(self) -> list[StoredSession]:
        """All sessions, the one used last first."""
        return self._stored(f"{_SELECT} ORDER BY last_used DESC")

    def summaries(self, *, archived: bool = False, most: int | None = None) -> list[SessionSummary]:
        """The sessions, each once, the one used last first, `most` of them at most; with `archived` those
        too."""
        limits = {"archived": archived, "most": -1 if most is None else most}
        rows = read(self.path, _SUMMARIES, limits)
        return list(map(SessionSummary._make, rows))

    def count(self, *, archived: bool = False) -> int:
        """How many `summaries` there are."""
        query = "SELECT count(DISTINCT id) FROM sessions WHERE is_archived <= ?"
        [(count,)] = read(self.path, query, (archived,))
        return int(count)

    def known(self, ids: Collection[str], *, archived: bool = False) -> set[str]:
        """Those of `ids` that have a summary."""
        query = "SELECT id FROM sessions WHERE is_archived <= ? AND id IN (SELECT value FROM json_each(?))"
        return {session_id for (session_id,) in read(self.path, query, (archived, json.dumps([*ids])))}

    def current(self, notebook: str, name: str) -> StoredSession | None:
        """The session that goes on under the name, None without one."""
        where = "notebook=? AND name=? AND is_current AND NOT is_archived ORDER BY last_used DESC LIMIT 1"
        sessions = self._stored(f"{_SELECT} WHERE {where}", replace_surrogates([notebook, name]))
        return sessions[0] if sessions else None

    def _stored(self, query: str, values: Sequence[str] = ()) -> list[StoredSession]:
        try:
            return [from_row(row) for row in read(self.path, query, values)]
        except ValueError as error:
            raise STORE.explain(error, self.path) from error

    def history(self, session_id: str) -> list[Any]:
        """The messages of a local session, as its server gets them."""
        rows = read(self.path, "SELECT messages FROM history WHERE id=? ORDER BY n", (session_id,))
        try:
            turns = [json.loads(messages) for (messages,) in rows]
        except ValueError:
            turns = [None]
        if not all(isinstance(turn, list) for turn in turns):
            raise StoreError(f"What was said in {session_id} is damaged in the store {self.path}.")
        return [message for turn in turns for message in turn]

    # Writing

    def put(self, session: StoredSession) -> None:
        """Keep the session, or how it stands now; see `upsert_session`."""
        self.change(upsert_session(session))

    def resume(self, session: StoredSession) -> None:
        """Have the session go on under its name, though it was archived or deleted."""

        def change(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM deleted WHERE id=?", (session.id,))
            connection.execute("UPDATE sessions SET is_archived=0 WHERE id=?", (session.id,))
            upsert_session(session)(connection)

        self.change(change)

    def leave(self, notebook: str, name: str) -> None:
        """Have nothing go on under the name; what was there is kept."""
        names = replace_surrogates([notebook, name])
        self.waiting.append(lambda connection: connection.execute(_LEAVE, names))
        self.flush()

    def rename(self, session: StoredSession, name: str) -> None:
        """Give the session another name; one that has the name is not the current one any more."""

        def change(connection: sqlite3.Connection) -> None:
            notebook = replace_surrogates(session.notebook)
            connection.execute(_LEAVE, (notebook, replace_surrogates(name)))
            update = "UPDATE sessions SET name=? WHERE id=? AND notebook=?"
            connection.execute(update, (replace_surrogates(name), session.id, notebook))

        self.change(change)

    def archive(self, session_id: str) -> None:
        """Keep the session, and have it go on under no name."""
        update = "UPDATE sessions SET is_archived=1, is_current=0 WHERE id=?"
        self.change(lambda connection: connection.execute(update, (session_id,)))

    def forget(self, session_id: str) -> None:
        """Delete the session under each of its names, its turns and its messages. No kernel writes it
        again."""

        def change(connection: sqlite3.Connection) -> object:
            connection.execute("INSERT OR IGNORE INTO deleted VALUES (?)", (session_id,))
            for where in ("sessions WHERE id", "history WHERE id", "turns WHERE session"):
                connection.execute(f"DELETE FROM {where}=?", (session_id,))
            return ERASED

        self.change(change)

    def change(self, change: Change, patience: float = PATIENCE_SECONDS) -> None:
        """Make the change here and now, after those that wait. Others may hold the file for `patience`
        seconds."""

        def work() -> None:
            self.drain(functools.partial(self._write, patience))
            self._write(patience, [change])

        try:
            self.with_lock(patience, work, STORE.failure(self.path, STORE.when_busy))
        except StoreError as error:
            self.problem = str(error)
            raise
        except (sqlite3.Error, ValueError, OverflowError) as error:
            raise STORE.explain(error, self.path) from error
        self.problem = ""

    def flush(self, patience: float = GLANCE_SECONDS) -> bool:
        """Make the changes that wait, here and now, and say whether the file can be written."""
        try:
            self.change(lambda connection: None, patience)
        except StoreError:
            return False
        return True

    def check(self, session_id: str = "") -> str:
        """Why nothing can be kept at the moment, of this session at least, as a line for the user; "" where
        it can, and where that was shown just before."""
        problem: list[str] = []

        def find_deleted(connection: sqlite3.Connection) -> None:
            if is_deleted(connection, session_id):
                problem.append("This session was deleted: what is said in it is not kept. --new starts over.")

        with suppress(StoreError):
            self.change(find_deleted, GLANCE_SECONDS)
        return self.unless_shown(self.problem or "".join(problem))

    def unless_shown(self, problem: str) -> str:
        """The problem, "" where it was shown just before."""
        shown, self._shown = self._shown, problem
        return problem if problem != shown else ""

    def _write(self, patience: float, changes: Sequence[Change]) -> None:
        try:
            connection = self._file.get()
            connection.execute(f"PRAGMA busy_timeout={round(patience * 1000)}")
            is_interim = all(isinstance(change, Interim) for change in changes)
            connection.execute(f"PRAGMA synchronous={'NORMAL' if is_interim else 'FULL'}")
            results = transact(connection, lambda connection: [change(connection) for change in changes])
            self._journal_has_erased |= ERASED in results
            if self._journal_has_erased:
                # Not while another reads; then it is done with the next change.
                [(is_busy, *_)] = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
                self._journal_has_erased = bool(is_busy)
        except BaseException as error:
            self._file.close()
            STORE.reraise(error, self.path)


def upsert_session(session: StoredSession) -> Change:
    """The change that stores `session`; of the sessions of its name at most one is the current one. A turn
    whose session got its true id in the middle is no longer another session's.

    One that is there keeps its name, and an archived one stays so; one that was deleted stays away."""

    def change(connection: sqlite3.Connection) -> None:
        if is_deleted(connection, session.id):
            return
        if {"id", "started"} <= session.turn.keys():
            here = {"id": session.id, "turn": session.turn["id"], "started": session.turn["started"]}
            connection.execute(f"DELETE FROM sessions WHERE {_MOVED} AND created >= :started", here)
            connection.execute(f"UPDATE sessions SET status='idle', turn='{{}}' WHERE {_MOVED}", here)
        connection.execute(_PUT, to_row(session))
        notebook = replace_surrogates(session.notebook)
        connection.execute(_LEAVE_OTHERS, {"id": session.id, "notebook": notebook})

    return change


def append_messages(session_id: str, turn: str, messages: list[Any]) -> Change:
    """The change that adds a turn's messages to the session's history. A turn that is there stays as it
    is."""

    def change(connection: sqlite3.Connection) -> None:
        if not is_deleted(connection, session_id):
            # Here, where no turn waits for it: a history may be long.
            row = (session_id, turn, json.dumps(_without_secrets(messages), default=str))
            connection.execute("INSERT OR IGNORE INTO history (id, turn, messages) VALUES (?, ?, ?)", row)

    return change


def _without_secrets(messages: list[Any]) -> list[Any]:
    """What may be kept of messages. An opaque item goes back as it came or not at all; what is base64 is no
    text that has keys."""
    kept: list[Any] = []
    for message in messages:
        if isinstance(message, dict) and isinstance(attached := message.get("attachments"), list | tuple):
            rest = {key: value for key, value in message.items() if key != "attachments"}
            kept.append({**redact_value(rest), "attachments": [_attached(each) for each in attached]})
            continue
        if not isinstance(message, dict) or message.get("type") != "opaque":
            kept.append(redact_value(message))
        elif not has_secret(message.get("payload")):
            kept.append(message)
    return kept


def _attached(row: Any) -> Any:
    is_binary = isinstance(row, dict) and row.get("media_type") != "text/plain"
    return row if is_binary else redact_value(row)


def is_deleted(connection: sqlite3.Connection, session_id: str) -> bool:
    """Whether the user deleted the session: then nobody writes about it."""
    row = connection.execute("SELECT 1 FROM deleted WHERE id=?", (session_id,)).fetchone()
    return row is not None


current = CurrentQueue(Store, default_path)
"""The store that counts now."""
flush = current.flush
