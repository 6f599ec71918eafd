"""Reads the ledger's rows as NumPy arrays, fast: with adbc-driver-sqlite where it is installed, and of a big
ledger the old turns from a file beside it, which is there as long as none of them changes.
"""

from __future__ import annotations

import itertools
import sqlite3
import time
import zlib
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from ...storage import replacing
from ..ledger import Ledger
from ..schema import LABELS, LEDGER, connect_to_read
from ..statements import REQUEST_COLUMNS, TURN_COLUMNS
from .filters import Filter

if TYPE_CHECKING:
    import numpy as np

_ANY = 2**63 - 1
"""No row's number is greater."""
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
_AS_READ = {
    name: f"coalesce(t.{name}, {NULL})" for name in ("duration", "first_text", "cost", "list_cost", "active")
} | {"priced": "coalesce(t.priced - t.cost, t.priced)"}
"""Columns that are not read as they are: what may be missing, and what most often is the cost."""
_SAMPLE, _USUAL_SHARE = 200, 0.95
"""So many rows say which columns hardly vary: where such a share of them has the same."""
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
    """Columns that hardly vary are read of the rows with something else there, which is half the work."""
    import numpy as np

    where, values = wanted.where()
    usual = _usual(path, table)
    common = [name for name in COLUMNS[table] if name not in usual]
    differs = " OR ".join(f"{_as_read(name)} != {value}" for name, value in usual.items()) or "0"
    query = "SELECT {} FROM {} t WHERE t.n > ? AND t.n <= ? AND {} ORDER BY t.n"
    found, (numbers, *others) = _run(
        path,
        f"SELECT coalesce(max(n), 0) FROM {table}",
        [
            query.format(", ".join(map(_as_read, common)), table, where),
            query.format(", ".join(map(_as_read, ["n", *usual])), table, f"{where} AND ({differs})"),
        ],
        after,
        values,
    )
    columns = dict(zip(common, found, strict=True))
    at = np.searchsorted(columns["n"], numbers)
    for (name, value), part in zip(usual.items(), others, strict=True):
        columns[name] = np.broadcast_to(np.int64(value), len(columns["n"]))
        if (part != value).any():
            columns[name] = columns[name].copy()
            columns[name][at] = part
    if "priced" in columns:
        columns["priced"] = columns["priced"] + np.where(columns["cost"] == NULL, 0, columns["cost"])
    return {name: columns[name] for name in COLUMNS[table]}


def _usual(path: Path, table: str) -> dict[str, int]:
    """What nearly all rows have, in the columns where a sample of them does."""
    names = COLUMNS[table][1:]
    with closing(Ledger(path)) as ledger:
        [(first, last)] = ledger.read(f"SELECT (SELECT min(n) FROM {table}), (SELECT max(n) FROM {table})")
        # At equal distances it could see one of each period only.
        numbers = Random(0).choices(range(first, last + 1), k=_SAMPLE) if last else []
        among = ", ".join(map(str, numbers))
        rows = ledger.read(f"SELECT {', '.join(map(_as_read, names))} FROM {table} t WHERE n IN ({among})")
    usual = {}
    for name, *column in zip(names, *rows, strict=True) if rows else ():
        [(value, count)] = Counter(column).most_common(1)
        if count > _USUAL_SHARE * len(rows):
            usual[name] = value
    return usual


def _as_read(name: str) -> str:
    return _AS_READ.get(name, f"t.{name}")


