"""Draws a view on a thread of its own: the loop that all turns share never waits for the making of HTML."""

from __future__ import annotations

import contextvars
import logging
from collections.abc import Callable

from ...runtime import loop

log = logging.getLogger(__name__)


class Painter:
    """Calls `paint` on a thread of the views' pool, never twice at once, in the context that it was made in,
    so that what is shown goes to that cell's output. Asked while it paints, it paints once more."""

    def __init__(self, paint: Callable[[], None]) -> None:
        self._paint = paint
        self._context = contextvars.copy_context()
        self._is_painting = False
        self._is_asked = False

    def ask(self) -> None:
        """There is something new to paint. On the loop's thread."""
        self._is_asked = True
        if not self._is_painting:
            self._is_asked, self._is_painting = False, True
            try:
                loop.view_pool().submit(self._run)
            except RuntimeError:  # the process ends and has no more threads
                self._run()

    def _run(self) -> None:
        try:
            self._context.run(self._paint)
        except Exception:
            # A view that breaks must not break the turn.
            log.exception("a view could not be drawn")
        finally:
            loop.get().call_soon_threadsafe(self._on_painted)

    def _on_painted(self) -> None:
        self._is_painting = False
        if self._is_asked:
            self.ask()
