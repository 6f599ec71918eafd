"""The transcript of a chat as plain HTML and text: what a saved notebook shows where no widget lives."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Any

from .. import markdown, plain, render
from ..turn import Turn


class Transcript:
    """Renders the transcript whole each time, and each turn once."""

    def __init__(self) -> None:
        self._turns: dict[str, tuple[Turn, str, str]] = {}

    def render(self, name: str, before: Iterable[dict[str, Any]], turns: Iterable[Turn]) -> tuple[str, str]:
        """The conversation `name` as HTML and as text: the items `before`, then `turns`."""
        known, self._turns = self._turns, {}
        for turn in turns:
            old = known.get(turn.id)
            self._turns[turn.id] = old if old and old[0] is turn else (turn, *_still_turn(turn))
        parts = [_still_item(item) for item in before]
        parts += [(html, text) for _, html, text in self._turns.values()]
        if not parts:
            words = f"Chat {name}: nothing said yet."
            parts = [(escape(words), words)]
        return "".join(html for html, _ in parts), plain.clean("\n\n".join(text for _, text in parts))


def _still_turn(turn: Turn) -> tuple[str, str]:
    asked = plain.clean(plain.shown(turn.prompt))
    return f"{_asked(asked)}{render.html(turn)}", f"You: {asked}\n\n{render.text(turn)}"


def _still_item(item: dict[str, Any]) -> tuple[str, str]:
    if item["kind"] == "tool":
        line = f"{item['name']} {item['line']}"
        return render.folded(line, item["arguments"], item["result"]), f"▸ {line}"
    text = item["text"]
    match item["kind"]:
        case "prompt":
            return _asked(text), f"You: {text}"
        case "text":
            return markdown.to_html(text), f"Agent: {text}"
        case _:
            return f"<p>{escape(text)}</p>", text


def _asked(text: str) -> str:
    style = "border-left: 3px solid var(--jp-brand-color1, #1976d2); padding: 4px 10px; white-space: pre-wrap"
    return f'<div style="{style}"><b>You</b> {escape(text)}</div>'
