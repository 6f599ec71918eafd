"""What stays of a widget in a saved notebook: a copy as HTML and text, that shows where no widget lives."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from enum import Enum
from typing import Any

from ...events import new_id
from ...render.html import MUTED
from ...render.transcript import Part
from .captured import publisher
from .output import bundle_of
from .shown import NOTHING

# The copy shows where no live widget stands before it, and the place of a widget that is gone does not.
STYLE = (
    "<style>.jp-OutputArea-child:has(.pnb-alive) ~ .jp-OutputArea-child:has(.pnb-behind),"
    ".jp-OutputArea-child:has(.pnb-alive) ~ .jp-TrimmedOutputs,"
    ".jp-OutputArea-child:not(:has(.pnb-alive, .pnb-behind)):has(+ .jp-OutputArea-child .pnb-behind)"
    "{display: none}</style>"
)


class Place(Enum):
    """Where a copy is."""

    BEHIND = "in an output of its own behind the widget's, up to date"
    WITHIN = "in the widget's own output, as it was at first: this page would show two"
    ALONE = "in the widget's place, up to date"


class StaticCopy:
    """The copy of a widget, wherever that is displayed, in parts: outputs of their own, so that what is long
    is not sent again with each change. `live` is the magics' trait: with "plain", and with "auto" where no
    front end is known to show widgets, there is the copy alone, and a line says why."""

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        self._display_pub: Any = None
        self._display_ids: list[str] = []
        self._count = 0
        """So many of their outputs have a part; there may have been more."""
        self._place: Place | None = None
        self._why_alone = ""

    def publish(self, widget: Any, live: str, parts: Sequence[Part]) -> None:
        """Show `widget`, with the copy: HTML and text of each part. Its element in the page has the class
        pnb-alive."""
        # While another cell is captured, the shell has another one.
        self._display_pub, self._display_ids = publisher(self._shell), []
        self._count = 0
        self._why_alone = why_no_widget(self._shell, live)
        self._place = Place.ALONE if self._why_alone else Place.BEHIND if _hides_copies() else Place.WITHIN
        if self._place is not Place.ALONE:
            data, metadata = bundle_of(widget)
            within = "".join(html for html, _ in parts), "\n\n".join(text for _, text in parts)
            data |= NOTHING if self._place is Place.BEHIND else self._data(within, is_last=True)
            self._display_pub.publish(data, metadata, transient={})
        self.update(parts)

    def update(self, parts: Sequence[Part | None]) -> None:
        """Have the copy be these parts from now on, where there is one; None is one that is as it was. In the
        context of the cell."""
        if self._place not in (Place.BEHIND, Place.ALONE) or not hasattr(self._shell, "kernel"):
            return
        for index, part in enumerate(parts):
            if part is not None:
                self._put(index, self._data(part, is_last=index == len(parts) - 1))
        for index in range(len(parts), self._count):
            self._put(index, NOTHING)
        self._count = len(parts)

    def _put(self, index: int, data: dict[str, str]) -> None:
        is_update = index < len(self._display_ids)
        if not is_update:
            self._display_ids.append(new_id())
        transient = {"display_id": self._display_ids[index]}
        self._display_pub.publish(data, transient=transient, update=is_update)

    def _data(self, part: Part, is_last: bool) -> dict[str, str]:
        """The last part says when the copy was as it is."""
        html, text = part
        if is_last:
            what_to_do = self._why_alone or "Run the cell to use it."
            note = f"As of {time.strftime('%Y-%m-%d %H:%M')}. {what_to_do}"
            html = f'<div style="font-size: 12px; color: {MUTED}">{note}</div>{html}'
            text = f"{note}\n\n{text}"
        behind = f'{STYLE}<div class="pnb-behind">' if self._place is Place.BEHIND else "<div>"
        return {"text/html": f"{behind}{html}</div>", "text/plain": text}


def why_no_widget(shell: Any, live: str) -> str:
    """The line that says why a widget that the user asked for is not shown, "" where it is: with "auto"
    wherever a front end names the cell (JupyterLab, Notebook 7, VS Code) or Voila makes a page."""
    if not hasattr(shell, "kernel"):
        return "Not to be used here: a terminal shows no widgets."
    if live == "plain":
        return "Not to be used here, as AgentMagics.live is 'plain': `%config AgentMagics.live = 'auto'`."
    parent = shell.kernel.get_parent()
    if live == "widget" or "cellId" in parent.get("metadata", {}) or _is_voila():
        return ""
    if not parent.get("content", {}).get("allow_stdin", True):
        return "Not to be used here, where the notebook runs by itself: run the cell where you can click."
    return (
        "Not to be used here: this front end is not known to show widgets. If it does: "
        "`%config AgentMagics.live = 'widget'`."
    )


def _is_voila() -> bool:
    return "VOILA_BASE_URL" in os.environ


def _hides_copies() -> bool:
    """Whether the page is made of JupyterLab's parts, as `STYLE` has them."""
    return "JPY_SESSION_NAME" in os.environ or _is_voila()
