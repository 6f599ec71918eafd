"""Whether a call is in code that awaits: then it must be awaited too, and keeps nobody waiting."""

from __future__ import annotations

import ast
import inspect
import linecache
from itertools import islice
from types import CodeType, FrameType
from typing import Any

_ASYNC = inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR
_COMPREHENSIONS = ("<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>")


def is_async(caller: FrameType) -> bool:
    """Whether the caller is an `async def`, or a notebook's cell that has an `await` outside of functions, or
    gives what it is returned to a function of asyncio's. Comprehensions are where they stand."""
    frame: FrameType | None = caller
    while frame is not None and frame.f_code.co_name in _COMPREHENSIONS:
        frame = frame.f_back
    if frame is None:
        return False
    # A notebook compiles each statement of a cell by itself: the one with the `await` may be a later one.
    is_cell = frame.f_locals is frame.f_globals
    return (
        _awaits(frame.f_code)
        or (is_cell and _cell_awaits(frame.f_code))
        or _gives_to_asyncio(caller, {**frame.f_globals, **frame.f_locals})
    )


def _awaits(code: CodeType) -> bool:
    return bool(code.co_flags & _ASYNC)


def _source(code: CodeType) -> str:
    return "".join(linecache.getlines(code.co_filename))


def _cell_awaits(code: CodeType) -> bool:
    try:
        flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        whole = compile(_source(code), code.co_filename, "exec", flags, dont_inherit=True)
    except (SyntaxError, ValueError):
        return False
    return _awaits(whole)


def _gives_to_asyncio(caller: FrameType, names: dict[str, Any]) -> bool:
    """Whether the call under way is an argument of `asyncio.create_task`, `gather`, `run`, …"""
    positions = next(islice(caller.f_code.co_positions(), caller.f_lasti // 2, None))
    place = tuple(-1 if each is None else each for each in positions)
    try:
        node: ast.AST | None = ast.parse(_source(caller.f_code))
    except (SyntaxError, ValueError):
        return False
    taker: ast.Call | None = None
    while node is not None and _place(node) != place:
        inner = next((each for each in ast.iter_child_nodes(node) if _holds(each, place)), None)
        if isinstance(node, ast.Call):
            taker = node if inner is not node.func else None
        elif isinstance(node, ast.Lambda | ast.FunctionDef):
            taker = None
        node = inner
    function = _value(taker.func, names) if node is not None and taker is not None else None
    return str(getattr(function, "__module__", "")).split(".")[0] == "asyncio"


def _place(node: ast.AST) -> tuple[int, ...]:
    """Line and last line, column and last column, -1 where it has none."""
    names = ("lineno", "end_lineno", "col_offset", "end_col_offset")
    return tuple(getattr(node, name, -1) for name in names)


def _holds(node: ast.AST, place: tuple[int, ...]) -> bool:
    first, last, left, right = _place(node)
    return (first, left) <= (place[0], place[2]) and (place[1], place[3]) <= (last, right)


def _value(name: ast.expr, names: dict[str, Any]) -> Any:
    """What a dotted name stands for, None for another expression."""
    match name:
        case ast.Name():
            return names.get(name.id)
        case ast.Attribute():
            return getattr(_value(name.value, names), name.attr, None)
    return None
