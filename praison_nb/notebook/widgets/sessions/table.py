"""The rows of the table of sessions in the page: of a row that has changed only that goes over the wire."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ....render.panel import Badge
from ....session import Status
from ....text import strip_control_chars
from ...views.state import State
from ...views.state_widget import STATIC, StateWidget
from .rows import HEADERS, NUMBERS, Row


class SessionTable(StateWidget):
    """Shows `row_items` below their headers, and a line that says what is not shown."""

    kind = "sessions"
    _esm: Any = (STATIC / "live.js").read_text("utf-8") + (STATIC / "sessions.js").read_text("utf-8")
    _css: Any = (STATIC / "live.css").read_text("utf-8") + (STATIC / "sessions.css").read_text("utf-8")

    def __init__(self) -> None:
        super().__init__(State([], table_panel("")))
        self.on_msg(lambda _, content, buffers: self._on_message(content))

    @property
    def rows(self) -> list[list[str]]:
        """The cells that are shown."""
        return [item["cells"] for item in self._shown.snapshot()["items"]]

    def _module_id(self) -> str:
        return ""

    def _on_message(self, message: Any) -> None:
        if isinstance(message, dict) and message.get("kind") == "ready":
            self.send({"state": self._state()})


def row_items(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The items of the rows: `cells` as text, and the `status` that colours the badge."""
    return [
        {
            "kind": "row",
            "id": row.id or f"name {row.name}",
            "cells": [_text(cell) for cell in row.cells()],
            "status": "waiting" if row.badge.waiting else row.badge.status.value,
        }
        for row in rows
    ]


def _text(cell: str | Badge) -> str:
    dot = "" if isinstance(cell, str) else "○ " if cell.status is Status.NONE else "● "
    return strip_control_chars(f"{dot}{cell}")


def table_panel(note: str) -> dict[str, Any]:
    """What stands around the rows."""
    numbers = [HEADERS.index(name) for name in NUMBERS]
    none: dict[str, Any] = {"running": False, "notices": [], "threads": [], "facts": [], "clock": -1}
    return {**none, "headers": HEADERS, "numbers": numbers, "note": note}
