"""What an option of a magic names in the notebook: the user's own code, in their own variables."""

from __future__ import annotations

import typing
from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import ConfigError
from ..text import describe_exception, did_you_mean, shorten
from .arguments import unquoted

TYPES = ("Literal", "Optional", "Union", "Annotated")
"""Of typing, without an import."""


def evaluate(option: str, given: str | Sequence[str], variables: Mapping[str, Any]) -> Any:
    """The value of an expression, such as a variable's name. Raises ConfigError in one line.

    >>> evaluate("--as", ["list[", "int", "]"], {})
    list[int]
    """
    text = unquoted(given if isinstance(given, str) else " ".join(given)) or ""
    names = {**{name: getattr(typing, name) for name in TYPES}, **variables}
    try:
        return eval(text, names)
    except Exception as error:
        known = [name for name in variables if not name.startswith("_")]
        name = getattr(error, "name", None) if isinstance(error, NameError) else None
        hint = did_you_mean(name, known) if name else ""
        raise ConfigError(f"{option} {shorten(text, 100)}: {_reason(error)}{hint}") from None


def type_named(given: Sequence[str] | None, variables: Mapping[str, Any]) -> Any:
    """The type that `--as` names, None where it is not given. Raises ConfigError."""
    from ..answer_type import AnswerType

    return None if given is None else AnswerType.of(evaluate("--as", given, variables))


def _reason(error: Exception) -> str:
    if isinstance(error, SyntaxError):
        return f"this is no expression ({error.msg})"
    return shorten(describe_exception(error), 200)
