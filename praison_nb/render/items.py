"""The items of a turn, and of the messages before it, as a page shows them: dicts with a `kind` and an `id`.

A "text" is HTML that grows (`markdown.Rendered`), and `more` characters that are not shown; a "tool" is as
`tool_item` has it; "prompt", "note" and "error" have their `text`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..history import Call, Item, Summary, Text, User, results_by_call
from ..text import DISPLAY_CHARACTERS, strip_control_chars, truncate_for_display
from ..turn import Message, ToolCall, Turn
from . import review
from .files import files_line
from .markdown import Budget, MarkdownStream, Rendered
from .panel import stop_text, thread_lines
from .table import code_html, data_table
from .text import RESULTS, arguments_line, error_text, is_typed

Entry = tuple[str, str | ToolCall]
"""An earlier message: ("prompt", "text" or "note", the text), or ("tool", the call)."""


class TurnItems:
    r"""Makes a turn's items, and remembers those that it made, so that only what is new is rendered.

    >>> from praison_nb.turn import Message, Turn
    >>> TurnItems().answer(Turn(items=(Message("m", ("*a*",)),)))
    [{'kind': 'text', 'id': 'm', 'tail': '<p><em>a</em></p>\n'}]
    """

    def __init__(self, *, typed: bool = False) -> None:
        self.typed = typed
        self._texts: dict[str, _Text] = {}
        self._calls: dict[str, tuple[ToolCall, dict[str, Any]]] = {}

    def answer(self, turn: Turn) -> list[dict[str, Any]]:
        """The answer's texts and tool calls in their order."""
        if self.typed or is_typed(turn):
            return [*map(tool_item, turn.tools), *_typed_items(turn)]
        items: list[dict[str, Any]] = []
        budget, room = Budget(), DISPLAY_CHARACTERS
        for index, item in enumerate(turn.items):
            if isinstance(item, ToolCall):
                items.append(self._call(item))
                continue
            made, budget = self._text(item, item.id or str(index), budget, room)
            room = max(0, room - len(item.text))
            items.append(made)
        return items

    def exchange(self, turn: Turn) -> list[dict[str, Any]]:
        """Prompt, answer, notices and error. No other turn's items have the same ids."""
        answer = self.answer(turn)
        answer = [
            {**item, "id": f"{turn.id}-{item['id']}"} if item["kind"] == "text" else item for item in answer
        ]
        notes = [("note", review.one_line(notice)) for notice in turn.notices]
        notes += [("note", line) for line in thread_lines(turn)]
        notes += [("note", files_line(turn.files))] if turn.files else []
        notes += [("note", stopped)] if (stopped := stop_text(turn)) else []
        notes += [("error", error_text(turn))] if turn.error else []
        prompt = line_item("prompt", f"{turn.id}-prompt-0", truncate_for_display(turn.prompt))
        lines = (line_item(kind, f"{turn.id}-{kind}-{i}", text) for i, (kind, text) in enumerate(notes))
        return [prompt, *answer, *lines]

    def _call(self, call: ToolCall) -> dict[str, Any]:
        before, made = self._calls.get(call.id, (None, {}))
        if before is not call:
            made = tool_item(call)
            self._calls[call.id] = call, made
        return made

    def _text(self, message: Message, key: str, budget: Budget, room: int) -> tuple[dict[str, Any], Budget]:
        made = self._texts.get(key)
        if made is None or made.budget != budget:
            made = self._texts[key] = _Text(budget, MarkdownStream(budget))
        if made.message is not message or made.room != room:
            text, made.message, made.room = message.text, message, room
            made.item = _text_item(key, made.stream.render(text[:room]), max(0, len(text) - room))
        return made.item, made.stream.budget


@dataclass
class _Text:
    """A text's item, made of `message` where `budget` and `room` are left."""

    budget: Budget
    stream: MarkdownStream
    message: Message | None = None
    room: int = 0
    item: dict[str, Any] = field(default_factory=dict)


def _typed_items(turn: Turn) -> list[dict[str, Any]]:
    if turn.answer is not None:
        return [table_item("answer", data_table(turn.answer.data)[0])]
    code = code_html(truncate_for_display(turn.text)) if turn.text else ""
    return [{"kind": "text", "id": "answer", "tail": code}] if code else []


def table_item(item_id: str, html: str) -> dict[str, Any]:
    """A table, as `render.table` makes it, in the place of a text."""
    return {"kind": "text", "id": item_id, "done": html}


def _text_item(key: str, shown: Rendered, more: int = 0) -> dict[str, Any]:
    # What is empty is left out: a chat has thousands of them.
    fields = {**shown._asdict(), "more": more}
    return {"kind": "text", "id": key, **{name: value for name, value in fields.items() if value}}


def tool_item(call: ToolCall) -> dict[str, Any]:
    """A tool call: `name`, `line` and `seconds` of its one line, whole `arguments` and `result`, its `state`
    (asked, running, done, failed, denied), and the `question` where the user is asked: its parts as
    `review.Part` has them, how long it is in words, and the digest that a yes carries."""
    if call.ended is None:
        state = "asked" if call.approval == "asked" else "running"
    else:
        state = "denied" if call.approval == "denied" else "failed" if call.is_error else "done"
    arguments = review.arguments(call.arguments)
    more = "" if arguments.complete else f"\n… there is more in {RESULTS}."
    item: dict[str, Any] = {
        "kind": "tool",
        "id": call.id,
        "name": review.one_line(call.name, None if state == "asked" else 60),
        "line": arguments_line(call),
        "arguments": arguments.text + more,
        "result": strip_control_chars(truncate_for_display(call.result, RESULTS)),
        "state": state,
        "seconds": "" if call.seconds is None else f"{call.seconds:.1f} s",
        "question": None,
    }
    if state == "asked":
        digest = review.digest(call.name, call.arguments)
        item["question"] = {"parts": arguments.parts, "counts": arguments.counts, "digest": digest}
    return item


def line_item(kind: str, item_id: str, text: str) -> dict[str, Any]:
    """A text of one of the kinds prompt, note and error."""
    return {"kind": kind, "id": item_id, "text": strip_control_chars(text)}


def entries(history: Sequence[Item]) -> list[Entry]:
    """The texts of a history, and the tools that were called.

    >>> entries([User(text="Hi"), Text(text="Hello")])
    [('prompt', 'Hi'), ('text', 'Hello')]
    """
    results = results_by_call(history)
    found: list[Entry] = []
    for place, item in enumerate(history):
        match item:
            case User(text=text) if text:
                found.append(("prompt", truncate_for_display(text)))
            case Text(text=text) | Summary(text=text) if text:
                found.append(("text", truncate_for_display(text)))
            case Call(id=key, name=name, arguments=arguments):
                result = results[place].text if place in results else ""
                found.append(("tool", ToolCall(key, name, arguments, "function", 0.0, result=result)))
    return found


def entry_items(entries: Iterable[Entry]) -> list[dict[str, Any]]:
    """The items of earlier messages."""
    items = []
    for index, (kind, content) in enumerate(entries):
        key = f"earlier-{index}"
        if isinstance(content, ToolCall):
            # A message does not have how a call went and how long it took.
            past = {"id": f"{key}-{content.id}", "state": "past", "seconds": ""}
            items.append({**tool_item(content), **past})
        elif kind == "text":
            items.append(_text_item(key, MarkdownStream().render(truncate_for_display(content))))
        else:
            items.append(line_item(kind, key, content))
    return items
