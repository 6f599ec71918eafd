"""Totals by one key or several, added up by SQLite: nothing but the answer leaves the file."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import closing
from datetime import UTC, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import ConfigError
from ...money import PICO
from ..ledger import Ledger
from ..writer import readable_ledger
from . import keys
from .filters import Filter, Tags, Time, TimeZone, to_zone
from .keys import LEDGER, PERIODS

if TYPE_CHECKING:
    import pandas as pd

Ledgers = str | os.PathLike[str] | Iterable[str | os.PathLike[str]] | None

SUMS = (
    "turns",
    "input_tokens",
    "output_tokens",
    "cached_tokens",
    "reasoning_tokens",
    "cost",
    "successes",
    "failures",
    "without_price",
    "estimated",
    "is_lower_bound",
)
_DAY = 86_400_000_000
# Microseconds of the period's beginning, as whole numbers: far faster than SQLite's dates. The week begins on
# Monday, and 1970 began on a Thursday.
_BEGINS = {
    "hour": "t.time - t.time % 3600000000",
    "day": f"t.time - t.time % {_DAY}",
    "week": f"t.time - (t.time + {3 * _DAY}) % {7 * _DAY}",
    "month": "strftime('%s', t.time / 1000000, 'unixepoch', 'start of month') * 1000000",
}
_QUARTER = "t.time - t.time % 900000000"
"""No time zone is off by a part of it."""
_UNSENT = ("ConfigError", "MissingKeyError")
_TOKENS = """
    sum(t.uncached_input_tokens + t.cache_read_input_tokens + t.cache_write_5m_input_tokens
        + t.cache_write_1h_input_tokens),
    sum(t.output_tokens), sum(t.cache_read_input_tokens), sum(t.reasoning_output_tokens)"""
_ENDS = f"""
    sum(l.stop_reason = 'end_turn'),
    sum(l.status = 'error' AND NOT (t.requests = 0 AND l.error IN {_UNSENT})),
    sum(t.unpriced > 0)"""
_OF_TURNS = f"count(*), {_TOKENS}, sum(t.priced), {_ENDS}, sum(t.estimated_cost), sum(t.is_lower_bound)"
_BESIDE_REQUESTS = f"count(*), 0, 0, 0, 0, sum(t.extra_cost), {_ENDS}, 0, 0"
_OF_REQUESTS = f"""0, {_TOKENS}, coalesce(sum(t.cost), 0), 0, 0, 0,
    coalesce(sum(CASE WHEN t.estimated AND k.cost_source != 'provider' THEN t.cost END), 0),
    sum(t.is_lower_bound)"""
_TURNS = "turns t JOIN labels l ON l.n = t.label"
_REQUESTS = (
    "requests t JOIN turns u ON u.n = t.turn JOIN labels l ON l.n = u.label JOIN labels k ON k.n = t.label"
)


def by(
    name: str | Sequence[str] = "model",
    since: Time = None,
    until: Time = None,
    session: str | None = None,
    model: str | None = None,
    notebook: str | None = None,
    ledger: Ledgers = None,
    *,
    provider: str | None = None,
    user: str | None = None,
    tags: Tags = None,
    tz: TimeZone = None,
) -> pd.DataFrame:
    """Totals of the ledger as a DataFrame, one row per value of `name`: a period ("hour", "day", "week",
    "month"), one of "model", "session", "session_id", "cell", "notebook", "user", "backend", "provider",
    "cost_source", "status", "stop_reason" and "error", or a tag ("tag:study"). Several, `["day", "model"]`
    or "day,model", give a row for each combination. The other arguments are those of `usage`; of several
    ledgers there are totals by "ledger" too.

    They are added up in SQL, however big the ledger is; `usage(…).agent.by(name)` has the same columns, and
    percentiles of the times. Tokens and money are counted to the period in which their request began, in the
    time zone `tz`, a turn to the one in which it began. The index is named `name`: periods in their order,
    all else by falling cost.

    Columns: `turns`, `successes` (which ended by themselves), `failures` (which ended by an error, once they
    had left) and `without_price`, all numbers of turns; `input_tokens` (cached or not), `output_tokens`,
    `cached_tokens` (read from a cache) and `reasoning_tokens` (a part of the output); `cache_hit_ratio` (0 to
    1); `cost` and `cost_per_success` in USD, of what has a price, <NA> where nothing has; `estimated` (0 to
    1), the share of the cost that is for estimated tokens; `is_lower_bound` (whether it may have cost more).
    Raises ConfigError for an argument that cannot be,
    LedgerError where the ledger cannot be read.

    >>> import tempfile
    >>> from praison_nb import usage
    >>> path = usage.example(f"{tempfile.mkdtemp()}/sample.sqlite", turns=50)
    >>> usage.by(["month", "model"], ledger=path).index.names
    FrozenList(['month', 'model'])
    """
    import pandas as pd

    wanted_keys, zone = keys.names(name), to_zone(tz)
    names = {"session": session, "model": model, "notebook": notebook, "provider": provider, "user": user}
    wanted = Filter.of(since, until, zone, tags, **names)
    paths = ledger_paths(ledger)
    if LEDGER in wanted_keys and len(paths) < 2:
        raise ConfigError("Totals by 'ledger' are for several ledgers: ledger=[first, second].")
    frame = pd.concat([_sums(path, wanted_keys, wanted, zone) for path in paths], ignore_index=True)
    for period in {*wanted_keys} & {*PERIODS}:
        times = pd.to_datetime(frame[period], unit="us", utc=True).dt.tz_convert(zone)
        frame[period] = times if zone is UTC else keys.begun(times, period)
    for key in wanted_keys:
        if key.startswith(keys.TAG):
            frame[key] = keys.values(frame.assign(tags=frame[key]), key)
    sums = frame.groupby(wanted_keys).sum()
    for column in ("cost", "estimated"):
        sums[column] = sums[column].astype("int64") / PICO
    return with_ratios(sums)


def ledger_paths(ledger: Ledgers) -> list[Path]:
    """The files; see `readable_ledger`. Raises ConfigError and LedgerError."""
    if isinstance(ledger, str | os.PathLike) or not isinstance(ledger, Iterable):
        return [readable_ledger(ledger)]
    paths = [readable_ledger(each) for each in ledger]
    if not paths:
        raise ConfigError("The list of ledgers is empty.")
    if len({path.resolve() for path in paths}) < len(paths):
        raise ConfigError("The list names a ledger twice: it would count twice.")
    return paths


def _sums(path: Path, wanted_keys: Sequence[str], wanted: Filter, zone: tzinfo) -> pd.DataFrame:
    """One row or more per combination of keys, in the file's units."""
    import pandas as pd

    columns = [_expression(key, zone) for key in wanted_keys if key != LEDGER]
    grouped = f" GROUP BY {', '.join(str(n + 1) for n in range(len(columns)))}" if columns else ""
    where, values = wanted.where()
    queries = [(_OF_TURNS, _TURNS, where, values)]
    if wanted.since is not None or wanted.until is not None or {*wanted_keys} & {*PERIODS}:
        # A turn may run into the next day, and has its requests' costs where those are.
        of_requests = wanted.where("u.label")
        queries = [(_BESIDE_REQUESTS, _TURNS, where, values), (_OF_REQUESTS, _REQUESTS, *of_requests)]
    with closing(Ledger(path)) as opened:
        rows: list[Any] = [
            row
            for sums, tables, where, values in queries
            for row in opened.read(
                f"SELECT {', '.join([*columns, sums])} FROM {tables} WHERE {where}{grouped}", values
            )
        ]
    named = [key for key in wanted_keys if key != LEDGER]
    frame = pd.DataFrame(rows, columns=[*named, *SUMS])
    return frame.assign(ledger=str(path)) if LEDGER in wanted_keys else frame


