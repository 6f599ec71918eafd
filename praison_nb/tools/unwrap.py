"""Functions in a wrapping that pydantic does not look into: `functools.partial`, `functools.lru_cache`."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from types import FunctionType, MethodType
from typing import Any


def unwrap(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` as one with a name, a docstring and a signature, where what it wraps has them. A parameter
    that a partial fixes is none of the model's.

    >>> def power(base, exponent): return base**exponent
    >>> square = unwrap(functools.partial(power, exponent=2))
    >>> square.__name__, str(inspect.signature(square)), square(3)
    ('power', '(base)', 9)
    """
    named, fixed = function, set[str]()
    while not isinstance(named, FunctionType | MethodType):
        if isinstance(named, functools.partial):
            fixed |= named.keywords.keys()
            named = named.func
        elif hasattr(named, "__wrapped__"):
            named = named.__wrapped__
        else:
            break
    if named is function:
        return function

    @functools.wraps(named)
    def call(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    signature = inspect.signature(function)
    free = [each for name, each in signature.parameters.items() if name not in fixed]
    call.__signature__ = signature.replace(parameters=free)  # type: ignore[attr-defined]
    return call
