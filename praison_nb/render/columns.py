"""Several turns side by side, as static HTML and as text."""

from __future__ import annotations

from collections.abc import Sequence

from ..turn import Turn
from .formulas import escape
from .html import answer_html, below_html, panel_html
from .markdown import NO_FORMULAS
from .text import panel_text, turn_text
from .visible import one_line

# A table where styles are taken away; with them its cells stand below each other where there is no room.
_TABLE = "display: block; width: 100%; margin: 0; border: 0; font-size: inherit"
_ROW = "display: flex; flex-wrap: wrap; gap: 8px 24px; padding: 0; background: none"
_CELL = (
    "flex: 1 1 240px; min-width: 0; max-width: 100%; box-sizing: border-box; padding: 0; border: 0; "
    "text-align: left; vertical-align: top; line-height: var(--jp-content-line-height, 1.6); "
    "white-space: normal; overflow-wrap: anywhere; overflow-x: auto"
)


def heading(name: str) -> str:
    """What stands above a column."""
    return one_line(name, 60)


def columns_html(names: Sequence[str], turns: Sequence[Turn], total: Turn) -> str:
    """A column for each turn, with the name above, and the panel of all."""
    return f'{table_html(names, turns)}<div class="{NO_FORMULAS}">{panel_html(total)}</div>'


def table_html(names: Sequence[str], turns: Sequence[Turn]) -> str:
    """The columns alone."""
    columns = map(_column, names, turns)
    cells = "".join(f'<td style="{_CELL}">{each}</td>' for each in columns)
    rows = f'<tbody style="display: block"><tr style="{_ROW}">{cells}</tr></tbody>'
    return f'<table style="{_TABLE}">{rows}</table>'


def _column(name: str, turn: Turn) -> str:
    above = f'<div class="{NO_FORMULAS}"><b>{escape(heading(name))}</b></div>'
    return above + answer_html(turn) + below_html(turn, error=True, heading=False)


def columns_text(names: Sequence[str], turns: Sequence[Turn], total: Turn) -> str:
    """The turns one after the other, each with its name above, and the panel of all."""
    return f"{turns_text(names, turns)}\n\n{panel_text(total)}"


def turns_text(names: Sequence[str], turns: Sequence[Turn]) -> str:
    """The turns one after the other, each with its name above."""
    return "\n\n".join(
        f"── {heading(name)} ──\n{turn_text(turn)}" for name, turn in zip(names, turns, strict=True)
    )
