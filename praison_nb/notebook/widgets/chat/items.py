"""A conversation as a chat's page shows it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from ....render import review
from ....render.panel import stop_text
from ....render.text import error_text
from ....text import strip_control_chars, truncate_for_display
from ....turn import ToolCall, Turn
from ...views.live_view import tool_item
from ...views.text_items import TextItems, text_item

Said = tuple[str, str | ToolCall]
"""What was said: ("prompt" or "text", text), or ("tool", call)."""


def said_in(messages: Sequence[dict[str, Any]]) -> list[Said]:
    """What user and agent said in messages as chat completions have them, and the tools that were called.
    What is none of these is left out.

    >>> said_in([{"role": "user", "content": "Hi"}, {"role": "system", "content": "Be brief."}])
    [('prompt', 'Hi')]
    """
    results = {
        str(each.get("tool_call_id")): each.get("content") for each in messages if _role(each) == "tool"
    }
    said: list[Said] = []
    for message in messages:
        kind = {"user": "prompt", "assistant": "text"}.get(_role(message))
        if kind and isinstance(text := message.get("content"), str) and text:
            said.append((kind, truncate_for_display(text)))
        said += [("tool", call) for call in _calls(message, results)]
    return said


def earlier_items(said: Iterable[Said]) -> list[dict[str, Any]]:
    """What was said before as items of the page."""
    items = []
    for index, (kind, what) in enumerate(said):
        if isinstance(what, ToolCall):
            # A message tells neither how a call went nor how long it took.
            told = {"id": f"earlier-{index}-{what.id}", "state": "past", "seconds": ""}
            items.append({**tool_item(what), **told})
        elif kind == "text":
            items.append(text_item(what, f"earlier-{index}"))
        else:
            items.append(line_item(kind, f"earlier-{index}", what))
    return items


def _role(message: dict[str, Any]) -> str:
    return str(message.get("role"))


def _calls(message: dict[str, Any], results: dict[str, Any]) -> Iterator[ToolCall]:
    """The message's tool calls. It may be the user's own, so nothing is taken for granted."""
    calls = message.get("tool_calls")
    for call in calls if isinstance(calls, list) else ():
        match call:
            case {"id": str(key), "function": {"name": str(name), "arguments": str(arguments)}}:
                yield ToolCall(key, name, arguments, "function", 0.0, result=str(results.get(key) or ""))


def line_item(kind: str, item_id: str, text: str) -> dict[str, Any]:
    """A text of one of the kinds prompt, note and error."""
    return {"kind": kind, "id": item_id, "text": strip_control_chars(text)}


def turn_items(turn: Turn, texts: TextItems) -> list[dict[str, Any]]:
    """A turn as the page shows it: what was asked, what came, what is to be said about it. `texts` remembers
    what of the turn is rendered."""
    items = texts.of(turn, tool_item)
    items = [{**each, "id": f"{turn.id}-{each['id']}"} if each["kind"] == "text" else each for each in items]
    notes = [("note", review.one_line(notice)) for notice in turn.notices]
    if stopped := stop_text(turn):
        notes.append(("note", stopped))
    if turn.error:
        notes.append(("error", error_text(turn)))

    def lines(told: list[tuple[str, str]]) -> list[dict[str, Any]]:
        return [line_item(kind, f"{turn.id}-{kind}-{i}", text) for i, (kind, text) in enumerate(told)]

    return [*lines([("prompt", truncate_for_display(turn.prompt))]), *items, *lines(notes)]
