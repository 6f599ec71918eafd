"""A server on all three wires that keeps its own books: what it was asked, has sent, and bills.

    with BookServer() as server:
        server.plans["s1"] = Plan([Round(status=429), Round(calls=1), Round(text="Done")])
        agent.begin(prompt("s1")).wait()
        server.books                                        # one Entry for each request that arrived

It counts tokens by a tokenizer of its own, which is not the client's guess: `bytes_per_token` is drawn by the
test. Of an answer that did not leave whole it bills what has left.
"""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

from aiohttp import web

from servers import messages, openai, responses
from servers.base import Gate, LoopbackServer

JSON = dict[str, Any]
PRICES = {
    "gpt-4o": ("2.5", "1.25", "10"),
    "gpt-4.1-mini": ("0.4", "0.1", "1.6"),
    "claude-sonnet-4-5": ("3", "0.3", "15"),
    "openai/gpt-4.1": ("2", "0.5", "8"),
    "my-model": ("1", "1", "10"),
}
"""USD per million tokens of input, of input from a cache, and of output: the providers' public lists, and
what the test sets for a model of its user's. Others have no price."""
TELLS_COST = "openai/gpt-4.1"
"""What is sold by a provider that bills what it says in its usage."""
_READ = ("messages", "input", "system", "instructions", "tools")
_STEP = re.compile(r"step (s\d+)\.")


def prompt(step: str, filler: str = "") -> str:
    """One that the server finds its plan by."""
    return f"{filler} This is step {step}."


def usd(model: str, uncached: int, cached: int, output: int) -> Decimal | None:
    """What so many tokens cost, None where nobody knows."""
    if model not in PRICES:
        return None
    counts = zip((uncached, cached, output), PRICES[model], strict=True)
    return sum((tokens * Decimal(price) for tokens, price in counts), Decimal(0)) / 1_000_000


@dataclass
class Round:
    """How one request is answered: refused with `status`, not at all, or with `text` and so many `calls`.
    `hidden` tokens are output that is only counted, `cached` is the share of the input that was in a cache.
    `usage` is how the count is told, one of USAGES. The stream ends after `cut` bytes, and stops before its
    step number `hold` (modulo how many there are) until the test goes on."""

    status: int = 200
    is_silent: bool = False
    text: str = "Done."
    calls: int = 0
    hidden: int = 0
    cached: float = 0.0
    usage: str = "told"
    cut: int | None = None
    hold: int | None = None


USAGES = ("told", "missing", "text", "float", "total", "negative", "list", "empty", "huge", "each")
NOT_TOLD = ("missing", "negative", "list", "empty", "huge")
"""Of these a client knows no count, or not all of it."""
_KINDS = {"responses": ("told", "missing"), "messages": ("told",)}
"""What those tell whose counts have types; chat completions come from all kinds of servers."""


@dataclass
class Plan:
    """The answers to one prompt. `offsets` are those of the client's clock, before the first call of its
    tool, and after each."""

    rounds: list[Round]
    offsets: Sequence[float] = (0.0,)
    attempts: int = 0
    calls: int = 0
    gate: Gate | None = None

    def next(self) -> Round:
        self.attempts += 1
        return self.rounds[self.attempts - 1] if self.attempts <= len(self.rounds) else Round()


@dataclass(eq=False)
class Entry:
    """A request as it is billed. `at` is the time by the client's clock. `is_told` says whether the count has
    left whole, None where that is odd; `knows_input` whether that of the input has. `is_cut` is one that the
    server ended early, so that all that has left arrives."""

    step: str
    model: str
    at: float
    input: int
    cached: int = 0
    output: int = 0
    is_billed: bool = True
    is_told: bool | None = False
    knows_input: bool = False
    is_cut: bool = False

    @property
    def usd(self) -> Decimal | None:
        if not self.is_billed:
            return Decimal(0)
        return usd(self.model, self.input - self.cached, self.cached, self.output)


