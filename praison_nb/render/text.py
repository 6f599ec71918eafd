"""A Turn as plain text: what stays in a saved notebook where no HTML is shown, and what a terminal shows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ..errors import InvalidAnswerError
from ..text import shorten, strip_control_chars, truncate_for_display
from ..turn import ToolCall, Turn
from . import review
from .files import files_line
from .panel import thread_lines, turn_panel
from .table import data_table

RESULTS = "the Turn's tools"
"""Where the rest is of what is too long to be shown."""


def panel_text(turn: Turn) -> str:
    """The panel as one line: badge, session, model, seconds, tokens, cost."""
    return panel_line(turn_panel(turn))


def panel_line(panel: Mapping[str, Any]) -> str:
    """A panel, as `turn_panel` makes it, as one line."""
    return f"[{panel['label']}] " + "  ".join("".join(fact[:3]) for fact in panel["facts"])


def below_text(turn: Turn, most_calls: int | None = None) -> str:
    """All that stands under the answer as text: tool calls, notices, the panel."""
    earlier, calls = last_calls(turn, most_calls)
    lines = [*earlier, *(f"▸ {tool_line(call)}" for call in calls)]
    lines += [f"note: {review.one_line(notice)}" for notice in turn.notices]
    lines += thread_lines(turn)
    lines += [files_line(turn.files)] if turn.files else []
    return "\n".join([strip_control_chars(line) for line in lines] + [panel_text(turn)])


def last_calls(turn: Turn, most: int | None) -> tuple[list[str], tuple[ToolCall, ...]]:
    """The last of the tool calls, all with None, and a line about those before them, if there are any."""
    calls = turn.tools
    left = 0 if most is None else max(0, len(calls) - most)
    earlier = [f"{left:,} earlier tool calls: they are shown when the turn is over"] if left else []
    return earlier, calls[left:]


def turn_text(turn: Turn) -> str:
    """The whole turn as plain text."""
    return "\n\n".join(filter(None, [answer_text(turn), error_text(turn), below_text(turn)]))


def answer_text(turn: Turn) -> str:
    """The answer as plain text, "" where there is none; of a very long one its beginning. A typed answer is
    a table."""
    if turn.answer is not None:
        return data_table(turn.answer.data)[1]
    return strip_control_chars(truncate_for_display(turn.text))


def is_typed(turn: Turn) -> bool:
    """Whether the turn's text is, or failed to be, a typed answer's."""
    return turn.answer is not None or isinstance(turn.error, InvalidAnswerError)


def error_text(turn: Turn) -> str:
    """The error's one line, "" when there was none."""
    return f"{type(turn.error).__name__}: {turn.error}" if turn.error else ""


def tool_line(call: ToolCall) -> str:
    """A tool call in one line: name, arguments in short, how it went and for how many seconds."""
    mark = "…" if call.ended is None else "✗" if call.is_error or call.approval == "denied" else "✓"
    seconds = "" if call.seconds is None else f" {call.seconds:.1f} s"
    return f"{review.one_line(call.name, 60)} {arguments_line(call)} {mark}{seconds}"


def arguments_line(call: ToolCall) -> str:
    """The arguments in short, in one line: the text when that is all, else JSON.

    >>> from praison_nb.turn import ToolCall
    >>> arguments_line(ToolCall("1", "bash", '{"command": "ls"}', "builtin", started=0.0))
    'ls'
    """
    return review.one_line(shorten(_short_arguments(call), 80))


def _short_arguments(call: ToolCall) -> str:
    try:
        values = json.loads(call.arguments)
    except (ValueError, RecursionError):
        return call.arguments
    if isinstance(values, dict) and [type(value) for value in values.values()] == [str]:
        [text] = values.values()
        return str(text)
    return "" if values == {} else json.dumps(values, ensure_ascii=False)
