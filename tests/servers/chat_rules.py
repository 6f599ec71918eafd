"""What the real servers of chat completions refuse, in their words: `refusal(body, "mistral")`.

A refusal is the status and the JSON body of the response. "nobody" is what any of them may refuse.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from servers.content_rules import url_refusal
from servers.format_rules import openai_refusal

Refusal = tuple[int, Any]
Check = Callable[[dict[str, Any]], Iterator[Refusal]]


def refusal(body: dict[str, Any], rules: str) -> Refusal | None:
    """Why a server with these rules refuses the request; None where it takes it."""
    return next((each for check in RULES[rules] for each in check(body)), None)


def _openai(message: str, param: str = "messages", status: int = 400) -> Refusal:
    error = {"message": message, "type": "invalid_request_error", "param": param, "code": None}
    return status, {"error": error}


def _calls(message: dict[str, Any]) -> list[dict[str, Any]]:
    return message.get("tool_calls") or []


def _all_calls(body: dict[str, Any]) -> list[dict[str, Any]]:
    return [call for message in body["messages"] for call in _calls(message)]


def _pairs(body: dict[str, Any]) -> Iterator[Refusal]:
    """Calls and results in pairs: the same everywhere."""
    open_ids: list[str] = []
    seen: set[str] = set()
    for message in body["messages"]:
        if message["role"] == "tool":
            if message["tool_call_id"] not in open_ids:
                yield _openai(
                    "Invalid parameter: messages with role 'tool' must be a response to a preceeding message "
                    "with 'tool_calls'."
                )
            else:
                open_ids.remove(message["tool_call_id"])
            continue
        if open_ids:
            yield _openai(
                "An assistant message with 'tool_calls' must be followed by tool messages responding to each "
                f"'tool_call_id'. The following tool_call_ids did not have response messages: {open_ids}"
            )
        open_ids = [call["id"] for call in _calls(message)]
        if message["role"] == "assistant" and not message.get("content") and not open_ids:
            yield _openai("Assistant message must have either content or tool_calls, but not none.")
        for call in _calls(message):
            function = call["function"]
            if call["id"] in seen:
                yield _openai(f"Duplicate tool call id: {call['id']}")
            seen.add(call["id"])
            if not re.fullmatch("[a-zA-Z0-9_-]{1,64}", function["name"]):
                yield _openai("Invalid 'function.name': string does not match '^[a-zA-Z0-9_-]+$'.")
            try:
                is_object = isinstance(json.loads(function["arguments"]), dict)
            except ValueError:
                is_object = False
            if not is_object:
                yield _openai("Invalid 'function.arguments': not a JSON object.")
    if open_ids:
        yield _openai(f"The following tool_call_ids did not have response messages: {open_ids}")


def _pictures(body: dict[str, Any]) -> Iterator[Refusal]:
    for message in body["messages"]:
        for part in message["content"] if isinstance(message.get("content"), list) else ():
            if part["type"] == "image_url" and (text := url_refusal(part["image_url"]["url"])):
                yield _openai(text)
            if part["type"] not in ("text", "image_url") or message["role"] != "user":
                yield _openai(f"Invalid content type {part['type']} in a message of the {message['role']}.")


def _no_pictures(body: dict[str, Any]) -> Iterator[Refusal]:
    """Servers of models that only read."""
    if any(not isinstance(message.get("content", ""), str) for message in body["messages"]):
        yield _openai("Failed to deserialize the JSON body: invalid type: sequence, expected a string")


def _openai_ids(body: dict[str, Any]) -> Iterator[Refusal]:
    for call in _all_calls(body):
        if len(call["id"]) > 40:
            yield _openai(f"Invalid 'tool_calls[0].id': string too long: {len(call['id'])}, maximum 40.")


def _openai_reasoning(body: dict[str, Any]) -> Iterator[Refusal]:
    model, effort = body["model"], body.get("reasoning_effort")
    if body.get("tools") and effort != "none":
        yield _openai(
            f"Function tools with reasoning_effort are not supported for {model} in /v1/chat/completions. To "
            "use function tools, use /v1/responses or set reasoning_effort to 'none'.",
            "reasoning_effort",
        )
    if effort not in (None, "none", "low", "medium", "high", "xhigh"):
        yield _openai(f"Unsupported value: 'reasoning_effort' does not support {effort!r} with this model.")
    if "max_tokens" in body:
        yield _openai(
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
            "'max_completion_tokens' instead.",
            "max_tokens",
        )
    if body.get("temperature", 1) != 1:
        yield _openai("Unsupported value: 'temperature' does not support this value; only 1 is supported.")


def _asked_format(body: dict[str, Any]) -> dict[str, Any]:
    form = body.get("response_format") or {}
    return form.get("json_schema", {}) if form.get("type") == "json_schema" else {}


def _openai_format(body: dict[str, Any]) -> Iterator[Refusal]:
    asked = _asked_format(body)
    if asked and not re.fullmatch("[a-zA-Z0-9_-]{1,64}", asked["name"]):
        yield _openai("Invalid 'response_format.json_schema.name'.", "response_format")
    if asked.get("strict") and (text := openai_refusal(asked["name"], asked["schema"])):
        yield _openai(text, "response_format")


def _no_schema(body: dict[str, Any]) -> Iterator[Refusal]:
    if _asked_format(body):
        yield _openai("This response_format type is unavailable now", "")


def _unforced(body: dict[str, Any]) -> Iterator[Refusal]:
    if "reasoner" in body["model"] and body.get("tool_choice", "auto") not in ("auto", "none"):
        yield _openai("deepseek-reasoner does not support this tool_choice", "")


def _mistral(body: dict[str, Any]) -> Iterator[Refusal]:
    def no(message: str) -> Refusal:
        return 400, {"object": "error", "message": message, "type": "invalid_request_message_order"}

    before = ""
    for message in body["messages"]:
        if before == "tool" and message["role"] not in ("assistant", "tool"):
            yield no(f"Unexpected role '{message['role']}' after role 'tool'")
        before = message["role"]
    if before not in ("user", "tool"):
        yield no(f"Expected last role User or Tool (or Assistant with prefix True) but got {before}")
    for call in _all_calls(body):
        if not re.fullmatch("[a-zA-Z0-9]{9}", call["id"]):
            yield no(f"Tool call id was {call['id']} but must be a-z, A-Z, 0-9, with a length of 9.")


def _mistral_fields(body: dict[str, Any]) -> Iterator[Refusal]:
    for name in ("stream_options", "prompt_cache_key"):
        if name in body:
            detail = [
                {"type": "extra_forbidden", "loc": ["body", name], "msg": "Extra inputs are not permitted"}
            ]
            yield 422, {"object": "error", "message": {"detail": detail}, "type": "invalid_request_error"}


def _google(message: str) -> Refusal:
    return 400, [{"error": {"code": 400, "message": message, "status": "INVALID_ARGUMENT"}}]


def _gemini(body: dict[str, Any]) -> Iterator[Refusal]:
    for message in body["messages"]:
        for call in _calls(message)[:1]:
            if not call.get("extra_content", {}).get("google", {}).get("thought_signature"):
                yield _google("Function call is missing a thought_signature in functionCall parts.")


_SCHEMA_WORDS = ("type", "properties", "required", "items", "enum", "description", "anyOf")


def _gemini_schemas(body: dict[str, Any]) -> Iterator[Refusal]:
    def check(schema: dict[str, Any], where: str) -> Iterator[Refusal]:
        for word in schema:
            if word not in _SCHEMA_WORDS:
                yield _google(
                    f'Invalid JSON payload received. Unknown name "{word}" at {where}: Cannot find field.'
                )
        if "anyOf" in schema and len(schema) > 1:
            yield _google(f"{where} specified other fields alongside any_of.")
        if "anyOf" not in schema and "type" not in schema:
            yield _google(f"{where}: schema didn't specify the schema type field")
        if "enum" in schema and schema["type"] != "string":
            yield _google(f"{where}.enum: only allowed for STRING type")
        if schema.get("type") == "array" and "items" not in schema:
            yield _google(f"{where}.items: missing field.")
        inner = [*schema.get("properties", {}).values(), *schema.get("anyOf", [])]
        for each in [*inner, *([schema["items"]] if "items" in schema else [])]:
            yield from check(each, f"{where}.…")

    for tool in body.get("tools", []):
        yield from check(tool["function"]["parameters"], "function_declarations[0].parameters")


def _gemini_format(body: dict[str, Any]) -> Iterator[Refusal]:
    if _asked_format(body) and body.get("tools"):
        yield _google("Function calling with a response mime type: 'application/json' is unsupported")


def _deepseek(body: dict[str, Any]) -> Iterator[Refusal]:
    for message in body["messages"]:
        if _calls(message) and not isinstance(message.get("reasoning_content"), str):
            yield _openai("The `reasoning_content` in the thinking mode must be passed back to the API.")


def _bedrock(body: dict[str, Any]) -> Iterator[Refusal]:
    if _all_calls(body) and not body.get("tools"):
        yield _openai(
            "litellm.UnsupportedParamsError: Bedrock doesn't support tool calling without `tools=` param "
            "specified. Pass `tools=` param OR set `litellm.modify_params = True`."
        )


def _template(body: dict[str, Any]) -> Iterator[Refusal]:
    """Older Mistrals' template: those that speak, without the calls and results between them."""
    roles = [m["role"] for m in body["messages"] if m["role"] != "tool" and not _calls(m)]
    roles = roles[1:] if roles[:1] == ["system"] else roles
    if roles != [("user", "assistant")[place % 2] for place in range(len(roles))]:
        yield _raised("Conversation roles must alternate user/assistant/user/assistant/...")


