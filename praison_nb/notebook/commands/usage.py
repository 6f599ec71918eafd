"""What `%usage` shows: tables of what was used and what it cost, by the ledger."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from datetime import datetime, timedelta, tzinfo
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from ...errors import ConfigError
from ...metering import writer
from ...metering.analysis import filters, keys
from ...metering.tags import parse_all
from ...money import format_cents, mark, mark_usd
from ..arguments import unquoted
from ..views.tables import show, table
from .reprice import reprice_command
from .running import running_command

if TYPE_CHECKING:
    import pandas as pd

PERIODS = ("today", "week", "month", "all")
RUNNING, REPRICE = "running", "reprice"
ROWS = 20
"""Rows of a table at most: the most expensive, or of days the newest; the others are added up in one."""
CHART_DAYS = 14
BARS = "▁▂▃▄▅▆▇█"


def report(shell: Any, arguments: Namespace) -> None:
    """Show or write what the arguments of `%usage` ask for."""
    period = arguments.period
    if period == RUNNING:
        running_command(shell)
        return
    if period == REPRICE:
        reprice_command(shell, is_confirmed=arguments.yes)
        return
    if period not in ("", *PERIODS) and not filters.is_span(period):
        known = ", ".join((*PERIODS, "7d, 24h, 2w and such", RUNNING, REPRICE))
        raise ConfigError(f"%usage knows no {period!r:.40}. It knows {known}.")
    if period and arguments.since:
        raise ConfigError(f"%usage takes {period} or --since, not both.")
    wanted = {
        "session": arguments.session,
        "model": arguments.model,
        "provider": arguments.provider,
        "user": arguments.user,
        "tags": parse_all(str(unquoted(each)) for each in arguments.tag or ()),
        "ledger": [unquoted(path) for path in arguments.ledger] if arguments.ledger else None,
        "tz": filters.to_zone(arguments.tz),
    }
    since, until = unquoted(arguments.since), unquoted(arguments.until)
    times = {"since": since or (period if period not in ("", "all") else None), "until": until}
    if arguments.out or arguments.csv or arguments.parquet or arguments.json or arguments.focus:
        _export(shell, arguments, {**wanted, **times})
    elif arguments.outliers:
        _outliers(shell, {**wanted, **times})
    elif arguments.by or arguments.dearest or period or since or until:
        names = ["notebook", "cell"] if arguments.dearest else keys.names(arguments.by or "model")
        _by(shell, names, period if period in PERIODS else "in all", {**wanted, **times})
    else:
        _overview(shell, wanted)


def _export(shell: Any, arguments: Namespace, wanted: dict[str, Any]) -> None:
    from ...metering.analysis import export, focus
    from ...metering.analysis.frame import usage

    frame = usage(**wanted)
    lines = []
    for kind in ("csv", "parquet", "json"):
        if path := getattr(arguments, kind):
            lines.append(f"{len(frame):,} turns are in {export.write(frame, path, kind)}.")
    if arguments.focus:
        charges = focus.charges(usage(**wanted, by="request"), frame)
        unpriced = int((~charges["x_CostIsKnown"].astype(bool)).sum())
        missing = f" {unpriced:,} of them have no price: 0 there, x_CostIsKnown is False." if unpriced else ""
        file = export.write(charges, arguments.focus, "focus")
        lines.append(f"{len(charges):,} charges are in {file}.{missing}")
    if arguments.out:
        shell.push({arguments.out: frame})
        lines.append(f"{len(frame):,} turns are in the DataFrame {arguments.out}.")
    show(shell, "\n".join(lines))


def _overview(shell: Any, wanted: dict[str, Any]) -> None:
    from ...metering.analysis.frame import usage

    zone: tzinfo = wanted["tz"]
    rows = []
    for period in PERIODS[:-1]:
        table = usage.by("month", since=period, **wanted)
        rows.append(([period if period == "today" else f"this {period}"], _sum(table)))
    days = usage.by("day", since=_today(zone) - timedelta(days=CHART_DAYS - 1), **wanted)
    _show(shell, [""], rows, [*_chart(days, zone), *_burn_rate(wanted)], zone)


def _burn_rate(wanted: dict[str, Any]) -> list[str]:
    from ...metering.analysis.frame import usage
    from ...metering.analysis.spending import BurnRate

    now = datetime.now(wanted["tz"])
    hour = now.replace(minute=0, second=0, microsecond=0)
    running, late = (_sum(usage.by(since=since, **wanted)) for since in (hour, now - timedelta(hours=1)))
    if not late["cost"]:
        return []
    rate = BurnRate.of(
        float(running["cost"] or 0), float(late["cost"]), now, int(late["without_price"]), **_marks(late)
    )
    return [str(rate)]


def _outliers(shell: Any, wanted: dict[str, Any]) -> None:
    from ...metering.analysis.frame import usage

    found = usage(**wanted).agent.outliers()
    if found.empty:
        show(shell, "No turn cost far more than its model's usually do.")
        return
    rows = [
        [
            f"{row['time']:%Y-%m-%d %H:%M}",
            row["model"],
            row["notebook"] or "—",
            row["cell"] or row["session"] or "—",
            mark_usd(Decimal(repr(float(row["cost"]))), estimated=bool(row["estimated"])),
            mark_usd(Decimal(repr(float(row["usual_cost"])))),
        ]
        for _, row in found.head(ROWS).iterrows()
    ]
    headers = ["time", "model", "notebook", "cell", "cost", "usually"]
    more = [f"{len(found) - ROWS:,} more cost less."] if len(found) > ROWS else []
    table(shell, headers, rows, [*more, f"Times are {wanted['tz']}."], numbers=("cost", "usually"))


def _by(shell: Any, names: list[str], period: str, wanted: dict[str, Any]) -> None:
    from ...metering.analysis.frame import usage

    table = usage.by(names, **wanted)
    are_periods = names[0] in keys.PERIODS
    shown, rest = (table[-ROWS:], table[:-ROWS]) if are_periods else (table[:ROWS], table[ROWS:])
    blank = [""] * (len(names) - 1)
    rows: list[tuple[list[str], Any]] = [
        ([_name(part) for part in (name if isinstance(name, tuple) else (name,))], row)
        for name, row in shown.iterrows()
    ]
    if len(rest):
        word = "earlier" if are_periods else "others"
        rows.insert(0 if are_periods else ROWS, ([f"{len(rest):,} {word}", *blank], _sum(rest)))
    if len(table) != 1:
        rows.append(([f"this {period}" if period in ("week", "month") else period, *blank], _sum(table)))
    _show(shell, names, rows, [], wanted["tz"])


def _show(
    shell: Any, names: list[str], rows: Sequence[tuple[list[str], Any]], notes: list[str], zone: tzinfo
) -> None:
    headers = ["turns", "in", "cached", "out", "cost", "failed"]
    thinks = any(row["reasoning_tokens"] for _, row in rows)
    if thinks:
        headers.insert(4, "reasoning")
    cells = [[*texts, *_cells(row, thinks=thinks)] for texts, row in rows]
    unpriced = max((int(row["without_price"]) for _, row in rows), default=0)
    if unpriced:
        turns = "1 turn" if unpriced == 1 else f"{unpriced:,} turns"
        notes.append(f"{turns} without a price: not in the cost. `%agent price MODEL --input … --output …`")
    if line := writer.current().waiting_line:
        notes.append(line)
    notes.append(f"Days are those of {zone}.")
    # A total's bar would dwarf those of its parts.
    parts = rows[:-1] if names[0] and len(rows) > 1 else rows
    costs = [float(row["cost"]) if _known(row["cost"]) else 0.0 for _, row in parts]
    costs += [0.0] * (len(rows) - len(parts))
    table(shell, [*names, *headers], cells, notes, costs, numbers=headers)


def _chart(days: pd.DataFrame, zone: tzinfo) -> list[str]:
    """Cost by day as a line of bars, the last of them today; nothing where nothing was spent."""
    first = _today(zone) - timedelta(days=CHART_DAYS - 1)
    dates = [day.date() for day in days.index.to_pydatetime()]  # type: ignore[attr-defined]
    by_day = {day: float(cost) for day, cost in zip(dates, days["cost"], strict=True) if _known(cost)}
    costs = [by_day.get(first.date() + timedelta(days=n), 0.0) for n in range(CHART_DAYS)]
    most = max(costs)
    if not most:
        return []
    marks = "".join(" " if not cost else BARS[round(cost / most * (len(BARS) - 1))] for cost in costs)
    dearest = days.iloc[dates.index(max(by_day, key=by_day.__getitem__))]
    most_usd = mark(format_cents(most), **_marks(dearest))
    return [f"{marks}  {CHART_DAYS} days, the most expensive {most_usd}"]


def _cells(row: Any, *, thinks: bool) -> list[str]:
    ratio = row["cache_hit_ratio"]
    cells = [
        f"{int(row['turns']):,}",
        f"{int(row['input_tokens']):,}",
        f"{float(ratio):.0%}" if _known(ratio) else "—",
        f"{int(row['output_tokens']):,}",
        _cost(row),
        f"{int(row['failures']):,}",
    ]
    if thinks:
        cells.insert(4, f"{int(row['reasoning_tokens']):,}")
    return cells


def _cost(row: Any) -> str:
    cost = Decimal(repr(float(row["cost"]))) if _known(row["cost"]) else None
    return mark_usd(cost, **_marks(row))


def _marks(row: Any) -> dict[str, bool]:
    return {name: bool(row[name]) for name in ("estimated", "is_lower_bound")}


def _sum(rows: pd.DataFrame) -> dict[str, Any]:
    total: dict[str, Any] = {
        name: rows[name].sum()
        for name in (
            "turns",
            "input_tokens",
            "output_tokens",
            "cached_tokens",
            "reasoning_tokens",
            "failures",
            "without_price",
        )
    }
    known = rows["cost"].dropna()
    for name in ("estimated", "is_lower_bound"):
        total[name] = bool((rows[name] > 0).any())
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


def _today(zone: tzinfo) -> datetime:
    return datetime.now(zone).replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
