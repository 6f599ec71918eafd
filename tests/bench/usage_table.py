"""Prints the table of docs/usage.md: what servers of all kinds tell, and what the meter makes of it.

    make usage-table

Each row is asked of a loopback server, and is right by hand, or the command fails.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from praison_nb.money import mark_usd
from servers.wire_shapes import Shape, ShapeServer
from servers.wire_shapes_chat import CHAT
from servers.wire_shapes_other import MESSAGES, RESPONSES

BEGIN, END = "<!-- make usage-table -->\n", "<!-- end of the table -->"
HEAD = "| wire | what the server tells | in (cached) | out | cost | source |\n|---|---|---|---|---|---|"


def table() -> str:
    """The table, Markdown."""
    with ShapeServer() as server:
        rows = [_row(server, shape) for shape in (*CHAT, *RESPONSES, *MESSAGES)]
    return "\n".join([HEAD, *rows])


def _row(server: ShapeServer, shape: Shape) -> str:
    turn = shape.agent(server).begin("What is 2+2?").wait()
    used, about = turn.usage, "~" if turn.usage.estimated else ""
    expected = None if shape.tokens[0] is None else shape.cost
    if (turn.cost if shape.tokens[0] is not None else None) != expected:
        raise SystemExit(f"{shape.name}: {turn.cost} is not {shape.cost}")
    read = f" ({used.cache_read_input_tokens:,})" if used.cache_read_input_tokens else ""
    marks = {"estimated": bool(turn.estimated_cost), "is_lower_bound": turn.is_lower_bound}
    fees = f", of it ${turn.fees:f} fees" if turn.fees else ""
    cost = "free" if shape.source == "local" else f"{mark_usd(turn.cost, **marks)}{fees}"
    cells = (f"{about}{used.input_tokens:,}{read}", f"{about}{used.output_tokens:,}", cost)
    return f"| {' | '.join((shape.wire, shape.name, *cells, turn.cost_sources[-1]))} |"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        os.environ["PRAISON_NB_LEDGER"] = f"{folder}/ledger.sqlite"
        os.environ["PRAISON_NB_PRICES"] = f"{folder}/prices.json"
        print(table())
