"""Shapes of the Responses and the Messages API."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from servers.wire_shapes import Shape, message, response, usd

_SONNET = "claude-sonnet-4-5-20250929"
_SEARCH = {"type": "web_search_call", "status": "completed"}
_CENT = Decimal("0.01")


def _counted(input_tokens: int, output_tokens: int, **more: Any) -> dict[str, Any]:
    total = input_tokens + output_tokens
    return {"input_tokens": input_tokens, "output_tokens": output_tokens, "total_tokens": total, **more}


def _search(number: int, action: str) -> dict[str, Any]:
    return {**_SEARCH, "id": f"ws{number}", "action": {"type": action}}


# fmt: off
RESPONSES = [
    Shape("OpenAI", "openai", "gpt-5-mini-r",
          response("gpt-5-mini", _counted(2006, 300, input_tokens_details={"cached_tokens": 1920},
                                          output_tokens_details={"reasoning_tokens": 128})),
          (2006, 1920, 0, 300), usd((86, "0.25"), (1920, "0.025"), (300, "2")), "table", wire="responses"),
    Shape("OpenAI, priority", "openai", "gpt-5-mini-r-priority",
          response("gpt-5-mini", _counted(2000, 300), service_tier="priority"),
          (2000, 0, 0, 300), usd((2000, "0.45"), (300, "3.6")), "table", wire="responses"),
    Shape("OpenAI, two searches and a page read", "openai", "gpt-5-mini-r-search",
          response("gpt-5-mini", _counted(1000, 100), _search(1, "search"), _search(2, "open_page"),
                   _search(3, "search")),
          (1000, 0, 0, 100), usd((1000, "0.25"), (100, "2")) + 2 * _CENT, "table", wire="responses",
          fees=2 * _CENT),
    Shape("OpenAI, a search in files", "openai", "gpt-5-mini-r-files",
          response("gpt-5-mini", _counted(1000, 100),
                   {"id": "fs1", "type": "file_search_call", "status": "completed", "queries": ["x"]}),
          (1000, 0, 0, 100), usd((1000, "0.25"), (100, "2")) + Decimal("0.0025"), "table", wire="responses",
          fees=Decimal("0.0025")),
    Shape("OpenAI, a container for code", "openai", "gpt-5-mini-r-code",
          response("gpt-5-mini", _counted(1000, 100),
                   {"id": "ci1", "type": "code_interpreter_call", "status": "completed", "code": "1",
                    "container_id": "c", "outputs": None}),
          (1000, 0, 0, 100), usd((1000, "0.25"), (100, "2")), "table", wire="responses",
          is_lower_bound=True),
    Shape("xAI, ticks", "xai", "grok-4-r",
          response("grok-4-0709", _counted(1000, 100, cost_in_usd_ticks=123 * 10**6)),
          (1000, 0, 0, 100), Decimal("0.0123"), "provider", wire="responses"),
]
MESSAGES = [
    Shape("Anthropic, caches of both kinds", "anthropic", "claude-sonnet-4-5-m",
          message(_SONNET, {"input_tokens": 100, "cache_read_input_tokens": 1000,
                            "cache_creation_input_tokens": 500, "output_tokens": 1,
                            "cache_creation": {"ephemeral_5m_input_tokens": 200,
                                               "ephemeral_1h_input_tokens": 300}},
                  {"output_tokens": 50}),
          (1600, 1000, 500, 50),
          usd((100, "3"), (1000, "0.3"), (200, "3.75"), (300, "6"), (50, "15")), "table", wire="messages"),
    Shape("Anthropic, three searches", "anthropic", "claude-sonnet-4-5-search",
          message(_SONNET, {"input_tokens": 100, "output_tokens": 1},
                  {"output_tokens": 50, "server_tool_use": {"web_search_requests": 3}}),
          (100, 0, 0, 50), usd((100, "3"), (50, "15")) + 3 * _CENT, "table", wire="messages", fees=3 * _CENT),
    Shape("Anthropic, fast", "anthropic", "claude-opus-4-8-fast",
          message("claude-opus-4-8", {"input_tokens": 100, "output_tokens": 1, "speed": "fast"},
                  {"output_tokens": 50}),
          (100, 0, 0, 50), usd((100, "10"), (50, "50")), "table", wire="messages"),
    Shape("Anthropic, a tier of contracts", "anthropic", "claude-opus-4-8-priority",
          message("claude-opus-4-8", {"input_tokens": 100, "output_tokens": 1, "service_tier": "priority"},
                  {"output_tokens": 50}),
          (100, 0, 0, 50), None, "unpriced", wire="messages"),
    Shape("Anthropic, code that runs there", "anthropic", "claude-opus-4-8-code",
          message("claude-opus-4-8", {"input_tokens": 100, "output_tokens": 1},
                  {"output_tokens": 50, "server_tool_use": {"code_execution_requests": 1}}),
          (100, 0, 0, 50), usd((100, "5"), (50, "25")), "table", wire="messages", is_lower_bound=True),
    Shape("Anthropic, in one country", "anthropic", "claude-opus-4-8-us",
          message("claude-opus-4-8", {"input_tokens": 100, "output_tokens": 1, "inference_geo": "us"},
                  {"output_tokens": 50}),
          (100, 0, 0, 50), usd((100, "5"), (50, "25")), "table", wire="messages", is_lower_bound=True),
    Shape("LiteLLM, in the usage", "", "claude-gateway",
          message("claude-gateway", {"input_tokens": 100, "output_tokens": 1},
                  {"output_tokens": 50, "cost": 0.0021}),
          (100, 0, 0, 50), Decimal("0.0021"), "provider", wire="messages"),
]
