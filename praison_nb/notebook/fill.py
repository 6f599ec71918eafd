"""Fills `{name}` in a prompt from the notebook's variables; every other brace stays as it is.

>>> fill('{x} of {"a": 1}, {k: v for k in y}, {nobody}', {"x": 3})
('3 of {"a": 1}, {k: v for k in y}, {nobody}', ['{nobody} is left as it is: nobody is not defined'])
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from typing import Any

from ..plain import of_error, short
from ..redaction import redact as hide
from ..values import describe

# What stands in single braces on one line: {{this}} is a template's, not ours.
_BRACES = re.compile(r"(?<!\{)\{([^{}\n]+)\}(?!\})")
_EXPRESSIONS = (ast.Name, ast.Attribute, ast.Subscript, ast.Call)


def fill(
    prompt: str, variables: dict[str, Any], text_of: Callable[[Any], str] = describe
) -> tuple[str, list[str]]:
    """The prompt with `{name}`, `{df.shape}`, `{len(rows)}` and the like filled, and a line for each one
    that could not be."""
    problems: list[str] = []

    def left(braces: str, why: str) -> str:
        problems.append(f"{short(braces, 60)} is left as it is: {short(hide(why), 200)}")
        return braces

    scope = dict(variables)  # eval adds to it

    def value(match: re.Match[str]) -> str:
        source = match[1].strip()
        code = _expression(source)
        if code is None:
            return match[0]
        try:
            return text_of(eval(code, scope))
        except NameError as error:
            return left(match[0], f"{error.name or source} is not defined")
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            return left(match[0], of_error(error))

    return _BRACES.sub(value, prompt), problems


def _expression(source: str) -> Any:
    """The compiled expression when `source` names something, else None: a literal, a tuple, a pair of
    JSON and the rest of the world's braces are not meant for us."""
    try:
        tree = ast.parse(source, mode="eval")
    except (SyntaxError, ValueError):
        return None
    if not isinstance(tree.body, _EXPRESSIONS):
        return None
    return compile(tree, "<prompt>", "eval", dont_inherit=True)
