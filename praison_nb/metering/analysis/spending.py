"""Where the money goes, by a ledger's rows: the dearest cells, what is out of the ordinary, and how fast."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pandas as pd

from ...money import format_cents, mark
from . import keys

USUAL = 8
"""Rows of a model from which on there is something usual."""


@dataclass(frozen=True, slots=True)
class BurnRate:
    """USD. The running hour cost `so_far`, the last sixty minutes `per_hour`, and at that rate it will have
    cost `hour_end`. `without_price` counts the rows of the last sixty minutes that are in none of these. A
    part of them may be `estimated`, or what they were at least."""

    so_far: float
    per_hour: float
    hour_end: float
    without_price: int
    estimated: bool = False
    is_lower_bound: bool = False

    @classmethod
    def of(
        cls,
        so_far: float,
        per_hour: float,
        now: datetime,
        without_price: int,
        *,
        estimated: bool,
        is_lower_bound: bool,
    ) -> BurnRate:
        """By what was spent until `now`."""
        left = 1 - (now.minute * 60 + now.second) / 3600
        return cls(so_far, per_hour, so_far + per_hour * left, without_price, estimated, is_lower_bound)

    def __str__(self) -> str:
        so_far, per_hour, hour_end = (
            mark(format_cents(usd), estimated=self.estimated, is_lower_bound=self.is_lower_bound)
            for usd in (self.so_far, self.per_hour, self.hour_end)
        )
        count = self.without_price
        missing = f" {count} without a price {'is' if count == 1 else 'are'} not in it." if count else ""
        return (
            f"{so_far} in the running hour, {per_hour} in the last 60 minutes; "
            f"at that rate {hour_end} at its end.{missing}"
        )


def known_cost(frame: pd.DataFrame) -> pd.Series[float]:
    """USD of what has a price, of each row."""
    known = frame["known_cost"] if "known_cost" in frame else frame["cost"].fillna(0.0)
    return known.astype("float64")


def burn_rate(frame: pd.DataFrame, now: datetime | None) -> BurnRate:
    """As AgentAccessor has it."""
    moment = pd.Timestamp(now or datetime.now(UTC)).tz_convert(frame["time"].dt.tz)
    began = keys.begun(pd.Series([moment]), "hour").iloc[0]
    cost, times = known_cost(frame), frame["time"]
    until_now = times <= moment
    so_far = float(cost[until_now & (times >= began)].sum())
    late = until_now & (times > moment - timedelta(hours=1))
    unpriced = int(frame["cost"][late].isna().sum())
    marks = {name: bool(frame[name][late].any()) for name in ("estimated", "is_lower_bound")}
    return BurnRate.of(so_far, float(cost[late].sum()), moment, unpriced, **marks)


def in_cells(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows whose cell or notebook is known."""
    return frame[(frame["cell"] != "") | (frame["notebook"] != "")]


def outliers(frame: pd.DataFrame, factor: float) -> pd.DataFrame:
    """As AgentAccessor has it."""
    cost = frame["cost"].astype("float64")
    by_model = cost.groupby(frame["model"], observed=True)
    low, half, high = (by_model.transform("quantile", share) for share in (0.25, 0.5, 0.75))
    is_far = (cost > high + factor * (high - low)) & (cost > 2 * half)
    found = frame.assign(usual_cost=half)[is_far & (by_model.transform("count") >= USUAL)]
    return found.sort_values("cost", ascending=False)
