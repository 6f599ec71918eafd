"""What pages show of a turn, a chat, a panel, and what is new in it: one source for every way to a page.

A page is given all of it once, and after that numbered messages that carry only what has changed:

    {"number": 6, "items": […], "panel": {…}}                                a snapshot
    {"number": 7, "items": [[2, {"tail": {"keep": 14, "add": "more</p>"}}]], "count": 3, "panel": {…}}

The items are those of `render.items`, the panel that of `render.panel`: of it, too, a message has the fields
that changed. `keep` are UTF-16 units of what there was. A page that lacks a number asks for a snapshot.
"""

from __future__ import annotations

from typing import Any

from ...render.panel import without_clock


class State:
    """Items and a panel, and how often they have changed. `advance` is called by one thread at a time; others
    may read meanwhile, so what it is given is never changed.

    >>> from praison_nb.render.panel import turn_panel
    >>> from praison_nb.turn import Turn
    >>> panel = turn_panel(Turn())
    >>> state = State([], panel)
    >>> state.advance([{"kind": "text", "id": "m", "tail": "<p>a</p>"}], panel)["number"]
    1
    >>> state.snapshot()["number"]
    1
    """

    def __init__(self, items: list[dict[str, Any]], panel: dict[str, Any]) -> None:
        self._shown = 0, items, panel

    def advance(self, items: list[dict[str, Any]], panel: dict[str, Any]) -> dict[str, Any] | None:
        """The message that makes these of what there was; None where nothing is new."""
        number, items_before, panel_before = self._shown
        message: dict[str, Any] = {"items": patches(items_before, items), "count": len(items)}
        if without_clock(panel) != without_clock(panel_before):
            # How the clock stood, a page was perhaps not told.
            message["panel"] = {
                name: value
                for name, value in panel.items()
                if value != panel_before[name] or name in ("facts", "elapsed")
            }
        is_new = bool(message["items"] or "panel" in message or len(items) != len(items_before))
        # Where nothing is new the number is free for what comes next.
        self._shown = number + is_new, items, panel
        return {"number": number + 1, **message} if is_new else None

    def snapshot(self) -> dict[str, Any]:
        """All of it."""
        number, items, panel = self._shown
        return {"number": number, "items": items, "panel": panel}


def patches(before: list[dict[str, Any]], now: list[dict[str, Any]]) -> list[list[Any]]:
    """What makes `now` of `before`: [index, changed fields], or [index, whole item, is_inserted]: whether the
    item goes before the one that was there or in its place.

    >>> one, two = ({"kind": "text", "id": key, "tail": "<p>a</p>"} for key in "12")
    >>> patches([one], [{**one, "tail": "<p>ab</p>"}])
    [[0, {'tail': {'keep': 4, 'add': 'b</p>'}}]]
    >>> patches([one], [two, one])
    [[0, {'kind': 'text', 'id': '2', 'tail': '<p>a</p>'}, True]]
    """
    # What is over in a long chat costs next to nothing.
    at = next((at for at, (old, item) in enumerate(zip(before, now, strict=False)) if old is not item), None)
    at = min(len(before), len(now)) if at is None else at
    known, patches = {(item["kind"], item["id"]) for item in before[at:]}, list[list[Any]]()
    for index, item in enumerate(now[at:], at):
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
