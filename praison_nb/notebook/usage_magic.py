"""`%usage`, and what `%agent price` and `%agent budget` do."""

from __future__ import annotations

import shlex
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from html import escape
from typing import TYPE_CHECKING, Any

from IPython.core.magic import Magics, line_magic, magics_class
from IPython.core.magic_arguments import argument, magic_arguments, parse_argstring

from .. import render
from ..errors import ConfigError
from ..usage import budget, price_file, writer
from ..usage.place import here

if TYPE_CHECKING:
    import pandas as pd

PERIODS = ("today", "week", "month", "all")
ROWS = 20
"""Rows of a table at most; what follows is added up in one."""
CHART_DAYS = 14
BARS = "▁▂▃▄▅▆▇█"
LEFT = 'style="text-align: left"'


@magics_class
class UsageMagics(Magics):
    """`%usage`."""

    @magic_arguments()
    @argument("period", nargs="?", default="", help="today, week, month (all in UTC) or all")
    @argument("--by", metavar="KEY", help="model, day, session, cell, notebook, user, backend, provider, …")
    @argument("-s", "--session", metavar="SESSION", help="only this session")
    @argument("-m", "--model", metavar="MODEL", help="only this model")
    @argument("--csv", metavar="PATH", help="write the turns to a CSV file")
    @argument("--parquet", metavar="PATH", help="write the turns to a Parquet file")
    @argument("-o", "--out", metavar="NAME", help="keep the turns as a DataFrame in this variable")
    @line_magic
    def usage(self, line: str) -> None:
        """What was used and what it cost, by the ledger.

        %usage                      today, this week, this month
        %usage week --by model      one row a model
        %usage month --by day       one row a day
        %usage all --csv turns.csv  the turns as a file, -o df as a DataFrame

        Days, weeks and months are those of UTC, as providers bill. Files have the attribute names of
        OpenTelemetry's GenAI conventions.
        """
        arguments = parse_argstring(self.usage, line)
        if arguments.period not in ("", *PERIODS):
            raise ConfigError(f"%usage knows no {arguments.period!r:.40}. It knows {', '.join(PERIODS)}.")
        told = {"session": arguments.session, "model": arguments.model}
        since = begins(arguments.period or "all")
        if arguments.out or arguments.csv or arguments.parquet:
            self._export(arguments, {**told, "since": since})
            return
        if arguments.by or arguments.period:
            self._by(arguments.by or "model", arguments.period or "all", {**told, "since": since})
        else:
            self._overview(told)

    def _export(self, arguments: Any, wanted: dict[str, Any]) -> None:
        from ..usage import export
        from ..usage.frame import load

        frame = load(**wanted)
        lines = []
        for kind, path in (("csv", arguments.csv), ("parquet", arguments.parquet)):
            if path:
                lines.append(f"{len(frame):,} turns are in {export.write(frame, path, kind)}.")
        if arguments.out:
            self.shell.push({arguments.out: frame})
            lines.append(f"{len(frame):,} turns are in the DataFrame {arguments.out}.")
        show(self.shell, "\n".join(lines))

    def _overview(self, told: dict[str, Any]) -> None:
        from ..usage import usage

        rows = []
        for period in PERIODS[:-1]:
            table = usage.by("month", since=begins(period), **told)
            rows.append((period if period == "today" else f"this {period}", _sum(table)))
        days = usage.by("day", since=_today() - timedelta(days=CHART_DAYS - 1), **told)
        self._show("", rows, _chart(days))

    def _by(self, key: str, period: str, wanted: dict[str, Any]) -> None:
        from ..usage import usage

        table = usage.by(key, **wanted)
        rows: list[tuple[str, Any]] = [(_name(name), row) for name, row in table.head(ROWS).iterrows()]
        rest = table.iloc[ROWS:]
        if len(rest):
            rows.append((f"{len(rest):,} others", _sum(rest)))
        if len(table) != 1:
            rows.append((period if period in ("today", "all") else f"this {period}", _sum(table)))
        self._show(key, rows, "")

    def _show(self, key: str, rows: list[tuple[str, Any]], chart: str) -> None:
        heads = [key, "turns", "in", "cached", "out", "cost", "failed"]
        cells = [[name, *_cells(row)] for name, row in rows]
        unpriced = max((int(row["without_price"]) for _, row in rows), default=0)
        notes = [chart] if chart else []
        if unpriced:
            turns = "1 turn" if unpriced == 1 else f"{unpriced:,} turns"
            notes.append(
                f"{turns} without a price: not in the cost. `%agent price MODEL --input … --output …`"
            )
        if writer.current().problem:
            notes.append(f"{writer.current().problem} {len(writer.current().waiting)} rows wait in memory.")
        # A total's bar would dwarf those of its parts.
        parts = rows[:-1] if key and len(rows) > 1 else rows
        costs = [float(row["cost"]) if _known(row["cost"]) else 0.0 for _, row in parts]
        costs += [0.0] * (len(rows) - len(parts))
        table(self.shell, heads, cells, notes, costs)


