"""What servers of all kinds tell of tokens and money on the wire, and what is right.

    with ShapeServer() as server:
        for shape in SHAPES:
            shape.agent(server).start("What is 2+2?")       # the server answers by the model's name

A loopback server stands for the provider that a shape names, and for nobody's where it names none. Costs are
computed by hand, from public prices in USD per million tokens.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from aiohttp import web

from praison_nb import LocalAgent, LocalAgentConfig
from servers.base import LoopbackServer

JSON = dict[str, Any]
M = Decimal(10) ** -6


@dataclass(frozen=True)
class Shape:
    """One form of an answer: `events` are its SSE events. `tokens` are input, of it from a cache and written
    to one, and output; None stands for an estimate. `cost` is None where nobody can know it."""

    name: str
    provider: str
    model: str
    events: Sequence[JSON]
    tokens: tuple[int | None, int, int, int | None]
    cost: Decimal | None
    source: str
    wire: str = "chat"
    headers: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    fees: Decimal = Decimal(0)
    is_lower_bound: bool = False

    def agent(self, server: ShapeServer) -> LocalAgent:
        """An agent that the server answers so."""
        server.shapes[self.model] = self
        return LocalAgent(
            LocalAgentConfig(
                model=self.model,
                base_url=f"{server.url}/v1",
                api_key="test-key",
                provider=self.provider,
                wire=self.wire,
                options=self.options,
            )
        )


class ShapeServer(LoopbackServer):
    """Answers each model's requests by its shape."""

    def __init__(self) -> None:
        super().__init__()
        self.shapes: dict[str, Shape] = {}

    def routes(self, router: web.UrlDispatcher) -> None:
        for path in ("chat/completions", "responses", "messages"):
            router.add_post(f"/v1/{path}", self._answer)

    async def _answer(self, request: web.Request) -> web.Response:
        shape = self.shapes[(await request.json())["model"]]
        end = [] if shape.wire == "messages" else ["[DONE]"]
        lines = [f"data: {each if isinstance(each, str) else json.dumps(each)}\n\n" for each in shape.events]
        text = "".join([*lines, *(f"data: {each}\n\n" for each in end)])
        headers = {"Content-Type": "text/event-stream", **shape.headers}
        return web.Response(text=text, headers=headers)


def usd(*parts: tuple[int, str]) -> Decimal:
    """Tokens times USD per million."""
    return sum((tokens * Decimal(price) for tokens, price in parts), Decimal(0)) * M


def chunk(model: str, delta: JSON | None = None, finish: str | None = None, **more: Any) -> JSON:
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    base = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": model}
    return {**base, "choices": choices, **more}


def chat(model: str, usage: Any, **more: Any) -> list[JSON]:
    """An answer as OpenAI streams it: the usage in a chunk of its own."""
    said = [chunk(model, {"role": "assistant", "content": "Four"}), chunk(model, {}, "stop")]
    return [*said, chunk(model, usage=usage, **more)]


def last(model: str, usage: Any, **more: Any) -> list[JSON]:
    """One whose usage is in the last chunk with a choice."""
    return [chunk(model, {"content": "Four"}), chunk(model, {}, "stop", usage=usage, **more)]


def counted(prompt: int, completion: int, total: int | None = None, **more: Any) -> JSON:
    total = prompt + completion if total is None else total
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": total, **more}


def cached(tokens: int, **more: Any) -> JSON:
    return {"prompt_tokens_details": {"cached_tokens": tokens, **more}}


def response(model: str, usage: JSON, *calls: JSON, **more: Any) -> list[JSON]:
    """An answer of the Responses API; `calls` are what the provider's own tools did."""
    content = [{"type": "output_text", "text": "Four", "annotations": []}]
    said = {"id": "m1", "type": "message", "role": "assistant", "status": "completed", "content": content}
    done = {"id": "r1", "object": "response", "status": "completed", "model": model, "output": [*calls, said]}
    return [
        {"type": "response.output_text.delta", "item_id": "m1", "output_index": len(calls), "delta": "Four"},
        {"type": "response.completed", "response": {**done, "usage": usage, **more}},
    ]


def message(model: str, first: JSON, final: JSON, **more: Any) -> list[JSON]:
    """An answer of the Messages API: counts at its beginning and at its end."""
    begun = {"id": "msg_1", "type": "message", "role": "assistant", "model": model, "content": []}
    return [
        {"type": "message_start", "message": {**begun, "usage": first, **more}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Four"}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": final},
        {"type": "message_stop"},
    ]
