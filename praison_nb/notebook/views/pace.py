"""How often views may speak: one cap for all of a kernel. Everything here happens on the loop's thread.

A stock jupyter_server drops what comes past 1,000 messages a second, from all cells together.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from ...runtime import loop

PER_VIEW = 10
"""Updates a second of one view."""
PER_KERNEL = 200
"""Updates a second of all views; one is up to three messages."""
INTERVAL_SECONDS = 0.125
"""Text waits so long for more of its kind. It leaves two updates a second for changes of status."""

_sent_by_all: deque[float] = deque(maxlen=PER_KERNEL)


class Pace:
    """Calls `show` when its view may speak: for what is urgent as soon as the loop has handled what came with
    it, while no cap is reached."""

    def __init__(self, show: Callable[[], None], interval: float = INTERVAL_SECONDS) -> None:
        self.interval = interval
        self._show = show
        # It has just been shown for the first time.
        self._sent: deque[float] = deque([loop.get().time()], maxlen=PER_VIEW)
        self._timer: asyncio.TimerHandle | None = None

    def ask(self, *, urgent: bool = False) -> None:
        """There is something to show."""
        now = loop.get().time()
        due = max(self._due(now, urgent), now)
        if self._timer is None or due < self._timer.when():
            self.cancel()
            self._timer = loop.get().call_at(due, self._fire)

    def cancel(self) -> None:
        """Show nothing more by itself."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _due(self, now: float, urgent: bool) -> float:
        waits = [] if urgent or not self._sent else [self._sent[-1] + self.interval]
        waits += [sent[0] + 1 for sent in (self._sent, _sent_by_all) if len(sent) == sent.maxlen]
        return max(waits, default=now)

    def _fire(self) -> None:
        self.cancel()
        now = loop.get().time()
        if self._due(now, True) > now:
            # Others used up the kernel's share since the timer was set.
            self.ask(urgent=True)
            return
        self._sent.append(now)
        _sent_by_all.append(now)
        self._show()
