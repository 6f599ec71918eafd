"""The live view: one anywidget per turn while it runs.

Python and the page speak in numbered messages that carry only what is new:

    {"number": 7, "items": [[2, {"tail": {"keep": 14, "add": "more</p>"}}]], "count": 3, "panel": {…}}
    {"state": {"number": 7, "kind": "turn", "items": […], "panel": {…}}}    all of it, when the page asks

A text comes as HTML, made by the renderer of the still output: `done` and `tail` as `markdown.Growing` has
them, `rest` as text. `keep` are UTF-16 units of what there was.

The page sends {"kind": "stop" | "allow" | "allow_session" | "deny", "call_id": …}, a yes with the "digest" of
the call that it showed; "here" when it shows the turn, "gone" when the still output stands in its place, and
"ready" when it lacks something.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from ...render import review
from ...render.panel import CLOCK, badge_text, budget_share, panel_facts, tool_count
from ...render.text import RESULTS, panel_text, short_arguments
from ...runtime import loop
from ...runtime.approvals import digest_of
from ...session import Status
from ...text import shorten, strip_control_chars, truncate_for_display
from ...turn import ToolCall, Turn
from .kernel_view import KernelView
from .pace import INTERVAL_SECONDS
from .text_items import TextItems

STATIC = Path(__file__).parents[1] / "static"
_ipykernel = sys.modules.get("ipykernel")
LISTENS = _ipykernel is None or int(_ipykernel.__version__.split(".")[0]) >= 7
"""Before ipykernel 7 no click arrives while a cell runs."""


class StateWidget(anywidget.AnyWidget):  # type: ignore[misc]
    """A widget whose state is a view of something that lives here: sent in full only when a page asks."""

    _esm = STATIC / "live.js"
    _css = STATIC / "live.css"
    state = traitlets.Dict().tag(sync=True, to_json=lambda _, widget: widget.source())

    def __init__(self, source: Any) -> None:
        self.source = source
        super().__init__()


class LiveView(KernelView):
    """Feeds the widget, and puts the still output in its place when the turn is over."""

    interval = INTERVAL_SECONDS

    def _first(self) -> dict[str, Any]:
        self._texts = TextItems()
        self._sent = self._described(self._turn, 0)
        self._is_behind = False
        """Whether a page has asked for all of it."""
        self._pages = 0
        """Pages that show the widget and can show the still output in its place."""
        self._is_seen = False
        # Only a page that hears of the widget now sees it fresh; one that is loaded again asks later.
        self._fresh = True
        self._widget = StateWidget(self._state)
        self._fresh = False
        self._widget.on_msg(lambda _, content, buffers: self._hear(content))
        bundle = self._widget._repr_mimebundle_()
        data, _ = bundle if isinstance(bundle, tuple) else (bundle, {})
        return {**data, "text/plain": panel_text(self._turn)}

    def _state(self) -> dict[str, Any]:
        number, items, panel = self._sent
        return {"kind": "turn", "number": number, "items": items, "panel": panel, "fresh": self._fresh}

    def _described(self, turn: Turn, number: int) -> tuple[int, list[dict[str, Any]], dict[str, Any]]:
        """Everything that the page shows. Made anew each time and never changed: other threads read it."""
        items = self._texts.of(turn, tool_item)
        takes_clicks = self._background or (LISTENS and not self._blocks)
        hint = "" if takes_clicks else "interrupt the kernel to stop"
        return number, items, panel(turn, stoppable=True, hint=hint)

    def _paint(self) -> None:
        if self._is_behind:
            self._is_behind = False
            self._widget.send({"state": self._state()})
        super()._paint()
        if self.done.done() and self._is_seen and self._pages == 0:
            # The still output stands in its place everywhere: the widget leaves nothing behind.
            self._is_seen = False
            self._widget.layout.close()
            self._widget.close()

    def _update(self, turn: Turn) -> None:
        self._sent, (_, before, panel_before) = self._described(turn, self._sent[0] + 1), self._sent
        number, items, panel_now = self._sent
        message: dict[str, Any] = {"number": number, "items": patches(before, items), "count": len(items)}
        if without_clock(panel_now) != without_clock(panel_before):
            message["panel"] = panel_now
        if len(message) > 3 or message["items"] or len(items) != len(before):
            self._widget.send(message)
        else:
            # Nothing is new: the number is free for what comes next.
            self._sent = (number - 1, items, panel_now)

    def _end(self, turn: Turn) -> None:
        # A page that was loaded again during the turn has no output to replace, only the widget.
        self._update(turn)
        super()._end(turn)

    def _hear(self, message: Any) -> None:
        """A message of the page, on whichever thread. Nothing is done here but handing over."""
        if not isinstance(message, dict):
            return
        call_id, digest = str(message.get("call_id", "")), str(message.get("digest", ""))
        match message.get("kind"):
            case "stop":
                self._run.stop()
            case "allow":
                self._run.approve(call_id, digest)
            case "allow_session":
                self._run.approve(call_id, digest, for_session=True)
            case "deny":
                self._run.deny(call_id)
            case "ready":
                loop.get().call_soon_threadsafe(self._show_all)
            case "here":
                loop.get().call_soon_threadsafe(self._count_page, 1)
            case "gone":
                loop.get().call_soon_threadsafe(self._count_page, -1)

    def _show_all(self) -> None:
        self._is_behind = True
        self._painter.ask()

    def _count_page(self, change: int) -> None:
        self._pages += change
        self._is_seen = self._is_seen or change > 0
        if self._pages == 0:
            self._painter.ask()


def panel(turn: Turn, *, stoppable: bool, hint: str = "") -> dict[str, Any]:
    """The panel as the page builds it; the page itself counts the seconds on from `elapsed`."""
    running = turn.status is Status.RUNNING
    spent = budget_share(turn)
    return {
        "status": turn.status.value,
        "waiting": bool(turn.waiting),
        "words": strip_control_chars(badge_text(turn.status, bool(turn.waiting), turn.activity)),
        "facts": [[strip_control_chars(part) for part in fact] for fact in panel_facts(turn)],
        "clock": CLOCK,
        "elapsed": turn.seconds,
        "tools": tool_count(turn),
        "running": running,
        "stoppable": stoppable,
        "hint": hint if running else "",
        "notices": [review.one_line(notice) for notice in turn.notices],
        "budget": {"spent": spent[0], "title": spent[1]} if spent else None,
    }


def without_clock(panel: dict[str, Any]) -> dict[str, Any]:
    facts = [fact for index, fact in enumerate(panel["facts"]) if index != panel["clock"]]
    return {**panel, "facts": facts, "elapsed": 0}


def tool_item(call: ToolCall) -> dict[str, Any]:
    """A tool call as the page shows it."""
    if call.ended is None:
        state = "asked" if call.approval == "asked" else "running"
    else:
        state = "denied" if call.approval == "denied" else "failed" if call.is_error else "done"
    shown = review.arguments(call.arguments)
    more = "" if shown.complete else f"\n… there is more in {RESULTS}."
    item: dict[str, Any] = {
        "kind": "tool",
        "id": call.id,
        "name": review.one_line(call.name, None if state == "asked" else 60),
        "line": review.one_line(shorten(short_arguments(call), 80)),
        "arguments": shown.text + more,
        "result": strip_control_chars(truncate_for_display(call.result, RESULTS)),
        "state": state,
        "seconds": "" if call.seconds is None else f"{call.seconds:.1f} s",
        "question": None,
    }
    if state == "asked":
        item["question"] = {"parts": shown.parts, "counts": shown.counts, "digest": digest_of(call)}
    return item


def patches(before: list[dict[str, Any]], now: list[dict[str, Any]]) -> list[list[Any]]:
    """What makes `now` of `before`: [index, whole item or its changed fields].

    >>> before = {"kind": "text", "id": "1", "tail": "<p>a</p>"}
    >>> patches([before], [{**before, "tail": "<p>ab</p>"}])
    [[0, {'tail': {'keep': 4, 'add': 'b</p>'}}]]
    """
    patches = []
    for index, item in enumerate(now):
        old = before[index] if index < len(before) else None
        if item == old:
            continue
        if old is None or (old["kind"], old["id"]) != (item["kind"], item["id"]):
            patches.append([index, item])
            continue
        names = [name for name in {**old, **item} if old.get(name) != item.get(name)]
        patches.append([index, {name: _patch(old.get(name, ""), item.get(name, "")) for name in names}])
    return patches


def _patch(old: Any, new: Any) -> Any:
    """How `new` is told to who has `old`: what is kept of a text, and how it goes on."""
    if not (isinstance(old, str) and isinstance(new, str)):
        return new
    low, high = (len(old) if new.startswith(old) else 0), min(len(old), len(new))
    while low < high:
        middle = (low + high + 1) // 2
        if old[low:middle] == new[low:middle]:
            low = middle
        else:
            high = middle - 1
    # A page counts an emoji as two.
    return {"keep": len(new[:low].encode("utf-16-le")) // 2, "add": new[low:]} if low else new
