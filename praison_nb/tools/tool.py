"""A Python function as a tool: its JSON schema from signature and docstring, and a call of it.

>>> def add(a: int, b: int = 1) -> int:
...     '''Add two numbers.
...
...     Args:
...         a: The first number.
...     '''
...     return a + b
>>> tool = Tool.of(add)
>>> tool.name, tool.description, tool.schema["properties"]["a"]
('add', 'Add two numbers.', {'type': 'integer', 'description': 'The first number.'})
>>> tool.bind('{"a": 2}')()
3
"""

from __future__ import annotations

import functools
import inspect
import json
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..administration import POLICIES, administration
from ..errors import ConfigError
from ..text import describe_exception, shorten
from .mending import mended_values, object_text
from .policy import Policy, policies
from .unwrap import unwrap


def policy_of(tool: Tool, configured: Mapping[str, str]) -> str:
    """The tool's policy: what the user set, what the agent is set to, or the tool's own; at least as strict
    as the administrator's."""
    own = policies.get(tool.name) or configured.get(tool.name) or tool.policy
    fixed = administration().policies.get(tool.name)
    return fixed if fixed is not None and own in POLICIES[: POLICIES.index(fixed)] else own


Call = Callable[[Callable[[], Any], bool], Awaitable[Any]]
"""`run.call`: runs a function (awaited where the second is True) where the user's own functions run."""


class ToolError(Exception):
    """A tool failed: the message goes to the model, its one `line` to the user."""

    def __init__(self, message: str, line: str = "") -> None:
        super().__init__(message)
        self.line = line or message


class ToolArgumentError(ToolError):
    """The model's arguments do not fit the function; the message goes back to the model."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that a model may call. `schema` is the JSON schema of its arguments. `on_loop` is for our
    own async functions, which run on the background loop and not where the user's run."""

    name: str
    description: str
    schema: dict[str, Any]
    function: Callable[..., Any]
    policy: Policy = "allow"
    on_loop: bool = False

    @classmethod
    def of(cls, function: Callable[..., Any], *, policy: Policy = "allow", on_loop: bool = False) -> Tool:
        """The tool that `function` is. Raises ConfigError where a model could not call it."""
        if not callable(function):
            raise ConfigError(f"A tool must be a Python function, not {type(function).__name__}.")
        if isinstance(function, type):
            raise ConfigError(
                f"Tool {function.__name__}: a model calls functions, and this is a class: define a function "
                "with def that makes one."
            )
        from docstring_parser import parse

        function = unwrap(function)
        name = _name(function)
        schema = _schema(name, function)
        doc = parse(inspect.getdoc(function) or "")
        texts = {parameter.arg_name: parameter.description for parameter in doc.params}
        for parameter, part in schema.get("properties", {}).items():
            part.pop("title", None)
            if texts.get(parameter):
                part.setdefault("description", texts[parameter])
        return cls(name, (doc.description or "").strip(), schema, function, policy, on_loop)

    @property
    def is_async(self) -> bool:
        """Whether the function is an `async def`."""
        return inspect.iscoroutinefunction(self.function)

    def bind(self, arguments: str) -> Callable[[], Any]:
        """A call of the function with the arguments (JSON text), checked when it is made.
        Raises ToolArgumentError at once where they are no JSON object."""
        text = object_text(arguments or "{}")
        try:
            values = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ToolArgumentError(f"The arguments are not JSON: {error}") from error
        if not isinstance(values, dict):
            raise ToolArgumentError("The arguments must be a JSON object.")
        call = _call_async if self.is_async else _call
        return functools.partial(call, self.function, values, text)


def _name(function: Callable[..., Any]) -> str:
    name = str(getattr(function, "__name__", "<none>"))
    if name.startswith("<"):
        kind = "lambda" if name == "<lambda>" else type(function).__name__
        raise ConfigError(f"A tool needs a name, which a {kind} has not: define a function with def.")
    if not re.fullmatch("[A-Za-z0-9_-]{1,64}", name):
        raise ConfigError(
            f"Tool {shorten(name, 80)}: models' servers take names of 1 to 64 characters, which are a-z, "
            "A-Z, 0-9, _ or -: rename it."
        )
    return name


