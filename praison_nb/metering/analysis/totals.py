"""Totals by a key, added up by SQLite: nothing but the answer leaves the file."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from ...errors import ConfigError
from ..ledger import Ledger
from ..schema import LABELS, LedgerError
from .read import Filter, moment

if TYPE_CHECKING:
    import pandas as pd

PERIODS = {"hour": "%Y-%m-%d %H:00", "day": "%Y-%m-%d", "week": "%Y-%m-%d", "month": "%Y-%m-01"}
KEYS = (*PERIODS, *LABELS)

_DAY = 86_400_000_000
# Microseconds of the period's beginning, as whole numbers: far faster than SQLite's dates. The week begins on
# Monday, and 1970 began on a Thursday.
_BEGINS = {
    "hour": "t.time - t.time % 3600000000",
    "day": f"t.time - t.time % {_DAY}",
    "week": f"t.time - (t.time + {3 * _DAY}) % {7 * _DAY}",
    "month": "strftime('%s', t.time / 1000000, 'unixepoch', 'start of month') * 1000000",
}
_SUMS = """
    count(*) AS turns,
    sum(t.uncached_input_tokens + t.cache_read_input_tokens + t.cache_write_5m_input_tokens
        + t.cache_write_1h_input_tokens) AS input_tokens,
    sum(t.output_tokens) AS output_tokens,
    sum(t.cache_read_input_tokens) AS cached_tokens,
    sum(t.priced) AS cost,
    sum(l.stop_reason = 'end_turn') AS successes,
    sum(l.status = 'error') AS failures,
    sum(t.unpriced > 0) AS without_price
"""


def key(name: str) -> str:
    """`name` where totals can be had by it. Raises ConfigError."""
    if name not in KEYS:
        raise ConfigError(f"There are no totals by {name!r:.40}. There are by {', '.join(KEYS)}.")
    return name


def by(
    name: str,
    since: Any = None,
    until: Any = None,
    session: str | None = None,
    model: str | None = None,
    notebook: str | None = None,
    ledger: str | os.PathLike[str] | None = None,
) -> pd.DataFrame:
    """Totals by "hour", "day", "week", "month" (UTC), or by a name: "model", "session", "cell", "notebook",
    "user", "backend", "provider", "status", …

    The same as `usage(…).agent.by(name)` without percentiles, for ledgers too big to load. Columns: `turns`,
    `input_tokens`, `output_tokens`, `cached_tokens`, `cache_hit_ratio`, `cost` in USD (of what has a price),
    `cost_per_success`, `successes`, `failures`, `without_price` (turns). Raises LedgerError and ConfigError.
    """
    import pandas as pd

    from .frame import current

    key(name)
    told = {"session": session, "model": model, "notebook": notebook}
    wanted = Filter(
        moment(since, "since"), moment(until, "until"), {label: text for label, text in told.items() if text}
    )
    where, values = wanted.where()
    path = current(ledger)
    if not path.exists():
        raise LedgerError(f"There is no ledger {path} yet: it begins with the first turn.")
    book = Ledger(path)
    expression = _BEGINS.get(name, f"l.{name}")
    query = f"SELECT {expression} AS key, {_SUMS} FROM turns t JOIN labels l ON l.n = t.label"
    try:
        rows = book.read(f"{query} WHERE {where} GROUP BY 1", values)
    finally:
        book.close()
    columns = [name, *(line.rsplit(" AS ")[-1].strip() for line in _SUMS.split(",\n"))]
    frame = pd.DataFrame(rows, columns=columns)
    if name in PERIODS:
        frame[name] = pd.to_datetime(frame[name], unit="us", utc=True)
    frame["cost"] = frame["cost"].astype("int64") / 1e12
    return finished(frame.set_index(name), name)


def finished(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    """Sums with what follows from them: periods in their order, all else by cost."""
    import numpy as np

    cost = (
        frame["cost"]
        .astype("Float64")
        .mask((frame["without_price"] == frame["turns"]) & (frame["cost"] == 0))
    )
    frame["cost"] = cost
    some_input = frame["input_tokens"].astype("float64").replace(0, np.nan)
    frame["cache_hit_ratio"] = (frame["cached_tokens"] / some_input).astype("Float64")
    some_success = frame["successes"].astype("Float64").mask(frame["successes"] == 0)
    frame["cost_per_success"] = cost / some_success
    order = [
        "turns",
        "input_tokens",
        "output_tokens",
        "cached_tokens",
        "cache_hit_ratio",
        "cost",
        "cost_per_success",
        "successes",
        "failures",
        "without_price",
    ]
    frame = frame[[*order, *(column for column in frame.columns if column not in order)]]
    if name in PERIODS:
        return frame.sort_index()
    return frame.sort_index().sort_values("cost", ascending=False, kind="stable", na_position="last")
