"""What is new for the reader of an answer, whatever the wire."""

from __future__ import annotations

from typing import Any

import pytest

from praison_nb.backends.local.wires import ModelRequest, wire

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
