"""A Turn as plain text: what stays in a saved notebook where no HTML is shown, and what a terminal shows."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from ..text import shorten, strip_control_chars, truncate_for_display
from . import review
from .panel import badge_text, panel_facts

if TYPE_CHECKING:
    from ..turn import ToolCall, Turn


RESULTS = "the Turn's tools"


def panel_text(turn: Turn) -> str:
    """The panel as one line: badge, session, model, seconds, tokens, cost."""
    words = badge_text(turn.status, bool(turn.waiting), turn.activity)
    return strip_control_chars(f"[{words}] " + "  ".join(map(str, panel_facts(turn))))


def below_text(turn: Turn) -> str:
    """All that stands under the answer as text: tool calls, notices, the panel."""
    lines = [tool_line(call) for call in turn.tools]
    lines += [f"note: {review.one_line(notice)}" for notice in turn.notices]
    return "\n".join([strip_control_chars(line) for line in lines] + [panel_text(turn)])


def turn_text(turn: Turn) -> str:
    """The whole turn as plain text."""
    return "\n\n".join(
        filter(
            None, [truncate_for_display(strip_control_chars(turn.text)), error_text(turn), below_text(turn)]
        )
    )


def error_text(turn: Turn) -> str:
    """The error's one line, "" when there was none."""
    return f"{type(turn.error).__name__}: {turn.error}" if turn.error else ""


def tool_line(call: ToolCall) -> str:
    """A tool call in one line."""
    mark = "…" if call.ended is None else "✗" if call.is_error or call.approval == "denied" else "✓"
    seconds = "" if call.seconds is None else f" {call.seconds:.1f} s"
    name = review.one_line(call.name, 60)
    return f"▸ {name} {review.one_line(shorten(short_arguments(call), 80))} {mark}{seconds}"


def short_arguments(call: ToolCall) -> str:
    """The arguments in short: the text when that is all, else JSON."""
    try:
        values = json.loads(call.arguments)
    except (ValueError, RecursionError):
        return call.arguments
    if isinstance(values, dict) and [type(value) for value in values.values()] == [str]:
        [text] = values.values()
        return str(text)
    return "" if values == {} else json.dumps(values, ensure_ascii=False)
