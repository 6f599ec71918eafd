"""What Anthropic's Messages refuse, in the API's own words."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from aiohttp import web
from anthropic.types.message_create_params import MessageCreateParamsNonStreaming

from servers.content_rules import block_refusal
from servers.format_rules import anthropic_refusal
from servers.hosted_types import check_request
from servers.messages_cache import prefixes

THOUGHTS = ("thinking", "redacted_thinking")
SERVER_TOOLS = "server_tool_use|.*_tool_result"


@dataclass(frozen=True)
class Takes:
    """What a model takes: the types of `thinking`, and how long an answer may be. `thinks` without being
    asked; `binds` its thinking to the conversation; `forced`: can be made to call a tool; `formats`: can be
    held to a schema."""

    thinking: tuple[str, ...]
    longest: int = 128_000
    thinks: bool = False
    binds: bool = False
    forced: bool = True
    formats: bool = True
    efforts: tuple[str, ...] = ("low", "medium", "high", "xhigh", "max")


MODELS = {
    "claude-haiku-4-5": Takes(("enabled", "disabled"), 64_000, efforts=()),
    "claude-opus-4-1": Takes(("enabled", "disabled"), 32_000, efforts=(), formats=False),
    "claude-opus-4-6": Takes(("adaptive", "disabled"), efforts=("low", "medium", "high", "max")),
    "claude-opus-4-8": Takes(("adaptive", "disabled")),
    "claude-opus-5": Takes(("adaptive", "disabled"), thinks=True),
    "claude-sonnet-5-5": Takes(("adaptive", "between_tools"), thinks=True, binds=True, forced=False),
    "claude-opus-5-5": Takes(("adaptive",), thinks=True, binds=True, forced=False),
}
ANY = Takes(("adaptive", "disabled", "enabled"))


@dataclass
class Issued:
    """What the server wrote, by which it knows it again: thinking by its signature or data, with the model
    and the digest of the request; and the thinking that led to each call, by the call's id."""

    thoughts: dict[str, tuple[Any, str, str]] = field(default_factory=dict)
    of_calls: dict[str, list[str]] = field(default_factory=dict)

    def add(self, body: Mapping[str, Any], content: list[Any]) -> None:
        """The answer to `body`."""
        proofs = []
        for block in content:
            if block["type"] in THOUGHTS:
                proofs.append(_proof(block))
                self.thoughts[_proof(block)] = (dict(block), body["model"], prefixes(body)[-1])
            if block["type"] == "tool_use":
                self.of_calls[block["id"]] = list(proofs)


def refuse(message: str) -> NoReturn:
    raise web.HTTPBadRequest(text=message)


def check(body: Any, issued: Issued, *, strict_turns: bool) -> None:
    """Raises a 400 where the API does."""
    whole = {key: value for key, value in body.items() if key != "stream"} if isinstance(body, dict) else body
    check_request(MessageCreateParamsNonStreaming, whole)
    takes = MODELS.get(body["model"], ANY)
    if body["max_tokens"] > takes.longest:
        refuse(
            f"max_tokens: {body['max_tokens']} > {takes.longest}, which is the maximum allowed number of "
            f"output tokens for {body['model']}"
        )
    _check_cache(body)
    is_thinking = _check_thinking(body, takes)
    _check_format(body, takes)
    _check_messages(body, strict_turns)
    _check_calls(body)
    _check_thoughts(body, takes, issued, is_thinking)


def _content(message: Mapping[str, Any]) -> list[Any]:
    content = message["content"]
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _each(messages: list[Any]) -> Iterator[tuple[str, str, Any]]:
    for i, message in enumerate(messages):
        for j, block in enumerate(_content(message)):
            yield f"messages.{i}.content.{j}", message["role"], block


