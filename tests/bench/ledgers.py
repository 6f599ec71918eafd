"""Ledgers of any size: turns of the user, half a minute apart and up to now, each with its request."""

from __future__ import annotations

import atexit
import functools
import shutil
import tempfile
import time
from pathlib import Path

from praison_nb.metering.origin import user
from praison_nb.metering.schema import LABELS, TOKENS, connect

FEW, SOME, MANY = 1_000, 100_000, 1_000_000
INTERVAL = 31_000_000
"""Microseconds between two turns."""
_VALUES = {
    "time": ":now - (:turns - n) * :interval",
    "duration": "100000 + abs(random()) % 30000000",
    "first_text": "10000 + abs(random()) % 1000000",
    "estimated": "0",
    **dict.fromkeys(TOKENS, "abs(random()) % 1000"),
    "cost": "1000000000 + n % 1000 * 1000000",
}


@functools.cache
def filled(turns: int) -> Path:
    """A ledger with so many turns, there until this process ends."""
    folder = tempfile.mkdtemp(prefix="ledger")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    fill(Path(folder, "ledger.sqlite"), turns)
    return Path(folder, "ledger.sqlite")


def fill(path: Path, turns: int) -> None:
    """Add so many turns to the ledger, and as many requests."""
    labels = list(dict.fromkeys(map(_labels, range(6_000))))
    connection = connect(path)
    connection.execute("BEGIN")
    marks = ", ".join("?" * len(LABELS))
    connection.executemany(f"INSERT INTO labels ({', '.join(LABELS)}) VALUES ({marks})", labels)
    (label,) = connection.execute("SELECT max(n) FROM labels").fetchone()
    (last,) = connection.execute("SELECT coalesce(max(n), 0) FROM turns").fetchone()
    given = {"turns": turns, "now": int(time.time() * 1e6), "interval": INTERVAL, "last": last}
    given |= {"label": label - len(labels) + 1, "labels": len(labels)}
    count = "WITH RECURSIVE count(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM count WHERE n < :turns)"
    names, values = ", ".join(_VALUES), ", ".join(_VALUES.values())
    row = f":label + n * 7 % :labels, {values} FROM count"
    connection.execute(
        f"INSERT INTO turns (n, id, requests, unpriced, priced, label, {names}) "
        f"{count} SELECT :last + n, printf('%032x', n), 1, 0, {_VALUES['cost']}, {row}",
        given,
    )
    connection.execute(
        f"INSERT INTO requests (turn, id, label, {names}) "
        f"{count} SELECT :last + n, printf('r%032x', n), {row}",
        given,
    )
    connection.execute("COMMIT")
    connection.close()


def _labels(n: int) -> tuple[str, ...]:
    models = ("gpt-4o-mini", "gpt-4o", "claude-sonnet-4-5", "o3")
    status = ("error", "error", "RateLimitError") if n % 20 == 0 else ("idle", "end_turn", "")
    where = (user(), f"/nb/{n % 40}.ipynb", f"cell-{n % 500}", f"s{n % 20}", f"session-{n % 300}")
    return (*where, "local", "openai", models[n % 4], "table", *status, "", "", "")
