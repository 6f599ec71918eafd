"""A Turn as static HTML: what stays in a saved notebook, without style sheet, script or widget.

Everything that a model or a tool wrote is escaped here, or rendered from Markdown with HTML turned off.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping
from typing import Any

from ..session import Status
from ..text import DISPLAY_CHARACTERS, truncate_for_display
from ..turn import Message, Turn
from . import markdown, review, table
from .files import files_html, files_line
from .formulas import escape
from .panel import Badge, thread_lines, turn_panel
from .text import RESULTS, error_text, is_typed, last_calls, tool_line

# JupyterLab's theme variables, with what other pages show instead.
COLOURS = {
    Status.IDLE: "var(--jp-success-color1, #2e7d32)",
    Status.RUNNING: "var(--jp-brand-color1, #1976d2)",
    Status.ERROR: "var(--jp-error-color1, #d32f2f)",
    Status.UNKNOWN: "var(--jp-ui-font-color2, #757575)",
    Status.NONE: "var(--jp-ui-font-color2, #757575)",
}
WAITING = "var(--jp-warn-color1, #e65100)"
TEXT = "var(--jp-ui-font-color1, #212121)"
MUTED = "var(--jp-ui-font-color2, #757575)"


def turn_html(turn: Turn) -> str:
    """The whole turn as static HTML."""
    return answer_html(turn) + below_html(turn, error=True)


def answer_html(turn: Turn, *, typed: bool = False) -> str:
    """The answer as static HTML, "" where there is none; of a very long one its beginning. A typed answer is
    a table, and the text of what is none yet (`typed`) or became none is code."""
    if turn.answer is not None:
        return table.answer_part(table.data_table(turn.answer.data)[0])
    if typed or is_typed(turn):
        text = truncate_for_display(turn.text)
        return table.answer_part(table.code_html(text)) if text else ""
    texts, room = [], DISPLAY_CHARACTERS
    for item in turn.items:
        if isinstance(item, Message) and item.text:
            texts.append(item.text[: max(0, room)])
            room -= len(item.text)
    if room < 0:
        texts.append(f"… {-room:,} more characters are in the Turn's text.")
    return markdown.to_html(*texts)


def below_html(
    turn: Turn, *, error: bool = False, heading: bool = True, most_calls: int | None = None
) -> str:
    """Tool calls, the last `most_calls` of them, notices and the panel as static HTML; with `error`, the
    error's line too. Without `heading` the panel does not say whose turn it is."""
    earlier, calls = last_calls(turn, most_calls)
    parts = [files_html(turn.files), notes_html(earlier)]
    parts += [tool_html(tool_line(call), call.arguments, call.result) for call in calls]
    lines = (*map(review.one_line, turn.notices), *thread_lines(turn), files_line(turn.files))
    parts += [notes_html(filter(None, lines))]
    parts += [error_html(error_text(turn))] if error and turn.error else []
    # A sum of dollars is no formula.
    return f'<div class="{markdown.NO_FORMULAS}">{"".join(parts)}{panel_html(turn, heading)}</div>'


def notes_html(lines: Iterable[str]) -> str:
    """Lines that the user should read."""
    return "".join(f'<div style="font-size: 12px; color: {MUTED}">{escape(line)}</div>' for line in lines)


def error_html(line: str) -> str:
    """An error's line."""
    border = f"border-left: 3px solid {COLOURS[Status.ERROR]}; padding: 4px 10px; margin: 6px 0"
    return f'<div style="{border}">{escape(line)}</div>'


def badge_html(badge: Badge) -> str:
    """The badge: its state in words, its colour from the theme."""
    colour = WAITING if badge.waiting else COLOURS[badge.status]
    dot = "○" if badge.status is Status.NONE else "●"
    style = (
        f"display: inline-block; color: {colour}; border: 1px solid; border-radius: 10px; "
        "padding: 0 9px 0 7px; font-size: 11.5px; line-height: 18px"
    )
    return f'<b style="{style}">{dot} {escape(str(badge))}</b>'


def panel_html(turn: Turn, heading: bool = True) -> str:
    """The panel of a turn as static HTML. Without `heading` it does not say whose turn it is."""
    made = turn_panel(turn)
    return facts_html(Badge.of(turn.status, turn), {**made, "facts": made["facts"][0 if heading else 1 :]})


def facts_html(badge: Badge, panel: Mapping[str, Any]) -> str:
    """A panel as static HTML. Without its styles, as GitHub shows it, it reads as one line."""
    style = (
        "border-top: 1px solid var(--jp-border-color2, #e0e0e0); margin-top: 8px; padding: 6px 0 3px; "
        f"font-size: 12px; color: {MUTED}; font-variant-numeric: tabular-nums"
    )
    facts = (_fact_html(*fact) for fact in panel["facts"])
    return f'<div style="{style}">{"&emsp; ".join([badge_html(badge), *facts])}</div>'


def _fact_html(before: str, strong: str, after: str, title: str, link: str) -> str:
    middle = f"<b>{escape(strong)}</b>" if strong else ""
    if link:
        middle = (
            f'<a href="{html.escape(link)}" target="_blank" rel="noopener noreferrer">{escape(strong)}</a>'
        )
    # What a number is stays on its line.
    before = f"{escape(before.rstrip())}&nbsp;" if before.endswith(" ") else escape(before)
    fact = f"{before}{middle}{escape(after)}"
    return f'<span title="{html.escape(title)}">{fact}</span>' if title else fact


def tool_html(line: str, *boxes: str) -> str:
    """A tool call as static HTML: its line, and behind a click what it got and gave."""
    style = "margin: 2px 0 6px 16px; max-height: 20em; overflow: auto; white-space: pre-wrap"
    inner = [
        f'<pre style="{style}">{escape(truncate_for_display(box, RESULTS))}</pre>' for box in boxes if box
    ]
    summary = f'<summary style="font-size: 12px; color: {MUTED}">{escape(line)}</summary>'
    return f"<details>{summary}{''.join(inner)}</details>"