def _check_cache(body: Mapping[str, Any]) -> None:
    system = body.get("system") or []
    marked = [
        block["cache_control"]
        for block in (
            *(body.get("tools") or ()),
            *([] if isinstance(system, str) else system),
            *(block for _, _, block in _each(body["messages"])),
        )
        if block.get("cache_control")
    ]
    marks = [*marked, *([body["cache_control"]] if body.get("cache_control") else [])]
    if len(marks) > 4:
        refuse(f"A maximum of 4 blocks with cache_control may be provided. Found {len(marks)}.")
    ttls = [mark.get("ttl", "5m") for mark in marks]
    if ttls != sorted(ttls):
        refuse("cache_control.ttl: a ttl='1h' cache_control block must not come after a ttl='5m' one")


def _check_thinking(body: Mapping[str, Any], takes: Takes) -> bool:
    asked = body.get("thinking") or {}
    kind = asked.get("type", "adaptive" if takes.thinks else "disabled")
    if asked and kind not in takes.thinking:
        refuse(
            f'"thinking.type.{kind}" is not supported for this model. Use "thinking.type.adaptive" and '
            '"output_config.effort" to control thinking behavior.'
        )
    if kind == "enabled" and not 1024 <= asked["budget_tokens"] < body["max_tokens"]:
        refuse("`max_tokens` must be greater than `thinking.budget_tokens`")
    effort = (body.get("output_config") or {}).get("effort")
    if effort and effort not in takes.efforts:
        refuse(f"output_config.effort: This model does not support effort level '{effort}'.")
    choice = body.get("tool_choice") or {"type": "auto"}
    if choice["type"] in ("any", "tool"):
        if not takes.forced:
            refuse("tool_choice forces tool use is not compatible with this model.")
        if kind in ("enabled", "adaptive"):
            refuse("Thinking may not be enabled when tool_choice forces tool use.")
    names = [tool["name"] for tool in body.get("tools") or ()]
    if choice["type"] == "tool" and choice["name"] not in names:
        refuse(f"Tool '{choice['name']}' not found in provided tools")
    if "tool_choice" in body and not names:
        refuse("tool_choice may only be specified while providing tools.")
    return kind in ("enabled", "adaptive")


def _check_format(body: Mapping[str, Any], takes: Takes) -> None:
    form = (body.get("output_config") or {}).get("format")
    if form and not takes.formats:
        refuse(f"'{body['model']}' does not support output format.")
    if form and (text := anthropic_refusal(form["schema"])):
        refuse(text)


def _check_messages(body: Mapping[str, Any], strict_turns: bool) -> None:
    messages, system = body["messages"], body.get("system") or []
    if not messages:
        refuse("messages: at least one message is required")
    if messages[0]["role"] != "user":
        refuse('messages: first message must use the "user" role')
    roles = [message["role"] for message in messages]
    if strict_turns and any(one == other for one, other in itertools.pairwise(roles)):
        refuse('messages: roles must alternate between "user" and "assistant"')
    for block in [] if isinstance(system, str) else system:
        if not block["text"].strip():
            refuse("system: text content blocks must contain non-whitespace text")
    for i, message in enumerate(messages):
        if not _content(message):
            refuse(f"messages.{i}: all messages must have non-empty content")
    for where, role, block in _each(messages):
        if block["type"] == "text" and not block["text"].strip():
            refuse(f"{where}: text content blocks must contain non-whitespace text")
        if text := block_refusal(block):
            refuse(f"{where}.{block['type']}.source: {text}")
        is_result = block["type"] == "tool_result"
        is_users = block["type"] in ("text", "image", "document", "tool_result")
        if is_result if role == "assistant" else not is_users:
            refuse(f"{where}: `{block['type']}` blocks are not allowed in {role} messages")
    last = messages[-1]
    if last["role"] == "assistant":
        if (ends := _content(last)[-1])["type"] == "text" and ends["text"] != ends["text"].rstrip():
            refuse("messages: final assistant content cannot end with trailing whitespace")
        if not re.fullmatch(SERVER_TOOLS, ends["type"]):
            refuse(
                "This model does not support assistant message prefill. The conversation must end with a "
                "user message."
            )


