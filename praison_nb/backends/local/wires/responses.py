"""OpenAI's Responses. Nothing is stored at the server: the whole history goes with each request, and
reasoning comes encrypted and goes back as it came, before what it led to.

>>> body = ResponsesWire().request(ModelRequest(model="gpt-5.6", origin="openai/gpt-5.6", history=[]))
>>> body["store"], body["include"]
(False, ['reasoning.encrypted_content'])
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

from ....content import Attachment, Kind
from ....errors import ConfigError
from ....history import Call, Item, Opaque, Result, Text, User
from ....text import replace_surrogates
from ....tools.tool import Tool
from ....turn import estimate_tokens
from .base import ModelRequest, Reader, Rules, Wire
from .prompted_tools import in_words
from .repair import repaired
from .responses_output import OWN_FIELDS, WIRE as NAME
from .responses_reader import ResponsesReader
from .schemas import plain_schema

ENCRYPTED = "reasoning.encrypted_content"
# These refuse to be asked for reasoning that they do not do.
_DOES_NOT_REASON = re.compile(r"(ft:)?(gpt-3|gpt-4|chatgpt|gpt-5[\d.]*-chat)")
_MAX_CACHE_KEY = 64
"""Characters of the key of a session's cache."""


class ResponsesWire:
    """The Responses API's form of requests and answers."""

    name: ClassVar[str] = NAME
    path: ClassVar[str] = "responses"
    attachments: ClassVar[frozenset[Kind]] = frozenset(("picture", "document", "text"))

    def request(self, asked: ModelRequest) -> dict[str, Any]:
        """The body of the request. Options are the Responses API's; those of chat completions that have
        another name or form there (`max_tokens`, `reasoning_effort`, `response_format`, …) are taken too.
        What a model thinks is seen with `options={"reasoning": {"summary": "auto"}}`, which OpenAI allows
        verified organisations only. Raises ConfigError for an effort that the server does not have."""
        rules, options = asked.rules, _translated(asked.options)
        stored = options.get("store") is True
        history = repaired(asked.history, wire=self.name, origin=asked.origin, ids=rules.ids)
        items = input_items(history if rules.native_tools else list(in_words(history)), stored)
        body: dict[str, Any] = {"model": asked.model, "input": items, "store": False}
        if asked.system:
            body["instructions"] = replace_surrogates(asked.system)
        if not stored and not _DOES_NOT_REASON.match(asked.model.rpartition("/")[2]):
            body["include"] = [ENCRYPTED]
        if asked.tools and rules.native_tools:
            body["tools"] = [_declared(tool, rules) for tool in asked.tools]
            if asked.tool_choice != "auto":
                body["tool_choice"] = _choice(asked.tool_choice)
        if asked.output is not None:
            form = {"name": asked.output.name, "schema": asked.output.schema, "strict": asked.output.strict}
            body["text"] = {"format": {"type": "json_schema", **form}}
        if rules.cache_key and asked.session_id:
            body[rules.cache_key] = asked.session_id[:_MAX_CACHE_KEY]
        return _merged({**body, **_effort(asked)}, options)

    def reader(self, asked: ModelRequest) -> Reader:
        """A reader for the answer."""

        def sent() -> int:
            return estimate_tokens(asked.size(self.request(asked)))

        limit = _translated(asked.options).get("max_output_tokens")
        limit = limit if isinstance(limit, int) else None
        return ResponsesReader(asked.origin, asked.rules, sent=sent, limit=limit)


WIRE: Final[Wire] = ResponsesWire()


