"""Reads the ledger's rows as NumPy arrays, fast: with adbc-driver-sqlite where it is installed, and of a big
ledger the old turns from a file beside it, which is there as long as none of them changes.
"""

from __future__ import annotations

import itertools
import sqlite3
import time
import zlib
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import LedgerError
from ...storage import replacing
from ..ledger import OLD_SECONDS, Ledger, old_turns
from ..schema import LABELS, LEDGER, connect_to_read
from ..statements import REQUEST_COLUMNS, TURN_COLUMNS
from .filters import Filter

if TYPE_CHECKING:
    import numpy as np

NULL = -(2**62)
"""How a missing number comes out of SQLite, so that every column is whole numbers."""
WORTH_KEEPING = 100_000
"""Turns from which on old ones are kept in a file of their own."""

COLUMNS = {
    "turns": ("n", *TURN_COLUMNS, "label"),
    "requests": ("n", *REQUEST_COLUMNS, "label", "turn"),
}


def labels(path: Path) -> list[tuple[Any, ...]]:
    """All labels: n, then the names of schema.LABELS. Raises LedgerError."""
    with closing(Ledger(path)) as ledger:
        return ledger.read(f"SELECT n, {', '.join(LABELS)} FROM labels")


def rows(path: Path, table: str, wanted: Filter) -> dict[str, np.ndarray[Any, Any]]:
    """The table's columns as arrays of int64, by name, in the order that they were written. Raises
    LedgerError."""
    import numpy as np

    if table != "turns":
        return _named(table, _read(path, table, wanted, 0))
    kept = _kept(path)
    last = int(kept[0, -1]) if kept.shape[1] else 0
    late = _read(path, table, wanted, last)
    if late.shape[1] > WORTH_KEEPING and wanted == Filter():
        _keep(path, np.concatenate([kept, late], axis=1))
    if not kept.shape[1]:
        return _named(table, late)
    early = _matching(path, kept, wanted)
    return {
        name: np.concatenate([old, new]) for name, old, new in zip(COLUMNS[table], early, late, strict=True)
    }


def _named(table: str, columns: np.ndarray[Any, Any]) -> dict[str, np.ndarray[Any, Any]]:
    return dict(zip(COLUMNS[table], columns, strict=True))


def _query(table: str, wanted: Filter, after: int) -> tuple[str, list[Any]]:
    where, values = wanted.where()
    columns = ", ".join(f"coalesce(t.{name}, {NULL}) AS {name}" for name in COLUMNS[table])
    return f"SELECT {columns} FROM {table} t WHERE t.n > ? AND {where} ORDER BY t.n", [after, *values]


def _read(path: Path, table: str, wanted: Filter, after: int) -> np.ndarray[Any, Any]:
    import numpy as np

    query, values = _query(table, wanted, after)
    with closing(connect_to_read(path)[0]) as connection:
        try:
            count = connection.execute(f"SELECT count(*) FROM {table} WHERE n > ?", (after,)).fetchone()[0]
            if count > 20_000 and (arrow := _by_adbc(path, query, values)) is not None:
                return arrow
            cells = itertools.chain.from_iterable(connection.execute(query, values))
            return np.ascontiguousarray(np.fromiter(cells, np.int64).reshape(-1, len(COLUMNS[table])).T)
        except sqlite3.Error as error:
            raise LEDGER.explain(error, path) from error


def _by_adbc(path: Path, query: str, values: list[Any]) -> np.ndarray[Any, Any] | None:
    """The same by adbc-driver-sqlite, three times as fast; None where it is not installed, or where another
    process keeps the file locked, for which it cannot wait."""
    try:
        import adbc_driver_sqlite.dbapi as adbc
        import numpy as np
        import pyarrow  # type: ignore[import-untyped]  # noqa: F401
    except ImportError:
        return None
    # The cursor is closed before the connection: the other way round crashes.
    try:
        with adbc.connect(str(path)) as connection, connection.cursor() as cursor:
            cursor.adbc_statement.set_options(**{"adbc.sqlite.query.batch_rows": "65536"})
            cursor.execute(query, values)
            table = cursor.fetch_arrow_table()
    except adbc.Error:
        return None
    columns = np.empty((table.num_columns, table.num_rows), np.int64)
    for index, column in enumerate(table.columns):
        at = 0
        for chunk in column.chunks:
            columns[index, at : at + len(chunk)] = chunk.to_numpy()
            at += len(chunk)
    return columns


# The file of old turns


def _stamp(path: Path, last: int) -> tuple[int, int]:
    """How many turns there are up to `last`, and a number made of that one's id: no two ledgers agree in
    both, nor does one from which turns were taken out."""
    with closing(Ledger(path)) as ledger:
        [(count,)] = ledger.read("SELECT count(*) FROM turns WHERE n <= ?", (last,))
        rows = ledger.read("SELECT id FROM turns WHERE n = ?", (last,))
    return count, zlib.crc32(rows[0][0].encode()) if rows else 0


def _kept(path: Path) -> np.ndarray[Any, Any]:
    import numpy as np

    width = len(COLUMNS["turns"])
    nothing = np.empty((width, 0), np.int64)
    try:
        # Each column of the file ends with its stamp.
        kept = np.load(old_turns(path), mmap_mode="r", allow_pickle=False)
        if kept.dtype != np.int64 or kept.ndim != 2 or kept.shape[0] != width or kept.shape[1] < 2:
            return nothing
        count, mark = _stamp(path, int(kept[0, -2]))
        if (count, mark) != (kept.shape[1] - 1, int(kept[1, -1])):
            return nothing
    except (OSError, ValueError, sqlite3.Error, LedgerError):
        return nothing
    return kept[:, :-1]  # type: ignore[no-any-return]


def _keep(path: Path, columns: np.ndarray[Any, Any]) -> None:
    """Keep the turns up to the first young one. `Ledger.write` takes the file away when it writes an old one
    again. A failure costs only time."""
    import numpy as np

    now = time.time() * 1_000_000
    begun = COLUMNS["turns"].index("time")
    young = np.flatnonzero(columns[begun] > now - OLD_SECONDS * 1_000_000)
    end = int(young[0]) if len(young) else columns.shape[1]
    if end < WORTH_KEEPING:
        return
    last = int(columns[0, end - 1])
    count, mark = _stamp(path, last)
    if count != end:
        return
    kept = np.concatenate([columns[:, :end], np.full((columns.shape[0], 1), mark, np.int64)], axis=1)
    with suppress(OSError), replacing(old_turns(path), 0o600) as file:
        np.save(file, kept, allow_pickle=False)


def _matching(path: Path, kept: np.ndarray[Any, Any], wanted: Filter) -> np.ndarray[Any, Any]:
    import numpy as np

    if wanted == Filter():
        return kept
    time_, label = kept[COLUMNS["turns"].index("time")], kept[COLUMNS["turns"].index("label")]
    chosen = np.ones(kept.shape[1], bool)
    if wanted.since is not None:
        chosen &= time_ >= wanted.since
    if wanted.until is not None:
        chosen &= time_ < wanted.until
    if wanted.labels or wanted.tags:
        numbers = [n for n, *texts in labels(path) if wanted.matches(dict(zip(LABELS, texts, strict=True)))]
        chosen &= np.isin(label, numbers)
    return kept[:, chosen]
