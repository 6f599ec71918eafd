"""Widgets that show a `State`, where they are displayed and where pages have no extension of ours."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import anywidget
import ipywidgets
import traitlets

from .state import State

STATIC = Path(__file__).parents[1] / "labextension" / "static"


class _Code(ipywidgets.Widget):  # type: ignore[misc]
    """The module and the style sheet that all views of a page share: they go over the wire once."""

    module = traitlets.Unicode((STATIC / "live.js").read_text("utf-8")).tag(sync=True)
    style = traitlets.Unicode((STATIC / "live.css").read_text("utf-8")).tag(sync=True)


@functools.cache
def _code() -> _Code:
    return _Code()


class StateWidget(anywidget.AnyWidget):  # type: ignore[misc]
    """Shows items and a panel. All of them are sent only when a page asks, by {"kind": "ready"}: that is
    {"state": …}."""

    kind = "turn"
    # As text: anywidget keeps each widget of a file, to tell it of changes.
    _esm: Any = (STATIC / "loader.js").read_text("utf-8")
    # A layout would be another widget, of more bytes than a short turn.
    layout: Any = traitlets.Any(None, allow_none=True).tag(sync=True)
    code = traitlets.Unicode().tag(sync=True)
    """The model id of what draws it; "" where that is its own module."""
    state = traitlets.Dict().tag(sync=True, to_json=lambda _, widget: widget._state())

    def __init__(self, state: State) -> None:
        self._shown = state
        self.is_behind = False
        """Whether a page has asked for all of it: the next message is that."""
        # Only a page that is open now sees it fresh; one that is loaded later asks for the state.
        self._is_fresh = True
        super().__init__(code=self._module_id())
        self._is_fresh = False

    def show(self, items: list[dict[str, Any]], panel: dict[str, Any]) -> None:
        """Have the pages show these, from what they show now."""
        self.forward(self._shown.advance(items, panel))

    def forward(self, message: dict[str, Any] | None) -> None:
        """Hand on what `State.advance` made, or all of it where a page has asked."""
        if self.is_behind:
            self.is_behind = False
            self.send({"state": self._state()})
        elif message is not None:
            self.send(message)

    def _module_id(self) -> str:
        return str(_code().model_id)

    def _state(self) -> dict[str, Any]:
        return {"kind": self.kind, **self._shown.snapshot(), "fresh": self._is_fresh}
