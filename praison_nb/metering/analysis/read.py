"""Reads the ledger's rows as NumPy arrays, fast: with adbc-driver-sqlite where it is installed, and of a big
ledger the old turns from a file beside it, which is there as long as none of them changes.
"""

from __future__ import annotations

import itertools
import sqlite3
import time
import zlib
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...storage import replacing
from ..ledger import Ledger
from ..schema import LABELS, LEDGER, connect_to_read
from ..statements import REQUEST_COLUMNS, TURN_COLUMNS
from .filters import Filter

if TYPE_CHECKING:
    import numpy as np

NULL = -(2**62)
"""How a missing number comes out of SQLite, so that every column is whole numbers."""
WORTH_KEEPING = 100_000
"""Turns from which on old ones are kept in a file of their own."""
WORTH_ADBC = 20_000
"""Rows from which on adbc-driver-sqlite is loaded."""

COLUMNS = {
    "turns": ("n", *(name for name in TURN_COLUMNS if name not in ("elsewhere", "reserved")), "label"),
    "requests": ("n", *REQUEST_COLUMNS, "label", "turn"),
}
RARE = {
    **dict.fromkeys(("unpriced", "estimated", "is_lower_bound", "state", "reserved"), 0),
    **dict.fromkeys(("fees", "estimated_cost", "extra_cost", "reasoning_output_tokens"), 0),
    **dict.fromkeys(("cache_write_5m_input_tokens", "cache_write_1h_input_tokens"), 0),
    **dict.fromkeys(("list_cost", "active"), NULL),
    "priced": "cost",
}
"""Columns that most rows have nothing in, and what that is: a number, or what another column has. They are
read of the rows that have something there, which is half the work."""
Columns = dict[str, "np.ndarray[Any, Any]"]
"""Columns by name, as arrays of int64."""
OLD_SECONDS = 86_400
"""A turn that began so long ago is old: it is rarely written again, and the ledger counts how often."""


def old_turns(path: Path) -> Path:
    """The file beside the ledger `path` in which old turns are kept once more."""
    return path.with_name(f"{path.name}.old-turns.npz")


def labels(path: Path) -> list[tuple[Any, ...]]:
    """All labels: n, then the names of schema.LABELS. Raises LedgerError."""
    with closing(Ledger(path)) as ledger:
        return ledger.read(f"SELECT n, {', '.join(LABELS)} FROM labels")


def rows(path: Path, table: str, wanted: Filter) -> Columns:
    """The table's columns in the order that they were written. Raises LedgerError."""
    import numpy as np

    if table != "turns":
        return _read(path, table, wanted, 0)
    changes, kept = _changes(path), _kept(path)
    late = _read(path, table, wanted, int(kept["n"][-1]) if kept else 0)
    if not kept:
        everything = late
    else:
        early = _matching(path, kept, wanted)
        everything = {name: np.concatenate([early[name], late[name]]) for name in late}
    if len(late["n"]) > WORTH_KEEPING and wanted == Filter():
        _keep(path, everything, changes)
    return everything


def _read(path: Path, table: str, wanted: Filter, after: int) -> Columns:
    import numpy as np

    where, values = wanted.where()
    common = [name for name in COLUMNS[table] if name not in RARE]
    rare = [name for name in COLUMNS[table] if name in RARE]
    some = " OR ".join(f"t.{name} IS NOT {_nothing(name)}" for name in rare)
    query = "SELECT {} FROM {} t WHERE t.n > ? AND {} ORDER BY t.n"
    found = _run(
        path,
        f"SELECT count(*) FROM (SELECT 1 FROM {table} WHERE n > {after} LIMIT {WORTH_ADBC})",
        [
            query.format(", ".join(map(_whole, common)), table, where),
            query.format(", ".join(map(_whole, ["n", *rare])), table, f"{where} AND ({some})"),
        ],
        [after, *values],
    )
    columns = dict(zip(common, found[0], strict=True))
    numbers, *some_rows = found[1]
    at = np.searchsorted(columns["n"], numbers)
    for name, part in zip(rare, some_rows, strict=True):
        usual = RARE[name]
        columns[name] = (
            columns[usual].copy() if isinstance(usual, str) else np.full(len(columns["n"]), usual, np.int64)
        )
        columns[name][at] = part
    return {name: columns[name] for name in COLUMNS[table]}


def _nothing(name: str) -> str:
    usual = RARE[name]
    return f"t.{usual}" if isinstance(usual, str) else "NULL" if usual == NULL else str(usual)


def _whole(name: str) -> str:
    return f"coalesce(t.{name}, {NULL}) AS {name}"


