"""What JupyterLab's status bar says of this kernel."""

from __future__ import annotations

import time
from decimal import Decimal
from typing import Any

from ...errors import ConfigError
from ...metering import periods
from ...money import mark_usd
from ...text import strip_control_chars
from ..extension import Extension
from .sessions import HEADERS, NONE_YET, overview_rows

MICRO = 1_000_000


def status(extension: Extension) -> str:
    """What runs in this kernel, and what its turns of today cost, in a few words; "" before the first."""
    turns = [run.turn for each in extension.conversations for run in each.runs]
    if not turns:
        return ""
    try:
        begin = periods.began("day", time.time()) / MICRO
    except ConfigError:  # no such time zone; `%usage` says so
        return ""
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
    return " · ".join([*parts, f"{spent} today"])


def overview_table(extension: Extension) -> dict[str, Any]:
    """The table of `%agent` as `headers` and `rows` of text; `none` stands in the place of no rows."""
    rows = [[strip_control_chars(str(cell)) for cell in row] for row in overview_rows(extension)]
    return {"headers": HEADERS, "rows": rows, "none": NONE_YET}
