"""The items of a turn as a page shows them, its texts as HTML that grows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...render.markdown import Budget, Growing, Shown
from ...text import DISPLAY_CHARACTERS, truncate_for_display
from ...turn import Message, ToolCall, Turn


class TextItems:
    r"""Remembers what of a turn's messages is HTML already, so that only what is new is rendered.

    >>> from praison_nb.turn import Message, Turn
    >>> TextItems().of(Turn(items=(Message("m", ("*a*",)),)), lambda call: {})
    [{'kind': 'text', 'id': 'm', 'tail': '<p><em>a</em></p>\n'}]
    """

    def __init__(self) -> None:
        self._growing: dict[str, tuple[Budget, Growing]] = {}

    def of(self, turn: Turn, tool_item: Callable[[ToolCall], dict[str, Any]]) -> list[dict[str, Any]]:
        """The items in their order; `more` says how many characters of a text are not shown."""
        items: list[dict[str, Any]] = []
        budget, room = Budget(), DISPLAY_CHARACTERS
        for index, item in enumerate(turn.items):
            if isinstance(item, ToolCall):
                items.append(tool_item(item))
                continue
            made, budget = self._text(item, item.id or str(index), budget, room)
            room = max(0, room - len(item.text))
            items.append(made)
        return items

    def _text(self, message: Message, key: str, budget: Budget, room: int) -> tuple[dict[str, Any], Budget]:
        before, growing = self._growing.get(key, (None, None))
        if growing is None or before != budget:
            growing = Growing(budget)
            self._growing[key] = budget, growing
        text = message.text
        shown = growing.show(text[:room])
        return _item(key, shown, max(0, len(text) - room)), growing.budget


def text_item(text: str, key: str) -> dict[str, Any]:
    """A text that will not grow."""
    return _item(key, Growing().show(truncate_for_display(text)), 0)


def _item(key: str, shown: Shown, more: int) -> dict[str, Any]:
    # What is empty is left out: a chat has thousands of them.
    fields = {**shown._asdict(), "more": more}
    return {"kind": "text", "id": key, **{name: value for name, value in fields.items() if value}}
