"""A turn in `jupyter console` and its like, which show no update of an output: the text as it comes and one
panel line, as in a terminal."""

from __future__ import annotations

import functools
import os
import sys

from ...text import strip_control_chars
from .output import Output
from .pace import INTERVAL_SECONDS
from .shown import Shown

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


class ConsoleOutput(Output):
    """Writes the text as it comes, of a turn in the background when it is over, and then tools and panel."""

    interval = INTERVAL_SECONDS

    def _begin(self, now: Shown) -> None:
        self._written = ""

    def _update(self, now: Shown) -> None:
        text = strip_control_chars(now.text)
        if not self._background and text.startswith(self._written):
            self._write(text[len(self._written) :])
            self._written = text

    def _end(self, now: Shown, is_settled: bool) -> None:
        if self._is_over:
            # What counts on is in the next turn's line.
            return
        text = now.text or now.answer()["text/plain"]
        rest = strip_control_chars(text).removeprefix(self._written)
        # The error of what the cell waits for is shown by the cell itself.
        lines = [f"{rest}\n", now.below(background=self._background)["text/plain"]]
        self._write("\n".join(filter(None, lines)) + "\n")

    def _resend_later(self) -> None:
        pass

    def _write(self, text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()
