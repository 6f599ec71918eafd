"""`praison_nb.map` beside a loop over the maker's SDK: what bench_map.py measures, as rows of the table."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator

import bench_map
from harness import Row, by_figure, in_turns

ROWS, DISTINCT, SECONDS = 1_000, 1_000, 0.3


def rows() -> Iterator[Row]:
    found = in_turns({who: lambda who=who: _run(who) for who in ("bare", "map")}, warm_up=0)
    wall, cpu, memory = by_figure(found)
    work, beside = f"map() of {ROWS:,} rows, a busy server", "gather over the SDK"
    yield Row(f"{work}, CPU a row", "ms", cpu["map"] / ROWS * 1e3, cpu["bare"] / ROWS * 1e3, beside)
    yield Row(f"{work}, in all", "s", wall["map"], wall["bare"], beside)
    yield Row(f"{work}, memory", "MB", memory["map"], memory["bare"], beside)


def _run(who: str) -> tuple[float, float, float]:
    """Seconds, seconds of CPU and MB of a process of its own."""
    here, there = multiprocessing.Pipe()
    arguments = (who, ROWS, DISTINCT, SECONDS, there)
    process = multiprocessing.get_context("spawn").Process(target=bench_map.run, args=arguments)
    process.start()
    wall, cpu, memory, *_ = here.recv()
    process.join()
    return wall, cpu, memory
