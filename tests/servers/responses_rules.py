"""What OpenAI's Responses refuses, in its words: forms, and histories that do not fit together."""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

from openai.types.responses import ResponseInputItemParam
from openai.types.responses.response_create_params import ResponseCreateParamsStreaming
from pydantic import TypeAdapter, ValidationError

from servers.content_rules import url_refusal
from servers.format_rules import openai_refusal

Refusal = tuple[str, str] | None
EFFORTS = ("none", "low", "medium", "high", "xhigh")
DOES_NOT_REASON = ("gpt-4", "gpt-3.5")


class Written:
    """What the server wrote itself: its reasoning, and the item that each led to."""

    def __init__(self) -> None:
        self.reasoning: dict[str, dict[str, Any]] = {}
        """By id."""
        self.follower: dict[str, dict[str, Any]] = {}
        """Of each reasoning item, by its id, the item behind it."""

    def note(self, steps: Iterable[Any]) -> None:
        """Remember the output of a reply."""
        whole = [s for s in steps if isinstance(s, dict)]
        output = whole[-1].get("response", whole[-1]).get("output", []) if whole else []
        for item, behind in zip(output, [*output, None][1:], strict=True):
            if item.get("type") == "reasoning":
                self.reasoning[item["id"]] = item
                if behind and behind.get("role") != "user" and behind["type"] != "function_call_output":
                    self.follower[item["id"]] = behind


def refusal_of(body: dict[str, Any], written: Written) -> Refusal:
    """Message and parameter of the 400 with which the server answers, None where it takes the request."""
    for rule in (_names, _settings, _format, _tools, forms, _ids, pairs, _reasoning):
        refusal = rule(body, written)
        if refusal:
            return refusal
    return None


def _names(body: dict[str, Any], written: Written) -> Refusal:
    known = ResponseCreateParamsStreaming.__annotations__
    for base in ResponseCreateParamsStreaming.__orig_bases__:  # type: ignore[attr-defined]
        known = {**known, **getattr(base, "__annotations__", {})}
    for name in body:
        if name not in known:
            return f"Unknown parameter: '{name}'.", name
    return None


def _settings(body: dict[str, Any], written: Written) -> Refusal:
    model = body.get("model", "")
    reasons = not model.startswith(DOES_NOT_REASON)
    effort = (body.get("reasoning") or {}).get("effort")
    if effort is not None and not reasons:
        return (
            "Unsupported parameter: 'reasoning.effort' is not supported with this model.",
            "reasoning.effort",
        )
    if effort is not None and effort not in EFFORTS:
        names = ", ".join(f"'{each}'" for each in EFFORTS)
        text = f"Unsupported value: '{effort}' is not supported with the '{model}' model."
        return f"{text} Supported values are: {names}.", "reasoning.effort"
    if reasons and body.get("temperature", 1) != 1:
        return "Unsupported parameter: 'temperature' is not supported with this model.", "temperature"
    if not reasons and "reasoning.encrypted_content" in body.get("include", ()):
        return "Encrypted content is not supported with this model.", "include"
    if (limit := body.get("max_output_tokens")) is not None and limit < 16:
        text = "Invalid 'max_output_tokens': integer below minimum value."
        return f"{text} Expected a value >= 16, but got {limit} instead.", "max_output_tokens"
    if len(body.get("prompt_cache_key", "")) > 64:
        text = "Invalid 'prompt_cache_key': string too long. Expected a string with maximum length 64."
        return text, "prompt_cache_key"
    return None


def _format(body: dict[str, Any], written: Written) -> Refusal:
    form = (body.get("text") or {}).get("format") or {}
    if form.get("type") != "json_schema":
        return None
    if not re.fullmatch("[a-zA-Z0-9_-]{1,64}", form.get("name", "")):
        return "Invalid 'text.format.name'.", "text.format.name"
    text = openai_refusal(form["name"], form["schema"]) if form.get("strict") else None
    return (text, "text.format.schema") if text else None


def _tools(body: dict[str, Any], written: Written) -> Refusal:
    tools = body.get("tools", [])
    for number, tool in enumerate(tools):
        if tool.get("type") == "function" and "name" not in tool:
            return f"Missing required parameter: 'tools[{number}].name'.", f"tools[{number}].name"
        schema = tool.get("parameters") or {}
        # A schema without a word about it is taken for a strict one.
        if tool.get("type") == "function" and tool.get("strict") is not False:
            properties = set(schema.get("properties", {}))
            if schema.get("additionalProperties") is not False or properties - set(
                schema.get("required", ())
            ):
                return f"Invalid schema for function '{tool['name']}'.", f"tools[{number}].parameters"
    choice = body.get("tool_choice", "auto")
    if isinstance(choice, dict) and choice.get("name") not in {tool.get("name") for tool in tools}:
        return "Tool choice 'function' not found in 'tools' parameter.", "tool_choice"
    return None


