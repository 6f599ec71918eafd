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
from ....session import Usage
from ....text import replace_surrogates
from ....turn import byte_length, estimate_tokens
from .base import Rules
from .costs import OTHER, billed_calls, cost_of
from .reply import CallParts, Reply
from .think_tags import ThinkTags

PASSED_OVER = frozenset({"citations_delta", "ping"})
"""Deltas and events that have nothing for the reader: citations repeat what the text says."""

_5M, _1H = "ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens"
_READ, _WRITTEN = "cache_read_input_tokens", "cache_creation_input_tokens"
_COUNTS = ("input_tokens", _READ, _WRITTEN, _5M, _1H, "output_tokens", "thinking_tokens")
_KINDS = {"text": "text", "thinking": "thinking", "name": "tool_use", "data": "redacted_thinking"}
_DETAILS = {
    "max_tokens": "cut off: the model's limit of tokens",
    "model_context_window_exceeded": "cut off: the conversation no longer fits the model's context",
    "pause_turn": "paused by the provider",
    "refusal": "refused by the provider",
}
_PROOFS = {"thinking": "signature", "redacted_thinking": "data"}
"""What thinking has to have when it goes back."""
_MOST_TOKENS = 10**9
"""What is more is no count."""
_RULES = Rules()


class _Counted(Reply):
    """A Reply whose usage is made when it is asked for, and not anew with each word."""

    count: Callable[[], Usage | None] = staticmethod(lambda: None)

    @property
    def usage(self) -> Usage | None:
        """The server's count, and an estimate of what came since."""
        return self.count()

    @usage.setter
    def usage(self, usage: Usage | None) -> None: ...


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
        self.reply: Reply = (reply := _Counted())
        reply.count = self._usage
        self._origin, self._digest = origin, digest
        self._tags = ThinkTags()
        self._blocks: dict[int, _Block] = {}
        self._last = 0
        self._counts: dict[str, int] = {}
        self._counted = 0
        """Bytes of what came before the server's last count."""
        self._is_counted = False

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
            self._count(usage)
            self._is_counted = True

    def _index(self, event: Mapping[str, Any]) -> int:
        index = event.get("index")
        return index if isinstance(index, int) else self._last

    # The message

    def _message(self, message: Mapping[str, Any]) -> Iterator[Event]:
        """A message, whole or yet to come."""
        self.reply.model = _text(message.get("model")) or self.reply.model
        self.reply.id = _text(message.get("id"))[:200] or self.reply.id
        content = message.get("content")
        for index, block in enumerate(content if isinstance(content, list) else [content]):
            if isinstance(block, str):
                block = {"type": "text", "text": block}
            if isinstance(block, dict):
                yield from self._begin(index, block)
        if isinstance(usage := message.get("usage"), dict):
            self._count(usage)
        self._stop(message)

    def _stop(self, delta: Mapping[str, Any]) -> None:
        reason = _text(delta.get("stop_reason"))
        if not reason:
            return
        details = delta.get("stop_details")
        details = details if isinstance(details, dict) else {}
        detail = _text(details.get("explanation")) or _text(details.get("category"))
        self._finish_blocks()
        self.reply.detail = ": ".join(filter(None, (_DETAILS.get(reason, ""), detail)))
        if reason == "stop_sequence":
            self.reply.detail = f"ended at {_text(delta.get('stop_sequence')) or 'a stop sequence'!r}"
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
        kind = _text(values.get("type"))
        if not kind or "text" in values or "thinking" in values:
            kind = next((kind for name, kind in _KINDS.items() if name in values), kind)
        block = self._blocks[index] = _Block(kind, {**values, "type": kind})
        if kind == "tool_use":
            block.call = self.reply.add_call(_text(values.get("id")), _text(values.get("name")))
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
        if text := _text(delta.get("text")):
            yield from self._say(self._tags.split(text))
        if "thinking" in delta:
            text = _text(delta["thinking"])
            if block is not None:
                block.add("thinking", text)
            yield from self.reply.add_thinking(text)
        if block is not None and "signature" in delta:
            block.add("signature", _text(delta["signature"]))
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
                values["signature"] = block.joined("signature") or _text(values.get("signature"))
            elif _is_object(arguments):
                values["input"] = json.loads(arguments)
            proof = _PROOFS.get(block.type)
            if proof and not (isinstance(values.get(proof), str) and values[proof]):
                # Without one it would be refused.
                self.reply.parts = [part for part in self.reply.parts if part is not block.opaque]
                return
            made = {"block": replace_surrogates(values), "request": self._digest()}
            cast(dict[str, Any], block.opaque.payload).update(made)

    # Counts

    def _count(self, usage: Mapping[str, Any]) -> None:
        """What the server counted so far: its numbers are cumulative."""
        for counts in (usage, usage.get("cache_creation"), usage.get("output_tokens_details")):
            if not isinstance(counts, dict):
                continue
            for name in _COUNTS:
                if (count := _tokens(counts.get(name))) is not None:
                    self._counts[name] = count
        if _tokens(usage.get("output_tokens")) is not None:
            self._counted = self.reply.received
        cost = cost_of(usage, _RULES)
        self.reply.cost = self.reply.cost if cost is None else cost
        self.reply.billed_calls |= billed_calls(usage)
        if usage.get("inference_geo") == "us":
            # A tenth more, of some models.
            self.reply.billed_calls[OTHER] = 1
        # Both have prices of their own.
        tier = "fast" if usage.get("speed") == "fast" else _text(usage.get("service_tier"))
        self.reply.service_tier = self.reply.service_tier if tier in ("", "standard") else tier

    def _usage(self) -> Usage | None:
        """Until the server's last count, what came since is estimated."""
        counts = self._counts
        if "input_tokens" not in counts or not any(counts.values()):
            return None
        an_hour = counts.get(_1H, 0)
        written = counts.get(_WRITTEN, an_hour + counts.get(_5M, 0))
        an_hour = min(an_hour, written)
        since = estimate_tokens(self.reply.received - self._counted)
        output = counts.get("output_tokens", 0) + since
        return Usage(
            uncached_input_tokens=counts["input_tokens"],
            cache_read_input_tokens=counts.get(_READ, 0),
            cache_write_5m_input_tokens=written - an_hour,
            cache_write_1h_input_tokens=an_hour,
            output_tokens=output,
            reasoning_output_tokens=min(output, counts.get("thinking_tokens", 0)),
            estimated=not (self.reply.stop_reason and self._is_counted) or since > 0,
        )


def _tokens(value: Any) -> int | None:
    """The count that `value` is, None where it is none."""
    is_count = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _MOST_TOKENS
    return value if is_count else None


def _text(value: Any) -> str:
    """The text that `value` is or, in parts, has."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        return _text(value.get("text"))
    return "".join(map(_text, value)) if isinstance(value, list) else ""


def _json(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False
