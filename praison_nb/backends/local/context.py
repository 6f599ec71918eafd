"""Which items of a conversation go into a request that has to fit a model. Pure; sizes are in characters, as
they are known without asking anybody.

The longer a conversation, the more of it is left out, in the order in which it will be missed least: the
middle of old tools' results, the oldest turns, and the middle of the current turn's results. A `Cut` says how
much. It leaves out far more than it must and is kept for the requests that follow, all of which begin alike:
so providers' caches go on to serve them.

>>> history = [User(text="One"), Text(text="1" * 500), User(text="Two"), Text(text="2"), User(text="Three")]
>>> cut = next_cut(history, Cut(), target=50, room=100)
>>> cut, len(sent(history, cut))
(Cut(start=2, short=4, width=0), 3)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ...history import Call, Item, Opaque, Result, Summary, Text, User
from ...turn import BYTES_PER_TOKEN

LONG = 2000
"""Characters of a tool's result that is sent whole for good."""
_KEPT = 1000
"""Characters of a longer one, once it is shortened."""
_WIDTHS = (1000, 400, 160, 60)
"""Characters of each older text where all turns are to be there, tried one after the other."""


@dataclass(frozen=True, slots=True)
class Cut:
    """What of a history is sent: from the item at `start` on, results before `short` shortened. With `width`
    every text before `short` has at most about so many characters."""

    start: int = 0
    short: int = 0
    width: int = 0


def sent(history: Sequence[Item], cut: Cut) -> list[Item]:
    """The items that are sent. A summary is what the agent said."""
    short = max(cut.start, cut.short)
    older = (_shorter(item, cut) for item in history[cut.start : short])
    items = [*older, *history[short:]]
    return [Text(text=item.text, id=item.id) if isinstance(item, Summary) else item for item in items]


def first_sent(history: Sequence[Item]) -> int:
    """Where requests begin that hold all they can: at the prompt of the last summary, if there is one."""
    summary = max((place for place, item in enumerate(history) if isinstance(item, Summary)), default=0)
    return max((place for place in range(summary) if isinstance(history[place], User)), default=0)


def still_valid(history: Sequence[Item], cut: Cut) -> Cut:
    """`cut`, or where all is sent, if there has been a summary since, or the history is another one."""
    first = first_sent(history)
    if cut.start < first or not isinstance(history[min(cut.start, len(history) - 1)], User):
        return Cut(first, first)
    return cut


def next_cut(
    history: Sequence[Item], cut: Cut, *, target: float, room: float, all_turns: bool = False
) -> Cut:
    """The first cut beyond `cut` with which `history` has at most `target` characters; if there is none, one
    with at most `room`, or the one that leaves least. The current turn's prompt is always there. With
    `all_turns` older texts are shortened as far as can be before a turn is left out."""
    newest = _last_prompt(history)
    start = min(cut.start, newest)
    # A turn that takes most of the room leaves a part of the rest to those before it.
    current = characters(history[newest:])
    target = max(target, (current + room) / 2 if current < room else 0)
    for width in _WIDTHS if all_turns else (0,):
        made = Cut(start, newest, width)
        sizes = [*map(_size, sent(history, replace(made, start=0)))]
        total = sum(sizes[start:])
        if total <= target:
            return made
    for place in range(start, newest):
        total -= sizes[place]
        if isinstance(history[place + 1], User) and total <= target:
            return replace(made, start=place + 1)
    made = replace(made, start=newest)
    # Nothing is older: what is left is the current turn's own.
    for short in (newest, _last_results(history), len(history)):
        made = replace(made, short=max(made.short, short))
        if characters(sent(history, made)) <= room:
            break
    return made


def left_out(history: Sequence[Item], cut: Cut) -> tuple[int, int]:
    """How many turns and how many tools' results are not sent, or not whole."""
    turns = sum(isinstance(item, User) for item in history[first_sent(history) : cut.start])
    shortened = (_is_long(item) for item in history[cut.start : cut.short])
    return turns, sum(shortened)


def characters(items: Sequence[Item], origin: str = "") -> int:
    """About how much a model reads of them; of opaque items those of `origin` only."""
    return sum(_size(item) for item in items if not isinstance(item, Opaque) or item.model == origin)


def _last_prompt(history: Sequence[Item]) -> int:
    return max((place for place, item in enumerate(history) if isinstance(item, User)), default=0)


def _last_results(history: Sequence[Item]) -> int:
    """Where the results begin that the model has not read yet."""
    place = len(history)
    while place and isinstance(history[place - 1], Result):
        place -= 1
    return place


def _shorter(item: Item, cut: Cut) -> Item:
    match item:
        case Result() if cut.width or _is_long(item):
            return replace(item, text=_shortened(item.text, cut.width or _KEPT))
        case User() if cut.width:
            return replace(item, text=_shortened(item.text, cut.width), attachments=())
        case Text() if cut.width:
            return replace(item, text=_shortened(item.text, cut.width))
        case Call() if cut.width:
            return replace(item, arguments=_shortened(item.arguments, cut.width))
    return item


def _is_long(item: Item) -> bool:
    return isinstance(item, Result) and len(item.text) > LONG


def _shortened(text: str, width: int) -> str:
    if len(text) <= width:
        return text
    half = width // 2
    return f"{text[:half]}\n[… {len(text) - 2 * half:,} characters left out …]\n{text[-half:]}"


def _size(item: Item) -> int:
    match item:
        case Call():
            return len(item.name) + len(item.arguments)
        case Opaque():
            return sum(map(len, _texts(item.payload)))
        case User() if item.attachments:
            tokens = sum(each.tokens for each in item.attachments)
            return len(item.text) + BYTES_PER_TOKEN * tokens
    return len(item.text)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _texts(each)
