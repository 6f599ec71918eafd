"""Pieces of an answer that came together are one: each event costs as much, however short its text is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import groupby
from typing import TypeVar

from ..events import Event, TextDelta, Thinking

T = TypeVar("T")
FEW = 4
"""So many pieces stay as they came: they cost little, and who reads them has the pace of the model."""


def coalesce_events(events: Iterable[Event]) -> Iterator[Event]:
    """`events`, with pieces of one message that come one after the other, or of thinking, as one.

    >>> events = [*map(lambda n: TextDelta(text=str(n)), range(9)), Thinking()]
    >>> [event.text for event in coalesce_events(events)]
    ['012345678', '']
    """
    return coalesce(events, _message_of, _merged)


def coalesce(
    pieces: Iterable[T], message_of: Callable[[T], object], merged: Callable[[list[T]], T]
) -> Iterator[T]:
    """`pieces`, with those `merged` that come one after the other and are of one message: for which
    `message_of` is the same, and not None."""
    for message, group in groupby(pieces, message_of):
        together = list(group)
        if message is None or len(together) <= FEW:
            yield from together
        else:
            yield merged(together)


def _message_of(event: Event) -> object:
    if isinstance(event, TextDelta):
        return (event.message_id,)
    return Thinking if isinstance(event, Thinking) else None


def _merged(events: list[Event]) -> Event:
    first, texts = events[0], [each.text for each in events if isinstance(each, TextDelta | Thinking)]
    assert isinstance(first, TextDelta | Thinking)
    return replace(first, text="".join(texts))
