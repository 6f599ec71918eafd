"""A widget whose state lives here: what every page shows of a turn, a chat, a panel.

Python and the page speak in numbered messages that carry only what is new:

    {"number": 7, "items": [[2, {"tail": {"keep": 14, "add": "more</p>"}}]], "count": 3, "panel": {…}}
    {"state": {"number": 7, "kind": "turn", "items": […], "panel": {…}}}    all of it, when the page asks

The items are those of `render.items`, the panel that of `render.panel`. `keep` are UTF-16 units of what there
was. A page that lacks a number asks for all of it with {"kind": "ready"}.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anywidget
import traitlets

from ...render.panel import without_clock

STATIC = Path(__file__).parents[1] / "static"


class StateWidget(anywidget.AnyWidget):  # type: ignore[misc]
    """Shows items and a panel. All of them are sent only when a page asks. `show` is called by one thread at
    a time; the state is read by others meanwhile, so what it is given is never changed."""

    kind = "turn"
    _esm: Any = STATIC / "live.js"
    _css: Any = STATIC / "live.css"
    state = traitlets.Dict().tag(sync=True, to_json=lambda _, widget: widget._state())

    def __init__(self, items: list[dict[str, Any]], panel: dict[str, Any]) -> None:
        self._shown = (0, items, panel)
        self.is_behind = False
        """Whether a page has asked for all of it: the next `show` sends that."""
        # Only a page that is open now sees it fresh; one that is loaded later asks for the state.
        self._is_fresh = True
        super().__init__()
        self._is_fresh = False

    def show(self, items: list[dict[str, Any]], panel: dict[str, Any]) -> None:
        """Have the pages show these, from what they show now."""
        number, items_before, panel_before = self._shown
        message: dict[str, Any] = {"items": patches(items_before, items), "count": len(items)}
        if without_clock(panel) != without_clock(panel_before):
            message["panel"] = panel
        is_new = bool(message["items"] or "panel" in message or len(items) != len(items_before))
        # Where nothing is new the number is free for what comes next.
        self._shown = number + (is_new or self.is_behind), items, panel
        if self.is_behind:
            self.is_behind = False
            self.send({"state": self._state()})
        elif is_new:
            self.send({"number": number + 1, **message})

    def _state(self) -> dict[str, Any]:
        number, items, panel = self._shown
        return {"kind": self.kind, "number": number, "items": items, "panel": panel, "fresh": self._is_fresh}


def patches(before: list[dict[str, Any]], now: list[dict[str, Any]]) -> list[list[Any]]:
    """What makes `now` of `before`: [index, changed fields], or [index, whole item, is_inserted]: whether the
    item goes before the one that was there or in its place.

    >>> one, two = ({"kind": "text", "id": key, "tail": "<p>a</p>"} for key in "12")
    >>> patches([one], [{**one, "tail": "<p>ab</p>"}])
    [[0, {'tail': {'keep': 4, 'add': 'b</p>'}}]]
    >>> patches([one], [two, one])
    [[0, {'kind': 'text', 'id': '2', 'tail': '<p>a</p>'}, True]]
    """
    known, at, patches = {(item["kind"], item["id"]) for item in before}, 0, list[list[Any]]()
    for index, item in enumerate(now):
        old, key = before[at] if at < len(before) else None, (item["kind"], item["id"])
        is_inserted = old is not None and key not in known
        at += not is_inserted
        if is_inserted or old is None or (old["kind"], old["id"]) != key:
            patches.append([index, item, is_inserted])
        elif item is not old and item != old:
            names = [name for name in {**old, **item} if old.get(name) != item.get(name)]
            patches.append([index, {name: _patch(old.get(name, ""), item.get(name, "")) for name in names}])
    return patches


def _patch(old: Any, new: Any) -> Any:
    """The change from `old` to `new`: how much of a text is kept, and what follows."""
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
