"""What a session is and what it used, the same for every backend.

>>> from praison_nb.session import SessionInfo
>>> SessionInfo().to_dict()
{'id': '', 'status': 'unknown', 'title': '', 'usage': {'input_tokens': 0, 'output_tokens': 0}}
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Status(StrEnum):
    """A session's status; the value is the word that users see."""

    IDLE = "idle"
    """A session exists and is ready for input."""
    RUNNING = "running"
    """A turn is under way."""
    ERROR = "error"
    """The last turn failed."""
    UNKNOWN = "unknown"
    """Hosted: no session yet, archived, or the status could not be had."""
    NONE = "none"
    """Local: no session yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Numbers of tokens, in columns that never overlap, so that each can be priced and all can be added:
    input that was neither read from a cache nor written to one, input read from one, input written to one for
    five minutes or for an hour, and output. What follows is no column, but a part of one, 0 where the
    provider does not tell it: `reasoning_output_tokens` of the output were thinking,
    `audio_output_tokens` sound, and `audio_input_tokens` of the input. The provider's own counts, but where
    `estimated`: then a part was counted here (four bytes to the token). Add two with `+`.

    >>> (Usage(uncached_input_tokens=3, output_tokens=1) + Usage(cache_read_input_tokens=4)).input_tokens
    7
    """

    uncached_input_tokens: int = 0
    cache_read_input_tokens: int = 0
    cache_write_5m_input_tokens: int = 0
    cache_write_1h_input_tokens: int = 0
    output_tokens: int = 0
    reasoning_output_tokens: int = 0
    audio_input_tokens: int = 0
    audio_output_tokens: int = 0
    estimated: bool = False

    @property
    def input_tokens(self) -> int:
        """All input, cached or not."""
        return self.uncached_input_tokens + self.cache_read_input_tokens + self.cache_creation_input_tokens

    @property
    def cache_creation_input_tokens(self) -> int:
        """Input that was written to a cache, for five minutes or an hour."""
        return self.cache_write_5m_input_tokens + self.cache_write_1h_input_tokens

    def __add__(self, other: Usage) -> Usage:
        # Written out, since it is made for each piece of text that comes.
        return Usage(
            uncached_input_tokens=self.uncached_input_tokens + other.uncached_input_tokens,
            cache_read_input_tokens=self.cache_read_input_tokens + other.cache_read_input_tokens,
            cache_write_5m_input_tokens=self.cache_write_5m_input_tokens + other.cache_write_5m_input_tokens,
            cache_write_1h_input_tokens=self.cache_write_1h_input_tokens + other.cache_write_1h_input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            reasoning_output_tokens=self.reasoning_output_tokens + other.reasoning_output_tokens,
            audio_input_tokens=self.audio_input_tokens + other.audio_input_tokens,
            audio_output_tokens=self.audio_output_tokens + other.audio_output_tokens,
            estimated=self.estimated or other.estimated,
        )

    def to_dict(self) -> dict[str, Any]:
        """`input_tokens` (cached or not) and `output_tokens` always; `cache_read_input_tokens`,
        `cache_creation_input_tokens`, `reasoning_output_tokens` (part of `output_tokens`) and `estimated`
        where they are not 0 or False."""
        more = {
            "cache_read_input_tokens": self.cache_read_input_tokens,
            "cache_creation_input_tokens": self.cache_creation_input_tokens,
            "reasoning_output_tokens": self.reasoning_output_tokens,
            "estimated": self.estimated,
        }
        return {
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
            **{key: value for key, value in more.items() if value},
        }


NO_USAGE = Usage()


@dataclass(frozen=True, slots=True, init=False)
class SessionInfo:
    """What `retrieve_session()` returns, as a dict: exactly these four, none of them ever None or missing.

    `id` and `title` are the backend's, "" without one. `status` may be given as its word; one that is none
    is "unknown". `usage` is `Usage.to_dict()` of the whole session: at least the ints `input_tokens` (cached
    or not) and `output_tokens`, which are 0 where they are not given. What else a backend has is left out.

    >>> from praison_nb.session import SessionInfo
    >>> SessionInfo(id="s-1", status="idle", usage={"input_tokens": 5}).to_dict()
    {'id': 's-1', 'status': 'idle', 'title': '', 'usage': {'input_tokens': 5, 'output_tokens': 0}}
    """

    id: str
    status: Status | str
    title: str
    usage: Mapping[str, Any]

    def __init__(
        self,
        id: str = "",
        status: Status | str = Status.UNKNOWN,
        title: str = "",
        usage: Mapping[str, Any] | Usage | None = None,
        **others: Any,
    ) -> None:
        for name, value in (("id", id), ("title", title)):
            object.__setattr__(self, name, "" if value is None else str(value))
        object.__setattr__(self, "status", _status(status))
        object.__setattr__(self, "usage", _usage(usage))

    def to_dict(self) -> dict[str, Any]:
        """A plain dict of the four, `status` as a plain str."""
        return {"id": self.id, "status": str(self.status), "title": self.title, "usage": dict(self.usage)}


def _status(word: Any) -> Status:
    try:
        return Status(word)
    except ValueError:
        return Status.UNKNOWN


def _usage(usage: Any) -> dict[str, Any]:
    given = usage.to_dict() if isinstance(usage, Usage) else usage if isinstance(usage, Mapping) else {}
    counts = {key: _count(given.get(key)) for key in ("input_tokens", "output_tokens")}
    return {**counts, **{key: value for key, value in given.items() if value is not None}, **counts}


def _count(value: Any) -> int:
    is_number = isinstance(value, int) or (isinstance(value, float) and math.isfinite(value))
    return max(0, int(value)) if is_number else 0
