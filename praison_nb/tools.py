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
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from .errors import ConfigError

Policy = Literal["allow", "ask", "deny"]
"""Whether a tool runs at once, after the user's yes, or never."""

policies: dict[str, Policy] = {}
"""What the user said in this process, by the tool's name. It wins over an agent's own settings."""


def policy_of(tool: Tool, configured: Mapping[str, str]) -> str:
    """The tool's policy: what the user said, what the agent is set to, or the tool's own."""
    return policies.get(tool.name) or configured.get(tool.name) or tool.policy


def check_policy(tool: str, policy: object) -> Policy:
    """`policy` if it is one. Raises ConfigError."""
    for known in get_args(Policy):
        if policy == known:
            return known  # type: ignore[no-any-return]
    raise ConfigError(f"The policy of {tool} must be allow, ask or deny, not {policy!r:.60}.")


def check_policies(policies: Mapping[str, str]) -> None:
    """Raises ConfigError unless `policies` are policies by tools' names."""
    if not isinstance(policies, Mapping):
        raise ConfigError(f"policies must be a dict such as {{'run_python': 'ask'}}, not {policies!r:.60}.")
    for tool, policy in policies.items():
        check_policy(tool, policy)


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
        from docstring_parser import parse
        from pydantic import TypeAdapter
        from pydantic.errors import PydanticUserError

        name = getattr(function, "__name__", "")
        if not name.isidentifier():
            raise ConfigError("A tool needs a name: define it with def, not as a lambda.")
        try:
            as_type: Any = function
            schema = TypeAdapter[Any](as_type).json_schema()
        except (PydanticUserError, NameError, TypeError) as error:
            reason = str(error).splitlines()[0]
            raise ConfigError(
                f"Tool {name}: a model cannot give one of its parameters. "
                f"Use types that JSON has (str, int, float, bool, list, dict). {reason}"
            ) from error
        if schema.get("type") != "object":
            raise ConfigError(f"Tool {name}: positional-only parameters cannot be given by name.")
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
        try:
            values = json.loads(arguments or "{}")
        except ValueError as error:
            raise ToolArgumentError(f"The arguments are not JSON: {error}") from error
        if not isinstance(values, dict):
            raise ToolArgumentError("The arguments must be a JSON object.")
        call = _call_async if self.is_async else _call
        return functools.partial(call, self.function, values)


def tools_of(functions: Iterable[Callable[..., Any] | Tool]) -> dict[str, Tool]:
    """The tools by name. Raises ConfigError where two have one name."""
    tools: dict[str, Tool] = {}
    for function in functions:
        tool = function if isinstance(function, Tool) else Tool.of(function)
        if tool.name in tools:
            raise ConfigError(f"Two tools are named {tool.name}: rename one.")
        tools[tool.name] = tool
    return tools


def _call(function: Callable[..., Any], values: dict[str, Any]) -> Any:
    from pydantic import ValidationError, validate_call

    try:
        return validate_call(function)(**values)
    except ValidationError as error:
        raise _explained(error, function) from error


async def _call_async(function: Callable[..., Any], values: dict[str, Any]) -> Any:
    from pydantic import ValidationError, validate_call

    try:
        return await validate_call(function)(**values)
    except ValidationError as error:
        raise _explained(error, function) from error


def _explained(error: Any, function: Callable[..., Any]) -> Exception:
    if error.title not in (getattr(function, "__name__", ""), getattr(function, "__qualname__", "")):
        # The function itself validates something with pydantic: its own error.
        return RuntimeError(str(error))
    problems = "; ".join(
        f"{'.'.join(str(part) for part in problem['loc'])}: {problem['msg']}" for problem in error.errors()
    )
    return ToolArgumentError(f"The arguments do not fit: {problems}")
