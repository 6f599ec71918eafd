"""What providers ask beyond their wire's form, as data: the rows of the table of providers refer to it.

An effort that a provider does not have is not named; where it has other words for it, they stand here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

from ...content import Kind
from .wires.base import Effort, Rules

WireName = Literal["chat", "responses", "messages"]
ByWire = Mapping[WireName, Rules]


def chat_effort(*efforts: Effort) -> dict[str, dict[str, Any]]:
    """These efforts, in the words of OpenAI's chat completions."""
    return {effort: {"reasoning_effort": effort} for effort in efforts}


_LOW_TO_HIGH: tuple[Effort, ...] = ("low", "medium", "high")
_CHAT_EFFORT = chat_effort("none", *_LOW_TO_HIGH, "xhigh")
_RESPONSES_EFFORT = {effort: {"reasoning": {"effort": effort}} for effort in _CHAT_EFFORT}

STRICTEST: dict[WireName, Rules] = {
    "chat": Rules(effort=_CHAT_EFFORT),
    "responses": Rules(effort=_RESPONSES_EFFORT, max_tokens="max_output_tokens"),
    # How effort is asked for differs from model to model: wires/messages_models.py.
    "messages": Rules(),
}
"""The rules at an address that is nobody's: what every server takes."""

_TEXTS: frozenset[Kind] = frozenset(("text",))
EMBEDDED = Rules(alternates=True, native_tools=False, attachments=_TEXTS)
"""The rules of a GGUF file's chat template, on all wires."""

# Each provider's own documentation is the source of its rules.

_ANY_ID = r"[A-Za-z0-9_-]{1,64}"
_CHAT = Rules(
    ids=_ANY_ID,
    assistant_after_tool=False,
    plain_schemas=False,
    effort=chat_effort("none", *_LOW_TO_HIGH),
)

CHAT: ByWire = {"chat": _CHAT}
TEMPLATES: ByWire = {"chat": replace(_CHAT, alternates=True)}
OPENAI: ByWire = {
    "responses": replace(
        _CHAT, max_tokens="max_output_tokens", effort=_RESPONSES_EFFORT, cache_key="prompt_cache_key"
    ),
    "chat": replace(
        _CHAT,
        ids=r"[A-Za-z0-9_-]{1,40}",
        max_tokens="max_completion_tokens",
        tools_without_effort=r"gpt-(5\.[4-9]|[6-9]|\d\d)",
        effort=_CHAT_EFFORT,
        cache_key="prompt_cache_key",
    ),
}
ANTHROPIC: ByWire = {
    "messages": replace(_CHAT, effort={}),
    # Its compatible endpoint ignores `reasoning_effort`.
    "chat": replace(_CHAT, effort={}),
}
GEMINI: ByWire = {
    "chat": replace(_CHAT, returns=("extra_content",), thinking_beside_output=True, plain_schemas=True)
}
# It refuses fields that it does not know, and counts without being asked.
MISTRAL: ByWire = {"chat": Rules(effort=_CHAT.effort, stream_options=False)}
DEEPSEEK: ByWire = {
    "chat": replace(
        _CHAT,
        returns=("reasoning_content",),
        effort={**_CHAT_EFFORT, "none": {"thinking": {"type": "disabled"}}},
        attachments=_TEXTS,
    )
}
XAI: ByWire = {
    "chat": replace(_CHAT, thinking_beside_output=True, cost_field="cost_in_usd_ticks", cost_unit="1E-10")
}
MOONSHOT: ByWire = {
    "chat": replace(
        _CHAT, returns=("reasoning_content",), effort={"none": {"thinking": {"type": "disabled"}}}
    )
}
PERPLEXITY: ByWire = {"chat": Rules(effort=chat_effort(*_LOW_TO_HIGH), cost_field="cost.total_cost")}
QWEN: ByWire = {"chat": replace(_CHAT, effort={"none": {"enable_thinking": False}})}
# Which provider answers is not known before: ids and turns are such as all of them take.
OPENROUTER: ByWire = {"chat": Rules(returns=("reasoning_details",), effort=_RESPONSES_EFFORT, asks_cost=True)}