class BookServer(LoopbackServer):
    """Answers by plans, and bills."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes_per_token = 4.0
        self.plans: dict[str, Plan] = {}
        self.books: list[Entry] = []

    def routes(self, router: web.UrlDispatcher) -> None:
        for path in ("chat/completions", "responses", "messages"):
            router.add_post(f"/v1/{path}", self._answer)

    def tokens(self, text: str) -> int:
        return math.ceil(len(text.encode()) / self.bytes_per_token)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        read = json.dumps([body[name] for name in _READ if body.get(name)], ensure_ascii=False)
        step = _STEP.findall(read)[-1]
        plan = self.plans[step]
        round_ = plan.next()
        if round_.usage not in _KINDS.get(request.path.rpartition("/")[2], USAGES):
            round_.usage = "told"
        offset = plan.offsets[min(plan.calls, len(plan.offsets) - 1)]
        entry = Entry(step, body["model"], time.time() + offset, self.tokens(read))
        self.books.append(entry)
        plan.gate = gate = self.gate()
        if round_.status != 200:
            entry.is_billed = False
            return self._refusal(round_.status)
        entry.cached = int(entry.input * round_.cached)
        if round_.is_silent:
            await gate.passed()
        if round_.cut is not None:
            self.cut(round_.cut)
        stream = await self.stream(request)
        steps = list(self._steps(request.path, body, round_, entry))
        entry.is_cut = round_.cut is not None
        is_odd = round_.usage in NOT_TOLD
        for number, (event, output, counts) in enumerate(steps):
            if round_.hold is not None and number == round_.hold % len(steps):
                await gate.passed()
            await stream.write(event)
            entry.output = output
            if counts:
                entry.knows_input = not is_odd
                entry.is_told = None if is_odd or counts == "so far" else counts == "all"
        entry.is_cut = False
        plan.calls += round_.calls
        return stream.response

    def _refusal(self, status: int) -> web.Response:
        error = {"type": "overloaded_error", "message": "not now", "code": None, "param": None}
        return web.json_response({"type": "error", "error": error}, status=status)

    def _steps(
        self, path: str, body: JSON, round_: Round, entry: Entry
    ) -> Iterator[tuple[bytes, int, Literal["", "input", "so far", "all"]]]:
        """Each event, the tokens of output so far, and what it tells of the count."""
        calls = [("jump", "{}")] * round_.calls
        if path.endswith("messages"):
            made = messages.reply(round_.text, calls=calls, size=9)
        elif path.endswith("responses"):
            made = responses.reply(round_.text, calls=calls, size=9)
        else:
            made = openai.reply(round_.text, calls=calls, usage=(1, 1), size=9)
        sent, hidden = "", 0
        for event in made:
            if isinstance(event, bytes):
                yield event, self.tokens(sent) + hidden, ""
                continue
            assert isinstance(event, dict)
            sent += _written(event)
            if event.get("usage") or event.get("type") == "response.completed":
                hidden = round_.hidden
            output = self.tokens(sent) + hidden
            _count(event, entry, round_, output)
            for holder in (event, event.get("response"), event.get("message")):
                if isinstance(holder, dict) and "model" in holder:
                    holder["model"] = body["model"]
            data = json.dumps(event)
            counts = any(text in data for text in ('"usage": {', '"usage": ['))
            name = f"event: {event['type']}\n" if "type" in event else ""
            goes_on = "choices" in event and bool(event["choices"])
            told = ("input" if "message" in event else "so far" if goes_on else "all") if counts else ""
            yield f"{name}data: {data}\n\n".encode(), output, told


def _count(event: JSON, entry: Entry, round_: Round, output: int) -> None:
    """Put the count into an event that has a place for it."""
    uncached = entry.input - entry.cached
    match event:
        case {"type": "message_start", "message": message}:
            message["usage"] = {
                "input_tokens": uncached, "cache_read_input_tokens": entry.cached, "output_tokens": 1
            }  # fmt: skip
        case {"type": "message_delta"}:
            event["usage"] = {"input_tokens": uncached, "output_tokens": output}
        case {"type": "response.completed", "response": response}:
            response["usage"] = responses.usage(entry.input, output, entry.cached)
            if round_.usage == "missing":
                response["usage"] = None
        case {"object": "chat.completion.chunk"}:
            is_last = bool(event.pop("usage", None))
            told = _chat_usage(round_.usage, entry, output, round_.hidden)
            if entry.model == TELLS_COST and isinstance(told, dict):
                told["cost"] = float(usd(entry.model, uncached, entry.cached, output) or 0)
            if told is not None and (is_last or round_.usage == "each"):
                event["usage"] = told


def _chat_usage(kind: str, entry: Entry, output: int, hidden: int) -> Any:
    convert = {"text": str, "float": float}.get(kind, int)
    told: JSON = {
        "prompt_tokens": convert(entry.input),
        "completion_tokens": convert(output),
        "total_tokens": convert(entry.input + output),
        "prompt_tokens_details": {"cached_tokens": convert(entry.cached)},
    }
    match kind:
        case "missing":
            return None
        case "total":
            told["completion_tokens"] -= hidden
        case "negative":
            told["prompt_tokens"] = -told["prompt_tokens"]
        case "huge":
            told["prompt_tokens"] = 10**30
        case "list":
            return [1, 2]
        case "empty":
            return {}
    return told


def _written(event: JSON) -> str:
    delta = event.get("delta")
    if choices := event.get("choices"):
        delta = choices[0]["delta"]
        calls = delta.get("tool_calls") or ()
        return (delta.get("content") or "") + "".join(each["function"]["arguments"] for each in calls)
    if isinstance(delta, dict):
        return delta.get("text") or delta.get("partial_json") or ""
    return delta or ""
