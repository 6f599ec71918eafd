"""The events of a session as its stream has them: those that come by the thousand together, and all of them
as the SDK's types."""

from __future__ import annotations

import json
from collections import deque
from types import TracebackType
from typing import Any, Self

from ..body import Body
from ..joined import join
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
        from anthropic._models import construct_type
        from anthropic.types.beta.sessions import BetaManagedAgentsStreamSessionEvents

        while not self._ready:
            if self._parser.is_damaged:
                raise json.JSONDecodeError("a frame was cut", self._parser.excerpt, 0)
            if not (piece := await self._body.read()):
                raise StopAsyncIteration
            events = (event for event in self._parser.feed(piece) if event.get("type") != "ping")
            self._ready.extend(join(events, _message_of, _merged))
        event = self._ready.popleft()
        if event.get("type") == "error" or "type" not in event:
            from anthropic import APIStatusError

            raise APIStatusError(str(event), response=self._response, body=event)
        return construct_type(type_=BetaManagedAgentsStreamSessionEvents, value=event)


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
