"""Chat completions: the wire of most providers.

>>> from praison_nb.history import User
>>> asked = ModelRequest(model="m", origin="/m", history=[User(text="Hi")], rules=Rules(stream_options=False))
>>> WIRE.request(asked)
{'model': 'm', 'messages': [{'role': 'user', 'content': 'Hi'}]}
>>> reader = WIRE.reader(asked)
>>> [event.text for event in reader.read({"choices": [{"delta": {"content": "Hello"}}]})]
['Hello']
>>> list(reader.end()), reader.reply.text, reader.reply.stop_reason
([], 'Hello', 'end_turn')
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from ....content import Kind
from ....errors import ConfigError
from ....history import Call, Item
from ....turn import estimate_tokens
from .base import ModelRequest, OutputFormat, Reader, Rules
from .chat_messages import messages_of
from .chat_reader import ChatReader
from .prompted_tools import choice_schema, in_words
from .repair import repaired
from .schemas import plain_schema

_LIMITS = ("max_tokens", "max_completion_tokens")


class ChatWire:
    """OpenAI's chat completions, as many servers speak it."""

    name: ClassVar[str] = "chat"
    path: ClassVar[str] = "chat/completions"
    attachments: ClassVar[frozenset[Kind]] = frozenset(("picture", "text"))

    def request(self, asked: ModelRequest) -> dict[str, Any]:
        """The body of the request. Raises ConfigError for an effort that the server does not have."""
        rules = asked.rules
        history = repaired(asked.history, wire=self.name, origin=asked.origin, ids=rules.ids)
        tools = _declared(asked, history)
        body: dict[str, Any] = {"model": asked.model, "messages": _messages(asked, history)}
        if rules.stream_options:
            body["stream_options"] = {"include_usage": True}
        if rules.cache_key and asked.session_id:
            body[rules.cache_key] = asked.session_id
        body |= _effort(asked, has_tools=bool(tools))
        if asked.output is not None:
            body["response_format"] = _format(asked.output)
        if not rules.native_tools:
            if _is_choosing(asked):
                body["response_format"] = choice_schema(tools, _named(asked))
        elif tools:
            body["tools"] = tools
            if named := _named(asked):
                body["tool_choice"] = {"type": "function", "function": {"name": named}}
            elif asked.tools and asked.tool_choice != "auto":
                body["tool_choice"] = asked.tool_choice
        return body | _options(asked.options, rules)

    def reader(self, asked: ModelRequest) -> Reader:
        """A reader for the answer."""

        def sent() -> int:
            return estimate_tokens(asked.size(self.request(asked)))

        return ChatReader(asked, sent=sent, is_choosing=_is_choosing(asked))


WIRE = ChatWire()


def _messages(asked: ModelRequest, history: Sequence[Item]) -> list[dict[str, Any]]:
    if not asked.rules.native_tools:
        history = list(in_words(history))
    return messages_of(history, asked.rules, asked.system)


def _named(asked: ModelRequest) -> str:
    """The tool that must be called, "" where it is the model's choice."""
    return asked.tool_choice if any(tool.name == asked.tool_choice for tool in asked.tools) else ""


def _is_choosing(asked: ModelRequest) -> bool:
    """Whether the whole answer is to be a call in words. With a format of the user's own it is an answer."""
    is_required = bool(asked.tools) and (asked.tool_choice == "required" or bool(_named(asked)))
    return not asked.rules.native_tools and is_required and "response_format" not in asked.options


def _declared(asked: ModelRequest, history: Sequence[Item]) -> list[dict[str, Any]]:
    """The tools; those of the history where there are no others: some servers take no calls without any."""
    if asked.tools:
        is_plain = asked.rules.plain_schemas and asked.rules.native_tools
        return [
            _function(tool.name, tool.description, plain_schema(tool.schema) if is_plain else tool.schema)
            for tool in asked.tools
        ]
    names = dict.fromkeys(item.name for item in history if isinstance(item, Call))
    return [_function(name, "No longer there.", {"type": "object", "properties": {}}) for name in names]


def _function(name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "description": description, "parameters": schema}}


def _format(output: OutputFormat) -> dict[str, Any]:
    strict = {"strict": True} if output.strict else {}
    return {"type": "json_schema", "json_schema": {"name": output.name, "schema": output.schema, **strict}}


def _effort(asked: ModelRequest, *, has_tools: bool) -> Mapping[str, Any]:
    effort, rules = asked.effort, asked.rules
    if has_tools and rules.tools_without_effort and re.match(rules.tools_without_effort, asked.model):
        if effort not in ("", "none"):
            raise ConfigError(
                f"{asked.model} takes tools on chat completions without effort only: leave "
                f"effort={effort!r} out, or ask it with wire='responses'."
            )
        effort = "none"
    if not effort:
        return {}
    if effort not in rules.effort:
        known = ", ".join(rules.effort)
        raise ConfigError(
            f"effort={effort!r} is none that {asked.model} has here: "
            + (f"use one of {known}, or leave it out." if known else "leave it out.")
        )
    return rules.effort[effort]


def _options(options: Mapping[str, Any], rules: Rules) -> dict[str, Any]:
    """What the user wants in the body, the limit of the answer's length by the name that the server knows."""
    return {
        (rules.max_tokens if name in _LIMITS and rules.max_tokens not in options else name): value
        for name, value in options.items()
    }
