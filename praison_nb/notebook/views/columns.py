"""Turns side by side, under one view: each has a column of one and the same output."""

from __future__ import annotations

from typing import Any

from ...events import new_id
from ...render.columns import columns_html, columns_text, heading
from ...render.items import TurnItems
from ...render.panel import turn_panel, without_clock
from ...render.text import error_text
from ...rows.compare import Comparison
from ...turn import Turn
from .console import is_console
from .live import LiveOutput
from .output import TurnOutput


def _still(comparison: Comparison, turn: Turn) -> dict[str, Any]:
    """What stays, or is there so far."""
    turns = comparison.turns
    return {
        "text/html": columns_html(turns.names, turns, turn),
        "text/plain": columns_text(turns.names, turns, turn),
    }


class ColumnsOutput(LiveOutput):
    """The live view of a Comparison. Its items say which `column` they are in; each column begins with an
    item that has its name and its turn's panel."""

    _run: Comparison  # type: ignore[assignment]

    def __init__(self, run: Comparison, shell: Any, **options: Any) -> None:
        self._makers = [TurnItems() for _ in run.turns]
        self._columns: list[list[dict[str, Any]]] = [[] for _ in run.turns]
        super().__init__(run, shell, **options)  # type: ignore[arg-type]

    def _described(self, turn: Turn) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        for place, each in enumerate(self._run.turns):
            column = self._column(place, each)
            if _without_clock(column) != _without_clock(self._columns[place]):
                self._columns[place] = column
        hint = "" if self._takes_clicks else "interrupt the kernel to stop"
        return [item for column in self._columns for item in column], turn_panel(turn, hint)

    def _column(self, place: int, turn: Turn) -> list[dict[str, Any]]:
        name = heading(self._run.turns.names[place])
        first = {"kind": "column", "id": str(place), "name": name, "panel": _column_panel(turn)}
        items = self._makers[place].answer(turn)
        if not self._takes_clicks:
            items = [{**item, "question": None} if item.get("question") else item for item in items]
        items = [first, *({**item, "id": f"{place}:{item['id']}"} for item in items)]
        return [{**item, "column": place} for item in items]

    def _still(self, turn: Turn) -> dict[str, Any]:
        return _still(self._run, turn)


def _without_clock(column: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**item, "panel": without_clock(item["panel"])} if "panel" in item else item for item in column]


def _column_panel(turn: Turn) -> dict[str, Any]:
    """The panel of one turn. What stands above the column is not in it, nor is a Stop."""
    panel = turn_panel(turn)
    notices = [*panel["notices"], *([error_text(turn)] if turn.error else [])]
    return {
        **panel,
        "facts": panel["facts"][1:],
        "clock": 0,
        "stoppable": False,
        "notices": notices,
        "budget": None,
    }


class ColumnsAtEnd(TurnOutput):
    """All of it when it is over, and a line until then, where outputs can change."""

    def _begin(self, turn: Turn) -> None:
        self._display_id = new_id()
        if not is_console():
            self._show(self._below(turn), self._display_id)

    def _update(self, turn: Turn) -> None:
        pass

    def _end(self, turn: Turn, is_settled: bool) -> None:
        self._show(_still(self._run, turn), self._display_id)  # type: ignore[arg-type]
