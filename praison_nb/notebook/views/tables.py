"""Lines and tables as a cell's output, as text and as static HTML."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import zip_longest
from typing import Any

from ...render.formulas import escape
from ...render.html import MUTED, badge_html
from ...render.markdown import NO_FORMULAS
from ...render.panel import Badge
from ...render.table import columns_of
from ...text import strip_control_chars

Row = Sequence[str | Badge]


def show(shell: Any, text: str) -> None:
    """A line of text as a cell's output."""
    shell.display_pub.publish({"text/plain": strip_control_chars(text)})


def table(
    shell: Any,
    headers: Sequence[str],
    rows: Sequence[Row],
    notes: Sequence[str] = (),
    bars: Sequence[float] | None = None,
    numbers: Collection[str] | None = None,
    full: float | None = None,
) -> None:
    """A compact table as a cell's output, with lines of `notes` below it. `numbers` are the columns that
    stand to the right, all but the first where it is not given; `bars` draws a bar behind each row, the
    whole of it for `full`, or for the greatest where that is not given."""
    numbers = headers[1:] if numbers is None else numbers
    most = full or max(bars or [0.0]) or 1.0
    shares = None if bars is None else [min(1.0, each / most) for each in bars]
    style = f"font-size: 12px; color: {MUTED}; white-space: pre-wrap"
    small = f'class="{NO_FORMULAS}" style="{style}"'
    notes_html = "".join(f"<div {small}>{escape(note)}</div>" for note in notes)
    lines = [as_text(headers, rows, numbers, shares), *map(strip_control_chars, notes)]
    html = as_html(headers, rows, numbers, shares)
    shell.display_pub.publish({"text/plain": "\n".join(lines), "text/html": html + notes_html})


def as_text(
    headers: Sequence[str],
    rows: Sequence[Row],
    numbers: Collection[str],
    shares: Sequence[float] | None = None,
) -> str:
    """The table in columns. What would move them, in a terminal say, is left out before they are measured."""
    lines = columns_of(
        [[str(cell) for cell in line] for line in [headers, *rows]],
        {index for index, name in enumerate(headers) if name in numbers},
    )
    bars = ["", *("█" * round(10 * share) for share in shares or [])]
    width = max(map(len, lines)) + 2
    return "\n".join(
        f"{line.ljust(width)}{bar}".rstrip() for line, bar in zip_longest(lines, bars, fillvalue="")
    )


def as_html(
    headers: Sequence[str],
    rows: Sequence[Row],
    numbers: Collection[str],
    shares: Sequence[float] | None = None,
    style: str = "",
) -> str:
    """The table as static HTML."""

    def line(tag: str, cells: Row, bar: str) -> str:
        return f"<tr>{''.join(cell(tag, *each) for each in zip(headers, cells, strict=True))}{bar}</tr>"

    def cell(tag: str, name: str, content: str | Badge) -> str:
        align = "right" if name in numbers else "left"
        inner = badge_html(content) if isinstance(content, Badge) else escape(content)
        return f'<{tag} style="text-align: {align}">{inner}</{tag}>'

    bars = [""] * len(rows) if shares is None else map(_bar, shares)
    head = line("th", headers, "" if shares is None else "<th></th>")
    body = "".join(line("td", row, bar) for row, bar in zip(rows, bars, strict=True))
    rows_html = f"<thead>{head}</thead><tbody>{body}</tbody>"
    return f'<table class="{NO_FORMULAS}" style="{style}">{rows_html}</table>'


def _bar(share: float) -> str:
    colour = "var(--jp-brand-color1, #1976d2)"
    inner = f'<div style="width: {share * 100:.0f}%; height: 8px; background: {colour}"></div>'
    return f'<td><div style="width: 100px">{inner}</div></td>'
