"""Anthropic's Messages.

A model's thinking goes back as it came, to the model that thought it. Some models bind it to all that stood
before it, too: the system prompt, the tools and the conversation, to the letter. A block whose past has
changed since would be refused and is left out; so each is kept with a digest of the request that led to it.
"""

from __future__ import annotations

import functools
import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from ....content import Kind
from ....errors import ConfigError
from ....history import Call, Opaque, Result, Text, User
from ....text import replace_surrogates
from ...content_blocks import content_block
from .base import ModelRequest
from .chat_messages import NO_ANSWER
from .messages_models import model_of, thinking
from .messages_reader import MessagesReader
from .prompted_tools import in_words
from .repair import repaired
from .schemas import plain_schema

_THINKING = ("thinking", "redacted_thinking")
_CACHE = {"type": "ephemeral"}
_EMPTY = "(nothing)"
"""In place of a text without a letter, where the server wants one."""


class Messages:
    """The wire of Anthropic's Messages, and of servers that speak it."""

    name: ClassVar[str] = "messages"
    path: ClassVar[str] = "messages"
    attachments: ClassVar[frozenset[Kind]] = frozenset(("picture", "document", "text"))

    def request(self, asked: ModelRequest) -> dict[str, Any]:
        """The body of the request. Raises ConfigError."""
        return _made(asked)[0]

    def reader(self, asked: ModelRequest) -> MessagesReader:
        """A reader for the answer to this request."""
        return MessagesReader(asked.origin, functools.cache(lambda: _made(asked)[1]()))


def _made(asked: ModelRequest) -> tuple[dict[str, Any], Callable[[], str]]:
    """The body, and its digest, for whoever needs that."""
    options = dict(asked.options)
    cache = options.get("cache_control", _CACHE)
    body: dict[str, Any] = {"model": asked.model, "max_tokens": model_of(asked.model).longest}
    # The server puts one mark behind all, by itself. Two of ours stand where the last request may not have
    # had it near enough: behind what all conversations begin with, and where the last request ended.
    if cache:
        body["cache_control"] = cache
    if asked.system.strip():
        body["system"] = [_marked({"type": "text", "text": replace_surrogates(asked.system)}, cache)]
    if tools := _tools(asked):
        body["tools"] = tools if "system" in body else [*tools[:-1], _marked(tools[-1], cache)]
    head = {name: options.get(name, body.get(name)) for name in ("system", "tools")}
    conversation = _Conversation(asked, _digest("", _unmarked(head)))
    body["messages"] = conversation.messages
    forced = _choose(body, asked)
    body |= _effort(asked, forced=forced, mid_turn=conversation.goes_on_unthought)
    if asked.output is not None:
        form = {"type": "json_schema", "schema": asked.output.schema}
        body["output_config"] = {**body.get("output_config", {}), "format": form}
    if isinstance(options.get("output_config"), Mapping):
        options["output_config"] = {**body.get("output_config", {}), **options["output_config"]}
    body |= options
    is_thinking = (body.get("thinking") or {}).get("type") in ("enabled", "adaptive")
    if forced and is_thinking and body.get("tool_choice") and "tool_choice" not in options:
        raise ConfigError('A model that thinks cannot be made to call a tool: leave tool_choice at "auto".')
    if "messages" not in options:
        conversation.mark(cache)
    return body, conversation.digest


def _effort(asked: ModelRequest, *, forced: bool, mid_turn: bool) -> Mapping[str, Any]:
    known = asked.rules.effort
    if not known:
        return thinking(asked.model, asked.effort, forced=forced, mid_turn=mid_turn)
    if asked.effort and asked.effort not in known:
        raise ConfigError(f"{asked.model} knows no effort {asked.effort!r}: take {', '.join(known)}.")
    return known[asked.effort] if asked.effort else {}


def _tools(asked: ModelRequest) -> list[dict[str, Any]]:
    declared = [
        {
            "name": tool.name,
            **({"description": tool.description} if tool.description.strip() else {}),
            "input_schema": plain_schema(tool.schema) if asked.rules.plain_schemas else tool.schema,
        }
        for tool in asked.tools
    ]
    if declared:
        return declared
    # A history with calls wants tools, though there are none any more.
    names = {item.name: None for item in _history(asked) if isinstance(item, Call)}
    return [{"name": name, "input_schema": {"type": "object"}} for name in names]


def _choose(body: dict[str, Any], asked: ModelRequest) -> bool:
    """Put the choice of a tool into the body; whether it forces one."""
    choice = asked.tool_choice
    if "tools" not in body:
        return False
    if choice == "none" or not asked.tools:
        body["tool_choice"] = {"type": "none"}
    elif choice == "required":
        body["tool_choice"] = {"type": "any"}
    elif choice != "auto":
        body["tool_choice"] = {"type": "tool", "name": choice}
    return body.get("tool_choice", {}).get("type") in ("any", "tool")


