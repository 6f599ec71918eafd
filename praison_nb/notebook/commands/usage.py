"""What `%usage` shows: tables of what was used and what it cost, by the ledger."""

from __future__ import annotations

from argparse import Namespace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from ...errors import ConfigError
from ...metering import writer
from ...metering.analysis import totals
from ...metering.origin import user
from ...metering.under_way import open_requests
from ...money import format_cents, format_usd, mark_usd
from ..views.tables import show, table
from .reprice import reprice_command

if TYPE_CHECKING:
    import pandas as pd

PERIODS = ("today", "week", "month", "all")
RUNNING = "running"
ROWS = 20
"""Rows of a table at most: the most expensive, or of days the newest; the others are added up in one."""
CHART_DAYS = 14
BARS = "▁▂▃▄▅▆▇█"


def report(shell: Any, arguments: Namespace) -> None:
    """Show or write what the arguments of `%usage` ask for."""
    if arguments.period == RUNNING:
        _running(shell)
        return
    if arguments.period == "reprice":
        reprice_command(shell, is_confirmed=arguments.yes)
        return
    if arguments.period not in ("", *PERIODS):
        known = ", ".join((*PERIODS, RUNNING, "reprice"))
        raise ConfigError(f"%usage knows no {arguments.period!r:.40}. It knows {known}.")
    filters = {"session": arguments.session, "model": arguments.model}
    since = period_start(arguments.period or "all")
    if arguments.out or arguments.csv or arguments.parquet:
        _export(shell, arguments, {**filters, "since": since})
        return
    if arguments.by or arguments.period:
        _by(shell, arguments.by or "model", arguments.period or "all", {**filters, "since": since})
    else:
        _overview(shell, filters)


def _running(shell: Any) -> None:
    """The requests that are not done, and what they may cost."""
    found = open_requests(writer.current(), user())
    if not found:
        show(shell, "No request is under way, in no kernel of yours, and all are counted.")
        return
    cells = [
        [
            each.state,
            f"{datetime.fromtimestamp(each.time, UTC):%Y-%m-%d %H:%M:%S}",
            each.notebook or "—",
            each.session,
            each.model,
            f"~{each.input_tokens:,}",
            f"at most {format_usd(each.at_most)}" if each.at_most else "—",
        ]
        for each in found
    ]
    note = "Times are UTC. What is unknown was under way when its kernel was killed, or was never counted."
    headers = ["request", "since", "notebook", "session", "model", "in", "cost"]
    table(shell, headers, cells, [note], [float(each.at_most) for each in found])


def _export(shell: Any, arguments: Namespace, wanted: dict[str, Any]) -> None:
    from ...metering.analysis import export
    from ...metering.analysis.frame import usage

    frame = usage(**wanted)
    lines = []
    for kind, path in (("csv", arguments.csv), ("parquet", arguments.parquet)):
        if path:
            lines.append(f"{len(frame):,} turns are in {export.write(frame, path, kind)}.")
    if arguments.out:
        shell.push({arguments.out: frame})
        lines.append(f"{len(frame):,} turns are in the DataFrame {arguments.out}.")
    show(shell, "\n".join(lines))


def _overview(shell: Any, filters: dict[str, Any]) -> None:
    from ...metering.analysis.frame import usage

    rows = []
    for period in PERIODS[:-1]:
        table = usage.by("month", since=period_start(period), **filters)
        rows.append((period if period == "today" else f"this {period}", _sum(table)))
    days = usage.by("day", since=_today() - timedelta(days=CHART_DAYS - 1), **filters)
    _show(shell, "", rows, _chart(days))