def input_items(history: Sequence[Item], stored: bool = False) -> list[dict[str, Any]]:
    """The repaired history as the API's input. Behind each reasoning item the server wants the one that it
    led to, by the id that it gave to that, and refuses this id without the reasoning: they go back as a pair,
    or the latter without id. Reasoning without content is known only to a server that stored it."""
    items: list[dict[str, Any]] = []
    reasoning: list[dict[str, Any]] = []
    own: dict[str, Any] = {}
    for item in history:
        match item:
            case Opaque():
                payload = dict(item.payload)
                if payload.get("type") == OWN_FIELDS:
                    own = payload
                elif payload.get("type") == "reasoning":
                    own = {}
                    if stored or payload.get("encrypted_content") or payload.get("content"):
                        reasoning.append(payload)
                else:
                    items += [*reasoning, payload]
                    reasoning, own = [], {}
                continue
            case User():
                made = {"type": "message", "role": "user", "content": _content(item)}
            case Result():
                made = {"type": "function_call_output", "call_id": item.call_id, "output": item.text}
            case Text():
                made = {"type": "message", "role": "assistant", "content": item.text}
            case Call():
                made = {
                    "type": "function_call",
                    "call_id": item.id,
                    "name": item.name,
                    "arguments": item.arguments,
                }
        fits = isinstance(item, Text | Call) and own.get("of", made["type"]) == made["type"]
        if fits:
            items += reasoning
            made = _with_own_fields(made, own, with_id=bool(reasoning))
        items.append(made)
        reasoning, own = [], {}
    return items


def _content(item: User) -> str | list[dict[str, Any]]:
    if not item.attachments:
        return item.text
    return [*map(_part, item.attachments), {"type": "input_text", "text": item.text}]


def _part(attached: Attachment) -> dict[str, Any]:
    match attached.kind:
        case "picture":
            return {"type": "input_image", "image_url": attached.data_url, "detail": "auto"}
        case "text":
            return {"type": "input_text", "text": f"{attached.label}\n{attached.data}"}
    return {"type": "input_file", "filename": attached.name, "file_data": attached.data_url}


def _with_own_fields(made: dict[str, Any], own: Mapping[str, Any], with_id: bool) -> dict[str, Any]:
    if own.get("phase"):
        made["phase"] = own["phase"]
    if with_id and own.get("id"):
        made["id"] = own["id"]
        made["status"] = "completed"
        if made["type"] == "message":
            made["content"] = [{"type": "output_text", "text": made["content"], "annotations": []}]
    return made


def _declared(tool: Tool, rules: Rules) -> dict[str, Any]:
    return {
        "type": "function",
        "name": tool.name,
        "description": tool.description,
        "parameters": plain_schema(tool.schema) if rules.plain_schemas else tool.schema,
        # Without a word the API takes a schema for a strict one, and then refuses most.
        "strict": False,
    }


def _choice(choice: str) -> str | dict[str, str]:
    return choice if choice in ("required", "none") else {"type": "function", "name": choice}


def _effort(asked: ModelRequest) -> Mapping[str, Any]:
    if not asked.effort:
        return {}
    known = asked.rules.effort
    if asked.effort not in known:
        raise ConfigError(
            f"effort={asked.effort!r} is none that {asked.model} has here: "
            + (f"use one of {', '.join(known)}, or leave it out." if known else "leave it out.")
        )
    return known[asked.effort]


# Options


def _translated(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options by the names that they have here; one that has its own name here wins."""
    made: dict[str, Any] = {}
    for name, value in options.items():
        match name:
            case "max_tokens" | "max_completion_tokens":
                made.setdefault("max_output_tokens", value)
            case "reasoning_effort":
                made["reasoning"] = {"effort": value, **_mapping(made.get("reasoning"))}
            case "verbosity":
                made["text"] = {"verbosity": value, **_mapping(made.get("text"))}
            case "response_format":
                made["text"] = {"format": _format(value), **_mapping(made.get("text"))}
            case "reasoning" | "text" if isinstance(value, Mapping):
                made[name] = {**_mapping(made.get(name)), **value}
            case _:
                made[name] = value
    return made


def _format(value: Any) -> Any:
    """A chat completion's `response_format`, which has its schema one level deeper."""
    inner = _mapping(value).get("json_schema")
    return {"type": "json_schema", **inner} if isinstance(inner, Mapping) else value


def _merged(body: dict[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """The options win, but leave alone what they do not speak of: another include (unless they want none),
    the effort, the form of the text."""
    made = {**body, **options}
    include = options.get("include")
    if isinstance(include, list | tuple) and include:
        made["include"] = list(dict.fromkeys([*body.get("include", ()), *include]))
    for name in ("reasoning", "text"):
        if isinstance(own := options.get(name), Mapping):
            made[name] = {**body.get(name, {}), **own}
    return made


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
