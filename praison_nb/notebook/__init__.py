"""The notebook side: magics, what a cell shows, widgets. Nothing here is imported before `%load_ext`."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError
from ..rows import view

if TYPE_CHECKING:
    from ..rows.compare import Comparison
    from ..rows.mapping import MapRun
    from ..runtime.approvals import Asker
    from ..runtime.options import Subscriber
    from .extension import Extension
    from .widgets.chat.widget import SessionWidget
    from .widgets.sessions.widget import SessionBrowser

_loaded: dict[int, Extension] = {}


def load(shell: Any) -> Extension:
    """Add `%%agent`, `%agent` and `%usage` to the shell, the completion of what the first two take, and the
    input transformer that has `%%agent` awaited where cells can. A second time changes nothing."""
    from .magics import AgentMagics, UsageMagics

    if id(shell) not in _loaded:
        magics = AgentMagics(shell)
        magics.extension.add(magics, UsageMagics(shell))
        _loaded[id(shell)] = magics.extension
        view.show = functools.partial(_show_map, magics.extension)
        view.of_comparison = functools.partial(_view_of_comparison, magics.extension)
    return _loaded[id(shell)]


def _load_in_notebook(elsewhere: str) -> Extension | None:
    """The extension of this notebook, loaded where it is not. None in a terminal and in a notebook that
    runs as a script there, which goes on: a line says what to do `elsewhere`. Raises ConfigError without
    IPython."""
    from IPython import get_ipython

    shell = get_ipython()
    if shell is None:
        raise ConfigError(elsewhere)
    if not hasattr(shell, "kernel"):
        sys.stdout.write(f"{elsewhere}\n")
        return None
    return load(shell)


def unload(shell: Any) -> None:
    """Undo exactly what `load` did: what had our magics' names before has them again. Turns under way are
    stopped, and the tools' policies of `%agent policy` are gone."""
    if extension := _loaded.pop(id(shell), None):
        extension.remove()
        view.show = view.of_comparison = None


def _show_map(extension: Extension, run: MapRun, is_awaited: bool) -> None:
    # In a terminal the frame says it all.
    if not hasattr(extension.shell, "kernel"):
        return
    from .cell_map import show_map

    show_map(extension, run, blocks=not is_awaited)


def _view_of_comparison(
    extension: Extension, is_awaited: bool
) -> tuple[Asker | None, Callable[[Comparison], Subscriber] | None]:
    from .cell_comparison import asker_and_view

    return asker_and_view(extension, blocks=not is_awaited)


def chat(session_or_backend: Any = None) -> SessionWidget | None:
    """A conversation to type into, shown when it is a cell's value. Takes a session's name (as `%%agent -s`
    has it; "main" without one), a backend, an Agent or a Session of this notebook; loads the extension where
    it is not. Raises ConfigError. In a terminal it is None, and a line says what there is instead.

        praison_nb.chat()
        praison_nb.chat("research")
        praison_nb.chat(LocalAgent(config=LocalAgentConfig(model="embedded")))

    >>> chat("research")  # in a script, where nobody types into a page
    Traceback (most recent call last):
    praison_nb.errors.ConfigError: chat() needs a notebook. Elsewhere: ...
    """
    from . import marimo_shell
    from .widgets.chat.widget import open_chat

    if marimo_shell.is_marimo():
        chat = open_chat(load(marimo_shell.shell()), session_or_backend)
        chat.show_history()
        return chat
    extension = _load_in_notebook(
        "chat() needs a notebook. Elsewhere: `Agent(...).start(prompt)`, or `%%agent` in IPython."
    )
    return None if extension is None else open_chat(extension, session_or_backend)


def sessions() -> SessionBrowser | None:
    """All sessions of this kernel and of earlier ones: filter, sort, open, archive, delete. Loads the
    extension where it is not. Raises ConfigError without IPython and in marimo. In a terminal it is None,
    and a line says what there is instead.

        praison_nb.sessions()

    >>> sessions()  # in a script, which has no page
    Traceback (most recent call last):
    praison_nb.errors.ConfigError: sessions() needs a notebook. In IPython `%agent sessions` lists them.
    """
    from . import marimo_shell
    from .widgets.sessions.widget import SessionBrowser

    if marimo_shell.is_marimo():
        raise ConfigError(
            "sessions() is made of Jupyter widgets, which marimo does not show: `chat(NAME)` opens a "
            "session, and `%agent sessions` in IPython lists them."
        )
    elsewhere = "sessions() needs a notebook. In IPython `%agent sessions` lists them."
    extension = _load_in_notebook(elsewhere)
    return None if extension is None else SessionBrowser(extension)
