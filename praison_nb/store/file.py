"""The store's file: SQLite beside the ledger, for its user's eyes only."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from .. import storage
from ..errors import StoreError
from ..metering.schema import default_path as ledger_path, network_of
from ..storage import absolute

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
    # The newest sessions, and how many there are, without reading all.
    """
    CREATE INDEX newest_sessions ON sessions (last_used);
    CREATE INDEX archived_sessions ON sessions (id, is_archived);
    """,
]


def default_path() -> Path:
    """The store that counts now: `PRAISON_NB_SESSIONS`, or a file beside the ledger."""
    named = os.environ.get("PRAISON_NB_SESSIONS")
    return absolute(Path(named).expanduser()) if named else ledger_path().parent / "sessions.sqlite"


STORE = storage.DatabaseSpec(
    name="store of sessions",
    variable="PRAISON_NB_SESSIONS",
    error=StoreError,
    # What is deleted shall be gone from the file as well.
    pragma="secure_delete=ON",
    cannot_be="used",
    when_busy="is locked by another process",
    consequence=" Until then sessions end with the kernel.",
)


def connect(path: Path, patience: float = GLANCE_SECONDS) -> sqlite3.Connection:
    """The store at `path`, made where there is none, brought up to date where it is older. Another process
    may hold the file for `patience` seconds. Raises StoreError."""
    return storage.connect(path, STORE, MIGRATIONS, patience, "delete" if network_of(path) else "wal")


def read(path: Path, query: str, values: Sequence[Any] | Mapping[str, Any] = ()) -> list[tuple[Any, ...]]:
    """The rows of a query. Raises StoreError."""
    try:
        # They are fetched before they are looked at: one that is damaged must leave no lock behind.
        with closing(connect(path)) as connection:
            return connection.execute(query, values).fetchall()
    except (sqlite3.Error, ValueError) as error:
        raise STORE.explain(error, path) from error
