"""A scripted server that speaks OpenAI's streaming chat completions.

    with OpenAIServer() as server:
        server.script(reply("Hello", usage=(9, 2)))         # the next request is answered so
        agent = LocalAgent(config=LocalAgentConfig(model="m", base_url=server.base_url, api_key="test-key"))

A reply is a list of steps: a dict is a chunk, checked against the SDK's own type; bytes go out as they are;
a Gate stops until the test opens it, CutHere ends the connection. Without a script the server echoes the
last user message. `OpenAIServer(rules="mistral")` refuses what that provider's server refuses (see
`chat_rules`); `OpenAIServer(context=8192)` takes so many tokens and refuses more (`tokens_of`), and counts
what it takes.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from openai.types.chat import ChatCompletionChunk

from praison_nb.text import replace_surrogates
from servers.base import Gate, LoopbackServer
from servers.chat_rules import refusal
from servers.content_rules import last_text


@dataclass(frozen=True)
class CutHere:
    """The connection ends at this step: closed in mid-body, or reset."""

    reset: bool = False


Step = dict[str, Any] | bytes | Gate | CutHere
DONE = b"data: [DONE]\n\n"
MODEL = "scripted-1"
OPENAI_TOO_LONG = (
    "This model's maximum context length is {limit} tokens. However, your messages resulted in {tokens} "
    "tokens. Please reduce the length of the messages."
)


def chunk(delta: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    """One chunk; `finish_reason=` and `usage=` where the test wants them."""
    finish = fields.pop("finish_reason", None)
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    base = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": MODEL}
    return {**base, "choices": choices, **fields}


def usage(prompt: int, completion: int, cached: int = 0, **more: Any) -> dict[str, Any]:
    """The chunk with the server's count."""
    count = {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": cached},
        **more,
    }
    return chunk(None, usage=count)


def call(
    name: str, arguments: str, call_id: str = "call_1", index: int = 0, size: int = 3, **more: Any
) -> list[Step]:
    """A tool call, its arguments split into pieces of `size` characters. `more` is in the first one."""
    function = {"name": name, "arguments": ""}
    first = {"index": index, "id": call_id, "type": "function", "function": function, **more}
    parts = [
        {"index": index, "function": {"arguments": a}}
        for a in _pieces(arguments, max(size, len(arguments) // 1000))
    ]
    return [chunk({"tool_calls": [part]}) for part in [first, *parts]]


def reply(
    text: str = "",
    *,
    calls: Sequence[tuple[str, str]] = (),
    usage: tuple[int, ...] | None = (10, 5),
    size: int | None = None,
    finish: str | None = None,
    before_end: Iterable[Step] = (),
) -> list[Step]:
    """A whole reply: text in pieces of `size` characters (else of 4, a long one in a thousand), then
    tool calls (name, JSON arguments)."""
    steps: list[Step] = [chunk({"role": "assistant", "content": ""})]
    steps += [chunk({"content": piece}) for piece in _pieces(text, size or max(4, len(text) // 1000))]
    for index, (name, arguments) in enumerate(calls):
        steps += call(name, arguments, f"call_{index + 1}", index)
    steps += before_end
    steps.append(chunk({}, finish_reason=finish or ("tool_calls" if calls else "stop")))
    if usage is not None:
        steps.append(globals()["usage"](*usage))
    return [*steps, DONE]


def tokens_of(body: dict[str, Any]) -> int:
    """The tokens of a request: three characters make one."""
    return len(json.dumps([body["messages"], body.get("tools")], ensure_ascii=False)) // 3


def _pieces(text: str, size: int) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]


class OpenAIServer(LoopbackServer):
    """Plays one scripted reply for each request, unless `rules` refuse it."""

    def __init__(self, rules: str = "", context: int = 0, too_long: str = OPENAI_TOO_LONG) -> None:
        super().__init__()
        self.rules = rules
        self.context, self.too_long = context, too_long
        self.refused: list[Any] = []
        """What was answered to the requests against the rules."""
        self._scripts: deque[list[Step]] = deque()

    @property
    def base_url(self) -> str:
        return f"{self.url}/v1"

    @property
    def bodies(self) -> list[dict[str, Any]]:
        """The bodies of the chat completion requests so far."""
        return [request.json for request in self.seen("POST", "/chat/completions")]

    def script(self, *replies: list[Step]) -> None:
        """Answer the next requests with these replies, in order."""
        for steps in replies:
            for step in steps:
                if isinstance(step, dict):
                    ChatCompletionChunk.model_validate(step)
        self._scripts.extend(replies)

    def routes(self, router: web.UrlDispatcher) -> None:
        router.add_post("/v1/chat/completions", self._complete)

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        if self.rules and (refused := refusal(body, self.rules)):
            self.refused.append(refused[1])
            return web.json_response(refused[1], status=refused[0])
        tokens = tokens_of(body)
        if self.context and tokens > self.context:
            message = self.too_long.format(limit=self.context, tokens=tokens)
            error = {"message": message, "type": "invalid_request_error", "param": "messages", "code": None}
            self.refused.append(error)
            return web.json_response({"error": error}, status=400)
        if self._scripts:
            steps = self._scripts.popleft()
        else:
            last = next(m["content"] for m in reversed(body["messages"]) if m["role"] == "user")
            steps = reply(last_text(last))
        if not body.get("stream_options", {}).get("include_usage"):
            steps = [s for s in steps if not (isinstance(s, dict) and s.get("usage"))]
        if self.context:
            steps = [usage(tokens, 5) if isinstance(s, dict) and s.get("usage") else s for s in steps]
        stream = await self.stream(request)
        for step in steps:
            if isinstance(step, Gate):
                await step.passed()
            elif isinstance(step, CutHere):
                await stream.abort(reset=step.reset)
            elif isinstance(step, bytes):
                await stream.write(step)
            else:
                # Half a character can be sent as an escape only.
                data = json.dumps(step, ensure_ascii=replace_surrogates(step) != step)
                await stream.write(f"data: {data}\n\n".encode())
        return stream.response
