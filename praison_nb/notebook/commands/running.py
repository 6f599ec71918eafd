"""`%usage running`: what is under way, in all kernels."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from ...metering import writer
from ...metering.open_requests import open_requests
from ...metering.origin import user
from ...money import format_usd
from ..views.tables import show, table


def running_command(shell: Any) -> None:
    """The requests that are not done, and what they may cost."""
    found = open_requests(writer.current(), user())
    if not found:
        show(shell, "No request is under way, in no kernel of yours, and all are counted.")
        return
    cells = [
        [
            each.state,
            f"{datetime.fromtimestamp(each.time, UTC):%Y-%m-%d %H:%M:%S}",
            each.notebook or "—",
            each.session,
            each.model,
            f"~{each.input_tokens:,}",
            f"at most {format_usd(each.at_most)}" if each.at_most else "—",
        ]
        for each in found
    ]
    note = "Times are UTC. What is unknown was under way when its kernel was killed, or was never counted."
    headers = ["request", "since", "notebook", "session", "model", "in", "cost"]
    table(shell, headers, cells, [note], [float(each.at_most) for each in found], ("in", "cost"))
