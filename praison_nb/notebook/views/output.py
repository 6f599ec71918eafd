"""What a cell shows of a turn: a subscriber of its events.

Each output has a display id that exists before the cell ends, because an update by its id reaches the output
of a cell that has ended and a new output does not. When the turn is over it holds text/html of our own and
text/plain: plain data that needs no kernel, no widget, and no renderer of somebody else's.
"""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any

from ...events import Event, new_id
from ...render import review
from ...render.formulas import escape
from ...render.html import answer_html, below_html
from ...render.text import answer_text, below_text, error_text
from ...runtime import loop
from ...runtime.run import Run
from ...text import strip_control_chars
from ...turn import Turn
from .captured import publisher
from .pace import Pace
from .painter import Painter

PLAIN_SECONDS = 1.0
"""Where nobody can be known to watch: once a second is enough."""
GROWTH = 2
"""A text is shown whole each time: the next time is when it has grown so much, so that all of them together
stay a multiple of the text."""
DROPPING_MESSAGES = 1000
"""After so many messages of the kernel during a turn, the server may have dropped some."""
NOTHING = {"text/html": "", "text/plain": ""}
"""An output that takes no room; nbconvert warns of one that holds nothing at all."""
QUIET_SECONDS = 3.5
"""The server counts over three seconds; after that it lets messages through again."""


def answer(turn: Turn) -> dict[str, str]:
    """The answer as the output that stays."""
    if not turn.text:
        return NOTHING
    return {"text/html": answer_html(turn), "text/plain": answer_text(turn)}


def _urgent(turn: Turn) -> tuple[object, ...]:
    """What is shown at once when it changes."""
    states = tuple((call.id, call.approval, call.ended) for call in turn.tools)
    threads = tuple(each.status for each in turn.threads)
    return turn.status, turn.activity, states, threads, len(turn.notices)


def bundle_of(widget: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """What shows a widget: data, and metadata, without which Colab does not load it."""
    bundle = widget._repr_mimebundle_()
    data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
    return dict(data), metadata


class TurnOutput:
    """What all ways of showing a turn have in common. Made in the cell before its turn begins, called with
    events on the loop's thread, drawn on a thread of the views'. See `choose.view_maker`."""

    interval = PLAIN_SECONDS

    def __init__(
        self,
        run: Run,
        shell: Any,
        *,
        background: bool,
        takes_clicks: bool,
        done: Future[None],
        is_late: bool = True,
    ) -> None:
        self._run = run
        self._shell = shell
        self._display_pub = publisher(shell)
        self._background = background
        self._takes_clicks = takes_clicks
        self._turn = run.turn
        # In the context of this cell, whoever stops the turn from whichever other one.
        self._painter = Painter(self._paint)
        self._pace = Pace(self._painter.ask, self.interval)
        self._urgent = _urgent(run.turn)
        self._shown: dict[str, dict[str, Any]] = {}
        self._metadata: dict[str, Any] = {}
        """What each display id has."""
        self._first_message = shell.kernel.session.message_count
        self._done = done
        self._is_late = is_late
        self._is_over = False
        self._begin(run.turn)
        run.settled.add_done_callback(lambda _: loop.get().call_soon_threadsafe(self._painter.ask))

    def __call__(self, event: Event, turn: Turn) -> None:
        """Note how the turn is now, and show it when its time has come."""
        self._turn = turn
        if turn.ended is not None:
            self._pace.cancel()
            self._painter.ask()
            return
        before, self._urgent = self._urgent, _urgent(turn)
        self._pace.ask(urgent=before != self._urgent)

    def _paint(self) -> None:
        # Before the turn, which is whole then.
        is_settled = self._run.settled.done()
        turn = self._turn
        if turn.ended is None:
            self._update(turn)
            return
        try:
            # More than once: the last count, and files that the agent wrote, may come after the end.
            self._end(turn, is_settled)
            self._resend_later()
        finally:
            self._is_over = True
            if (self._is_late or is_settled) and not self._done.done():
                self._done.set_result(None)

    def _begin(self, turn: Turn) -> None:
        """Publish the outputs."""
        raise NotImplementedError

    def _update(self, turn: Turn) -> None:
        """Show the turn as it is, while it runs."""
        raise NotImplementedError

    def _end(self, turn: Turn, is_settled: bool) -> None:
        """Put what stays in place."""
        raise NotImplementedError

    def _resend_later(self) -> None:
        sent = self._shell.kernel.session.message_count - self._first_message
        if sent > DROPPING_MESSAGES and not self._is_over:
            loop.get().call_soon_threadsafe(loop.get().call_later, QUIET_SECONDS, self._resend)

    def _resend(self) -> None:
        self._shown = {}
        self._painter.ask()

    def _below(self, turn: Turn) -> dict[str, str]:
        """Tools and panel. The error of a turn that its cell waits for is shown by the cell itself."""
        text, html = below_text(turn), below_html(turn, error=self._background)
        if self._background and turn.error:
            text = f"{error_text(turn)}\n{text}"
        # In the foreground the question is asked by input().
        if turn.waiting and self._background:
            questions = "\n".join(review.question(call.name, call.arguments) for call in turn.waiting)
            session = review.one_line(turn.session)
            how = f"Answer with `%agent allow {session}` or `%agent deny {session}`."
            text += f"\n{questions}\n{how}"
            html += f'<pre style="white-space: pre-wrap">{escape(questions)}</pre>{escape(how)}'
        return {"text/html": html, "text/plain": strip_control_chars(text)}

    def _mark_shown(self, turn: Turn) -> None:
        """Before the questions stand there: an answer may come at once."""
        if self._background:
            for call in turn.waiting:
                self._run.approvals.mark_shown(call)

    def _show(self, data: dict[str, Any], display_id: str) -> None:
        """Publish it; after the first time as an update, where it is another one."""
        before = self._shown.get(display_id)
        if data != before:
            self._shown[display_id] = data
            is_update = before is not None or self._is_over
            transient = {"display_id": display_id}
            metadata = {kind: self._metadata[kind] for kind in self._metadata.keys() & data.keys()}
            self._display_pub.publish(data, metadata, transient=transient, update=is_update)


class PlainOutput(TurnOutput):
    """Two outputs, so that what counts on does not take the answer along: the answer, and tools and panel."""

    def _begin(self, turn: Turn) -> None:
        self._above_id, self._below_id = new_id(), new_id()
        self._length = 0
        self._show(self._below(turn), self._above_id)
        self._show(NOTHING, self._below_id)

    def _update(self, turn: Turn) -> None:
        self._mark_shown(turn)
        text = turn.text
        if not text:
            self._show(self._below(turn), self._above_id)
            return
        # The panel never leaves the cell: it is in the second output before the answer takes its place.
        self._show(self._below(turn), self._below_id)
        if len(text) >= GROWTH * self._length:
            self._length = len(text)
            self._show(answer(turn), self._above_id)

    def _end(self, turn: Turn, is_settled: bool) -> None:
        self._show(answer(turn), self._above_id)
        self._show(self._below(turn), self._below_id)
