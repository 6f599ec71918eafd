"""Totals by a key, added up by SQLite: nothing but the answer leaves the file."""

from __future__ import annotations

import os
from contextlib import closing
from datetime import date
from typing import TYPE_CHECKING

from ...errors import ConfigError
from ...money import PICO
from ..ledger import Ledger
from ..schema import LABELS
from ..writer import readable_ledger
from .read import Filter

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
_UNSENT = ("ConfigError", "MissingKeyError")
_SUMS = f"""
    count(*) AS turns,
    sum(t.uncached_input_tokens + t.cache_read_input_tokens + t.cache_write_5m_input_tokens
        + t.cache_write_1h_input_tokens) AS input_tokens,
    sum(t.output_tokens) AS output_tokens,
    sum(t.cache_read_input_tokens) AS cached_tokens,
    sum(t.priced) AS cost,
    sum(l.stop_reason = 'end_turn') AS successes,
    sum(l.status = 'error' AND NOT (t.requests = 0 AND l.error IN {_UNSENT}))
        AS failures,
    sum(t.unpriced > 0) AS without_price,
    sum(t.estimated_cost) AS estimated
"""


def check_key(name: str) -> None:
    """Raises ConfigError where there are no totals by `name`."""
    if name not in KEYS:
        raise ConfigError(f"There are no totals by {name!r:.40}. There are by {', '.join(KEYS)}.")


def by(
    name: str,
    since: str | date | None = None,
    until: str | date | None = None,
    session: str | None = None,
    model: str | None = None,
    notebook: str | None = None,
    ledger: str | os.PathLike[str] | None = None,
) -> pd.DataFrame:
    """Totals of the ledger as a DataFrame, one row per value of `name`: a period ("hour", "day", "week",
    "month", in UTC), or one of "model", "session", "session_id", "cell", "notebook", "user", "backend",
    "provider", "cost_source", "status", "stop_reason" and "error". The other arguments are those of `usage`.

    They are added up in SQL, however big the ledger is; `usage(…).agent.by(name)` has the same columns, and
    percentiles of the times. The index is named `name`: periods in their order, all else by falling cost.
    Columns: `turns`, `successes` (which ended by themselves), `failures` (which ended by an error, once they
    had left) and `without_price`, all numbers of turns; `input_tokens` (cached or not), `output_tokens` and
    `cached_tokens` (read from a cache); `cache_hit_ratio` (0 to 1); `cost` and `cost_per_success` in USD, of
    what has a price, <NA> where nothing has; `estimated` (0 to 1), the share of the cost that is for
    estimated tokens. Raises ConfigError for an argument that cannot be, LedgerError where the ledger cannot
    be read.
    """
    import pandas as pd

    check_key(name)
    where, values = Filter.of(since, until, session=session, model=model, notebook=notebook).where()
    expression = _BEGINS.get(name, f"l.{name}")
    query = f"SELECT {expression} AS key, {_SUMS} FROM turns t JOIN labels l ON l.n = t.label"
    with closing(Ledger(readable_ledger(ledger))) as opened:
        rows = opened.read(f"{query} WHERE {where} GROUP BY 1", values)
    columns = [name, *(line.rsplit(" AS ")[-1].strip() for line in _SUMS.split(",\n"))]
    frame = pd.DataFrame(rows, columns=columns)
    if name in PERIODS:
        frame[name] = pd.to_datetime(frame[name], unit="us", utc=True)
    for column in ("cost", "estimated"):
        frame[column] = frame[column].astype("int64") / PICO
    return with_ratios(frame.set_index(name), name)


def never_left(turns: pd.DataFrame) -> pd.Series[bool]:
    """Which turns could not be sent, by how they were set up: they are no failures."""
    unsent = turns["requests"] == 0 if "requests" in turns else False
    return turns["error"].isin(_UNSENT) & unsent


def with_ratios(sums: pd.DataFrame, name: str) -> pd.DataFrame:
    """Sums with what follows from them: periods in their order, all else by cost. The first columns of `sums`
    are those of _SUMS."""
    nothing_priced = (sums["without_price"] == sums["turns"]) & (sums["cost"] == 0)
    cost = sums["cost"] = sums["cost"].astype("Float64").mask(nothing_priced)
    some_input = sums["input_tokens"].astype("Float64").mask(sums["input_tokens"] == 0)
    some_success = sums["successes"].astype("Float64").mask(sums["successes"] == 0)
    sums.insert(4, "cache_hit_ratio", sums["cached_tokens"] / some_input)
    sums.insert(6, "cost_per_success", cost / some_success)
    sums["estimated"] = (sums["estimated"] / cost.mask(cost == 0)).fillna(0.0).clip(0, 1)
    if name in PERIODS:
        return sums.sort_index()
    return sums.sort_index().sort_values("cost", ascending=False, kind="stable", na_position="last")
