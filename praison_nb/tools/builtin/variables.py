"""`inspect`: what a variable of the user holds."""

from __future__ import annotations

import functools
import itertools
import operator
import sys
from collections.abc import Callable, Sized
from typing import TYPE_CHECKING, Any

from ...redaction import redact, redact_value
from ...text import describe_exception, shorten
from ...values import redact_and_truncate, value_text
from ..tool import ToolError
from .supervise import shell, supervise

if TYPE_CHECKING:
    from ..tool import Call

SECONDS = 20.0
HEAD_CHARACTERS = 4000
HEAD_ITEMS = 20
MOST_NAMES = 200
_LISTS = (list, tuple, set, frozenset)


def tool(call: Call) -> Callable[..., Any]:
    """inspect as a function for Tool.of."""

    async def inspect(name: str = "") -> str:
        """Look at a variable of the user's notebook: its type, its shape or length, and its beginning.

        Args:
            name: The variable's name; without one, all variables are listed.
        """
        return str(await supervise(call, functools.partial(describe, name), SECONDS))

    return inspect


def describe(name: str) -> str:
    """What `inspect` answers. Raises ToolError for a name that there is not."""
    variables = _variables()
    if not name:
        named = sorted(variables.items(), key=operator.itemgetter(0))[:MOST_NAMES]
        lines = [f"{key}: {_described(_kind, value)}" for key, value in named]
        if len(variables) > MOST_NAMES:
            lines.append(f"… and {len(variables) - MOST_NAMES} more")
        return "\n".join(lines) or "There are no variables."
    if name not in variables:
        raise ToolError(f"There is no variable {name!r:.60}. Call inspect without a name to list them.")
    value = variables[name]
    return f"{name}: {_described(_kind, value)}\n{_described(functools.partial(_head, name=name), value)}"


def _described(describe: Callable[[Any], str], value: Any) -> str:
    """What there is to say of a value. Looking at it runs code of its class, which may raise anything."""
    try:
        return describe(value)
    except KeyboardInterrupt:
        # It may be the user's, who waits for too long.
        raise
    except BaseException as error:
        why = shorten(redact(describe_exception(error)), 200)
        return f"<{type(value).__name__}, which cannot be looked at: {why}>"


def _variables() -> dict[str, Any]:
    """The user's own: nothing of IPython's, no history, no modules."""
    ipython = shell()
    if ipython is None:
        names, hidden = vars(sys.modules["__main__"]), {}
    else:
        names, hidden = ipython.user_ns, ipython.user_ns_hidden
    return {
        key: value
        for key, value in list(names.items())
        if isinstance(key, str)  # globals() takes any
        and not key.startswith("_")
        and not (key in hidden and hidden[key] is value)
        and type(value).__name__ != "module"
    }


def _kind(value: Any) -> str:
    parts = [f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")]
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple):
        parts.append(f"shape {shape}")
    elif isinstance(value, Sized) and not isinstance(value, type):
        parts.append(f"length {len(value):,}")
    if isinstance(dtype := getattr(value, "dtype", None), object) and dtype is not None:
        parts.append(f"dtype {dtype}")
    return ", ".join(parts)


def _head(value: Any, name: str) -> str:
    # No secret is cut in two before it is hidden.
    if isinstance(value, str | bytes):
        return redact(value_text(redact_value(value[: 2 * HEAD_CHARACTERS], name)))[:HEAD_CHARACTERS]
    if isinstance(value, dict):
        value = dict(itertools.islice(value.items(), HEAD_ITEMS))
    elif isinstance(value, _LISTS):
        value = list(itertools.islice(value, HEAD_ITEMS))
    return redact_and_truncate(value_text(redact_value(value, name)), HEAD_CHARACTERS)