@functools.cache
def _item_type() -> TypeAdapter[Any]:
    return TypeAdapter(ResponseInputItemParam)


def forms(body: dict[str, Any], written: Written) -> Refusal:
    """Each item of the input has the form of its type."""
    if isinstance(body.get("input"), str):
        return None
    for number, item in enumerate(body["input"]):
        where = f"input[{number}]"
        try:
            _item_type().validate_python(item)
        except ValidationError:
            return f"Invalid value: '{item.get('type')}'.", where
        if item.get("type") == "message" and not item.get("content"):
            return f"Missing required parameter: '{where}.content'.", f"{where}.content"
        for place, part in enumerate(item.get("content") or () if item.get("role") == "user" else ()):
            url = part.get("image_url") or part.get("file_data") if isinstance(part, dict) else None
            if url and (text := url_refusal(url, file="file_data" in part)):
                return text, f"{where}.content[{place}]"
        if item.get("type") == "function_call" and not re.fullmatch("[A-Za-z0-9_-]{1,64}", item["name"]):
            return f"Invalid '{where}.name': string does not match pattern.", f"{where}.name"
        if len(item.get("call_id", "")) > 64:
            text = f"Invalid '{where}.call_id': string too long. Expected a string with maximum length 64."
            return text, f"{where}.call_id"
    return None


def _ids(body: dict[str, Any], written: Written) -> Refusal:
    prefixes = {"reasoning": "rs", "function_call": "fc", "message": "msg"}
    for number, item in enumerate(_items(body)):
        prefix = prefixes.get(item.get("type", ""))
        if prefix and "id" in item and not item["id"].startswith(prefix):
            text = (
                f"Invalid 'input[{number}].id': '{item['id']}'. Expected an ID that begins with '{prefix}'."
            )
            return text, f"input[{number}].id"
    for key, times in Counter(item["id"] for item in _items(body) if item.get("id")).items():
        if times > 1:
            return (
                f"Duplicate item found with id {key}. Remove duplicate items from your input and try again.",
                "input",
            )
    return None


def pairs(body: dict[str, Any], written: Written) -> Refusal:
    """Each call has its output behind it."""
    calls = [item["call_id"] for item in _items(body) if item.get("type") == "function_call"]
    answered = []
    for item in _items(body):
        if item.get("type") == "function_call":
            answered.append(item["call_id"])
        if item.get("type") == "function_call_output":
            if item["call_id"] not in answered:
                return f"No tool call found for function call output with call_id {item['call_id']}.", "input"
            answered.remove(item["call_id"])
    if answered:
        return f"No tool output found for function call {answered[0]}.", "input"
    if len(set(calls)) != len(calls):
        return "Duplicate function call id.", "input"
    return None


def _reasoning(body: dict[str, Any], written: Written) -> Refusal:
    """Reasoning goes back as it came, with what it led to, and that not without it."""
    items = _items(body)
    here = {item["id"] for item in items if item.get("type") == "reasoning" and "id" in item}
    for item, behind in zip(items, [*items, {}][1:], strict=True):
        if item.get("type") != "reasoning":
            continue
        key = item.get("id", "")
        if not body.get("store", True) and not item.get("encrypted_content"):
            text = f"Item with id '{key}' not found. Items are not persisted when `store` is set to false."
            return f"{text} Try again with `store` set to true, or remove this item from your input.", "input"
        if item != written.reasoning.get(key):
            return f"The encrypted content for item {key} could not be verified.", "input"
        follower = written.follower.get(key)
        if follower is None or behind.get("id", "") != follower.get("id", ""):
            return (
                f"Item '{key}' of type 'reasoning' was provided without its required following item.",
                "input",
            )
    for key, follower in written.follower.items():
        name = "call_id" if "call_id" in follower else "id"
        for item in items:
            if key not in here and (item.get("type"), item.get(name)) == (follower["type"], follower[name]):
                text = (
                    f"Item '{follower['id']}' of type '{follower['type']}' was provided without its required"
                )
                return f"{text} 'reasoning' item: '{key}'.", "input"
    return None


def _items(body: dict[str, Any]) -> list[dict[str, Any]]:
    return body["input"] if isinstance(body.get("input"), list) else []
