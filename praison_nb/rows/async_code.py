"""Whether a call is in code that awaits: then it must be awaited too, and keeps nobody waiting."""

from __future__ import annotations

import ast
import inspect
import linecache
from types import CodeType, FrameType

_ASYNC = inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR
_COMPREHENSIONS = ("<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>")


def is_async(caller: FrameType) -> bool:
    """Whether the caller is an `async def`, or a notebook's cell that has an `await` outside of functions.
    Comprehensions are where they stand."""
    frame: FrameType | None = caller
    while frame is not None and frame.f_code.co_name in _COMPREHENSIONS:
        frame = frame.f_back
    if frame is None:
        return False
    # A notebook compiles each statement of a cell by itself: the one with the `await` may be a later one.
    return _awaits(frame.f_code) or (frame.f_locals is frame.f_globals and _cell_awaits(frame.f_code))


def _awaits(code: CodeType) -> bool:
    return bool(code.co_flags & _ASYNC)


def _cell_awaits(code: CodeType) -> bool:
    source = "".join(linecache.getlines(code.co_filename))
    try:
        whole = compile(source, code.co_filename, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    except (SyntaxError, ValueError):
        return False
    return _awaits(whole)
