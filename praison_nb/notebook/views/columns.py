"""Turns side by side, under one view: each has a column of one and the same output."""

from __future__ import annotations

from typing import Any

from ...render.columns import heading, table_html, turns_text
from ...render.html import panel_html
from ...render.items import TurnItems
from ...render.markdown import NO_FORMULAS
from ...render.panel import turn_panel, without_clock
from ...render.text import error_text, panel_text
from ...rows.compare import Comparison
from ...turn import ToolCall, Turn
from .pace import INTERVAL_SECONDS
from .shown import ShownTurn, handle_click


class ComparisonSubject:
    """A Comparison under way. Its items say which `column` they are in; each column begins with an item that
    has its name and its turn's panel."""

    interval = INTERVAL_SECONDS

    def __init__(self, comparison: Comparison) -> None:
        self._comparison = comparison
        self.id, self.settled = comparison.turn.id, comparison.settled
        self._makers = [TurnItems(typed=comparison.output is not None) for _ in comparison.turns]
        self._columns: list[list[dict[str, Any]]] = [[] for _ in comparison.turns]

    def now(self) -> ShownComparison:
        return ShownComparison(self._comparison, self)

    def mark_shown(self, call: ToolCall) -> None:
        """Columns are in the foreground, where no command answers."""

    def click(self, message: dict[str, Any]) -> None:
        handle_click(message, self._comparison)

    def items(self, names: list[str], turns: list[Turn]) -> list[dict[str, Any]]:
        """The columns' items, the same ones while only a clock goes on."""
        for place, (name, turn) in enumerate(zip(names, turns, strict=True)):
            column = self._column(place, name, turn)
            if _without_clock(column) != _without_clock(self._columns[place]):
                self._columns[place] = column
        return [item for column in self._columns for item in column]

    def _column(self, place: int, name: str, turn: Turn) -> list[dict[str, Any]]:
        first = {"kind": "column", "id": str(place), "name": heading(name), "panel": _column_panel(turn)}
        items = self._makers[place].answer(turn)
        items = [first, *({**item, "id": f"{place}:{item['id']}"} for item in items)]
        return [{**item, "column": place} for item in items]


class ShownComparison(ShownTurn):
    """A Comparison at one moment."""

    text = ""
    """The columns are shown as a whole."""

    def __init__(self, comparison: Comparison, columns: ComparisonSubject) -> None:
        super().__init__(comparison.turn, TurnItems())
        self._turns, self._columns = comparison.turns, columns

    def answer(self) -> dict[str, str]:
        names = self._turns.names
        return {
            "text/html": table_html(names, self._turns),
            "text/plain": turns_text(names, self._turns),
        }

    def below(self, *, background: bool) -> dict[str, str]:
        html = f'<div class="{NO_FORMULAS}">{panel_html(self._turn)}</div>'
        return {"text/html": html, "text/plain": panel_text(self._turn)}

    def items(self) -> list[dict[str, Any]]:
        return self._columns.items(list(self._turns.names), list(self._turns))


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
