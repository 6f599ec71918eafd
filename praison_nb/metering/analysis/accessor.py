"""`.agent` on the DataFrames of `praison_nb.usage()`: totals, pictures, a forecast."""

from __future__ import annotations

import calendar
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from html import escape
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import pandas as pd

from ...errors import ConfigError
from ...money import format_cents
from . import keys, spending
from .spending import BurnRate
from .totals import never_left, with_ratios

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORECAST_DAYS = 28


@dataclass(frozen=True, slots=True)
class Forecast:
    """USD. `month_end` is what this month will have cost, most likely between `low` and `high`.
    `method` says how that was found; `without_price` counts the turns that are in none of the numbers."""

    per_day: float
    month_so_far: float
    month_end: float
    low: float
    high: float
    without_price: int
    method: str

    def __str__(self) -> str:
        missing = f" {self.without_price} turns without a price are not in it." if self.without_price else ""
        return (
            f"{format_cents(self.per_day)} a day. This month {format_cents(self.month_so_far)} so far, about "
            f"{format_cents(self.month_end)} at its end ({format_cents(self.low)} to "
            f"{format_cents(self.high)}).{missing}\n{self.method}"
        )

    def _repr_html_(self) -> str:
        result, method = str(self).rsplit("\n", 1)
        return f"<p>{escape(result)}<br><small>{escape(method)}</small></p>"


