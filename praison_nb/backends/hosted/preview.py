"""A message that is shown while it is written.

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


class Previews:
    """The previews of a turn, by the id of the message that they are of."""

    def __init__(self) -> None:
        self._open: dict[str, Preview] = {}
        self._abandoned: set[str] = set()
        """Those whose request ended before the message did."""

    def begin(self, message_id: str) -> None:
        """This connection begins the message, perhaps anew."""
        self._open.setdefault(message_id, Preview()).begin()

    def add(self, message_id: str, index: int | None, text: str) -> str:
        """What is new in a piece, as `Preview.add` has it; "" where the message has not begun."""
        preview = self._open.get(message_id)
        return preview.add(index or 0, text) if preview else ""

    def end(self, message_id: str) -> bool:
        """The whole message is here; whether it had a preview."""
        return self._open.pop(message_id, None) is not None

    def mark_lost(self) -> None:
        """The connection is gone."""
        for preview in self._open.values():
            preview.mark_lost()

    def abandon(self) -> None:
        """The request is over: what was begun comes anew in a later one, or is all there is."""
        self._abandoned |= self._open.keys()

    def pop_abandoned(self, but: str) -> set[str]:
        """The messages that a later one replaces, which is not one of them where it is `but`."""
        dropped = self._abandoned - {but}
        for message_id in dropped:
            self._open.pop(message_id, None)
        self._abandoned.clear()
        return dropped
