"""A scripted server that speaks OpenAI's Responses, and refuses what the real one refuses.

    with ResponsesServer() as server:
        server.script(reply(calls=[("add", '{"a": 1, "b": 2}')], thinking="sealed"), reply("Three."))
        client = openai.OpenAI(base_url=server.base_url, api_key="test-key")

A reply is a list of steps: a dict is an event, checked against the SDK's own type; bytes go out as they are;
a Gate stops until the test opens it, CutHere ends the connection. A reply that is one whole response goes out
as one JSON body. Without a script the server echoes the last user message. A request that breaks a rule of
the real server is a 400 in its words (`responses_rules.py`), unless `server.is_strict` is off.
"""

from __future__ import annotations

import functools
import json
from collections import deque
from collections.abc import Iterable, Sequence
from itertools import count
from typing import Any

from aiohttp import web
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from praison_nb.text import replace_surrogates
from servers.base import Gate, LoopbackServer
from servers.content_rules import last_text
from servers.openai import CutHere, Step
from servers.responses_rules import Written, refusal_of

MODEL = "gpt-5.6-terra"
_numbers = count(1)


@functools.cache
def event_type() -> TypeAdapter[Any]:
    """What a stream may hold."""
    return TypeAdapter(ResponseStreamEvent)


def response(output: Iterable[dict[str, Any]] = (), status: str = "completed", **more: Any) -> dict[str, Any]:
    """A whole response."""
    base = {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "model": MODEL,
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "temperature": 1.0,
        "top_p": 1.0,
        "usage": None,
    }
    return {**base, "status": status, "output": list(output), **more}


def usage(total: int, output: int, cached: int = 0, thought: int = 0, written: int = 0) -> dict[str, Any]:
    """The server's count."""
    return {
        "input_tokens": total,
        "input_tokens_details": {"cached_tokens": cached, "cache_write_tokens": written},
        "output_tokens": output,
        "output_tokens_details": {"reasoning_tokens": thought},
        "total_tokens": total + output,
    }


def message(text: str, *, refusal: bool = False, **more: Any) -> dict[str, Any]:
    """A message of the output."""
    part = (
        {"type": "refusal", "refusal": text}
        if refusal
        else {"type": "output_text", "text": text, "annotations": []}
    )
    base = {"type": "message", "id": f"msg_{next(_numbers)}", "role": "assistant", "status": "completed"}
    return {**base, "content": [part], **more}


def call(name: str, arguments: str, **more: Any) -> dict[str, Any]:
    """A call of a function."""
    number = next(_numbers)
    base = {"type": "function_call", "id": f"fc_{number}", "call_id": f"call_{number}", "status": "completed"}
    return {**base, "name": name, "arguments": arguments, **more}


def reasoning(sealed: str = "sealed", summary: Sequence[str] = (), **more: Any) -> dict[str, Any]:
    """A reasoning item."""
    parts = [{"type": "summary_text", "text": text} for text in summary]
    base = {"type": "reasoning", "id": f"rs_{next(_numbers)}", "summary": parts}
    return {**base, "encrypted_content": sealed, **more}


def steps(
    *output: dict[str, Any],
    usage: dict[str, Any] | None = None,
    size: int = 4,
    before_end: Iterable[Step] = (),
    **more: Any,
) -> list[Step]:
    """The events of a response with this output, texts in pieces of `size` characters. `more` is of the whole
    response at its end: its `status`, `incomplete_details`, …"""
    made: list[Any] = [
        {"type": "response.created", "response": response(status="in_progress")},
        {"type": "response.in_progress", "response": response(status="in_progress")},
    ]
    for place, item in enumerate(output):
        made += _item(place, item, size)
    made += before_end
    whole = response(output, **{"usage": usage or globals()["usage"](10, 5), **more})
    made.append({"type": f"response.{whole['status']}", "response": whole})
    number = count()
    return [{**each, "sequence_number": next(number)} if isinstance(each, dict) else each for each in made]