def _template_without_tools(body: dict[str, Any]) -> Iterator[Refusal]:
    """Gemma's template: neither a system role nor tools."""
    if body["messages"][0]["role"] == "system":
        yield _raised("System role not supported")
    if any(message["role"] == "tool" or _calls(message) for message in body["messages"]):
        yield _raised("Conversation roles must alternate user/assistant/user/assistant/...")


def _raised(message: str) -> Refusal:
    return 500, {
        "error": {"code": 500, "message": f"Value is not callable: {message}", "type": "server_error"}
    }


RULES: dict[str, tuple[Check, ...]] = {
    "openai": (_pairs, _openai_ids, _pictures, _openai_format),
    "openai-reasoning": (_pairs, _openai_ids, _openai_reasoning, _pictures, _openai_format),
    "mistral": (_pairs, _mistral, _mistral_fields),
    "gemini": (_pairs, _gemini, _gemini_schemas, _gemini_format),
    "deepseek": (_pairs, _deepseek, _no_pictures, _no_schema, _unforced),
    "bedrock": (_pairs, _bedrock),
    "template": (_pairs, _template),
    "gguf": (_pairs, _template, _template_without_tools, _no_pictures),
    "nobody": (_pairs, _openai_ids, _mistral, _bedrock, _gemini_schemas),
}
