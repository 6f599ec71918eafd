"""Tools for a model whose chat template knows none: calls and results are told in words, and a call is had by
a JSON schema that the answer must follow. The choice and the arguments are the model's own."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from ....history import Call, Item, Opaque, Result, User


def choice_schema(tools: Sequence[dict[str, Any]], name: str = "") -> dict[str, Any]:
    """`response_format` that lets a model answer only with a call of one of `tools` (of `name` if given), as
    a request declares them."""
    functions = [tool["function"] for tool in tools if not name or tool["function"]["name"] == name]
    calls = [
        {
            "type": "object",
            "properties": {"name": {"const": function["name"]}, "arguments": function["parameters"]},
            "required": ["name", "arguments"],
        }
        for function in functions
    ]
    schema = calls[0] if len(calls) == 1 else {"anyOf": calls}
    return {"type": "json_schema", "json_schema": {"name": "tool_call", "schema": schema}}


def chosen_call(text: str) -> tuple[str, str] | None:
    """The name and the arguments (JSON) of the call that such an answer is; None where it was cut off.

    >>> chosen_call('{"name": "add", "arguments": {"a": 1}}')
    ('add', '{"a": 1}')
    """
    try:
        call = json.loads(text)
        return str(call["name"]), json.dumps(call["arguments"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def in_words(history: Sequence[Item]) -> Iterator[Item]:
    """The history without calls: they and their results are what the user reports. (Shown its own call as
    JSON, a small model just repeats it.)"""
    calls: dict[str, Call] = {}
    for item in history:
        match item:
            case Call():
                calls[item.id] = item
            case Result():
                call = calls[item.call_id]
                text = f"{call.name}({call.arguments}) returned: {item.text}"
                yield User(text=f"{text}\nNow answer in a sentence, with this value.")
            case Opaque():
                pass
            case _:
                yield item
