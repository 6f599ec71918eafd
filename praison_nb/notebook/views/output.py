"""What a cell shows of a turn, or of a map: a subscriber of its events.

Each output has a display id that exists before the cell ends, because an update by its id reaches the output
of a cell that has ended and a new output does not. When the turn is over it holds text/html of our own and
text/plain: plain data that needs no kernel, no widget, and no renderer of somebody else's.
"""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any

from ...events import new_id
from ...runtime import loop
from .captured import publisher
from .pace import Pace
from .painter import Painter
from .shown import NOTHING, Shown, Subject

PLAIN_SECONDS = 1.0
"""Where nobody can be known to watch: once a second is enough."""
GROWTH = 2
"""A text is shown whole each time: the next time is when it has grown so much, so that all of them together
stay a multiple of the text."""
DROPPING_MESSAGES = 1000
"""After so many messages of the kernel during a turn, the server may have dropped some."""
QUIET_SECONDS = 3.5
"""The server counts over three seconds; after that it lets messages through again."""


def bundle_of(widget: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """What shows a widget: data, and metadata, without which Colab does not load it."""
    bundle = widget._repr_mimebundle_()
    data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
    return dict(data), metadata


class Output:
    """What all ways of showing it have in common. Made in the cell, refreshed on the loop's thread, drawn on
    a thread of the views'. See `Extension.output_of`."""

    interval = PLAIN_SECONDS

    def __init__(
        self,
        subject: Subject,
        shell: Any,
        *,
        background: bool,
        takes_clicks: bool,
        done: Future[None],
        is_late: bool,
    ) -> None:
        self._subject = subject
        self._shell = shell
        self._display_pub = publisher(shell)
        self._background = background
        self._takes_clicks = takes_clicks
        self._now = subject.now()
        # In the context of this cell, whoever stops the turn from whichever other one.
        self._painter = Painter(self._paint)
        self._pace = Pace(self._painter.ask, self.interval)
        self._urgent = self._now.urgent
        self._shown: dict[str, dict[str, Any]] = {}
        self._metadata: dict[str, Any] = {}
        """What each display id has."""
        self._first_message = shell.kernel.session.message_count
        self._done = done
        self._is_late = is_late
        self._is_over = False
        self._begin(self._now)
        subject.settled.add_done_callback(lambda _: loop.get().call_soon_threadsafe(self._painter.ask))

    def __call__(self, *event: object) -> None:
        """Note how it is now, and show it when its time has come."""
        self._now = now = self._subject.now()
        if now.is_over:
            self._pace.cancel()
            self._painter.ask()
            return
        before, self._urgent = self._urgent, now.urgent
        if now.is_whole:
            # The end follows, and shows it: a short answer is sent once.
            self._pace.cancel()
        self._pace.ask(urgent=before != self._urgent and not now.is_whole)

    def _paint(self) -> None:
        # Before how it is now, which is whole then.
        is_settled = self._subject.settled.done()
        now = self._now
        if not now.is_over:
            self._update(now)
            return
        try:
            # More than once: the last count, and files that the agent wrote, may come after the end.
            self._end(now, is_settled)
            self._resend_later()
        finally:
            self._is_over = True
            if (self._is_late or is_settled) and not self._done.done():
                self._done.set_result(None)

    def _begin(self, now: Shown) -> None:
        """Publish the outputs."""
        raise NotImplementedError

    def _update(self, now: Shown) -> None:
        """Show how it is, while it runs."""
        raise NotImplementedError

    def _end(self, now: Shown, is_settled: bool) -> None:
        """Put what stays in place."""
        raise NotImplementedError

    def _resend_later(self) -> None:
        sent = self._shell.kernel.session.message_count - self._first_message
        if sent > DROPPING_MESSAGES and not self._is_over:
            loop.get().call_soon_threadsafe(loop.get().call_later, QUIET_SECONDS, self._resend)

    def _resend(self) -> None:
        self._shown = {}
        self._painter.ask()

    def _below(self, now: Shown) -> dict[str, str]:
        """What stands under the answer. An error that the cell waits for is shown by the cell itself."""
        return now.below(background=self._background)

    def _mark_shown(self, now: Shown) -> None:
        """Before the questions stand there: an answer may come at once."""
        if self._background:
            for call in now.waiting:
                self._subject.mark_shown(call)

    def _show(self, data: dict[str, Any], display_id: str) -> None:
        """Publish it; after the first time as an update, where it is another one."""
        before = self._shown.get(display_id)
        if data != before:
            self._shown[display_id] = data
            is_update = before is not None or self._is_over
            transient = {"display_id": display_id}
            metadata = {kind: self._metadata[kind] for kind in self._metadata.keys() & data.keys()}
            self._display_pub.publish(data, metadata, transient=transient, update=is_update)


class PlainOutput(Output):
    """Two outputs, so that what counts on does not take the answer along: the answer, and tools and panel."""

    def _begin(self, now: Shown) -> None:
        self._above_id, self._below_id = new_id(), new_id()
        self._length = 0
        self._show(NOTHING, self._above_id)
        self._show(self._below(now), self._below_id)

    def _update(self, now: Shown) -> None:
        self._mark_shown(now)
        # The answer first: it is what the user waits for.
        text = now.text
        if text and len(text) >= GROWTH * self._length:
            self._length = len(text)
            self._show(now.answer(), self._above_id)
        self._show(self._below(now), self._below_id)

    def _end(self, now: Shown, is_settled: bool) -> None:
        self._show(now.answer(), self._above_id)
        self._show(self._below(now), self._below_id)
