"""Reads the answer of the Responses API. Deltas come first, and behind them the whole of each part, of each
item and of the response: the whole is the truth, and any one of these is enough. Servers leave out indexes,
number everything 0, reuse ids or change them from event to event."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

from ....events import Event
from ....turn import estimate_tokens
from .base import Rules
from .chat_usage import usage_of
from .costs import CODE, FILE_SEARCHES, OTHER, SEARCHES, billed_calls, cost_of, fees_in
from .reply import Reply
from .responses_json import as_dict, as_index, as_list, as_text, part_text
from .responses_output import Output

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


class ResponsesReader:
    """Reads one answer. `origin` is who may read its reasoning again; `sent` estimates the tokens of the
    request, if the server does not count them; `limit` is the most tokens that were asked for, None without a
    limit."""

    def __init__(
        self, origin: str, rules: Rules, *, sent: Callable[[], int] = lambda: 0, limit: int | None = None
    ) -> None:
        self.reply = Reply()
        self._rules, self._sent, self._limit = rules, sent, limit
        self._output = Output(self.reply, origin)

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
        yield from self._output.say_rest()
        if not reply.stop_reason and reply.error is None and self._output.is_whole:
            reply.is_whole = self._output.is_done and bool(reply.text or reply.calls)
            self._complete()

    # What comes piece by piece

    def _text_delta(self, event: Mapping[str, Any]) -> Iterator[Event]:
        yield from self._output.add_text(event, as_text(event.get("delta")))

    def _text_done(self, event: Mapping[str, Any]) -> Iterator[Event]:
        yield from self._output.settle_part(event, as_text(event.get("text")), is_done=True)

    def _refusal_delta(self, event: Mapping[str, Any]) -> Iterator[Event]:
        self._output.has_refused = True
        yield from self._text_delta(event)

    def _refusal_done(self, event: Mapping[str, Any]) -> Iterator[Event]:
        self._output.has_refused = True
        yield from self._output.settle_part(event, as_text(event.get("refusal")), is_done=True)

    def _part_added(self, event: Mapping[str, Any]) -> Iterator[Event]:
        if as_dict(event.get("part")).get("type") != "reasoning_text":
            yield from self._output.settle_part(event, part_text(event.get("part")), is_done=False)

    def _part_done(self, event: Mapping[str, Any]) -> Iterator[Event]:
        part = as_dict(event.get("part"))
        self._output.has_refused = self._output.has_refused or bool(part.get("refusal"))
        if part.get("type") != "reasoning_text":
            yield from self._output.settle_part(event, part_text(event.get("part")), is_done=True)

    def _arguments_delta(self, event: Mapping[str, Any]) -> Iterator[Event]:
        self._output.add_arguments(event, as_text(event.get("delta")))
        yield from ()

    def _arguments_done(self, event: Mapping[str, Any]) -> Iterator[Event]:
        self._output.settle_arguments(event)
        yield from ()

    def _thinking_delta(self, event: Mapping[str, Any]) -> Iterator[Event]:
        yield from self._output.add_thinking(event, as_text(event.get("delta")))

    def _thinking_done(self, event: Mapping[str, Any]) -> Iterator[Event]:
        yield from self._output.settle_thinking(event, as_text(event.get("text")))

    def _item_added(self, event: Mapping[str, Any]) -> Iterator[Event]:
        raw = as_dict(event.get("item"))
        if raw.get("status") == "completed":
            yield from self._item_done(event)
        else:
            yield from self._output.begin(as_index(event.get("output_index")), raw)

    def _item_done(self, event: Mapping[str, Any]) -> Iterator[Event]:
        yield from self._output.settle(as_index(event.get("output_index")), as_dict(event.get("item")))
        self._note_calls()

    def _note_calls(self) -> None:
        """What the provider bills by the call. Of a search it is the searching, not the reading."""
        for name, count in (
            (SEARCHES, self._output.times("web_search_call", "search")),
            (FILE_SEARCHES, self._output.times("file_search_call")),
            (CODE, self._output.times("code_interpreter_call")),
            (OTHER, self._output.times("image_generation_call")),
        ):
            if count:
                self.reply.billed_calls[name] = count

    # The response

    def _progress(self, event: Mapping[str, Any]) -> Iterator[Event]:
        self._note(as_dict(event.get("response")))
        yield from ()

    def _ended(self, event: Mapping[str, Any]) -> Iterator[Event]:
        response = as_dict(event.get("response")) or event
        self._note(response)
        output = [each for each in as_list(response.get("output")) if isinstance(each, dict)]
        yield from self._output.settle_all(output)
        yield from self._output.say_rest()
        self._note_calls()
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
            self._cut_off(as_text(as_dict(response.get("incomplete_details")).get("reason")))
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
        self.reply.id = as_text(response.get("id"))[:200] or self.reply.id
        self.reply.service_tier = as_text(response.get("service_tier")) or self.reply.service_tier
        if isinstance(usage := response.get("usage"), Mapping):
            used = usage_of(usage, self._rules, sent=self._sent, received=self._received)
            self.reply.usage = used or self.reply.usage
            cost = cost_of(usage, self._rules)
            if cost is not None:
                self.reply.cost, self.reply.fees = cost, fees_in(usage)
            self.reply.billed_calls |= billed_calls(usage)

    def _received(self) -> int:
        return estimate_tokens(self.reply.received)

    def _complete(self) -> None:
        reply, used = self.reply, self.reply.usage
        self._output.keep_own_fields()
        if reply.calls:
            reply.stop_reason = "tool_use"
        elif self._output.has_refused:
            reply.stop_reason, reply.detail = "refusal", "the model refused to answer"
        elif self._limit is not None and used is not None and used.output_tokens >= self._limit:
            # Some servers call an answer complete that they cut off.
            self._cut_off("max_output_tokens")
        else:
            reply.stop_reason = "end_turn"

    def _cut_off(self, reason: str) -> None:
        """The answer was ended early: half a call is none."""
        reply = self.reply
        self._output.drop_halves()
        self._output.keep_own_fields()
        match reason:
            case "max_output_tokens":
                reply.stop_reason, reply.detail = "max_tokens", "cut off: the model's limit of tokens"
            case "content_filter":
                reply.stop_reason, reply.detail = "refusal", "ended by the provider's content filter"
            case _:
                reply.stop_reason = reason or "incomplete"

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
