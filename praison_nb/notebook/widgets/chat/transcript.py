"""The transcript of a chat as plain HTML and text: what a saved notebook shows where no widget lives."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from ....render import formulas, markdown, review
from ....render.html import tool_html, turn_html
from ....render.text import short_arguments, turn_text
from ....text import shorten, strip_control_chars, truncate_for_display
from ....turn import ToolCall, Turn
from .items import Said


class Transcript:
    """Renders the transcript whole each time, and each turn once."""

    def __init__(self) -> None:
        self._turns: dict[str, tuple[Turn, str, str]] = {}
        self._before: tuple[Iterable[Said], list[tuple[str, str]]] = ([], [])

    def render(self, name: str, before: Iterable[Said], turns: Iterable[Turn]) -> tuple[str, str]:
        """The conversation `name` as HTML and as text: what was said `before`, then `turns`."""
        known, self._turns = self._turns, {}
        for turn in turns:
            old = known.get(turn.id)
            self._turns[turn.id] = old if old and old[0] is turn else (turn, *_still_turn(turn))
        if before is not self._before[0]:
            self._before = before, [_still_said(*said) for said in before]
        parts = [*self._before[1]]
        parts += [(html, text) for _, html, text in self._turns.values()]
        if not parts:
            words = f"Chat {name}: nothing said yet."
            parts = [(escape(words), words)]
        return "".join(html for html, _ in parts), strip_control_chars("\n\n".join(text for _, text in parts))


def _still_turn(turn: Turn) -> tuple[str, str]:
    asked = strip_control_chars(truncate_for_display(turn.prompt))
    return f"{_asked(asked)}{turn_html(turn)}", f"You: {asked}\n\n{turn_text(turn)}"


def _still_said(kind: str, said: str | ToolCall) -> tuple[str, str]:
    if isinstance(said, ToolCall):
        line = f"{review.one_line(said.name, 60)} {review.one_line(shorten(short_arguments(said), 80))}"
        return tool_html(line, review.arguments(said.arguments).text, said.result), f"▸ {line}"
    said = strip_control_chars(said)
    match kind:
        case "prompt":
            return _asked(said), f"You: {said}"
        case "text":
            return markdown.to_html(said), f"Agent: {said}"
        case _:
            return f"<p>{formulas.escape(said)}</p>", said


def _asked(text: str) -> str:
    style = "border-left: 3px solid var(--jp-brand-color1, #1976d2); padding: 4px 10px; white-space: pre-wrap"
    return f'<div class="{markdown.NO_FORMULAS}" style="{style}"><b>You</b> {formulas.escape(text)}</div>'
