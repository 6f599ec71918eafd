"""The live view: one anywidget per turn while it runs.

The page sends {"kind": "stop" | "allow" | "allow_session" | "deny", "call_id": …}, a yes with the "digest" of
the call that it showed; "here" when it shows the turn, "gone" when the static output stands in its place, and
"ready" when it lacks something. What it gets is in `state_widget`.
"""

from __future__ import annotations

from typing import Any

from ...render.items import TurnItems
from ...render.panel import turn_panel
from ...render.text import panel_text
from ...runtime import loop
from ...runtime.run import Run
from ...turn import Turn
from .kernel_view import KernelView
from .pace import INTERVAL_SECONDS
from .state_widget import StateWidget


class LiveView(KernelView):
    """Feeds the widget, and puts the static output in its place when the turn is over."""

    interval = INTERVAL_SECONDS

    def _first(self) -> dict[str, Any]:
        self._items = TurnItems()
        self._pages = 0
        """Pages that show the widget and can show the static output in its place."""
        self._is_seen = False
        self._widget = StateWidget(*self._described(self._turn))
        self._widget.on_msg(lambda _, content, buffers: self._on_message(content))
        bundle = self._widget._repr_mimebundle_()
        data, _ = bundle if isinstance(bundle, tuple) else (bundle, {})
        return {**data, "text/plain": panel_text(self._turn)}

    def _described(self, turn: Turn) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        items = self._items.answer(turn)
        if self._takes_clicks:
            return items, turn_panel(turn)
        # No click arrives: input() asks.
        items = [{**item, "question": None} if item.get("question") else item for item in items]
        return items, turn_panel(turn, "interrupt the kernel to stop")

    def _paint(self) -> None:
        super()._paint()
        if self._widget.is_behind:
            self._update(self._turn)
        if self._done.done() and self._is_seen and self._pages == 0:
            # The static output stands in its place everywhere: the widget leaves nothing behind.
            self._is_seen = False
            self._widget.layout.close()
            self._widget.close()

    def _update(self, turn: Turn) -> None:
        self._widget.show(*self._described(turn))

    def _end(self, turn: Turn) -> None:
        # A page that was loaded again during the turn has no output to replace, only the widget.
        self._update(turn)
        super()._end(turn)

    def _on_message(self, message: Any) -> None:
        """A message of the page, on whichever thread. Nothing is done here but handing over."""
        if not isinstance(message, dict):
            return
        match message.get("kind"):
            case "ready":
                loop.get().call_soon_threadsafe(self._show_all)
            case "here":
                loop.get().call_soon_threadsafe(self._count_page, 1)
            case "gone":
                loop.get().call_soon_threadsafe(self._count_page, -1)
            case _:
                handle_click(message, self._run)

    def _show_all(self) -> None:
        self._widget.is_behind = True
        self._painter.ask()

    def _count_page(self, change: int) -> None:
        self._pages += change
        self._is_seen = self._is_seen or change > 0
        if self._pages == 0:
            self._painter.ask()


def handle_click(message: dict[str, Any], run: Run) -> None:
    """Do what the user clicked on a page: Stop, Allow or Deny."""
    call_id, digest = str(message.get("call_id", "")), str(message.get("digest", ""))
    match message.get("kind"):
        case "stop":
            run.stop()
        case "allow" | "allow_session" as kind:
            run.approve(call_id, digest, for_session=kind == "allow_session")
        case "deny":
            run.deny(call_id)
