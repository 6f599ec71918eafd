"""What models write to call a tool, mended where it can mean one thing only."""

from __future__ import annotations

import ast
import inspect
import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

MOST_LITERAL = 20_000
"""Characters of arguments that are read as Python's; its parser is slow."""
MOST_ENCODINGS = 3
_FENCE = re.compile(r"\s*```\w*\s*(.*?)\s*```\s*", re.DOTALL)
_NOTHING = (None, "", "null", "None")


def tool_name(name: str, tools: Iterable[str]) -> str:
    """The tool that `name` means, or `name` itself where that is not certain.

    >>> tool_name("functions.add:0", ["add", "ad"]), tool_name("Get-Time", ["get_time"]), tool_name("x", [])
    ('add', 'get_time', 'x')
    """
    known = list(tools)
    if name in known:
        return name
    words = {_plain(word) for word in re.findall(r"[A-Za-z0-9_-]+", name)}
    meant = [tool for tool in known if _plain(tool) in words]
    return meant[0] if len(meant) == 1 else name


def _plain(name: str) -> str:
    return name.lower().replace("-", "_")


def object_text(arguments: str) -> str:
    r"""`arguments` as the text of a JSON object, where they are one in another form: encoded twice, within a
    fence, with line breaks in its strings, or as Python writes a dict. Others stay as they are.

    >>> object_text('"{\\"a\\": 1}"'), object_text("{'a': True}"), object_text('{"a": "two\nlines"}')
    ('{"a": 1}', '{"a": true}', '{"a": "two\\nlines"}')
    """
    text, value = arguments, None
    for _ in range(MOST_ENCODINGS):
        if fence := _FENCE.fullmatch(text):
            text = fence[1]
        value = _read(text)
        if not isinstance(value, str):
            break
        text = value
    if not isinstance(value, dict):
        return arguments
    try:
        json.loads(text)
        return text
    except ValueError:
        return json.dumps(value, ensure_ascii=False)


def _read(text: str) -> Any:
    if text.lstrip()[:1] not in ('"', "{"):
        return None
    try:
        return json.loads(text, strict=False)
    except RecursionError:
        return None
    except ValueError:
        pass
    try:
        value = ast.literal_eval(text.strip()) if len(text) <= MOST_LITERAL else None
        json.dumps(value, allow_nan=False)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return None
    return value if isinstance(value, dict) and all(isinstance(key, str) for key in value) else None


def mended_values(
    function: Callable[..., Any], values: Mapping[str, Any], problems: Iterable[Mapping[str, Any]]
) -> dict[str, Any] | None:
    """`values` that may fit the function: nothing where there is a default, a list or dict that is given as
    JSON text, a number where text is wanted. None where one of the `problems` (pydantic's) is another."""
    parameters = inspect.signature(function).parameters
    mended = dict(values)
    for problem in problems:
        name = str(next(iter(problem["loc"]), ""))
        if name not in values or name not in parameters:
            return None
        value = values[name]
        if value in _NOTHING and parameters[name].default is not inspect.Parameter.empty:
            mended.pop(name, None)
        elif isinstance(value, str) and isinstance(inner := _list_or_dict(value), list | dict):
            mended[name] = inner
        elif type(value) in (int, float) and problem["type"] == "string_type":
            mended[name] = str(value)
        elif mended.get(name, value) is value:
            return None
    return mended


def _list_or_dict(text: str) -> Any:
    try:
        return json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return None
