"""The answer to a chat completion, from whatever a server streams.

Tolerant by kind: what has the place of something is read as that, and what cannot be understood costs
nothing but itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ....events import Event
from ....turn import byte_length, estimate_tokens
from .base import ModelRequest
from .chat_calls import CallPieces
from .chat_usage import counts_in, usage_of
from .costs import billed_calls, cost_of, fees_in
from .fields import Fields
from .prompted_tools import chosen_call
from .reply import CallParts, Opaque, Reply, TextParts
from .think_tags import ThinkTags

CUT_OFF = "cut off: the model's limit of tokens"
FILTERED = "ended by the provider's content filter"
REFUSED = "the model refused to answer"

_STOP_REASONS = {
    **dict.fromkeys(("stop", "end_turn", "eos", "eos_token", "stop_sequence", "complete", "end"), "end_turn"),
    **dict.fromkeys(("tool_calls", "tool_call", "function_call", "tool_use"), "tool_use"),
    **dict.fromkeys(("length", "max_tokens", "max_output_tokens", "model_length"), "max_tokens"),
    **dict.fromkeys(("content_filter", "content_filtered", "safety", "refusal", "recitation"), "refusal"),
}
_DETAILS = {"max_tokens": CUT_OFF, "refusal": FILTERED}
_THINKING = ("reasoning_content", "reasoning", "thinking", "reasoning_details")
"""Fields of a message; servers that send several send the same in each."""
_TEXT = ("text", "content", "value", "thinking", "reasoning", "refusal", "summary")
"""Where a part of a content has its text."""
_DEEPEST = 30


@dataclass(eq=False)
class _Choice:
    """One of the answers, if the user asked for several; else the only one."""

    calls: CallPieces
    message: TextParts | None = None
    """That the text goes on with."""
    tags: ThinkTags = field(default_factory=ThinkTags)
    pieces: list[str] = field(default_factory=list)
    """Of the text as it came, tags and all."""
    has_deltas: bool = False
    has_thought: bool = False


class ChatReader:
    """Reads one answer. `sent` estimates the tokens of the request, for servers that do not count them;
    `is_choosing` where the whole text is to be a call (see `prompted_tools`)."""

    def __init__(self, asked: ModelRequest, *, sent: Callable[[], int], is_choosing: bool = False) -> None:
        self.reply = Reply()
        self._asked, self._sent, self._is_choosing = asked, sent, is_choosing
        self._tools = frozenset(tool.name for tool in asked.tools)
        self._choices: dict[int, _Choice] = {}
        self._chosen: list[str] = []
        self._unknown: Mapping[str, Any] | None = None
        """No answer, and no error either, unless nothing else comes."""
        self._of_message = Fields()
        self._of_calls: dict[CallParts, Fields] = {}
        self._has_refused = False

    def read(self, event: Any) -> Iterator[Event]:
        """Take one event of the stream and yield what it tells."""
        if isinstance(event, list):
            for each in event:
                if isinstance(each, dict):
                    yield from self._read(each)
        elif isinstance(event, dict):
            yield from self._read(event)

    def end(self) -> Iterator[Event]:
        """The stream ended as it should; many servers say so by nothing else."""
        for choice in self._choices.values():
            for is_thinking, text in choice.tags.rest():
                yield from self._say(choice, is_thinking, text)
        reply = self.reply
        if self._is_choosing and self._chosen:
            text = "".join(self._chosen)
            self._chosen.clear()
            if call := chosen_call(text):
                reply.add_arguments(reply.add_call(name=call[0]), call[1])
            elif reply.stop_reason:
                # Otherwise it was cut: half a call is none, and no text either.
                yield from reply.add_text(text)
        self._put_opaque()
        has_come = bool(reply.parts or reply.thought)
        if not has_come and reply.error is None:
            reply.error = self._unknown
        if not reply.stop_reason and has_come and reply.error is None:
            reply.stop_reason = "end_turn"
        if self._has_refused and reply.stop_reason == "end_turn":
            reply.stop_reason, reply.detail = "refusal", REFUSED
        if reply.stop_reason in ("end_turn", "tool_use"):
            reply.stop_reason = "tool_use" if reply.calls else "end_turn"

    def _read(self, event: Mapping[str, Any]) -> Iterator[Event]:
        if isinstance(model := event.get("model"), str) and model:
            self.reply.model = model
        if isinstance(made_id := event.get("id"), str) and made_id:
            self.reply.id = made_id[:200]
        if isinstance(tier := event.get("service_tier"), str) and tier:
            self.reply.service_tier = tier
        # What goes wrong behind the end of an answer takes nothing from it.
        if self.reply.error is None and not self.reply.stop_reason:
            self.reply.error = _error_in(event)
        if "choices" not in event and (isinstance(event.get("message"), str) or event.get("detail")):
            self._unknown = event
        for choice in _choices_of(event):
            yield from self._take(choice)
        self._count(event)

    def _count(self, event: Mapping[str, Any]) -> None:
        """Some servers send it with every chunk, cumulative: the last one counts."""
        reply, rules = self.reply, self._asked.rules
        for reported in counts_in(event):
            cost = cost_of(reported, rules)
            if cost is not None:
                reply.cost, reply.fees = cost, fees_in(reported)
            reply.billed_calls |= billed_calls(reported)
            usage = usage_of(
                reported, rules, sent=self._sent, received=lambda: estimate_tokens(reply.received)
            )
            if usage is not None:
                reply.usage = usage
                reply.may_count_more = bool(event.get("choices")) and not reply.stop_reason
                return

    def _take(self, choice: Mapping[str, Any]) -> Iterator[Event]:
        number = choice.get("index")
        number = number if isinstance(number, int) else 0
        if number not in self._choices:
            self._choices[number] = _Choice(CallPieces(self.reply, self._tools))
        state = self._choices[number]
        before = self.reply.received
        yield from self._message(state, choice.get("delta"))
        state.has_deltas |= self.reply.received > before
        message = choice.get("message")
        yield from self._whole(state, message) if state.has_deltas else self._message(state, message)
        if isinstance(text := choice.get("text"), str):
            yield from self._tagged(state, text)
        self._finish(choice.get("finish_reason"))

    def _finish(self, told: Any) -> None:
        if told in (None, "", False) or told == "null":
            return
        reason = told if isinstance(told, str) else "stop"
        if reason == "error":
            self.reply.error = self.reply.error or {"message": "the answer ended with finish_reason=error"}
            return
        self.reply.stop_reason = _STOP_REASONS.get(reason.lower(), reason[:100])
        self.reply.detail = _DETAILS.get(self.reply.stop_reason, "")
        self._put_opaque()

    def _message(self, state: _Choice, message: Any) -> Iterator[Event]:
        """A delta, or the message that some send in its place."""
        if not message:
            return
        if not isinstance(message, dict):
            yield from self._content(state, message)
            return
        self._has_refused = self._has_refused or bool(message.get("refusal"))
        self._of_message.add(message, self._asked.rules.returns)
        yield from self._thinking(state, message)
        yield from self._content(state, message.get("content"))
        yield from self._content(state, message.get("refusal"))
        self._calls(state, message)

    def _whole(self, state: _Choice, message: Any) -> Iterator[Event]:
        """A message behind the deltas of it: only what they lack is new."""
        if not isinstance(message, dict):
            return
        if not state.has_thought:
            yield from self._thinking(state, message)
        parts = _parts([message.get("content"), message.get("refusal")])
        whole, so_far = "".join(text for is_thinking, text in parts if not is_thinking), "".join(state.pieces)
        state.pieces = [so_far]
        if whole.startswith(so_far):
            yield from self._tagged(state, whole[len(so_far) :])
        elif whole.strip() not in so_far:
            yield from self._tagged(state, whole)
        if not self.reply.calls:
            self._calls(state, message)

    def _thinking(self, state: _Choice, message: Mapping[str, Any]) -> Iterator[Event]:
        for name in _THINKING:
            told = message.get(name)
            if told and (thought := "".join(text for _, text in _parts(told))):
                yield from self._say(state, True, thought)
                return

    def _content(self, state: _Choice, content: Any) -> Iterator[Event]:
        if content in (None, ""):
            return
        for is_thinking, text in _parts(content):
            if is_thinking:
                yield from self._say(state, True, text)
            else:
                yield from self._tagged(state, text)

    def _tagged(self, state: _Choice, text: str) -> Iterator[Event]:
        state.pieces.append(text)
        for is_thinking, part in state.tags.split(text):
            yield from self._say(state, is_thinking, part)

    def _say(self, state: _Choice, is_thinking: bool, text: str) -> Iterator[Event]:
        if is_thinking:
            state.has_thought = True
            if text.strip() or self.reply.thought:
                yield from self.reply.add_thinking(text)
        elif self._is_choosing:
            self.reply.progress += 1
            self.reply.received += byte_length(text)
            self._chosen.append(text)
        else:
            parts = self.reply.parts
            if state.message is None or isinstance(parts[-1], CallParts):
                state.message = TextParts()
            yield from self.reply.add_text(text, state.message)

    def _calls(self, state: _Choice, message: Mapping[str, Any]) -> None:
        pieces = message.get("tool_calls") or message.get("function_call")
        if not pieces:
            return
        for call, piece in state.calls.take(pieces):
            if self._asked.rules.returns:
                self._of_calls.setdefault(call, Fields()).add(piece, self._asked.rules.returns)

    def _put_opaque(self) -> None:
        """Put what must come back before what it led to. Only calls need it."""
        reply, origin = self.reply, self._asked.origin
        if not self._asked.rules.returns or not reply.calls:
            return
        parts: list[TextParts | CallParts | Opaque] = []
        if of_message := self._of_message.values():
            parts.append(Opaque(wire="chat", model=origin, payload={"message": of_message}))
        for part in reply.parts:
            if isinstance(part, CallParts) and (of_call := self._of_calls.get(part, Fields()).values()):
                parts.append(Opaque(wire="chat", model=origin, payload={"call": of_call}))
            if not isinstance(part, Opaque):
                parts.append(part)
        reply.parts = parts


def _choices_of(event: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    choices = event.get("choices")
    if isinstance(choices, dict):
        choices = [choices]
    if not isinstance(choices, list):
        # A choice without anything around it.
        choices = [event] if isinstance(event.get("delta") or event.get("message"), dict) else []
    yield from (choice for choice in choices if isinstance(choice, dict))


def _error_in(event: Mapping[str, Any]) -> Any:
    """The error's own JSON, wherever it stands."""
    choices = event.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    for holder in (event, choice, event.get("x_groq")):
        error = holder.get("error") if isinstance(holder, dict) else None
        # {"code": 0, "message": ""} is how some say that there is none.
        if any(error.values()) if isinstance(error, dict) else error:
            return error
    return event if "error" in (event.get("object"), event.get("type")) else None


def _parts(content: Any, is_thinking: bool = False, depth: int = 0) -> Iterator[tuple[bool, str]]:
    """The texts of a content, and whether each is thinking: a text, a part, or a list of those."""
    if isinstance(content, str):
        if content:
            yield is_thinking, content
    elif depth > _DEEPEST:
        return
    elif isinstance(content, list):
        for each in content:
            yield from _parts(each, is_thinking, depth + 1)
    elif isinstance(content, dict):
        kind = content.get("type")
        thinks = is_thinking or (isinstance(kind, str) and ("think" in kind or "reason" in kind))
        name = next((name for name in _TEXT if content.get(name)), "")
        yield from _parts(content.get(name), thinks or name in _THINKING, depth + 1)
    elif isinstance(content, int | float) and not isinstance(content, bool) and abs(content) < 1e18:
        yield is_thinking, str(content)
