"""What a request cost that was stopped: OpenRouter knows it a moment later, by the answer's id."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from ...session import Usage
from .client import client_of
from .providers import Server
from .wires.costs import at, usd
from .wires.reply import Reply

PAUSES = (0.2, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds before each time that it is asked; a stopped turn may go on behind the scenes for half a minute."""


async def stopped_cost(server: Server, reply: Reply) -> None:
    """Ask the server, if it can be asked, and note tokens and cost in `reply`. Raises nothing: what is not to
    be had stays an estimate."""
    if not server.rules.asks_cost or not reply.id or reply.cost is not None:
        return
    client: Any = client_of(server)
    address = f"{server.base_url.rstrip('/')}/generation"
    for pause in PAUSES:
        await asyncio.sleep(pause)
        try:
            answer = await client.get(address, cast_to=object, options={"params": {"id": reply.id}})
        except Exception:
            continue
        if isinstance(answer, Mapping) and isinstance(data := answer.get("data"), Mapping):
            _note(data, reply)
            return


def _note(data: Mapping[str, Any], reply: Reply) -> None:
    names = ("prompt", "completion", "cached", "reasoning")
    prompt, completion, cached, reasoning = (_count(data.get(f"native_tokens_{name}")) for name in names)
    cost = usd(at(data, "total_cost"))
    if cost is not None and data.get("is_byok") is True:
        behind = usd(at(data, "upstream_inference_cost"))
        cost = None if behind is None else cost + behind
    if cost is None:
        return
    reply.cost = cost
    if prompt or completion:
        cached = min(cached, prompt)
        reply.usage = Usage(
            uncached_input_tokens=prompt - cached,
            cache_read_input_tokens=cached,
            output_tokens=completion,
            reasoning_output_tokens=min(reasoning, completion),
        )


def _count(value: Any) -> int:
    return value if type(value) is int and 0 <= value < 10**9 else 0