def _history(asked: ModelRequest) -> list[Any]:
    history = repaired(asked.history, wire=Messages.name, origin=asked.origin, ids=asked.rules.ids)
    return history if asked.rules.native_tools else list(in_words(history))


@dataclass(eq=False)
class _Conversation:
    """The history as messages of user and assistant in turns."""

    asked: ModelRequest
    head: str
    messages: list[dict[str, Any]] = field(default_factory=list)
    _blocks: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    """Those of the messages, each with its role."""
    _digests: list[str] = field(default_factory=list)
    """Of the head, and behind each block, of all that stands before: as far as they were asked for."""

    def __post_init__(self) -> None:
        self._digests.append(self.head)
        history = _history(self.asked)
        binds = model_of(self.asked.model).binds and any(isinstance(item, Opaque) for item in history)
        seen = {self.head}
        for item in history:
            match item:
                case User():
                    if self.asked.rules.assistant_after_tool and self._ends_with("tool_result"):
                        self._add("assistant", {"type": "text", "text": NO_ANSWER})
                    for each in item.attachments:
                        self._add("user", content_block(each))
                    self._add("user", {"type": "text", "text": item.text if item.text.strip() else _EMPTY})
                case Text():
                    if item.text.strip():
                        self._add("assistant", {"type": "text", "text": item.text})
                case Call():
                    self._add("assistant", _call(item))
                case Result():
                    self._add("user", _result(item))
                case Opaque():
                    block = item.payload.get("block")
                    is_bound = binds and item.payload.get("request") not in seen
                    if isinstance(block, Mapping) and not is_bound:
                        self._add("assistant", dict(block))
            if binds:
                seen.add(self.digest())
        self._end_assistant()

    def _add(self, role: str, block: dict[str, Any]) -> None:
        if role == "user":
            self._end_assistant()
        if not self.messages or self.messages[-1]["role"] != role:
            self.messages.append({"role": role, "content": []})
        self.messages[-1]["content"].append(block)
        self._blocks.append((role, block))

    def digest(self) -> str:
        """That of all."""
        for block in self._blocks[len(self._digests) - 1 :]:
            self._digests.append(_digest(self._digests[-1], block))
        return self._digests[-1]

    def _end_assistant(self) -> None:
        """Leave out at a message's end what the server refuses there: thinking that led to nothing (the
        answer was cut off), and white space at the end of all."""
        if not self.messages or self.messages[-1]["role"] != "assistant":
            return
        content = self.messages[-1]["content"]
        while content and content[-1]["type"] in _THINKING:
            content.pop()
            self._blocks.pop()
        if not content:
            self.messages.pop()
        elif content[-1]["type"] == "text":
            content[-1] = {**content[-1], "text": content[-1]["text"].rstrip()}
            self._blocks[-1] = ("assistant", content[-1])
        del self._digests[max(len(self._blocks), 1) :]

    def _ends_with(self, kind: str) -> bool:
        return bool(self.messages) and self.messages[-1]["content"][-1]["type"] == kind

    @property
    def goes_on_unthought(self) -> bool:
        """Whether the last message has the results of calls that were made without thinking."""
        if not self.messages or self.messages[-1]["content"][0]["type"] != "tool_result":
            return False
        return self.messages[-2]["content"][0]["type"] not in _THINKING

    def mark(self, cache: Any) -> None:
        """Mark where the last request ended: at the last message of the user before the last reply."""
        roles = [message["role"] for message in self.messages]
        reply = len(roles) - 1 - roles[::-1].index("assistant") if "assistant" in roles else 0
        if reply:
            content = self.messages[reply - 1]["content"]
            content[-1] = _marked(content[-1], cache)


def _call(call: Call) -> dict[str, Any]:
    values = replace_surrogates(json.loads(call.arguments, parse_float=_number))
    return {"type": "tool_use", "id": call.id, "name": call.name, "input": values}


def _number(text: str) -> float | str:
    # JSON has numbers that Python has not, and then writes as none.
    return number if math.isfinite(number := float(text)) else text


def _result(result: Result) -> dict[str, Any]:
    block: dict[str, Any] = {"type": "tool_result", "tool_use_id": result.call_id}
    if result.text.strip():
        block["content"] = result.text
    if result.is_error:
        block |= {"is_error": True, "content": block.get("content", _EMPTY)}
    return block


def _marked(block: dict[str, Any], cache: Any) -> dict[str, Any]:
    return {**block, "cache_control": cache} if cache else block


def _unmarked(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _unmarked(each) for key, each in value.items() if key != "cache_control"}
    return [_unmarked(each) for each in value] if isinstance(value, list | tuple) else value


def _digest(before: str, value: Any) -> str:
    return hashlib.sha256(f"{before}{_encode(value)}".encode()).hexdigest()[:32]


_encode = json.JSONEncoder(default=str).encode


WIRE = Messages()
