"""What JupyterLab's status bar says of this kernel."""

from __future__ import annotations

import time
from typing import Any

from ...errors import ConfigError
from ...metering import periods
from ...money import mark_usd
from ...text import strip_control_chars
from ..conversations.day import Spending
from ..extension import Extension
from .sessions import HEADERS, NONE_YET, overview_rows

MICRO = 1_000_000


def status(extension: Extension) -> str:
    """What runs in this kernel, and what its turns of today cost, in a few words; "" before the first."""
    conversations = [each for each in extension.conversations if each.runs]
    if not conversations:
        return ""
    try:
        begin = periods.began("day", time.time()) / MICRO
    except ConfigError:  # no such time zone; `%usage` says so
        return ""
    days = [each.day.since(begin) for each in conversations]
    today, running = sum((each for each, _ in days), Spending()), [turn for _, each in days for turn in each]
    waiting = sum(bool(turn.waiting) for turn in running)
    spent = mark_usd(today.usd, estimated=today.estimated, is_lower_bound=today.is_lower_bound)
    parts = [f"{len(running)} running" if running else "idle"]
    parts += [f"{waiting} waiting for you"] if waiting else []
    return " · ".join([*parts, f"{spent} today"])


def overview_table(extension: Extension) -> dict[str, Any]:
    """The table of `%agent` as `headers` and `rows` of text; `none` stands in the place of no rows."""
    rows = [[strip_control_chars(str(cell)) for cell in row] for row in overview_rows(extension)]
    return {"headers": HEADERS, "rows": rows, "none": NONE_YET}
