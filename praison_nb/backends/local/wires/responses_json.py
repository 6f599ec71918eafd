"""What the JSON of a response holds, whatever it holds: wrong types are nothing, and no error."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def kind_of(raw: Mapping[str, Any]) -> str:
    """The kind of a whole item. A custom tool's call is a call like others."""
    kind = as_text(raw.get("type"))
    if kind == "custom_tool_call":
        return "function_call"
    return kind or ("function_call" if "arguments" in raw else "message" if "content" in raw else "")


def contents(raw: Mapping[str, Any]) -> list[tuple[str, bool]]:
    """The texts of a message's content, and of each whether it is a refusal."""
    content = raw.get("content")
    parts = content if isinstance(content, list) else [content]
    return [(part_text(part), isinstance(part, dict) and "refusal" in part) for part in parts]


def part_text(part: Any) -> str:
    """The text of a part of a message."""
    return as_text(part.get("text") or part.get("refusal")) if isinstance(part, dict) else as_text(part)


def arguments_of(raw: Mapping[str, Any]) -> str:
    """A call's arguments as text; some servers send the object itself."""
    value = raw.get("arguments", raw.get("input"))
    return as_text(value) if isinstance(value, str | None) else json.dumps(value)


def as_text(value: Any) -> str:
    """The text that a value stands for, "" where it stands for none."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        value = value.get("text")
        return value if isinstance(value, str) else ""
    if isinstance(value, list):
        return "".join(each if isinstance(each, str) else as_text(as_dict(each)) for each in value)
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else ""


def as_index(value: Any) -> int | None:
    """A place in a list, None where the value is none."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def as_dict(value: Any) -> dict[str, Any]:
    """The value, if it is an object."""
    return value if isinstance(value, dict) else {}


def as_list(value: Any) -> list[Any]:
    """The value, if it is a list."""
    return value if isinstance(value, list) else []
