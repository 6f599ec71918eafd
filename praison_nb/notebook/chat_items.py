"""A conversation as a chat shows it: items for the page, and the still transcript."""

from __future__ import annotations

from html import escape
from typing import Any

from .. import render
from ..backends.base import Session
from ..turn import Message, Turn
from .live import text_item, tool_item


def earlier_items(session: Session, count: int) -> list[dict[str, Any]]:
    """What was said before the last `count` prompts, where the session's messages are kept here."""
    said = [message for message in session.messages if isinstance(message, dict)]
    prompts = [index for index, message in enumerate(said) if message.get("role") == "user"]
    if len(prompts) < count:
        return []
    end = prompts[len(prompts) - count] if count else len(said)
    items = []
    for index, message in enumerate(said[:end]):
        kind = {"user": "prompt", "assistant": "text"}.get(str(message.get("role")))
        if kind and isinstance(text := message.get("content"), str) and text:
            shown = render.clean(render.shown(text))
            items.append({"kind": kind, "id": f"earlier-{index}", "text": shown, "more": 0})
    return items


def turn_items(turn: Turn) -> list[dict[str, Any]]:
    """A turn as the page shows it: what was asked, what came, what is to be said about it."""
    said = [("prompt", render.shown(turn.prompt))]
    items: list[dict[str, Any]] = []
    room = render.SHOWN_CHARACTERS
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
        return [
            {"kind": kind, "id": f"{turn.id}-{kind}-{i}", "text": render.clean(text)}
            for i, (kind, text) in enumerate(told)
        ]

    return [*lines(said), *items, *lines(notes)]


def still_turn(turn: Turn) -> tuple[str, str]:
    """A turn as still HTML and as text."""
    asked = render.clean(render.shown(turn.prompt))
    style = "border-left: 3px solid var(--jp-brand-color1, #1976d2); padding: 4px 10px; white-space: pre-wrap"
    html = f'<div style="{style}"><b>You</b> {escape(asked)}</div>{render.html(turn)}'
    return html, f"You: {asked}\n\n{render.text(turn)}"