def _run(path: Path, count: str, queries: Sequence[str], values: list[Any]) -> list[list[Any]]:
    """The columns of each query, of one state of the file. Raises LedgerError."""
    import numpy as np

    with closing(connect_to_read(path)[0]) as connection:
        try:
            if connection.execute(count).fetchone()[0] == WORTH_ADBC and (
                arrow := _by_adbc(path, queries, values)
            ):
                return arrow
            connection.execute("BEGIN")
            found = []
            for query in queries:
                cursor = connection.execute(query, values)
                cells = np.fromiter(itertools.chain.from_iterable(cursor), np.int64)
                found.append([*np.ascontiguousarray(cells.reshape(-1, len(cursor.description)).T)])
            return found
        except sqlite3.Error as error:
            raise LEDGER.explain(error, path) from error


def _by_adbc(path: Path, queries: Sequence[str], values: list[Any]) -> list[list[Any]] | None:
    """The same by adbc-driver-sqlite, three times as fast; None where it is not installed, or where another
    process keeps the file locked, for which it cannot wait."""
    try:
        import adbc_driver_sqlite.dbapi as adbc
        import numpy as np
        import pyarrow  # type: ignore[import-untyped]  # noqa: F401
    except ImportError:
        return None
    found = []
    # The cursor is closed before the connection: the other way round crashes.
    try:
        with adbc.connect(str(path)) as connection, connection.cursor() as cursor:
            cursor.adbc_statement.set_options(**{"adbc.sqlite.query.batch_rows": "65536"})
            for query in queries:
                cursor.execute(query, values)
                found.append([column.to_numpy().astype(np.int64) for column in cursor.fetch_arrow_table()])
    except adbc.Error:
        return None
    return found


# The file of old turns


def _changes(path: Path) -> int:
    """How often old turns were changed so far."""
    with closing(Ledger(path)) as ledger:
        [(changes,)] = ledger.read("SELECT n FROM changes_of_old_turns")
    return int(changes)


def _stamp(path: Path, last: int) -> tuple[int, int]:
    """How many turns there are up to `last`, and a number made of that one's id: no two ledgers agree in
    both."""
    with closing(Ledger(path)) as ledger:
        [(count,)] = ledger.read("SELECT count(*) FROM turns WHERE n <= ?", (last,))
        rows = ledger.read("SELECT id FROM turns WHERE n = ?", (last,))
    return count, zlib.crc32(rows[0][0].encode()) if rows else 0


def _kept(path: Path) -> Columns:
    """{} where nothing is kept, or something else."""
    import numpy as np

    try:
        with old_turns(path).open("rb") as whole, np.load(whole, allow_pickle=False) as file:
            count, last, mark, changes = map(int, file["stamp"])
            if _stamp(path, last) != (count, mark) or _changes(path) != changes:
                return {}
            return {name: _widened(file[name], count) for name in COLUMNS["turns"]}
    except Exception:
        # A damaged file has many ways to be read.
        return {}


def _keep(path: Path, columns: Columns, changes: int) -> None:
    """Keep the turns up to the first young one, which were read after so many changes. A failure costs only
    time."""
    import numpy as np

    young = np.flatnonzero(columns["time"] > (time.time() - OLD_SECONDS) * 1_000_000)
    end = int(young[0]) if len(young) else len(columns["n"])
    if end < WORTH_KEEPING:
        return
    last = int(columns["n"][end - 1])
    count, mark = _stamp(path, last)
    if count != end:
        return
    narrow: dict[str, Any] = {name: _narrowed(column[:end]) for name, column in columns.items()}
    with suppress(OSError), replacing(old_turns(path), 0o600) as file:
        np.savez(file, stamp=np.array([count, last, mark, changes]), **narrow)


def _narrowed(column: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The column in as few bytes as its numbers need: in one number where all are the same. The least one
    stands for NULL."""
    import numpy as np

    if (column == column[0]).all():
        return column[:1]
    missing = column == NULL
    least = column.min(where=~missing, initial=0)
    for kind in (np.int8, np.int16, np.int32, np.int64):
        limits = np.iinfo(kind)
        if limits.min < least and column.max() <= limits.max:
            break
    return np.where(missing, limits.min, column).astype(kind)


def _widened(column: np.ndarray[Any, Any], count: int) -> np.ndarray[Any, Any]:
    import numpy as np

    if len(column) == 1:
        return np.broadcast_to(column, count)
    wide = column.astype(np.int64)
    wide[column == np.iinfo(column.dtype).min] = NULL
    return wide


def _matching(path: Path, kept: Columns, wanted: Filter) -> Columns:
    import numpy as np

    if wanted == Filter():
        return kept
    chosen = np.ones(len(kept["n"]), bool)
    if wanted.since is not None:
        chosen &= kept["time"] >= wanted.since
    if wanted.until is not None:
        chosen &= kept["time"] < wanted.until
    if wanted.labels or wanted.tags:
        numbers = [n for n, *texts in labels(path) if wanted.matches(dict(zip(LABELS, texts, strict=True)))]
        chosen &= np.isin(kept["label"], numbers)
    return {name: column[chosen] for name, column in kept.items()}
