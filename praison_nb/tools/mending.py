"""What models write to call a tool, mended where it can mean one thing only."""

from __future__ import annotations

import ast
import functools
import inspect
import io
import itertools
import json
import operator
import re
import tokenize
from collections.abc import Callable, Iterable, Mapping
from typing import Any

MOST_LITERAL = 20_000
"""Characters of arguments that are read as Python's; its parser is slow."""
MOST_ENCODINGS = 3
_FENCE = re.compile(r"\s*```\w*\s*(.*?)\s*```\s*", re.DOTALL)
_NOTHING = (None, "", "null", "None")
_NO_ARGUMENTS = ("", "null", "None", "[]")
_CHOICES = ("literal_error", "enum")
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPES = "\\\"'bfnrtux\n"
"""What means the same after a backslash in JSON, where it has it, and in Python."""
_ESCAPES_OF_ONE = "/av01234567NU"


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
    fence, with line breaks in its strings, or as Python writes a dict; nothing at all is an empty one. Others
    stay as they are.

    >>> object_text('"{\\"a\\": 1}"'), object_text("{'a': True}"), object_text('{"a": "two\nlines"}')
    ('{"a": 1}', '{"a": true}', '{"a": "two\\nlines"}')
    """
    if arguments and arguments.strip() in _NO_ARGUMENTS:
        return "{}"
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
    """The value that `text` is as JSON, or the dict or list that it is as Python; else `text` itself."""
    try:
        return json.loads(text, strict=False)
    except RecursionError:
        return text
    except ValueError:
        pass
    escapes = set(_ESCAPE.findall(text))
    if escapes and escapes.isdisjoint(_ESCAPES + _ESCAPES_OF_ONE):
        # Backslashes that escape nothing, as of \d in a pattern.
        return _read(text.replace("\\", "\\\\"))
    if text.lstrip()[:1] not in ("{", "[") or len(text) > MOST_LITERAL or not escapes <= set(_ESCAPES):
        return text
    try:
        value = ast.literal_eval(text.strip())
        json.dumps(value, allow_nan=False)
        kinds = [each.type for each in tokenize.generate_tokens(io.StringIO(text.strip()).readline)]
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError, tokenize.TokenError):
        return text
    # Two strings side by side are one for Python; more likely a comma or an escape is missing.
    kinds = [each for each in kinds if each not in (tokenize.NL, tokenize.COMMENT)]
    is_one_thing = (tokenize.STRING, tokenize.STRING) not in itertools.pairwise(kinds)
    is_object = isinstance(value, dict) and all(isinstance(key, str) for key in value)
    return value if is_one_thing and (is_object or isinstance(value, list)) else text


def mended_values(
    function: Callable[..., Any], arguments: str, problems: Iterable[Mapping[str, Any]]
) -> dict[str, Any] | None:
    """The arguments (JSON text) as values that may fit the function: nothing where there is a default, a list
    or dict that is given as text, a number, as it is written, where text is wanted. None where one of the
    `problems` (pydantic's) is another."""
    parameters = inspect.signature(function).parameters
    values, mended = json.loads(arguments), json.loads(arguments)
    written = json.loads(arguments, parse_int=str, parse_float=str)
    is_mended: dict[tuple[Any, ...], bool] = {}
    for problem in problems:
        path = _path(values, problem["loc"])
        if not path or path[0] not in parameters:
            return None
        if is_mended.setdefault(path, False):
            continue
        value, holder, is_choice = _at(values, path), _at(mended, path[:-1]), problem["type"] in _CHOICES
        inner = _read(value) if isinstance(value, str) else value
        is_number = type(inner) in (int, float)
        is_mended[path] = True
        if (
            path[1:] == ()
            and value in _NOTHING
            and parameters[path[0]].default is not inspect.Parameter.empty
        ):
            del holder[path[0]]
        elif isinstance(value, str) and (inner is None or isinstance(inner, list | dict) or is_choice):
            holder[path[-1]] = inner
        elif is_number and inner is value and (is_choice or problem["type"] == "string_type"):
            holder[path[-1]] = _at(written, path)
        else:
            is_mended[path] = False
    return mended if all(is_mended.values()) else None


def _path(values: Any, place: Iterable[Any]) -> tuple[Any, ...]:
    """The part of pydantic's `place` that leads to a value; the rest names what was tried with it."""
    path: list[Any] = []
    for part in place:
        if not (
            (isinstance(values, dict) and part in values) or (isinstance(values, list) and type(part) is int)
        ):
            break
        path.append(part)
        values = values[part]
    return tuple(path)


def _at(values: Any, path: Iterable[Any]) -> Any:
    return functools.reduce(operator.getitem, path, values)