@pd.api.extensions.register_dataframe_accessor("agent")
class AgentAccessor:
    """What a ledger's rows come to. It wants the columns that `praison_nb.usage()` gives; rows may be taken
    out before."""

    def __init__(self, frame: pd.DataFrame) -> None:
        if not {"time", "model", "cost", "input_tokens", "stop_reason"} <= set(frame.columns):
            raise AttributeError(".agent is for the DataFrames of praison_nb.usage()")
        self._frame = frame

    def by(self, name: str | Sequence[str] = "model") -> pd.DataFrame:
        """Totals by "model", "day", "session", "cell", "notebook", "user", "week", "month", "provider",
        "status", every other name of a column, and "tag:NAME"; by several at once with `["day", "model"]`.
        Days are those of the frame's time zone, by when each row began.

        One row each: `turns`, `input_tokens`, `output_tokens`, `cached_tokens`, `cache_hit_ratio`,
        `reasoning_tokens`, `cost` in
        USD (of what has a price), `cost_per_success` (all cost over the turns that ended by themselves),
        `successes`, `failures`, `without_price`, `estimated` (the share of the cost that is for estimated
        tokens), `is_lower_bound`, `p50_seconds`, `p95_seconds`, `p50_first_text_seconds` and
        `p95_first_text_seconds`. Of a DataFrame by="request" each row counts as one turn.
        """
        frame = self._frame
        known = frame["known_cost"] if "known_cost" in frame else frame["cost"].fillna(0.0)
        unpriced = frame["unpriced_requests"] > 0 if "unpriced_requests" in frame else frame["cost"].isna()
        if "estimated_cost" in frame:
            estimated = frame["estimated_cost"]
        else:
            estimated = known.where(frame["estimated"] & (frame["cost_source"] != "provider"), 0.0)
        facts = pd.DataFrame(
            {
                "turns": 1,
                "input_tokens": frame["input_tokens"],
                "output_tokens": frame["output_tokens"],
                "cached_tokens": frame["cache_read_input_tokens"],
                "reasoning_tokens": frame["reasoning_output_tokens"],
                "cost": known.astype("float64"),
                "successes": frame["stop_reason"].isin(("end_turn", "satisfied")).astype("int64"),
                "failures": (frame["status"].eq("error") & ~never_left(frame)).astype("int64"),
                "without_price": unpriced.astype("int64"),
                "estimated": estimated.astype("float64"),
                "is_lower_bound": frame["is_lower_bound"].astype("int64"),
            },
            index=frame.index,
        )
        columns = [column for column in frame.columns if column not in ("time", "cost")]
        groups = [keys.values(frame, each).rename(each) for each in keys.names(name, columns)]
        sums = facts.groupby(groups, observed=True).sum()
        return with_ratios(sums.join(self._latency(groups)))

    def dearest(self, count: int = 10) -> pd.DataFrame:
        """Totals of the `count` cells that cost most, as `by(["notebook", "cell"])` has them."""
        return spending.in_cells(self._frame).agent.by(["notebook", "cell"]).head(count)  # type: ignore[no-any-return]

    def outliers(self, factor: float = 3.0) -> pd.DataFrame:
        """The rows that cost far more than their model's usually do, the dearest first, with the median of
        that as `usual_cost` in USD: more than twice that, and more than `factor` times the range of the
        middle half beyond that half. Of models with fewer than eight rows nothing is usual."""
        return spending.outliers(self._frame, factor)

    def burn_rate(self, now: datetime | None = None) -> BurnRate:
        """What the running hour costs; see `BurnRate`."""
        return spending.burn_rate(self._frame, now)

    def plot(self, width: float = 11.0) -> Figure:
        """Four pictures: cost by day stacked by model, the most expensive cells, the cache's share, latency.
        A matplotlib Figure, readable on light and dark; `width` in inches. Raises ConfigError without
        matplotlib."""
        try:
            from .plots import picture
        except ImportError:
            raise ConfigError("Pictures need matplotlib: pip install 'praison-nb[analysis]'.") from None
        figure: Figure = picture(self._frame, width)
        return figure

    def forecast(self, now: datetime | None = None) -> Forecast:
        """How much a day costs, and what this month will have cost at its end, in the frame's time zone."""
        zone = self._frame["time"].dt.tz
        now = (now or datetime.now(UTC)).astimezone(zone)
        today = now.replace(hour=0, minute=0, second=0, microsecond=0)
        first = today.replace(day=1)
        left = calendar.monthrange(now.year, now.month)[1] - now.day + 1 - (now - today) / timedelta(days=1)
        cost = self._frame["cost"].astype("float64")
        month = cost[(self._frame["time"] >= first) & (self._frame["time"] <= now)]
        days = self._days(cost, today)
        mean = float(days.mean()) if len(days) else float(month.sum())
        spread = float(days.std()) if len(days) > 1 else mean
        so_far = float(month.sum())
        off = NormalDist().inv_cdf(0.9) * spread * left**0.5
        about = (
            f"the mean of the last {len(days)} whole days ({zone}), days without a turn included,"
            if len(days)
            else "today alone, since there is no whole day yet,"
        )
        return Forecast(
            per_day=mean,
            month_so_far=so_far,
            month_end=so_far + mean * left,
            low=max(so_far, so_far + mean * left - off),
            high=so_far + mean * left + off,
            without_price=int(month.isna().sum()),
            method=f"Method: {about} times the {left:.1f} days left; 8 in 10 such months end in the range.",
        )

    def _days(self, cost: pd.Series[float], today: datetime) -> pd.Series[float]:
        """USD of each whole day before `today`, FORECAST_DAYS at most."""
        times = self._frame["time"]
        begin = pd.Timestamp(today) - pd.Timedelta(days=FORECAST_DAYS)
        if len(times):
            begin = max(begin, keys.begun(times, "day").min())
        past = (times >= begin) & (times < today)
        spent = cost[past].groupby(keys.begun(times[past], "day")).sum()
        return spent.reindex(pd.date_range(begin, today, freq="D", inclusive="left"), fill_value=0.0)

    def _latency(self, groups: Any) -> pd.DataFrame:
        columns = {}
        for column in ("seconds", "first_text_seconds"):
            grouped = self._frame[column].astype("float64").groupby(groups, observed=True)
            for percent in (50, 95):
                columns[f"p{percent}_{column}"] = grouped.quantile(percent / 100)
        return pd.DataFrame(columns)
