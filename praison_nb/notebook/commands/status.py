"""What JupyterLab's status bar says of this kernel."""

from __future__ import annotations

import time
from decimal import Decimal
from typing import Any

from ...metering import periods
from ...money import mark_usd
from ...text import strip_control_chars
from ..extension import Extension
from .sessions import HEADERS, NONE_YET, overview_rows


def status(extension: Extension) -> dict[str, Any]:
    """What runs in this kernel and what its turns of today cost, in a line (`label`); and the table of
    `%agent` (`headers`, `rows`), a line in its place (`none`)."""
    begin = periods.began("day", time.time()) / 1_000_000
    turns = [run.turn for each in extension.conversations for run in each.runs]
    running = [turn for turn in turns if turn.ended is None]
    waiting = sum(bool(turn.waiting) for turn in running)
    today = [turn for turn in turns if turn.started >= begin or turn.ended is None]
    costs = [turn.cost for turn in today]
    spent = mark_usd(
        sum((cost for cost in costs if cost is not None), Decimal(0)),
        estimated=any(turn.estimated_cost for turn in today),
        is_lower_bound=None in costs or any(turn.is_lower_bound for turn in today),
    )
    parts = [f"{len(running)} running" if running else "idle"]
    parts += [f"{waiting} waiting for you"] if waiting else []
    rows = [[strip_control_chars(str(cell)) for cell in row] for row in overview_rows(extension)]
    label = " · ".join([*parts, f"{spent} today"])
    return {"label": label, "headers": HEADERS, "rows": rows, "none": NONE_YET}
