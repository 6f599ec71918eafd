"""What a cell shows while a turn runs and what stays: subscribers of the turn's events.

In a kernel the answer and the panel are two outputs with display ids: text/markdown, and text/html with
text/plain. Both are plain data when the turn is over.
"""

from __future__ import annotations

import contextvars
import time
from typing import Any

from .. import render
from ..events import Event, new_id
from ..run import Run
from ..turn import Turn

INTERVAL_SECONDS = 0.2
"""Updates come at most so often; a change of status comes at once."""


class KernelView:
    """The answer and the panel of one turn in a notebook's cell."""

    def __init__(self, run: Run, shell: Any) -> None:
        self._publisher = shell.display_pub
        # Whoever stops the turn, from whichever cell: the output belongs to this one.
        self._context = contextvars.copy_context()
        self._answer, self._panel = new_id(), ""
        self._shown = 0.0
        self._said: tuple[object, ...] = ()
        self._publish(_panel(run.turn), self._answer, update=False)

    def __call__(self, event: Event, turn: Turn) -> None:
        """Show the turn, at most a few times a second."""
        now = time.monotonic()
        said = (turn.status, turn.activity, turn.waiting, len(turn.tools), bool(turn.text))
        if turn.ended is None and said == self._said and now - self._shown < INTERVAL_SECONDS:
            return
        self._shown, self._said = now, said
        self._context.run(self._show, turn)

    def _show(self, turn: Turn) -> None:
        if not turn.text:
            self._publish(_panel(turn), self._answer, update=True)
            return
        # The Markdown's own place comes first; the panel moves below it with the first text.
        markdown = {"text/markdown": turn.text, "text/plain": render.clean(turn.text)}
        self._publish(markdown, self._answer, update=True)
        update, self._panel = bool(self._panel), self._panel or new_id()
        self._publish(_panel(turn), self._panel, update=update)

    def _publish(self, data: dict[str, str], display_id: str, *, update: bool) -> None:
        self._publisher.publish(data, transient={"display_id": display_id}, update=update)


def _panel(turn: Turn) -> dict[str, str]:
    return {"text/html": render.below_html(turn), "text/plain": render.below_text(turn)}
