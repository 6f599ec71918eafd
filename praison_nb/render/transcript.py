"""A conversation as static HTML and text: what a saved notebook shows of a chat, where no widget lives."""

from __future__ import annotations

from collections.abc import Iterable

from ..text import strip_control_chars, truncate_for_display
from ..turn import ToolCall, Turn
from . import markdown, review
from .formulas import escape
from .html import tool_html, turn_html
from .items import Entry
from .text import arguments_line, turn_text


class Transcript:
    """Renders the transcript whole each time, and each turn once.

    >>> Transcript().render("main", [("prompt", "Hi")], [])[1]
    'You: Hi'
    """

    def __init__(self) -> None:
        self._turns: dict[str, tuple[Turn, str, str]] = {}
        self._earlier: tuple[Iterable[Entry], list[tuple[str, str]]] = ([], [])

    def render(self, name: str, earlier: Iterable[Entry], turns: Iterable[Turn]) -> tuple[str, str]:
        """The conversation `name` as HTML and as text: `earlier` messages, then `turns`."""
        known, self._turns = self._turns, {}
        for turn in turns:
            old = known.get(turn.id)
            self._turns[turn.id] = old if old and old[0] is turn else (turn, *_turn(turn))
        if earlier is not self._earlier[0]:
            self._earlier = earlier, [_entry(*entry) for entry in earlier]
        parts = [*self._earlier[1], *((html, text) for _, html, text in self._turns.values())]
        if not parts:
            line = f"Chat {name}: nothing said yet."
            parts = [(escape(line), line)]
        return "".join(html for html, _ in parts), strip_control_chars("\n\n".join(text for _, text in parts))


def _turn(turn: Turn) -> tuple[str, str]:
    prompt = truncate_for_display(turn.prompt)
    return f"{_prompt_html(prompt)}{turn_html(turn)}", f"You: {prompt}\n\n{turn_text(turn)}"


def _entry(kind: str, content: str | ToolCall) -> tuple[str, str]:
    if isinstance(content, ToolCall):
        line = f"{review.one_line(content.name, 60)} {arguments_line(content)}"
        return tool_html(line, review.arguments(content.arguments).text, content.result), f"▸ {line}"
    match kind:
        case "prompt":
            return _prompt_html(content), f"You: {content}"
        case "text":
            return markdown.to_html(content), f"Agent: {content}"
        case _:
            return f"<p>{escape(content)}</p>", content


def _prompt_html(text: str) -> str:
    style = "border-left: 3px solid var(--jp-brand-color1, #1976d2); padding: 4px 10px; white-space: pre-wrap"
    return f'<div class="{markdown.NO_FORMULAS}" style="{style}"><b>You</b> {escape(text)}</div>'
