"""The notebook side: magics, what a cell shows, widgets. Nothing here is imported before `%load_ext`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import ConfigError

if TYPE_CHECKING:
    from .extension import Extension

_loaded: dict[int, Extension] = {}


def load(shell: Any) -> Extension:
    """Add `%%agent`, `%agent` and `%usage` to the shell, the completion of what the first two take, and the
    input transformer that has `%%agent` awaited where cells can. A second time changes nothing."""
    from .magics import AgentMagics, UsageMagics

    if id(shell) not in _loaded:
        magics = AgentMagics(shell)
        magics.extension.add(magics, UsageMagics(shell))
        _loaded[id(shell)] = magics.extension
    return _loaded[id(shell)]


def load_in_notebook(elsewhere: str) -> Extension:
    """The extension of this notebook, loaded where it is not. Raises ConfigError, which says what to do
    `elsewhere`."""
    from IPython import get_ipython

    shell = get_ipython()
    if not hasattr(shell, "kernel"):
        raise ConfigError(elsewhere)
    return load(shell)


def unload(shell: Any) -> None:
    """Undo exactly what `load` did: what had our magics' names before has them again. Turns under way are
    stopped, and the tools' policies of `%agent policy` are gone."""
    if extension := _loaded.pop(id(shell), None):
        extension.remove()