def _schema(name: str, function: Callable[..., Any]) -> dict[str, Any]:
    """The JSON schema of the function's arguments. Raises ConfigError where a model cannot give them."""
    parameters = _parameters(function)
    for parameter in parameters:
        if parameter.kind is parameter.VAR_POSITIONAL:
            raise ConfigError(
                f"Tool {name}: a model gives arguments by name, and *{parameter.name} has none for them: "
                "take a list."
            )
        if parameter.kind is parameter.POSITIONAL_ONLY:
            raise ConfigError(
                f"Tool {name}: a model gives arguments by name, and {parameter.name} is positional-only."
            )
    try:
        schema = _json_schema(function)
    except Exception as error:
        which = next((each.name for each in parameters if not _can_be_given(function, each)), "")
        raise ConfigError(
            f"Tool {name}: a model cannot give {f'the parameter {which}' if which else 'its parameters'}. "
            f"Use types that JSON has (str, int, float, bool, list, dict). {_reason(error)}"
        ) from error
    if schema.get("type") != "object":
        raise ConfigError(f"Tool {name}: a model gives arguments by name, and {name} has no names for them.")
    return schema


def _parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(function).parameters.values())
    except (ValueError, TypeError):
        # Some that are written in C have no signature.
        return []


def _can_be_given(function: Callable[..., Any], parameter: inspect.Parameter) -> bool:
    def alone() -> None: ...

    alone.__module__ = function.__module__
    alone.__annotations__ = {parameter.name: parameter.annotation}
    alone.__signature__ = inspect.Signature([parameter])  # type: ignore[attr-defined]
    try:
        _json_schema(alone)
    except Exception:
        return False
    return True


def _json_schema(function: Any) -> dict[str, Any]:
    from pydantic import TypeAdapter
    from pydantic.json_schema import GenerateJsonSchema

    class Schema(GenerateJsonSchema):
        def default_schema(self, schema: Any) -> dict[str, Any]:
            """A default that JSON has not is left out: the function uses it all the same."""
            try:
                json.dumps(self.encode_default(schema.get("default")), allow_nan=False)
            except Exception:
                return self.generate_inner(schema["schema"])
            return super().default_schema(schema)

    return TypeAdapter[Any](function).json_schema(schema_generator=Schema)


def _reason(error: Exception) -> str:
    from pydantic_core import SchemaError

    # Pydantic's own end with an address, and those of its core begin with the places that lead to the reason.
    lines = describe_exception(error).splitlines()
    return shorten(lines[-1 if isinstance(error, SchemaError) else 0], 200)


def tools_of(functions: Iterable[Callable[..., Any] | Tool]) -> dict[str, Tool]:
    """The tools by name. Raises ConfigError where two have one name."""
    tools: dict[str, Tool] = {}
    for function in functions:
        tool = function if isinstance(function, Tool) else Tool.of(function)
        if tool.name in tools:
            raise ConfigError(f"Two tools are named {tool.name}: rename one.")
        tools[tool.name] = tool
    return tools


def _call(function: Callable[..., Any], values: dict[str, Any], text: str) -> Any:
    from pydantic import ValidationError, validate_call

    call = validate_call(function)
    try:
        return call(**values)
    except ValidationError as error:
        values = _mended(error, function, text)
    try:
        return call(**values)
    except ValidationError as error:
        raise _explained(error, function) from error


async def _call_async(function: Callable[..., Any], values: dict[str, Any], text: str) -> Any:
    from pydantic import ValidationError, validate_call

    call = validate_call(function)
    try:
        return await call(**values)
    except ValidationError as error:
        values = _mended(error, function, text)
    try:
        return await call(**values)
    except ValidationError as error:
        raise _explained(error, function) from error


def _mended(error: Any, function: Callable[..., Any], text: str) -> dict[str, Any]:
    """The arguments in another form, of which nothing was called yet. Raises `error` as the model is told."""
    explained = _explained(error, function)
    if not isinstance(explained, ToolArgumentError):
        raise explained from error
    mended = mended_values(function, text, error.errors(include_url=False))
    if mended is None:
        raise explained from error
    return mended


def _explained(error: Any, function: Callable[..., Any]) -> Exception:
    if error.title not in (getattr(function, "__name__", ""), getattr(function, "__qualname__", "")):
        # The function itself validates something with pydantic: its own error.
        return RuntimeError(str(error))
    problems = "; ".join(
        f"{'.'.join(str(part) for part in problem['loc'])}: {problem['msg']}" for problem in error.errors()
    )
    return ToolArgumentError(f"The arguments do not fit: {problems}")
