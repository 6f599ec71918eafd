"""Pieces of an answer that came together are one event."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import groupby
from typing import Any, cast

from ..events import Event, TextDelta, Thinking


def joined(events: Iterable[Event]) -> Iterator[Event]:
    """`events`, with pieces of one message that come one after the other, or of thinking, as one.

    >>> [event.text for event in joined([TextDelta(text="Hel"), TextDelta(text="lo"), Thinking()])]
    ['Hello', '']
    """
    for _, group in groupby(events, _message_of):
        first, *rest = group
        if rest and isinstance(first, TextDelta | Thinking):
            first = replace(first, text=first.text + "".join(each.text for each in cast(Any, rest)))
        yield first


def _message_of(event: Event) -> object:
    """What pieces of one message have in common, and nothing else has."""
    if isinstance(event, TextDelta):
        return (event.message_id,)
    return Thinking if isinstance(event, Thinking) else event.id
