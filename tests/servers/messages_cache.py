"""What a server of Anthropic's Messages counts, and which prefixes it keeps.

A request is a row of blocks: tools, the system prompt, the conversation. Behind each block that is marked
with `cache_control` (the last one, for a mark of the whole request) the prefix is kept, for five minutes or
an hour since it was last used. A request finds what was kept at one of its own marks, or at one of the 20
blocks before it. Tokens are characters of JSON by four.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

LOOKBACK = 20
SHORTEST = 1024
"""Tokens of the shortest prefix that is kept."""
SECONDS = {"5m": 300.0, "1h": 3600.0}


def tokens(block: Any) -> int:
    """Tokens of a block, or of any JSON."""
    return -(-len(json.dumps(block)) // 4)


def blocks(body: Mapping[str, Any]) -> Iterator[tuple[Any, Any]]:
    """The blocks of a request and the mark that each bears."""
    system = body.get("system") or []
    for block in body.get("tools") or []:
        yield _split("tool", block)
    for block in [{"type": "text", "text": system}] if isinstance(system, str) else system:
        yield _split("system", block)
    for message in body["messages"]:
        content = message["content"]
        for block in [{"type": "text", "text": content}] if isinstance(content, str) else content:
            yield _split(message["role"], block)


def _split(role: str, block: Mapping[str, Any]) -> tuple[Any, Any]:
    plain = {key: value for key, value in block.items() if key != "cache_control"}
    return [role, plain], block.get("cache_control")


def prefixes(body: Mapping[str, Any], mixed: Any = None) -> list[str]:
    """A digest of the request up to each of its blocks. `mixed` changes those of the conversation."""
    found: list[str] = []
    digest = ""
    for (role, block), _ in blocks(body):
        if mixed is not None and role in ("user", "assistant"):
            digest, mixed = _digest([digest, mixed]), None
        digest = _digest([digest, role, block])
        found.append(digest)
    return found


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


@dataclass
class Cache:
    """The prefixes that are kept, each until when and for how long since its last use."""

    clock: Callable[[], float]
    kept: dict[str, tuple[float, float]] = field(default_factory=dict)

    def usage(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """The input of the request, as its answer counts it; keeps what it marks."""
        now = self.clock()
        sizes = [tokens(block) for block, _ in blocks(body)]
        marks = [mark for _, mark in blocks(body)]
        marks[-1] = marks[-1] or body.get("cache_control")
        keys = prefixes(body, [body.get("tool_choice"), body.get("thinking")])
        marked = [n for n, mark in enumerate(marks) if mark and sum(sizes[: n + 1]) >= SHORTEST]
        near = {n for at in marked for n in range(max(0, at - LOOKBACK), at + 1)}
        found = [n for n in near if self.kept.get(keys[n], (0.0, 0.0))[0] > now]
        done = max(found, default=-1) + 1
        if done:
            stays = self.kept[keys[done - 1]][1]
            self.kept[keys[done - 1]] = (now + stays, stays)
        read = sum(sizes[:done])
        written = {"5m": 0, "1h": 0}
        for at in marked:
            ttl = marks[at].get("ttl", "5m")
            self.kept[keys[at]] = (now + SECONDS[ttl], SECONDS[ttl])
            written[ttl] += sum(sizes[done : at + 1])
            done = max(done, at + 1)
        return {
            "input_tokens": sum(sizes) - read - sum(written.values()),
            "cache_read_input_tokens": read,
            "cache_creation_input_tokens": sum(written.values()),
            "cache_creation": {
                "ephemeral_5m_input_tokens": written["5m"],
                "ephemeral_1h_input_tokens": written["1h"],
            },
        }
