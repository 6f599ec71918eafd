"""The events of a session as its stream has them: those that come by the thousand together, and all of them
by the names of the SDK's types. To make one of those costs more than all else that is done for an event."""

from __future__ import annotations

import json
from collections import deque
from datetime import datetime
from types import TracebackType
from typing import Any, Self

from ..body import Body
from ..coalesce import coalesce
from ..sse import Parser


class EventStream:
    """The events of a stream that the SDK has opened. Pieces of one message that came together are one."""

    def __init__(self, opened: Any) -> None:
        self._response = opened.response
        self._body = Body(self._response)
        self._parser = Parser()
        self._ready: deque[Any] = deque()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._body.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        """The next event. Raises what the SDK raises where the stream breaks or has an error in it."""
        while not self._ready:
            if self._parser.is_damaged:
                raise json.JSONDecodeError("a frame was cut", self._parser.excerpt, 0)
            if not (piece := await self._body.read()):
                raise StopAsyncIteration
            events = (event for event in self._parser.feed(piece) if event.get("type") != "ping")
            self._ready.extend(coalesce(events, _message_of, _merged))
        event = self._ready.popleft()
        if event.get("type") == "error" or not isinstance(event.get("type"), str):
            from anthropic import APIStatusError

            raise APIStatusError(str(event), response=self._response, body=event)
        return Fields(event)


class Fields:
    """An object of the API, its fields as attributes; one that is missing is None. What a tool is given stays
    a dict.

    >>> event = Fields({"content": [{"text": "a"}], "processed_at": "2026-01-01T00:00:00Z", "input": {}})
    >>> event.content[0].text, event.processed_at.year, event.input, event.stop_reason
    ('a', 2026, {}, None)
    """

    def __init__(self, values: dict[str, Any]) -> None:
        self._values = values

    def __getattr__(self, name: str) -> Any:
        # Once for each name. Of what Python itself asks for, nothing is a field.
        if name.startswith("_"):
            raise AttributeError(name)
        value = self._values.get(name)
        if name == "processed_at":
            value = _time(value)
        elif name != "input":
            value = _value(value)
        self.__dict__[name] = value
        return value


def _value(value: Any) -> Any:
    if isinstance(value, dict):
        return Fields(value)
    return [_value(each) for each in value] if isinstance(value, list) else value


def _time(value: Any) -> Any:
    try:
        return datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return value


def _message_of(event: dict[str, Any]) -> object:
    """What pieces of one message's text have in common, None for other events."""
    match event:
        case {
            "type": "event_delta",
            "event_id": key,
            "delta": {"content": {"type": "text", "text": str()}, **delta},
        }:
            return key, delta.get("index")
    return None


def _merged(pieces: list[dict[str, Any]]) -> dict[str, Any]:
    first, text = pieces[0], "".join(piece["delta"]["content"]["text"] for piece in pieces)
    delta = first["delta"]
    return {**first, "delta": {**delta, "content": {**delta["content"], "text": text}}}
