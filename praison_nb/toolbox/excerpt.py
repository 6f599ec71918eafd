"""Text that may become very long, of which head and tail are kept."""

from __future__ import annotations

import threading

from ..values import LIMIT


class Excerpt:
    """Keeps the first and the last half of `limit` characters of what is added, from any thread.

    >>> text = Excerpt(limit=4)
    >>> text.add("abc"), text.add("defgh"), str(text)
    ('ab', '', 'ab\\n[… 4 characters left out …]\\ngh')
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self._half = limit // 2
        self._head: list[str] = []
        self._tail = ""
        self._total = 0
        self._lock = threading.Lock()

    def add(self, text: str) -> str:
        """Add `text`; returns what of it went into the head, "" once that is full."""
        with self._lock:
            room = max(0, self._half - self._total)
            self._total += len(text)
            first, rest = text[:room], text[room:]
            if first:
                self._head.append(first)
            if rest:
                self._tail += rest[-self._half :]
                # Cut seldom, so that many small pieces stay cheap.
                if len(self._tail) > 8 * self._half:
                    self._tail = self._tail[-self._half :]
            return first

    @property
    def is_long(self) -> bool:
        """Whether more was added than the head holds."""
        return self._total > self._half

    def __str__(self) -> str:
        with self._lock:
            head, tail = "".join(self._head), self._tail[-self._half :]
            left_out = self._total - len(head) - len(tail)
        if not left_out:
            return head + tail
        return f"{head}\n[… {left_out:,} characters left out …]\n{tail}"
