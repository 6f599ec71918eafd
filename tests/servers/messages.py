"""A scripted server that speaks Anthropic's Messages, refuses what they refuse, and counts caches as they do.

    with MessagesServer(counts=True) as server:
        server.script(reply("Let me see.", calls=[("add", '{"a": 1}')], thinking="Hm."), reply("2"))
        ...                                                 # POST server.base_url + "/messages"
        server.usages[-1]["cache_read_input_tokens"]        # what the last request was told

A reply is a list of steps: a dict is an event, checked against the SDK's own type; bytes go out as they are;
a Gate stops until the test opens it, CutHere ends the connection. Without a script the server echoes the last
text of the user. With `counts=True` it counts what each request and answer really have, and keeps caches.
"""

from __future__ import annotations

import itertools
import json
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

from aiohttp import web
from anthropic.types import Message, RawMessageStreamEvent

from servers.base import ByteStream, Gate, LoopbackServer
from servers.hosted_types import check_response
from servers.messages_cache import Cache, tokens
from servers.messages_rules import Issued, check
from servers.openai import CutHere

Step = dict[str, Any] | bytes | Gate | CutHere
MODEL = "claude-opus-4-8"
_ERRORS = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    529: "overloaded_error",
}
_numbers = itertools.count(1)


def block(index: int, start: dict[str, Any], *deltas: dict[str, Any]) -> list[Step]:
    """The events of one block."""
    return [
        {"type": "content_block_start", "index": index, "content_block": start},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]


def reply(
    text: str = "",
    *,
    calls: Sequence[tuple[str, str]] = (),
    thinking: str | None = None,
    redacted: bool = False,
    blocks: Sequence[dict[str, Any]] = (),
    usage: tuple[int, ...] | None = (10, 5),
    stop: str | None = None,
    size: int | None = None,
    **delta: Any,
) -> list[Step]:
    """A whole reply: thinking, `blocks` that come whole, text in pieces of `size` characters (else of 4, a
    long one in a thousand), then tool calls (name, JSON arguments). `usage` is input, output, and input read
    from a cache; `delta` is more of the `message_delta`."""
    parts: list[list[Step]] = []
    size = size or max(4, len(text) // 1000)
    counts = dict(
        zip(("input_tokens", "output_tokens", "cache_read_input_tokens"), usage or (0, 0), strict=False)
    )

    def add(start: dict[str, Any], *deltas: dict[str, Any]) -> None:
        parts.append(block(len(parts), start, *deltas))

    if thinking is not None:
        add(
            {"type": "thinking", "thinking": "", "signature": ""},
            *({"type": "thinking_delta", "thinking": piece} for piece in _pieces(thinking, size)),
            {"type": "signature_delta", "signature": f"signature-{next(_numbers)}"},
        )
    if redacted:
        add({"type": "redacted_thinking", "data": f"encrypted-{next(_numbers)}"})
    for each in blocks:
        add(each)
    if text:
        pieces = ({"type": "text_delta", "text": piece} for piece in _pieces(text, size))
        add({"type": "text", "text": "", "citations": None}, *pieces)
    for name, arguments in calls:
        start = {"type": "tool_use", "id": f"toolu_{next(_numbers):024}", "name": name, "input": {}}
        deltas = ({"type": "input_json_delta", "partial_json": piece} for piece in _pieces(arguments, size))
        add(start, {"type": "input_json_delta", "partial_json": ""}, *deltas)
    end = {"stop_reason": stop or ("tool_use" if calls else "end_turn"), "stop_sequence": None, **delta}
    return [
        started(**{**counts, "output_tokens": 1}),
        {"type": "ping"},
        *itertools.chain.from_iterable(parts),
        {"type": "message_delta", "delta": end, "usage": {"output_tokens": counts["output_tokens"]}},
        {"type": "message_stop"},
    ]


def started(**usage: int) -> dict[str, Any]:
    """The first event."""
    message = {
        "id": f"msg_{next(_numbers)}",
        "type": "message",
        "role": "assistant",
        "model": MODEL,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": 0, "output_tokens": 0, **usage},
    }
    return {"type": "message_start", "message": message}


def error(kind: str = "overloaded_error", message: str = "Overloaded") -> bytes:
    """An error in mid-stream, which the SDK's union does not have."""
    event = {"type": "error", "error": {"type": kind, "message": message}}
    return f"event: error\ndata: {json.dumps(event)}\n\n".encode()


def _pieces(text: str, size: int) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]