def _by(shell: Any, key: str, period: str, wanted: dict[str, Any]) -> None:
    from ...metering.analysis.frame import usage

    table = usage.by(key, **wanted)
    are_periods = key in totals.PERIODS
    shown, rest = (table[-ROWS:], table[:-ROWS]) if are_periods else (table[:ROWS], table[ROWS:])
    rows: list[tuple[str, Any]] = [(_name(name), row) for name, row in shown.iterrows()]
    if len(rest):
        word = "earlier" if are_periods else "others"
        rows.insert(0 if are_periods else ROWS, (f"{len(rest):,} {word}", _sum(rest)))
    if len(table) != 1:
        rows.append((period if period in ("today", "all") else f"this {period}", _sum(table)))
    _show(shell, key, rows, "")


def _show(shell: Any, key: str, rows: list[tuple[str, Any]], chart: str) -> None:
    headers = [key, "turns", "in", "cached", "out", "cost", "failed"]
    cells = [[name, *_cells(row)] for name, row in rows]
    unpriced = max((int(row["without_price"]) for _, row in rows), default=0)
    notes = [chart] if chart else []
    if unpriced:
        turns = "1 turn" if unpriced == 1 else f"{unpriced:,} turns"
        notes.append(f"{turns} without a price: not in the cost. `%agent price MODEL --input … --output …`")
    if line := writer.current().waiting_line:
        notes.append(line)
    # A total's bar would dwarf those of its parts.
    parts = rows[:-1] if key and len(rows) > 1 else rows
    costs = [float(row["cost"]) if _known(row["cost"]) else 0.0 for _, row in parts]
    costs += [0.0] * (len(rows) - len(parts))
    table(shell, headers, cells, notes, costs)


def period_start(period: str) -> datetime | None:
    """When the period began (UTC), None for all."""
    today = _today()
    monday = today - timedelta(days=today.weekday())
    return {"today": today, "week": monday, "month": today.replace(day=1)}.get(period)


def _chart(days: pd.DataFrame) -> str:
    """Cost by day as a line of bars, the last of them today."""
    first = _today() - timedelta(days=CHART_DAYS - 1)
    dates = [day.date() for day in days.index.to_pydatetime()]  # type: ignore[attr-defined]
    by_day = {day: float(cost) for day, cost in zip(dates, days["cost"], strict=True) if _known(cost)}
    costs = [by_day.get((first + timedelta(days=n)).date(), 0.0) for n in range(CHART_DAYS)]
    most = max(costs)
    if not most:
        return ""
    marks = "".join(" " if not cost else BARS[round(cost / most * (len(BARS) - 1))] for cost in costs)
    return f"{marks}  {CHART_DAYS} days, the most expensive {format_cents(most)}"


def _cells(row: Any) -> list[str]:
    ratio = row["cache_hit_ratio"]
    return [
        f"{int(row['turns']):,}",
        f"{int(row['input_tokens']):,}",
        f"{float(ratio):.0%}" if _known(ratio) else "—",
        f"{int(row['output_tokens']):,}",
        _cost(row),
        f"{int(row['failures']):,}",
    ]


def _cost(row: Any) -> str:
    cost = Decimal(repr(float(row["cost"]))) if _known(row["cost"]) else None
    return mark_usd(cost, estimated=bool(row["estimated"]))


def _sum(rows: pd.DataFrame) -> dict[str, Any]:
    total: dict[str, Any] = {
        name: rows[name].sum()
        for name in ("turns", "input_tokens", "output_tokens", "cached_tokens", "failures", "without_price")
    }
    known = rows["cost"].dropna()
    total["estimated"] = bool((rows["estimated"] > 0).any())
    total["cost"] = known.sum() if len(known) or rows.empty else None
    total["cache_hit_ratio"] = (
        total["cached_tokens"] / total["input_tokens"] if total["input_tokens"] else None
    )
    return total


def _known(value: Any) -> bool:
    return value is not None and repr(value) not in ("<NA>", "nan")


def _name(value: Any) -> str:
    if hasattr(value, "strftime"):
        return str(value.strftime("%Y-%m-%d %H:%M" if value.hour else "%Y-%m-%d"))
    return str(value) or "—"


def _today() -> datetime:
    return datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
