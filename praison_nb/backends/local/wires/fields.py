"""Fields of streamed messages that are to go back as they came."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

_PIECES = ("text", "summary", "data")
"""Of a part that comes in several: these are put together, of others the last one counts."""


class Fields:
    """Fields as they come together. Texts and lists come in pieces, of anything else the last one counts.

    >>> fields = Fields()
    >>> fields.add({"content": "4", "reasoning_content": "1 + "}, ["reasoning_content"])
    >>> fields.add({"reasoning_content": "3"}, ["reasoning_content"])
    >>> fields.values()
    {'reasoning_content': '1 + 3'}
    """

    def __init__(self) -> None:
        self._pieces: dict[str, list[Any]] = {}

    def add(self, message: Mapping[str, Any], names: Collection[str]) -> None:
        """Note those of `names` that the message has."""
        for name in names:
            if message.get(name) is not None:
                self._pieces.setdefault(name, []).append(message[name])

    def values(self) -> dict[str, Any]:
        """What they are so far."""
        return {name: _joined(pieces) for name, pieces in self._pieces.items()}


def _joined(pieces: list[Any]) -> Any:
    if all(isinstance(piece, str) for piece in pieces):
        return "".join(pieces)
    if all(isinstance(piece, list) for piece in pieces):
        return _parts([part for piece in pieces for part in piece])
    return pieces[-1]


def _parts(parts: list[Any]) -> list[Any]:
    """Pieces of one part (`index` and `type` are the same) are one."""
    groups: list[list[Any]] = []
    for part in parts:
        if groups and _is_same(groups[-1][0], part):
            groups[-1].append(part)
        else:
            groups.append([part])
    return [_part(group) for group in groups]


def _is_same(one: Any, other: Any) -> bool:
    both = isinstance(one, dict) and isinstance(other, dict)
    return both and "index" in one and all(one.get(key) == other.get(key) for key in ("index", "type"))


def _part(group: list[Any]) -> Any:
    if len(group) == 1:
        return group[0]
    made: dict[str, Any] = {}
    for piece in group:
        made |= {name: value for name, value in piece.items() if value is not None or name not in made}
    for name in _PIECES:
        if texts := [piece[name] for piece in group if isinstance(piece.get(name), str)]:
            made[name] = "".join(texts)
    return made