def _expression(key: str, zone: tzinfo) -> str:
    if key in PERIODS:
        return _BEGINS[key] if zone is UTC else _QUARTER
    return "l.tags" if key.startswith(keys.TAG) else f"l.{key}"


def never_left(turns: pd.DataFrame) -> pd.Series[bool]:
    """Which turns could not be sent, by how they were set up: they are no failures."""
    unsent = turns["requests"] == 0 if "requests" in turns else False
    return turns["error"].isin(_UNSENT) & unsent


def with_ratios(sums: pd.DataFrame) -> pd.DataFrame:
    """Sums with what follows from them: periods in their order, all else by cost. The first columns of `sums`
    are those of SUMS, its index the keys."""
    nothing_priced = (sums["without_price"] == sums["turns"]) & (sums["cost"] == 0)
    cost = sums["cost"] = sums["cost"].astype("Float64").mask(nothing_priced)
    some_input = sums["input_tokens"].astype("Float64").mask(sums["input_tokens"] == 0)
    some_success = sums["successes"].astype("Float64").mask(sums["successes"] == 0)
    sums.insert(4, "cache_hit_ratio", sums["cached_tokens"] / some_input)
    sums.insert(7, "cost_per_success", cost / some_success)
    sums["estimated"] = (sums["estimated"] / cost.mask(cost == 0)).fillna(0.0).clip(0, 1)
    sums["is_lower_bound"] = sums["is_lower_bound"] > 0
    periods = [name for name in sums.index.names if name in PERIODS]
    ascending = [*(True for _ in periods), False]
    return sums.sort_index().sort_values([*periods, "cost"], ascending=ascending, kind="stable")
