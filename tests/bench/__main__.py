"""Runs the benches and prints their table.

python tests/bench [--only NAME] [--update]      # NAME: chunks, cells, …; --update writes it into README.md
python tests/bench --peers [--update]            # beside other packages, in environments of their own
"""

from __future__ import annotations

import argparse
import datetime
import importlib
import os
import platform
import sys
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from bench_busy import machine
from harness import ROOT, Missing, Row, own_files

BENCHES = (
    "chunks", "cells", "first_turn", "long_session", "parallel", "budgets", "usage", "sessions", "embedded",
    "rows",
)  # fmt: skip
HEAD = "| | praison_nb | beside it | ratio | goal |\n|---|---|---|---|---|"
END = "<!-- end of the table -->"


def main() -> None:
    options = argparse.ArgumentParser(prog="tests/bench")
    options.add_argument("--only", choices=BENCHES)
    options.add_argument("--peers", action="store_true")
    options.add_argument("--update", action="store_true")
    chosen = options.parse_args()
    if chosen.update and chosen.only:
        options.error("--update takes the whole table")
    load = os.getloadavg()[0]
    lines = peers() if chosen.peers else figures((chosen.only,) if chosen.only else BENCHES)
    table = "\n".join(lines)
    text = f"{surroundings(load)}\n\n{table}\n"
    print(text)
    if chosen.update:
        update(Path(ROOT, "README.md"), "make bench-peers" if chosen.peers else "make bench", text)


def figures(names: tuple[str, ...]) -> Iterator[str]:
    """The lines of the table of these benches."""
    yield HEAD
    for row in rows(names):
        yield f"| {' | '.join(row.cells)} |"


def peers() -> Iterator[str]:
    """Those of the other packages' table."""
    import bench_peers

    with own_files():
        yield from bench_peers.table()


def rows(names: tuple[str, ...]) -> Iterator[Row | Missing]:
    """The rows of these benches, each told on stderr as it comes."""
    for name in names:
        begun = time.perf_counter()
        with own_files():
            for row in importlib.import_module(f"bench_{name}").rows():
                print("  ".join(filter(None, row.cells)), file=sys.stderr, flush=True)
                yield row
        print(f"{name}: {time.perf_counter() - begun:.0f} s", file=sys.stderr, flush=True)


def surroundings(load: float) -> str:
    """Where and when the figures were had; the load is that of before."""
    packages = ", ".join(
        f"{name} {version(name)}" for name in ("ipykernel", "jupyterlab", "openai", "anthropic")
    )
    return (
        f"{machine()}, Python {platform.python_version()}, {packages}; {datetime.date.today()}, "
        f"load {load:.1f} before. Medians of rounds in which both take turns."
    )


def update(path: Path, command: str, text: str) -> None:
    """Put the text between the command's markers."""
    before, begin, rest = path.read_text("utf-8").partition(f"<!-- {command} -->\n")
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"{path} has no place for the table of `{command}`.")
    path.write_text(f"{before}{begin}{text}{end}{after}", "utf-8")


if __name__ == "__main__":
    main()
