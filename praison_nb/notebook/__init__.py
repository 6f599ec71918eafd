"""The notebook side: magics, what a cell shows, widgets. Nothing here is imported before `%load_ext`."""

from __future__ import annotations

from typing import Any

_loaded: dict[int, Any] = {}


def load(shell: Any) -> None:
    """Add `%%agent` and `%agent` to the shell; a second time changes nothing."""
    from .magics import Extension

    if id(shell) not in _loaded:
        _loaded[id(shell)] = Extension(shell)


def unload(shell: Any) -> None:
    """Undo exactly what `load` did; sessions' turns under way are stopped."""
    if extension := _loaded.pop(id(shell), None):
        extension.remove()
