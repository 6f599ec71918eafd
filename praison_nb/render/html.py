"""A Turn as still HTML: what stays in a saved notebook, without style sheet, script or widget.

Everything that a model or a tool wrote is escaped here, or rendered from Markdown with HTML turned off.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from ..session import Status
from ..text import DISPLAY_CHARACTERS, strip_control_chars, truncate_for_display
from . import formulas, markdown, review
from .panel import Fact, badge_text, panel_facts
from .text import RESULTS, error_text, tool_line

if TYPE_CHECKING:
    from ..turn import Turn


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
    """The whole turn as still HTML."""
    return answer_html(turn) + below_html(turn, error=True)


def answer_html(turn: Turn) -> str:
    """The answer as still HTML, "" where there is none; of a very long one its beginning."""
    from ..turn import Message

    texts, room = [], DISPLAY_CHARACTERS
    for item in turn.items:
        if isinstance(item, Message) and item.text:
            texts.append(item.text[: max(0, room)])
            room -= len(item.text)
    if room < 0:
        texts.append(f"… {-room:,} more characters are in the Turn's text.")
    return markdown.to_html(*texts)


def below_html(turn: Turn, *, error: bool = False) -> str:
    """Tool calls, notices and the panel as still HTML; with `error`, the error's line too."""
    parts = [tool_html(tool_line(call)[2:], call.arguments, call.result) for call in turn.tools]
    parts += [
        f'<div style="font-size: 12px; color: {MUTED}">{_safe(review.one_line(notice))}</div>'
        for notice in turn.notices
    ]
    if error and turn.error:
        border = f"border-left: 3px solid {COLOURS[Status.ERROR]}; padding: 4px 10px; margin: 6px 0"
        parts.append(f'<div style="{border}">{_safe(error_text(turn))}</div>')
    # A sum of dollars is no formula.
    return f'<div class="{markdown.NO_FORMULAS}">{"".join(parts)}{panel_html(turn)}</div>'


def badge_html(status: Status, waiting: bool = False, activity: str = "") -> str:
    """The badge: its state in words, its colour from the theme."""
    colour = WAITING if waiting else COLOURS[status]
    dot = "○" if status is Status.NONE else "●"
    style = (
        f"display: inline-block; color: {colour}; border: 1px solid {colour}; border-radius: 10px; "
        "padding: 0 9px 0 7px; font-size: 11.5px; line-height: 18px"
    )
    return f'<b style="{style}">{dot} {_safe(badge_text(status, waiting, activity))}</b>'


def panel_html(turn: Turn) -> str:
    """The panel as still HTML. Without its styles, as GitHub shows it, it reads as one line."""
    style = (
        "border-top: 1px solid var(--jp-border-color2, #e0e0e0); margin-top: 8px; padding: 6px 0 3px; "
        f"font-size: 12px; color: {MUTED}; font-variant-numeric: tabular-nums"
    )
    badge_text = badge_html(turn.status, bool(turn.waiting), turn.activity)
    said = [badge_text, *map(_fact_html, panel_facts(turn))]
    return f'<div style="{style}">{" &nbsp;".join(said)}</div>'


def _fact_html(fact: Fact) -> str:
    title = f' title="{escape(strip_control_chars(fact.title))}"' if fact.title else ""
    strong = f'<b style="color: {TEXT}; font-weight: 600">{_safe(fact.strong)}</b>' if fact.strong else ""
    style = "white-space: nowrap; margin-left: 8px"
    return f'<span style="{style}"{title}>{_safe(fact.before)}{strong}{_safe(fact.after)}</span>'


def tool_html(line: str, *boxes: str) -> str:
    """A tool call as still HTML: its line, and behind a click what it got and gave."""
    style = "margin: 2px 0 6px 16px; max-height: 20em; overflow: auto; white-space: pre-wrap"
    inner = [
        f'<pre style="{style}">{_safe(truncate_for_display(box, RESULTS))}</pre>' for box in boxes if box
    ]
    summary = f'<summary style="font-size: 12px; color: {MUTED}">{_safe(line)}</summary>'
    return f"<details>{summary}{''.join(inner)}</details>"


def _safe(text: str) -> str:
    return formulas.escape(strip_control_chars(text))
