"""A turn in `jupyter console` and its like, which show no update of an output: the text as it comes and one
panel line, as in a terminal."""

from __future__ import annotations

import functools
import os
import sys

from ...render.text import below_text, error_text
from ...text import strip_control_chars
from ...turn import Turn
from .output import TurnOutput
from .pace import INTERVAL_SECONDS

PROGRAMS = ("jupyter-console", "jupyter_console", "jupyter-qtconsole", "qtconsole")


@functools.cache
def is_console() -> bool:
    """Whether a console started this kernel. Nothing that it sends says so."""
    import psutil

    try:
        command = psutil.Process(os.getppid()).cmdline()
    except psutil.Error:
        return False
    return any(os.path.basename(part).removesuffix(".exe") in PROGRAMS for part in command[:3])


class ConsoleOutput(TurnOutput):
    """Writes the text as it comes, of a turn in the background when it is over, and then tools and panel."""

    interval = INTERVAL_SECONDS

    def _begin(self, turn: Turn) -> None:
        self._written = ""

    def _update(self, turn: Turn) -> None:
        text = strip_control_chars(turn.text)
        if not self._background and text.startswith(self._written):
            self._write(text[len(self._written) :])
            self._written = text

    def _end(self, turn: Turn, is_settled: bool) -> None:
        if self._is_over:
            # What counts on is in the next turn's line.
            return
        error = error_text(turn) if self._background and turn.error else ""
        rest = strip_control_chars(turn.text).removeprefix(self._written)
        lines = [f"{rest}\n", error, strip_control_chars(below_text(turn))]
        self._write("\n".join(filter(None, lines)) + "\n")

    def _resend_later(self) -> None:
        pass

    def _write(self, text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()
