"""A conversation as a chat's page shows it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from .. import plain, render
from ..turn import Message, ToolCall, Turn
from .live import text_item, tool_item


def message_items(said: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Messages as chat completions have them: what user and agent said, and the tools that were called. What
    is none of these is left out."""
    results = {str(each.get("tool_call_id")): each.get("content") for each in said if _role(each) == "tool"}
    items = []
    for index, message in enumerate(said):
        kind = {"user": "prompt", "assistant": "text"}.get(_role(message))
        if kind and isinstance(text := message.get("content"), str) and text:
            items.append({**line_item(kind, f"earlier-{index}", plain.shown(text)), "more": 0})
        for call in _calls(message, results):
            # A message tells neither how a call went nor how long it took.
            told = {"id": f"earlier-{index}-{call.id}", "state": "past", "seconds": ""}
            items.append({**tool_item(call), **told})
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
    """A text of one of the kinds prompt, text, note and error."""
    return {"kind": kind, "id": item_id, "text": plain.clean(text)}


def turn_items(turn: Turn) -> list[dict[str, Any]]:
    """A turn as the page shows it: what was asked, what came, what is to be said about it."""
    said = [("prompt", plain.shown(turn.prompt))]
    items: list[dict[str, Any]] = []
    room = plain.SHOWN_CHARACTERS
    for index, item in enumerate(turn.items):
        if isinstance(item, Message):
            items.append({**text_item(item, index, room), "id": f"{turn.id}-{item.id or index}"})
            room = max(0, room - len(item.text))
        else:
            items.append(tool_item(item))
    notes = [("note", notice) for notice in turn.notices]
    if stopped := render.stopped(turn):
        notes.append(("note", stopped))
    if turn.error:
        notes.append(("error", render.error_text(turn)))

    def lines(told: list[tuple[str, str]]) -> list[dict[str, Any]]:
        return [line_item(kind, f"{turn.id}-{kind}-{i}", text) for i, (kind, text) in enumerate(told)]

    return [*lines(said), *items, *lines(notes)]
