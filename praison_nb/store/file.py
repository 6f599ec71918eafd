"""The store's file: SQLite beside the ledger, for its user's eyes only."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from ..errors import PraisonError
from ..usage.schema import absolute, apply
from ..usage.schema import default_path as ledger_path

PATIENCE_SECONDS = 5.0
"""A change waits so long for another process that holds the file."""
GLANCE_SECONDS = 0.5
"""What a cell waits for waits no longer than this."""

# Only ever append: a store in the world has run those before.
MIGRATIONS = [
    """
    CREATE TABLE sessions (
        id TEXT NOT NULL, notebook TEXT NOT NULL, name TEXT NOT NULL, backend TEXT NOT NULL,
        asked_for TEXT NOT NULL, model TEXT NOT NULL, options TEXT NOT NULL, ids TEXT NOT NULL,
        title TEXT NOT NULL, created REAL NOT NULL, last_used REAL NOT NULL, status TEXT NOT NULL,
        process TEXT NOT NULL, turn TEXT NOT NULL, is_current INTEGER NOT NULL, is_archived INTEGER NOT NULL,
        PRIMARY KEY (id, notebook, name)
    );
    CREATE TABLE history (
        n INTEGER PRIMARY KEY, id TEXT NOT NULL, turn TEXT NOT NULL UNIQUE, messages TEXT NOT NULL
    );
    CREATE INDEX history_of_a_session ON history (id);
    """,
    # A session has one name in a notebook; and which ones were deleted is known, so that no kernel that still
    # has one writes it again.
    """
    CREATE TABLE deleted (id TEXT PRIMARY KEY);
    CREATE TABLE named (
        id TEXT NOT NULL, notebook TEXT NOT NULL, name TEXT NOT NULL, backend TEXT NOT NULL,
        asked_for TEXT NOT NULL, model TEXT NOT NULL, options TEXT NOT NULL, ids TEXT NOT NULL,
        title TEXT NOT NULL, created REAL NOT NULL, last_used REAL NOT NULL, status TEXT NOT NULL,
        process TEXT NOT NULL, turn TEXT NOT NULL, is_current INTEGER NOT NULL, is_archived INTEGER NOT NULL,
        PRIMARY KEY (id, notebook)
    );
    INSERT OR REPLACE INTO named SELECT * FROM sessions ORDER BY last_used;
    DROP TABLE sessions;
    ALTER TABLE named RENAME TO sessions;
    """,
    # Whole turns. The long column is the last one, so that the others are read without it.
    """
    CREATE TABLE turns (
        n INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, session TEXT NOT NULL, notebook TEXT NOT NULL,
        name TEXT NOT NULL, started REAL NOT NULL, kept REAL NOT NULL, process TEXT NOT NULL,
        turn TEXT NOT NULL
    );
    CREATE INDEX turns_of_a_session ON turns (session, started);
    """,
]


class StoreError(PraisonError):
    """The store of sessions cannot be read or written. The message says why, and what to do."""


def default_path() -> Path:
    """The store that counts now: `PRAISON_NB_SESSIONS`, or a file beside the ledger."""
    named = os.environ.get("PRAISON_NB_SESSIONS")
    return absolute(Path(named).expanduser()) if named else ledger_path().parent / "sessions.sqlite"


@contextmanager
def opened(path: Path, patience: float = GLANCE_SECONDS) -> Iterator[sqlite3.Connection]:
    """The store at `path`, made where there is none, brought up to date where it is older, closed at the
    end. Whatever goes wrong meanwhile is raised as StoreError; another process may hold the file for
    `patience` seconds."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # SQLite's side files take the same mode.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        with closing(sqlite3.connect(path, timeout=patience, isolation_level=None)) as connection:
            # What is deleted shall be gone from the file as well.
            connection.execute("PRAGMA secure_delete=ON").fetchone()
            _migrate(connection, path)
            yield connection
    except (OSError, sqlite3.Error, ValueError) as error:
        raise _explained(error, path) from error


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > len(MIGRATIONS):
        raise StoreError(
            f"The store of sessions {path} was written by a newer praison_nb: update this one, or "
            "set PRAISON_NB_SESSIONS to another file. It is left as it is."
        )
    if version < len(MIGRATIONS):
        apply(connection, MIGRATIONS)


def locked(path: Path) -> StoreError:
    """The error of a store that somebody else does not let go of."""
    return _error(path, "is locked by another process")


def _explained(error: Exception, path: Path) -> StoreError:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) or isinstance(error, ValueError):
        return _error(path, "is damaged, or no store: move it away and a new one is begun")
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return locked(path)
    reason = getattr(error, "strerror", None) or str(error)
    return _error(
        path, f"cannot be used ({reason}): make it writable, or set PRAISON_NB_SESSIONS to another file"
    )


def _error(path: Path, why: str) -> StoreError:
    return StoreError(f"The store of sessions {path} {why}. Until then sessions end with the kernel.")
