"""One attempt at one request: the official client's raw response, as the events that it holds.

    deadline = Deadline(config.timeout)
    async with open_stream(server, wire.path, body, deadline) as stream:
        async for event in stream:          # dicts
            ...reader.read(event)...
            if reader.reply.progress > before:
                deadline.extend()
    if stream.end == "done":
        ...reader.end()...

What it raises, at its opening and between two events, is a PraisonError that says what to do: its cause is
the SDK's (raise `unchained(problem)`). `is_retryable` tells whether the same request may do better; it is
never asked again here.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal, Self

from .providers import Server

TIMEOUT = 600.0
"""Seconds without anything new for the reader, where the config says nothing: what the SDKs allow, since a
model may think for minutes without a sign."""
CONNECT_TIMEOUT = 10.0
"""Seconds for a connection, with its TLS and the proxy's: twice what the SDKs allow, for slow networks."""

End = Literal["", "done", "closed"]
"""How a stream ended: the server said that this was all ([DONE], or one whole JSON body), it closed the
response in peace, or not (yet)."""


@dataclass(eq=False)
class Deadline:
    """How long the server may leave its reader without anything new: `seconds` of waiting for it, however
    many pings come. `extend` when there is something new."""

    seconds: float = TIMEOUT
    left: float = field(init=False)

    def __post_init__(self) -> None:
        self.extend()

    def extend(self) -> None:
        """There was something new."""
        self.left = self.seconds


class Stream:
    """The events of one answer. `end` says how it ended, once there are no more."""

    end: End = ""

    async def __aenter__(self) -> Self:
        """Ask. Raises a PraisonError where the server refuses, cannot be reached or is no API."""
        raise NotImplementedError

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        raise NotImplementedError

    def __aiter__(self) -> AsyncIterator[dict[str, Any]]:
        """Every event, as a dict. One JSON body in place of a stream is one event. Raises a PraisonError
        where the answer is cut, stays away past the deadline, or cannot be understood."""
        raise NotImplementedError


def open_stream(server: Server, path: str, body: Mapping[str, Any], deadline: Deadline) -> Stream:
    """Ask the server, once, for a stream. `body` needs no `stream`; where it has `stream_options` and the
    server does not know them, it is asked again without."""
    raise NotImplementedError
