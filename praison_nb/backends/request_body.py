"""The body of a request as the bytes that are sent."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

# As SDKs write them.
_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


class Encoder:
    """Writes the values of a request's fields as JSON, each once however often it is asked for: a long
    conversation takes as long as all else of a turn. Nobody changes a value meanwhile.

    >>> Encoder().body({"model": "m", "messages": []}), Encoder().body({"seed": {1}})
    (b'{"model":"m","messages":[]}', None)
    """

    def __init__(self) -> None:
        self._made: dict[int, tuple[Any, bytes]] = {}

    def json(self, value: Any) -> bytes:
        """The value as JSON in UTF-8, b"" where that cannot write it, as an SDK may."""
        if id(value) not in self._made:
            try:
                text = _encode(value).encode()
            except (TypeError, ValueError, RecursionError):
                text = b""
            self._made[id(value)] = value, text
        return self._made[id(value)][1]

    def body(self, body: Mapping[str, Any]) -> bytes | None:
        """All fields of a body; None where one cannot be written, and where a name is no text."""
        texts = [(self.json(name), self.json(value)) for name, value in body.items()]
        if not all(name[:1] == b'"' and value for name, value in texts):
            return None
        # In one step: it may be megabytes.
        parts = [part for name, value in texts for part in (b",", name, b":", value)]
        return b"".join([b"{", *parts[1:], b"}"])

    def clear(self) -> None:
        """Forget what was written: the request is on its way."""
        self._made.clear()
