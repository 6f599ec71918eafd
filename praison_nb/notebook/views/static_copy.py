"""What stays of a widget in a saved notebook: a second output behind it, that shows where no widget lives."""

from __future__ import annotations

from typing import Any

from ...events import new_id
from .choose import wants_widget
from .output import NOTHING

# The copy shows where no live widget stands before it, and the place of a widget that is gone does not.
STYLE = (
    "<style>.jp-OutputArea-child:has(.pnb-alive) + .jp-OutputArea-child:has(.pnb-behind),"
    ".jp-OutputArea-child:not(:has(.pnb-alive)):has(+ .jp-OutputArea-child .pnb-behind)"
    "{display: none}</style>"
)


class StaticCopy:
    """The copy behind a widget, wherever that is displayed. `live` is the magics' trait: with "plain", and
    with "auto" where the front end shows no widgets, there is the copy alone."""

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        # While another cell is captured, the shell has another one.
        self._display_pub = shell.display_pub
        self._display_id = new_id()
        self._is_behind: bool | None = None

    def publish(self, widget: Any, live: str, html: str, text: str) -> None:
        """Show `widget`, with the copy behind it. Its element in the page has the class pnb-alive."""
        self._is_behind = wants_widget(self._shell, live)
        publish = self._display_pub.publish
        if self._is_behind:
            bundle = widget._repr_mimebundle_()
            publish({**(bundle[0] if isinstance(bundle, tuple) else bundle), **NOTHING})
        publish(self._data(html, text), transient={"display_id": self._display_id})

    def update(self, html: str, text: str) -> None:
        """Have the copy say this from now on, where there is one; in the context of the cell."""
        if self._is_behind is not None:
            transient = {"display_id": self._display_id}
            self._display_pub.publish(self._data(html, text), transient=transient, update=True)

    def _data(self, html: str, text: str) -> dict[str, str]:
        behind = f'{STYLE}<div class="pnb-behind">{html}</div>' if self._is_behind else f"<div>{html}</div>"
        return {"text/html": behind, "text/plain": text}
