"""The agent's messages, shown while they are written.

A preview comes in pieces that have no id and are never sent twice. After a lost connection it begins anew,
or goes on somewhere: what is shown may only ever grow by text that follows what is shown already.

>>> preview = Preview()
>>> preview.begin()
>>> preview.add(0, "Hel"), preview.add(0, "lo")
('Hel', 'lo')
>>> preview.begin()
>>> preview.add(0, "Hell"), preview.add(0, "o there")
('', ' there')
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any

from ...events import Event, TextDelta, TextFinal, Thinking
from .fields import plain_text
from .own_message import Early, OwnMessage


class Preview:
    """What is shown of one message, and where the present connection stands in it."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._length = 0
        self._index = 0
        self._position: int | None = None

    def begin(self) -> None:
        """This connection begins the message from its first character."""
        self._position, self._index = 0, 0

    def mark_lost(self) -> None:
        """The connection is gone: pieces of the next one mean nothing until it begins anew."""
        self._position = None

    def add(self, index: int, text: str) -> str:
        """What is new in a piece; "" where it cannot be placed, and only the final message has it."""
        if self._position is None or index < self._index:
            self._position = None
            return ""
        self._index = index
        new = text
        if self._position < self._length:
            shown = "".join(self._parts)[self._position :]
            if not (text.startswith(shown) or shown.startswith(text)):
                self._position = None
                return ""
            new = text[len(shown) :]
        self._position += len(text)
        if new:
            self._parts.append(new)
            self._length += len(new)
        return new


class Messages:
    """What a turn shows of messages and of thinking: their previews, and what becomes of them. `own` is the
    turn's message."""

    def __init__(self, own: OwnMessage) -> None:
        self._own = own
        self._previews: dict[str, Preview] = {}
        """By the id of the message that they are of."""
        self._abandoned: set[str] = set()
        """Those whose request ended before the message did."""
        self._early = Early(own)
        self._thinking: set[str] = set()

    def begin(self, previewed: Any) -> Iterator[Event]:
        """This connection begins a message or a thought, perhaps anew."""
        if previewed.type == "agent.message":
            yield from self._drop_abandoned(but=previewed.id)
            self._previews.setdefault(previewed.id, Preview()).begin()
        elif previewed.type == "agent.thinking":
            yield from self.think(previewed.id)
            self._thinking.add(previewed.id)

    def add(self, event: Any) -> Iterator[Event]:
        """A piece of a message that has begun."""
        piece: Any = getattr(event.delta, "content", None)
        preview = self._previews.get(event.event_id)
        text, index = getattr(piece, "text", None), getattr(event.delta, "index", None) or 0
        # One that cannot be read is missed until the final message has it.
        if preview is None or not isinstance(text, str) or not isinstance(index, int):
            return
        if piece.type == "text" and (new := preview.add(index, text)):
            yield TextDelta(text=new, message_id=event.event_id)

    def end(self, message: Any) -> Iterator[Event]:
        """The whole message is here."""
        yield from self._drop_abandoned(but=message.id)
        text = plain_text(message.content)
        if self._own.is_sent and not self._own.is_taken:
            self._early.add(message)
        if self._previews.pop(message.id, None) or text:
            yield TextFinal(text=text, message_id=message.id)

    def think(self, thought_id: str) -> Iterator[Event]:
        """A thought, which may have been shown since it began."""
        if thought_id not in self._thinking:
            yield Thinking()

    def mark_lost(self) -> None:
        """The connection is gone."""
        for preview in self._previews.values():
            preview.mark_lost()

    def abandon(self) -> None:
        """The request is over: what was begun comes anew in a later one, or is all there is."""
        self._abandoned |= self._previews.keys()

    def _drop_abandoned(self, but: str) -> Iterator[Event]:
        """Take back what a later message replaces, which is not one of them where it is `but`."""
        for message_id in self._abandoned - {but}:
            self._previews.pop(message_id, None)
            yield TextFinal(text="", message_id=message_id)
        self._abandoned.clear()

    def note_idle(self, idle: Any) -> None:
        """An idle came that is not known to be the turn's end."""
        self._early.note_idle(idle)

    def drop_early(self) -> Iterator[Event]:
        """Take back what turned out to be an answer to others, now that the agent works on ours."""
        for message in chain(*self._early.take()):
            if not (self._own.is_dated and self._own.owns(message)):
                yield TextFinal(text="", message_id=message.id)

    def drop_others(self, idle_id: str) -> Iterator[Event]:
        """Take back what came before an idle of others, now that the turn ends with this one: where a message
        gets its time behind its answer, times say nothing."""
        self._early.forget_idle(idle_id)
        for message in self._early.take()[0]:
            yield TextFinal(text="", message_id=message.id)
