"""The ledger's file: where it is, its tables, and how it is opened so that nothing is lost.

Money is in whole picodollars (1e-12 USD), time in microseconds since 1970 (UTC), so that SQLite adds both
exactly. What repeats (user, notebook, cell, session, model, …) is kept once, in `labels`.
"""

from __future__ import annotations

import os
import sqlite3
import sys
from pathlib import Path

from .. import storage
from ..errors import LedgerError
from ..storage import absolute

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

TIMEOUT_SECONDS = 30.0

# Shared memory between machines does not exist: on these WAL would lose or damage data.
_REMOTE = ("9p", "afs", "beegfs", "ceph", "cifs", "fuse.", "gluster", "gpfs", "lustre", "nfs", "pvfs", "smb")
_LOCAL_FUSE = ("fuse.fuseblk", "fuse.overlay", "fuse.fuse-overlayfs", "fuse.lxcfs")


LEDGER = storage.DatabaseSpec(
    name="ledger",
    variable="PRAISON_NB_LEDGER",
    error=LedgerError,
    pragma="synchronous=FULL",
    cannot_be="written",
    when_busy=f"was locked by another process for {TIMEOUT_SECONDS:.0f} s",
)


def default_path() -> Path:
    """The ledger that counts now: `PRAISON_NB_LEDGER`, or a file in the user's data directory."""
    if named := os.environ.get("PRAISON_NB_LEDGER"):
        return absolute(Path(named).expanduser())
    from platformdirs import user_data_dir

    return Path(user_data_dir("praison_nb", appauthor=False)) / "ledger.sqlite"


def connect(path: Path) -> sqlite3.Connection:
    """The ledger at `path`, made where there is none, brought up to date where it is older. Whoever gets the
    connection may use it from any thread, one at a time. Raises LedgerError."""
    return storage.connect(path, LEDGER, MIGRATIONS, TIMEOUT_SECONDS, "delete" if network_of(path) else "wal")


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
    target, best, kind = os.path.realpath(path) + "/", "", ""
    for _, point, mounted, *_ in (
        fields for line in mounts.splitlines() if len(fields := line.split(" ")) > 2
    ):
        point = point.replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\")
        # The last of equal ones is the one on top.
        if len(point) >= len(best) and target.startswith(point.rstrip("/") + "/"):
            best, kind = point, mounted
    return kind if kind.startswith(_REMOTE) and kind not in _LOCAL_FUSE else ""
