"""A server of chat completions for many short questions, with the manners of a busy one: some of them it
refuses for now (429 with Retry-After), some fail (500), some answers are garbage. It keeps its own books.

    with RowServer(Manners(too_many=0.1, failing=0.02, garbage=0.01)) as server:
        frame = praison_nb.map(texts, "Label: {value}", agent=server.agent(), output=Label)
        server.books.cost, server.books.accepted

Which question meets what is decided by its own text, once: asked again it is answered.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from aiohttp import web

from praison_nb import LocalAgent, LocalAgentConfig
from servers.base import LoopbackServer

MODEL = "gpt-4o-mini"
PRICES = Decimal("0.15"), Decimal("0.60")
"""USD per million tokens of input and output."""


@dataclass(frozen=True)
class Manners:
    """Shares of the questions that meet each; `seconds` an answer takes, and `retry_after` what a refusal
    wants. After `most` good answers the server takes questions, and answers none."""

    too_many: float = 0.0
    failing: float = 0.0
    garbage: float = 0.0
    seconds: float = 0.0
    retry_after: float = 0.05
    most: int | None = None


@dataclass
class Books:
    """What happened: the prompts that were answered well, and how often; refusals, failures and garbage; and
    the USD that all answers cost."""

    accepted: Counter[str] = field(default_factory=Counter)
    refused: int = 0
    failed: int = 0
    garbage: int = 0
    cost: Decimal = Decimal(0)
    at_once: int = 0
    most_at_once: int = 0

    @property
    def requests(self) -> int:
        return sum(self.accepted.values()) + self.refused + self.failed + self.garbage


class RowServer(LoopbackServer):
    """Answers each question with `answer(prompt)` as JSON."""

    def __init__(self, manners: Manners = Manners(), answer: Any = None) -> None:
        super().__init__()
        self.manners, self.books = manners, Books()
        self.answer = answer or (lambda prompt: {"value": "good" if len(prompt) % 2 else "bad"})
        self._met: set[str] = set()

    def agent(self, **config: Any) -> LocalAgent:
        """An agent that asks this server."""
        settings = {"model": MODEL, "base_url": f"{self.url}/v1", "provider": "openai", "wire": "chat"}
        return LocalAgent(LocalAgentConfig(**settings, api_key="test-key", **config))

    def routes(self, router: web.UrlDispatcher) -> None:
        router.add_post("/v1/chat/completions", self._complete)

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        users = [message["content"] for message in body["messages"] if message["role"] == "user"]
        prompt = users[0]
        books, manners = self.books, self.manners
        books.at_once += 1
        books.most_at_once = max(books.most_at_once, books.at_once)
        try:
            await asyncio.sleep(manners.seconds)
            await self.holds(lambda: manners.most is None or len(books.accepted) < manners.most)
            if what := self._meets(prompt):
                if what == "too_many":
                    books.refused += 1
                    headers = {"Retry-After": str(manners.retry_after)}
                    return self.error(429, "Rate limit reached for requests.", headers)
                if what == "failing":
                    books.failed += 1
                    return self.error(500, "The server had an error.", {})
                books.garbage += 1
                text = "I would rather talk about the weather."
            else:
                books.accepted[prompt] += 1
                text = json.dumps(self.answer(prompt))
            return await self._answered(request, body, text)
        finally:
            books.at_once -= 1

    def _meets(self, prompt: str) -> str:
        if prompt in self._met:
            return ""
        self._met.add(prompt)
        share, manners = (
            int(hashlib.sha256(prompt.encode()).hexdigest()[:8], 16) / 0x1_0000_0000,
            self.manners,
        )
        for name in ("too_many", "failing", "garbage"):
            share -= getattr(manners, name)
            if share < 0:
                return name
        return ""

    async def _answered(self, request: web.Request, body: dict[str, Any], text: str) -> web.StreamResponse:
        tokens = len(json.dumps(body["messages"])) // 4, len(text) // 4 + 1
        self.books.cost += sum(
            (count * price / 1_000_000 for count, price in zip(tokens, PRICES, strict=True)), Decimal(0)
        )
        used = {"prompt_tokens": tokens[0], "completion_tokens": tokens[1], "total_tokens": sum(tokens)}
        base = {"id": "chatcmpl-1", "created": 1, "model": body["model"]}
        if not body.get("stream"):
            choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
            return web.json_response(
                {**base, "object": "chat.completion", "choices": [choice], "usage": used}
            )
        chunks: list[dict[str, Any]] = [
            {
                "choices": [
                    {"index": 0, "delta": {"role": "assistant", "content": text}, "finish_reason": None}
                ]
            },
            {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
            {"choices": [], "usage": used},
        ]
        stream = await self.stream(request)
        lines = [json.dumps({**base, "object": "chat.completion.chunk", **chunk}) for chunk in chunks]
        await stream.write("".join(f"data: {line}\n\n" for line in [*lines, "[DONE]"]).encode())
        return stream.response
