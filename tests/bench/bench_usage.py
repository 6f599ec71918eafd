"""A ledger of 1,000,000 turns to a DataFrame, beside the ways that others would read the same rows out of
SQLite; and totals by day beside the bare SQL. All in one run on one disk.

    python tests/bench/bench_usage.py
"""

from __future__ import annotations

import random
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
import adbc_driver_sqlite.dbapi as adbc
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from big_ledger import make

from praison_nb import usage
from praison_nb.metering.analysis import read
from praison_nb.metering.ledger import old_turns
from praison_nb.metering.schema import LABELS, TOKENS

TURNS = 1_000_000
TAIL = 10_000
ROUNDS = 3
FLAT = ("id", *LABELS[:9], "time", "duration", "first_text", *TOKENS, "cost")
TEXTS = FLAT[:10]
BEGIN = 1_700_000_000_000_000


def made() -> tuple[list[tuple[str, ...]], Iterator[tuple[Any, ...]]]:
    """The labels, and the turns as (label, time, duration, first_text, tokens…, cost)."""
    chance = random.Random(1)
    models = ("gpt-4o-mini", "gpt-4o", "claude-sonnet-4-5", "o3")
    labels = [
        (
            f"user{n % 8}",
            f"/nb/{n % 40}.ipynb",
            f"cell-{n % 500}",
            f"s{n % 20}",
            f"session-{n % 300}",
            "local",
            "openai",
            models[n % 4],
            "table",
            "error" if n % 20 == 0 else "idle",
            "error" if n % 20 == 0 else "end_turn",
            "RateLimitError" if n % 20 == 0 else "",
        )
        for n in range(6000)
    ]
    labels = list(dict.fromkeys(labels))
    turns = (
        (
            chance.randrange(len(labels)),
            BEGIN + n * 31_000_000,
            chance.randrange(10**5, 3 * 10**7),
            chance.randrange(10**4, 10**6),
            *(chance.randrange(9000), chance.randrange(9000), 0, 0, chance.randrange(900)),
            chance.randrange(10**9, 10**11),
        )
        for n in range(TURNS)
    )
    return labels, turns


def ours(path: Path) -> None:
    make(path, TURNS, users=8, end=(BEGIN + TURNS * 31_000_000) / 1e6)


def first_and_again(path: Path) -> tuple[float, float, float]:
    """Seconds of CPU to read all turns of the ledger for the first time, and again; and the share of its size
    that is kept beside it."""
    old_turns(path).unlink(missing_ok=True)
    seconds = []
    for _ in range(2):
        start = time.process_time()
        usage(ledger=path)
        seconds.append(time.process_time() - start)
    kept = old_turns(path).stat().st_size if old_turns(path).exists() else 0
    return seconds[0], seconds[1], kept / path.stat().st_size


def flat(path: Path) -> None:
    labels, turns = made()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode=WAL").fetchone()
    columns = ", ".join(f"{name} {'TEXT' if name in TEXTS else 'INTEGER'} NOT NULL" for name in FLAT)
    connection.execute(f"CREATE TABLE turns (n INTEGER PRIMARY KEY, {columns})")
    rows = ((f"{n:032x}", *labels[turn[0]][:9], *turn[1:]) for n, turn in enumerate(turns))
    names, values = ", ".join(FLAT), ", ".join("?" * len(FLAT))
    connection.executemany(f"INSERT INTO turns ({names}) VALUES ({values})", rows)
    connection.commit()
    connection.close()


def fetch(path: Path, where: str = "1") -> pa.Table:
    with adbc.connect(str(path)) as connection, connection.cursor() as cursor:
        cursor.adbc_statement.set_options(**{"adbc.sqlite.query.batch_rows": "65536"})
        cursor.execute(f"SELECT {', '.join(FLAT[1:])} FROM turns WHERE {where}")
        return cursor.fetch_arrow_table()


def categorical(table: pa.Table) -> pa.Table:
    names = [name for name in TEXTS if name in table.column_names]
    for name in names:
        index = table.column_names.index(name)
        table = table.set_column(index, name, table.column(name).dictionary_encode())
    return table