def _run(path: Path, last: str, queries: Sequence[str], after: int, values: list[Any]) -> list[list[Any]]:
    """The columns of each query, of the rows after the number `after`; `last` asks for the last one's. What
    the queries say of a row is of one state of the file. Raises LedgerError."""
    import numpy as np

    with closing(connect_to_read(path)[0]) as connection:
        try:
            count = connection.execute(last).fetchone()[0] - after
            halves = [[after, after + count // 2, *values], [after + count // 2, _ANY, *values]]
            if count >= WORTH_ADBC and (arrow := _by_adbc(path, queries, halves)):
                return arrow
            connection.execute("BEGIN")
            found = []
            for query in queries:
                cursor = connection.execute(query, [after, _ANY, *values])
                cells = np.fromiter(itertools.chain.from_iterable(cursor), np.int64)
                found.append([*np.ascontiguousarray(cells.reshape(-1, len(cursor.description)).T)])
            return found
        except sqlite3.Error as error:
            raise LEDGER.explain(error, path) from error


def _by_adbc(path: Path, queries: Sequence[str], parts: Sequence[list[Any]]) -> list[list[Any]] | None:
    """The same by adbc-driver-sqlite, three times as fast, and all `parts`, which have values of their own,
    beside each other. None where it is not installed, or where another process keeps the file locked, for
    which it cannot wait."""
    try:
        # Its dbapi would import Polars, where that is installed.
        import adbc_driver_manager as adbc
        import adbc_driver_sqlite
        import numpy as np
        import pyarrow  # type: ignore[import-untyped]
    except ImportError:
        return None

    def tables(values: list[Any]) -> list[Any]:
        given = pyarrow.RecordBatch.from_pydict({str(n): [value] for n, value in enumerate(values)})
        found = []
        with adbc_driver_sqlite.connect(str(path)) as file, adbc.AdbcConnection(file) as connection:
            connection.set_autocommit(False)
            for query in queries:
                with adbc.AdbcStatement(connection) as statement:
                    statement.set_options(**{"adbc.sqlite.query.batch_rows": "65536"})
                    statement.set_sql_query(query)
                    statement.prepare()
                    statement.bind(given)
                    handle, _ = statement.execute_query()
                    # It has to be gone before the statement: the other way round crashes.
                    with pyarrow.RecordBatchReader._import_from_c(handle.address) as reader:
                        found.append(reader.read_all())
        return found

    try:
        with ThreadPoolExecutor(len(parts)) as pool:
            by_query = [pyarrow.concat_tables(each) for each in zip(*pool.map(tables, parts), strict=True)]
    except (adbc.Error, pyarrow.ArrowException, OSError):
        return None
    return [[np.require(each.to_numpy(), np.int64, "W") for each in table.columns] for table in by_query]


# The file of old turns


def _changes(path: Path) -> int:
    """How often old turns were changed so far."""
    with closing(Ledger(path)) as ledger:
        [(changes,)] = ledger.read("SELECT n FROM changes_of_old_turns")
    return int(changes)


def _count(path: Path, last: int) -> int:
    """How many turns there are up to `last`."""
    with closing(Ledger(path)) as ledger:
        [(count,)] = ledger.read("SELECT count(*) FROM turns WHERE n <= ?", (last,))
    return int(count)


def _mark(path: Path, last: int) -> int:
    """A number made of that turn's id: no two ledgers agree in it and in the count."""
    with closing(Ledger(path)) as ledger:
        rows = ledger.read("SELECT id FROM turns WHERE n = ?", (last,))
    return zlib.crc32(rows[0][0].encode()) if rows else 0


def _kept(path: Path) -> Columns:
    """{} where nothing is kept, or something else."""
    import numpy as np

    try:
        with old_turns(path).open("rb") as whole, np.load(whole, allow_pickle=False) as file:
            count, last, mark, changes, now = map(int, file["stamp"])
            # By a clock that was ahead young ones were old, and what changed of them was not counted.
            is_same = (_count(path, last), _mark(path, last), _changes(path)) == (count, mark, changes)
            if not is_same or now > time.time():
                return {}
            return {name: _widened(file[name], count) for name in COLUMNS["turns"]}
    except Exception:
        # A damaged file has many ways to be read.
        return {}


def _keep(path: Path, columns: Columns, changes: int) -> None:
    """Keep the turns up to the first young one, which were read after so many changes. A failure costs only
    time."""
    import numpy as np

    # In whole seconds, as the ledger takes turns for old whose changes it counts.
    now = int(time.time())
    young = np.flatnonzero(columns["time"] >= (now - OLD_SECONDS) * 1_000_000)
    end = int(young[0]) if len(young) else len(columns["n"])
    if end < WORTH_KEEPING:
        return
    last = int(columns["n"][end - 1])
    narrow: dict[str, Any] = {name: _narrowed(column[:end]) for name, column in columns.items()}
    with suppress(OSError), replacing(old_turns(path), 0o600) as file:
        np.savez(file, stamp=np.array([end, last, _mark(path, last), changes, now]), **narrow)


def _narrowed(column: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The column in as few bytes as its numbers need: in one number where all are the same. The least one
    stands for NULL."""
    import numpy as np

    least, most = (column[0], column[0]) if column.strides == (0,) else (column.min(), column.max())
    if least == most:
        return column[:1]
    missing = None
    if least == NULL:
        missing = column == NULL
        least = column.min(where=~missing, initial=0)
    for kind in (np.int8, np.int16, np.int32, np.int64):
        limits = np.iinfo(kind)
        if limits.min < least and most <= limits.max:
            break
    narrow = column.astype(kind)
    if missing is not None:
        narrow[missing] = limits.min
    return narrow


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
