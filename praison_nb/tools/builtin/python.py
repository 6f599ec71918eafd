"""`run_python`: code of the model in the user's namespace."""

from __future__ import annotations

import ast
import inspect
import itertools
import linecache
import sys
import traceback
from collections.abc import Callable
from types import CodeType
from typing import TYPE_CHECKING, Any

from ...render.visible import counted
from ...values import VALUE_CHARACTERS, redact_and_truncate, value_text
from ..tool import ToolError
from . import working_dir
from .capture import Displayed, captured
from .excerpt import Excerpt
from .loop_here import run_here
from .seconds import Seconds
from .supervise import Halted, shell, supervise

if TYPE_CHECKING:
    from ..tool import Call

FRAMES = 10

_numbers = itertools.count(1)


def tool(call: Call) -> Callable[..., Any]:
    """run_python as a function for Tool.of."""

    async def run_python(code: str, timeout: Seconds = 60) -> str:
        """Run Python code in the user's notebook, with all its variables; what it defines stays, another
        working directory does not. `await`, %magics and !commands are as in a cell. Returns what it prints
        and displays, the value of its last expression and how many figures it showed the user. It cannot ask
        for input.

        Args:
            code: The code, one or several lines.
            timeout: Seconds after which it is stopped.
        """
        running = _Code(code)
        try:
            result: str = await supervise(call, running.run, timeout)
        except Halted as halted:
            raise ToolError(running.with_output(str(halted)), str(halted)) from None
        return result

    return run_python


class _Code:
    def __init__(self, source: str) -> None:
        self._source = source
        self._name = f"<run_python {next(_numbers)}>"
        self._output = Excerpt(VALUE_CHARACTERS)
        self._displayed = Displayed(self._output)

    def with_output(self, text: str) -> str:
        """What it printed, `text` after it, and how much it drew, which only the user sees."""
        if self._displayed.figures:
            text = f"{text}\n{counted(self._displayed.figures, 'figure')} shown".lstrip()
        output = str(self._output)
        return f"{output.rstrip()}\n{text}" if output.strip() and text else output or text

    def run(self) -> str:
        """Run it here and now; the text for the model. Raises ToolError with the traceback in it."""
        try:
            with working_dir.restored(), captured(self._output, shell()) as self._displayed:
                value = self._execute()
        except (KeyboardInterrupt, ToolError):
            raise
        except BaseException as error:
            line = "".join(traceback.format_exception_only(error)).strip().splitlines()[-1]
            raise ToolError(self.with_output(self._traceback(error)), line) from None
        return self.with_output(value) or "(no output)"

    def _execute(self) -> str:
        ipython = shell()
        namespace = ipython.user_ns if ipython is not None else vars(sys.modules["__main__"])
        lines = self._source.splitlines(keepends=True)
        linecache.cache[self._name] = (len(self._source), None, lines, self._name)
        tree = _parse(self._source, self._name, ipython)
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        codes = [_compiled(tree, self._name, "exec")]
        if isinstance(last, ast.Expr):
            codes.append(_compiled(ast.Expression(last.value), self._name, "eval"))
        text = ""
        try:
            value = _evaluate(codes, namespace)
            if value is not None:
                self._displayed.records = False
                _show(ipython, value)
                # Hidden before it is cut, which would leave half of a secret.
                text = redact_and_truncate(value_text(value))
        finally:
            if inline := sys.modules.get("matplotlib_inline.backend_inline"):
                inline.flush_figures()
        return text

    def _traceback(self, error: BaseException) -> str:
        frames = error.__traceback__
        while frames is not None and frames.tb_frame.f_code.co_filename != self._name:
            frames = frames.tb_next
        lines = traceback.format_exception(type(error), error, frames, limit=-FRAMES)
        return redact_and_truncate("".join(lines).rstrip(), VALUE_CHARACTERS // 2)


def _parse(source: str, name: str, ipython: Any) -> ast.Module:
    """The code's tree. What is no Python may be IPython's: magics and commands."""
    try:
        return ast.parse(source, name)
    except SyntaxError:
        if ipython is None:
            raise
    code: str = ipython.input_transformer_manager.transform_cell(source)
    return ast.parse(code, name)


def _compiled(tree: Any, name: str, mode: str) -> Any:
    # What this file imports from __future__ is not for the user's code.
    return compile(tree, name, mode, flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)


def _evaluate(codes: list[CodeType], namespace: dict[str, Any]) -> Any:
    """Run them one after the other, on one loop where one of them awaits; the value of the last one."""
    are_async = [bool(code.co_flags & inspect.CO_COROUTINE) for code in codes]

    async def evaluate() -> Any:
        for code, is_async in zip(codes, are_async, strict=True):
            value = eval(code, namespace)
            value = await value if is_async else value
        return value

    return run_here(evaluate()) if any(are_async) else [eval(code, namespace) for code in codes][-1]


def _show(ipython: Any, value: Any) -> None:
    """Show the value as a cell shows its last one."""
    if ipython is None:
        return
    data, metadata = ipython.display_formatter.format(value)
    if data:
        ipython.display_pub.publish(data, metadata)