def begins(period: str) -> datetime | None:
    """When the period began (UTC), None for all."""
    today = _today()
    match period:
        case "today":
            return today
        case "week":
            return today - timedelta(days=today.weekday())
        case "month":
            return today.replace(day=1)
    return None


def price_command(shell: Any, line: str) -> None:
    """`%agent price [MODEL [--input USD --output USD … | --free | --forget]]`."""
    words = shlex.split(line)
    if not words:
        _show_prices(shell)
        return
    model, options = words[0], _options(words[1:])
    if model.startswith("-"):
        raise ConfigError(
            "Name the model: %agent price MODEL --input 3 --output 15, in USD per million tokens."
        )
    if "forget" in options:
        price_file.save(model, None)
        show(shell, f"{model} has no price of yours any more.")
        return
    if "free" in options:
        price_file.save(model, price_file.FREE)
        show(shell, f"{model} is free from now on. It is in {price_file.path()}.")
        return
    if not {"input", "output"} <= set(options):
        raise ConfigError(
            f"A price needs --input and --output in USD per million tokens ({', '.join(_MORE)} may be "
            "added), or --free, or --forget."
        )
    told = {name: price_file.amount(value, f"--{name.replace('_', '-')}") for name, value in options.items()}
    price_file.save(model, price_file.Price(**told))
    show(
        shell,
        f"{model} costs ${told['input']:f} in and ${told['output']:f} out per million tokens from now on. "
        f"It is in {price_file.path()}.",
    )


_MORE = ("--cache-read", "--cache-write", "--cache-write-1h")


def _options(words: list[str]) -> dict[str, str]:
    known = ("--input", "--output", *_MORE)
    options, rest = {}, iter(words)
    for word in rest:
        name, _, value = word.partition("=")
        if name in ("--free", "--forget"):
            options[name[2:]] = ""
        elif name in known:
            options[name[2:].replace("-", "_")] = value or next(rest, "")
        else:
            raise ConfigError(
                f"%agent price has no {word!r:.40}. It has {', '.join(known)}, --free, --forget."
            )
    return options


def _show_prices(shell: Any) -> None:
    rows = []
    for model, price in price_file.prices().items():
        parts = (price.input, price.output, price.cache_read, price.cache_write, price.cache_write_1h)
        free = price == price_file.FREE
        rows.append([model, *("free" if free else "" if part is None else f"${part:f}" for part in parts)])
    heads = ["model", "in", "out", "cache read", "cache write", "for 1 h"]
    notes = [f"USD per million tokens, from {price_file.path()}. Every other model's price is in the table."]
    if rows:
        table(shell, heads, rows, notes)
    else:
        show(shell, "No prices of yours. `%agent price MODEL --input 3 --output 15` sets one, --free none.")


