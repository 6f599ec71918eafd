"""Reads the answer of the Responses API. Deltas come first, and the whole of each part, of each item and of the
response after them: what has come later and in whole is the truth, and what is missing in between is lost
nowhere. Servers leave out indexes, number everything 0, reuse ids or change them from event to event."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

from ....events import Event, TextFinal
from ....history import Opaque
from ....text import split_surrogate
from .base import Rules
from .reply import CallParts, Reply
from .responses_items import (
    OutputItem,
    OutputItems,
    Part,
    arguments_of,
    as_dict,
    as_index,
    as_list,
    as_text,
    contents,
    kind_of,
    part_text,
)
from .responses_usage import cost_of, usage_of

WIRE = "responses"
OWN_FIELDS = "own_fields"
"""The type of the opaque item that keeps what the API gave to the message or call behind it (`of`): its `id`,
which it asks for behind reasoning, and its `phase`."""

PASSED_OVER = (
    # What the API's own tools do: it is whole in their items.
    "response.code_interpreter_call",
    "response.file_search_call",
    "response.image_generation_call",
    "response.mcp_",
    "response.shell_call_",
    "response.web_search_call",
    "response.output_text.annotation",
    # Sound, for which nobody asks here.
    "response.audio.",
    # Where a summary's parts begin and end, and that the context is made shorter: no text of their own.
    "response.reasoning_summary_part.",
    "response.compaction.",
)
"""Beginnings of the names of events that have nothing for a reader of text, or nothing that does not come
again."""
_NEEDS_OUTPUT = ("computer_call", "local_shell_call", "shell_call", "apply_patch_call", "mcp_approval_request")
"""Items that ask for something that only the client can do, and that are refused in a history without it."""


class ResponsesReader:
    """Reads one answer. `origin` is who may read its reasoning again; `limit` is the most tokens that were
    asked for, None without a limit."""

    def __init__(self, origin: str, rules: Rules, limit: int | None = None) -> None:
        self.reply = Reply()
        self._origin, self._rules, self._limit = origin, rules, limit
        self._items = OutputItems(self.reply)
        self._has_refused = False

    def read(self, event: Mapping[str, Any]) -> Iterator[Event]:
        """Take one event, or a whole response."""
        if isinstance(event, Mapping):
            handler = self.HANDLERS.get(_name(event))
            try:
                yield from handler(self, event) if handler is not None else ()
            except RecursionError:
                # What is nested so deep is no answer.
                return

    def end(self) -> Iterator[Event]:
        """The stream ended. Without a last word it was complete if all that was begun came to its end."""
        reply = self.reply
        is_whole = bool(self._items) and all(
            item.is_done or (not item.is_announced and (item.call is None or item.has_arguments))
            for item in self._items
        )
        if not reply.stop_reason and reply.error is None and is_whole:
            self._complete()
        yield from ()

    # What comes piece by piece

    def _text_delta(self, event: Mapping[str, Any]) -> Iterator[Event]:
        item = self._current("message", event)
        yield from self._add(item, self._part(item, event), as_text(event.get("delta")))

    def _refusal_delta(self, event: Mapping[str, Any]) -> Iterator[Event]:
        self._has_refused = True
        yield from self._text_delta(event)

    def _text_done(self, event: Mapping[str, Any]) -> Iterator[Event]:
        yield from self._content(event, as_text(event.get("text")), is_done=True)

    def _refusal_done(self, event: Mapping[str, Any]) -> Iterator[Event]:
        self._has_refused = True
        yield from self._content(event, as_text(event.get("refusal")), is_done=True)

    def _part_added(self, event: Mapping[str, Any]) -> Iterator[Event]:
        if as_dict(event.get("part")).get("type") != "reasoning_text":
            yield from self._content(event, part_text(event.get("part")), is_done=False)

    def _part_done(self, event: Mapping[str, Any]) -> Iterator[Event]:
        part = as_dict(event.get("part"))
        if part.get("type") != "reasoning_text":
            self._has_refused = self._has_refused or bool(part.get("refusal"))
            yield from self._content(event, part_text(event.get("part")), is_done=True)

    def _content(self, event: Mapping[str, Any], text: str, *, is_done: bool) -> Iterator[Event]:
        """A part of a message's content, as it is as a whole."""
        if not text:
            return
        place, key = as_index(event.get("output_index")), as_text(event.get("item_id"))
        item = self._items.find("message", place, key) or self._items.begin("message", place, key)
        part = self._part(item, event)
        if part.is_done and part.text != text:
            # The same id or place once more: something else.
            item = self._items.begin("message", place, key)
            part = self._part(item, event)
        yield from self._settle(item, part, text)
        part.is_done = is_done

    def _arguments_delta(self, event: Mapping[str, Any]) -> Iterator[Event]:
        call = self._call(self._current("function_call", event))
        self.reply.add_arguments(call, as_text(event.get("delta")))
        yield from ()

    def _arguments_done(self, event: Mapping[str, Any]) -> Iterator[Event]:
        place, key = as_index(event.get("output_index")), as_text(event.get("item_id"))
        item = self._items.find("function_call", place, key)
        self._settle_call(item or self._items.begin("function_call", place, key), event)
        yield from ()

    def _thinking_delta(self, event: Mapping[str, Any]) -> Iterator[Event]:
        if text := as_text(event.get("delta")):
            self._current("reasoning", event).has_thought = True
            yield from self.reply.add_thinking(text)

    def _thinking_done(self, event: Mapping[str, Any]) -> Iterator[Event]:
        place, key = as_index(event.get("output_index")), as_text(event.get("item_id"))
        item = self._items.find("reasoning", place, key) or self._items.begin("reasoning", place, key)
        text = as_text(event.get("text"))
        if text and not item.has_thought:
            item.has_thought = True
            yield from self.reply.add_thinking(text)

    # Whole items

    def _item_added(self, event: Mapping[str, Any]) -> Iterator[Event]:
        raw = as_dict(event.get("item"))
        if raw.get("status") == "completed":
            yield from self._item_done(event)
            return
        kind, place, key = kind_of(raw), as_index(event.get("output_index")), as_text(raw.get("id"))
        item = self._items.find(kind, place, key)
        if item is None or item.is_announced or item.is_done:
            item = self._items.begin(kind, place, key)
        item.is_announced = True
        self._items.identify(item, key)
        if kind == "function_call":
            call = self._call(item)
            call.id, call.name = as_text(raw.get("call_id")) or call.id, as_text(raw.get("name")) or call.name
        elif kind == "message":
            yield from self._settle_message(item, raw)
        elif kind == "reasoning":
            yield from self.reply.add_thinking("")

    def _item_done(self, event: Mapping[str, Any]) -> Iterator[Event]:
        raw = as_dict(event.get("item"))
        kind, place, key = kind_of(raw), as_index(event.get("output_index")), as_text(raw.get("id"))
        item = self._items.find(kind, place, key)
        if item is None or (item.is_done and not item.is_like(raw)):
            item = self._items.begin(kind, place, key)
        yield from self._settle_item(item, raw)

    def _settle_item(self, item: OutputItem, raw: Mapping[str, Any]) -> Iterator[Event]:
        """The item as it is at its end."""
        self._items.identify(item, as_text(raw.get("id")))
        if item.kind == "message":
            yield from self._settle_message(item, raw)
        elif item.kind == "function_call":
            self._settle_call(item, raw)
        elif item.kind and item.kind not in _NEEDS_OUTPUT and item.opaque is None:
            if item.kind == "reasoning":
                yield from self._thoughts(item, raw)
            item.opaque = Opaque(wire=WIRE, model=self._origin, payload=dict(raw))
            self._items.put(item, item.opaque)
        item.is_done = True

    def _settle_message(self, item: OutputItem, raw: Mapping[str, Any]) -> Iterator[Event]:
        item.phase = as_text(raw.get("phase")) or item.phase
        texts = contents(raw)
        self._has_refused = self._has_refused or any(refused and text for text, refused in texts)
        if not item.is_like(raw):
            for index, (text, _) in enumerate(texts):
                yield from self._settle(item, item.parts.setdefault(index, Part()), text)

    def _settle_call(self, item: OutputItem, raw: Mapping[str, Any]) -> None:
        call = self._call(item)
        call.id, call.name = as_text(raw.get("call_id")) or call.id, as_text(raw.get("name")) or call.name
        arguments = arguments_of(raw)
        if arguments and arguments != "".join(call.arguments):
            call.arguments.clear()
            self.reply.add_arguments(call, arguments)
        item.has_arguments = True

    def _thoughts(self, item: OutputItem, raw: Mapping[str, Any]) -> Iterator[Event]:
        texts = [part_text(part) for name in ("summary", "content") for part in as_list(raw.get(name))]
        text = "\n\n".join(filter(None, texts))
        if not item.has_thought and (text or not item.is_announced):
            item.has_thought = True
            yield from self.reply.add_thinking(text)

    # The response

    def _progress(self, event: Mapping[str, Any]) -> Iterator[Event]:
        self._note(as_dict(event.get("response")))
        yield from ()

    def _ended(self, event: Mapping[str, Any]) -> Iterator[Event]:
        response = as_dict(event.get("response")) or event
        self._note(response)
        output = [each for each in as_list(response.get("output")) if isinstance(each, dict)]
        found = self._items.match(output)
        for place, (raw, item) in enumerate(zip(output, found, strict=True)):
            if item is None:
                item = self._items.begin(kind_of(raw), place, as_text(raw.get("id")))
            yield from self._settle_item(item, raw)
        if not self.reply.text and isinstance(text := response.get("output_text"), str):
            yield from self.reply.add_text(text)
        name, status, error = _name(event), as_text(response.get("status")), response.get("error")
        if name == "response.completed" and status not in ("failed", "incomplete", "cancelled"):
            status = "completed"
        elif name != "response":
            status = name.removeprefix("response.")
        if status == "failed" or (error and status != "completed"):
            self.reply.error = error or {"code": "failed", "message": "the response failed"}
        elif status == "incomplete":
            self._cut_off(as_text(as_dict(response.get("incomplete_details")).get("reason")), output)
        elif status in ("completed", ""):
            self._complete()
        elif status not in ("in_progress", "queued"):
            self.reply.stop_reason = status

    def _error(self, event: Mapping[str, Any]) -> Iterator[Event]:
        inner = event.get("error")
        own = {name: event[name] for name in ("code", "message", "param") if event.get(name)}
        self.reply.error = inner or own or {"message": "the server sent an error without a word"}
        yield from ()

    def _note(self, response: Mapping[str, Any]) -> None:
        self.reply.model = as_text(response.get("model")) or self.reply.model
        self.reply.service_tier = as_text(response.get("service_tier")) or self.reply.service_tier
        usage = response.get("usage")
        self.reply.usage = usage_of(usage, self._rules) or self.reply.usage
        cost = cost_of(usage, self._rules)
        self.reply.cost = self.reply.cost if cost is None else cost

    def _complete(self) -> None:
        reply = self.reply
        self._keep_own_fields()
        if reply.calls:
            reply.stop_reason = "tool_use"
        elif self._has_refused:
            reply.stop_reason, reply.detail = "refusal", "the model refused to answer"
        elif self._limit is not None and reply.usage is not None and reply.usage.output_tokens >= self._limit:
            # Some servers call an answer complete that they cut off.
            self._cut_off("max_output_tokens", [])
        else:
            reply.stop_reason = "end_turn"

    def _cut_off(self, reason: str, output: list[dict[str, Any]]) -> None:
        """The answer was ended early: a call that was not complete is none."""
        reply = self.reply
        halves = {
            id(item.call)
            for item in self._items
            if item.call is not None and not item.is_done
        } | {
            id(item.call)
            for raw, item in zip(output, self._items.match(output), strict=True)
            if item is not None and item.call is not None and raw.get("status") == "incomplete"
        }
        reply.parts = [part for part in reply.parts if id(part) not in halves]
        self._keep_own_fields()
        match reason:
            case "max_output_tokens" | "":
                reply.stop_reason, reply.detail = "max_tokens", "cut off: the model's limit of tokens"
            case "content_filter":
                reply.stop_reason, reply.detail = "refusal", "ended by the provider's content filter"
            case _:
                reply.stop_reason = reason

    def _keep_own_fields(self) -> None:
        """What goes back with an item beside its text: its id, if it is the one that reasoning led to."""
        parts = self.reply.parts
        for item in self._items:
            part = item.call or next((each.message for each in item.parts.values()), None)
            at = next((at for at, each in enumerate(parts) if each is part), None)
            if at is None:
                continue
            before = parts[at - 1] if at else None
            is_led_to = isinstance(before, Opaque) and before.payload.get("type") == "reasoning"
            own = {"id": item.id if is_led_to else "", "phase": item.phase}
            if any(own.values()):
                payload = {"type": OWN_FIELDS, "of": item.kind, **{k: v for k, v in own.items() if v}}
                parts.insert(at, Opaque(wire=WIRE, model=self._origin, payload=payload))
            item.id = item.phase = ""

    # Where things go

    def _current(self, kind: str, event: Mapping[str, Any]) -> OutputItem:
        """The item that an event adds something to."""
        place, key = as_index(event.get("output_index")), as_text(event.get("item_id"))
        item = self._items.find(kind, place, key)
        return self._items.begin(kind, place, key) if item is None or item.is_done else item

    def _part(self, item: OutputItem, event: Mapping[str, Any]) -> Part:
        index = as_index(event.get("content_index"))
        if index is None:
            index = max(item.parts, default=0)
        return item.parts.setdefault(index, Part())

    def _call(self, item: OutputItem) -> CallParts:
        if item.call is None:
            item.call = self.reply.add_call()
            self._items.put(item, self.reply.parts.pop())
        return item.call

    def _add(self, item: OutputItem, part: Part, text: str) -> Iterator[Event]:
        if text:
            if not part.text:
                self._items.put(item, part.message)
            yield from self.reply.add_text(text, part.message)

    def _settle(self, item: OutputItem, part: Part, text: str) -> Iterator[Event]:
        """The part's whole text. What came before is replaced, but never lost: where it is not a part of the
        whole, both stay."""
        came = part.text
        if text.startswith(came):
            yield from self._add(item, part, text[len(came) :])
        elif text and all(piece in text for piece in set(part.message.pieces)):
            whole, part.message.half = split_surrogate(text)
            part.message.pieces[:] = [whole]
            self.reply.progress += 1
            yield TextFinal(text=whole, message_id=part.message.id)
        elif text not in came:
            yield from self._add(item, part, text)

    HANDLERS: ClassVar[Mapping[str, Callable[[ResponsesReader, Mapping[str, Any]], Iterator[Event]]]] = {
        "error": _error,
        "response": _ended,
        "response.completed": _ended,
        "response.content_part.added": _part_added,
        "response.content_part.done": _part_done,
        "response.created": _progress,
        "response.custom_tool_call_input.delta": _arguments_delta,
        "response.custom_tool_call_input.done": _arguments_done,
        "response.failed": _ended,
        "response.function_call_arguments.delta": _arguments_delta,
        "response.function_call_arguments.done": _arguments_done,
        "response.in_progress": _progress,
        "response.incomplete": _ended,
        "response.output_item.added": _item_added,
        "response.output_item.done": _item_done,
        "response.output_text.delta": _text_delta,
        "response.output_text.done": _text_done,
        "response.queued": _progress,
        "response.reasoning_summary_text.delta": _thinking_delta,
        "response.reasoning_summary_text.done": _thinking_done,
        "response.reasoning_text.delta": _thinking_delta,
        "response.reasoning_text.done": _thinking_done,
        "response.refusal.delta": _refusal_delta,
        "response.refusal.done": _refusal_done,
    }


def _name(event: Mapping[str, Any]) -> str:
    """The event's type; of one that has none, what its form tells."""
    name = event.get("type")
    if isinstance(name, str) and name:
        return name
    if isinstance(event.get("output"), list):
        return "response"
    if event.get("error"):
        return "error"
    if isinstance(response := event.get("response"), dict):
        return f"response.{as_text(response.get('status'))}"
    if isinstance(event.get("item"), dict):
        return "response.output_item.done"
    if isinstance(event.get("part"), dict):
        return "response.content_part.done"
    if "content_index" in event:
        return "response.output_text." + ("delta" if "delta" in event else "done")
    return "response.function_call_arguments.done" if "arguments" in event else ""
