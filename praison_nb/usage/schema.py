"""The ledger's file: where it is, its tables, and how it is opened so that nothing is lost.

Money is in whole picodollars (1e-12 USD), time in microseconds since 1970 (UTC), so that SQLite adds both
exactly. What repeats (user, notebook, cell, session, model, …) is kept once, in `labels`.
"""

from __future__ import annotations

import functools
import os
import sqlite3
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from ..errors import PraisonError

LABELS = (
    "user",
    "notebook",
    "cell",
    "session",
    "session_id",
    "backend",
    "provider",
    "model",
    "cost_source",
    "status",
    "stop_reason",
    "error",
)
TOKENS = (
    "uncached_input_tokens",
    "cache_read_input_tokens",
    "cache_write_5m_input_tokens",
    "cache_write_1h_input_tokens",
    "output_tokens",
)
_COUNTS = ", ".join(f"{name} INTEGER NOT NULL" for name in TOKENS)
_NAMES = ", ".join(LABELS)

# Only ever append: a ledger in the world has run those before.
MIGRATIONS = [
    f"""
    CREATE TABLE labels (
        n INTEGER PRIMARY KEY, {", ".join(f"{name} TEXT NOT NULL DEFAULT ''" for name in LABELS)},
        UNIQUE ({_NAMES})
    );
    CREATE INDEX labels_of_a_session ON labels (session_id);
    CREATE TABLE turns (
        n INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, label INTEGER NOT NULL REFERENCES labels,
        time INTEGER NOT NULL, duration INTEGER NOT NULL, first_text INTEGER,
        requests INTEGER NOT NULL, unpriced INTEGER NOT NULL, {_COUNTS}, estimated INTEGER NOT NULL,
        cost INTEGER, priced INTEGER NOT NULL, list_cost INTEGER, active INTEGER
    );
    CREATE INDEX turns_by_time ON turns (time);
    CREATE INDEX turns_by_label ON turns (label);
    CREATE TABLE requests (
        n INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, label INTEGER NOT NULL REFERENCES labels,
        turn INTEGER NOT NULL REFERENCES turns, time INTEGER NOT NULL, duration INTEGER, first_text INTEGER,
        {_COUNTS}, estimated INTEGER NOT NULL, cost INTEGER
    );
    CREATE INDEX requests_by_time ON requests (time);
    CREATE TABLE budgets (per TEXT NOT NULL, key TEXT NOT NULL, usd INTEGER NOT NULL, PRIMARY KEY (per, key));
    """,
]

# Shared memory between machines does not exist: on these WAL would lose or damage data.
_NETWORK = (
    "nfs",
    "cifs",
    "smb",
    "9p",
    "afs",
    "ceph",
    "lustre",
    "gpfs",
    "glusterfs",
    "beegfs",
    "fuse.",
    "pvfs",
)
_LOCAL_FUSE = ("fuse.fuseblk", "fuse.overlay", "fuse.fuse-overlayfs", "fuse.lxcfs")
TIMEOUT_SECONDS = 30.0


class LedgerError(PraisonError):
    """The ledger cannot be read or written. The message says why, and what to do."""


def default_path() -> Path:
    """The ledger that counts now: `PRAISON_NB_LEDGER`, or a file in the user's data directory."""
    if named := os.environ.get("PRAISON_NB_LEDGER"):
        return absolute(Path(named).expanduser())
    from platformdirs import user_data_dir

    return Path(user_data_dir("praison_nb", appauthor=False)) / "ledger.sqlite"


@functools.cache
def absolute(path: Path) -> Path:
    """Where the path led when it was seen first: the notebook may change its working directory."""
    return path.absolute()


def connect(path: Path) -> sqlite3.Connection:
    """The ledger at `path`, made where there is none, brought up to date where it is older. Whoever gets the
    connection may use it from any thread, one at a time. Raises LedgerError."""
    connection: sqlite3.Connection | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Nobody else on the machine reads what somebody spent; SQLite's side files take the same mode.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        connection = sqlite3.connect(
            path, timeout=TIMEOUT_SECONDS, isolation_level=None, check_same_thread=False
        )
        _migrate(connection, path)
        connection.execute("PRAGMA synchronous=FULL")
    except (OSError, sqlite3.Error, LedgerError) as error:
        if connection is not None:
            connection.close()
        raise explain(error, path) from error
    return connection


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > len(MIGRATIONS):
        raise LedgerError(
            f"The ledger {path} was written by a newer praison_nb: update this one, or set PRAISON_NB_LEDGER "
            "to another file. It is left as it is."
        )
    _set_journal(connection, "delete" if network_of(path) else "wal")
    if version < len(MIGRATIONS):
        apply(connection, MIGRATIONS)


def apply(connection: sqlite3.Connection, migrations: Sequence[str]) -> None:
    """Bring a file up to date: all of the numbered scripts that it lacks, or none. Its user_version counts
    them."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Another process may have been faster.
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        for script in migrations[version:]:
            for statement in filter(str.strip, script.split(";")):
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version={len(migrations)}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def _set_journal(connection: sqlite3.Connection, mode: str) -> None:
    """Change the journal's mode where it is another; while others use the file SQLite refuses at once
    instead of waiting, so the waiting is done here."""
    until = time.monotonic() + TIMEOUT_SECONDS
    while True:
        try:
            if connection.execute("PRAGMA journal_mode").fetchone()[0] != mode:
                connection.execute(f"PRAGMA journal_mode={mode}").fetchone()
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(0.01)


def network_of(path: Path, mounts: str | None = None) -> str:
    """The network file system that `path` is on ("nfs4", say), "" on a local one. `mounts` is the text of
    /proc/self/mounts. Other systems than Linux tell only a Windows network path."""
    if sys.platform == "win32":
        return "network drive" if str(path.absolute()).startswith("\\\\") else ""
    if mounts is None:
        try:
            mounts = Path("/proc/self/mounts").read_text("utf-8", "replace")
        except OSError:
            return ""
    target, best, kind = os.path.realpath(path), "", ""
    for line in mounts.splitlines():
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        point = fields[1].replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\")
        # The last of equal ones is the one on top.
        if len(point) >= len(best) and (target + "/").startswith(point.rstrip("/") + "/"):
            best, kind = point, fields[2]
    return kind if kind.startswith(_NETWORK) and kind not in _LOCAL_FUSE else ""


def explain(error: Exception, path: Path) -> LedgerError:
    """What went wrong with the file in one line that says what to do."""
    if isinstance(error, LedgerError):
        return error
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        why = "is damaged, or no ledger: move it away and a new one is begun"
    elif code == sqlite3.SQLITE_FULL:
        why = "cannot grow, the disk is full: make room"
    elif code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        why = f"was locked by another process for {TIMEOUT_SECONDS:.0f} s"
    elif code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM) or isinstance(
        error, OSError
    ):
        reason = error.strerror if isinstance(error, OSError) else str(error)
        why = f"cannot be written ({reason}): make it writable, or set PRAISON_NB_LEDGER to another file"
    else:
        why = f"cannot be used ({error})"
    return LedgerError(f"The ledger {path} {why}.")