def budget_command(shell: Any, line: str) -> None:
    """`%agent budget [USD/day | USD/session | USD/notebook | off[/SCOPE]]`."""
    place, book = here(), writer.current()
    if line.strip():
        limit, scope = budget.parse(line)
        budget.put(book, limit, scope, place)
        if limit is None:
            show(shell, f"No budget for the {scope} any more." if scope else "No budgets any more.")
            return
    limits = budget.limits(book, place)
    if not limits:
        show(
            shell,
            "No budgets. `%agent budget 5/day` sets one; /session and /notebook too; `%%agent --budget`.",
        )
        return
    spent = budget.totals(book, place, limits)
    rows = [
        [scope, _usd(limits[scope]), _usd(used), f"{used / limits[scope]:.0%}"]
        for scope, used in spent.items()
    ]
    note = "Turns stop before the request that would come after. Days are UTC's; each session has its own."
    table(shell, ["budget", "limit", "spent", ""], rows, [note], [float(used) for used in spent.values()])


# What is shown


def show(shell: Any, text: str) -> None:
    """A line of text as a cell's output."""
    shell.display_pub.publish({"text/plain": render.clean(text)})


def table(
    shell: Any,
    heads: list[str],
    rows: list[list[str]],
    notes: list[str],
    bars: list[float] | None = None,
) -> None:
    """A compact table, names to the left and numbers to the right; `bars` draws a bar behind each row."""
    widths = [max(len(row[i]) for row in [heads, *rows]) for i in range(len(heads))]
    most = max(bars or [0.0]) or 1.0
    lines = []
    for index, row in enumerate([heads, *rows]):
        cells = [row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))]
        bar = "" if bars is None or not index else "  " + "█" * round(10 * bars[index - 1] / most)
        lines.append(("  ".join(cells) + bar).rstrip())
    head = "".join(f"<th{' ' + LEFT if not i else ''}>{escape(name)}</th>" for i, name in enumerate(heads))
    body = ""
    for index, row in enumerate(rows):
        cells = [f"<td {LEFT}>{escape(render.clean(row[0]))}</td>"]
        cells += [f"<td>{escape(render.clean(text))}</td>" for text in row[1:]]
        if bars is not None:
            cells.append(_bar(bars[index] / most))
        body += f"<tr>{''.join(cells)}</tr>"
    small = f'style="font-size: 12px; color: {render.MUTED}; white-space: pre-wrap"'
    said = "".join(f"<div {small}>{escape(render.clean(note))}</div>" for note in notes)
    head += "<th></th>" if bars is not None else ""
    html = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    text = render.clean("\n".join([*lines, *notes]))
    shell.display_pub.publish({"text/plain": text, "text/html": html + said})


def _bar(share: float) -> str:
    colour = "var(--jp-brand-color1, #1976d2)"
    inner = f'<div style="width: {share * 100:.0f}%; height: 8px; background: {colour}"></div>'
    return f'<td><div style="width: 100px">{inner}</div></td>'


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
    return f"{marks}  {CHART_DAYS} days, the dearest ${most:,.2f}"


def _cells(row: Any) -> list[str]:
    ratio = row["cache_hit_ratio"]
    return [
        f"{int(row['turns']):,}",
        f"{int(row['input_tokens']):,}",
        f"{float(ratio):.0%}" if _known(ratio) else "—",
        f"{int(row['output_tokens']):,}",
        render.dollars(Decimal(repr(float(row["cost"])))) if _known(row["cost"]) else "—",
        f"{int(row['failures']):,}",
    ]


def _sum(rows: pd.DataFrame) -> dict[str, Any]:
    total: dict[str, Any] = {
        name: rows[name].sum()
        for name in ("turns", "input_tokens", "output_tokens", "cached_tokens", "failures", "without_price")
    }
    known = rows["cost"].dropna()
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


def _usd(value: Decimal) -> str:
    return f"${value:,.2f}"
