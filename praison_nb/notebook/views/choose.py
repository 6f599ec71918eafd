"""Which view of a turn a cell gets, and whether the user can answer there."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from typing import Any

from .captured import is_captured
from .console import ConsoleOutput, is_console
from .output import Output, PlainOutput
from .pages import Pages


def output_type(shell: Any, live: str, pages: Pages) -> Callable[..., Output]:
    """What makes the view of a turn, a comparison or a map in the cell that runs now, with the arguments of
    `Output`; `live` is that of AgentMagics."""
    if shows_live(shell, live, pages):
        from .live import LiveOutput

        return functools.partial(LiveOutput, pages=pages, widget=live == "widget")
    return ConsoleOutput if is_console() and not is_captured(shell) else PlainOutput


def takes_clicks(shell: Any, live: str, pages: Pages) -> bool:
    """Whether the user can answer in the page while a cell runs that awaits its turn."""
    if not hasattr(shell, "kernel") or not shows_live(shell, live, pages):
        return False
    ipykernel = sys.modules.get("ipykernel")
    # Before ipykernel 7 no click arrives while a cell runs.
    return ipykernel is None or int(ipykernel.__version__.split(".")[0]) >= 7


def shows_live(shell: Any, live: str, pages: Pages) -> bool:
    """Whether a turn is shown live: where a page has the extension, or shows widgets."""
    is_followed = live == "auto" and pages.is_announced and not is_captured(shell)
    return is_followed or wants_widget(shell, live)


def wants_widget(shell: Any, live: str) -> bool:
    """Whether a widget is shown: with "widget" always, with "plain" never, with "auto" where the front end
    shows widgets for certain. jupyter_server names the session to the kernels that it starts, and JupyterLab,
    Notebook 7 and VS Code name the cell; nbclient, papermill and nbconvert do neither, and a widget there
    would end up in the saved file. A kernel that a notebook's cell starts with `!jupyter execute` inherits
    the first and still lacks the second."""
    if is_captured(shell):
        return False
    if live != "auto":
        return live == "widget"
    metadata = shell.kernel.get_parent().get("metadata", {})
    return "JPY_SESSION_NAME" in os.environ and "cellId" in metadata