def reply(
    text: str = "",
    *,
    calls: Sequence[tuple[str, str]] = (),
    thinking: str = "",
    usage: tuple[int, ...] | None = (10, 5),
    size: int | None = None,
    before_end: Iterable[Step] = (),
) -> list[Step]:
    """A whole reply: reasoning (with `thinking` as its encrypted text), a message, then tool calls (name,
    JSON arguments). `usage` is (input, output, cached, thought, written)."""
    output = [reasoning(thinking)] if thinking else []
    output += [message(text)] if text else []
    output += [call(name, arguments) for name, arguments in calls]
    counted = globals()["usage"](*usage) if usage else None
    pieces = size or max(4, len(text) // 1000)
    made = steps(*output, usage=counted, size=pieces, before_end=before_end)
    if usage is None:
        made[-1]["response"]["usage"] = None  # type: ignore[index,call-overload]
    return made


def _item(place: int, item: dict[str, Any], size: int) -> list[dict[str, Any]]:
    """The events of one item of the output."""
    at = {"output_index": place, "item_id": item["id"]}
    empty = {"message": {"content": []}, "function_call": {"arguments": ""}, "reasoning": {"summary": []}}
    begun = {**item, **empty.get(item["type"], {})}
    if "status" in item:
        begun["status"] = "in_progress"
    inner: list[dict[str, Any]] = []
    for index, part in enumerate(item.get("content") or () if item["type"] == "message" else ()):
        kind, field = ("refusal", "refusal") if part["type"] == "refusal" else ("output_text", "text")
        here = {**at, "content_index": index}
        more = {} if kind == "refusal" else {"logprobs": []}
        inner.append({"type": "response.content_part.added", **here, "part": {**part, field: ""}})
        inner += [
            {"type": f"response.{kind}.delta", **here, "delta": piece, **more}
            for piece in _pieces(part[field], size)
        ]
        inner.append({"type": f"response.{kind}.done", **here, field: part[field], **more})
        inner.append({"type": "response.content_part.done", **here, "part": part})
    for index, part in enumerate(item.get("summary", ())):
        here = {**at, "summary_index": index}
        kind = "response.reasoning_summary"
        inner.append({"type": f"{kind}_part.added", **here, "part": {**part, "text": ""}})
        inner += [{"type": f"{kind}_text.delta", **here, "delta": p} for p in _pieces(part["text"], size)]
        inner.append({"type": f"{kind}_text.done", **here, "text": part["text"]})
        inner.append({"type": f"{kind}_part.done", **here, "part": part})
    if item["type"] == "function_call":
        kind = "response.function_call_arguments"
        inner += [
            {"type": f"{kind}.delta", **at, "delta": piece} for piece in _pieces(item["arguments"], size)
        ]
        inner.append({"type": f"{kind}.done", **at, "name": item["name"], "arguments": item["arguments"]})
    return [
        {"type": "response.output_item.added", "output_index": place, "item": begun},
        *inner,
        {"type": "response.output_item.done", "output_index": place, "item": item},
    ]


def _pieces(text: str, size: int) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]


class ResponsesServer(LoopbackServer):
    """Plays one scripted reply for each request."""

    def __init__(self) -> None:
        super().__init__()
        self.is_strict = True
        self._scripts: deque[list[Step]] = deque()
        self._written = Written()

    @property
    def base_url(self) -> str:
        return f"{self.url}/v1"

    @property
    def bodies(self) -> list[dict[str, Any]]:
        """The bodies of the requests so far."""
        return [request.json for request in self.seen("POST", "/responses")]

    def script(self, *replies: list[Step]) -> None:
        """Answer the next requests with these replies, in order."""
        for each in replies:
            for step in each:
                if isinstance(step, dict) and step.get("object") == "response":
                    Response.model_validate(step)
                elif isinstance(step, dict):
                    event_type().validate_python(step)
        self._scripts.extend(replies)

    def routes(self, router: web.UrlDispatcher) -> None:
        router.add_post("/v1/responses", self._respond)

    async def _respond(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        if self.is_strict and (refusal := refusal_of(body, self._written)):
            text, param = refusal
            error = {"message": text, "type": "invalid_request_error", "param": param, "code": None}
            return web.json_response({"error": error}, status=400)
        if self._scripts:
            made = self._scripts.popleft()
        else:
            users = [item for item in body["input"] if item.get("role") == "user"]
            made = reply(last_text(users[-1]["content"]))
        self._written.note(made)
        if not body.get("stream"):
            made = [made[-1]["response"]]  # type: ignore[index,call-overload]
        if len(made) == 1 and isinstance(made[0], dict) and made[0].get("object") == "response":
            return web.json_response(made[0])
        stream = await self.stream(request)
        for step in made:
            if isinstance(step, Gate):
                await step.passed()
            elif isinstance(step, CutHere):
                await stream.abort(reset=step.reset)
            elif isinstance(step, bytes):
                await stream.write(step)
            else:
                # Half a character can be sent as an escape only.
                data = json.dumps(step, ensure_ascii=replace_surrogates(step) != step)
                await stream.write(f"event: {step['type']}\ndata: {data}\n\n".encode())
        return stream.response
