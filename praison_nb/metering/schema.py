"""The ledger's file: where it is, what its columns are called, and how it is opened so that nothing is lost.

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
from .migrations import MIGRATIONS

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
    "service_tier",
    "tags",
    "price_source",
)
"""`cost_source` is who says what it cost ("table", "user", …), `price_source` by which prices, such as a
table's date. `tags` are "name=value" in their order, with commas between."""
TOKENS = (
    "uncached_input_tokens",
    "cache_read_input_tokens",
    "cache_write_5m_input_tokens",
    "cache_write_1h_input_tokens",
    "output_tokens",
)
STATES = ("done", "running", "unknown")
"""A request's state by its number in the file."""
DONE, RUNNING, UNKNOWN = range(3)

DAY = 86_400_000_000
"""Microseconds."""
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
    return storage.data_folder() / "ledger.sqlite"


def connect(path: Path) -> sqlite3.Connection:
    """The ledger at `path`, made where there is none, brought up to date where it is older. Whoever gets the
    connection may use it from any thread, one at a time. Raises LedgerError."""
    return storage.connect(path, LEDGER, MIGRATIONS, TIMEOUT_SECONDS, "delete" if network_of(path) else "wal")


def connect_to_read(path: Path) -> tuple[sqlite3.Connection, bool]:
    """As `connect`, but of a file that may only be read too; and whether that is so. Raises LedgerError."""
    try:
        return connect(path), False
    except LedgerError as error:
        if not path.is_file():
            raise
        try:
            return storage.connect_to_read(path, LEDGER, MIGRATIONS, TIMEOUT_SECONDS), True
        except LedgerError:
            raise error from None


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
