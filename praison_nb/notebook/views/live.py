"""The live view: one output with all of a turn or a map, drawn by the page's extension, or by a widget.

The output is one bundle of the turn as it is, as JSON of our own, as text/html and as text/plain. A page with
the extension follows it over `Pages`; where none has been heard of, a widget stands in the bundle; until one
of them is there the bundle itself is updated. All of them get the same `State`.

A page sends {"kind": "stop" | "allow" | "allow_session" | "deny", "call_id": …}, a yes with the "digest" of
the call that it showed, and "ready" when it lacks something; the widget's page also "here" when it shows the
turn, and "gone" when the static output stands in its place.
"""

from __future__ import annotations

from typing import Any

from ...events import new_id
from ...render.formulas import escape
from ...render.markdown import NO_FORMULAS
from ...runtime import loop
from .output import Output, bundle_of
from .pages import MIME, VERSION, Pages
from .shown import Shown, Subject
from .state import State

ANSWER_SECONDS = 1.0
"""By then a page with the extension has answered, unless the kernel hears nothing while its cell runs."""
ROOM = 20_000
"""How many characters more than the turn's own may have been sent before another bundle of it is."""


class LiveOutput(Output):
    """Feeds the pages, or a widget, and puts the static output in its place when the turn is over. With
    `widget` there is a widget from the first moment, whoever is there."""

    def __init__(self, subject: Subject, shell: Any, *, pages: Pages, widget: bool, **options: Any) -> None:
        self._pages, self._is_widget_only = pages, widget
        self._widget: Any = None
        self._widget_pages = 0
        """Pages that show the widget and can show the static output in its place."""
        self._is_asked = False
        self._is_attached = not widget and pages.is_announced
        """Whether pages follow over `Pages`."""
        self._has_no_page = widget
        self._sent = 0
        super().__init__(subject, shell, **options)

    def _begin(self, now: Shown) -> None:
        self._display_id = new_id()
        self._state = State(*self._items_and_panel(now))
        self._pages.add(self._subject.id, self)
        if self._is_widget_only:
            self._open_widget()
        elif self._is_attached:
            self._pace.interval = self._subject.interval
        else:
            call_later = loop.get().call_later
            loop.get().call_soon_threadsafe(call_later, ANSWER_SECONDS, self._on_no_answer)
        line = now.line
        first = {"text/html": f'<div class="{NO_FORMULAS}">{escape(line)}</div>', "text/plain": line}
        self._show({**self._bundle(now), **first}, self._display_id)

    def _items_and_panel(self, now: Shown) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        items = now.items()
        if self._takes_clicks:
            return items, now.panel()
        # No click arrives: input() asks.
        items = [{**item, "question": None} if item.get("question") else item for item in items]
        return items, now.panel("interrupt the kernel to stop")

    def _update(self, now: Shown) -> None:
        was_attached = self._is_attached
        self._send_changes(now)
        if self._is_attached:
            if self._widget is not None and not was_attached:
                self._show(self._bundle(now), self._display_id)
        elif self._widget is None and self._has_no_page:
            self._open_widget()
            self._show(self._bundle(now), self._display_id)
        elif self._widget is None:
            self._show_so_far(now)

    def _send_changes(self, now: Shown) -> None:
        """Send what is new to whoever follows."""
        message = self._state.advance(*self._items_and_panel(now))
        if self._is_asked:
            self._is_asked, self._is_attached = False, True
            self._pace.interval = self._subject.interval
            self._pages.send({"id": self._subject.id, "state": self._state.snapshot()})
        elif self._is_attached:
            if message is not None:
                self._pages.send({"id": self._subject.id, **message})
        elif self._widget is not None:
            self._widget.forward(message)

    def _show_so_far(self, now: Shown) -> None:
        self._mark_shown(now)
        bundle = self._bundle(now)
        length = len(bundle["text/html"])
        if self._sent <= length + ROOM or now.waiting:
            self._sent += length
            self._show(bundle, self._display_id)

    def _end(self, now: Shown, is_settled: bool) -> None:
        still = self._static_output(now)
        if self._is_asked and is_settled:
            self._is_asked, self._is_attached = False, True
            self._pages.send({"id": self._subject.id, "still": still, "is_whole": True})
        elif self._is_attached and not self._is_over:
            self._pages.send({"id": self._subject.id, "ended": now.label})
        elif self._widget is not None:
            # A page that was loaded again has no output to replace, only the widget.
            self._widget.forward(self._state.advance(*self._items_and_panel(now)))
        self._show(still, self._display_id)
        if is_settled:
            self._pages.end(self._subject.id, still)
        if self._widget is not None and is_settled and self._widget_pages == 0:
            # The static output stands in its place wherever it was seen: the widget leaves nothing behind.
            self._widget.close()
            self._widget = None

    def _static_output(self, now: Shown) -> dict[str, Any]:
        """What stays: the answer, tools and panel."""
        above, below = now.answer(), self._below(now)
        text = "\n\n".join(filter(None, (above["text/plain"], below["text/plain"])))
        return {"text/html": above["text/html"] + below["text/html"], "text/plain": text}

    def _bundle(self, now: Shown) -> dict[str, Any]:
        """The turn so far, for everybody."""
        data = self._static_output(now)
        if not self._is_widget_only:
            data[MIME] = {"version": VERSION, "id": self._subject.id, **self._state.snapshot()}
        if self._widget is not None and not self._is_attached:
            widget, self._metadata = bundle_of(self._widget)
            data |= {**widget, **self._static_output(now)}
        return data

    # Who is there

    def take(self, message: dict[str, Any]) -> None:
        """What a page with the extension sends, on the loop's thread."""
        if message.get("kind") == "ready":
            self._is_asked = True
            self._painter.ask()
        else:
            self._subject.click(message)

    def _on_no_answer(self) -> None:
        self._has_no_page = True
        self._painter.ask()

    def _open_widget(self) -> None:
        from .state_widget import StateWidget

        self._pace.interval = self._subject.interval
        self._widget = StateWidget(self._state)
        self._widget.on_msg(lambda _, content, buffers: self._on_message(content))

    def _on_message(self, message: Any) -> None:
        """A message of the widget's page, on whichever thread."""
        if isinstance(message, dict):
            loop.get().call_soon_threadsafe(self._take_from_widget, message)

    def _take_from_widget(self, message: dict[str, Any]) -> None:
        match message.get("kind"):
            case "ready" if self._widget is not None:
                self._widget.is_behind = True
                self._painter.ask()
            case "here" | "gone" as kind:
                self._widget_pages += 1 if kind == "here" else -1
                if self._widget_pages == 0:
                    self._painter.ask()
            case _:
                self._subject.click(message)
