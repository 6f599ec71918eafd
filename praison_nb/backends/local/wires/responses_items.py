"""The items of one response's output: which of them an event speaks of, and where in the reply its part
stands."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ....history import Opaque
from .reply import CallParts, Reply, TextParts
from .responses_json import arguments_of, as_text, contents, kind_of
from .think_tags import ThinkTags


@dataclass(eq=False)
class Part:
    """A part of a message's content, which is a message of the reply. `pieces` are as they came, tags and
    all; `half` is half a character whose other half may follow."""

    message: TextParts = field(default_factory=TextParts)
    pieces: list[str] = field(default_factory=list)
    half: str = ""
    tags: ThinkTags = field(default_factory=ThinkTags)
    is_done: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether nothing came of it yet."""
        return not self.pieces and not self.half

    @property
    def text(self) -> str:
        """All that came of it."""
        return "".join(self.pieces) + self.half


@dataclass(eq=False)
class OutputItem:
    """An item as far as it came. `place` is its place in the output, None where the server does not say;
    `is_announced` and `is_done` tell which events there were of the whole item; a call `is_half` until all
    of it came."""

    kind: str
    place: int | None = None
    id: str = ""
    is_announced: bool = False
    is_done: bool = False
    parts: defaultdict[int, Part] = field(default_factory=lambda: defaultdict(Part))
    call: CallParts | None = None
    has_arguments: bool = False
    is_half: bool = True
    opaque: Opaque | None = None
    thoughts: set[int] = field(default_factory=set)
    phase: str = ""

    @property
    def text(self) -> str:
        """A message's text."""
        return "".join(part.text for part in self.parts.values())

    def may_begin(self, raw: Mapping[str, Any]) -> bool:
        """Whether the beginning `raw` may be of this one: it is not done, and if it has begun, then as `raw`
        does and without anything after that."""
        if self.is_done or not self.is_announced:
            return not self.is_done
        if self.call is not None:
            return not self.call.arguments and self.call.id == as_text(raw.get("call_id"))
        return all(part.is_empty for part in self.parts.values()) and not self.thoughts

    def is_like(self, raw: Mapping[str, Any]) -> bool:
        """Whether the whole item `raw` says what came of this one."""
        if self.kind == "message":
            return self.text == "".join(text for text, _ in contents(raw))
        if self.call is not None:
            return "".join(self.call.arguments) == arguments_of(raw) and self.call.name == as_text(
                raw.get("name")
            )
        return self.opaque is not None and self.opaque.payload == raw


class OutputItems:
    """The items of one response, and their parts in `reply`."""

    def __init__(self, reply: Reply) -> None:
        self._reply = reply
        self._all: list[OutputItem] = []
        self._by_id: dict[tuple[str, str], OutputItem] = {}
        self._by_place: dict[tuple[str, int], OutputItem] = {}
        self._last: dict[str, OutputItem] = {}

    def __iter__(self) -> Iterator[OutputItem]:
        return iter(self._all)

    def __bool__(self) -> bool:
        return bool(self._all)

    def begin(self, kind: str, place: int | None, key: str) -> OutputItem:
        """A new item."""
        item = self._last[kind] = OutputItem(kind, place)
        self._all.append(item)
        self.identify(item, key)
        if place is not None:
            self._by_place[kind, place] = item
        return item

    def identify(self, item: OutputItem, key: str) -> None:
        """The item has this id."""
        if key:
            item.id = key
            self._by_id[item.kind, key] = item

    def find(self, kind: str, place: int | None, key: str) -> OutputItem | None:
        """The item of which an event with this place and id speaks. Either may be missing; the same id at
        another place is another item, and so is another id at the place of one that is done."""
        mine = self._by_id.get((kind, key)) if key else None
        if mine is not None and (place is None or mine.place in (None, place)):
            return mine
        there = None if place is None else self._by_place.get((kind, place))
        if there is not None and (not key or there.id in ("", key) or not there.is_done):
            return there
        if place is None and not key:
            return self._last.get(kind)
        return None

    def match(self, output: Sequence[Mapping[str, Any]]) -> list[OutputItem | None]:
        """For each item of the whole output the one that it is: what says the same first, then what has its
        place or its id."""
        made: list[OutputItem | None] = [None] * len(output)
        free = dict.fromkeys(self._all)
        for same in (_is_equal, _is_alike, _is_there, _has_id, _is_open):
            for place, raw in enumerate(output):
                if made[place] is None:
                    kind = kind_of(raw)
                    found = next((i for i in free if i.kind == kind and same(i, raw, place)), None)
                    if found is not None:
                        made[place] = found
                        del free[found]
        return made

    def put(self, item: OutputItem, part: TextParts | CallParts | Opaque) -> None:
        """Put the item's part into the reply: before what stands behind it in the output."""
        parts = self._reply.parts
        if item.place is not None:
            behind = {
                id(each)
                for other in self._all
                if other.place is not None and other.place > item.place
                for each in (other.call, other.opaque, *(part.message for part in other.parts.values()))
            }
            for at, each in enumerate(parts if behind else ()):
                if id(each) in behind:
                    parts.insert(at, part)
                    return
        parts.append(part)


def _is_equal(item: OutputItem, raw: Mapping[str, Any], place: int) -> bool:
    return item.place in (None, place) and item.is_like(raw)


def _is_alike(item: OutputItem, raw: Mapping[str, Any], place: int) -> bool:
    return item.is_like(raw)


def _is_there(item: OutputItem, raw: Mapping[str, Any], place: int) -> bool:
    return item.place == place


def _has_id(item: OutputItem, raw: Mapping[str, Any], place: int) -> bool:
    return bool(item.id) and item.id == as_text(raw.get("id"))


def _is_open(item: OutputItem, raw: Mapping[str, Any], place: int) -> bool:
    return not item.is_done and item.place is None
