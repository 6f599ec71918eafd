"""What is new for the reader of an answer, whatever the wire."""

from __future__ import annotations

from typing import Any

import pytest

from praison_nb.backends.local.wires import ModelRequest, wire
from praison_nb.events import TextDelta, Thinking


def chat(text: str) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": {"content": text}}]}


def messages(text: str) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}


def responses(text: str) -> dict[str, Any]:
    return {"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": text}


WIRES = {"chat": chat, "messages": messages, "responses": responses}


@pytest.mark.parametrize("size", [1, 2, 5, 100])
@pytest.mark.parametrize(
    ("text", "thinking", "answer"),
    [
        ("<think>1 < 2</think>\n4 <think>", "1 < 2", "4 <think>"),
        (" <thi", "", " <thi"),
        ("<think>\U0001f600</think>\U0001f600", "\U0001f600", "\U0001f600"),
        ("<think>only", "only", ""),
    ],
)
@pytest.mark.parametrize("name", WIRES)
def test_thinking_in_the_text(name: str, text: str, thinking: str, answer: str, size: int) -> None:
    reader = wire(name).reader(ModelRequest(model="m", origin="x/m", history=()))
    # As UTF-16 has it, a character may come in halves.
    units = text.encode("utf-16-le")
    pieces = [
        units[at : at + 2 * size].decode("utf-16-le", "surrogatepass")
        for at in range(0, len(units), 2 * size)
    ]
    made = [event for piece in pieces for event in reader.read(WIRES[name](piece))]
    made += reader.end()
    told = {
        kind: "".join(event.text for event in made if isinstance(event, kind))
        for kind in (TextDelta, Thinking)
    }
    assert (whole(told[TextDelta]), whole(told[Thinking])) == (answer, thinking)
    assert whole(reader.reply.text) == answer


def whole(text: str) -> str:
    return text.encode("utf-16", "surrogatepass").decode("utf-16")


def test_a_whole_text_with_thinking_behind_its_pieces() -> None:
    reader = wire("responses").reader(ModelRequest(model="m", origin="x/m", history=()))
    content = [{"type": "output_text", "text": "<think>1</think>2 \U0001f600!"}]
    item = {"type": "message", "id": "m", "content": content}
    for piece in ("<think>1</think>2 ", "\ud83d", "\ude00"):
        list(reader.read(responses(piece)))
    list(reader.read({"type": "response.output_item.done", "output_index": 0, "item": item}))
    response = {"status": "completed", "output": [item]}
    assert list(reader.read({"type": "response.completed", "response": response})) == []
    assert (reader.reply.text, reader.reply.stop_reason) == ("2 \U0001f600!", "end_turn")


ADDED = {"type": "response.output_item.added", "output_index": 0}
BEGUN = {"type": "content_block_start", "index": 0}


@pytest.mark.parametrize(
    ("name", "event"),
    [
        ("chat", {"choices": [{"delta": {"role": "assistant", "content": "", "reasoning_content": ""}}]}),
        ("messages", {**BEGUN, "content_block": {"type": "thinking", "thinking": "", "signature": ""}}),
        ("messages", {**BEGUN, "content_block": {"type": "redacted_thinking", "data": "x"}}),
        ("messages", {"type": "content_block_delta", "index": 0, "delta": {"thinking": ""}}),
        ("messages", {"type": "content_block_delta", "index": 0, "delta": {"text": ""}}),
        ("responses", {**ADDED, "item": {"type": "reasoning", "id": "rs_1", "summary": []}}),
        ("responses", {"type": "response.reasoning_text.delta", "output_index": 0, "delta": ""}),
    ],
)
def test_the_same_once_more_is_nothing_new(name: str, event: dict[str, Any]) -> None:
    reader = wire(name).reader(ModelRequest(model="m", origin="x/m", history=()))
    list(reader.read(event))
    progress = reader.reply.progress
    for _ in range(3):
        list(reader.read(event))
    assert reader.reply.progress == progress <= 1
