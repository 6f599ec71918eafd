"""Which view of a turn a cell gets, and whether the user can answer there."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from .captured import is_captured
from .console import ConsoleOutput, is_console
from .output import Output, PlainOutput
from .pages import Pages
from .shown import Subject, TurnSubject


def view_maker(
    shell: Any,
    live: str,
    pages: Pages,
    *,
    done: Future[None],
    in_columns: bool = False,
    **options: bool,
) -> Callable[[Any], Output] | None:
    """What makes the view of a turn in the cell that runs now, for `Backend.begin(view=…)`, or with
    `in_columns` of a Comparison; the other arguments are those of `output_of`. None in a terminal, which has
    no views, where `done` is done at once."""
    if not hasattr(shell, "kernel"):
        done.set_result(None)
        return None

    def view(run: Any) -> Output:
        if in_columns:
            from .columns import ComparisonSubject

            subject: Subject = ComparisonSubject(run)
        else:
            subject = TurnSubject(run)
        return output_of(subject, shell, live, pages, done=done, **options)

    return view


def output_of(
    subject: Subject,
    shell: Any,
    live: str,
    pages: Pages,
    *,
    background: bool,
    takes_clicks: bool,
    done: Future[None],
    is_late: bool,
) -> Output:
    """The view of a turn or a map in the cell that runs now; `live` is that of AgentMagics. The cell ends
    while it goes on (`background`), or waits for it. `done` is done when it is over and the static output is
    in place. Unless outputs are shown that come after a cell's end (`is_late`), that is when all of it is
    known."""
    options: dict[str, Any] = {
        "background": background,
        "takes_clicks": takes_clicks,
        "done": done,
        "is_late": is_late,
    }
    if not shows_live(shell, live, pages):
        is_in_console = is_console() and not is_captured(shell)
        return (ConsoleOutput if is_in_console else PlainOutput)(subject, shell, **options)
    from .live import LiveOutput

    return LiveOutput(subject, shell, pages=pages, widget=live == "widget", **options)


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
