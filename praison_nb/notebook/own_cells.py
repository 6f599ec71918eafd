"""Cells that begin with `%%agent`: they await their turn, so that the kernel stays alive meanwhile.

Where other magics (`%%time`, `%%capture`, `%run`) or `run_cell` run such a cell, nothing can be awaited: it
blocks, and does what else waits for the main thread."""

from __future__ import annotations

import ast
import sys
import warnings
from collections.abc import Callable
from types import FrameType
from typing import Any

from IPython.core.inputtransformer2 import TransformerManager
from IPython.core.interactiveshell import InteractiveShell
from IPython.core.magic import MagicAlias

OWN_CELL = "_agent_cell"
"""The magic that such a cell calls."""
AWAITED_CELL = "_agent_cell_async"
"""The magic that it calls and awaits."""
NOT_FIRST = (
    "%%agent begins a cell; nothing was run. Put the code above into a cell of its own; inside of loops and "
    "functions call get_ipython().run_cell_magic('agent', '', prompt)."
)

_OWN_CALL = f"get_ipython().run_cell_magic({OWN_CELL!r},"
_RUNNING = {InteractiveShell.run_cell.__code__, InteractiveShell.run_code.__code__}


class OwnCells:
    """Input transformers of a shell. `magic` is `%%agent` itself; cells that call another one of that name
    stay as they are."""

    def __init__(self, shell: Any, magic: Callable[..., Any]) -> None:
        self._shell, self._magic = shell, magic

    def name_magic(self, lines: list[str]) -> list[str]:
        """Have a cell that begins with `%%agent`, or an alias of it, call it by the name that only such cells
        have; comments may stand above. IPython's own text about a cell without a body stays."""
        begin = next((n for n, line in enumerate(lines) if line.partition("#")[0].strip()), 0)
        first, *body = lines[begin:] or [""]
        # IPython takes off only an indent that all lines have.
        first = first.lstrip() if first.lstrip().startswith("%%") else first
        arguments = self._arguments(first)
        if arguments is not None:
            return [f"%%{OWN_CELL} {arguments}\n", *body] if body else [first]
        if not first.startswith("%%") and any(self._is_below(lines, n) for n in range(begin + 1, len(lines))):
            return [f"raise __import__('praison_nb.errors').errors.ConfigError({NOT_FIRST!r})\n"]
        return lines

    def await_magic(self, lines: list[str]) -> list[str]:
        """Await it where that can be."""
        is_own = bool(lines) and lines[0].startswith(_OWN_CALL) and _can_await(self._shell)
        return [f"await {lines[0].replace(OWN_CELL, AWAITED_CELL, 1)}", *lines[1:]] if is_own else lines

    def _arguments(self, line: str) -> str | None:
        """What a cell's first line gives to `%%agent`; None where it is another line."""
        name, _, arguments = line.rstrip().partition(" ")
        magics = self._shell.magics_manager.magics["cell"]
        magic = magics.get(name[2:]) if name.startswith("%%") else None
        while isinstance(magic, MagicAlias):
            arguments = " ".join(filter(None, (magic.magic_params, arguments)))
            magic = magics.get(magic.magic_name)
        return arguments if magic == self._magic else None

    def _is_below(self, lines: list[str], place: int) -> bool:
        """Whether `%%agent` stands there as a line of the Python code above, and not in a string of it."""
        line = lines[place].lstrip()
        if self._arguments(line) is None:
            return False
        indent = lines[place][: -len(line)]
        try:
            code = TransformerManager().transform_cell("".join([*lines[:place], f"{indent}pass\n"]))
            with warnings.catch_warnings(action="ignore"):
                ast.parse(code)
        except (SyntaxError, ValueError):
            return False
        return True


def _can_await(shell: Any) -> bool:
    """Whether the code that is transformed now may wait without blocking its kernel."""
    return hasattr(shell, "kernel") and bool(shell.autoawait) and not _is_nested(sys._getframe())


def _is_nested(frame: FrameType | None) -> bool:
    """Whether the frame's thread runs a cell's code already, or waits for it."""
    while frame is not None and frame.f_code not in _RUNNING:
        frame = frame.f_back
    return frame is not None