def _check_calls(body: Mapping[str, Any]) -> None:
    messages, ids = body["messages"], set()
    for where, _, block in _each(messages):
        if block["type"] in ("tool_use", "tool_result") and not body.get("tools"):
            refuse("Requests which include `tool_use` or `tool_result` blocks must define tools")
        if block["type"] == "tool_use":
            for name, form in (("id", r"[a-zA-Z0-9_-]+"), ("name", r"[a-zA-Z0-9_-]{1,128}")):
                if not re.fullmatch(form, block[name]):
                    refuse(f"{where}.tool_use.{name}: String should match pattern '^{form}$'")
            if block["id"] in ids:
                refuse(f"{where}: `tool_use` ids must be unique")
            ids.add(block["id"])
        if block["type"] == "tool_result" and block.get("is_error") and not block.get("content"):
            refuse(f"{where}.tool_result: content cannot be empty if `is_error` is true")
    open_calls: list[str] = []
    for i, message in enumerate(messages):
        content = _content(message)
        first = [block for block in content if block["type"] == "tool_result"]
        results = [block["tool_use_id"] for block in first]
        if content[: len(first)] != first:
            results = []
        if missing := [call for call in open_calls if call not in results]:
            refuse(
                f"messages.{i - 1}: `tool_use` ids were found without `tool_result` blocks immediately "
                f"after: {', '.join(missing)}. Each `tool_use` block must have a corresponding `tool_result` "
                "block in the next message."
            )
        for n, result in enumerate(results):
            if result in results[:n]:
                refuse(
                    f"messages.{i}: each tool_use must have a single result. Found multiple `tool_result` "
                    f"blocks with id: {result}"
                )
            if result not in open_calls:
                refuse(
                    f"messages.{i}: unexpected `tool_use_id` found in `tool_result` blocks: {result}. Each "
                    "`tool_result` block must have a corresponding `tool_use` block in the previous message."
                )
        open_calls = [block["id"] for block in content if block["type"] == "tool_use"]
    if open_calls:
        refuse(
            f"messages.{len(messages) - 1}: `tool_use` ids were found without `tool_result` blocks "
            f"immediately after: {', '.join(open_calls)}."
        )


def _check_thoughts(body: Mapping[str, Any], takes: Takes, issued: Issued, is_thinking: bool) -> None:
    messages, known = body["messages"], set(prefixes(body))
    for i, message in enumerate(messages):
        if message["role"] == "assistant" and _content(message)[-1]["type"] in THOUGHTS:
            refuse(f"messages.{i}: The final block in an assistant message cannot be `thinking`.")
    for where, _, block in _each(messages):
        if block["type"] not in THOUGHTS:
            continue
        written, model, prefix = issued.thoughts.get(_proof(block), (None, "", ""))
        if written != block or model != body["model"]:
            refuse(f"{where}: Invalid `signature` in `thinking` block")
        if takes.binds and prefix not in known:
            refuse(f"{where}: The block is bound to a different conversation")
    if not is_thinking or messages[-1]["role"] != "user":
        return
    if _content(messages[-1])[0]["type"] != "tool_result":
        return
    latest = _content(messages[-2])
    proofs = [_proof(block) for block in latest if block["type"] in THOUGHTS]
    for block in latest:
        if block["type"] == "tool_use":
            needed = [
                proof
                for proof in issued.of_calls.get(block["id"], ())
                if issued.thoughts[proof][1] == body["model"]
                and (issued.thoughts[proof][2] in known or not takes.binds)
            ]
            if proofs[: len(needed)] != needed:
                refuse(
                    f"messages.{len(messages) - 2}.content.0: `thinking` or `redacted_thinking` blocks in "
                    "the latest assistant message cannot be modified. These blocks must remain as they were "
                    "in the original response."
                )
    if (body.get("thinking") or {}).get("type") == "enabled" and latest[0]["type"] not in THOUGHTS:
        refuse(
            f"messages.{len(messages) - 2}.content.0.type: Expected `thinking` or `redacted_thinking`, but "
            f"found `{latest[0]['type']}`. When `thinking` is enabled, a final `assistant` message must "
            "start with a thinking block (preceding the lastmost set of `tool_use` and `tool_result` blocks)."
        )


def _proof(block: Mapping[str, Any]) -> str:
    return str(block.get("signature") or block.get("data"))