def by_read_sql(path: Path) -> pd.DataFrame:
    connection = sqlite3.connect(path)
    try:
        return pd.read_sql(f"SELECT {', '.join(FLAT[1:])} FROM turns", connection)
    finally:
        connection.close()


def by_two_threads(path: Path) -> pd.DataFrame:
    halves = (f"n <= {TURNS // 2}", f"n > {TURNS // 2}")
    with ThreadPoolExecutor(2) as pool:
        tables = list(pool.map(lambda where: categorical(fetch(path, where)), halves))
    return pa.concat_tables(tables).unify_dictionaries().to_pandas()


def by_parquet(path: Path, cache: Path) -> pd.DataFrame:
    late = categorical(fetch(path, f"n > {TURNS - TAIL}"))
    early = pq.read_table(cache)
    return pa.concat_tables([early, late.cast(early.schema)]).unify_dictionaries().to_pandas()


def timed(ways: dict[str, Callable[[], Any]], rounds: int = ROUNDS) -> dict[str, float]:
    """Seconds of each, the median of rounds in which they take turns."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            start = time.perf_counter()
            result = way()
            times[name].append(time.perf_counter() - start)
            del result
    return {name: statistics.median(each) for name, each in times.items()}


def main(folder: Path) -> None:
    print(f"making two ledgers of {TURNS:,} turns …")
    mine, theirs, cache = folder / "ours.sqlite", folder / "flat.sqlite", folder / "old.parquet"
    ours(mine)
    flat(theirs)
    pq.write_table(categorical(fetch(theirs, f"n <= {TURNS - TAIL}")), cache)
    # The tail that the others read, ours reads too.
    before = read.OLD_SECONDS
    newest = (BEGIN + TURNS * 31_000_000) / 1e6
    read.OLD_SECONDS = int(time.time() - newest + TAIL * 31)  # type: ignore[misc]
    start = time.perf_counter()
    assert len(usage(ledger=mine)) == TURNS
    first = time.perf_counter() - start
    ways: dict[str, Callable[[], Any]] = {
        "pd.read_sql": lambda: by_read_sql(theirs),
        "ADBC, strings": lambda: fetch(theirs).to_pandas(),
        "ADBC, two threads, categoricals": lambda: by_two_threads(theirs),
        "Parquet cache and SQLite tail": lambda: by_parquet(theirs, cache),
        "usage()": lambda: usage(ledger=mine),
    }
    # Held open: the last connection to leave locks the file for a moment, for which ADBC does not wait.
    holder = sqlite3.connect(theirs)
    holder.execute("SELECT 1 FROM turns LIMIT 1").fetchone()
    seconds = timed(ways)
    holder.close()
    read.OLD_SECONDS = before
    mine_seconds = seconds.pop("usage()")
    for name, each in seconds.items():
        print(f"{name:34} {each:6.2f} s")
    print(f"{'usage()':34} {mine_seconds:6.2f} s   (the first time {first:.2f} s)")
    print(f"ratio to the fastest of the others: {mine_seconds / min(seconds.values()):.2f}")

    bare = (
        "SELECT time / 86400000000, model, count(*), sum(cost), sum(uncached_input_tokens + output_tokens) "
        "FROM turns GROUP BY 1, 2"
    )

    def by_sql() -> Any:
        connection = sqlite3.connect(theirs)
        try:
            return connection.execute(bare).fetchall()
        finally:
            connection.close()

    frame = usage(ledger=mine)
    totals = timed(
        {
            "bare": by_sql,
            "sql": lambda: usage.by("day", ledger=mine),
            "frame": lambda: frame.agent.by("day"),
        }
    )
    sql, plain = totals["sql"], totals["bare"]
    print(f'usage.by("day") in SQL {sql:.2f} s, bare SQL {plain:.2f} s, ratio {sql / plain:.2f}')
    print(f'usage().agent.by("day") of a loaded frame, with percentiles: {totals["frame"]:.2f} s')


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        main(Path(folder))
