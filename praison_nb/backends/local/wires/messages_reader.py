"""What a server of Anthropic's Messages answers, event by event.

The kind of a thing is known by what it has, and by its `type` only where that is not enough: a gateway may
leave out or rename anything. Blocks that are neither text, thinking nor a call of our tools (the provider's
own tools, and what they found) are kept whole, since they have to go back.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, cast

from ....events import Event
from ....history import Opaque
from ....text import replace_surrogates
from ....turn import byte_length
from .messages_usage import CountedReply, text_in
from .reply import CallParts
from .think_tags import ThinkTags

PASSED_OVER = frozenset({"citations_delta", "ping"})
"""Deltas and events that have nothing for the reader: citations repeat what the text says."""

_KINDS = {"text": "text", "thinking": "thinking", "name": "tool_use", "data": "redacted_thinking"}
_DETAILS = {
    "max_tokens": "cut off: the model's limit of tokens",
    "model_context_window_exceeded": "cut off: the conversation no longer fits the model's context",
    "pause_turn": "paused by the provider",
    "refusal": "refused by the provider",
}
_PROOFS = {"thinking": "signature", "redacted_thinking": "data"}
"""What thinking has to have when it goes back."""


@dataclass(eq=False)
class _Block:
    """A block that is under way. `values` is how it began; what is added comes in pieces. One that goes back
    as it is stands in the reply as `opaque` from its beginning on, and is put together at its end."""

    type: str
    values: dict[str, Any]
    pieces: dict[str, list[str]] = field(default_factory=dict)
    call: CallParts | None = None
    opaque: Opaque | None = None

    def add(self, name: str, text: str) -> None:
        self.pieces.setdefault(name, []).append(text)

    def joined(self, name: str) -> str:
        return "".join(self.pieces.get(name, ()))


class MessagesReader:
    """Reads one answer. `origin` is who wrote it; `digest` is that of the request that it answers."""

    def __init__(self, origin: str, digest: Callable[[], str]) -> None:
        self.reply = CountedReply()
        self._origin, self._digest = origin, digest
        self._tags = ThinkTags()
        self._blocks: dict[int, _Block] = {}
        self._last = 0

    def read(self, event: Mapping[str, Any]) -> Iterator[Event]:
        """Take one event, or a whole message."""
        with suppress(RecursionError):  # so deep is no event of any server
            yield from self._read(event)

    def end(self) -> Iterator[Event]:
        """The server said that this was all."""
        yield from self._say(self._tags.rest())
        with suppress(RecursionError):
            self._finish_blocks()
        if not self.reply.stop_reason and self.reply.error is None:
            self.reply.stop_reason = "tool_use" if self.reply.calls else "end_turn"

    def _read(self, event: Mapping[str, Any]) -> Iterator[Event]:
        kind = event.get("type")
        # What goes wrong behind the end of an answer takes nothing from it.
        if (kind == "error" or event.get("error")) and not self.reply.stop_reason:
            self.reply.error = event.get("error") or dict(event)
        if isinstance(delta := event.get("delta"), dict):
            self._stop(delta)
            yield from self._add(self._index(event), delta)
        elif isinstance(block := event.get("content_block"), dict):
            yield from self._begin(self._index(event), block)
        elif isinstance(message := event.get("message"), dict):
            yield from self._message(message)
        elif isinstance(event.get("content"), list | str):
            yield from self._message(event)
            yield from self.end()
        elif kind == "content_block_stop" and (stopped := self._blocks.pop(self._index(event), None)):
            self._finish(stopped)
        elif kind == "message_stop":
            yield from self.end()
        if isinstance(usage := event.get("usage"), dict):
            self.reply.count(usage)

    def _index(self, event: Mapping[str, Any]) -> int:
        index = event.get("index")
        return index if isinstance(index, int) else self._last

    # The message

    def _message(self, message: Mapping[str, Any]) -> Iterator[Event]:
        """A message, whole or yet to come."""
        self.reply.model = text_in(message.get("model")) or self.reply.model
        self.reply.id = text_in(message.get("id"))[:200] or self.reply.id
        content = message.get("content")
        for index, block in enumerate(content if isinstance(content, list) else [content]):
            if isinstance(block, str):
                block = {"type": "text", "text": block}
            if isinstance(block, dict):
                yield from self._begin(index, block)
        if isinstance(usage := message.get("usage"), dict):
            self.reply.count(usage, is_last=False)
        self._stop(message)

    def _stop(self, delta: Mapping[str, Any]) -> None:
        reason = text_in(delta.get("stop_reason"))
        if not reason:
            return
        details = delta.get("stop_details")
        details = details if isinstance(details, dict) else {}
        detail = text_in(details.get("explanation")) or text_in(details.get("category"))
        self._finish_blocks()
        self.reply.detail = ": ".join(filter(None, (_DETAILS.get(reason, ""), detail)))
        if reason == "stop_sequence":
            self.reply.detail = f"ended at {text_in(delta.get('stop_sequence')) or 'a stop sequence'!r}"
            reason = "end_turn"
        elif reason == "model_context_window_exceeded":
            reason = "max_tokens"
        self.reply.stop_reason = reason
        if reason in ("max_tokens", "refusal"):
            self._drop_half_call()

    def _drop_half_call(self) -> None:
        last = self.reply.parts[-1] if self.reply.parts else None
        if isinstance(last, CallParts) and not _is_object("".join(last.arguments)):
            self.reply.parts.pop()

    # Blocks

    def _begin(self, index: int, values: Mapping[str, Any]) -> Iterator[Event]:
        if index in self._blocks:
            self._finish(self._blocks.pop(index))
        self._last = index
        yield from self._say(self._tags.rest())
        kind = text_in(values.get("type"))
        if not kind or "text" in values or "thinking" in values:
            kind = next((kind for name, kind in _KINDS.items() if name in values), kind)
        block = self._blocks[index] = _Block(kind, {**values, "type": kind})
        if kind == "tool_use":
            block.call = self.reply.add_call(text_in(values.get("id")), text_in(values.get("name")))
        elif kind not in ("", "text"):
            self.reply.add_opaque("messages", self._origin, {})
            block.opaque = cast(Opaque, self.reply.parts[-1])
        if kind in ("text", "thinking"):
            yield from self._add(index, {kind: values.get(kind)})
        elif kind == "redacted_thinking":
            yield from self.reply.add_thinking("")

    def _add(self, index: int, delta: Mapping[str, Any]) -> Iterator[Event]:
        """More of a block. Text and thinking need none."""
        block = self._blocks.get(index)
        if text := text_in(delta.get("text")):
            yield from self._say(self._tags.split(text))
        if "thinking" in delta:
            text = text_in(delta["thinking"])
            if block is not None:
                block.add("thinking", text)
            yield from self.reply.add_thinking(text)
        if block is not None and "signature" in delta:
            block.add("signature", text_in(delta["signature"]))
        if block is not None and "partial_json" in delta:
            text = delta["partial_json"]
            text = text if isinstance(text, str) else json.dumps(text)
            block.add("input", text)
            if block.call is not None:
                self.reply.add_arguments(block.call, text)
            else:
                self.reply.received += byte_length(text)

    def _say(self, parts: Iterator[tuple[bool, str]]) -> Iterator[Event]:
        for is_thinking, text in parts:
            yield from self.reply.add_thinking(text) if is_thinking else self.reply.add_text(text)

    def _finish_blocks(self) -> None:
        while self._blocks:
            self._finish(self._blocks.pop(next(iter(self._blocks))))

    def _finish(self, block: _Block) -> None:
        values, arguments = block.values, block.joined("input")
        if block.call is not None:
            if not arguments.strip() and values.get("input"):
                # The whole call was in its beginning.
                self.reply.add_arguments(block.call, _json(values["input"]))
        elif block.opaque is not None:
            if block.type == "thinking":
                values["thinking"] = block.joined("thinking")
                values["signature"] = block.joined("signature") or text_in(values.get("signature"))
            elif _is_object(arguments):
                values["input"] = json.loads(arguments)
            proof = _PROOFS.get(block.type)
            if proof and not (isinstance(values.get(proof), str) and values[proof]):
                # Without one it would be refused.
                self.reply.parts = [part for part in self.reply.parts if part is not block.opaque]
                return
            made = {"block": replace_surrogates(values), "request": self._digest()}
            cast(dict[str, Any], block.opaque.payload).update(made)


def _json(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False
