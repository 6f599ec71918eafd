"""`usage()` of a million turns in a fresh process, the first time and again, beside the fastest way that
others read the same rows; and totals by day beside the bare SQL."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import ledgers
from harness import Row, by_figure, in_turns, own_process

OURS = """
import json, sys, time
import pandas, pyarrow, praison_nb
begun = time.perf_counter()
frame = praison_nb.usage(ledger=sys.argv[1])
loaded = time.perf_counter() - begun
begun = time.perf_counter()
praison_nb.usage.by("day", ledger=sys.argv[1])
assert len(frame) == int(sys.argv[2])
print(json.dumps([loaded, time.perf_counter() - begun]))
"""
BARE = """
import json, sqlite3, sys, time
import pandas, pyarrow, adbc_driver_sqlite.dbapi as adbc
begun = time.perf_counter()
with adbc.connect(sys.argv[1]) as connection, connection.cursor() as cursor:
    cursor.adbc_statement.set_options(**{"adbc.sqlite.query.batch_rows": "65536"})
    cursor.execute("SELECT t.*, l.* FROM turns t JOIN labels l ON l.n = t.label")
    frame = cursor.fetch_arrow_table().to_pandas()
loaded = time.perf_counter() - begun
begun = time.perf_counter()
sqlite3.connect(sys.argv[1]).execute(
    "SELECT t.time / 86400000000, count(*), sum(t.cost), sum(t.uncached_input_tokens + t.output_tokens) "
    "FROM turns t JOIN labels l ON l.n = t.label GROUP BY 1").fetchall()
assert len(frame) == int(sys.argv[2])
print(json.dumps([loaded, time.perf_counter() - begun]))
"""


def rows() -> Iterator[Row]:
    ledger = ledgers.filled(ledgers.MANY)
    ledger_files = set(ledger.parent.iterdir())

    def first() -> list[float]:
        for each in _copies(ledger_files, ledger):
            each.unlink()
        return own_process(OURS, ledger, ledgers.MANY)

    again = partial(own_process, OURS, ledger, ledgers.MANY)
    bare = partial(own_process, BARE, ledger, ledgers.MANY)
    load, day = by_figure(in_turns({"bare": bare, "first": first, "again": again}, warm_up=0))
    work, beside = f"usage() of {ledgers.MANY:,} turns", "ADBC to pandas"
    yield Row(f"{work}, the first time", "s", load["first"], load["bare"], beside, most=0.8)
    yield Row(f"{work}, again", "s", load["again"], load["bare"], beside, most=0.4)
    size = sum(each.stat().st_size for each in _copies(ledger_files, ledger)) / 1e6
    whole = ledger.stat().st_size / 1e6
    yield Row("files that usage() leaves beside the ledger", "MB", size, whole, "the ledger", share=0.5)
    yield Row(f'usage.by("day") of {ledgers.MANY:,} turns', "s", day["again"], day["bare"], "the bare SQL")


def _copies(before: set[Path], ledger: Path) -> set[Path]:
    """Files beside the ledger that were not there before; SQLite's own are its."""
    made = set(ledger.parent.iterdir()) - before
    return {each for each in made if not each.name.endswith(("-wal", "-shm"))}
