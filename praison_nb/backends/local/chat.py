"""One streamed chat completion: its chunks become events, and at its end it is a message of the history."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from ...events import Event, TextDelta, Thinking, new_id
from ...money import read_usd
from ...session import Usage
from ...text import split_surrogate

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletionChunk


@dataclass
class CallParts:
    """A tool call as it comes together."""

    id: str
    name: str = ""
    arguments: str = ""


@dataclass
class Reply:
    """What has come of one streamed completion. `finish_reason` stays "" when the stream was cut."""

    message_id: str = field(default_factory=new_id)
    calls: list[CallParts] = field(default_factory=list)
    usage: Usage | None = None
    cost: Decimal | None = None
    model: str = ""
    finish_reason: str = ""
    _texts: list[str] = field(default_factory=list)
    _half: str = ""
    _by_index: dict[int, CallParts] = field(default_factory=dict)

    def take(self, chunk: ChatCompletionChunk) -> Iterator[Event]:
        """Note the chunk and yield its events."""
        self.model = chunk.model or self.model
        if chunk.usage is not None:
            # Some servers send it with every chunk, cumulative: the last one counts.
            self.usage = usage_of(chunk.usage) or self.usage
            self.cost = self.cost if (cost := _cost(chunk.usage)) is None else cost
        for choice in chunk.choices or []:
            self.finish_reason = choice.finish_reason or self.finish_reason
            delta = choice.delta
            if delta is None:
                continue
            thought = getattr(delta, "reasoning_content", None) or getattr(delta, "reasoning", None)
            if thought:
                yield Thinking(text=str(thought))
            text, self._half = split_surrogate(self._half + (delta.content or "") + (delta.refusal or ""))
            if text:
                self._texts.append(text)
                yield TextDelta(text=text, message_id=self.message_id)
            for part in delta.tool_calls or []:
                self._take_call(part)

    def _take_call(self, part: Any) -> None:
        call = self._by_index.get(part.index)
        if call is None or (part.id and part.id != call.id and call.name):
            # Some servers number all parallel calls 0: a new id is a new call.
            call = CallParts(part.id or f"call_{new_id()[:24]}")
            self._by_index[part.index] = call
            self.calls.append(call)
        if part.function is not None:
            call.name = call.name or part.function.name or ""
            call.arguments += part.function.arguments or ""

    def message(self) -> dict[str, Any]:
        """The assistant's message for the history."""
        message: dict[str, Any] = {"role": "assistant", "content": "".join(self._texts)}
        if self.calls:
            message["tool_calls"] = [
                {
                    "id": call.id,
                    "type": "function",
                    "function": {"name": _sendable_name(call.name), "arguments": _sendable(call.arguments)},
                }
                for call in self.calls
            ]
        return message

    def choose(self, call: CallParts) -> None:
        """Take the whole text as what it is: the choice of `call`."""
        self._texts.clear()
        self.calls.append(call)

    @property
    def has_content(self) -> bool:
        """Whether anything came at all."""
        return bool(self._texts or self.calls)


# What a model calls is not always what it may: a history that a server refuses would end the conversation.


def _sendable_name(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]", "_", name)[:64] or "unnamed"


def _sendable(arguments: str) -> str:
    try:
        values = json.loads(arguments or "{}")
    except (ValueError, RecursionError):
        values = None
    return (arguments or "{}") if isinstance(values, dict) else json.dumps({"not_an_object": arguments})


def usage_of(usage: Any) -> Usage | None:
    """The server's count in our columns; None where it counted nothing. OpenAI's `prompt_tokens` includes
    what came from the cache."""
    prompt, completion = int(usage.prompt_tokens or 0), int(usage.completion_tokens or 0)
    if not prompt and not completion:
        return None
    details = getattr(usage, "prompt_tokens_details", None)
    read = int(getattr(details, "cached_tokens", 0) or 0)
    written = int(getattr(details, "cache_write_tokens", 0) or 0)
    return Usage(
        uncached_input_tokens=max(0, prompt - read - written),
        cache_read_input_tokens=read,
        cache_write_5m_input_tokens=written,
        output_tokens=completion,
    )


def _cost(usage: Any) -> Decimal | None:
    """What OpenRouter and LiteLLM say that the request cost, in USD; with a key of one's own at OpenRouter
    the provider behind it is paid too."""
    cost = read_usd(getattr(usage, "cost", None))
    if cost is not None and getattr(usage, "is_byok", False) is True:
        details = getattr(usage, "cost_details", None) or {}
        behind = read_usd(details.get("upstream_inference_cost") if isinstance(details, dict) else None)
        return None if behind is None else cost + behind
    return cost


# A model whose chat template knows no tools can still be made to choose one: by a JSON schema that its
# answer must follow. The choice and the arguments are the model's own.


def choice_schema(tools: list[dict[str, Any]], name: str = "") -> dict[str, Any]:
    """`response_format` that lets a model answer only with a call of one of `tools` (of `name` if given)."""
    functions = [tool["function"] for tool in tools if not name or tool["function"]["name"] == name]
    calls = [
        {
            "type": "object",
            "properties": {"name": {"const": function["name"]}, "arguments": function["parameters"]},
            "required": ["name", "arguments"],
        }
        for function in functions
    ]
    schema = calls[0] if len(calls) == 1 else {"anyOf": calls}
    return {"type": "json_schema", "json_schema": {"name": "tool_call", "schema": schema}}


def chosen_call(text: str) -> CallParts | None:
    """The call that such an answer is, or None where it was cut off."""
    try:
        call = json.loads(text)
        return CallParts(f"call_{new_id()[:24]}", call["name"], json.dumps(call["arguments"]))
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def without_tools(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The history in words that every chat template knows: the calls and their results are what the user
    reports. (Shown its own call as JSON, a small model just repeats it.)"""
    plain: list[dict[str, Any]] = []
    calls: dict[str, dict[str, Any]] = {}
    for message in messages:
        if message["role"] == "tool":
            call = calls[message["tool_call_id"]]
            text = f"{call['name']}({call['arguments']}) returned: {message['content']}"
            plain.append({"role": "user", "content": f"{text}\nNow answer in a sentence, with this value."})
            continue
        calls |= {call["id"]: call["function"] for call in message.get("tool_calls", ())}
        if message["content"]:
            plain.append({"role": message["role"], "content": message["content"]})
    return plain
