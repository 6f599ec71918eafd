"""The bytes of an answer, as the JSON objects in it: Server-Sent Events by the rules of WHATWG, and what
servers send in their place.

Nothing here raises, and nothing that came is lost: what is no JSON is skipped, and `excerpt` has it.

>>> parser = Parser()
>>> parser.feed(b': ping\\n\\ndata: {"a": 1}\\r\\n\\r\\ndata: {"b"')
[{'a': 1}]
>>> parser.feed(b': 2}\\n\\ndata: [DONE]\\n\\n'), parser.is_done
([{'b': 2}], True)
"""

from __future__ import annotations

import json
from typing import Any

MOST_BYTES = 64 * 1024 * 1024
"""Of one event, or of a body that is one JSON text: more of it is not kept."""
_EXCERPT = 2000
# Python takes as many bytes for a piece, however short it is.
_OBJECT = 50
_BOM = b"\xef\xbb\xbf"
# These end an answer where there is no [DONE]: of the Messages API, and of the Responses API.
_LAST = frozenset({"message_stop", "response.completed", "response.incomplete", "response.failed"})
# Raw control characters and NaN are no JSON, and are sent.
_decode = json.JSONDecoder(strict=False, parse_constant=lambda _: None).raw_decode


class _Pieces:
    """Bytes that come in pieces, as many as there may be of them."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.is_cut = False
        self._size = 0

    def add(self, piece: bytes) -> None:
        self._size += len(piece) + _OBJECT
        if self._size > MOST_BYTES:
            self.is_cut = True
        else:
            self.pieces.append(piece)

    def clear(self) -> None:
        self.pieces.clear()
        self._size, self.is_cut = 0, False


class Parser:
    """Takes the bytes of one answer, cut anywhere.

    - `is_done`: the server said that this is all: [DONE], an event that is the last one of its API, or a body
      that is one JSON text. What comes behind is not read.
    - `is_whole`: the body was one JSON text, and no stream.
    - `excerpt`: the beginning of the first thing that was not understood, "" where all was; `is_damaged`: it
      looked like JSON, so that a part of the answer may be missing.
    """

    def __init__(self) -> None:
        self.is_done = self.is_whole = self.is_damaged = False
        self.excerpt = ""
        self._begin: bytes | None = b""
        self._after_cr = False
        self._line, self._data, self._other = _Pieces(), _Pieces(), _Pieces()
        self._name = ""
        self._events = self._texts = 0

    def feed(self, piece: bytes) -> list[dict[str, Any]]:
        """The objects that `piece` completes."""
        found: list[dict[str, Any]] = []
        if self._begin is not None:
            piece = self._begin + piece
            if len(piece) < len(_BOM) and _BOM.startswith(piece):
                self._begin = piece
                return found
            self._begin, piece = None, piece.removeprefix(_BOM)
        if self._after_cr and piece:
            self._after_cr, piece = False, piece.removeprefix(b"\n")
        if not piece or self.is_done:
            return found
        lines = piece.splitlines()
        rest = b"" if piece.endswith((b"\n", b"\r")) else lines.pop()
        self._after_cr = piece.endswith(b"\r")
        if lines and self._line.pieces:
            lines[0] = self._whole_line(lines[0])
        for line in lines:
            self._take(line, found)
            if self.is_done:
                return found
        if rest:
            self._line.add(rest)
        return found

    def close(self) -> list[dict[str, Any]]:
        """The objects that the end of the body completes. An event needs no blank line there."""
        found: list[dict[str, Any]] = []
        if not self.is_done:
            self._take(self._whole_line(self._begin or b""), found)
            self._dispatch(found)
            if self._other.pieces:
                self._take_whole(found)
            if self._texts == 1 and not self._events:
                self.is_done = self.is_whole = True
        return found

    def _whole_line(self, end: bytes) -> bytes:
        self._line.add(end)
        if self._line.is_cut:
            self._skip(self._line.pieces[0])
            line = b""
        else:
            line = b"".join(self._line.pieces)
        self._line.clear()
        return line

    def _take(self, line: bytes, found: list[dict[str, Any]]) -> None:
        """One line, without its end."""
        if not line:
            if self._data.pieces or self._name:
                self._dispatch(found)
        elif line.startswith(b"data:"):
            self._take_data(line[5:], found)
        elif line.startswith(b"event:"):
            self._name = line[6:100].decode("utf-8", "replace").strip()
        elif not line.startswith((b":", b"id:", b"retry:")) and line not in (b"data", b"event", b"id"):
            self._take_other(line, found)

    def _take_data(self, data: bytes, found: list[dict[str, Any]]) -> None:
        # Some servers leave out the blank line between two events.
        if len(self._data.pieces) == 1 and _objects(self._data.pieces[0]):
            self._dispatch(found)
        self._data.add(data)

    def _take_other(self, line: bytes, found: list[dict[str, Any]]) -> None:
        """A line of no event: JSON, of which each line may be a text (NDJSON), a page, or anything."""
        stripped = line.lstrip()
        if stripped.startswith(b"data:"):
            self._take_data(stripped[5:], found)
        elif not self._other.pieces and _is_like_json(stripped) and (objects := _objects(line)) is not None:
            self._texts += 1
            found += objects
        elif stripped:
            self._other.add(line)

    def _dispatch(self, found: list[dict[str, Any]]) -> None:
        """The end of an event."""
        name, self._name = self._name, ""
        pieces = self._data.pieces
        data = pieces[0] if len(pieces) == 1 else b"\n".join(pieces)
        is_cut = self._data.is_cut
        self._data.clear()
        events = None if is_cut else _objects(data)
        if not events:
            text = data.strip()
            if text == b"[DONE]":
                self.is_done = True
            elif text and name == "error":
                found.append({"error": text.decode("utf-8", "replace")})
            elif events is None:
                self._skip(text)
            return
        self._events += 1
        for event in events:
            if name and "type" not in event:
                is_error = name == "error" and "error" not in event
                event = {"error": event} if is_error else {**event, "type": name}
            found.append(event)
            kind = event.get("type")
            if isinstance(kind, str) and kind in _LAST:
                self.is_done = True

    def _take_whole(self, found: list[dict[str, Any]]) -> None:
        """The lines of no event, now that there are no more: one JSON text, or some of it."""
        text = b"\n".join(self._other.pieces)
        if not self._other.is_cut and (objects := _objects(text)) is not None:
            self._texts += 1
            found += objects
            return
        for line in self._other.pieces:
            if _is_like_json(line.lstrip()) and (objects := _objects(line)) is not None:
                self._texts += 2
                found += objects
        self._skip(text)

    def _skip(self, text: bytes) -> None:
        text = text.strip()
        if text and not self.excerpt:
            self.excerpt = text[:_EXCERPT].decode("utf-8", "replace")
        self.is_damaged = self.is_damaged or _is_like_json(text.removeprefix(b"data:").lstrip())


def _is_like_json(text: bytes) -> bool:
    return text.startswith((b"{", b"["))


def _objects(data: bytes) -> list[dict[str, Any]] | None:
    """The JSON objects that `data` is or lists, None where it is no JSON. Other values are no events."""
    text = data.strip().decode("utf-8", "replace")
    try:
        value, end = _decode(text)
    except (ValueError, RecursionError):
        return None
    if end < len(text):
        return None
    if isinstance(value, dict):
        return [value]
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
