"""Lines and tables as a cell's output, as text and as still HTML."""

from __future__ import annotations

from html import escape
from typing import Any

from .. import plain, render

LEFT = 'style="text-align: left"'


def show(shell: Any, text: str) -> None:
    """A line of text as a cell's output."""
    shell.display_pub.publish({"text/plain": plain.clean(text)})


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
        cells = [f"<td {LEFT}>{escape(plain.clean(row[0]))}</td>"]
        cells += [f"<td>{escape(plain.clean(text))}</td>" for text in row[1:]]
        if bars is not None:
            cells.append(_bar(bars[index] / most))
        body += f"<tr>{''.join(cells)}</tr>"
    small = f'style="font-size: 12px; color: {render.MUTED}; white-space: pre-wrap"'
    said = "".join(f"<div {small}>{escape(plain.clean(note))}</div>" for note in notes)
    head += "<th></th>" if bars is not None else ""
    html = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    text = plain.clean("\n".join([*lines, *notes]))
    shell.display_pub.publish({"text/plain": text, "text/html": html + said})


def _bar(share: float) -> str:
    colour = "var(--jp-brand-color1, #1976d2)"
    inner = f'<div style="width: {share * 100:.0f}%; height: 8px; background: {colour}"></div>'
    return f'<td><div style="width: 100px">{inner}</div></td>'
