"""Pictures of a ledger: greys and colours that are readable on a light page and on a dark one."""

from __future__ import annotations

import io
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK = "#808890"
"""Text and axes: contrast enough on white and on near black."""
# Okabe and Ito's colours, which people with any colour vision can tell apart, without the black.
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00")
OTHERS = "#9aa0a6"
MODELS = len(COLOURS)
CELLS = 10


class Picture(Figure):
    """A Figure that shows itself in a notebook, whichever backend matplotlib has."""

    def _repr_png_(self) -> bytes:
        data = io.BytesIO()
        self.savefig(data, format="png", dpi=110, facecolor="none")
        return data.getvalue()


def picture(frame: pd.DataFrame, width: float) -> Picture:
    """Four pictures of `frame`, one row a turn; `width` in inches."""
    figure = Picture(figsize=(width, width * 0.62), layout="constrained", facecolor="none")
    (first, second), (third, fourth) = figure.subplots(2, 2)
    _cost_by_day(first, frame)
    _expensive_cells(second, frame)
    _cache(third, frame)
    _latency(fourth, frame)
    for axes in figure.axes:
        _quiet(axes)
    for axes in (first, third, fourth):
        _dates(axes)
    return figure


def _cost_by_day(axes: Axes, frame: pd.DataFrame) -> None:
    unpriced = int(frame["cost"].isna().sum())
    left_out = f" · {unpriced:,} turns without a price left out" if unpriced else ""
    axes.set_title(f"Cost by day, USD{left_out}")
    cost = frame["cost"].astype("float64")
    table = (
        cost.groupby([_days(frame), frame["model"].astype(str)], observed=True).sum().unstack(fill_value=0)
    )
    table = table.loc[:, table.sum() > 0]
    if table.empty:
        return
    order = table.sum().sort_values(ascending=False).index
    shown = table[order[:MODELS]].copy()
    if len(order) > MODELS:
        shown["others"] = table[order[MODELS:]].sum(axis=1)
    bottom = pd.Series(0.0, index=shown.index)
    for index, name in enumerate(shown.columns):
        colour = COLOURS[index] if index < MODELS else OTHERS
        axes.bar(shown.index, shown[name], bottom=bottom, width=0.85, color=colour, label=name or "—")
        bottom += shown[name]
    _legend(axes, 3)


def _expensive_cells(axes: Axes, frame: pd.DataFrame) -> None:
    axes.set_title("Most expensive cells, USD")
    named = frame[(frame["cell"] != "") | (frame["notebook"] != "")]
    names = (
        named["notebook"].astype(str).str.rsplit("/", n=1).str[-1] + " · " + named["cell"].astype(str).str[:8]
    )
    top = named["cost"].astype("float64").groupby(names).sum().nlargest(CELLS)[::-1]
    axes.barh(range(len(top)), top.to_numpy(), color=COLOURS[0])
    axes.set_yticks(range(len(top)), [_short(name) for name in top.index])
    if top.empty:
        axes.text(0.5, 0.5, "no turn was asked in a cell", transform=axes.transAxes, ha="center", color=INK)


def _cache(axes: Axes, frame: pd.DataFrame) -> None:
    axes.set_title("Input from the cache, %")
    days = _days(frame)
    read = frame["cache_read_input_tokens"].groupby(days).sum()
    total = frame["input_tokens"].groupby(days).sum()
    axes.plot(total.index, 100 * read / total.where(total > 0), color=COLOURS[2], marker=".", linewidth=1.5)
    axes.set_ylim(0, 100)


def _latency(axes: Axes, frame: pd.DataFrame) -> None:
    axes.set_title("Seconds to the first text, and of the whole turn")
    days = _days(frame)
    for column, colour, name in (
        ("first_text_seconds", COLOURS[1], "first text"),
        ("seconds", COLOURS[0], "turn"),
    ):
        grouped = frame[column].astype("float64").groupby(days)
        half, most = grouped.median(), grouped.quantile(0.95)
        axes.plot(half.index, half, color=colour, linewidth=1.5, label=f"{name}, half of them under")
        axes.fill_between(half.index, half, most, color=colour, alpha=0.25, linewidth=0, label="to 95%")
    if (frame["seconds"] > 0).any():
        axes.set_yscale("log")
    axes.yaxis.set_major_formatter(lambda value, position: f"{value:g}")
    _legend(axes, 2)


def _legend(axes: Axes, columns: int) -> None:
    # Below the picture: inside it would lie on the data.
    position = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.12)}
    axes.legend(frameon=False, labelcolor=INK, fontsize=8, ncols=columns, **position)


def _days(frame: pd.DataFrame) -> Any:
    # Matplotlib wants no zone; days are those of the frame's.
    return frame["time"].dt.tz_localize(None).dt.floor("D").rename("day")


def _short(name: str) -> str:
    return name if len(name) <= 32 else f"…{name[-31:]}"


def _quiet(axes: Axes) -> None:
    axes.set_facecolor("none")
    axes.title.set(color=INK, fontsize=11)
    axes.tick_params(colors=INK, labelsize=8)
    axes.grid(axis="both", color=INK, alpha=0.2, linewidth=0.6)
    axes.set_axisbelow(True)
    for name, spine in axes.spines.items():
        spine.set(color=INK, alpha=0.5, visible=name in ("left", "bottom"))


def _dates(axes: Axes) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    locator = AutoDateLocator(maxticks=8)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    axes.xaxis.get_offset_text().set_color(INK)
