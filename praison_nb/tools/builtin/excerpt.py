"""Text that may become very long, of which head and tail are kept."""

from __future__ import annotations

import threading

from ...redaction import redact
from ...values import VALUE_CHARACTERS


class Excerpt:
    """Keeps the first and the last half of `limit` characters of what is added, from any thread, without
    secrets.

    >>> text = Excerpt(limit=4)
    >>> text.add("abc"), text.add("defgh"), str(text)
    ('ab', '', 'ab\\n[… 4 characters left out …]\\ngh')
    """

    def __init__(self, limit: int = VALUE_CHARACTERS) -> None:
        self._half = limit // 2
        self._head: list[str] = []
        self._room = self._half
        self._tail: list[str] = []
        self._tail_length = 0
        self._dropped = 0
        self._lock = threading.Lock()

    def add(self, text: str) -> str:
        """Add `text`; returns what of it went into the head, "" once that is full."""
        with self._lock:
            first = ""
            if self._room:
                # Of far more than is kept, only what is near: the middle is left out in any case.
                near = len(text) if len(text) < 20 * self._half else self._room + 4 * self._half
                text, rest = redact(text[:near]), text[near:]
                first, text = text[: self._room], text[self._room :] + rest
                self._head.append(first)
                self._room -= len(first)
            if text:
                self._tail.append(text)
                self._tail_length += len(text)
                # Cut seldom, so that many small pieces stay cheap.
                if self._tail_length > 8 * self._half:
                    self._cut()
            return first

    def _cut(self) -> None:
        # More than is shown: where that begins, no half of a secret must be left.
        tail = "".join(self._tail)[-2 * self._half :]
        self._dropped += self._tail_length - len(tail)
        self._tail, self._tail_length = [tail], len(tail)

    @property
    def is_long(self) -> bool:
        """Whether more was added than the head holds."""
        return bool(self._tail)

    def __str__(self) -> str:
        with self._lock:
            head, tail = "".join(self._head), redact("".join(self._tail))
            left_out = self._dropped + max(0, len(tail) - self._half)
        if left_out:
            head, tail = f"{head}\n[… {left_out:,} characters left out …]\n", tail[-self._half :]
        # Once more, for what came in pieces.
        return redact(head + tail)
