"""A conversation as static HTML and text: what a saved notebook shows of a chat, where no widget lives."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Sequence

from ..text import strip_control_chars, truncate_for_display
from ..turn import ToolCall, Turn
from . import markdown, review
from .formulas import escape
from .html import tool_html, turn_html
from .items import Entry
from .text import arguments_line, turn_text

PART = 7_000
"""Characters with which a part is full: so much is made and sent again with what is new."""
Unit = Entry | Turn
Part = tuple[str, str]
"""HTML and text."""


class Transcript:
    """Renders a transcript in parts, and of them only those in which something is new: in a long
    conversation the last one.

    >>> transcript, earlier = Transcript(), [("prompt", "Hi")]
    >>> transcript.render("main", earlier, [])[0][1]
    'You: Hi'
    >>> transcript.render("main", earlier, [])
    [None]
    """

    def __init__(self) -> None:
        self._parts: list[list[Unit]] = []
        """What each part shows; all but the last one are full."""

    def render(self, name: str, earlier: Sequence[Entry], turns: Sequence[Turn]) -> list[Part | None]:
        """The conversation `name`: `earlier` messages, then `turns`. None stands for a part that is as it was
        the last time."""
        units: list[Unit] = [*earlier, *turns]
        before, self._parts = self._parts, []
        parts: list[Part | None] = []
        at = 0
        while not parts or at < len(units):
            index = len(parts)
            old = before[index] if index < len(before) else None
            # One that is full keeps its size, so that a late count in it changes no other.
            end = at + len(old) if old is not None and index < len(before) - 1 else len(units)
            shown = units[at:end]
            is_last = end >= len(units)
            was_last = index == len(before) - 1
            if old is not None and is_last == was_last and _are_same(old, shown):
                parts.append(None)
            else:
                made = list(_until_full(shown) if is_last else map(_rendered, shown))
                shown = shown[: len(made)]
                parts.append(_join(made) if units else _nothing(name))
            self._parts.append(shown)
            at += len(shown)
        return parts


def _are_same(old: Sequence[Unit], now: Sequence[Unit]) -> bool:
    return len(old) == len(now) and all(map(operator.is_, old, now))


def _until_full(units: Iterable[Unit]) -> Iterator[Part]:
    size = 0
    for unit in units:
        made = _rendered(unit)
        length = sum(map(len, made))
        if size and size + length > PART:
            return
        size += length
        yield made


def _nothing(name: str) -> Part:
    line = f"Chat {name}: nothing said yet."
    return escape(line), line


def joined(units: Iterable[Unit]) -> Part:
    """Messages and turns as one."""
    return _join([_rendered(unit) for unit in units])


def _rendered(unit: Unit) -> Part:
    return _turn(unit) if isinstance(unit, Turn) else _entry(*unit)


def _join(made: Sequence[Part]) -> Part:
    return "".join(html for html, _ in made), strip_control_chars("\n\n".join(text for _, text in made))


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
