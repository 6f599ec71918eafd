"""A ledger of any size, for benches: turns of some hundred sessions, with a request each where wanted."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any

from praison_nb.metering.schema import LABELS, connect
from praison_nb.metering.statements import REQUEST_COLUMNS, TURN_COLUMNS

GAP = 31_000_000
"""Microseconds between two turns."""
_MOST = {
    "duration": 3 * 10**7,
    "first_text": 10**6,
    "uncached_input_tokens": 9000,
    "cache_read_input_tokens": 9000,
    "output_tokens": 900,
    "cost": 10**11,
}
_NULL = ("list_cost", "active", "elsewhere")


def make(path: Path, turns: int, *, users: int = 1, requests: bool = False, end: float = 0.0) -> None:
    """Write so many turns to a new ledger, the last one at `end` (seconds since 1970; now)."""
    with closing(connect(path)) as connection:
        connection.execute("BEGIN")
        labels = [*dict.fromkeys(_labels(n, users) for n in range(6000))]
        places = ", ".join("?" * len(LABELS))
        connection.executemany(f"INSERT INTO labels ({', '.join(LABELS)}) VALUES ({places})", labels)
        begin = round((end or time.time()) * 1_000_000) - turns * GAP
        for table, columns in [("turns", TURN_COLUMNS), ("requests", REQUEST_COLUMNS)][: 1 + requests]:
            more = ("id", "label", "turn")[: 2 + (table == "requests")]
            places = ", ".join("?" * (len(more) + len(columns)))
            insert = f"INSERT INTO {table} ({', '.join((*more, *columns))}) VALUES ({places})"
            connection.executemany(insert, _rows(turns, len(labels), len(more), columns, begin))
        connection.execute("COMMIT")


def _labels(n: int, users: int) -> tuple[str, ...]:
    is_error = n % 20 == 0
    named = {
        "user": f"user{n % users}",
        "notebook": f"/nb/{n % 40}.ipynb",
        "cell": f"cell-{n % 500}",
        "session": f"s{n % 20}",
        "session_id": f"session-{n % 300}",
        "backend": "local",
        "provider": "openai",
        "model": ("gpt-4o-mini", "gpt-4o", "claude-sonnet-4-5", "o3")[n % 4],
        "cost_source": "table",
        "status": "error" if is_error else "idle",
        "stop_reason": "error" if is_error else "end_turn",
        "error": "RateLimitError" if is_error else "",
    }
    return tuple(named.get(name, "") for name in LABELS)


def _rows(
    turns: int, labels: int, more: int, columns: tuple[str, ...], begin: int
) -> Iterator[tuple[Any, ...]]:
    chance = Random(1)
    for n in range(turns):
        values: dict[str, int | None] = {name: chance.randrange(most) for name, most in _MOST.items()}
        values |= {"time": begin + n * GAP, "priced": values["cost"], "requests": 1, **dict.fromkeys(_NULL)}
        label = 1 + chance.randrange(labels)
        yield (f"{n:032x}", label, n + 1)[:more] + tuple(values.get(name, 0) for name in columns)
