"""Puts the output of one response together: what comes piece by piece, and then the whole of it once more."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ....events import Event, TextFinal
from ....history import Opaque
from ....text import split_surrogate
from .reply import CallParts, Reply
from .responses_items import OutputItem, OutputItems, Part
from .responses_json import arguments_of, as_dict, as_index, as_list, as_text, contents, kind_of, part_text
from .think_tags import ThinkTags

WIRE = "responses"
OWN_FIELDS = "own_fields"
"""The type of the opaque item that keeps what the API gave to the message or call behind it (`of`): its `id`,
which it asks for behind reasoning, and its `phase`."""
_NEEDS_OUTPUT = (
    "computer_call",
    "local_shell_call",
    "shell_call",
    "apply_patch_call",
    "mcp_approval_request",
)
"""Items that ask for something that only the client can do, and that are refused in a history without it."""


class Output:
    """The output so far, as parts of `reply`. `origin` is who may read its reasoning again."""

    def __init__(self, reply: Reply, origin: str) -> None:
        self.has_refused = False
        self._reply, self._origin = reply, origin
        self._items = OutputItems(reply)

    @property
    def is_whole(self) -> bool:
        """Whether something came, and nothing was begun that did not come to its end."""
        return bool(self._items) and all(
            item.is_done or (not item.is_announced and (item.call is None or item.has_arguments))
            for item in self._items
        )

    @property
    def is_done(self) -> bool:
        """Whether the server said of each item that this was all of it."""
        return all(item.is_done for item in self._items)

    def times(self, kind: str, action: str = "") -> int:
        """How many items of a kind came whole, of a search those with this action."""
        items = (item.opaque.payload for item in self._items if item.kind == kind and item.opaque)
        actions = (as_dict(payload.get("action")).get("type", action) for payload in items)
        return sum(each == action for each in actions) if action else len(list(actions))

    # What comes piece by piece

    def add_text(self, event: Mapping[str, Any], text: str) -> Iterator[Event]:
        """More of a message."""
        item = self._current("message", event)
        yield from self._add(item, _part(item, event), text)

    def add_arguments(self, event: Mapping[str, Any], text: str) -> None:
        """More of a call's arguments."""
        self._reply.add_arguments(self._call(self._current("function_call", event)), text)

    def add_thinking(self, event: Mapping[str, Any], text: str) -> Iterator[Event]:
        """More of what the model lets out of its reasoning."""
        if text:
            self._current("reasoning", event).thoughts.add(_index_of_thought(event))
            yield from self._reply.add_thinking(text)

    def settle_part(self, event: Mapping[str, Any], text: str, *, is_done: bool) -> Iterator[Event]:
        """A part of a message as a whole; nothing more of it comes if it `is_done`."""
        if not text:
            return
        item = self._known("message", event)
        part = _part(item, event)
        if part.is_done and part.text != text:
            # The same id or place once more: something else.
            item = self._items.begin("message", as_index(event.get("output_index")), "")
            part = _part(item, event)
        yield from self._settle(item, part, text)
        part.is_done = is_done

    def settle_arguments(self, event: Mapping[str, Any]) -> None:
        """A call's arguments as a whole."""
        self._settle_call(self._known("function_call", event), event)

    def settle_thinking(self, event: Mapping[str, Any], text: str) -> Iterator[Event]:
        """What the model let out of its reasoning as a whole."""
        item, index = self._known("reasoning", event), _index_of_thought(event)
        if text and not item.is_done and index not in item.thoughts:
            item.thoughts.add(index)
            yield from self._reply.add_thinking(text)

    def begin(self, place: int | None, raw: Mapping[str, Any]) -> Iterator[Event]:
        """An item of the output begins."""
        kind, key = kind_of(raw), as_text(raw.get("id"))
        item = self._items.find(kind, place, key)
        if item is None or not item.may_begin(raw):
            item = self._items.begin(kind, place, key)
        item.is_announced = True
        self._items.identify(item, key)
        if kind == "function_call":
            self._name(self._call(item), raw)
        elif kind == "message":
            yield from self._settle_message(item, raw)
        elif kind == "reasoning":
            yield from self._reply.add_thinking("")

    # The whole of it

    def settle(self, place: int | None, raw: Mapping[str, Any]) -> Iterator[Event]:
        """An item of the output as it is at its end."""
        kind, key = kind_of(raw), as_text(raw.get("id"))
        item = self._items.find(kind, place, key)
        if item is None or (item.is_done and not item.is_like(raw)):
            item = self._items.begin(kind, place, key)
        yield from self._settle_item(item, raw)

    def settle_all(self, output: Sequence[Mapping[str, Any]]) -> Iterator[Event]:
        """The whole output. Some servers leave it empty though there was some."""
        for place, (raw, item) in enumerate(zip(output, self._items.match(output), strict=True)):
            if item is None:
                item = self._items.begin(kind_of(raw), place, as_text(raw.get("id")))
            yield from self._settle_item(item, raw)

    def say_rest(self) -> Iterator[Event]:
        """What waited for more, when there is no more."""
        for item in self._items:
            for part in item.parts.values():
                yield from self._say(part, part.tags.rest())

    def drop_halves(self) -> None:
        """Forget calls that did not come to their end."""
        halves = {id(item.call) for item in self._items if item.call is not None and item.is_half}
        self._reply.parts = [part for part in self._reply.parts if id(part) not in halves]

    def keep_own_fields(self) -> None:
        """Put before messages and calls what must go back with them beside their text: the id of that which
        reasoning led to, and a phase."""
        parts = self._reply.parts
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
            item.phase = ""

    def _settle_item(self, item: OutputItem, raw: Mapping[str, Any]) -> Iterator[Event]:
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
        item.is_done, item.is_half = True, raw.get("status") == "incomplete"

    def _settle_message(self, item: OutputItem, raw: Mapping[str, Any]) -> Iterator[Event]:
        item.phase = as_text(raw.get("phase")) or item.phase
        texts = contents(raw)
        self.has_refused = self.has_refused or any(refused and text for text, refused in texts)
        if not item.is_like(raw):
            for index, (text, _) in enumerate(texts):
                yield from self._settle(item, item.parts[index], text)

    def _settle_call(self, item: OutputItem, raw: Mapping[str, Any]) -> None:
        call = self._call(item)
        self._name(call, raw)
        arguments = arguments_of(raw)
        if arguments and arguments != "".join(call.arguments):
            call.arguments.clear()
            self._reply.add_arguments(call, arguments)
        item.has_arguments, item.is_half = True, False

    def _thoughts(self, item: OutputItem, raw: Mapping[str, Any]) -> Iterator[Event]:
        texts = [part_text(part) for name in ("summary", "content") for part in as_list(raw.get(name))]
        text = "\n\n".join(filter(None, texts))
        if not item.thoughts and (text or not item.is_announced):
            yield from self._reply.add_thinking(text)

    def _settle(self, item: OutputItem, part: Part, text: str) -> Iterator[Event]:
        """The part's whole text. It replaces what came before, but nothing that came is lost: where that is
        no part of the whole, both stay."""
        came = part.text
        if text.startswith(came):
            yield from self._add(item, part, text[len(came) :])
        elif text and all(piece in text for piece in set(part.pieces)):
            whole, part.half = split_surrogate(text)
            part.pieces, part.tags = [whole], ThinkTags()
            answer = "".join(each for is_thinking, each in part.tags.split(whole) if not is_thinking)
            part.message.pieces[:] = [answer]
            self._reply.progress += 1
            yield TextFinal(text=answer, message_id=part.message.id)
        elif text not in came:
            yield from self._add(item, part, text)

    def _add(self, item: OutputItem, part: Part, text: str) -> Iterator[Event]:
        if text:
            if part.is_empty:
                self._items.put(item, part.message)
            text, part.half = split_surrogate(part.half + text)
            if not text.isascii():
                # Halves that came apart are one character in the whole.
                text = text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
            part.pieces += [text] if text else []
            yield from self._say(part, part.tags.split(text))

    def _say(self, part: Part, parts: Iterator[tuple[bool, str]]) -> Iterator[Event]:
        for is_thinking, text in parts:
            if is_thinking:
                yield from self._reply.add_thinking(text)
            else:
                yield from self._reply.add_text(text, part.message)

    def _name(self, call: CallParts, raw: Mapping[str, Any]) -> None:
        call.id, call.name = as_text(raw.get("call_id")) or call.id, as_text(raw.get("name")) or call.name

    def _call(self, item: OutputItem) -> CallParts:
        if item.call is None:
            item.call = self._reply.add_call()
            self._items.put(item, self._reply.parts.pop())
        return item.call

    def _current(self, kind: str, event: Mapping[str, Any]) -> OutputItem:
        """The item to which an event adds something."""
        place, key = as_index(event.get("output_index")), as_text(event.get("item_id"))
        item = self._items.find(kind, place, key)
        return self._items.begin(kind, place, key) if item is None or item.is_done else item

    def _known(self, kind: str, event: Mapping[str, Any]) -> OutputItem:
        """The item of which an event tells something as a whole."""
        place, key = as_index(event.get("output_index")), as_text(event.get("item_id"))
        return self._items.find(kind, place, key) or self._items.begin(kind, place, key)


def _part(item: OutputItem, event: Mapping[str, Any]) -> Part:
    index = as_index(event.get("content_index"))
    return item.parts[max(item.parts, default=0) if index is None else index]


def _index_of_thought(event: Mapping[str, Any]) -> int:
    index = as_index(event.get("summary_index"))
    return (as_index(event.get("content_index")) if index is None else index) or 0
