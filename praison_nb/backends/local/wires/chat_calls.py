"""The tool calls of one streamed chat completion, from whatever pieces a server sends.

The protocol has an index for each call, its id and name in the first piece, and then more of its arguments.
Servers leave out each of these, or give all calls the same.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .reply import CallParts, Reply

_ARGUMENTS = ("arguments", "parameters", "input")


@dataclass(eq=False)
class _Open:
    """A call as it comes together. `id` is the one that the server gave, "" where it gave none."""

    parts: CallParts
    id: str
    is_named_again: bool = False

    @property
    def arguments(self) -> str:
        return "".join(self.parts.arguments)

    @property
    def is_empty(self) -> bool:
        return not any(piece.strip() for piece in self.parts.arguments)

    def ends_before(self, more: str) -> bool:
        """Whether the arguments are whole, so that `more` are those of another call."""
        last = next((piece for piece in reversed(self.parts.arguments) if piece.strip()), "")
        # Nowhere in JSON but in a string does a bracket open behind one that closes.
        if not last.rstrip().endswith("}") or more.lstrip()[:1] not in ("", "{"):
            return False
        try:
            return isinstance(json.loads(self.arguments), dict)
        except (ValueError, RecursionError):
            return False


class CallPieces:
    """Puts calls together into `reply`. `tools` are the names that there are."""

    def __init__(self, reply: Reply, tools: Collection[str]) -> None:
        self._reply, self._tools = reply, tools
        self._by_index: dict[int, _Open] = {}
        self._by_id: dict[str, _Open] = {}
        self._last: _Open | None = None

    def take(self, pieces: Any) -> Iterator[tuple[CallParts, Mapping[str, Any]]]:
        """Take a message's `tool_calls`; yield each piece, behind the call that it is of."""
        pieces = pieces if isinstance(pieces, list) else [pieces]
        for place, piece in enumerate(pieces):
            if isinstance(piece, dict):
                # Several at once without numbers are several calls.
                index = _index(piece.get("index"), place if len(pieces) > 1 else None)
                yield from self._take(piece, index)

    def _take(
        self, piece: Mapping[str, Any], index: int | None
    ) -> Iterator[tuple[CallParts, Mapping[str, Any]]]:
        function = piece.get("function")
        function = function if isinstance(function, dict) else piece
        name, call_id = _text(function.get("name")), _text(piece.get("id"))
        value = next((function[name] for name in _ARGUMENTS if function.get(name) is not None), None)
        arguments = _arguments(value)
        if not (name or call_id or arguments):
            return
        call = self._continued(index, call_id, name, arguments)
        if call is None:
            if self._last and self._last.is_named_again:
                # It was the name of this one.
                name = name or self._last.parts.name
            call = _Open(self._reply.add_call(call_id, name), call_id)
        elif not call.parts.name or (name != call.parts.name and call.is_empty):
            call.parts.name += name
        self._last = call
        if index is not None:
            self._by_index[index] = call
        if call_id:
            self._by_id.setdefault(call_id, call)
        if isinstance(value, dict):
            # An object is never a piece of one.
            call.parts.arguments.clear()
        self._reply.add_arguments(call.parts, arguments)
        yield call.parts, piece

    def _continued(self, index: int | None, call_id: str, name: str, arguments: str) -> _Open | None:
        """The call that the piece goes on with; None where it begins one."""
        call = self._last if index is None else self._by_index.get(index)
        if call is None and not name:
            # Some number the pieces and not the calls.
            call = self._by_id.get(call_id) or (self._last if arguments or not call_id else None)
        if index is None and call_id:
            call = self._by_id.get(call_id, call)
        if call is None:
            return None
        if name:
            return None if self._begins(call, call_id, name, arguments) else call
        if call.is_named_again and call.ends_before(arguments):
            return None
        return call

    def _begins(self, call: _Open, call_id: str, name: str, arguments: str) -> bool:
        """Whether a piece with a name is the first of another call."""
        if not call.parts.name or (call_id and call_id == call.id):
            return False
        if name != call.parts.name:
            # A name in pieces, which a tool has as a whole.
            whole = call.parts.name + name
            is_piece = call.parts.name not in self._tools and call.is_empty
            return not (is_piece and any(each.startswith(whole) for each in self._tools))
        is_other_id = bool(call_id and call.id)
        if call.is_empty:
            return is_other_id and not arguments.strip()
        if not call.ends_before(arguments):
            return False
        call.is_named_again = not arguments.strip() and not is_other_id
        return not call.is_named_again


def _index(value: Any, otherwise: int | None) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else otherwise


def _text(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**64:
        return str(value)
    return value if isinstance(value, str) else ""


def _arguments(value: Any) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    try:
        return json.dumps(value)
    except (ValueError, TypeError, RecursionError):
        return ""