class MessagesServer(LoopbackServer):
    """Plays one scripted reply for each request that it does not refuse."""

    def __init__(self, *, counts: bool = False, strict_turns: bool = False) -> None:
        super().__init__()
        self._scripts: deque[list[Step]] = deque()
        self.counts = counts
        self.key = ""
        """The only key that may ask, "" for any."""
        self.strict_turns = strict_turns
        """Whether two messages of one role in a row are refused, which Anthropic's own server joins."""
        self.now = 1_000.0
        """The time by which caches end, in seconds."""
        self.cache = Cache(lambda: self.now)
        self.issued = Issued()
        self.usages: list[dict[str, Any]] = []
        """What each request used, where the server counts."""
        self.refused: list[str] = []

    @property
    def base_url(self) -> str:
        return f"{self.url}/v1"

    @property
    def bodies(self) -> list[dict[str, Any]]:
        """The bodies of the requests so far."""
        return [request.json for request in self.seen("POST", "/messages")]

    def script(self, *replies: list[Step]) -> None:
        """Answer the next requests with these replies, in order."""
        for step in itertools.chain.from_iterable(replies):
            if isinstance(step, dict) and step["type"] != "ping":
                check_response(RawMessageStreamEvent, step)
        self._scripts.extend(replies)

    def routes(self, router: web.UrlDispatcher) -> None:
        router.add_post("/v1/messages", self._create)

    def error(self, status: int, message: str, headers: dict[str, str]) -> web.Response:
        kind = _ERRORS.get(status, "api_error")
        body = {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}
        return web.json_response(body, status=status, headers=headers)

    async def _create(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        given = request.headers.get("x-api-key") or request.headers.get("authorization", "").removeprefix(
            "Bearer "
        )
        if not given or given != (self.key or given):
            raise web.HTTPUnauthorized(text="invalid x-api-key")
        if "anthropic-version" not in request.headers:
            raise web.HTTPBadRequest(text="anthropic-version: header is required")
        try:
            check(body, self.issued, strict_turns=self.strict_turns)
        except web.HTTPException as refusal:
            self.refused.append(refusal.text or "")
            raise
        steps = self._scripts.popleft() if self._scripts else reply(_last_text(body))
        usage = self.cache.usage(body) if self.counts else {}
        self.usages.append(usage)
        content: list[dict[str, Any]] = []
        counted = (self._counted(step, body, usage, content) for step in steps)
        if not body.get("stream"):
            return self._whole(list(counted), content, usage)
        stream = await self.stream(request)
        for step in counted:
            await self._send(stream, step)
        return stream.response

    async def _send(self, stream: ByteStream, step: Step) -> None:
        if isinstance(step, Gate):
            await step.passed()
        elif isinstance(step, CutHere):
            await stream.abort(reset=step.reset)
        elif isinstance(step, bytes):
            await stream.write(step)
        else:
            await stream.write(f"event: {step['type']}\ndata: {json.dumps(step)}\n\n".encode())

    def _whole(self, steps: list[Step], content: list[dict[str, Any]], usage: dict[str, Any]) -> web.Response:
        events = [step for step in steps if isinstance(step, dict)]
        delta = next((each["delta"] for each in events if each["type"] == "message_delta"), {})
        counts = usage if self.counts else {**events[0]["message"]["usage"], **usage}
        message = {**events[0]["message"], "content": content, **delta, "usage": counts}
        return web.json_response(check_response(Message, message))

    def _counted(
        self, step: Step, body: dict[str, Any], usage: dict[str, Any], content: list[dict[str, Any]]
    ) -> Step:
        """The step with the server's counts; `content` is the answer as far as it is sent."""
        match step:
            case {"type": "message_start", "message": message}:
                message = {**message, "model": body["model"]}
                if self.counts:
                    usage["output_tokens"] = 1
                    message["usage"] = dict(usage)
                return {**step, "message": message}
            case {"type": "content_block_start", "content_block": start}:
                content.append({**start, "_input": ""} if start["type"] == "tool_use" else dict(start))
            case {"type": "content_block_delta", "index": index, "delta": delta}:
                _grow(content[index], delta)
            case {"type": "content_block_stop", "index": index} if "_input" in content[index]:
                content[index]["input"] = json.loads(content[index].pop("_input") or "{}")
            case {"type": "message_delta", "usage": given}:
                self.issued.add(body, content)
                if not self.counts:
                    usage.update(given)
                    return step
                usage["output_tokens"] = sum(tokens(each) for each in content) + 1
                thoughts = sum(tokens(each) for each in content if "thinking" in each["type"])
                more = {"output_tokens_details": {"thinking_tokens": thoughts}} if thoughts else {}
                usage.update(more)
                return {**step, "usage": {**given, "output_tokens": usage["output_tokens"], **more}}
        return step


def _grow(block: dict[str, Any], delta: dict[str, Any]) -> None:
    match delta:
        case {"type": "input_json_delta", "partial_json": text}:
            block["_input"] = block.get("_input", "") + text
        case {"type": "text_delta" | "thinking_delta" | "signature_delta"}:
            name = delta["type"].removesuffix("_delta")
            block[name] += delta[name]


def _last_text(body: dict[str, Any]) -> str:
    def texts() -> Iterator[str]:
        for message in reversed(body["messages"]):
            if message["role"] == "user":
                content = message["content"]
                for each in [{"text": content}] if isinstance(content, str) else reversed(content):
                    if "text" in each:
                        yield each["text"]

    return next(texts())
